/* SPDX-License-Identifier: Apache-2.0
 *
 * Direct convolution by isa/conv.c: weights packed in load() (or at each run when they are not constant), pixels and
 * panels of outputs divided among the threads. Images may be channel ranges of wider ones, which saves the copies
 * around oneDNN's convolutions. Declines groups, and bf16
 * where AMX multiplies it several times faster. */
#include "backend/cpu/cpu.h"
#include "ops/ops.h"

#include <cpuid.h>

typedef struct State {
    const Isa *isa;
    ConvJob job; /* geometry; the pointers are filled in at each run */
    ConvForm form;
    int threads;
    int64_t N, w_bytes;
    char *packed; /* constant weights; else they go to scratch at each run */
    bool bias, res;
} State;

static void free_state(Kernel *k)
{
    State *s = k->state;
    if (!s) return;
    mem_free(s->packed);
    mem_free(s);
    k->state = NULL;
}

/* ---- weights ------------------------------------------------------------------------------------------------- */

static float weight_at(const State *s, const float *w, int64_t o, int64_t i, int64_t tap)
{
    int64_t taps = s->job.kh * s->job.kw;
    return o < s->job.O && i < s->job.C ? w[(o * s->job.C + i) * taps + tap] : 0;
}

/* Vectors [first, end) of w [O,C,kh,kw] as the panel that isa/conv.h describes. */
static void pack_panel(const State *s, const float *w, int64_t first, int64_t end, char *to)
{
    bool half = s->form.pairs;
    int64_t taps = s->job.kh * s->job.kw, step = half ? 2 : 1, o0 = first * s->form.lanes, o1 = end * s->form.lanes;
    for (int64_t k = 0; k < taps; k++)
        for (int64_t i = 0; i < s->job.C; i += step)
            for (int64_t o = o0; o < o1; o++, to += 4) {
                float a = weight_at(s, w, o, i, k);
                if (half)
                    memcpy(to, (uint16_t[2]) { f32_to_bf16(a), f32_to_bf16(weight_at(s, w, o, i + 1, k)) }, 4);
                else
                    memcpy(to, &a, 4);
            }
}

static void pack(const State *s, const float *w, char *to)
{
    int64_t panels = conv_panels(s->job.O, s->form), vector_bytes = s->w_bytes / conv_vectors(s->job.O, s->form);
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int64_t p = 0; p < panels; p++) {
        int64_t first = conv_panel(s->job.O, s->form, p), end = conv_panel(s->job.O, s->form, p + 1);
        pack_panel(s, w, first, end, to + first * vector_bytes);
    }
}

static Status load(Kernel *k, const KernelArgs *a, Error *err)
{
    State *s = k->state;
    pack(s, a->in[1].data, s->packed);
    return DYN_OK;
}

/* ---- run ----------------------------------------------------------------------------------------------------- */

static int64_t pixel_step(const Tensor *t)
{
    return rows_of(t).b.ld;
}

/* How many of the threads divide the outputs; the others divide the pixels. More weights than image: outputs, so that
 * each thread reads its part of the weights only. */
static int output_shares(const State *s, int64_t pixels)
{
    int64_t panels = conv_panels(s->job.O, s->form), best_cost = INT64_MAX;
    int64_t x_bytes = s->N * s->job.H * s->job.W * s->job.C * (s->job.type == F32 ? 4 : 2);
    int best = 1;
    for (int n = 1; n <= s->threads && n <= panels; n++) {
        if (s->threads % n) continue;
        int64_t m = s->threads / n, most = (pixels + m - 1) / m * ((panels + n - 1) / n);
        int64_t cost = most * (s->w_bytes / panels) / 4 / 8 + s->w_bytes / n + x_bytes / m;
        if (cost < best_cost) best_cost = cost, best = n;
    }
    return best;
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const State *s = k->state;
    const Tensor *x = &a->in[0], *y = &a->out[0];
    ConvJob j = s->job;
    char *packed = s->packed ? s->packed : a->scratch;
    if (!s->packed) pack(s, a->in[1].data, packed);
    j.zeros = packed + s->w_bytes;
    memset(packed + s->w_bytes, 0, (size_t)j.C * 4);
    j.x = x->data, j.w = packed, j.y = y->data;
    j.x_pixel = pixel_step(x), j.y_pixel = pixel_step(y);
    if (s->bias) j.bias = a->in[2].data;
    if (s->res) j.res = a->in[3].data, j.res_pixel = pixel_step(&a->in[3]);
    int64_t pixels = s->N * j.Ho * j.Wo, panels = conv_panels(j.O, s->form);
    int across = output_shares(s, pixels), along = s->threads / across;
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < across * along; i++) {
        int64_t lo, hi, p0, p1;
        share(pixels, 8, i / across, along, &lo, &hi);
        share(panels, 1, i % across, across, &p0, &p1);
        s->isa->conv(&j, lo, hi, p0, p1);
    }
    return DYN_OK;
}

/* ---- claim --------------------------------------------------------------------------------------------------- */

/* AMX multiplies bf16 several times faster than vdpbf16ps; oneDNN uses it. CPUID leaf 7: EDX bit 22. */
static bool has_amx_bf16(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1);
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    const Node *node = p->node;
    const Type *x = &p->in[0], *w = &p->in[1], *y = &p->out[0];
    int64_t pad_w = attr_int(node, "pad_w");
    if (!is_float(x) || w->dtype != F32 || !is_float(y)) return decline(why, n, "types other than f32 and bf16");
    if (attr_int(node, "groups") != 1) return decline(why, n, "groups");
    if (x->dtype == BF16 && has_amx_bf16()) return decline(why, n, "AMX is faster");
    if (!is_image(x) || !is_image(y)) return decline(why, n, "row-major image");
    State s = { .isa = cpu->isa, .threads = p->threads, .form = cpu->isa->conv_form(x->dtype), .N = x->shape.dim[0] };
    s.bias = has_in(p, 2), s.res = has_in(p, 3);
    if (s.res && p->in[3].dtype != y->dtype) return decline(why, n, "residual of another type");
    ConvJob j = { .type = x->dtype, .C = x->shape.dim[1], .H = x->shape.dim[2], .W = x->shape.dim[3] };
    j.O = y->shape.dim[1], j.Ho = y->shape.dim[2], j.Wo = y->shape.dim[3];
    j.kh = w->shape.dim[2], j.kw = w->shape.dim[3];
    j.stride = attr_int(node, "stride"), j.dilation = attr_int(node, "dilation");
    j.pad_h = attr_int(node, "pad"), j.pad_w = pad_w < 0 ? j.pad_h : pad_w;
    j.y_type = y->dtype, j.act = act_of(attr_text(node, "act"));
    if (j.act == N_ACT) return decline(why, n, "activation '%s'", attr_text(node, "act"));
    if (!shape_count(&y->shape) || !j.C) return decline(why, n, "empty");
    if (j.kh * j.kw > CONV_MAX_TAPS) return decline(why, n, "kernel of %lld taps", (long long)(j.kh * j.kw));
    int64_t steps = s.form.pairs ? (j.C + 1) / 2 : j.C;
    s.w_bytes = conv_vectors(j.O, s.form) * s.form.lanes * j.kh * j.kw * steps * 4;
    s.job = j;
    size_t bytes = (size_t)(s.w_bytes + j.C * 4);
    k->state = mem_alloc(sizeof s);
    if (!k->state) return decline(why, n, "out of memory");
    if (p->in_const[1] && !(s.packed = mem_alloc(bytes))) {
        mem_free(k->state);
        k->state = NULL;
        return decline(why, n, "out of memory");
    }
    memcpy(k->state, &s, sizeof s);
    k->scratch_bytes = s.packed ? 0 : bytes;
    k->strided_in = 1 << 0 | 1 << 3;
    k->strided_out = 1;
    k->impl = cpu->isa->name;
    k->load = s.packed ? load : NULL;
    k->run = run;
    k->free = free_state;
    return true;
}

const CpuKernel cpu_conv_direct = { .name = "conv_direct", .ops = "conv2d", .priority = PRIORITY_OWN, .claim = claim };
