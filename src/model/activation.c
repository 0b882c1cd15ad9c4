/* SPDX-License-Identifier: Apache-2.0
 *
 * The activations that a model file may name: a table, never an expression that is evaluated. */
#include "model/builder.h"

static const struct {
    const char *name, *op; /* op NULL: identity */
    double slope;
} TABLE[] = {
    { "SiLU", "silu", 0 },           { "ReLU", "relu", 0 }, { "LeakyReLU", "leaky_relu", 0.01 },
    { "Hardswish", "hardswish", 0 }, { "GELU", "gelu", 0 }, { "Tanh", "tanh", 0 },
    { "Sigmoid", "sigmoid", 0 },     { "Mish", "mish", 0 }, { "Identity", NULL, 0 },
};

const char *act_names(void)
{
    return "nn.SiLU, nn.ReLU, nn.LeakyReLU(slope), nn.Hardswish, nn.GELU, nn.Tanh, nn.Sigmoid, nn.Mish or nn.Identity";
}

/* The inside of the parentheses: nothing, "inplace=...", or LeakyReLU's slope. */
static bool parse_args(const char *inside, size_t n, Act *act)
{
    char text[64];
    if (n >= sizeof text) return false;
    memcpy(text, inside, n);
    text[n] = 0;
    if (!n || str_eq(text, "inplace=True") || str_eq(text, "inplace=False")) return true;
    if (!act->op || !str_eq(act->op, "leaky_relu")) return false;
    const char *number = str_starts(text, "negative_slope=") ? text + strlen("negative_slope=") : text;
    char *comma = strchr(text, ',');
    if (comma) {
        if (!str_eq(comma + 1, "inplace=True") && !str_eq(comma + 1, " inplace=True")) return false;
        *comma = 0;
    }
    return str_to_double(number, &act->slope) && act->slope >= 0 && act->slope <= 1;
}

bool act_parse(const char *text, Act *act)
{
    if (str_starts(text, "torch.")) text += strlen("torch.");
    if (str_starts(text, "nn.")) text += strlen("nn.");
    size_t n = strcspn(text, "(");
    for (size_t i = 0; i < COUNT_OF(TABLE); i++) {
        if (strlen(TABLE[i].name) != n || memcmp(TABLE[i].name, text, n) != 0) continue;
        *act = (Act) { TABLE[i].op ? ACT_OP : ACT_NONE, TABLE[i].op, TABLE[i].slope };
        if (!text[n]) return true;
        size_t inside = strlen(text + n) - 1; /* after '(' */
        return inside >= 1 && text[n + inside] == ')' && parse_args(text + n + 1, inside - 1, act);
    }
    return false;
}
