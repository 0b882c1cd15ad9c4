/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of a graph, for people and for graph_parse (parse.c), which reads all of it back:
 *
 *   nominal 1 640 640 64 F32                             batch, height, width, targets, activations
 *   param NAME weight [16,3,3,3] uniform=0.19            in the order of files; file=[..] schedule=.. frozen where so
 *   param NAME count
 *   images: input U8[N,3,H,W] -> %1:U8[1,3,640,640]      N H W T: symbols; `rowmajor` where an input is
 *   NAME: param -> %2:F32[16,3,3,3]
 *   NAME: const F32[1] 0000803f -> %3:F32[1]             bytes in hexadecimal
 *   NAME: conv2d %1[1,3,640,640] %2[16,3,3,3] - - stride=2 -> %4:F32[1,16,320,320]
 *   output NAME %4
 *
 * A text attribute that could be taken for a number, or that has quotes of its own, stands in quotes. */
#include "graph/graph_impl.h"

#include <math.h>

const char *const param_kind_names[N_PARAM_KIND] = {
    [PARAM_WEIGHT] = "weight", [PARAM_NORM] = "norm",     [PARAM_BIAS] = "bias",         [PARAM_STATE] = "state",
    [PARAM_FIXED] = "fixed",   [PARAM_BUFFER] = "buffer", [PARAM_SCHEDULE] = "schedule", [PARAM_COUNT] = "count"
};
const char *const init_kind_names[N_INIT_KIND] = { [INIT_CONST] = "const",
                                                   [INIT_UNIFORM] = "uniform",
                                                   [INIT_NORMAL] = "normal",
                                                   [INIT_ARANGE] = "arange",
                                                   [INIT_SUBPIXEL] = "subpixel" };

static const Type *type_of(const Graph *g, const Type *types, Value v)
{
    return types ? &types[v.id] : &g->value[v.id].type;
}

/* The shortest text that is read back as the same number, and never as an integer. */
static const char *float_text(double f, char buf[40])
{
    double back;
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(buf, 40, "%.*g", digits, f);
        if (str_to_double(str_point(buf), &back) && back == f) break;
    }
    if (!strpbrk(buf, ".en")) memcpy(buf + strlen(buf), ".0", sizeof ".0");
    return buf;
}

/* Would parse.c take this text for something else when it stands without quotes? */
static bool wants_quotes(const char *s)
{
    double unused;
    size_t n = strlen(s);
    return str_to_double(s, &unused) || (n > 1 && s[0] == '"' && s[n - 1] == '"');
}

static void add_attr(Text *t, const Attr *a)
{
    char number[40];
    if (a->kind == ATTR_INT)
        text_add(t, " %s=%lld", a->name, (long long)a->i);
    else if (a->kind == ATTR_FLOAT)
        text_add(t, " %s=%s", a->name, float_text(a->f, number));
    else if (wants_quotes(a->s))
        text_add(t, " %s=\"%s\"", a->name, a->s);
    else
        text_add(t, " %s=%s", a->name, a->s);
}

static void add_input(Text *t, const Type *leaf)
{
    static const char symbol[] = "?NHWT"; /* by -DIM_BATCH ... */
    text_add(t, " %s[", dtype_name(leaf->dtype));
    for (int d = 0; d < leaf->shape.rank; d++) {
        int64_t dim = leaf->shape.dim[d];
        if (d) text_add(t, ",");
        if (dim < 0)
            text_add(t, "%c", symbol[-dim]);
        else
            text_add(t, "%lld", (long long)dim);
    }
    text_add(t, leaf->rowmajor ? "] rowmajor" : "]");
}

static void add_const(Text *t, const Node *n)
{
    char shape[128];
    const unsigned char *byte = n->data;
    text_add(t, " %s%s ", dtype_name(n->leaf.dtype), shape_text(&n->leaf.shape, shape, sizeof shape));
    for (size_t i = 0; i < type_bytes(&n->leaf); i++)
        text_add(t, "%02x", byte[i]);
}

static void add_node(Text *t, const Graph *g, const Node *n, const Type *types)
{
    char shape[128];
    static const char *const leaf[] = { [NODE_INPUT] = "input", [NODE_PARAM] = "param", [NODE_CONST] = "const" };
    text_add(t, "%s: %s", n->name, n->kind == NODE_OP ? n->op->name : leaf[n->kind]);
    if (n->kind == NODE_INPUT) add_input(t, &n->leaf);
    if (n->kind == NODE_CONST) add_const(t, n);
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i].id)
            text_add(t, " %%%d%s", n->in[i].id, shape_text(&type_of(g, types, n->in[i])->shape, shape, sizeof shape));
        else
            text_add(t, " -");
    for (int i = 0; i < n->n_attr; i++)
        add_attr(t, &n->attr[i]);
    for (int i = 0; i < n->n_out; i++) {
        const Type *type = type_of(g, types, value_at(n->out, i));
        text_add(t, "%s%%%d:%s%s", i ? " " : " -> ", n->out.id + i, dtype_name(type->dtype),
                 shape_text(&type->shape, shape, sizeof shape));
    }
}

static void add_param(Text *t, const ParamSpec *p)
{
    char shape[128], a[40], b[40], c[40], d[40], e[40];
    text_add(t, "param %s %s", p->name, param_kind_names[p->kind]);
    if (p->kind != PARAM_COUNT)
        text_add(t, " %s %s=%s", shape_text(&p->shape, shape, sizeof shape), init_kind_names[p->init.kind],
                 float_text(p->init.a, a));
    if (!shape_eq(&p->file_shape, &p->shape)) text_add(t, " file=%s", shape_text(&p->file_shape, shape, sizeof shape));
    const ScheduleSpec *s = &p->schedule;
    if (p->kind == PARAM_SCHEDULE)
        text_add(t, " schedule=%s,%s,%s,%s,%s", float_text(s->start, a), float_text(s->end, b), float_text(s->step, c),
                 float_text(s->epochs, d), float_text(s->published, e));
    text_add(t, param_trains(p->kind) && !p->trainable ? " frozen\n" : "\n");
}

char *node_text(const Graph *g, const Node *n, const Type *types, Arena *a)
{
    Text t = { .a = a };
    add_node(&t, g, n, types);
    return text_done(&t);
}

char *graph_text(const Graph *g, const Type *types, Arena *a)
{
    Text t = { .a = a };
    const Binding *b = &g->nominal;
    text_add(&t, "nominal %lld %lld %lld %lld %s\n", (long long)b->batch, (long long)b->height, (long long)b->width,
             (long long)b->targets, dtype_name(b->act));
    for (size_t i = 0; i < g->n_param; i++)
        add_param(&t, g->param[i]);
    for (size_t i = 0; i < g->n_node; i++) {
        add_node(&t, g, g->node[i], types);
        text_add(&t, "\n");
    }
    for (size_t i = 0; i < g->n_output; i++)
        text_add(&t, "output %s %%%d\n", g->output[i].name, g->output[i].v.id);
    return text_done(&t);
}
