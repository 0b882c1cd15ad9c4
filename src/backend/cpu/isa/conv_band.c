/* SPDX-License-Identifier: Apache-2.0
 *
 * A row of an image, copied: see conv_band.h. */
#include "backend/cpu/isa/conv_band.h"
#include "backend/cpu/isa/tiles.h"

#if defined(__AMX_BF16__)

/* `n` pixels of `size` bytes, x_step apart, to pixels of y_step bytes, up to 63 more, which become zero. */
INLINE void copy_pixels(const char *x, int64_t x_step, char *y, int64_t y_step, int64_t n, int64_t size)
{
    const int64_t whole = y_step / 64 * 64;
    const __mmask64 load = size - whole >= 64 ? ~0ull : size > whole ? (1ull << (size - whole)) - 1 : 0;
    const __mmask64 store = (1ull << (y_step - whole)) - 1;
    for (int64_t i = 0; i < n; i++, x += x_step, y += y_step) {
        for (int64_t b = 0; b < whole; b += 64) {
            int64_t left = size - b;
            _mm512_storeu_si512(y + b, left >= 64 ? _mm512_loadu_si512(x + b)
                                                  : _mm512_maskz_loadu_epi8((1ull << left) - 1, x + b));
        }
        if (store) _mm512_mask_storeu_epi8(y + whole, store, _mm512_maskz_loadu_epi8(load, x + whole));
    }
}

/* Three channels become four: eight pixels at a time. */
static void copy_rgb(const char *x, char *y, int64_t n)
{
    uint16_t place[32];
    for (int i = 0; i < 32; i++)
        place[i] = (uint16_t)(i / 4 * 3 + i % 4);
    const __m512i from = _mm512_loadu_si512(place);
    for (int64_t i = 0; i < n; i += 8) {
        int64_t k = n - i < 8 ? n - i : 8;
        __m512i v = _mm512_maskz_loadu_epi16((__mmask32)((1ull << 3 * k) - 1), x + 6 * i);
        v = _mm512_maskz_permutexvar_epi16(0x77777777, from, v);
        _mm512_mask_storeu_epi16(y + 8 * i, (__mmask32)((1ull << 4 * k) - 1), v);
    }
}

void conv_band_row(const ConvJob *j, int64_t pixel, int64_t cols, int64_t image, int64_t h, char *to)
{
    int64_t left = j->pad_w > 0 ? (j->pad_w < cols ? j->pad_w : cols) : 0, first = left - j->pad_w;
    int64_t width = j->W - first < cols - left ? j->W - first : cols - left, size = j->C * 2;
    const int64_t step = j->x_pixel * 2;
    if (width < 0 || h < 0 || h >= j->H) width = 0;
    char *inside = to + left * pixel, *behind = inside + width * pixel;
    memset(to, 0, (size_t)(inside - to));
    memset(behind, 0, (size_t)(to + cols * pixel - behind));
    if (!width) return;
    const char *from = j->x + ((image * j->H + h) * j->W + first) * step;
    if (size == 6 && step == 6)
        copy_rgb(from, inside, width);
    else if (step == pixel && size == step)
        memcpy(inside, from, (size_t)(width * size));
    else
        copy_pixels(from, step, inside, pixel, width, size);
}

#endif
