/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a program: addresses, loading of constants, the walk over the steps. */
#include "backend/program_impl.h"
#include "base/flush.h"

static void *base_address(const Program *p, Place q)
{
    const Graph *g = p->spec.graph;
    switch (q.base) {
    case BASE_SLAB: return p->share->slab + p->buffer[q.index].offset;
    case BASE_CONST: return p->constant[q.index].entry->data;
    case BASE_PARAM: return p->spec.params->data + graph_param_spec(g, q.index)->offset;
    case BASE_GRAD: return p->spec.grads->data + graph_param_spec(g, q.index)->offset;
    case BASE_INPUT: return p->input[q.index].bound ? p->input[q.index].bound : p->input[q.index].own;
    case BASE_NONE: break;
    }
    return NULL;
}

static Tensor port_tensor(const Program *p, const Port *port)
{
    char *at = base_address(p, port->place);
    Tensor t;
    if (port->type.shape.rank < 0) return (Tensor) { 0 };
    t = tensor_view(at, &port->type);
    if (port->place.channels) { /* a channel range: pixels lie `channels` apart */
        t.stride[3] = port->place.channels;
        t.stride[2] = t.stride[3] * t.dim[3];
        t.stride[0] = t.stride[2] * t.dim[2];
        t.data = at ? at + (size_t)port->place.channel * dtype_bytes(t.dtype) : NULL;
    }
    return t;
}

void program_link(Program *p)
{
    for (size_t i = 0; i < p->n_step; i++) {
        Step *s = &p->step[i];
        for (int k = 0; k < s->node->n_in; k++)
            s->tin[k] = port_tensor(p, &s->in[k]);
        for (int k = 0; k < s->node->n_out; k++)
            s->tout[k] = port_tensor(p, &s->out[k]);
    }
    p->linked = p->share->slab;
}

/* The slab moves when a larger program joins the share. */
static void link_again(Program *p)
{
    if (p->linked != p->share->slab) program_link(p);
}

/* Of a buffer; NULL for none. */
static void *buffer_address(const Program *p, int buffer)
{
    return buffer >= 0 ? p->share->slab + p->buffer[buffer].offset : NULL;
}

static KernelArgs step_args(const Program *p, const Step *s)
{
    return (KernelArgs) { .in = s->tin,
                          .out = s->tout,
                          .scratch = buffer_address(p, s->scratch),
                          .packed = s->packed ? s->packed->data : NULL,
                          .moments_in = buffer_address(p, s->moments_in),
                          .moments_out = buffer_address(p, s->moments_out) };
}

static Status own_inputs(Program *p, Error *err)
{
    for (size_t i = 0; i < p->n_input; i++) {
        ProgramInput *in = &p->input[i];
        if (in->own || in->bound) continue;
        if (!(in->own = p->spec.backend->def->alloc(p->spec.backend, type_bytes(&in->type))))
            return fail_nomem(err, type_bytes(&in->type));
        memset(in->own, 0, type_bytes(&in->type));
    }
    return DYN_OK;
}

/* A constant step whose results the share has already. */
static bool is_known(const Program *p, const Step *s)
{
    for (int k = 0; k < s->node->n_out; k++)
        if (!share_fresh(p->share, p->constant[s->out[k].place.index].entry)) return false;
    return true;
}

static Status load_step(Program *p, Step *s, Error *err)
{
    KernelArgs args = step_args(p, s);
    if (s->constant && is_known(p, s)) return DYN_OK;
    if (s->packed && !share_fresh(p->share, s->packed)) {
        TRY(s->kernel.pack(&s->kernel, &args, err));
        s->packed->version = p->share->version;
    }
    if (!s->constant) return DYN_OK;
    TRY(s->kernel.run(&s->kernel, &args, err));
    for (int k = 0; k < s->node->n_out; k++)
        p->constant[s->out[k].place.index].entry->version = p->share->version;
    return DYN_OK;
}

Status program_load(Program *p, Error *err)
{
    TRY(own_inputs(p, err));
    program_link(p);
    if (p->own_share) share_renew(p->share);
    for (size_t i = 0; i < p->n_step; i++)
        if (load_step(p, &p->step[i], err) != DYN_OK)
            return fail_in(err, "%s '%s'", p->step[i].node->op->name, p->step[i].node->name);
    return p->spec.backend->def->sync(p->spec.backend, err);
}

static Status run_step(Program *p, Step *s, Error *err)
{
    KernelArgs args = step_args(p, s);
    Status st = s->kernel.run(&s->kernel, &args, err);
    return st == DYN_OK ? st : fail_in(err, "%s '%s'", s->node->op->name, s->node->name);
}

static Status run_steps(Program *p, bool timed, Error *err)
{
    Backend *b = p->spec.backend;
    link_again(p);
    for (size_t i = 0; i < p->n_step; i++) {
        Step *s = &p->step[i];
        if (s->constant) continue;
        double start = timed ? clock_ms() : 0;
        TRY(run_step(p, s, err));
        if (!timed) continue;
        TRY(b->def->sync(b, err));
        s->ms = clock_ms() - start;
    }
    return b->def->sync(b, err);
}

static Status run_flushed(Program *p, bool timed, Error *err)
{
    unsigned before = flush_begin(p->spec.backend->threads);
    Status s = run_steps(p, timed, err);
    flush_end(p->spec.backend->threads, before);
    return s;
}

Status program_run(Program *p, Error *err)
{
    return run_flushed(p, false, err);
}

Status program_run_timed(Program *p, Error *err)
{
    return run_flushed(p, true, err);
}

void program_set_params(Program *p, const Slab *params)
{
    p->spec.params = params;
    p->linked = NULL;
}

static ProgramInput *find_input(const Program *p, const char *name)
{
    for (size_t i = 0; i < p->n_input; i++)
        if (str_eq(p->input[i].name, name)) return &p->input[i];
    return NULL;
}

Tensor program_input(const Program *p, const char *name)
{
    const ProgramInput *in = find_input(p, name);
    return in ? tensor_view(in->bound ? in->bound : in->own, &in->type) : (Tensor) { 0 };
}

void program_bind_input(Program *p, const char *name, void *data)
{
    ProgramInput *in = find_input(p, name);
    if (!in || in->bound == data) return;
    in->bound = data;
    p->linked = NULL;
}

Tensor program_output(const Program *p, const char *name)
{
    Value v = graph_find_output(p->spec.graph, name);
    return v.id ? port_tensor(p, &(Port) { p->place[v.id], p->types[v.id] }) : (Tensor) { 0 };
}

ProgramStats program_stats(const Program *p)
{
    ProgramStats s = { .slab_bytes = p->plan.bytes,
                       .unshared_bytes = p->plan.unshared,
                       .n_steps = (int)p->n_step,
                       .peak_step = p->plan.peak_step };
    for (size_t i = 0; i < p->n_constant; i++)
        s.const_bytes += p->constant[i].entry->bytes;
    for (size_t i = 0; i < p->n_step; i++)
        s.const_bytes += p->step[i].packed ? p->step[i].packed->bytes : 0;
    s.peak_node = p->n_step ? p->step[p->plan.peak_step].node->name : "";
    return s;
}

int program_n_steps(const Program *p)
{
    return (int)p->n_step;
}

StepInfo program_step(const Program *p, int i)
{
    const Step *s = &p->step[i];
    Type in[MAX_PORTS], out[MAX_PORTS];
    StepInfo info = { .node = s->inserted ? NULL : s->node, .impl = s->kernel.impl, .ms = s->ms };
    info.gives_moments = s->kernel.gives_moments;
    for (int k = 0; k < s->node->n_in; k++) {
        in[k] = s->in[k].type;
        if (in[k].shape.rank >= 0 && !(s->node->op->shape_only >> MIN(k, 31) & 1)) info.bytes_in += type_bytes(&in[k]);
    }
    for (int k = 0; k < s->node->n_out; k++) {
        out[k] = s->out[k].type;
        info.bytes_out += type_bytes(&out[k]);
    }
    if (!s->constant && s->node->op->cost) info.cost = s->node->op->cost(s->node, in, out);
    return info;
}
