/* SPDX-License-Identifier: Apache-2.0
 *
 * Bilinear sampling at learned offsets and its gradient (spec E.4 to E.6, H.6). Places are computed a vector at a time;
 * a place is then applied to all channels of its group, which lie side by side. */
#include "backend/cpu/isa/vec.h"

enum { PLACES = 64 };

/* Where samples are taken: coordinates as they come, the pixel above and left of each clamped one, masks that say
 * whether there is a pixel to the right and below, fractions. */
typedef struct Places {
    float px[PLACES], py[PLACES], fx[PLACES], fy[PLACES];
    int32_t x[PLACES], y[PLACES], right[PLACES], down[PLACES];
} Places;

/* A NaN is not above 0 and goes there. */
INLINE void clamp_axis(const float *p, int64_t size, int32_t *lo, float *frac, int32_t *next)
{
    V v = vload(p, F32, VL);
    v = vmin(vselect(v > 0.0f, v, vset(0)), vset((float)(size - 1)));
    VI at = __builtin_convertvector(v, VI), more = at < (int32_t)(size - 1);
    v -= __builtin_convertvector(at, V);
    memcpy(lo, &at, sizeof at);
    memcpy(frac, &v, sizeof v);
    memcpy(next, &more, sizeof more);
}

/* The first n of the places of pixel (row, col): offsets dx[0..n) and dy[0..n). */
INLINE void set_places(const SampleJob *j, int64_t row, int64_t col, const float *dx, const float *dy, int n, Places *p)
{
    for (int e = 0; e < n; e++) {
        p->px[e] = (float)col + dx[e];
        p->py[e] = (float)row + dy[e];
    }
    for (int e = n; e % VL; e++)
        p->px[e] = p->py[e] = 0;
    for (int e = 0; e < n; e += VL) {
        clamp_axis(p->px + e, j->W, p->x + e, p->fx + e, p->right + e);
        clamp_axis(p->py + e, j->H, p->y + e, p->fy + e, p->down + e);
    }
}

/* The four neighbours of place e in an image of elements of t, from its channel 0 on. */
typedef struct Taps {
    char *p00, *p01, *p10, *p11;
} Taps;

INLINE Taps taps_of(const Places *p, int e, const SampleImage *m, int64_t image, int64_t channel, DType t)
{
    int64_t bytes = t == F32 ? 4 : 2, right = (p->right[e] & m->pixel) * bytes, down = (p->down[e] & m->row) * bytes;
    Taps q;
    q.p00 = (char *)m->data + (image * m->image + p->y[e] * m->row + p->x[e] * m->pixel + channel) * bytes;
    q.p01 = q.p00 + right;
    q.p10 = q.p00 + down;
    q.p11 = q.p10 + right;
    return q;
}

INLINE void *element(const SampleImage *m, int64_t image, int64_t row, int64_t col, int64_t channel, DType t)
{
    int64_t at = image * m->image + row * m->row + col * m->pixel + channel;
    return (char *)m->data + at * (t == F32 ? 4 : 2);
}

/* Runs body for all of cols: n is VL, a constant, but in the last vector. */
#define FOR_CHANNELS(cols, ...)                                                                                        \
    do {                                                                                                               \
        int64_t c = 0;                                                                                                 \
        for (; c + VL <= (cols); c += VL) {                                                                            \
            const int n = VL;                                                                                          \
            __VA_ARGS__;                                                                                               \
        }                                                                                                              \
        if (c < (cols)) {                                                                                              \
            const int n = (int)((cols)-c);                                                                             \
            __VA_ARGS__;                                                                                               \
        }                                                                                                              \
    } while (0)

typedef struct Weights {
    V w00, w01, w10, w11;
} Weights;

INLINE Weights weights_of(const Places *p, int e)
{
    float fx = p->fx[e], fy = p->fy[e];
    return (Weights) { vset((1 - fy) * (1 - fx)), vset((1 - fy) * fx), vset(fy * (1 - fx)), vset(fy * fx) };
}

/* ---- value --------------------------------------------------------------------------------------------------- */

INLINE void blend(const Taps *q, const Weights *w, char *y, DType t, int64_t cols)
{
    int64_t b = t == F32 ? 4 : 2;
    FOR_CHANNELS(cols, vstore(y + c * b, t, n,
                              w->w00 * vload(q->p00 + c * b, t, n) + w->w01 * vload(q->p01 + c * b, t, n) +
                                  w->w10 * vload(q->p10 + c * b, t, n) + w->w11 * vload(q->p11 + c * b, t, n)));
}

/* Steps through the sub-pixels of group after group, as offsets are counted. */
typedef struct Spot {
    int64_t group, ry, rx;
} Spot;

INLINE void next_spot(Spot *s, int64_t r)
{
    if (++s->rx < r) return;
    s->rx = 0;
    if (++s->ry < r) return;
    s->ry = 0, s->group++;
}

INLINE void sample_pixel(const SampleJob *j, DType t, int64_t image, int64_t row, int64_t col)
{
    int64_t r = j->scale, half = j->groups * r * r, cols = j->C / j->groups;
    const float *off = element(&j->off, image, row, col, 0, F32);
    Spot s = { 0 };
    Places p;
    for (int64_t e0 = 0; e0 < half; e0 += PLACES) {
        int n = (int)(half - e0 < PLACES ? half - e0 : PLACES);
        set_places(j, row, col, off + e0, off + half + e0, n, &p);
        for (int e = 0; e < n; e++, next_spot(&s, r)) {
            Taps q = taps_of(&p, e, &j->x, image, s.group * cols, t);
            Weights w = weights_of(&p, e);
            blend(&q, &w, element(&j->y, image, row * r + s.ry, col * r + s.rx, s.group * cols, t), t, cols);
        }
    }
}

void ISA_NAME(sample)(const SampleJob *j, int64_t lo, int64_t hi)
{
    for (int64_t i = lo; i < hi; i++)
        for (int64_t col = 0; col < j->W; col++)
            FOR_TYPE(j->type, t, sample_pixel(j, t, i / j->H, i % j->H, col));
}

/* ---- gradient ------------------------------------------------------------------------------------------------ */

/* Adds dy to the four taps of sum, and returns the slopes along x and y times dy, summed over channels. The taps of a
 * border pixel are one and the same: they are added one after another. */
INLINE void spread(const Taps *q, const Taps *sum, const Weights *w, float fx, float fy, const char *dy, DType t,
                   int64_t cols, float *ox, float *oy)
{
    int64_t b = t == F32 ? 4 : 2;
    V ax = { 0 }, ay = { 0 };
    FOR_CHANNELS(cols, {
        V e = vload(dy + c * b, t, n), x00 = vload(q->p00 + c * b, t, n), x01 = vload(q->p01 + c * b, t, n);
        V x10 = vload(q->p10 + c * b, t, n), x11 = vload(q->p11 + c * b, t, n);
        V top = x01 - x00, low = x11 - x10, left = x10 - x00, right = x11 - x01;
        ax += e * (top + fy * (low - top));
        ay += e * (left + fx * (right - left));
        vstore(sum->p00 + 4 * c, F32, n, vload(sum->p00 + 4 * c, F32, n) + w->w00 * e);
        vstore(sum->p01 + 4 * c, F32, n, vload(sum->p01 + 4 * c, F32, n) + w->w01 * e);
        vstore(sum->p10 + 4 * c, F32, n, vload(sum->p10 + 4 * c, F32, n) + w->w10 * e);
        vstore(sum->p11 + 4 * c, F32, n, vload(sum->p11 + 4 * c, F32, n) + w->w11 * e);
    });
    *ox = vsum(ax);
    *oy = vsum(ay);
}

/* Groups [lo, hi). */
INLINE void grad_pixel(const SampleJob *j, DType t, int64_t image, int64_t lo, int64_t hi, int64_t row, int64_t col)
{
    int64_t r = j->scale, cols = j->C / j->groups, half = j->groups * r * r, count = (hi - lo) * r * r;
    const float *off = element(&j->off, image, row, col, lo * r * r, F32);
    float *doff = element(&j->doff, image, row, col, lo * r * r, F32);
    float wide = (float)(j->W - 1), high = (float)(j->H - 1);
    Spot s = { .group = lo };
    Places p;
    for (int64_t e0 = 0; e0 < count; e0 += PLACES) {
        int n = (int)(count - e0 < PLACES ? count - e0 : PLACES);
        set_places(j, row, col, off + e0, off + half + e0, n, &p);
        for (int e = 0; e < n; e++, next_spot(&s, r)) {
            float ox, oy;
            Taps q = taps_of(&p, e, &j->x, image, s.group * cols, t);
            Taps sum = taps_of(&p, e, &j->sum, 0, (s.group - lo) * cols, F32);
            Weights w = weights_of(&p, e);
            spread(&q, &sum, &w, p.fx[e], p.fy[e],
                   element(&j->y, image, row * r + s.ry, col * r + s.rx, s.group * cols, t), t, cols, &ox, &oy);
            doff[e0 + e] = p.px[e] > 0 && p.px[e] < wide ? ox : 0; /* none on the border and beyond */
            doff[half + e0 + e] = p.py[e] > 0 && p.py[e] < high ? oy : 0;
        }
    }
}

void ISA_NAME(sample_grad)(const SampleJob *j, int64_t image, int64_t lo, int64_t hi)
{
    size_t bytes = (size_t)(j->C / j->groups * (hi - lo)) * sizeof(float);
    for (int64_t i = 0; i < j->H * j->W; i++)
        memset(element(&j->sum, 0, i / j->W, i % j->W, 0, F32), 0, bytes);
    for (int64_t i = 0; i < j->H * j->W; i++)
        FOR_TYPE(j->type, t, grad_pixel(j, t, image, lo, hi, i / j->W, i % j->W));
}
