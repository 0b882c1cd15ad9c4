/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of modules: every file in modules/ is in it. */
#include "model/builder.h"

#define X(name) extern const ModuleDef module_##name;
#include <model_modules.gen.h>
#undef X

static const ModuleDef *const MODULES[] = {
#define X(name) &module_##name,
#include <model_modules.gen.h>
#undef X
};

int modules_count(void)
{
    return (int)COUNT_OF(MODULES);
}

const ModuleDef *modules_at(int i)
{
    return MODULES[i];
}

const ModuleDef *modules_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(MODULES); i++)
        if (str_eq(MODULES[i]->name, name)) return MODULES[i];
    return NULL;
}
