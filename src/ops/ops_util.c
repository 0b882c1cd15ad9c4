/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of operators, made from the folder, and the named activations. */
#include "ops/ops_util.h"

#include <math.h>

static const OpDef *const primary[] = {
#define X(name) &op_##name,
#include <ops.gen.h>
#undef X
};

int ops_count(void)
{
    int n = 0;
    for (size_t i = 0; i < COUNT_OF(primary); i++)
        for (const OpDef *op = primary[i]; op; op = op->also)
            n++;
    return n;
}

const OpDef *ops_at(int i)
{
    for (size_t k = 0; k < COUNT_OF(primary); k++)
        for (const OpDef *op = primary[k]; op; op = op->also)
            if (i-- == 0) return op;
    return NULL;
}

const OpDef *ops_find(const char *name)
{
    const OpDef *op;
    for (int i = 0; (op = ops_at(i)); i++)
        if (str_eq(op->name, name)) return op;
    return NULL;
}

static double sigmoid(double z)
{
    return 1 / (1 + exp(-z));
}

bool act_known(const char *act)
{
    return str_eq(act, "none") || str_eq(act, "silu") || str_eq(act, "relu");
}

double act_value(const char *act, double z)
{
    return str_eq(act, "silu") ? z * sigmoid(z) : str_eq(act, "relu") ? (z > 0 ? z : 0) : z;
}

double act_slope(const char *act, double z)
{
    double s = sigmoid(z);
    return str_eq(act, "silu") ? s * (1 + z * (1 - s)) : str_eq(act, "relu") ? z > 0 : 1;
}
