/* SPDX-License-Identifier: Apache-2.0
 *
 * What backends on the host share with the reference backend. */
#ifndef REF_H
#define REF_H

#include "backend/backend.h"

void ref_kernel(const KernelPlan *p, Kernel *k); /* always accepts */
void *host_alloc(Backend *b, size_t bytes);
void host_release(Backend *b, void *p);
void host_copy(Backend *b, void *to, const void *from, size_t bytes);

#endif
