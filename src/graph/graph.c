/* SPDX-License-Identifier: Apache-2.0
 *
 * Building and reading graphs. Failures are sticky: the first is kept, everything after it returns void, and the
 * builder asks graph_status() once at the end. */
#include "graph/graph_impl.h"

static ParamSpec *new_param(Graph *g, const char *name, ParamKind kind);

Status graph_new(Graph **out, Error *err)
{
    Arena *a = arena_new();
    Graph *g = a ? ARENA_NEW(a, Graph) : NULL;
    if (!g || !(g->value = ARENA_ARRAY(a, ValueInfo, 64))) {
        if (a) arena_free(&a);
        return fail_nomem(err, sizeof *g);
    }
    g->a = a;
    g->cap_value = 64;
    g->n_value = 1;
    g->scope = "";
    g->origin.row = -1;
    g->nominal = (Binding) { .batch = 1, .height = 640, .width = 640, .targets = 64, .act = F32 };
    *out = g;
    return DYN_OK;
}

Status graph_new_like(const Graph *src, Graph **out, Error *err)
{
    Graph *g;
    TRY(graph_new(&g, err));
    g->nominal = src->nominal;
    g->slab_n = src->slab_n;
    for (size_t i = 0; i < src->n_param; i++) {
        ParamSpec *p = new_param(g, arena_strdup(g->a, src->param[i]->name), src->param[i]->kind);
        if (!p) break;
        const char *name = p->name;
        *p = *src->param[i];
        p->name = name;
        p->value = (Value) { 0 };
    }
    if (graph_status(g, err) != DYN_OK) {
        graph_free(&g);
        return err->status;
    }
    *out = g;
    return DYN_OK;
}

void graph_free(Graph **g)
{
    if (!*g) return;
    Arena *a = (*g)->a;
    arena_free(&a);
    *g = NULL;
}

Arena *graph_arena(Graph *g)
{
    return g->a;
}

Status graph_status(const Graph *g, Error *err)
{
    if (g->err.status != DYN_OK) *err = g->err;
    return g->err.status;
}

void graph_fail(Graph *g, Status s, const char *fmt, ...)
{
    char what[sizeof g->err.text];
    va_list ap;
    if (g->err.status != DYN_OK) return;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    fail(&g->err, s, "%s", what);
    if (g->origin.file && g->origin.row >= 0)
        fail_in(&g->err, "%s:%d (row %d)", g->origin.file, g->origin.line, g->origin.row);
    else if (g->origin.file)
        fail_in(&g->err, "%s:%d", g->origin.file, g->origin.line);
}

void graph_nominal(Graph *g, const Binding *b)
{
    g->nominal = *b;
}

void graph_set_origin(Graph *g, Origin o)
{
    g->origin = o;
}

const char *graph_push(Graph *g, const char *fmt, ...)
{
    const char *old = g->scope, *scope;
    char part[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(part, sizeof part, fmt, ap);
    va_end(ap);
    scope = *old ? arena_printf(g->a, "%s.%s", old, part) : arena_strdup(g->a, part);
    if (scope)
        g->scope = scope;
    else
        graph_fail(g, DYN_NOMEM, "out of memory");
    return old;
}

void graph_pop(Graph *g, const char *old)
{
    g->scope = old;
}

const char *graph_scope(const Graph *g)
{
    return g->scope;
}

static const char *scoped(Graph *g, const char *name)
{
    const char *s = *g->scope ? arena_printf(g->a, "%s.%s", g->scope, name) : arena_strdup(g->a, name);
    if (!s) graph_fail(g, DYN_NOMEM, "out of memory");
    return s;
}

static Node *new_node(Graph *g, NodeKind kind, const char *name, int n_in, int n_out)
{
    Node *n;
    if (g->err.status != DYN_OK || !name) return NULL;
    if (!arena_grow(g->a, &g->node, g->n_node, &g->cap_node, sizeof(Node *)) || !(n = ARENA_NEW(g->a, Node)) ||
        !(n->in = ARENA_ARRAY(g->a, Value, n_in + 1))) {
        graph_fail(g, DYN_NOMEM, "out of memory");
        return NULL;
    }
    n->kind = kind;
    n->id = (int)g->n_node;
    n->name = name;
    n->n_in = n_in;
    n->n_out = n_out;
    n->origin = g->origin;
    n->param = -1;
    return n;
}

/* The node joins the graph together with its values. */
static Value append(Graph *g, Node *n, const Type *types)
{
    n->out.id = (int32_t)g->n_value;
    for (int i = 0; i < n->n_out; i++) {
        if (!arena_grow(g->a, &g->value, g->n_value, &g->cap_value, sizeof *g->value)) {
            graph_fail(g, DYN_NOMEM, "out of memory");
            return (Value) { 0 };
        }
        g->value[g->n_value++] = (ValueInfo) { n->id, i, types[i] };
    }
    g->node[g->n_node++] = n;
    return n->out;
}

static Value append_leaf(Graph *g, Node *n, Type t)
{
    n->leaf = t;
    Type nominal = leaf_type(n, &g->nominal);
    return append(g, n, &nominal);
}

Value graph_input(Graph *g, const char *name, Type t)
{
    Node *n = new_node(g, NODE_INPUT, arena_strdup(g->a, name), 0, 1);
    return n ? append_leaf(g, n, t) : (Value) { 0 };
}

Value graph_const(Graph *g, Type t, const void *data)
{
    Node *n = new_node(g, NODE_CONST, scoped(g, "const"), 0, 1);
    void *copy = n ? arena_alloc(g->a, type_bytes(&t)) : NULL;
    if (!copy) {
        graph_fail(g, DYN_NOMEM, "out of memory");
        return (Value) { 0 };
    }
    memcpy(copy, data, type_bytes(&t));
    n->data = copy;
    t.rowmajor = true;
    return append_leaf(g, n, t);
}

/* The slot of a name: where it is, or the free one where it would go. n_slot must not be 0. */
static int *param_slot(const Graph *g, const char *name)
{
    for (size_t at = rng_key(name);; at++) {
        int *slot = &g->slot[at & (g->n_slot - 1)];
        if (!*slot || str_eq(g->param[*slot - 1]->name, name)) return slot;
    }
}

/* Slots stay at most half full; the old table is left to the arena. */
static bool grow_slots(Graph *g)
{
    enum { FIRST = 256 };
    if (2 * (g->n_param + 1) <= g->n_slot) return true;
    size_t n = g->n_slot ? 2 * g->n_slot : FIRST;
    int *slot = ARENA_ARRAY(g->a, int, n);
    if (!slot) return false;
    g->slot = slot;
    g->n_slot = n;
    for (size_t i = 0; i < g->n_param; i++)
        *param_slot(g, g->param[i]->name) = (int)i + 1;
    return true;
}

static ParamSpec *new_param(Graph *g, const char *name, ParamKind kind)
{
    ParamSpec *p;
    if (g->err.status != DYN_OK || !name) return NULL;
    if (!arena_grow(g->a, &g->param, g->n_param, &g->cap_param, sizeof *g->param) || !grow_slots(g) ||
        !(p = ARENA_NEW(g->a, ParamSpec))) {
        graph_fail(g, DYN_NOMEM, "out of memory");
        return NULL;
    }
    *p = (ParamSpec) { .name = name, .kind = kind, .offset = -1 };
    g->param[g->n_param++] = p;
    *param_slot(g, name) = (int)g->n_param;
    return p;
}

Value graph_param_leaf(Graph *g, int index)
{
    ParamSpec *p = g->param[index];
    Node *n = new_node(g, NODE_PARAM, p->name, 0, 1);
    if (!n) return (Value) { 0 };
    n->param = index;
    return p->value = append_leaf(g, n, (Type) { .dtype = F32, .rowmajor = true, .shape = p->shape });
}

const char *graph_name(Graph *g, const char *name)
{
    const char *s = arena_strdup(g->a, name);
    if (!s) graph_fail(g, DYN_NOMEM, "out of memory");
    return s;
}

ParamSpec *graph_declare(Graph *g, const char *name, ParamKind kind, Shape shape, Init init)
{
    enum { ALIGN = 16 };
    int64_t count = shape_count(&shape);
    for (int d = 0; d < shape.rank; d++)
        if (shape.dim[d] <= 0) {
            char text[128];
            graph_fail(g, DYN_SHAPE, "parameter '%s' would be empty: shape %s", name,
                       shape_text(&shape, text, sizeof text));
            return NULL;
        }
    if (count < 0 || count > INT32_MAX) {
        graph_fail(g, DYN_SHAPE, "parameter '%s' would have more than 2^31 elements", name);
        return NULL;
    }
    ParamSpec *p = new_param(g, name, kind);
    if (!p) return NULL;
    p->shape = p->file_shape = shape;
    p->init = init;
    p->trainable = param_trains(kind);
    p->offset = g->slab_n;
    g->slab_n += (count + ALIGN - 1) / ALIGN * ALIGN;
    return p;
}

static Value declare_param(Graph *g, const char *name, ParamKind kind, Shape shape, Init init)
{
    if (g->err.status != DYN_OK) return (Value) { 0 };
    int at = graph_find_param(g, name);
    if (at < 0)
        return graph_declare(g, name, kind, shape, init) ? graph_param_leaf(g, (int)g->n_param - 1) : (Value) { 0 };
    if (!shape_eq(&g->param[at]->shape, &shape))
        graph_fail(g, DYN_SHAPE, "parameter '%s' is declared with two shapes", name);
    return g->param[at]->value;
}

Value graph_param(Graph *g, const char *name, ParamKind kind, Shape shape, Init init)
{
    return declare_param(g, scoped(g, name), kind, shape, init);
}

Value graph_schedule(Graph *g, const char *name, ScheduleSpec s)
{
    Value v = graph_param(g, name, PARAM_SCHEDULE, SHAPE(1, 1, 1, 1), (Init) { INIT_CONST, s.start });
    if (v.id) g->param[value_node(g, v)->param]->schedule = s;
    return v;
}

void graph_param_file_shape(Graph *g, Value v, Shape shape)
{
    char in_file[128], here[128];
    if (g->err.status != DYN_OK) return;
    ParamSpec *p = g->param[value_node(g, v)->param];
    if (shape_count(&shape) == shape_count(&p->shape))
        p->file_shape = shape;
    else
        graph_fail(g, DYN_SHAPE, "parameter '%s' is %s, which does not fit the shape %s in files", p->name,
                   shape_text(&p->shape, here, sizeof here), shape_text(&shape, in_file, sizeof in_file));
}

void graph_counter(Graph *g, const char *name)
{
    const char *full = scoped(g, name);
    if (full && graph_find_param(g, full) < 0) new_param(g, full, PARAM_COUNT);
}

/* "y mean rstd" is three outputs; "y*" as many as attribute n_out says. */
static int count_outputs(const Node *n)
{
    int count = 1;
    if (str_ends(n->op->out, "*")) return (int)CLAMP(attr_int(n, "n_out"), 0, INT32_MAX);
    for (const char *s = n->op->out; *s; s++)
        count += *s == ' ';
    return count;
}

/* The inputs that an operator names, at least n_in: "x w b? res?" are four, of "x*" there are as many as are given. */
static int count_inputs(const OpDef *op, int n_in)
{
    int named = *op->in != 0;
    for (const char *s = op->in; *s; s++)
        named += *s == ' ';
    return str_ends(op->in, "*") ? n_in : MAX(named, n_in);
}

/* Inputs against "x w b? res?" or "x*": the required ones are there and not void, and there are no more than named. */
static bool inputs_fit(const OpDef *op, const Value *in, int n_in)
{
    const char *s = op->in;
    int k = 0;
    for (; *s; k++) {
        size_t len = strcspn(s, " ");
        bool optional = s[len - 1] == '?';
        if (s[len - 1] == '*') break; /* stands last: this one and any number more */
        if (!optional && (k >= n_in || !in[k].id)) return false;
        s += len;
        s += *s == ' ';
    }
    if (!*s) return n_in <= k;
    for (int i = k; i < n_in; i++)
        if (!in[i].id) return false;
    return n_in > k;
}

Value graph_emit(Graph *g, const OpDef *op, const Value *in, int n_in, const Attr *attr, int n_attr)
{
    enum { MAX_PORTS = 64 };
    Type in_type[MAX_PORTS], out_type[MAX_PORTS];
    Error err;
    if (n_in > MAX_PORTS) graph_fail(g, DYN_SHAPE, "%s '%s': more than %d inputs", op->name, g->scope, MAX_PORTS);
    if (g->err.status == DYN_OK && !inputs_fit(op, in, n_in))
        graph_fail(g, DYN_SHAPE, "%s '%s': takes the inputs '%s', got %d, or one of them void", op->name, g->scope,
                   op->in, n_in);
    Node *n = new_node(g, NODE_OP, g->scope, count_inputs(op, n_in), 0);
    if (!n) return (Value) { 0 };
    n->op = op;
    if (!attrs_complete(g, n, op, attr, n_attr)) return (Value) { 0 };
    n->n_out = count_outputs(n);
    if (n->n_out < 1 || n->n_out > MAX_PORTS) {
        graph_fail(g, DYN_SHAPE, "%s '%s': %d outputs", op->name, g->scope, n->n_out);
        return (Value) { 0 };
    }
    for (int i = 0; i < n->n_in; i++) { /* optional ones that were left out at the end are void, too */
        if (i < n_in) n->in[i] = in[i];
        in_type[i] = n->in[i].id ? g->value[n->in[i].id].type : (Type) { .shape.rank = -1 };
    }
    if (node_infer(g, n, &g->nominal, in_type, out_type, &err) != DYN_OK) {
        g->err = err;
        return (Value) { 0 };
    }
    return append(g, n, out_type);
}

Value graph_copy(Graph *g, const Node *n, const Value *in)
{
    Origin origin = g->origin;
    const char *scope = g->scope;
    Value v;
    g->origin = n->origin;
    if (n->kind == NODE_INPUT)
        v = graph_input(g, n->name, n->leaf);
    else if (n->kind == NODE_CONST)
        v = graph_const(g, n->leaf, n->data);
    else if (n->kind == NODE_PARAM)
        v = graph_param_leaf(g, n->param);
    else {
        const char *name = arena_strdup(g->a, n->name);
        if (name) g->scope = name;
        v = graph_emit(g, n->op, in, n->n_in, n->attr, n->n_attr);
    }
    g->origin = origin;
    g->scope = scope;
    return v;
}

void graph_output(Graph *g, const char *name, Value v)
{
    if (g->err.status != DYN_OK || !v.id) return;
    const char *copy = arena_strdup(g->a, name);
    if (!copy || !arena_grow(g->a, &g->output, g->n_output, &g->cap_output, sizeof *g->output))
        graph_fail(g, DYN_NOMEM, "out of memory");
    else
        g->output[g->n_output++] = (NamedValue) { copy, v };
}

int graph_n_nodes(const Graph *g)
{
    return (int)g->n_node;
}

const Node *graph_node(const Graph *g, int i)
{
    return g->node[i];
}

int graph_n_values(const Graph *g)
{
    return (int)g->n_value - 1;
}

const Node *value_node(const Graph *g, Value v)
{
    return g->node[g->value[v.id].node];
}

int value_index(const Graph *g, Value v)
{
    return g->value[v.id].index;
}

const Type *value_type(const Graph *g, Value v)
{
    return &g->value[v.id].type;
}

int64_t value_dim(const Graph *g, Value v, int d)
{
    const Shape *s = &g->value[v.id].type.shape;
    return v.id && d < s->rank ? s->dim[d] : 0;
}

int graph_n_params(const Graph *g)
{
    return (int)g->n_param;
}

ParamSpec *graph_param_spec(const Graph *g, int i)
{
    return g->param[i];
}

int graph_find_param(const Graph *g, const char *name)
{
    return g->n_slot ? *param_slot(g, name) - 1 : -1;
}

int graph_n_outputs(const Graph *g)
{
    return (int)g->n_output;
}

const char *graph_output_name(const Graph *g, int i)
{
    return g->output[i].name;
}

Value graph_output_value(const Graph *g, int i)
{
    return g->output[i].v;
}

Value graph_find_output(const Graph *g, const char *name)
{
    for (size_t i = 0; i < g->n_output; i++)
        if (str_eq(g->output[i].name, name)) return g->output[i].v;
    return (Value) { 0 };
}
