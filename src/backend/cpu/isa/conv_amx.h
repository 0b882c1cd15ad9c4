/* SPDX-License-Identifier: Apache-2.0
 *
 * What conv.c hands over at the level amx: convolutions of bf16 images by tiles (conv_amx.c). */
#ifndef CONV_AMX_H
#define CONV_AMX_H

#include "backend/cpu/isa/isa.h"

#if defined(__AMX_BF16__)
/* Two tiles of sums for each tile of pixels. */
static inline ConvForm amx_form(void)
{
    return (ConvForm) { .lanes = 16, .vectors = 2, .pairs = true, .tiles = true };
}

size_t conv_amx_bytes(const ConvJob *j);
void conv_amx(const ConvJob *j, int64_t lo, int64_t hi, int64_t p0, int64_t p1, void *scratch);
#endif

#endif
