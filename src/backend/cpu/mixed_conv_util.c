/* SPDX-License-Identifier: Apache-2.0
 *
 * Which convolution runs, the packed bank, and the mixture. See mixed_conv_util.h. */
#include "backend/cpu/mixed_conv_util.h"

struct MixedConv {
    DnnConv c;
    const Isa *isa;
    DnnOp *op;     /* oneDNN's convolution, or NULL: */
    ConvCore core; /* that of isa/ */
    char *zeros;   /* what lies outside its image */
    int64_t K, taps;
    int threads;
    DType type;                 /* of packed weights */
    int64_t apart, mixed_bytes; /* of a packed kernel, and of a mixture */
    bool scaled;                /* mixtures have factors */
    MixBlock *block;            /* the layout; NULL where nothing depends on it, or where it has no lines; then: */
    int64_t *at[5];             /* element [g,o,i,h,w] lies at the sum of its five entries */
    int64_t n_block, cap_block;
    bool gaps;           /* the blocks do not cover a kernel: the rest is zero */
    int64_t rows, lanes; /* lengths of the factors: of a tap's rows, and of the lanes */
    int mix_threads;
};

static int64_t up(int64_t x, int64_t step)
{
    return (x + step - 1) / step * step;
}

static int64_t weights(const MixedConv *m)
{
    return m->c.o * (m->c.c / m->c.groups) * m->taps;
}

/* ---- layouts -------------------------------------------------------------------------------------------------- */

enum { BLOCK_FLOATS = 1024 }; /* enough to be worth a call, little enough to divide evenly */

/* Appends lines to the blocks; `step` floats of the bank are behind a line's own. */
static bool add_lines(MixedConv *m, MixBlock b, int64_t taps)
{
    int64_t per = MAX(BLOCK_FLOATS / (b.width * taps), 1);
    for (int64_t lines = b.lines; lines > 0; lines -= per) {
        if (m->n_block == m->cap_block) {
            int64_t cap = MAX(2 * m->cap_block, 64);
            MixBlock *more = mem_alloc((size_t)cap * sizeof *more);
            if (!more) return false;
            if (m->n_block) memcpy(more, m->block, (size_t)m->n_block * sizeof *more);
            mem_free(m->block);
            m->block = more, m->cap_block = cap;
        }
        b.lines = (int32_t)MIN(per, lines);
        m->block[m->n_block++] = b;
        b.from += b.lines * b.width * taps, b.to += b.lines * b.width;
        b.row += b.lines * (m->type == BF16 ? 2 : 1);
    }
    return true;
}

/* A line is a panel's outputs at one step. */
static bool core_blocks(MixedConv *m)
{
    const ConvCore *s = &m->core;
    int64_t VL = s->form.lanes, panels = conv_panels(s->job.O, s->form);
    int64_t lines = m->type == BF16 ? (s->job.C + 1) / 2 : s->job.C;
    m->rows = up(s->job.C, 2), m->lanes = up(s->job.O, VL);
    for (int64_t p = 0; p < panels; p++) {
        int64_t first = conv_panel(s->job.O, s->form, p) * VL,
                width = conv_panel(s->job.O, s->form, p + 1) * VL - first;
        MixBlock b = { .lane = (int32_t)first, .width = (int32_t)width, .plane = lines * width };
        for (int f = 0; f < s->phases; f++) {
            int64_t taps = s->phase[f].kh * s->phase[f].kw, before = s->phase[f].taps_before;
            for (int64_t t = 0; t < (s->winograd ? 1 : taps); t++) {
                b.lines = (int32_t)lines, b.row = (int32_t)((before + t) * m->rows);
                b.from = (before * m->lanes + first * taps + t * width) * lines;
                b.to = s->winograd ? first * 16 * lines : b.from;
                if (!add_lines(m, b, s->winograd ? taps : 1)) return false;
            }
        }
    }
    return true;
}

/* oneDNN's: tables of where indices lie. */
static bool dnn_places(MixedConv *m)
{
    int64_t size[5] = { m->c.groups, m->c.o / m->c.groups, m->c.c / m->c.groups, m->c.kh, m->c.kw };
    for (int d = 0; d < 5; d++) {
        if (!(m->at[d] = mem_alloc((size_t)size[d] * sizeof *m->at[d]))) return false;
        for (int64_t i = 0; i < size[d]; i++)
            if ((m->at[d][i] = dnn_weight_at(m->op, d, i)) < 0) return false;
    }
    return true;
}

/* How many indices from 0 on lie `unit` apart; 0 unless all others repeat that, from even places on where unit is 2. */
static int64_t run_length(const int64_t *at, int64_t n, int64_t unit)
{
    int64_t w = 1;
    while (w < n && at[w] == at[0] + w * unit)
        w++;
    for (int64_t i = 0; i < n; i++)
        if (at[i] != at[i - i % w] + i % w * unit || (i % w == 0 && at[i] % unit)) return 0;
    return w;
}

/* Lines of oneDNN's layouts: lanes along the outputs, for a gradient along the inputs. False: there are none. */
static bool dnn_lines(const MixedConv *m, int lane_dim, int64_t *width)
{
    int64_t I = m->c.c / m->c.groups, O = m->c.o / m->c.groups, lanes = lane_dim == 1 ? O : I;
    int64_t n_row = lane_dim == 1 ? I : O, unit = m->type == BF16 ? 2 : 1, vl = m->isa->conv_form(F32).lanes;
    const int64_t *row = m->at[3 - lane_dim];
    *width = run_length(m->at[lane_dim], lanes, unit);
    if (!*width || *width % vl || (m->c.groups > 1 && lanes % *width)) return false;
    for (int64_t i = 0; unit == 2 && i + 1 < n_row; i += 2)
        if (row[i] % 2 || row[i + 1] != row[i] + 1) return false;
    return unit == 1 || n_row % 2 == 0 || row[n_row - 1] % 2 == 0;
}

static bool dnn_blocks(MixedConv *m)
{
    int lane_dim = m->c.pass == DNN_DX ? 2 : 1;
    int64_t I = m->c.c / m->c.groups, O = m->c.o / m->c.groups, unit = m->type == BF16 ? 2 : 1, width, units = 0;
    int64_t lanes = lane_dim == 1 ? O : I, rows = lane_dim == 1 ? I : O, *row = m->at[3 - lane_dim];
    bool lines = dnn_lines(m, lane_dim, &width);
    m->rows = up(m->c.groups * rows, 2), m->lanes = up(m->c.groups * lanes, lines ? width : 1);
    if (!lines) return true;
    for (int64_t g = 0; g < m->c.groups; g++)
        for (int64_t l = 0; l < lanes; l += width)
            for (int64_t r = 0, n = unit; r < rows; r += n, n = unit) {
                while (r + n < rows && row[r + n] == row[r] + n * width)
                    n += unit;
                for (int64_t t = 0; t < m->taps; t++) {
                    int64_t h = t / m->c.kw, w = t % m->c.kw;
                    MixBlock b = { .width = (int32_t)width, .lane = (int32_t)(g * lanes + l) };
                    b.from = (m->at[0][g] + m->at[lane_dim][l] + row[r] + m->at[3][h] + m->at[4][w]) / unit;
                    b.to = b.from, b.row = (int32_t)(t * m->rows + g * rows + r);
                    b.lines = (int32_t)((n + unit - 1) / unit);
                    units += b.lines * width;
                    if (!add_lines(m, b, 1)) return false;
                }
            }
    m->gaps = units * 4 != m->mixed_bytes;
    return true;
}

/* ---- making one ----------------------------------------------------------------------------------------------- */

void mixed_conv_free(MixedConv **p)
{
    MixedConv *m = *p;
    if (!m) return;
    dnn_op_free(&m->op);
    mem_free(m->zeros);
    mem_free(m->block);
    for (int d = 0; d < 5; d++)
        mem_free(m->at[d]);
    mem_free(m);
    *p = NULL;
}

/* As for conv2d: isa/ before oneDNN where it takes the convolution. */
static bool choose(MixedConv *m, const Cpu *cpu, char *why, size_t n)
{
    ConvCore *s = &m->core;
    if (conv_core(cpu, &m->c, m->threads, s, why, n) && conv_direct_takes(s, why, n)) {
        conv_core_winograd(s, conv_winograd_takes(s, why, n));
        m->type = s->form.pairs ? BF16 : F32;
        m->mixed_bytes = s->w_bytes;
        m->apart = s->winograd ? s->w_bytes / 16 * 9 : s->w_bytes;
        m->zeros = mem_alloc((size_t)s->job.C * 4);
        if (m->zeros) memset(m->zeros, 0, (size_t)s->job.C * 4);
        return m->zeros != NULL;
    }
    if (!(m->op = dnn_conv(cpu->dnn, &m->c, m->threads, why, n))) return false;
    int64_t packed = (int64_t)dnn_packed_bytes(m->op);
    m->type = packed && (m->c.pass == DNN_DX ? m->c.y : m->c.x) == BF16 ? BF16 : F32;
    m->apart = m->mixed_bytes = packed ? packed : weights(m) * 4;
    return true;
}

MixedConv *mixed_conv_new(const Cpu *cpu, const DnnConv *c, int64_t K, bool scaled, int threads, char *why, size_t n)
{
    MixedConv *m = mem_alloc(sizeof *m);
    if (!m) return decline(why, n, "out of memory"), NULL;
    *m = (MixedConv) { .c = *c, .isa = cpu->isa, .K = K, .taps = c->kh * c->kw, .threads = threads, .scaled = scaled };
    bool ok = choose(m, cpu, why, n);
    if (ok) {
        m->apart = up(m->apart, 64), m->mixed_bytes = up(m->mixed_bytes, 64);
        m->mix_threads = threads_for(threads, K * weights(m));
        if (!m->op && (scaled || m->core.winograd)) ok = core_blocks(m);
        if (m->op && scaled) ok = dnn_places(m) && dnn_blocks(m);
        if (!ok) decline(why, n, "out of memory, or a layout of weights without order");
    }
    if (!ok) mixed_conv_free(&m);
    return m;
}

const char *mixed_conv_impl(const MixedConv *m)
{
    return m->op ? dnn_impl(m->op) : m->isa->name;
}

bool mixed_conv_strided(const MixedConv *m)
{
    return !m->op;
}

/* ---- the bank ------------------------------------------------------------------------------------------------- */

size_t mixed_conv_bank_bytes(const MixedConv *m)
{
    return (size_t)(m->K * m->apart);
}

static ConvOrder bank_order(const MixedConv *m)
{
    return m->core.winograd ? CONV_TAPS_INSIDE : CONV_PACKED;
}

char *mixed_conv_form(const MixedConv *m, char *buf, size_t n)
{
    return m->op ? dnn_packed_form(m->op, buf, n) : conv_form_text(&m->core, bank_order(m), buf, n);
}

Status mixed_conv_pack(const MixedConv *m, const float *bank, void *packed, Error *err)
{
    for (int64_t k = 0; k < m->K; k++) {
        const float *w = bank + k * weights(m);
        char *to = (char *)packed + k * m->apart;
        memset(to + m->apart - 64, 0, 64);
        if (!m->op)
            conv_pack(&m->core, w, bank_order(m), to);
        else if (dnn_packed_bytes(m->op))
            TRY(dnn_pack(m->op, w, to, err));
        else
            memcpy(to, w, (size_t)weights(m) * 4);
    }
    return DYN_OK;
}

/* ---- a sample ------------------------------------------------------------------------------------------------- */

/* Scratch: the mixture, factors of rows and of lanes, the convolution's own. */
static int64_t rows_at(const MixedConv *m)
{
    return m->mixed_bytes;
}
static int64_t lanes_at(const MixedConv *m)
{
    return rows_at(m) + up(m->rows * m->taps * 4, 64);
}
static int64_t own_at(const MixedConv *m)
{
    return lanes_at(m) + up(m->lanes * 4, 64);
}

size_t mixed_conv_scratch_bytes(const MixedConv *m)
{
    size_t own = m->op ? dnn_scratch_bytes(m->op) : (size_t)m->core.threads * m->core.thread_bytes;
    return (size_t)own_at(m) + own;
}

/* row [taps][rows], lane [lanes]: zero where there is no channel. Rows are inputs and lanes are outputs, in a gradient
 * the other way round. Taps are in the order of the packed ones. */
static void factors(const MixedConv *m, const Mixture *x, float *row, float *lane)
{
    bool dx = m->c.pass == DNN_DX;
    const float *of_row = dx ? x->out_scale : x->in_scale, *of_lane = dx ? x->in_scale : x->out_scale;
    int64_t n_row = dx ? m->c.o : m->c.c, n_lane = dx ? m->c.c : m->c.o;
    for (int f = 0; f < (m->op ? 1 : m->core.phases); f++) {
        int64_t taps = m->op ? m->taps : m->core.phase[f].kh * m->core.phase[f].kw;
        for (int64_t t = 0; t < taps; t++, row += m->rows) {
            float s = x->spatial ? x->spatial[m->op ? t : conv_source_tap(&m->core, f, t)] : 1;
            for (int64_t i = 0; i < m->rows; i++)
                row[i] = i < n_row ? s * (of_row ? of_row[i] : 1) : 0;
        }
    }
    for (int64_t i = 0; i < m->lanes; i++)
        lane[i] = i < n_lane ? of_lane ? of_lane[i] : 1 : 0;
}

/* A layout without lines, element by element. */
static void mix_scattered(const MixedConv *m, const MixJob *j)
{
    bool dx = m->c.pass == DNN_DX;
    int64_t O = m->c.o / m->c.groups, I = m->c.c / m->c.groups;
#pragma omp parallel for num_threads(m->mix_threads) schedule(static)
    for (int64_t o = 0; o < m->c.o; o++)
        for (int64_t i = 0; i < I; i++)
            for (int64_t t = 0; t < m->taps; t++) {
                int64_t g = o / O, ch = g * I + i;
                int64_t at =
                    m->at[0][g] + m->at[1][o % O] + m->at[2][i] + m->at[3][t / m->c.kw] + m->at[4][t % m->c.kw];
                float sum = 0;
                for (int64_t k = 0; k < m->K; k++) {
                    const char *from = j->bank + k * j->apart;
                    float w = m->type == F32 ? ((const float *)from)[at] : bf16_to_f32(((const uint16_t *)from)[at]);
                    sum += j->mix ? j->mix[k] * w : w;
                }
                sum *= j->row[t * m->rows + (dx ? o : ch)] * j->lane[dx ? ch : o];
                if (m->type == F32)
                    ((float *)j->to)[at] = sum;
                else
                    ((uint16_t *)j->to)[at] = f32_to_bf16(sum);
            }
}

static const void *mix(const MixedConv *m, const void *packed, const Mixture *x, char *scratch)
{
    bool winograd = !m->op && m->core.winograd;
    MixJob j = { .bank = packed, .K = m->K, .apart = m->apart, .type = m->type, .mix = x->mix, .tap = m->rows };
    float *row = (float *)(scratch + rows_at(m)), *lane = (float *)(scratch + lanes_at(m));
    if (!m->scaled && !x->mix && !winograd) return packed;
    j.row = row, j.lane = lane, j.block = m->block, j.to = scratch;
    if (m->scaled || winograd) factors(m, x, row, lane);
    if (m->scaled && (m->gaps || !m->block)) memset(scratch, 0, (size_t)m->mixed_bytes);
    if (m->scaled && !m->block) return mix_scattered(m, &j), scratch;
    int64_t units = m->block ? m->n_block : m->mixed_bytes / 4;
#pragma omp parallel for num_threads(m->mix_threads) schedule(static)
    for (int i = 0; i < m->mix_threads; i++) {
        int64_t lo, hi;
        share(units, m->block ? 1 : 16, i, m->mix_threads, &lo, &hi);
        (winograd ? m->isa->mix_winograd : m->block ? m->isa->mix_scaled : m->isa->mix)(&j, lo, hi);
    }
    return scratch;
}

Status mixed_conv_run(const MixedConv *m, const void *packed, const Mixture *x, const MixedArgs *a, void *scratch,
                      Error *err)
{
    const void *w = mix(m, packed, x, scratch);
    char *own = (char *)scratch + own_at(m);
    if (m->op) {
        DnnArgs d = { .res = a->res, .b = a->bias, .w = w, .out = a->y, .scratch = own };
        if (m->c.pass == DNN_DX)
            d.dy = a->x;
        else
            d.x = a->x;
        return dnn_run(m->op, &d, err);
    }
    ConvJob j = m->core.job;
    j.x = a->x, j.w = w, j.zeros = m->zeros, j.y = a->y, j.x_pixel = a->x_pixel, j.y_pixel = a->y_pixel;
    j.bias = a->bias, j.res = a->res, j.res_pixel = a->res_pixel;
    conv_compute(&m->core, &j, own);
    return DYN_OK;
}
