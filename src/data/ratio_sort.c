/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of pictures by aspect ratio, ties as the reference has them. Most photographs share one of a few ratios, so
 * where a batch of rectangles ends is decided among ties, and with it the padding and the last digits of mAP. The
 * reference sorts with a quicksort that is not stable; this is that method: median of three, the larger part put aside,
 * insertion sort for the small ones, and a heap sort should the splits go wrong 2 log2(n) deep. Oracle: argsort of
 * NumPy 1.24, tools/golden_data_sort.py. */
#include "data/data_impl.h"

enum { SMALL = 15, STACK = 128 };

static void swap(int64_t *a, int64_t *b)
{
    int64_t t = *a;
    *a = *b;
    *b = t;
}

static void insertion_sort(const double *key, int64_t *lo, int64_t *hi)
{
    for (int64_t *i = lo + 1; i <= hi; i++) {
        int64_t item = *i, *j = i;
        for (; j > lo && key[item] < key[j[-1]]; j--)
            *j = j[-1];
        *j = item;
    }
}

static void sift(const double *key, int64_t *a, int64_t root, int64_t n, int64_t item)
{
    int64_t i = root, j = root * 2; /* a[1..n] */
    while (j <= n) {
        if (j < n && key[a[j]] < key[a[j + 1]]) j++;
        if (!(key[item] < key[a[j]])) break;
        a[i] = a[j];
        i = j;
        j += j;
    }
    a[i] = item;
}

static void heap_sort(const double *key, int64_t *first, int64_t n)
{
    int64_t *a = first - 1;
    for (int64_t l = n / 2; l > 0; l--)
        sift(key, a, l, n, a[l]);
    while (n > 1) {
        int64_t item = a[n];
        a[n--] = a[1];
        sift(key, a, 1, n, item);
    }
}

/* Splits [lo, hi] around the median of three; returns its place. */
static int64_t *partition(const double *key, int64_t *lo, int64_t *hi)
{
    int64_t *mid = lo + ((hi - lo) >> 1), *i = lo, *j = hi - 1;
    if (key[*mid] < key[*lo]) swap(mid, lo);
    if (key[*hi] < key[*mid]) swap(hi, mid);
    if (key[*mid] < key[*lo]) swap(mid, lo);
    double pivot = key[*mid];
    swap(mid, j);
    for (;;) {
        do
            i++;
        while (key[*i] < pivot);
        do
            j--;
        while (pivot < key[*j]);
        if (i >= j) break;
        swap(i, j);
    }
    swap(i, hi - 1);
    return i;
}

void ratio_sort(const double *key, int64_t *index, int64_t n)
{
    struct {
        int64_t *lo, *hi;
        int depth;
    } stack[STACK];
    int top = 0, depth = 0;
    int64_t *lo = index, *hi = index + n - 1;
    for (int64_t k = n; k > 1; k >>= 1)
        depth += 2;
    for (;;) {
        if (depth < 0) {
            heap_sort(key, lo, hi - lo + 1);
        } else {
            while (hi - lo > SMALL) {
                int64_t *p = partition(key, lo, hi);
                depth--;
                if (p - lo < hi - p) {
                    stack[top].lo = p + 1, stack[top].hi = hi;
                    hi = p - 1;
                } else {
                    stack[top].lo = lo, stack[top].hi = p - 1;
                    lo = p + 1;
                }
                stack[top++].depth = depth;
            }
            insertion_sort(key, lo, hi);
        }
        if (!top) return;
        top--;
        lo = stack[top].lo, hi = stack[top].hi, depth = stack[top].depth;
    }
}
