/* SPDX-License-Identifier: Apache-2.0
 *
 * hsv_avx2 - image_hsv on eight pixels at a time, for processors with AVX2 and FMA. Integers and roundings are those of
 * hsv.c: reciprocals by division round to the values of its tables for all 255 divisors. */
#include "image/hsv.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2,fma")))

enum { PIXELS = 8, SHIFT = 12, HALF = 1 << (SHIFT - 1), ABSENT = -1 };

/* round(scale / x) */
AVX2 static inline __m256i reciprocal(float scale, __m256i x)
{
    return _mm256_cvtps_epi32(_mm256_div_ps(_mm256_set1_ps(scale), _mm256_cvtepi32_ps(x)));
}

AVX2 static inline __m256i fixed_product(__m256i a, __m256i b)
{
    return _mm256_srai_epi32(_mm256_add_epi32(_mm256_mullo_epi32(a, b), _mm256_set1_epi32(HALF)), SHIFT);
}

/* Channel c of eight pixels: four in each half of p. */
AVX2 static inline __m256i channel(__m256i p, int c)
{
    const __m256i first = _mm256_setr_epi8(0, ABSENT, ABSENT, ABSENT, 3, ABSENT, ABSENT, ABSENT, 6, ABSENT, ABSENT,
                                           ABSENT, 9, ABSENT, ABSENT, ABSENT, 0, ABSENT, ABSENT, ABSENT, 3, ABSENT,
                                           ABSENT, ABSENT, 6, ABSENT, ABSENT, ABSENT, 9, ABSENT, ABSENT, ABSENT);
    return _mm256_shuffle_epi8(p, _mm256_add_epi32(first, _mm256_set1_epi32(c)));
}

/* v (1 - s k) 255, truncated. k is 0, 1, the hue's place within its sixth, or one minus that: which, `place` and `rest`
 * say by sixth, as factors of 0 or 1, and `ones`. */
AVX2 static inline __m256i shade(__m256 ones, __m256 place, __m256 rest, __m256i sixth, const __m256 f[2], __m256 s,
                                 __m256 v)
{
    __m256 k = _mm256_permutevar8x32_ps(ones, sixth);
    k = _mm256_fmadd_ps(_mm256_permutevar8x32_ps(place, sixth), f[0], k);
    k = _mm256_fmadd_ps(_mm256_permutevar8x32_ps(rest, sixth), f[1], k);
    __m256 x = _mm256_mul_ps(v, _mm256_fnmadd_ps(s, k, _mm256_set1_ps(1)));
    return _mm256_cvttps_epi32(_mm256_mul_ps(x, _mm256_set1_ps(255)));
}

AVX2 static inline void eight(uint8_t *rgb, const HsvLevels *l)
{
    __m256i p = _mm256_loadu2_m128i((const __m128i *)(const void *)(rgb + 12), (const __m128i *)(const void *)rgb);
    __m256i r = channel(p, 0), g = channel(p, 1), b = channel(p, 2);
    __m256i max = _mm256_max_epi32(r, _mm256_max_epi32(g, b));
    __m256i d = _mm256_sub_epi32(max, _mm256_min_epi32(r, _mm256_min_epi32(g, b)));
    __m256i d2 = _mm256_add_epi32(d, d), one = _mm256_set1_epi32(1);
    __m256i of_b = _mm256_add_epi32(_mm256_sub_epi32(r, g), _mm256_add_epi32(d2, d2));
    __m256i of_g = _mm256_add_epi32(_mm256_sub_epi32(b, r), d2);
    __m256i h = _mm256_blendv_epi8(of_b, of_g, _mm256_cmpeq_epi32(max, g));
    h = _mm256_blendv_epi8(h, _mm256_sub_epi32(g, b), _mm256_cmpeq_epi32(max, r));
    h = fixed_product(h, reciprocal(30 << SHIFT, _mm256_max_epi32(d, one)));
    h = _mm256_add_epi32(h, _mm256_and_si256(_mm256_srai_epi32(h, 31), _mm256_set1_epi32(180)));
    __m256i sat = fixed_product(d, reciprocal(255 << SHIFT, _mm256_max_epi32(max, one)));
    __m256 hue = _mm256_i32gather_ps(l->h, h, 4), s = _mm256_i32gather_ps(l->s, sat, 4),
           v = _mm256_i32gather_ps(l->v, max, 4);
    __m256i sixth = _mm256_cvttps_epi32(hue);
    __m256 f[2];
    f[0] = _mm256_sub_ps(hue, _mm256_cvtepi32_ps(sixth));
    f[1] = _mm256_sub_ps(_mm256_set1_ps(1), f[0]);
    __m256i red = shade(_mm256_setr_ps(0, 0, 1, 1, 0, 0, 0, 0), _mm256_setr_ps(0, 1, 0, 0, 0, 0, 0, 0),
                        _mm256_setr_ps(0, 0, 0, 0, 1, 0, 0, 0), sixth, f, s, v);
    __m256i green = shade(_mm256_setr_ps(0, 0, 0, 0, 1, 1, 0, 0), _mm256_setr_ps(0, 0, 0, 1, 0, 0, 0, 0),
                          _mm256_setr_ps(1, 0, 0, 0, 0, 0, 0, 0), sixth, f, s, v);
    __m256i blue = shade(_mm256_setr_ps(1, 1, 0, 0, 0, 0, 0, 0), _mm256_setr_ps(0, 0, 0, 0, 0, 1, 0, 0),
                         _mm256_setr_ps(0, 0, 1, 0, 0, 0, 0, 0), sixth, f, s, v);
    __m256i out = _mm256_or_si256(red, _mm256_or_si256(_mm256_slli_epi32(green, 8), _mm256_slli_epi32(blue, 16)));
    const __m256i close = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4, 5, 6, 8,
                                           9, 10, 12, 13, 14, -1, -1, -1, -1);
    out = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(out, close), _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7));
    _mm_storeu_si128((__m128i *)(void *)rgb, _mm256_castsi256_si128(out));
    _mm_storel_epi64((__m128i *)(void *)(rgb + 16), _mm256_extracti128_si256(out, 1));
}

AVX2 static int row(uint8_t *rgb, int n, const HsvLevels *l)
{
    int i = 0;
    for (; i + PIXELS + 2 <= n; i += PIXELS) /* 28 bytes are read, 24 written */
        eight(rgb + 3 * (ptrdiff_t)i, l);
    return i;
}

int hsv_row_avx2(uint8_t *rgb, int n, const HsvLevels *l)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? row(rgb, n, l) : 0;
}

#else

int hsv_row_avx2(uint8_t *rgb, int n, const HsvLevels *l)
{
    return 0;
}

#endif
