/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradients of mixtures (spec D.4). A few samples at a time pass over a vector of every kernel while that and its
 * gradient lie in registers, so that the bank is read and written once for all of them. Each element of dbank is summed
 * in the order of samples. */
#include "backend/cpu/isa/vec.h"

enum { TOGETHER = 4, MAX_K = 64 };

/* One output of S samples from the first one `s` on. */
typedef struct Output {
    const MixGrad *j;
    int64_t s, apart;            /* from kernel to kernel in the bank */
    const float *e, *tap, *bank; /* of this output; sample i's e and tap are e_apart and tap_apart behind */
    float *dbank, *du;
    int64_t tap_apart;
    const float *mix;
    float f[TOGETHER];
    bool fresh;
} Output;

typedef struct Sums {
    V dmix[TOGETHER][MAX_K], dout[TOGETHER];
} Sums;

/* n columns, a vector or less, from c on. scaled: there are scales, whose gradients are wanted. */
INLINE void columns(const Output *p, Sums *sum, int64_t c, int n, int S, int64_t K, bool scaled)
{
    V w[MAX_K], dw[MAX_K];
    for (int64_t k = 0; k < K; k++) {
        w[k] = vload(p->bank + k * p->apart + c, F32, n);
        dw[k] = p->fresh ? vset(0) : vload(p->dbank + k * p->apart + c, F32, n);
    }
    for (int s = 0; s < S; s++) {
        const float *mix = p->mix ? p->mix + s * K : NULL;
        V raw = vload(p->e + s * p->j->e_apart + c, F32, n), m = vset(0);
        V part = scaled ? raw * vload(p->tap + s * p->tap_apart + c, F32, n) : raw,
          whole = scaled ? part * p->f[s] : raw;
        for (int64_t k = 0; k < K; k++) {
            V a = vset(mix ? mix[k] : 1);
            sum->dmix[s][k] += whole * w[k];
            dw[k] += a * whole;
            if (scaled) m += a * w[k];
        }
        if (scaled) {
            float *du = p->du + s * p->tap_apart + c;
            sum->dout[s] += part * m;
            vstore(du, F32, n, vload(du, F32, n) + p->f[s] * (raw * m));
        }
    }
    for (int64_t k = 0; k < K; k++)
        vstore(p->dbank + k * p->apart + c, F32, n, dw[k]);
}

INLINE void output(const MixGrad *j, int64_t s, int64_t o, int S, int64_t K, bool scaled)
{
    int64_t at = o * j->row, groups = j->O / j->per_group, g = (s * groups + o / j->per_group) * j->row;
    Output p = { .j = j, .s = s, .apart = j->O * j->row, .e = j->e + s * j->e_apart + at, .bank = j->bank + at };
    p.dbank = j->dbank + at, p.tap_apart = groups * j->row, p.fresh = j->fresh && s == 0;
    if (j->mix) p.mix = j->mix + s * K;
    if (scaled) p.tap = j->tap + g, p.du = j->du + g;
    for (int i = 0; i < S; i++)
        p.f[i] = j->out_scale ? j->out_scale[(s + i) * j->O + o] : 1;
    Sums sum;
    for (int i = 0; i < S; i++) {
        sum.dout[i] = vset(0);
        for (int64_t k = 0; k < K; k++)
            sum.dmix[i][k] = vset(0);
    }
    int64_t c = 0;
    for (; c + VL <= j->row; c += VL)
        columns(&p, &sum, c, VL, S, K, scaled);
    if (c < j->row) columns(&p, &sum, c, (int)(j->row - c), S, K, scaled);
    for (int i = 0; i < S; i++) {
        for (int64_t k = 0; k < K; k++)
            j->dmix[(s + i) * K + k] += (double)vsum(sum.dmix[i][k]);
        if (scaled) j->dout[(s + i) * j->O + o] = (double)vsum(sum.dout[i]);
    }
}

INLINE void outputs(const MixGrad *j, int64_t lo, int64_t hi, int64_t K, bool scaled)
{
    for (int64_t o = lo; o < hi; o++)
        for (int64_t s = 0; s < j->n; s += TOGETHER)
            if (j->n - s >= TOGETHER)
                output(j, s, o, TOGETHER, K, scaled);
            else
                output(j, s, o, (int)(j->n - s), K, scaled);
}

void ISA_NAME(mix_grad)(const MixGrad *j, int64_t lo, int64_t hi)
{
    /* With K a constant where it is a usual one, sums stay in registers. */
    if (j->K == 4 && j->du)
        outputs(j, lo, hi, 4, true);
    else if (j->K == 4)
        outputs(j, lo, hi, 4, false);
    else if (j->K == 1 && j->du)
        outputs(j, lo, hi, 1, true);
    else if (j->du)
        outputs(j, lo, hi, j->K, true);
    else
        outputs(j, lo, hi, j->K, false);
}
