/* SPDX-License-Identifier: Apache-2.0
 *
 * Geometry of convolutions; packing of weights, division of work among threads, and the claim of those in isa/. See
 * conv_util.h. */
#include "backend/cpu/conv_util.h"
#include "ops/ops.h"

#include <cpuid.h>

/* ---- weights ------------------------------------------------------------------------------------------------- */

static int64_t steps_of(const ConvCore *s)
{
    return s->form.pairs ? (s->job.C + 1) / 2 : s->job.C;
}

void conv_core_winograd(ConvCore *s, bool winograd)
{
    int64_t taps = winograd ? 16 : s->job.kh * s->job.kw;
    s->winograd = winograd;
    s->w_bytes = conv_vectors(s->job.O, s->form) * s->form.lanes * taps * steps_of(s) * 4;
    s->thread_bytes = winograd ? mem_round(s->isa->winograd_bytes(s->job.C)) : 0;
}

int64_t conv_tiles(const ConvCore *s)
{
    return s->N * ((s->job.Ho + 1) / 2) * ((s->job.Wo + 1) / 2);
}

/* Weights go a cache line of outputs at a time: what is packed is written once, in whole lines, and few rows of the
 * plain weights are being read. */
enum { LANES = 16 };
typedef float Taps[CONV_MAX_TAPS][LANES];

/* All taps from input channel i to outputs o .. o+15; zeros where there is none. */
static void gather(const ConvCore *s, const float *w, int64_t o, int64_t i, Taps g)
{
    int64_t taps = s->job.kh * s->job.kw;
    for (int l = 0; l < LANES; l++) {
        if (o + l >= s->job.O || i >= s->job.C) {
            for (int64_t k = 0; k < taps; k++)
                g[k][l] = 0;
            continue;
        }
        const float *from = w + (s->mirrored ? i * s->job.O + o + l : (o + l) * s->job.C + i) * taps;
        if (s->mirrored)
            for (int64_t k = 0; k < taps; k++)
                g[k][l] = from[taps - 1 - k];
        else
            for (int64_t k = 0; k < taps; k++)
                g[k][l] = from[k];
    }
}

/* (a, b, c) -> G (a, b, c)^T, G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1] */
static void widen(const float *a, const float *b, const float *c, float *p, float *q, float *r, float *t)
{
    for (int l = 0; l < LANES; l++) {
        float even = 0.5f * (a[l] + c[l]), odd = 0.5f * b[l];
        p[l] = a[l], q[l] = even + odd, r[l] = even - odd, t[l] = c[l];
    }
}

/* U = G g G^T, in place of g */
static void winograd_weights(Taps g)
{
    float t[12][LANES];
    for (int i = 0; i < 3; i++)
        widen(g[i], g[3 + i], g[6 + i], t[i], t[3 + i], t[6 + i], t[9 + i]);
    for (int i = 0; i < 4; i++)
        widen(t[3 * i], t[3 * i + 1], t[3 * i + 2], g[4 * i], g[4 * i + 1], g[4 * i + 2], g[4 * i + 3]);
}

/* Steps [lo, hi) of panel p, in the order that isa/conv.h describes. */
static void pack_steps(const ConvCore *s, const float *w, ConvOrder order, char *panel, int64_t p, int64_t lo,
                       int64_t hi)
{
    bool inside = order == CONV_TAPS_INSIDE, winograd = s->winograd && !inside;
    int64_t taps = winograd ? 16 : s->job.kh * s->job.kw, lanes = s->form.lanes;
    int64_t o0 = conv_panel(s->job.O, s->form, p) * lanes, o1 = conv_panel(s->job.O, s->form, p + 1) * lanes;
    int64_t row = 4 * (o1 - o0), step_at = inside ? row * taps : row, tap_at = inside ? row : row * steps_of(s);
    Taps a, b;
    for (int64_t o = o0; o < o1; o += LANES)
        for (int64_t i = lo; i < hi; i++) {
            char *to = panel + i * step_at + 4 * (o - o0);
            size_t bytes = 4 * (size_t)MIN(o1 - o, LANES);
            gather(s, w, o, s->form.pairs ? 2 * i : i, a);
            if (s->form.pairs) gather(s, w, o, 2 * i + 1, b);
            if (winograd) winograd_weights(a);
            for (int64_t k = 0; k < taps; k++, to += tap_at) {
                uint16_t pair[2 * LANES];
                for (int l = 0; s->form.pairs && l < LANES; l++)
                    pair[2 * l] = f32_to_bf16(a[k][l]), pair[2 * l + 1] = f32_to_bf16(b[k][l]);
                memcpy(to, s->form.pairs ? (void *)pair : (void *)a[k], bytes);
            }
        }
}

void conv_pack(const ConvCore *s, const float *w, ConvOrder order, char *to)
{
    int64_t panels = conv_panels(s->job.O, s->form), taps = s->job.kh * s->job.kw;
    int64_t vector_bytes = s->form.lanes * steps_of(s) * 4 * (s->winograd && order == CONV_PACKED ? 16 : taps);
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int64_t i = 0; i < panels * s->threads; i++) {
        int64_t lo, hi, p = i / s->threads;
        share(steps_of(s), 1, (int)(i % s->threads), s->threads, &lo, &hi);
        pack_steps(s, w, order, to + conv_panel(s->job.O, s->form, p) * vector_bytes, p, lo, hi);
    }
}

char *conv_form_text(const ConvCore *s, ConvOrder order, char *buf, size_t n)
{
    const char *what = order == CONV_TAPS_INSIDE ? "taps inside" : s->winograd ? "winograd" : "direct";
    snprintf(buf, n, "conv %s%s lanes=%d vectors=%d pairs=%d", what, s->mirrored ? " mirrored" : "", s->form.lanes,
             s->form.vectors, s->form.pairs);
    return buf;
}

/* ---- run ----------------------------------------------------------------------------------------------------- */

/* What counts is the largest share's products; then the bytes of weights and image that each thread reads. */
int conv_output_shares(const ConvCore *s, int64_t items)
{
    int64_t panels = conv_panels(s->job.O, s->form), best_cost = INT64_MAX;
    int64_t x_bytes = s->N * s->job.H * s->job.W * s->job.C * (s->job.type == F32 ? 4 : 2);
    int best = 1;
    for (int n = 1; n <= s->threads && n <= panels; n++) {
        if (s->threads % n) continue;
        int64_t m = s->threads / n, most = ((items + 7) / 8 + m - 1) / m * 8 * ((panels + n - 1) / n);
        int64_t cost = most * (s->w_bytes / panels) / 64 + s->w_bytes / n / 16 + x_bytes / m / 16;
        if (cost < best_cost) best_cost = cost, best = n;
    }
    return best;
}

void conv_compute(const ConvCore *s, const ConvJob *j, char *scratch)
{
    int64_t items = s->winograd ? conv_tiles(s) : s->N * j->Ho * j->Wo;
    int across = conv_output_shares(s, items), along = s->threads / across;
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < across * along; i++) {
        int64_t lo, hi, p0, p1;
        share(items, 8, i / across, along, &lo, &hi);
        share(conv_panels(j->O, s->form), 1, i % across, across, &p0, &p1);
        if (s->winograd)
            s->isa->winograd(j, lo, hi, p0, p1, scratch + (size_t)i * s->thread_bytes);
        else
            s->isa->conv(j, lo, hi, p0, p1);
    }
}

/* ---- geometry ------------------------------------------------------------------------------------------------ */

bool conv_types(const Type *x, const Type *w, const Type *y, char *why, size_t n)
{
    if (!is_float(x) || !is_float(y) || w->dtype != F32) return decline(why, n, "types other than f32 and bf16");
    if (!is_image(x) || !is_image(y)) return decline(why, n, "row-major image");
    if (!shape_count(&y->shape) || !shape_count(&x->shape)) return decline(why, n, "empty");
    return true;
}

DnnConv conv_of(const ConvGeometry *q, DnnPass pass, int64_t batch, DType x, DType y)
{
    return (DnnConv) { .pass = pass,
                       .n = batch,
                       .c = q->C,
                       .h = q->H,
                       .w = q->W,
                       .o = q->O,
                       .ho = q->Ho,
                       .wo = q->Wo,
                       .kh = q->kh,
                       .kw = q->kw,
                       .stride = q->stride,
                       .pad_h = q->pad_h,
                       .pad_w = q->pad_w,
                       .dilation = q->dilation,
                       .groups = q->groups,
                       .x = x,
                       .y = y,
                       .act = "none" };
}

bool conv_of_plan(const KernelPlan *p, DnnConv *c, char *why, size_t n)
{
    bool dx = str_eq(p->node->op->name, "conv2d_dx"), dw = str_eq(p->node->op->name, "conv2d_dw");
    const Type *x = dx ? &p->out[0] : &p->in[dw ? 1 : 0], *w = &p->in[dw ? 2 : 1], *y = dx || dw ? p->in : p->out;
    if (!conv_types(x, w, y, why, n)) return false;
    ConvGeometry q = conv_geometry(p->node, x->shape.dim, w->shape.dim, false);
    *c = conv_of(&q, dx ? DNN_DX : dw ? DNN_DW : DNN_FORWARD, x->shape.dim[0], x->dtype, y->dtype);
    if (dx || dw) return true;
    c->act = attr_text(p->node, "act"), c->bias = has_in(p, 2), c->residual = has_in(p, 3);
    if (c->residual && p->in[3].dtype != c->y) return decline(why, n, "residual of another type");
    return true;
}

bool conv_core(const Cpu *cpu, const DnnConv *c, int threads, ConvCore *s, char *why, size_t n)
{
    bool dx = c->pass == DNN_DX;
    ConvJob j = { .type = dx ? c->y : c->x, .y_type = dx ? c->x : c->y, .C = c->c, .H = c->h, .W = c->w };
    j.O = c->o, j.Ho = c->ho, j.Wo = c->wo, j.kh = c->kh, j.kw = c->kw, j.pad_h = c->pad_h, j.pad_w = c->pad_w;
    j.stride = c->stride, j.dilation = c->dilation, j.act = act_of(c->act);
    if (dx) {
        j.C = c->o, j.H = c->ho, j.W = c->wo, j.O = c->c, j.Ho = c->h, j.Wo = c->w;
        j.pad_h = c->dilation * (c->kh - 1) - c->pad_h, j.pad_w = c->dilation * (c->kw - 1) - c->pad_w;
    }
    if (c->groups != 1) return decline(why, n, "groups");
    if (dx && c->stride != 1) return decline(why, n, "gradient of stride %lld", (long long)c->stride);
    if (j.act == N_ACT) return decline(why, n, "activation '%s'", c->act);
    long long taps = j.kh * j.kw;
    if (taps > CONV_MAX_TAPS) return decline(why, n, "kernel of %lld taps", taps);
    *s = (ConvCore) { .isa = cpu->isa, .form = cpu->isa->conv_form(j.type), .N = c->n, .job = j, .mirrored = dx };
    s->threads = threads_for(threads, s->N * j.Ho * j.Wo * j.O * j.C * j.kh * j.kw / 64);
    conv_core_winograd(s, false);
    return true;
}

bool conv_winograd_takes(const ConvCore *s, char *why, size_t n)
{
    const ConvJob *j = &s->job;
    if (j->type != F32 || j->y_type != F32) return decline(why, n, "not f32");
    if (j->kh != 3 || j->kw != 3 || j->stride != 1 || j->dilation != 1) return decline(why, n, "not 3x3 at stride 1");
    if (j->C < 8) return decline(why, n, "few channels: transforms cost more than they save");
    return true;
}

/* CPUID leaf 7: EDX bit 22. */
static bool has_amx_bf16(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1);
}

bool conv_direct_takes(const ConvCore *s, char *why, size_t n)
{
    return s->job.type != BF16 || !has_amx_bf16() || decline(why, n, "AMX is faster");
}

/* ---- a kernel of conv2d -------------------------------------------------------------------------------------- */

/* What lies outside the image is read from zeros behind the weights. */
static size_t packed_bytes(const ConvCore *s)
{
    return (size_t)(s->w_bytes + s->job.C * 4);
}

static void pack(const ConvCore *s, const float *w, char *to)
{
    conv_pack(s, w, CONV_PACKED, to);
    memset(to + s->w_bytes, 0, packed_bytes(s) - (size_t)s->w_bytes);
}

static Status pack_once(Kernel *k, const KernelArgs *a, Error *err)
{
    const ConvState *s = k->state;
    pack(&s->core, a->in[s->w].data, a->packed);
    return DYN_OK;
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const ConvState *s = k->state;
    const ConvCore *core = &s->core;
    const Tensor *x = &a->in[s->x], *y = &a->out[0];
    ConvJob j = core->job;
    char *scratch = a->scratch;
    char *packed = s->constant ? a->packed : scratch + (size_t)core->threads * core->thread_bytes;
    if (!s->constant) pack(core, a->in[s->w].data, packed);
    j.x = x->data, j.w = packed, j.zeros = packed + core->w_bytes, j.y = y->data;
    j.x_pixel = rows_of(x).b.ld, j.y_pixel = rows_of(y).b.ld;
    if (s->bias >= 0) j.bias = a->in[s->bias].data;
    if (s->res >= 0) j.res = a->in[s->res].data, j.res_pixel = rows_of(&a->in[s->res]).b.ld;
    conv_compute(core, &j, scratch);
    return DYN_OK;
}

bool conv_describe(const Cpu *cpu, const KernelPlan *p, ConvState *s, char *why, size_t n)
{
    DnnConv c;
    if (!conv_of_plan(p, &c, why, n)) return false;
    *s = (ConvState) { .x = c.pass == DNN_DW ? 1 : 0, .w = 1, .bias = c.bias ? 2 : -1, .res = c.residual ? 3 : -1 };
    return conv_core(cpu, &c, p->threads, &s->core, why, n);
}

bool conv_accept(const Cpu *cpu, const KernelPlan *p, ConvState *s, Kernel *k, char *why, size_t n)
{
    size_t bytes = packed_bytes(&s->core);
    char form[PACKED_FORM];
    s->constant = p->in_const[s->w];
    if (!accept(k, cpu, s, sizeof *s, run, why, n)) return false;
    k->scratch_bytes = (size_t)s->core.threads * s->core.thread_bytes + (s->constant ? 0 : bytes);
    k->strided_in = 1 | (s->res >= 0 ? 1 << 3 : 0);
    k->strided_out = 1;
    if (s->constant) kernel_packs(k, bytes, pack_once, "%s", conv_form_text(&s->core, CONV_PACKED, form, sizeof form));
    return true;
}
