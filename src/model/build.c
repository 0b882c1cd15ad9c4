/* SPDX-License-Identifier: Apache-2.0
 *
 * From a description to a graph: rows in order, each in the scope model.INDEX, repeats, the decoding (spec 1.4, 2.8,
 * 3.2). Output widths are read off inferred types: a module needs no rule for its channels. */
#include "model/build.h"

#include <math.h>

/* No detector has as many nodes; repeats of repeats in a small file soon do. */
enum { MAX_NODES = 100000 };
/* Elements of one row's result at the nominal binding beyond which a description is taken for a mistake. */
#define MAX_ROW_ELEMENTS (INT64_C(1) << 36)

static Builder new_builder(Model *m, const Description *d, const ModelOptions *o)
{
    enum { NOMINAL = 640 };
    graph_nominal(m->g, &(Binding) { .batch = 1, .height = NOMINAL, .width = NOMINAL, .targets = 64, .act = F32 });
    return (Builder) { .g = m->g,
                       .act = d->act,
                       .bn_eps = o->compat.bn_eps > 0 ? o->compat.bn_eps : 1e-3,
                       .bn_momentum = o->compat.bn_momentum > 0 ? o->compat.bn_momentum : 0.03,
                       .nc = d->nc,
                       .reg_max = d->reg_max,
                       .depthwise_cls = o->compat.depthwise_cls || d->later_family,
                       .sppf_no_act = o->compat.sppf_no_act,
                       .box_bias = o->compat.box_bias ? o->compat.box_bias : 1,
                       .nominal = NOMINAL,
                       .model = m };
}

/* ---- warnings ------------------------------------------------------------------------------------------------- */

static void warn(Model *m, int row, const char *fmt, va_list ap)
{
    const ModelRow *r = &m->row[row];
    char what[512], line[32] = "";
    vsnprintf(what, sizeof what, fmt, ap);
    if (r->line) snprintf(line, sizeof line, "%d: ", r->line);
    const char *text =
        arena_printf(m->a, "%s:%s%srow %d (%s): %s", m->file, r->line ? "" : " ", line, row, r->module, what);
    for (size_t i = 0; text && i < m->n_warning; i++)
        if (str_eq(m->warning[i], text)) return;
    if (text && arena_grow(m->a, &m->warning, m->n_warning, &m->cap_warning, sizeof *m->warning))
        m->warning[m->n_warning++] = text;
    else
        graph_fail(m->g, DYN_NOMEM, "out of memory");
}

void model_warn(Model *m, int row, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    warn(m, row, fmt, ap);
    va_end(ap);
}

void build_warn(Builder *b, const char *fmt, ...)
{
    va_list ap;
    if (!b->model) return;
    va_start(ap, fmt);
    warn(b->model, b->model->n_row, fmt, ap); /* the row that is being built */
    va_end(ap);
}

/* ---- rows ----------------------------------------------------------------------------------------------------- */

/* The row's own repeats after depth scaling (spec 1.4, rule 3). */
static int64_t scaled_repeat(const RowSpec *r, double depth)
{
    return r->repeat > 1 ? MAX((int64_t)rint((double)r->repeat * depth), 1) : r->repeat;
}

static Status check_result(Graph *g, Value v, Error *err)
{
    TRY(graph_status(g, err));
    if (graph_n_nodes(g) > MAX_NODES)
        return fail(err, DYN_FORMAT, "the model has more than %d operations with this row", MAX_NODES);
    const Shape *s = &value_type(g, v)->shape;
    char text[128];
    int64_t n = shape_count(s);
    if (n > 0 && n <= MAX_ROW_ELEMENTS) return DYN_OK;
    return fail(err, DYN_SHAPE, "its result would be %s for an input of 640x640", shape_text(s, text, sizeof text));
}

/* A row whose module takes no repeats is stacked: model.3.0, model.3.1, ... (spec 1.4, rule 5). */
static Status build_stack(Builder *b, const RowSpec *r, const Value *in, const ModuleArgs *args, int64_t times,
                          Value *out, Error *err)
{
    if (times > 1 && r->n_source > 1) return fail(err, DYN_FORMAT, "a row that reads several rows cannot be repeated");
    *out = in[0];
    for (int64_t i = 0; i < times; i++) {
        const char *outer = times > 1 ? graph_push(b->g, "%lld", (long long)i) : graph_scope(b->g);
        *out = r->def->build(b, i ? out : in, r->n_source, args);
        graph_pop(b->g, outer);
        TRY(check_result(b->g, *out, err));
    }
    return DYN_OK;
}

static int64_t count_params(const Graph *g, int from)
{
    int64_t n = 0;
    for (int i = from; i < graph_n_params(g); i++) {
        const ParamSpec *p = graph_param_spec(g, i);
        if (param_counts(p)) n += shape_count(&p->shape);
    }
    return n;
}

static Status build_row(Model *m, Builder *b, const Description *d, const ModelOptions *o, Value image, Error *err)
{
    int index = m->n_row, first_param = graph_n_params(b->g);
    const RowSpec *r = &d->row[index];
    Value in[64] = { 0 };
    int64_t c_in[64], repeat = scaled_repeat(r, d->depth);
    Signature sig;
    ArgContext c = { .a = m->a,
                     .def = r->def,
                     .nc = d->nc,
                     .repeat = repeat,
                     .width = d->width,
                     .max_channels = d->max_channels,
                     .width_nc_quirk = o->compat.width_nc_quirk };
    const ModuleArgs *args;
    if (repeat > MAX_REPEAT)
        return fail(err, DYN_FORMAT, "%lld repeats after depth scaling, at most %d", (long long)repeat, MAX_REPEAT);
    for (int i = 0; i < r->n_source; i++) {
        in[i] = r->source[i] < 0 ? image : m->row[r->source[i]].out;
        c_in[i] = value_dim(b->g, in[i], 1);
    }
    TRY(args_bind(&c, r->args, &args, err));
    bool takes_repeat = signature_parse(m->a, r->def->args, &sig) && signature_has(&sig, ARG_REPEAT);
    ModelRow *row = &m->row[index];
    *row = (ModelRow) { .index = index,
                        .line = r->at->line,
                        .name = r->name,
                        .from = r->from,
                        .source = r->source,
                        .n_source = r->n_source,
                        .repeat = repeat,
                        .module = r->def->name,
                        .args = args_print(m->a, args, c_in, r->n_source),
                        .first_node = graph_n_nodes(b->g) };
    graph_set_origin(b->g, (Origin) { .file = m->file, .line = r->at->line, .row = index });
    const char *outer = graph_push(b->g, "model.%d", index);
    TRY(build_stack(b, r, in, args, takes_repeat ? 1 : repeat, &row->out, err));
    graph_pop(b->g, outer);
    row->last_node = graph_n_nodes(b->g);
    row->params = count_params(b->g, first_param);
    row->shape = value_type(b->g, row->out)->shape;
    m->n_row++;
    return DYN_OK;
}

static Value image_input(Builder *b, int64_t ch)
{
    Type t = { .dtype = U8, .shape = SHAPE(DIM_BATCH, ch, DIM_HEIGHT, DIM_WIDTH) };
    return build_op(b, "image", INS(graph_input(b->g, "images", t)), NO_ATTRS);
}

/* Names the raw maps and decodes them once. */
static Status finish_head(Model *m, Builder *b, Error *err)
{
    const Head *h = &b->head;
    Value maps[2 * MAX_LEVELS];
    char strides[MAX_LEVELS * 24] = "", name[16];
    for (int i = 0; i < h->n_level; i++) {
        maps[i] = h->box[i];
        maps[h->n_level + i] = h->cls[i];
        snprintf(name, sizeof name, "box%d", i);
        graph_output(b->g, name, h->box[i]);
        snprintf(name, sizeof name, "cls%d", i);
        graph_output(b->g, name, h->cls[i]);
        snprintf(strides + strlen(strides), 24, "%s%lld", i ? "," : "", (long long)h->stride[i]);
        m->stride[i] = h->stride[i];
        m->max_stride = MAX(m->max_stride, h->stride[i]);
    }
    const char *outer = graph_push(b->g, "decode");
    Value y = build_op(b, "yolo_decode", maps, 2 * h->n_level,
                       ATTRS(A_INT("reg_max", h->reg_max), A_TEXT("strides", strides)));
    graph_pop(b->g, outer);
    graph_output(b->g, "y", y);
    graph_output(b->g, "score", value_at(y, 1));
    ModelRow *last = &m->row[m->n_row - 1]; /* the decoding belongs to the head's row */
    last->last_node = graph_n_nodes(b->g);
    last->out = y;
    TRY(graph_status(b->g, err));
    last->shape = value_type(b->g, y)->shape;
    m->n_level = h->n_level;
    m->reg_max = h->reg_max;
    m->nc = h->nc;
    return DYN_OK;
}

Status model_structure(const char *name, ModelCompat *c, Error *err)
{
    if (!name) return DYN_OK;
    bool current = str_eq(name, "current");
    if (!current && !str_eq(name, "classic"))
        return fail(err, DYN_USAGE, "structure=%s: wants classic or current", name);
    c->sppf_no_act = current;
    c->box_bias = current ? 2 : 1;
    return DYN_OK;
}

Status model_build_graph(Model *m, const Description *d, const ModelOptions *o, Error *err)
{
    Builder b = new_builder(m, d, o);
    graph_set_origin(m->g, (Origin) { .file = m->file, .row = -1 });
    Value image = image_input(&b, d->ch);
    TRY(graph_status(m->g, err));
    if (!(m->row = ARENA_ARRAY(m->a, ModelRow, d->n_row))) return fail_nomem(err, sizeof *m->row);
    for (int i = 0; i < d->n_row; i++) {
        const RowSpec *r = &d->row[i];
        if (b.head.n_level) {
            fail(err, DYN_FORMAT, "a head must be the last row, but a head stands before this one");
            return row_fail_in(r, i, err);
        }
        if (build_row(m, &b, d, o, image, err) != DYN_OK) return row_fail_in(r, i, err);
    }
    if (!b.head.n_level) {
        fail(err, DYN_FORMAT, "the last row must be a head (Detect)");
        return row_fail_in(&d->row[d->n_row - 1], d->n_row - 1, err);
    }
    m->n_leaf = b.n_leaf;
    m->compat.depthwise_cls = b.depthwise_cls;
    m->ch = d->ch;
    m->scale = d->scale;
    m->note = d->note;
    TRY(finish_head(m, &b, err));
    model_lint(m);
    return graph_status(m->g, err);
}
