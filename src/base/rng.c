/* SPDX-License-Identifier: Apache-2.0
 *
 * xoshiro256++ (Blackman, Vigna, 2019) seeded by splitmix64 over the key, so that a stream is a pure function of its
 * key. */
#include "base/base.h"

#include <math.h>

static uint64_t mix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

Rng rng_at(uint64_t seed, uint64_t epoch, uint64_t sample, uint64_t purpose)
{
    uint64_t key[4] = { seed, epoch, sample, purpose }, x = 0;
    Rng r;
    for (int i = 0; i < 4; i++) {
        x ^= key[i];
        x = mix(&x);
    }
    for (int i = 0; i < 4; i++)
        r.s[i] = mix(&x);
    return r;
}

uint64_t rng_key(const char *name) /* FNV-1a */
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return h;
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t rng_u64(Rng *r)
{
    uint64_t *s = r->s, out = rotl(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return out;
}

double rng_unit(Rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

double rng_uniform(Rng *r, double lo, double hi)
{
    return lo + (hi - lo) * rng_unit(r);
}

int64_t rng_int(Rng *r, int64_t n)
{
    __extension__ typedef unsigned __int128 Wide;
    return (int64_t)(((Wide)rng_u64(r) * (uint64_t)n) >> 64);
}

double rng_normal(Rng *r)
{
    double u = 1 - rng_unit(r), v = rng_unit(r); /* u in (0, 1]: the logarithm is finite */
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}
