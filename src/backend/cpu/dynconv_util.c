/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/dynconv_util.h"

bool dynconv_claim_operands(const KernelPlan *p, DynConvPorts *port, char *why, size_t n)
{
    *port = *dynconv_ports(p->node->op);
    int *optional[] = { &port->mix, &port->bias_bank, &port->in_scale, &port->out_scale, &port->spatial, &port->b };
    if (!has_in(p, port->res)) port->res = -1;
    for (size_t i = 0; i < COUNT_OF(optional); i++) {
        if (!has_in(p, *optional[i]))
            *optional[i] = -1;
        else if (p->in[*optional[i]].dtype != F32)
            return decline(why, n, "shares, scales or biases that are not f32");
    }
    return true;
}

void *dynconv_image(const Tensor *t, int64_t n)
{
    return (char *)t->data + (size_t)(n * t->stride[0]) * dtype_bytes(t->dtype);
}
