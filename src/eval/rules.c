/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/eval.h"

Status metric_rules(const char *name, MetricRules *out, Error *err)
{
    static const MetricRules classic = { AP_SLANTED, MATCH_ORIGINAL, FITNESS_CLASSIC },
                             current = { AP_DROP, MATCH_LETTERBOX, FITNESS_MAP };
    bool is_current = name && str_eq(name, "current");
    if (name && !is_current && !str_eq(name, "classic"))
        return fail(err, DYN_USAGE, "metrics=%s: wants classic or current", name);
    *out = is_current ? current : classic;
    return DYN_OK;
}
