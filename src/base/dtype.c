/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dtype.h"

#include <math.h>

size_t dtype_bytes(DType t)
{
    static const uint8_t bytes[] = {
#define X(name, b, text) b,
        DTYPE_MAP(X)
#undef X
    };
    return bytes[t];
}

static const char *const names[] = {
#define X(name, b, text) text,
    DTYPE_MAP(X)
#undef X
};

const char *dtype_name(DType t)
{
    return names[t];
}

bool dtype_from_name(const char *name, DType *t)
{
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq(name, names[i])) return *t = (DType)i, true;
    return false;
}

float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff, u;
    float f;
    if (exponent == 0) { /* zero or subnormal: fraction * 2^-24 is exact */
        f = (float)fraction * 0x1p-24f;
        return sign ? -f : f;
    }
    u = exponent == 31 ? sign | 0x7f800000u | fraction << 13 : sign | (exponent + 112) << 23 | fraction << 13;
    memcpy(&f, &u, 4);
    return f;
}

uint16_t f32_to_f16(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    u &= 0x7fffffffu;
    if (u > 0x7f800000u) return sign | 0x7e00;  /* NaN */
    if (u >= 0x477ff000u) return sign | 0x7c00; /* rounds to 2^16 or more: infinity */
    if (u < 0x38800000u) {                      /* below 2^-14: subnormal, let the FPU round to a multiple of 2^-24 */
        float a;
        memcpy(&a, &u, 4);
        return (uint16_t)(sign | (uint16_t)lrintf(a * 0x1p24f));
    }
    u += 0xfff + (u >> 13 & 1);
    return (uint16_t)(sign | (u - (112u << 23)) >> 13);
}

double dtype_load(const void *p, DType t, int64_t i)
{
    switch (t) {
    case F32: return ((const float *)p)[i];
    case F64: return ((const double *)p)[i];
    case BF16: return bf16_to_f32(((const uint16_t *)p)[i]);
    case F16: return f16_to_f32(((const uint16_t *)p)[i]);
    case U8:
    case BOOL: return ((const uint8_t *)p)[i];
    case I8: return ((const int8_t *)p)[i];
    case I16: return ((const int16_t *)p)[i];
    case I32: return ((const int32_t *)p)[i];
    case I64: return (double)((const int64_t *)p)[i];
    case N_DTYPE: break;
    }
    return NAN;
}

static double to_integer(double v, double lo, double hi)
{
    return isnan(v) ? 0 : CLAMP(nearbyint(v), lo, hi);
}

void dtype_store(void *p, DType t, int64_t i, double v)
{
    switch (t) {
    case F32: ((float *)p)[i] = (float)v; break;
    case F64: ((double *)p)[i] = v; break;
    case BF16: ((uint16_t *)p)[i] = f32_to_bf16((float)v); break;
    case F16: ((uint16_t *)p)[i] = f32_to_f16((float)v); break;
    case U8: ((uint8_t *)p)[i] = (uint8_t)to_integer(v, 0, 255); break;
    case BOOL: ((uint8_t *)p)[i] = v != 0; break;
    case I8: ((int8_t *)p)[i] = (int8_t)to_integer(v, -128, 127); break;
    case I16: ((int16_t *)p)[i] = (int16_t)to_integer(v, -32768, 32767); break;
    case I32: ((int32_t *)p)[i] = (int32_t)to_integer(v, -2147483648.0, 2147483647.0); break;
    case I64: ((int64_t *)p)[i] = v >= 0x1p63 ? INT64_MAX : (int64_t)to_integer(v, -0x1p63, 0x1p62 * 2 - 1024); break;
    case N_DTYPE: break;
    }
}
