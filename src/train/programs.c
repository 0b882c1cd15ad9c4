/* SPDX-License-Identifier: Apache-2.0 */
#include "train/programs.h"

#include "ops/ops.h"
#include "passes/passes.h"

Status programs_open(TrainPrograms *p, const Model *m, LossGain gain, DType act, Backend *backend, const Slab *params,
                     const Slab *grads, Error *err)
{
    Graph *forward;
    *p = (TrainPrograms) { .backend = backend, .params = params, .grads = grads, .act = act };
    TRY(train_loss_graph(m, gain, false, &forward, err));
    Status s = passes_training(forward, "loss", &p->graph, err);
    graph_free(&forward);
    if (s == DYN_OK) s = share_new(&p->share, err);
    if (s != DYN_OK) programs_close(p);
    return s;
}

void programs_close(TrainPrograms *p)
{
    for (int i = 0; i < MAX_PROGRAMS; i++)
        program_free(&p->cached[i].program);
    share_free(&p->share);
    graph_free(&p->graph);
}

/* The program for this size with room for n targets; a smaller one of the same size, an empty place, or the one that
 * was idle longest makes room for a new one. */
static TrainProgram *place_for(TrainPrograms *p, const TrainBatch *b, bool *fits)
{
    TrainProgram *place = &p->cached[0];
    for (int i = 0; i < MAX_PROGRAMS; i++) {
        TrainProgram *c = &p->cached[i];
        if (c->program && c->bind.batch == b->n && c->bind.height == b->height && c->bind.width == b->width) {
            *fits = c->bind.targets >= b->n_targets;
            return c;
        }
        if (c->used < place->used) place = c;
    }
    *fits = false;
    return place;
}

/* Room for labels grows in powers of two, so that a crowded batch costs a compilation now and then, not each time. */
static int64_t target_room(const TrainBatch *b)
{
    int64_t room = 64;
    while (room < b->n_targets || room < 16 * b->n)
        room *= 2;
    return room;
}

static bool is_single(const Node *n, const Type *x)
{
    const int64_t *d = x->shape.dim;
    return n->op == &op_batchnorm && attr_int(n, "train") && d[0] * (x->shape.rank == 4 ? d[2] * d[3] : 1) == 1;
}

/* One value a channel has no variance (the attention of an ODConv2d in a batch of one): there the operator normalises
 * with the running statistics. Said once. */
static Status tell_single(TrainPrograms *p, const Binding *b, Error *err)
{
    const Node *first = NULL;
    Type *types;
    int count = 0;
    if (b->batch > 1 || p->told_single) return DYN_OK;
    Arena *a = arena_new();
    Status s = a ? graph_bind(p->graph, b, a, &types, err) : fail_nomem(err, 1);
    for (int i = 0; s == DYN_OK && i < graph_n_nodes(p->graph); i++) {
        const Node *n = graph_node(p->graph, i);
        if (n->kind != NODE_OP || !is_single(n, &types[n->in[0].id])) continue;
        if (!count++) first = n;
    }
    if (count) {
        p->told_single = true;
        log_warn(p->backend->log,
                 "a batch of one: '%s' and %d more batch normalisations have one value a channel; they use their "
                 "running statistics and do not update them",
                 first->name, count - 1);
    }
    if (a) arena_free(&a);
    return s;
}

Status programs_for(TrainPrograms *p, const TrainBatch *b, Program **out, Error *err)
{
    bool fits;
    TrainProgram *c = place_for(p, b, &fits);
    if (!fits) {
        program_free(&c->program);
        c->bind = (Binding) {
            .batch = b->n, .height = b->height, .width = b->width, .targets = target_room(b), .act = p->act
        };
        TRY(tell_single(p, &c->bind, err));
        ProgramSpec spec = { .graph = p->graph,
                             .bind = c->bind,
                             .backend = p->backend,
                             .params = p->params,
                             .grads = p->grads,
                             .share = p->share };
        TRY(program_compile(&spec, &c->program, err));
        TRY(program_load(c->program, err));
    }
    c->used = ++p->clock;
    *out = c->program;
    return DYN_OK;
}

static void fill_random(const TrainPrograms *p, Program *program)
{
    for (int i = 0; i < graph_n_nodes(p->graph); i++) {
        const Node *n = graph_node(p->graph, i);
        if (n->kind != NODE_INPUT || !str_starts(n->name, RANDOM_INPUT)) continue;
        Tensor u = program_input(program, n->name);
        for (int64_t k = 0; u.data && k < u.dim[0]; k++) {
            Rng r = rng_at(p->seed, p->step, (uint64_t)k, rng_key(n->name));
            ((float *)u.data)[k] = (float)rng_unit(&r);
        }
    }
}

Status programs_run(TrainPrograms *p, const TrainBatch *b, double items[3], Error *err)
{
    Program *program;
    TRY(programs_for(p, b, &program, err));
    program_bind_input(program, "images", (void *)b->images);
    if (b->n_targets > 0)
        memcpy(program_input(program, "targets").data, b->targets, (size_t)b->n_targets * 6 * sizeof(float));
    *(int32_t *)program_input(program, "n_targets").data = (int32_t)b->n_targets;
    fill_random(p, program);
    TRY(program_run(program, err));
    Tensor t = program_output(program, "items");
    for (int k = 0; k < 3; k++)
        items[k] = dtype_load(t.data, t.dtype, k);
    return DYN_OK;
}
