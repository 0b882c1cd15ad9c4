/* SPDX-License-Identifier: Apache-2.0
 *
 * The loss on a model's raw maps, as nodes; and which parameters take part. */
#include "ops/ops.h"
#include "train/train.h"

#include <math.h>

/* Every node of src again in dst; map[value id] is where it went. */
static Status copy_nodes(const Graph *src, Graph *dst, Value *map, Error *err)
{
    enum { MAX_IN = 64 };
    for (int i = 0; i < graph_n_nodes(src) && graph_status(dst, err) == DYN_OK; i++) {
        const Node *n = graph_node(src, i);
        Value in[MAX_IN];
        for (int k = 0; k < n->n_in; k++)
            in[k] = map[n->in[k].id];
        Value out = graph_copy(dst, n, n->kind == NODE_OP ? in : NULL);
        for (int k = 0; k < n->n_out; k++)
            map[n->out.id + k] = value_at(out, k);
    }
    return graph_status(dst, err);
}

static void append_loss(const Model *m, LossGain gain, Graph *g, const Value *map)
{
    Value in[2 * MAX_LEVELS + 5];
    char strides[16 * MAX_LEVELS] = "";
    int n = m->n_level;
    for (int i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "box%d", i);
        in[i] = map[graph_find_output(m->g, name).id];
        snprintf(name, sizeof name, "cls%d", i);
        in[n + i] = map[graph_find_output(m->g, name).id];
        if (!in[i].id || !in[n + i].id) {
            graph_fail(g, DYN_UNSUPPORTED, "%s has no raw box and class maps to train", m->title);
            return;
        }
        size_t at = strlen(strides);
        snprintf(strides + at, sizeof strides - at, "%s%lld", i ? "," : "", (long long)m->stride[i]);
    }
    in[2 * n] = graph_input(g, "targets", (Type) { .dtype = F32, .shape = SHAPE(DIM_TARGETS, 6) });
    in[2 * n + 1] = graph_input(g, "n_targets", (Type) { .dtype = I32, .shape = SHAPE(1) });
    Attr reg_max = A_INT("reg_max", m->reg_max), stride = A_TEXT("strides", strides);
    const char *old = graph_push(g, "loss");
    Value assigned = EMIT(g, v8_assign, in, 2 * n + 2, ATTRS(reg_max, stride));
    for (int i = 0; i < 4; i++)
        in[2 * n + i] = value_at(assigned, i);
    Type classes = { .dtype = F32, .shape = SHAPE(m->nc) };
    if (gain.class_weight) in[2 * n + 4] = graph_const(g, classes, gain.class_weight);
    Value loss =
        EMIT(g, v8_loss, in, 2 * n + (gain.class_weight ? 5 : 4),
             ATTRS(reg_max, stride, A_FLOAT("box", gain.box), A_FLOAT("cls", gain.cls), A_FLOAT("dfl", gain.dfl)));
    graph_pop(g, old);
    graph_output(g, "loss", loss);
    graph_output(g, "items", value_at(loss, 1));
}

Status train_loss_graph(const Model *m, LossGain gain, bool keep_outputs, Graph **out, Error *err)
{
    Graph *g;
    Arena *a = arena_new();
    Value *map = a ? ARENA_ARRAY(a, Value, graph_n_values(m->g) + 1) : NULL;
    Status s = map ? graph_new_like(m->g, &g, err) : fail_nomem(err, 1);
    if (s == DYN_OK) {
        s = copy_nodes(m->g, g, map, err);
        for (int i = 0; s == DYN_OK && keep_outputs && i < graph_n_outputs(m->g); i++)
            graph_output(g, graph_output_name(m->g, i), map[graph_output_value(m->g, i).id]);
        if (s == DYN_OK) append_loss(m, gain, g, map);
        if (s == DYN_OK) s = graph_status(g, err);
        if (s == DYN_OK)
            *out = g;
        else
            graph_free(&g);
    }
    if (a) arena_free(&a);
    return s;
}

void train_class_weights(const int64_t *count, int64_t nc, double power, float *weight)
{
    double sum = 0;
    for (int64_t k = 0; k < nc; k++)
        sum += pow((double)MAX(count[k], (int64_t)1), -power);
    for (int64_t k = 0; k < nc; k++)
        weight[k] = (float)(pow((double)MAX(count[k], (int64_t)1), -power) * (double)nc / sum);
}

int train_freeze(Model *m, const int64_t *row, size_t n)
{
    int frozen = 0;
    for (int i = 0; i < graph_n_params(m->g); i++) {
        ParamSpec *p = graph_param_spec(m->g, i);
        if (p->kind != PARAM_WEIGHT && p->kind != PARAM_NORM && p->kind != PARAM_BIAS) continue;
        p->trainable = true;
        for (size_t k = 0; k < n; k++) {
            char prefix[32];
            snprintf(prefix, sizeof prefix, "model.%lld.", (long long)row[k]);
            if (str_starts(p->name, prefix)) p->trainable = false;
        }
        frozen += !p->trainable;
    }
    return frozen;
}
