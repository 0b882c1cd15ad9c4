/* SPDX-License-Identifier: Apache-2.0
 *
 * dtype - element types: size, name, conversion. Shared by files and by tensors. */
#ifndef DTYPE_H
#define DTYPE_H

#include "base/base.h"

#include <string.h>

/* X(enumerator, bytes, safetensors name) */
#define DTYPE_MAP(X)                                                                                                   \
    X(F32, 4, "F32")                                                                                                   \
    X(BF16, 2, "BF16")                                                                                                 \
    X(F16, 2, "F16")                                                                                                   \
    X(F64, 8, "F64")                                                                                                   \
    X(U8, 1, "U8")                                                                                                     \
    X(I8, 1, "I8")                                                                                                     \
    X(I32, 4, "I32")                                                                                                   \
    X(I64, 8, "I64")                                                                                                   \
    X(BOOL, 1, "BOOL")                                                                                                 \
    X(I16, 2, "I16")

typedef enum DType {
#define X(name, bytes, text) name,
    DTYPE_MAP(X)
#undef X
        N_DTYPE
} DType;

size_t dtype_bytes(DType t);
const char *dtype_name(DType t);                  /* "F32" */
bool dtype_from_name(const char *name, DType *t); /* false when there is no such type */

static inline float bf16_to_f32(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* Round to nearest even; NaN stays NaN. */
static inline uint16_t f32_to_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f);

/* Element i of an array of any type as double, and back (rounded to nearest even, integers saturate). */
double dtype_load(const void *p, DType t, int64_t i);
void dtype_store(void *p, DType t, int64_t i, double v);

#endif
