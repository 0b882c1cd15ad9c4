/* SPDX-License-Identifier: Apache-2.0
 *
 * dynconv2d_dw: all gradients but that of x, streamed over samples (spec D.4, H.3). The gradient of one sample's kernel
 * is the weight gradient of a batch of one, by tiles (conv_dw_util.h) or by oneDNN, and takes the memory of one kernel.
 * Threads make those of BATCH samples or more, then divide the kernel's outputs for the pass that turns them into
 * gradients of bank, shares and scales (isa/mix_grad.c): the bank, K kernels and K gradients, is what costs memory
 * traffic, once for all of them. Every sum has a fixed order. */
#include "backend/cpu/conv_dw_util.h"
#include "backend/cpu/dynconv_util.h"

enum { D_BANK, D_MIX, D_BIAS_BANK, D_IN_SCALE, D_OUT_SCALE, D_SPATIAL };
enum { MAX_WORKERS = 64, BATCH = 4 };

typedef struct State {
    const Isa *isa;
    ConvDwCore tiles;       /* scratch_bytes 0: not by tiles but by op */
    DnnOp *op[MAX_WORKERS]; /* a worker's own: a primitive holds the memory that it runs on */
    DynConvPorts port;      /* -1: absent */
    int64_t N, K, O, C, I, taps, per_group;
    int workers, threads; /* of the samples; of the pass */
    int batch;            /* samples whose kernels' gradients are held at a time */
    bool scaled;
    /* Scratch, in bytes: kernel gradients of a batch first; what follows is a sample's, a worker's or a thread's own.
     */
    size_t kernel_bytes, packed_bytes, own_bytes; /* a plain gradient, one in oneDNN's layout, scratch of either */
    size_t worker_at, tap_at, db_at, dmix_at, dout_at, du_at, total;
} State;

static void free_state(Kernel *k)
{
    State *s = k->state;
    if (!s) return;
    for (int i = 0; i < s->workers; i++)
        dnn_op_free(&s->op[i]);
    mem_free(s);
    k->state = NULL;
}

static const float *operand(const KernelArgs *a, int port)
{
    return port < 0 ? NULL : a->in[port].data;
}

/* The part of `scratch` from byte `at` on. */
static void *part(const KernelArgs *a, size_t at)
{
    return (char *)a->scratch + at;
}

/* The gradient of sample n's kernel to e. */
static Status kernel_gradient(const State *s, const KernelArgs *a, int w, int64_t n, float *e, Error *err)
{
    char *own = part(a, s->worker_at + (size_t)w * (s->packed_bytes + s->own_bytes));
    const Tensor *dy = &a->in[s->port.dy], *x = &a->in[s->port.x];
    DnnArgs d = { .dy = dynconv_image(dy, n), .x = dynconv_image(x, n), .scratch = own + s->packed_bytes };
    if (s->tiles.scratch_bytes) {
        conv_dw_compute(&s->tiles, d.dy, rows_of(dy).b.ld, d.x, rows_of(x).b.ld, e, d.scratch);
        return DYN_OK;
    }
    d.out = s->packed_bytes ? (void *)own : (void *)e;
    TRY(dnn_run(s->op[w], &d, err));
    return s->packed_bytes ? dnn_unpack(s->op[w], own, e, err) : DYN_OK;
}

/* Sample n, the i-th of its batch, by worker w: the gradient of its kernel, its factors of taps, its sums of dy. */
static Status one_sample(const State *s, const KernelArgs *a, int w, int i, int64_t n, Error *err)
{
    const DynConvPorts *p = &s->port;
    float *e = part(a, (size_t)i * s->kernel_bytes), *tap = (float *)part(a, s->tap_at) + i * s->C * s->taps;
    const Tensor *dy = &a->in[p->dy];
    const float *in = operand(a, p->in_scale), *spatial = operand(a, p->spatial);
    TRY(kernel_gradient(s, a, w, n, e, err));
    for (int64_t c = 0; c < s->C && s->scaled; c++)
        for (int64_t t = 0; t < s->taps; t++)
            tap[c * s->taps + t] = (in ? in[n * s->C + c] : 1) * (spatial ? spatial[n * s->taps + t] : 1);
    if (p->bias_bank >= 0) {
        double *db = (double *)part(a, s->db_at) + i * s->O;
        memset(db, 0, (size_t)s->O * sizeof *db);
        Block b = { dynconv_image(dy, n), rows_of(dy).b.ld, dy->dtype, false };
        s->isa->column_sums(b, dy->dim[2] * dy->dim[3], s->O, db);
    }
    return DYN_OK;
}

/* Samples [first, first + n), divided among the workers. */
static Status samples(const State *s, const KernelArgs *a, int64_t first, int n, Error *err)
{
    bool failed = false;
    /* One worker alone: its primitive has the threads. */
    for (int i = 0; i < n && s->workers == 1; i++)
        TRY(one_sample(s, a, 0, i, first + i, err));
    if (s->workers == 1) return DYN_OK;
#pragma omp parallel for num_threads(s->workers) schedule(static)
    for (int w = 0; w < s->workers; w++) {
        Error e;
        for (int i = w; i < n; i += s->workers) {
            if (one_sample(s, a, w, i, first + i, &e) == DYN_OK) continue;
#pragma omp critical
            {
                *err = e;
                failed = true;
            }
        }
    }
    return failed ? err->status : DYN_OK;
}

/* Their share of the sums: a thread's outputs, then what threads have in common. */
static void pass(const State *s, const KernelArgs *a, int64_t first, int n)
{
    const DynConvPorts *p = &s->port;
    int64_t row = s->I * s->taps, tap = s->C * s->taps;
    const float *mix = operand(a, p->mix), *out = operand(a, p->out_scale);
    size_t dmix_n = (size_t)(s->batch * s->K), du_n = (size_t)(s->batch * tap);
    MixGrad j = { .K = s->K, .O = s->O, .row = row, .per_group = s->per_group, .fresh = first == 0, .n = n };
    j.e_apart = (int64_t)(s->kernel_bytes / sizeof(float));
    j.bank = a->in[p->bank].data, j.dbank = a->out[D_BANK].data, j.e = a->scratch;
    j.mix = mix ? mix + first * s->K : NULL, j.out_scale = out ? out + first * s->O : NULL;
    if (s->scaled) j.tap = part(a, s->tap_at), j.dout = part(a, s->dout_at);
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < s->threads; i++) {
        int64_t lo, hi;
        MixGrad mine = j;
        share(s->O, 1, i, s->threads, &lo, &hi);
        mine.dmix = (double *)part(a, s->dmix_at) + (size_t)i * dmix_n;
        memset(mine.dmix, 0, dmix_n * sizeof(double));
        if (s->scaled) {
            mine.du = (float *)part(a, s->du_at) + (size_t)i * du_n;
            memset(mine.du, 0, du_n * sizeof(float));
        }
        s->isa->mix_grad(&mine, lo, hi);
    }
}

/* dmix and the bias bank's gradient of sample n, the i-th of its batch. */
static void finish_mix(const State *s, const KernelArgs *a, int64_t n, int i)
{
    const float *bias = operand(a, s->port.bias_bank), *mix = operand(a, s->port.mix);
    const double *db = (const double *)part(a, s->db_at) + i * s->O;
    for (int64_t k = 0; k < s->K; k++) {
        double sum = 0;
        for (int j = 0; j < s->threads; j++)
            sum += ((const double *)part(a, s->dmix_at))[(j * s->batch + i) * s->K + k];
        for (int64_t o = 0; bias && o < s->O; o++) {
            float *to = (float *)a->out[D_BIAS_BANK].data + k * s->O + o;
            sum += (double)bias[k * s->O + o] * db[o];
            *to = (n ? *to : 0) + (mix ? mix[n * s->K + k] : 1) * (float)db[o];
        }
        if (mix) ((float *)a->out[D_MIX].data)[n * s->K + k] = (float)sum;
    }
}

/* Gradients of its scales: those of tap, the product of two, go to both. */
static void finish_scales(const State *s, const KernelArgs *a, int64_t n, int i)
{
    const DynConvPorts *p = &s->port;
    const float *in = operand(a, p->in_scale), *spatial = operand(a, p->spatial);
    const double *dout = (const double *)part(a, s->dout_at) + i * s->O;
    float *ds = a->out[D_SPATIAL].data;
    for (int64_t o = 0; p->out_scale >= 0 && o < s->O; o++)
        ((float *)a->out[D_OUT_SCALE].data)[n * s->O + o] = (float)dout[o];
    for (int64_t t = 0; spatial && t < s->taps; t++)
        ds[n * s->taps + t] = 0;
    for (int64_t c = 0; c < s->C; c++) {
        double sum = 0;
        for (int64_t t = 0; t < s->taps; t++) {
            float du = 0;
            for (int j = 0; j < s->threads; j++)
                du += ((const float *)part(a, s->du_at))[((j * s->batch + i) * s->C + c) * s->taps + t];
            sum += (double)du * (spatial ? (double)spatial[n * s->taps + t] : 1);
            if (spatial) ds[n * s->taps + t] += du * (in ? in[n * s->C + c] : 1);
        }
        if (in) ((float *)a->out[D_IN_SCALE].data)[n * s->C + c] = (float)sum;
    }
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    const int port[] = { s->port.bank,     s->port.mix,       s->port.bias_bank,
                         s->port.in_scale, s->port.out_scale, s->port.spatial };
    for (size_t i = 0; i < COUNT_OF(port); i++)
        if (port[i] < 0) *(float *)a->out[i].data = 0;
    for (int64_t first = 0; first < s->N; first += s->batch) {
        int n = (int)MIN(s->batch, s->N - first);
        TRY(samples(s, a, first, n, err));
        pass(s, a, first, n);
        for (int i = 0; i < n; i++) {
            finish_mix(s, a, first + i, i);
            if (s->scaled) finish_scales(s, a, first + i, i);
        }
    }
    return DYN_OK;
}

/* ---- claim --------------------------------------------------------------------------------------------------- */

static size_t book(State *s, int64_t n, size_t each)
{
    size_t at = s->total;
    s->total += mem_round((size_t)n * each);
    return at;
}

static void book_scratch(State *s)
{
    s->kernel_bytes = mem_round((size_t)(s->O * s->I * s->taps) * sizeof(float));
    s->packed_bytes = s->op[0] ? mem_round(dnn_packed_bytes(s->op[0])) : 0;
    s->own_bytes = mem_round(s->op[0] ? dnn_scratch_bytes(s->op[0]) : s->tiles.scratch_bytes);
    book(s, s->batch, s->kernel_bytes);
    s->worker_at = book(s, s->workers, s->packed_bytes + s->own_bytes);
    s->dmix_at = book(s, s->threads * s->batch * s->K, sizeof(double));
    if (s->port.bias_bank >= 0) s->db_at = book(s, s->batch * s->O, sizeof(double));
    if (!s->scaled) return;
    s->tap_at = book(s, s->batch * s->C * s->taps, sizeof(float));
    s->dout_at = book(s, s->batch * s->O, sizeof(double));
    s->du_at = book(s, s->threads * s->batch * s->C * s->taps, sizeof(float));
}

/* As many workers as there are samples for; one worker has all threads for itself. */
static bool make_workers(const Cpu *cpu, const KernelPlan *p, const DnnConv *c, State *s, char *why, size_t n)
{
    int workers = (int)MIN(MIN(p->threads, MAX_WORKERS), s->N), threads = workers == 1 ? p->threads : 1;
    s->batch = (int)MIN((BATCH + workers - 1) / workers * workers, s->N);
    if (conv_dw_core(cpu, c, threads, &s->tiles, why, n)) {
        s->workers = workers;
        return true;
    }
    for (int i = 0; i < workers; i++) {
        s->op[i] = dnn_conv(cpu->dnn, c, threads, why, n);
        if (!s->op[i]) return false;
        s->workers = i + 1;
    }
    return true;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    State s = { .isa = cpu->isa };
    DynConvPorts *q = &s.port;
    if (!dynconv_claim_operands(p, q, why, n)) return false;
    const Type *x = &p->in[q->x], *bank = &p->in[q->bank], *dy = &p->in[q->dy];
    if (!conv_types(x, bank, dy, why, n)) return false;
    if (x->dtype != dy->dtype) return decline(why, n, "gradients of mixed types");
    ConvGeometry g = dynconv_geometry(p->node, x->shape.dim, bank->shape.dim);
    DnnConv c = conv_of(&g, DNN_DW, 1, x->dtype, dy->dtype);
    s.N = x->shape.dim[0], s.K = bank->shape.dim[0];
    s.O = g.O, s.C = g.C, s.I = g.I, s.taps = g.kh * g.kw, s.per_group = g.O / g.groups;
    s.scaled = q->in_scale >= 0 || q->out_scale >= 0 || q->spatial >= 0;
    s.threads = threads_for(p->threads, s.K * s.O * s.I * s.taps);
    bool ok = make_workers(cpu, p, &c, &s, why, n);
    if (ok) book_scratch(&s);
    if (ok) ok = accept(k, cpu, &s, sizeof s, run, why, n);
    if (!ok) {
        for (int i = 0; i < s.workers; i++)
            dnn_op_free(&s.op[i]);
        return false;
    }
    if (s.op[0])
        k->impl = dnn_impl(s.op[0]);
    else
        k->strided_in = 1u << q->dy | (conv_dw_dense_x(&s.tiles) ? 0 : 1u << q->x);
    k->scratch_bytes = s.total;
    k->free = free_state;
    return true;
}

const CpuKernel cpu_dynconv_dw = {
    .name = "dynconv_dw", .ops = "dynconv2d_dw", .priority = PRIORITY_ONEDNN, .claim = claim
};
