/* SPDX-License-Identifier: Apache-2.0
 *
 * Geometry of convolutions; packing of weights, division of work among threads, and the claim of those in isa/. See
 * conv_util.h. */
#include "backend/cpu/conv_util.h"
#include "ops/ops.h"

/* ---- weights ------------------------------------------------------------------------------------------------- */

static int64_t steps_of(const ConvCore *s)
{
    return conv_steps(s->job.C, s->form);
}

/* Of a packed tap. */
static int64_t tap_bytes(const ConvCore *s)
{
    return conv_vectors(s->job.O, s->form) * s->form.lanes * steps_of(s) * 4;
}

void conv_core_winograd(ConvCore *s, bool winograd)
{
    s->winograd = winograd;
    s->w_bytes = tap_bytes(s) * (winograd ? 16 : s->job.kh * s->job.kw);
    s->thread_bytes = winograd ? s->isa->winograd_bytes(s->job.C) : 0;
    for (int f = 0; f < s->phases && !winograd; f++) {
        ConvJob j = conv_phase_job(s, &s->job, f);
        s->thread_bytes = MAX(s->thread_bytes, s->isa->conv_bytes(&j));
    }
    s->thread_bytes = mem_round(s->thread_bytes);
}

int64_t conv_tiles(const ConvCore *s)
{
    return s->N * ((s->job.Ho + 1) / 2) * ((s->job.Wo + 1) / 2);
}

int64_t conv_source_tap(const ConvCore *s, int f, int64_t k)
{
    const ConvPhase *q = &s->phase[f];
    int64_t a = k / q->kw, b = k % q->kw;
    if (!s->mirrored) return k;
    a = q->tap_h + s->stride * (q->kh - 1 - a), b = q->tap_w + s->stride * (q->kw - 1 - b);
    return a * s->job.kw + b;
}

void conv_pack(const ConvCore *s, const float *w, ConvOrder order, char *to)
{
    int64_t panels = conv_panels(s->job.O, s->form), taps = s->job.kh * s->job.kw;
    bool inside = order == CONV_TAPS_INSIDE;
    for (int f = 0; f < s->phases; f++) {
        const ConvPhase *q = &s->phase[f];
        PackJob j = { .w = w, .to = to + q->taps_before * tap_bytes(s), .O = s->job.O, .C = s->job.C };
        j.output = s->mirrored ? taps : s->job.C * taps, j.input = s->mirrored ? s->job.O * taps : taps;
        j.taps = q->kh * q->kw, j.plain_taps = taps;
        j.form = s->form, j.inside = inside, j.winograd = s->winograd && !inside;
        for (int64_t k = 0; k < j.taps; k++)
            j.tap[k] = (uint8_t)conv_source_tap(s, f, k);
        int64_t n = panels * s->threads;
#pragma omp parallel for num_threads(threads_for(s->threads, j.O *j.C *taps)) schedule(static)
        for (int64_t i = 0; i < n; i++) {
            int64_t lo, hi;
            share(steps_of(s), 1, (int)(i % s->threads), s->threads, &lo, &hi);
            s->isa->pack(&j, i / s->threads, lo, hi);
        }
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

ConvJob conv_phase_job(const ConvCore *s, const ConvJob *whole, int f)
{
    const ConvPhase *q = &s->phase[f];
    ConvJob j = *whole;
    j.kh = q->kh, j.kw = q->kw, j.pad_h = q->pad_h, j.pad_w = q->pad_w, j.Ho = q->Ho, j.Wo = q->Wo;
    j.y_top = q->top, j.y_left = q->left;
    if (j.w) j.w += q->taps_before * tap_bytes(s);
    return j;
}

/* Rows [lo, hi) of a phase, counted through images as if each had `high` of them; where they begin, in pixels. */
static int64_t phase_pixel(const ConvPhase *q, int64_t row, int64_t high)
{
    return (row / high * q->Ho + MIN(row % high, q->Ho)) * q->Wo;
}

/* Phases write into the same rows, or lines of the cache: they go together, a band of rows at a time. */
static void compute_phases(const ConvCore *s, const ConvJob *j, char *scratch)
{
    enum { BAND_BYTES = 256 << 10 };
    int64_t high = s->phase[0].Ho, items = s->N * high, panels = conv_panels(j->O, s->form);
    int64_t row_bytes = j->Wo * s->stride * j->O * (j->y_type == F32 ? 4 : 2), band = MAX(BAND_BYTES / row_bytes, 1);
    int across = conv_output_shares(s, items), along = s->threads / across;
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int i = 0; i < across * along; i++) {
        int64_t lo, hi, p0, p1;
        share(items, 1, i / across, along, &lo, &hi);
        share(panels, 1, i % across, across, &p0, &p1);
        for (int64_t at = lo; at < hi; at += band)
            for (int f = 0; f < s->phases; f++) {
                ConvJob part = conv_phase_job(s, j, f);
                int64_t first = phase_pixel(&s->phase[f], at, high);
                int64_t end = phase_pixel(&s->phase[f], MIN(at + band, hi), high);
                s->isa->conv(&part, first, end, p0, p1, scratch + (size_t)i * s->thread_bytes);
            }
    }
}

int64_t conv_moments_bytes(const ConvCore *s)
{
    return (int64_t)s->threads * 2 * s->job.O * (int64_t)sizeof(double);
}

void conv_compute(const ConvCore *s, const ConvJob *j, char *scratch)
{
    int64_t items = s->winograd ? conv_tiles(s) : s->N * j->Ho * j->Wo;
    int across = conv_output_shares(s, items), along = s->threads / across;
    if (s->phases > 1) {
        compute_phases(s, j, scratch);
        return;
    }
    ConvJob one = conv_phase_job(s, j, 0);
    double *partial = one.moments;
    if (partial) memset(partial, 0, (size_t)conv_moments_bytes(s));
#pragma omp parallel for num_threads(s->threads) schedule(static) firstprivate(one)
    for (int i = 0; i < across * along; i++) {
        int64_t lo, hi, p0, p1;
        if (partial) one.moments = partial + i / across * 2 * j->O;
        share(items, 8, i / across, along, &lo, &hi);
        share(conv_panels(j->O, s->form), 1, i % across, across, &p0, &p1);
        if (s->winograd)
            s->isa->winograd(&one, lo, hi, p0, p1, scratch + (size_t)i * s->thread_bytes);
        else
            s->isa->conv(&one, lo, hi, p0, p1, scratch + (size_t)i * s->thread_bytes);
    }
    for (int i = 1; partial && i < along; i++) {
        int64_t lo, hi;
        share(items, 8, i, along, &lo, &hi);
        merge_moments(partial, lo, partial + 2 * i * j->O, hi - lo, j->O);
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
    c->residual = !dw && has_in(p, 3);
    if (c->residual && p->in[3].dtype != p->out[0].dtype) return decline(why, n, "residual of another type");
    if (!dx && !dw) c->act = attr_text(p->node, "act"), c->bias = has_in(p, 2);
    return true;
}

/* dx[s i + r] = sum over t of dy[i + q - t] w[first + s t], where first = (r + pad) mod s and q = (r + pad - first) /
 * s: a convolution with a mirrored part of the taps for each r. */
static void set_phases(ConvCore *s)
{
    const ConvJob *j = &s->job;
    int64_t stride = s->mirrored ? s->stride : 1, before = 0;
    for (int64_t r = 0; r < stride * stride; r++) {
        ConvPhase *q = &s->phase[s->phases++];
        *q = (ConvPhase) { j->kh, j->kw, j->pad_h, j->pad_w, j->Ho, j->Wo, 0, 0, 0, 0, before };
        if (!s->mirrored) continue;
        q->top = r / stride, q->left = r % stride;
        q->tap_h = (q->top + j->pad_h) % stride, q->tap_w = (q->left + j->pad_w) % stride;
        q->kh = (j->kh - q->tap_h + stride - 1) / stride, q->kw = (j->kw - q->tap_w + stride - 1) / stride;
        q->pad_h = j->dilation * (q->kh - 1) - (q->top + j->pad_h) / stride;
        q->pad_w = j->dilation * (q->kw - 1) - (q->left + j->pad_w) / stride;
        q->Ho = (j->Ho - q->top + stride - 1) / stride, q->Wo = (j->Wo - q->left + stride - 1) / stride;
        before += q->kh * q->kw;
    }
}

bool conv_core(const Cpu *cpu, const DnnConv *c, int threads, ConvCore *s, char *why, size_t n)
{
    bool dx = c->pass == DNN_DX;
    ConvJob j = { .type = dx ? c->y : c->x, .y_type = dx ? c->x : c->y, .C = c->c, .H = c->h, .W = c->w };
    j.O = c->o, j.Ho = c->ho, j.Wo = c->wo, j.kh = c->kh, j.kw = c->kw, j.pad_h = c->pad_h, j.pad_w = c->pad_w;
    j.stride = c->stride, j.dilation = c->dilation, j.act = act_of(c->act);
    if (dx) j.C = c->o, j.H = c->ho, j.W = c->wo, j.O = c->c, j.Ho = c->h, j.Wo = c->w, j.stride = 1;
    j.y_every = dx ? c->stride : 1, j.y_high = j.Ho, j.y_wide = j.Wo;
    if (c->groups != 1) return decline(why, n, "groups");
    ConvForm form = cpu->isa->conv_form(j.type);
    if (dx && c->stride != 1 && !(form.tiles && c->stride == 2 && c->dilation == 1 && MIN(c->kh, c->kw) > 1))
        return decline(why, n, "gradient of stride %lld", (long long)c->stride);
    if (j.act == N_ACT) return decline(why, n, "activation '%s'", c->act);
    long long taps = j.kh * j.kw;
    if (taps > CONV_MAX_TAPS) return decline(why, n, "kernel of %lld taps", taps);
    *s = (ConvCore) { .isa = cpu->isa, .form = form, .N = c->n, .job = j, .mirrored = dx, .stride = c->stride };
    set_phases(s);
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

bool conv_direct_takes(const ConvCore *s, char *why, size_t n)
{
    int64_t run = (s->job.C + 1) / 2, joined = s->job.dilation == 1 ? run * s->job.kw : run;
    if (!s->form.tiles) return true;
    if (run > CONV_TILE_STEPS && MAX(conv_tile_steps(run), conv_tile_steps(joined)) < CONV_TILE_STEPS / 2)
        return decline(why, n, "%lld channels do not divide well into tiles", (long long)s->job.C);
    return true;
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
    if (a->moments_out) j.moments = (double *)(scratch + s->moments_at);
    conv_compute(core, &j, scratch);
    if (a->moments_out) memcpy(a->moments_out, j.moments, 2 * (size_t)j.O * sizeof *j.moments);
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
    s->moments_at = mem_round((size_t)s->core.threads * s->core.thread_bytes + (s->constant ? 0 : bytes));
    if (!accept(k, cpu, s, sizeof *s, run, why, n)) return false;
    k->gives_moments = p->moments_wanted && s->core.form.tiles && s->core.job.y_type == BF16 &&
                       s->core.job.act == ACT_NONE && s->res < 0 && s->core.phases == 1;
    k->scratch_bytes = s->moments_at + (k->gives_moments ? (size_t)conv_moments_bytes(&s->core) : 0);
    k->strided_in = 1 | (s->res >= 0 ? 1 << 3 : 0);
    k->strided_out = 1;
    if (s->constant) kernel_packs(k, bytes, pack_once, "%s", conv_form_text(&s->core, CONV_PACKED, form, sizeof form));
    return true;
}
