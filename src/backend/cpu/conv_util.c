/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing of weights, division of work among threads, and the claim of the convolutions in isa/. See conv_util.h. */
#include "backend/cpu/conv_util.h"
#include "ops/ops.h"

/* ---- weights ------------------------------------------------------------------------------------------------- */

static int64_t packed_taps(const ConvState *s)
{
    return s->winograd ? 16 : s->job.kh * s->job.kw;
}

static int64_t steps_of(const ConvState *s)
{
    return s->form.pairs ? (s->job.C + 1) / 2 : s->job.C;
}

int64_t conv_packed_bytes(const ConvState *s)
{
    return conv_vectors(s->job.O, s->form) * s->form.lanes * packed_taps(s) * steps_of(s) * 4;
}

int64_t conv_tiles(const ConvState *s)
{
    return s->N * ((s->job.Ho + 1) / 2) * ((s->job.Wo + 1) / 2);
}

/* Weights go a cache line of outputs at a time: what is packed is written once, in whole lines, and few rows of the
 * plain weights are being read. */
enum { LANES = 16 };
typedef float Taps[CONV_MAX_TAPS][LANES];

/* All taps from input channel i to outputs o .. o+15; zeros where there is none. */
static void gather(const ConvState *s, const float *w, int64_t o, int64_t i, Taps g)
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
static void pack_steps(const ConvState *s, const float *w, char *panel, int64_t p, int64_t lo, int64_t hi)
{
    int64_t taps = packed_taps(s), steps = steps_of(s), lanes = s->form.lanes;
    int64_t o0 = conv_panel(s->job.O, s->form, p) * lanes, o1 = conv_panel(s->job.O, s->form, p + 1) * lanes;
    Taps a, b;
    for (int64_t o = o0; o < o1; o += LANES)
        for (int64_t i = lo; i < hi; i++) {
            char *to = panel + 4 * (i * (o1 - o0) + o - o0);
            size_t bytes = 4 * (size_t)MIN(o1 - o, LANES);
            gather(s, w, o, s->form.pairs ? 2 * i : i, a);
            if (s->form.pairs) gather(s, w, o, 2 * i + 1, b);
            if (s->winograd) winograd_weights(a);
            for (int64_t k = 0; k < taps; k++, to += 4 * steps * (o1 - o0)) {
                uint16_t pair[2 * LANES];
                for (int l = 0; s->form.pairs && l < LANES; l++)
                    pair[2 * l] = f32_to_bf16(a[k][l]), pair[2 * l + 1] = f32_to_bf16(b[k][l]);
                memcpy(to, s->form.pairs ? (void *)pair : (void *)a[k], bytes);
            }
        }
}

static void pack(const ConvState *s, const float *w, char *to)
{
    int64_t panels = conv_panels(s->job.O, s->form), vector_bytes = s->w_bytes / conv_vectors(s->job.O, s->form);
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int64_t i = 0; i < panels * s->threads; i++) {
        int64_t lo, hi, p = i / s->threads;
        share(steps_of(s), 1, (int)(i % s->threads), s->threads, &lo, &hi);
        pack_steps(s, w, to + conv_panel(s->job.O, s->form, p) * vector_bytes, p, lo, hi);
    }
    memset(to + s->w_bytes, 0, (size_t)s->job.C * 4);
}

static Status pack_once(Kernel *k, const KernelArgs *a, Error *err)
{
    const ConvState *s = k->state;
    pack(s, a->in[s->w].data, a->packed);
    return DYN_OK;
}

/* ---- run ----------------------------------------------------------------------------------------------------- */

/* What counts is the largest share's products; then the bytes of weights and image that each thread reads. */
int conv_output_shares(const ConvState *s, int64_t items)
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

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    const ConvState *s = k->state;
    const Tensor *x = &a->in[s->x], *y = &a->out[0];
    ConvJob j = s->job;
    char *scratch = a->scratch, *packed = s->constant ? a->packed : scratch + (size_t)s->threads * s->thread_bytes;
    if (!s->constant) pack(s, a->in[s->w].data, packed);
    j.x = x->data, j.w = packed, j.zeros = packed + s->w_bytes, j.y = y->data;
    j.x_pixel = rows_of(x).b.ld, j.y_pixel = rows_of(y).b.ld;
    if (s->bias >= 0) j.bias = a->in[s->bias].data;
    if (s->res >= 0) j.res = a->in[s->res].data, j.res_pixel = rows_of(&a->in[s->res]).b.ld;
    int64_t items = s->winograd ? conv_tiles(s) : s->N * j.Ho * j.Wo;
    int across = conv_output_shares(s, items), along = s->threads / across;
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < across * along; i++) {
        int64_t lo, hi, p0, p1;
        share(items, 8, i / across, along, &lo, &hi);
        share(conv_panels(j.O, s->form), 1, i % across, across, &p0, &p1);
        if (s->winograd)
            s->isa->winograd(&j, lo, hi, p0, p1, scratch + (size_t)i * s->thread_bytes);
        else
            s->isa->conv(&j, lo, hi, p0, p1);
    }
    return DYN_OK;
}

/* ---- claim --------------------------------------------------------------------------------------------------- */

bool conv_describe(const Cpu *cpu, const KernelPlan *p, ConvState *s, char *why, size_t n)
{
    const Node *node = p->node;
    bool dx = str_eq(node->op->name, "conv2d_dx"), dw = str_eq(node->op->name, "conv2d_dw");
    const Type *x = &p->in[dw ? 1 : 0], *w = &p->in[dw ? 2 : 1], *y = dw ? &p->in[0] : &p->out[0];
    int64_t pad_w = attr_int(node, "pad_w");
    if (!is_float(x) || w->dtype != F32 || !is_float(y)) return decline(why, n, "types other than f32 and bf16");
    if (attr_int(node, "groups") != 1) return decline(why, n, "groups");
    if (!is_image(x) || !is_image(y)) return decline(why, n, "row-major image");
    *s = (ConvState) { .isa = cpu->isa, .form = cpu->isa->conv_form(x->dtype), .N = x->shape.dim[0], .w = 1 };
    s->x = dw ? 1 : 0, s->mirrored = dx;
    s->bias = !dx && !dw && has_in(p, 2) ? 2 : -1, s->res = !dx && !dw && has_in(p, 3) ? 3 : -1;
    if (s->res >= 0 && p->in[3].dtype != y->dtype) return decline(why, n, "residual of another type");
    ConvJob j = { .type = x->dtype, .C = x->shape.dim[1], .H = x->shape.dim[2], .W = x->shape.dim[3] };
    j.O = y->shape.dim[1], j.Ho = y->shape.dim[2], j.Wo = y->shape.dim[3];
    j.kh = w->shape.dim[2], j.kw = w->shape.dim[3];
    j.stride = attr_int(node, "stride"), j.dilation = attr_int(node, "dilation");
    j.pad_h = attr_int(node, "pad"), j.pad_w = pad_w < 0 ? j.pad_h : pad_w;
    j.y_type = y->dtype, j.act = dx || dw ? ACT_NONE : act_of(attr_text(node, "act"));
    if (dx && j.stride != 1) return decline(why, n, "gradient of stride %lld", (long long)j.stride);
    if (dx) j.pad_h = j.dilation * (j.kh - 1) - j.pad_h, j.pad_w = j.dilation * (j.kw - 1) - j.pad_w;
    if (j.act == N_ACT) return decline(why, n, "activation '%s'", attr_text(node, "act"));
    if (!shape_count(&y->shape) || !shape_count(&x->shape)) return decline(why, n, "empty");
    long long taps = j.kh * j.kw;
    if (taps > CONV_MAX_TAPS) return decline(why, n, "kernel of %lld taps", taps);
    s->job = j;
    s->threads = threads_for(p->threads, s->N * j.Ho * j.Wo * j.O * j.C * j.kh * j.kw / 64);
    return true;
}

bool conv_accept(const Cpu *cpu, const KernelPlan *p, ConvState *s, Kernel *k, char *why, size_t n)
{
    s->w_bytes = conv_packed_bytes(s);
    size_t bytes = (size_t)(s->w_bytes + s->job.C * 4);
    if (s->winograd) s->thread_bytes = (s->isa->winograd_bytes(s->job.C) + 63) & ~(size_t)63;
    s->constant = p->in_const[s->w];
    if (!accept(k, cpu, s, sizeof *s, run, why, n)) return false;
    k->scratch_bytes = (size_t)s->threads * s->thread_bytes + (s->constant ? 0 : bytes);
    k->strided_in = 1 | (s->res >= 0 ? 1 << 3 : 0);
    k->strided_out = 1;
    if (s->constant)
        kernel_packs(k, bytes, pack_once, "conv %s%s lanes=%d vectors=%d pairs=%d", s->winograd ? "winograd" : "direct",
                     s->mirrored ? " mirrored" : "", s->form.lanes, s->form.vectors, s->form.pairs);
    return true;
}
