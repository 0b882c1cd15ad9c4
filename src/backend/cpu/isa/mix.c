/* SPDX-License-Identifier: Apache-2.0
 *
 * sum_k mix[k] bank_k over packed weights, scaled and brought into Winograd's form on the way. Sums are f32; bf16 is
 * rounded once. A lane of bf16 holds two numbers, which are taken apart by a shift and a mask. */
#include "backend/cpu/isa/vec.h"

/* The two bf16 of every lane; F32: one number, in a. */
typedef struct Pair {
    V a, b;
} Pair;

INLINE Pair mixed(const MixJob *j, const char *from, int64_t K, DType t)
{
    Pair s = { vset(0), vset(0) };
    for (int64_t k = 0; k < K; k++, from += j->apart) {
        V share = vset(j->mix ? j->mix[k] : 1);
        if (t == F32) {
            s.a += share * vload(from, F32, VL);
        } else {
            VU u;
            memcpy(&u, from, sizeof u);
            s.a += share * (V)(u << 16);
            s.b += share * (V)(u & 0xffff0000u);
        }
    }
    return s;
}

INLINE void put(char *to, Pair s, DType t)
{
    if (t == F32) {
        vstore(to, F32, VL, s.a);
    } else {
        VU u = __builtin_convertvector(to_bf16(s.a), VU) | __builtin_convertvector(to_bf16(s.b), VU) << 16;
        memcpy(to, &u, sizeof u);
    }
}

/* With K a constant where it is a usual one, the loop over kernels vanishes. */
#define FOR_KERNELS(j, K, body)                                                                                        \
    do {                                                                                                               \
        if ((j)->K == 4) {                                                                                             \
            const int64_t K = 4;                                                                                       \
            body;                                                                                                      \
        } else if ((j)->K == 1) {                                                                                      \
            const int64_t K = 1;                                                                                       \
            body;                                                                                                      \
        } else {                                                                                                       \
            const int64_t K = (j)->K;                                                                                  \
            body;                                                                                                      \
        }                                                                                                              \
    } while (0)

INLINE void mix_all(const MixJob *j, int64_t lo, int64_t hi, int64_t K, DType t)
{
    for (int64_t i = lo; i < hi; i += VL)
        put(j->to + i * 4, mixed(j, j->bank + i * 4, K, t), t);
}

void ISA_NAME(mix)(const MixJob *j, int64_t lo, int64_t hi)
{
    FOR_KERNELS(j, K, FOR_TYPE(j->type, t, mix_all(j, lo, hi, K, t)));
}

INLINE void mix_lines(const MixJob *j, const MixBlock *b, int64_t K, DType t)
{
    const float *row = j->row + b->row, *lane = j->lane + b->lane;
    const char *from = j->bank + b->from * 4;
    char *to = j->to + b->to * 4;
    for (int64_t i = 0; i < b->lines; i++) {
        V a = vset(row[t == F32 ? i : 2 * i]), z = vset(t == F32 ? 0 : row[2 * i + 1]);
        for (int64_t c = 0; c < b->width; c += VL, from += VBYTES, to += VBYTES) {
            V f = vload(lane + c, F32, VL);
            Pair s = mixed(j, from, K, t);
            s.a *= a * f;
            if (t != F32) s.b *= z * f;
            put(to, s, t);
        }
    }
}

void ISA_NAME(mix_scaled)(const MixJob *j, int64_t lo, int64_t hi)
{
    for (int64_t i = lo; i < hi; i++)
        FOR_KERNELS(j, K, FOR_TYPE(j->type, t, mix_lines(j, &j->block[i], K, t)));
}

/* (a, b, c) -> G (a, b, c)^T, G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1] */
INLINE void widen(V a, V b, V c, V *to)
{
    V even = 0.5f * (a + c), odd = 0.5f * b;
    to[0] = a, to[1] = even + odd, to[2] = even - odd, to[3] = c;
}

/* Lines of a block lie nine and nine, the taps of an input channel; U = G g G^T has sixteen. */
INLINE void mix_transformed(const MixJob *j, const MixBlock *b, int64_t K)
{
    int64_t line = b->width * 4;
    const char *from = j->bank + b->from * 4;
    char *to = j->to + b->to * 4;
    for (int64_t i = 0; i < b->lines; i++, from += 8 * line)
        for (int64_t c = 0; c < b->width; c += VL, from += VBYTES, to += VBYTES) {
            V f = vload(j->lane + b->lane + c, F32, VL), g[9], t[3][4], u[4];
            for (int k = 0; k < 9; k++)
                g[k] = mixed(j, from + k * line, K, F32).a * (f * j->row[k * j->tap + b->row + i]);
            for (int k = 0; k < 3; k++)
                widen(g[k], g[3 + k], g[6 + k], t[k]);
            for (int e = 0; e < 4; e++) {
                widen(t[0][e], t[1][e], t[2][e], u);
                for (int k = 0; k < 4; k++)
                    vstore(to + (4 * e + k) * b->plane * 4, F32, VL, u[k]);
            }
        }
}

void ISA_NAME(mix_winograd)(const MixJob *j, int64_t lo, int64_t hi)
{
    for (int64_t i = lo; i < hi; i++)
        FOR_KERNELS(j, K, mix_transformed(j, &j->block[i], K));
}
