/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiling a program: types, constants, memory layout, a kernel for each node, copies where a kernel wants dense
 * memory, and one plan for all of it. Everything is decided here; program_run only walks the steps. */
#include "backend/program_impl.h"
#include "backend/ref.h"
#include "ops/ops.h"

typedef struct Compiler {
    Program *p;
    const Graph *g;
    bool *is_const;  /* by value id */
    bool *is_output; /* by value id */
    int *last_use;   /* by value id: id of the last node that reads it */
    Place *dense;    /* by value id: a dense copy of a channel range, once one exists */
    bool *wanted;    /* by value id: its moments are (backend.h) */
    int *moments;    /* by value id: the buffer that they are written to, -1 for none */
    Error *err;
} Compiler;

static bool wants_moments(const Node *n)
{
    return n->kind == NODE_OP && n->op == &op_batchnorm && attr_int(n, "train");
}

/* A value is constant when everything that it is computed from is: known at load time. */
static void find_constants(Compiler *c)
{
    for (int i = 0; i < graph_n_nodes(c->g); i++) {
        const Node *n = graph_node(c->g, i);
        bool constant = n->kind == NODE_CONST || (n->kind == NODE_PARAM && c->p->spec.fold);
        if (n->kind == NODE_OP) {
            constant = !n->op->updates && n->n_in > 0;
            for (int k = 0; k < n->n_in; k++)
                constant &= !n->in[k].id || c->is_const[n->in[k].id];
        }
        for (int k = 0; k < n->n_out; k++)
            c->is_const[n->out.id + k] = constant;
        for (int k = 0; k < n->n_in; k++)
            c->last_use[n->in[k].id] = i;
        if (wants_moments(n)) c->wanted[n->in[0].id] = true;
    }
    for (int v = 0; v <= graph_n_values(c->g); v++)
        c->moments[v] = -1;
    for (int i = 0; i < graph_n_outputs(c->g); i++)
        c->is_output[graph_output_value(c->g, i).id] = true;
}

static Step *new_step(Compiler *c, const Node *n, const Node *cause)
{
    Program *p = c->p;
    if (!arena_grow(p->a, &p->step, p->n_step, &p->cap_step, sizeof *p->step)) return NULL;
    Step *s = &p->step[p->n_step];
    *s = (Step) { .node = n, .cause = cause, .scratch = -1, .moments_in = -1, .moments_out = -1 };
    s->in_const = ARENA_ARRAY(p->a, bool, n->n_in + 1);
    s->in = ARENA_ARRAY(p->a, Port, n->n_in + 1);
    s->out = ARENA_ARRAY(p->a, Port, n->n_out + 1);
    s->tin = ARENA_ARRAY(p->a, Tensor, n->n_in + 1);
    s->tout = ARENA_ARRAY(p->a, Tensor, n->n_out + 1);
    if (!s->in_const || !s->in || !s->out || !s->tin || !s->tout) return NULL;
    p->n_step++;
    return s;
}

/* The backend's kernel, else the reference on the host. */
static void choose_kernel(Compiler *c, Step *s)
{
    Backend *b = c->p->spec.backend;
    Type in[MAX_PORTS], out[MAX_PORTS];
    char why[256] = "";
    for (int k = 0; k < s->node->n_in; k++)
        in[k] = s->in[k].type;
    for (int k = 0; k < s->node->n_out; k++)
        out[k] = s->out[k].type;
    KernelPlan plan = { .node = s->node,
                        .in = in,
                        .out = out,
                        .in_const = s->in_const,
                        .threads = b->threads,
                        .backend = b,
                        .moments_wanted = !s->inserted && !s->constant && c->wanted[s->node->out.id] };
    if (b->def->claim(b, &plan, &s->kernel, why, sizeof why)) return;
    if (!s->constant)
        log_debug(b->log, "no fast kernel for %s '%s' (%s): the plain reference runs", s->node->op->name, s->node->name,
                  why);
    ref_kernel(&plan, &s->kernel);
}

/* Room for what the kernel packs: the form is its own, and the types of what goes in. */
static Status take_packed(Compiler *c, Step *s)
{
    char *form = s->kernel.packed_form;
    for (int k = 0; *form && k < s->node->n_in; k++) {
        char shape[128];
        const Type *t = &s->in[k].type;
        if (s->in_const[k])
            form = arena_printf(c->p->a, "%s %s%s", form, dtype_name(t->dtype), shape_text(&t->shape, shape, 128));
        if (!form) return fail_nomem(c->err, PACKED_FORM);
    }
    return share_take(c->p->share, s->node->out.id, form, s->kernel.packed_bytes, &s->packed, c->err);
}

static Status book_memory(Compiler *c, Step *s)
{
    if (s->kernel.packed_bytes) TRY(take_packed(c, s));
    if (s->kernel.scratch_bytes && (s->scratch = program_new_buffer(c->p, s->kernel.scratch_bytes)) < 0)
        return fail_nomem(c->err, sizeof(PlanBuffer));
    if (!s->kernel.gives_moments) return DYN_OK;
    size_t channels = (size_t)s->out[0].type.shape.dim[1];
    s->moments_out = program_new_buffer(c->p, 2 * channels * sizeof(double));
    c->moments[s->node->out.id] = s->moments_out;
    return s->moments_out < 0 ? fail_nomem(c->err, sizeof(PlanBuffer)) : DYN_OK;
}

/* A step that copies between places; the node is the program's own. */
static Status insert_copy(Compiler *c, const Node *cause, const Type *t, Place from, Place to)
{
    Node *n = ARENA_NEW(c->p->a, Node);
    Value *in = ARENA_NEW(c->p->a, Value);
    if (!n || !in) return fail_nomem(c->err, sizeof *n);
    *n = (Node) {
        .kind = NODE_OP, .op = &op_copy, .n_in = 1, .n_out = 1, .in = in, .name = cause->name, .origin = cause->origin
    };
    Step *s = new_step(c, n, cause);
    if (!s) return fail_nomem(c->err, sizeof *s);
    s->inserted = true;
    s->in[0] = (Port) { from, *t };
    s->out[0] = (Port) { to, *t };
    choose_kernel(c, s);
    return book_memory(c, s);
}

static Status new_dense(Compiler *c, int v, Place *out)
{
    int b = program_new_buffer(c->p, type_bytes(&c->p->types[v]));
    *out = (Place) { BASE_SLAB, b, 0, 0 };
    return b < 0 ? fail_nomem(c->err, sizeof(PlanBuffer)) : DYN_OK;
}

static bool is_range(Place q)
{
    return q.channels != 0;
}

/* Concat along channels: inputs that do not lie in the result already are copied there. */
static Status gather(Compiler *c, const Node *n)
{
    Place out = c->p->place[n->out.id];
    int64_t at = out.channel, width = out.channels ? out.channels : c->p->types[n->out.id].shape.dim[1];
    for (int i = 0; i < n->n_in; i++) {
        int v = n->in[i].id;
        Place to = { out.base, out.index, at, width }, from = c->p->place[v];
        bool there = from.base == to.base && from.index == to.index && from.channel == to.channel;
        if (!there) TRY(insert_copy(c, n, &c->p->types[v], from, to));
        at += c->p->types[v].shape.dim[1];
    }
    return DYN_OK;
}

/* Lies in its input's memory, so there is nothing to compute. */
static bool is_view(const Compiler *c, const Node *n)
{
    Place out = c->p->place[n->out.id], in = c->p->place[n->in[0].id];
    return n->op->view && n->in[0].id && out.base == in.base && out.index == in.index;
}

static bool is_image_gather(const Compiler *c, const Node *n)
{
    const Type *t = &c->p->types[n->out.id];
    return (n->op->flags & OP_GATHER) && attr_int(n, "dim") == 1 && t->shape.rank == 4 && !t->rowmajor;
}

/* Output 0 takes over input 0's buffer when that value ends here and the operator allows it. */
static void share_in_place(Compiler *c, const Node *n)
{
    Program *p = c->p;
    int v = n->in[0].id, w = n->out.id;
    if (!(n->op->flags & OP_INPLACE) || !v || c->last_use[v] != n->id || c->is_output[v]) return;
    for (int k = 1; k < n->n_in; k++)
        if (n->in[k].id == v) return;
    Place from = p->place[v], to = p->place[w];
    if (from.base != BASE_SLAB || to.base != BASE_SLAB || is_range(from) || is_range(to)) return;
    if (p->types[v].dtype != p->types[w].dtype || p->types[v].rowmajor != p->types[w].rowmajor ||
        !shape_eq(&p->types[v].shape, &p->types[w].shape))
        return;
    for (int u = 1; u <= graph_n_values(c->g); u++) /* ranges that lie in either buffer would be clobbered or lost */
        if (u != v && u != w && p->place[u].base == BASE_SLAB &&
            (p->place[u].index == from.index || p->place[u].index == to.index))
            return;
    p->place[w] = from;
}

static Status compile_node(Compiler *c, const Node *n)
{
    Program *p = c->p;
    bool constant = c->is_const[n->out.id];
    if (!constant && is_view(c, n)) return DYN_OK;
    if (!constant && is_image_gather(c, n)) return gather(c, n);
    if (!constant) share_in_place(c, n);
    Step *s = new_step(c, n, n), saved;
    if (!s) return fail_nomem(c->err, sizeof *s);
    s->constant = constant;
    for (int k = 0; k < n->n_in; k++) {
        int v = n->in[k].id;
        s->in[k].type = v ? p->types[v] : (Type) { .shape.rank = -1 };
        if (v) s->in[k].place = p->place[v];
        s->in_const[k] = v && c->is_const[v];
    }
    for (int k = 0; k < n->n_out; k++)
        s->out[k] = (Port) { p->place[n->out.id + k], p->types[n->out.id + k] };
    if (wants_moments(n)) s->moments_in = c->moments[n->in[0].id];
    choose_kernel(c, s);
    TRY(book_memory(c, s));
    /* The step comes after the copies that make its inputs dense. */
    saved = *s;
    p->n_step--;
    for (int k = 0; k < n->n_in; k++) {
        int v = n->in[k].id;
        if (!v || !is_range(saved.in[k].place) || (saved.kernel.strided_in >> k & 1) || (n->op->shape_only >> k & 1))
            continue;
        if (c->dense[v].base == BASE_NONE) {
            TRY(new_dense(c, v, &c->dense[v]));
            TRY(insert_copy(c, n, &p->types[v], p->place[v], c->dense[v]));
        }
        saved.in[k].place = c->dense[v];
    }
    for (int k = 0; k < n->n_out; k++)
        if (is_range(saved.out[k].place) && !(saved.kernel.strided_out >> k & 1)) {
            TRY(new_dense(c, n->out.id + k, &c->dense[n->out.id + k]));
            saved.out[k].place = c->dense[n->out.id + k];
        }
    if (!arena_grow(p->a, &p->step, p->n_step, &p->cap_step, sizeof *p->step)) return fail_nomem(c->err, sizeof *s);
    p->step[p->n_step++] = saved;
    for (int k = 0; k < n->n_out; k++)
        if (saved.out[k].place.index != p->place[n->out.id + k].index ||
            saved.out[k].place.base != p->place[n->out.id + k].base)
            TRY(insert_copy(c, n, &p->types[n->out.id + k], saved.out[k].place, p->place[n->out.id + k]));
    return DYN_OK;
}

/* Outputs "grad:A" and "grad:B" that are one value: only the first lies in the gradient slab, the rest are copied. */
static Status copy_shared_grads(Compiler *c)
{
    Program *p = c->p;
    for (int i = 0; p->spec.grads && i < graph_n_outputs(c->g); i++) {
        const char *name = graph_output_name(c->g, i);
        Value v = graph_output_value(c->g, i);
        int param = str_starts(name, "grad:") ? graph_find_param(c->g, name + 5) : -1;
        Place to = { BASE_GRAD, param, 0, 0 }, from = p->place[v.id];
        if (param < 0 || (from.base == BASE_GRAD && from.index == param)) continue;
        TRY(insert_copy(c, value_node(c->g, v), &p->types[v.id], from, to));
    }
    return DYN_OK;
}

static void touch(Program *p, Place q, int step)
{
    if (q.base != BASE_SLAB || q.index < 0) return;
    PlanBuffer *b = &p->buffer[q.index];
    b->first = MIN(b->first, step);
    b->last = MAX(b->last, step);
}

static Status plan_memory(Compiler *c)
{
    Program *p = c->p;
    int n = (int)p->n_step;
    for (int i = 0; i < n; i++) {
        Step *s = &p->step[i];
        for (int k = 0; k < s->node->n_in; k++)
            if (!(s->node->op->shape_only >> MIN(k, 31) & 1)) touch(p, s->in[k].place, i);
        for (int k = 0; k < s->node->n_out; k++)
            touch(p, s->out[k].place, i);
        touch(p, (Place) { BASE_SLAB, s->scratch, 0, 0 }, i);
        touch(p, (Place) { BASE_SLAB, s->moments_in, 0, 0 }, i);
        touch(p, (Place) { BASE_SLAB, s->moments_out, 0, 0 }, i);
    }
    for (int v = 1; v <= graph_n_values(c->g); v++)
        if (c->is_output[v]) touch(p, p->place[v], n);
    for (size_t i = 0; i < p->n_buffer; i++)
        if (p->buffer[i].last < 0) p->buffer[i] = (PlanBuffer) { .bytes = 0, .first = 0, .last = 0 };
    TRY(plan_buffers(p->buffer, (int)p->n_buffer, n, p->a, &p->plan, c->err));
    if (!share_reserve(p->share, p->plan.bytes))
        return fail(c->err, DYN_NOMEM,
                    "out of memory: the activations want %zu MB (fullest at '%s'); a smaller batch or imgsz wants less",
                    p->plan.bytes >> 20, p->n_step ? p->step[p->plan.peak_step].node->name : "");
    for (size_t i = 0; i < p->n_constant; i++) {
        Constant *k = &p->constant[i];
        const Type *t = &p->types[k->value];
        char form[160], shape[128];
        snprintf(form, sizeof form, "%s%s", dtype_name(t->dtype), shape_text(&t->shape, shape, sizeof shape));
        TRY(share_take(p->share, k->value, form, type_bytes(t), &k->entry, c->err));
        if (!k->given || k->entry->version) continue;
        p->spec.backend->def->upload(p->spec.backend, k->entry->data, k->given, k->entry->bytes);
        k->entry->version = UINT64_MAX; /* no parameter is in it */
    }
    return DYN_OK;
}

static Status compile(Program *p, Error *err)
{
    size_t n = (size_t)graph_n_values(p->spec.graph) + 1;
    Compiler c = { p,
                   p->spec.graph,
                   ARENA_ARRAY(p->a, bool, n),
                   ARENA_ARRAY(p->a, bool, n),
                   ARENA_ARRAY(p->a, int, n),
                   ARENA_ARRAY(p->a, Place, n),
                   ARENA_ARRAY(p->a, bool, n),
                   ARENA_ARRAY(p->a, int, n),
                   err };
    if (!c.is_const || !c.is_output || !c.last_use || !c.dense || !c.wanted || !c.moments) return fail_nomem(err, n);
    TRY(graph_bind(p->spec.graph, &p->spec.bind, p->a, &p->types, err));
    find_constants(&c);
    TRY(program_layout(p, c.is_const, err));
    for (int i = 0; i < graph_n_nodes(p->spec.graph); i++)
        if (graph_node(p->spec.graph, i)->kind == NODE_OP) TRY(compile_node(&c, graph_node(p->spec.graph, i)));
    TRY(copy_shared_grads(&c));
    return plan_memory(&c);
}

/* The share that was given, else one that the program alone holds. */
static Status join_share(Program *p, Error *err)
{
    Share *own = NULL, *s = p->spec.share;
    p->own_share = !s;
    if (!s) TRY(share_new(&own, err));
    Status st = share_hold(s ? s : own, p->spec.graph, p->spec.backend, err);
    if (st == DYN_OK) p->share = s ? s : own;
    share_free(&own);
    return st;
}

Status program_compile(const ProgramSpec *spec, Program **out, Error *err)
{
    Arena *a = arena_new();
    Program *p = a ? ARENA_NEW(a, Program) : NULL;
    if (!p) {
        if (a) arena_free(&a);
        return fail_nomem(err, sizeof *p);
    }
    p->a = a;
    p->spec = *spec;
    Status s = join_share(p, err);
    if (s == DYN_OK) s = compile(p, err);
    if (s != DYN_OK) {
        program_free(&p);
        return s;
    }
    *out = p;
    return DYN_OK;
}

void program_free(Program **pp)
{
    Program *p = *pp;
    if (!p) return;
    Backend *b = p->spec.backend;
    for (size_t i = 0; i < p->n_step; i++) {
        if (p->step[i].kernel.free) p->step[i].kernel.free(&p->step[i].kernel);
        share_give_back(p->share, p->step[i].packed);
    }
    for (size_t i = 0; i < p->n_constant; i++)
        share_give_back(p->share, p->constant[i].entry);
    for (size_t i = 0; i < p->n_input; i++)
        b->def->release(b, p->input[i].own);
    share_free(&p->share);
    Arena *a = p->a;
    arena_free(&a);
    *pp = NULL;
}
