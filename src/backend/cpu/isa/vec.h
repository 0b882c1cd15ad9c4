/* SPDX-License-Identifier: Apache-2.0
 *
 * The vector vocabulary that kernels are written in once: V is as many floats as the level's registers hold, through
 * the vector extensions that gcc and clang share; intrinsics only where the compilers miss the instruction. bf16 is
 * loaded by a shift, stored rounded to nearest even. Compiled with -ffp-contract=fast, so that a * b + c is one
 * instruction where the level has it. */
#ifndef VEC_H
#define VEC_H

#include "backend/cpu/isa/isa.h"

#include <math.h>
#include <immintrin.h>

#if defined(__AVX512F__)
#define VBYTES 64
#elif defined(__AVX2__)
#define VBYTES 32
#else
#define VBYTES 16
#endif
enum { VL = VBYTES / 4 };

typedef float V __attribute__((vector_size(VBYTES)));
typedef int32_t VI __attribute__((vector_size(VBYTES)));
typedef uint32_t VU __attribute__((vector_size(VBYTES)));
typedef uint16_t VH __attribute__((vector_size(VBYTES / 2)));
typedef uint8_t VB __attribute__((vector_size(VBYTES / 4)));

#define INLINE static inline __attribute__((always_inline))

INLINE V vset(float x)
{
    return (V) { 0 } + x;
}
INLINE V vselect(VI mask, V a, V b)
{
    return (V)((mask & (VI)a) | (~mask & (VI)b));
}
/* b where either is NaN */
INLINE V vmax(V a, V b)
{
#if defined(__AVX512F__)
    return (V)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (V)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return (V)_mm_max_ps((__m128)a, (__m128)b);
#endif
}
INLINE V vmin(V a, V b)
{
#if defined(__AVX512F__)
    return (V)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (V)_mm256_min_ps((__m256)a, (__m256)b);
#else
    return (V)_mm_min_ps((__m128)a, (__m128)b);
#endif
}

/* ---- memory: n elements (0 < n <= VL) of a type; missing lanes read as zero ---------------------------------- */

INLINE V from_bf16(VH h)
{
#if defined(__AVX512F__) /* gcc 12 widens it by halves that it puts together again */
    return (V)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)h), 16);
#else
    return (V)(__builtin_convertvector(h, VU) << 16);
#endif
}

INLINE VH to_bf16(V x)
{
#if defined(__AVX512BF16__)
    return (VH)_mm512_cvtneps_pbh((__m512)x);
#else
    VU u = (VU)x, round = u + 0x7fff + (u >> 16 & 1), nan = u | 0x400000;
    VI is_nan = x != x;
    return __builtin_convertvector((((VU)is_nan & nan) | (~(VU)is_nan & round)) >> 16, VH);
#endif
}

INLINE V vload(const void *p, DType t, int n)
{
    V x = { 0 };
    if (t == F32) {
        if (n == VL)
            memcpy(&x, p, sizeof x);
        else
            memcpy(&x, p, 4 * (size_t)n);
        return x;
    }
    if (t == U8) {
        VB b = { 0 };
        memcpy(&b, p, n == VL ? sizeof b : (size_t)n);
#if defined(__AVX512F__) /* gcc converts the bytes one by one */
        return (V)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32((__m128i)b));
#else
        return __builtin_convertvector(b, V);
#endif
    }
    VH h = { 0 };
    if (n == VL)
        memcpy(&h, p, sizeof h);
    else
        memcpy(&h, p, 2 * (size_t)n);
    return from_bf16(h);
}

INLINE void vstore(void *p, DType t, int n, V x)
{
    if (t == F32) {
        memcpy(p, &x, n == VL ? sizeof x : 4 * (size_t)n);
        return;
    }
    VH h = to_bf16(x);
    memcpy(p, &h, n == VL ? sizeof h : 2 * (size_t)n);
}

INLINE float load1(const void *p, DType t)
{
    return t == F32 ? *(const float *)p : bf16_to_f32(*(const uint16_t *)p);
}

INLINE const char *block_row(const Block *b, int64_t r, int64_t bytes)
{
    return (const char *)b->data + r * b->ld * bytes;
}

INLINE float vsum(V x)
{
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps((__m512)x);
#else
    float s = 0;
    for (int i = 0; i < VL; i++)
        s += x[i];
    return s;
#endif
}
INLINE float vtop(V x)
{
#if defined(__AVX512F__)
    return _mm512_reduce_max_ps((__m512)x);
#else
    float s = x[0];
    for (int i = 1; i < VL; i++)
        s = x[i] > s ? x[i] : s;
    return s;
#endif
}

/* ---- functions ---------------------------------------------------------------------------------------------- */

/* e^x, relative error below 2^-22: x = n ln 2 + r with |r| <= ln 2 / 2, a minimax polynomial for e^r, n put into the
 * exponent. Saturates at the ends of the normal numbers instead of going to 0 or infinity; NaN stays NaN. */
INLINE V vexp(V x)
{
    const float round = 12582912.0f; /* 1.5 * 2^23: adding it leaves the nearest integer in the low bits */
    V c = vmin(vset(88.0f), vmax(vset(-87.0f), x));
    V shifted = c * 1.44269504f + round, n = shifted - round;
    V r = c - n * 0.693145751953125f;
    r = r - n * 1.42860677e-6f;
    V p = vset(1.0f / 720) * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return (V)((VI)p + (((VI)shifted - 0x4b400000) << 23));
}

/* 1 / d for d >= 1: where the level has an estimate of 14 bits, one Newton step is twice as fast as a division. */
INLINE V vrecip(V d)
{
#if defined(__AVX512F__)
    V r = (V)_mm512_rcp14_ps((__m512)d);
    return r * (2.0f - d * r);
#else
    return 1.0f / d;
#endif
}

INLINE V vsigmoid(V x)
{
    return vrecip(1.0f + vexp(-x));
}

/* erfc-free normal distribution function through Abramowitz & Stegun 7.1.26: absolute error below 1.5e-7. */
INLINE V vphi(V z)
{
    V a = vmax(z, -z) * 0.70710678f, t = 1.0f / (1.0f + 0.3275911f * a);
    V p = vset(1.061405429f) * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    V tail = 0.5f * p * t * vexp(-a * a);
    return vselect(z > 0.0f, 1.0f - tail, tail);
}

INLINE V vtanh(V x)
{
    /* The quotient cancels near zero; the odd series serves there. */
    V e = vexp(-2.0f * vmax(x, -x)), big = (1.0f - e) / (1.0f + e), q = x * x;
    V small = x * (1.0f - q * (1.0f / 3 - q * (2.0f / 15)));
    big = vselect(x < 0.0f, -big, big);
    return vselect(q < 0.0036f, small, big);
}

/* tanh(log(1 + e^z)) = (e^2 + 2e) / (e^2 + 2e + 2); beyond 20 it is 1 */
INLINE V vmish_tanh(V z)
{
    V e = vexp(vmin(vset(20.0f), z)), n = e * (e + 2.0f);
    return n / (n + 2.0f);
}

/* 1 / (1 + e^-z) for a result stored as t, and e^-z: the heart of SiLU and its slope, which are applied to nearly every
 * value of a YOLO. 2^s is a polynomial of s - floor(s) with floor(s) put into the exponent, one instruction each; a
 * result rounded to bf16 is served by a shorter polynomial (7e-5) and by the estimate of the quotient. */
INLINE V vlogistic(V z, DType t, V *e)
{
#if defined(__AVX512F__)
    V s = -1.44269504f * z, p;
    if (t != BF16) s = vmin(vset(126.0f), s); /* Newton's step has no answer for infinity */
    V f = (V)_mm512_reduce_ps((__m512)s, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    if (t == BF16)
        p = ((0.0780245235f * f + 0.226067161f) * f + 0.695833535f) * f + 0.99992522f;
    else
        p = ((((0.00187757669f * f + 0.00898934017f) * f + 0.0558263179f) * f + 0.240153617f) * f + 0.693153073f) * f +
            0.999999925f;
    *e = (V)_mm512_scalef_ps((__m512)p, (__m512)s);
    V d = 1.0f + *e, q = (V)_mm512_rcp14_ps((__m512)d);
    if (t != BF16) q = q + q * (1.0f - d * q);
    return q;
#else
    *e = vexp(-z);
    return vrecip(1.0f + *e);
#endif
}

INLINE V vsigmoid_as(V z, DType t)
{
    V e;
    return vlogistic(z, t, &e);
}

/* s (1 + z (1 - s)), with e s for 1 - s: a difference would leave z times its error */
INLINE V vsilu_slope(V z, DType t)
{
    V e, s = vlogistic(t == BF16 ? vmax(vset(-87.0f), z) : z, t, &e);
    return s * (1.0f + z * (e * s));
}

INLINE V vact(Act act, V z)
{
    switch (act) {
    case ACT_SILU: return z * vsigmoid_as(z, F32);
    case ACT_RELU: return vselect(z < 0.0f, vset(0), z);
    case ACT_SIGMOID: return vsigmoid(z);
    case ACT_LEAKY_RELU: return vselect(z > 0.0f, z, 0.01f * z);
    case ACT_HARDSWISH: return z * vmin(vmax(z + 3.0f, vset(0)), vset(6)) * (1.0f / 6);
    case ACT_GELU: return z * vphi(z);
    case ACT_TANH: return vtanh(z);
    case ACT_MISH: return z * vmish_tanh(z);
    default: return z;
    }
}

INLINE V vact_slope(Act act, V z)
{
    V s, t;
    switch (act) {
    case ACT_SILU: return vsilu_slope(z, F32);
    case ACT_RELU: return vselect(z > 0.0f, vset(1), vset(0));
    case ACT_SIGMOID: s = vsigmoid(z); return s * (1.0f - s);
    case ACT_LEAKY_RELU: return vselect(z > 0.0f, vset(1), vset(0.01f));
    case ACT_HARDSWISH:
        return vselect(z <= -3.0f, vset(0), vselect(z >= 3.0f, vset(1), (2.0f * z + 3.0f) * (1.0f / 6)));
    case ACT_GELU: return vphi(z) + z * vexp(-0.5f * z * z) * 0.39894228f;
    case ACT_TANH: t = vtanh(z); return 1.0f - t * t;
    case ACT_SIGMOID_Y: return z * (1.0f - z);
    case ACT_TANH_Y: return 1.0f - z * z;
    case ACT_MISH: t = vmish_tanh(z); return t + z * (1.0f - t * t) * vsigmoid(z);
    default: return vset(1);
    }
}

/* The activation of a result that is stored as t, and its slope where the product with it is. */
INLINE V vact_as(Act act, DType t, V z)
{
    return act == ACT_SILU ? z * vsigmoid_as(z, t) : vact(act, z);
}

INLINE V vact_slope_as(Act act, DType t, V z)
{
    return act == ACT_SILU ? vsilu_slope(z, t) : vact_slope(act, z);
}

/* Runs body with `t` a constant, so that the loop inside is compiled for each type. */
#define FOR_TYPE(value, t, body)                                                                                       \
    do {                                                                                                               \
        if ((value) == F32) {                                                                                          \
            const DType t = F32;                                                                                       \
            body;                                                                                                      \
        } else {                                                                                                       \
            const DType t = BF16;                                                                                      \
            body;                                                                                                      \
        }                                                                                                              \
    } while (0)
/* The common activations likewise; the others decide at every vector, which their arithmetic hides. */
#define ON_ACT(id, a, body)                                                                                            \
    case id: {                                                                                                         \
        const Act a = id;                                                                                              \
        body;                                                                                                          \
        break;                                                                                                         \
    }
#define FOR_ACT(value, a, body)                                                                                        \
    do {                                                                                                               \
        switch (value) {                                                                                               \
            ON_ACT(ACT_NONE, a, body)                                                                                  \
            ON_ACT(ACT_SILU, a, body)                                                                                  \
            ON_ACT(ACT_RELU, a, body)                                                                                  \
        default: {                                                                                                     \
            const Act a = (value);                                                                                     \
            body;                                                                                                      \
            break;                                                                                                     \
        }                                                                                                              \
        }                                                                                                              \
    } while (0)
/* for c in steps of a vector: n is VL, then what is left */
#define FOR_COLS(c, n, cols)                                                                                           \
    for (int64_t c = 0, n = (cols) < VL ? (cols) : VL; c < (cols); c += VL, n = (cols)-c < VL ? (cols)-c : VL)

#endif
