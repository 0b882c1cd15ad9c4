/* SPDX-License-Identifier: Apache-2.0
 *
 * v8_loss and its gradient. The class term runs over all logits in vector code, as if every anchor were background, and
 * is corrected at the few that are not; box terms exist for those alone and use the plain reference's functions. Work
 * is cut into fixed runs of pixels whose sums are added in order: any number of threads gives the same bits. */
#include "backend/cpu/cpu.h"
#include "ops/v8_util.h"

#include <math.h>

enum { RUN = 256 }; /* pixels that are one item of work */

typedef struct State {
    const Isa *isa;
    const Node *node;
    int threads;
    int64_t runs;
} State;

/* A run: pixels [lo, hi) of one level, counted over images. */
typedef struct Item {
    int level;
    int64_t lo, hi;
} Item;

static int64_t level_runs(int64_t pixels)
{
    return (pixels + RUN - 1) / RUN;
}

static Item item_at(const V8Layout *q, int64_t i)
{
    for (int l = 0;; l++) {
        int64_t pixels = q->N * q->level[l].h * q->level[l].w, runs = level_runs(pixels);
        if (i < runs) return (Item) { l, i * RUN, MIN((i + 1) * RUN, pixels) };
        i -= runs;
    }
}

static Block pixels_at(const Tensor *t, int64_t pixel)
{
    return (Block) { (char *)t->data + (size_t)(pixel * t->stride[3]) * dtype_bytes(t->dtype), t->stride[3], t->dtype,
                     false };
}

/* Pixel of a level as image, anchor, and place in the assignment's arrays. */
static int64_t place_of(const V8Layout *q, int level, int64_t pixel, int64_t *image, V8Anchor *at)
{
    const V8Level *l = &q->level[level];
    int64_t cell = pixel % (l->h * l->w);
    *image = pixel / (l->h * l->w);
    *at = v8_anchor(q, l->first + cell);
    return *image * q->A + l->first + cell;
}

static const float *class_weight_of(const State *s, const KernelArgs *a)
{
    const Tensor *t = v8_class_weight(s->node, a->in);
    return t ? t->data : NULL;
}

static void run_item(const State *s, const V8Layout *q, const KernelArgs *a, Item it, double sum[3])
{
    const Tensor *assigned = &a->in[2 * q->n_level], *cls = &a->in[q->n_level + it.level];
    const float *weight = assigned[2].data, *class_weight = class_weight_of(s, a);
    const int32_t *class = assigned[1].data;
    sum[0] = sum[2] = 0;
    sum[1] = s->isa->softplus_sum(pixels_at(cls, it.lo), class_weight, it.hi - it.lo, q->nc);
    for (int64_t p = it.lo; p < it.hi; p++) {
        int64_t image;
        V8Anchor at;
        int64_t i = place_of(q, it.level, p, &image, &at);
        if (!(weight[i] > 0)) continue;
        V8Goal g = v8_goal(assigned, q, i, &at);
        v8_box_terms(&a->in[it.level], q, image, &at, &g, &sum[0], &sum[2]);
        if (class[i] < 0 || class[i] >= q->nc) continue;
        double one = load4(cls, image, class[i], at.y, at.x) * g.weight;
        sum[1] -= class_weight ? (double)class_weight[class[i]] * one : one;
    }
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    V8Layout q = v8_layout(s->node, a->in);
    double(*sum)[3] = a->scratch, total[3] = { 0 };
    const char *const gain[3] = { "box", "cls", "dfl" };
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int64_t i = 0; i < s->runs; i++)
        run_item(s, &q, a, item_at(&q, i), sum[i]);
    float *loss = a->out[0].data, *items = a->out[1].data, scores = *(const float *)a->in[2 * q.n_level + 3].data;
    double all = 0;
    for (int64_t i = 0; i < s->runs; i++)
        for (int c = 0; c < 3; c++)
            total[c] += sum[i][c];
    for (int c = 0; c < 3; c++) {
        total[c] *= attr_float(s->node, gain[c]) / (double)scores;
        all += total[c];
        items[c] = (float)total[c];
    }
    loss[0] = (float)(all * (double)q.N);
    return DYN_OK;
}

static void grad_item(const State *s, const V8Layout *q, const KernelArgs *a, Item it)
{
    const Tensor *assigned = &a->in[2 * q->n_level], *box = &a->in[it.level], *cls = &a->in[q->n_level + it.level];
    Tensor *dbox = &a->out[it.level], *dcls = &a->out[q->n_level + it.level];
    const float *weight = assigned[2].data, *class_weight = class_weight_of(s, a);
    const int32_t *class = assigned[1].data;
    double dy = (double)*(const float *)a->in[s->node->n_in - 1].data,
           scale = dy * (double)q->N / (double)*(const float *)assigned[3].data;
    double cls_scale = scale * attr_float(s->node, "cls"), dz[4 * V8_MAX_BINS];
    s->isa->sigmoid_times((float)cls_scale, class_weight, pixels_at(cls, it.lo), pixels_at(dcls, it.lo), it.hi - it.lo,
                          q->nc);
    for (int64_t p = it.lo; p < it.hi; p++) {
        int64_t image;
        V8Anchor at;
        int64_t i = place_of(q, it.level, p, &image, &at);
        memset((void *)pixels_at(dbox, p).data, 0, 4 * (size_t)q->bins * dtype_bytes(dbox->dtype));
        if (!(weight[i] > 0)) continue;
        V8Goal g = v8_goal(assigned, q, i, &at);
        v8_box_gradient(box, q, image, &at, &g, scale * attr_float(s->node, "box"), scale * attr_float(s->node, "dfl"),
                        dz);
        for (int c = 0; c < 4 * q->bins; c++)
            store4(dbox, image, c, at.y, at.x, dz[c]);
        if (class[i] < 0 || class[i] >= q->nc) continue;
        double z = load4(cls, image, class[i], at.y, at.x), w = class_weight ? (double)class_weight[class[i]] : 1;
        store4(dcls, image, class[i], at.y, at.x, cls_scale * w * (1 / (1 + exp(-z)) - g.weight));
    }
}

static Status run_grad(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    V8Layout q = v8_layout(s->node, a->in);
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int64_t i = 0; i < s->runs; i++)
        grad_item(s, &q, a, item_at(&q, i));
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    double stride[V8_MAX_LEVELS];
    State s = { .isa = cpu->isa, .node = p->node };
    bool grad = str_eq(p->node->op->name, "v8_loss_grad");
    int levels = v8_strides(p->node, stride), maps = 2 * levels;
    int64_t logits = 0;
    for (int i = 0; i < maps; i++) {
        if (!is_float(&p->in[i]) || !is_image(&p->in[i])) return decline(why, n, "not images of f32 or bf16");
        logits += shape_count(&p->in[i].shape);
    }
    for (int i = maps; i < p->node->n_in; i++)
        if (p->in[i].dtype != (i == maps + 1 ? I32 : F32)) return decline(why, n, "an assignment or dy other than f32");
    for (int i = 0; i < levels; i++)
        s.runs += level_runs(p->in[i].shape.dim[0] * p->in[i].shape.dim[2] * p->in[i].shape.dim[3]);
    s.threads = threads_for(p->threads, logits);
    if (!accept(k, cpu, &s, sizeof s, grad ? run_grad : run, why, n)) return false;
    k->scratch_bytes = grad ? 0 : (size_t)s.runs * 3 * sizeof(double);
    k->strided_in = ((uint64_t)1 << maps) - 1;
    k->strided_out = grad ? k->strided_in : 0;
    return true;
}

const CpuKernel cpu_v8_loss = {
    .name = "v8_loss", .ops = "v8_loss v8_loss_grad", .priority = PRIORITY_OWN, .claim = claim
};
