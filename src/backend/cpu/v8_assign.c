/* SPDX-License-Identifier: Apache-2.0
 *
 * v8_assign: boxes are decoded once in vector code; a target looks only at the anchors inside it, and of those only at
 * the ones whose plain overlap leaves them a chance to be among its ten best (CIoU is at most IoU, a score at most 1).
 * What is left is decided in double as in the plain reference, so that the same boxes give the same assignment. Threads
 * take whole images. */
#include "backend/cpu/cpu.h"
#include "ops/v8_util.h"

#include <math.h>

typedef struct State {
    const Isa *isa;
    const Node *node;
    int threads;
    int64_t topk, A, widest, targets, N;
} State;

/* One image being assigned. row [A]: the target that has an anchor, -1; it becomes the class in the end. */
typedef struct Job {
    const State *s;
    const V8Layout *q;
    const Tensor *in, *targets;
    int64_t used, n;
    float *box[4], *side, *iou;    /* [A] each of box, input pixels; [4 * widest]; [widest] */
    double *most_align, *most_iou; /* [targets] */
    float *target_box, *weight;
    int32_t *row;
} Job;

static size_t round16(int64_t n)
{
    return ((size_t)n + 15) & ~(size_t)15;
}

static size_t job_floats(const State *s)
{
    return 4 * round16(s->A) + round16(4 * s->widest) + round16(s->widest) + 4 * round16(s->targets);
}

static void decode(const Job *j)
{
    for (int l = 0; l < j->q->n_level; l++) {
        const V8Level *level = &j->q->level[l];
        const Tensor *map = &j->in[l];
        float stride = (float)level->stride;
        for (int64_t y = 0; y < level->h; y++) {
            const char *p = (const char *)map->data +
                            (size_t)(j->n * map->stride[0] + y * map->stride[2]) * dtype_bytes(map->dtype);
            int64_t a = level->first + y * level->w;
            j->s->isa->expectation((Block) { p, map->stride[3], map->dtype, false }, j->q->bins, level->w, j->side);
            for (int64_t x = 0; x < level->w; x++, a++) {
                const float *d = j->side + 4 * x;
                j->box[0][a] = ((float)x + 0.5f - d[0]) * stride;
                j->box[1][a] = ((float)y + 0.5f - d[1]) * stride;
                j->box[2][a] = ((float)x + 0.5f + d[2]) * stride;
                j->box[3][a] = ((float)y + 0.5f + d[3]) * stride;
            }
        }
    }
}

static double pair(const Job *j, const V8Target *t, int64_t a, double *align)
{
    V8Anchor at = v8_anchor(j->q, a);
    *align = 0;
    if (!v8_inside(t, &at)) return 0;
    const double box[4] = { j->box[0][a], j->box[1][a], j->box[2][a], j->box[3][a] };
    return v8_align(t, box, load4(&j->in[j->q->n_level + at.level], j->n, t->cls, at.y, at.x), align);
}

/* The best anchors so far, best first; of equals the one with the lower index. */
typedef struct Best {
    int64_t anchor[V8_MAX_TOPK];
    double align[V8_MAX_TOPK];
    int64_t n, room;
    float bar; /* plain overlap that an anchor must exceed */
} Best;

static void offer(Best *b, int64_t anchor, double align)
{
    if (!(align > 0) || (b->n == b->room && !(align > b->align[b->n - 1]))) return;
    int64_t k = b->n < b->room ? b->n++ : b->n - 1;
    for (; k > 0 && align > b->align[k - 1]; k--)
        b->align[k] = b->align[k - 1], b->anchor[k] = b->anchor[k - 1];
    b->align[k] = align, b->anchor[k] = anchor;
    /* a little below what is needed, for the rounding of the vector code */
    if (b->n == b->room) b->bar = (float)(pow(b->align[b->n - 1], 1.0 / 6) * (1 - 1e-4));
}

/* Anchors of one level whose points may lie inside, row by row. */
static void search_level(const Job *j, const V8Target *t, const V8Level *level, Best *best)
{
    const float one[4] = { (float)t->xyxy[0], (float)t->xyxy[1], (float)t->xyxy[2], (float)t->xyxy[3] };
    int64_t x0 = (int64_t)CLAMP(floor(t->xyxy[0] / level->stride - 0.5), 0, (double)level->w);
    int64_t x1 = (int64_t)CLAMP(ceil(t->xyxy[2] / level->stride + 0.5), 0, (double)level->w);
    int64_t y0 = (int64_t)CLAMP(floor(t->xyxy[1] / level->stride - 0.5), 0, (double)level->h);
    int64_t y1 = (int64_t)CLAMP(ceil(t->xyxy[3] / level->stride + 0.5), 0, (double)level->h);
    for (int64_t y = y0; y < y1; y++) {
        int64_t first = level->first + y * level->w + x0;
        const float *const box[4] = { j->box[0] + first, j->box[1] + first, j->box[2] + first, j->box[3] + first };
        j->s->isa->iou_of(box, one, x1 - x0, j->iou);
        for (int64_t i = 0; i < x1 - x0; i++) {
            double align;
            if (!(j->iou[i] > best->bar)) continue;
            pair(j, t, first + i, &align);
            offer(best, first + i, align);
        }
    }
}

static int64_t winner(const Job *j, int64_t a)
{
    int64_t best = -1;
    double most = -1, align;
    for (int64_t g = 0; g < j->used; g++) {
        V8Target t = v8_target(j->targets, j->q, g, j->n);
        double iou = t.here ? pair(j, &t, a, &align) : -1;
        if (iou > most) most = iou, best = g;
    }
    return best;
}

static void give(const Job *j, int64_t g, int64_t a)
{
    j->row[a] = j->row[a] < 0 ? (int32_t)g : (int32_t)winner(j, a);
}

/* Places that no aligned anchor fills go to the lowest anchors that have none; they count when they lie inside. */
static void fill_up(const Job *j, int64_t g, const V8Target *t, const Best *best)
{
    int64_t left = best->room - best->n;
    for (int64_t a = 0; left > 0 && a < j->q->A; a++) {
        bool taken = false;
        for (int64_t k = 0; k < best->n; k++)
            taken |= best->anchor[k] == a;
        if (taken) continue;
        V8Anchor at = v8_anchor(j->q, a);
        if (v8_inside(t, &at)) give(j, g, a);
        left--;
    }
}

static void claim_anchors(const Job *j, int64_t g, const V8Target *t)
{
    Best best = { .room = MIN(j->s->topk, j->q->A) };
    for (int l = 0; l < j->q->n_level; l++)
        search_level(j, t, &j->q->level[l], &best);
    for (int64_t k = 0; k < best.n; k++)
        give(j, g, best.anchor[k]);
    fill_up(j, g, t, &best);
}

/* Scores of the anchors that have a target, then what the caller reads. Returns the sum of the scores. */
static double finish(const Job *j)
{
    double sum = 0, align;
    for (int64_t a = 0; a < j->q->A; a++) {
        int32_t g = j->row[a];
        if (g < 0) continue;
        V8Target t = v8_target(j->targets, j->q, g, j->n);
        double iou = pair(j, &t, a, &align);
        j->most_iou[g] = MAX(j->most_iou[g], iou), j->most_align[g] = MAX(j->most_align[g], align);
    }
    memset(j->weight, 0, (size_t)j->q->A * sizeof *j->weight);
    memset(j->target_box, 0, 4 * (size_t)j->q->A * sizeof *j->target_box);
    for (int64_t a = 0; a < j->q->A; a++) {
        int32_t g = j->row[a];
        if (g < 0) continue;
        V8Target t = v8_target(j->targets, j->q, g, j->n);
        pair(j, &t, a, &align);
        double v = align * j->most_iou[g] / (j->most_align[g] + 1e-9);
        sum += v;
        j->weight[a] = (float)v;
        j->row[a] = (int32_t)t.cls;
        for (int k = 0; k < 4; k++)
            j->target_box[4 * a + k] = (float)t.xyxy[k];
    }
    return sum;
}

static double assign_image(const Job *j)
{
    bool any = false;
    for (int64_t a = 0; a < j->q->A; a++)
        j->row[a] = -1;
    for (int64_t g = 0; g < j->used; g++) {
        V8Target t = v8_target(j->targets, j->q, g, j->n);
        j->most_align[g] = j->most_iou[g] = 0;
        if (!t.valid) continue;
        if (!any) decode(j);
        any = true;
        claim_anchors(j, g, &t);
    }
    return finish(j);
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    V8Layout q = v8_layout(s->node, a->in);
    const Tensor *targets = &a->in[2 * q.n_level];
    int64_t used = CLAMP((int64_t)((const int32_t *)targets[1].data)[0], 0, targets->dim[0]);
    double *sum = a->scratch;
    float *floats = (float *)(sum + round16(q.N));
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi;
        float *at = floats + (size_t)i * job_floats(s);
        Job j = { .s = s, .q = &q, .in = a->in, .targets = targets, .used = used };
        j.most_align = (double *)at, j.most_iou = (double *)at + round16(s->targets);
        at += 4 * round16(s->targets);
        for (int c = 0; c < 4; c++, at += round16(s->A))
            j.box[c] = at;
        j.side = at, j.iou = at + round16(4 * s->widest);
        share(q.N, 1, i, s->threads, &lo, &hi);
        for (j.n = lo; j.n < hi; j.n++) {
            j.target_box = (float *)a->out[0].data + 4 * j.n * q.A;
            j.row = (int32_t *)a->out[1].data + j.n * q.A;
            j.weight = (float *)a->out[2].data + j.n * q.A;
            sum[j.n] = assign_image(&j);
        }
    }
    double total = 0;
    for (int64_t n = 0; n < q.N; n++)
        total += sum[n];
    *(float *)a->out[3].data = (float)MAX(total, 1);
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    State s = { .isa = cpu->isa, .node = p->node, .topk = attr_int(p->node, "topk"), .N = p->in[0].shape.dim[0] };
    int maps = p->node->n_in - 2;
    for (int i = 0; i < maps; i++) {
        if (!is_float(&p->in[i]) || !is_image(&p->in[i])) return decline(why, n, "not images of f32 or bf16");
        s.widest = MAX(s.widest, p->in[i].shape.dim[3]);
    }
    if (p->in[maps].dtype != F32 || p->out[0].dtype != F32) return decline(why, n, "f64");
    s.A = p->out[1].shape.dim[1];
    s.targets = p->in[maps].shape.dim[0];
    s.threads = (int)MIN(p->threads, s.N);
    if (!accept(k, cpu, &s, sizeof s, run, why, n)) return false;
    k->scratch_bytes = round16(s.N) * sizeof(double) + (size_t)s.threads * job_floats(&s) * sizeof(float);
    k->strided_in = ((uint64_t)1 << maps) - 1;
    return true;
}

const CpuKernel cpu_v8_assign = { .name = "v8_assign", .ops = "v8_assign", .priority = PRIORITY_OWN, .claim = claim };
