/* SPDX-License-Identifier: Apache-2.0
 *
 * Attributes. An operator declares them with defaults ("stride=1 eps=1e-3 act=none"); a node holds all of them, in that
 * order. */
#include "graph/graph_impl.h"

#include <assert.h>

static bool parse_default(Graph *g, const char *s, size_t len, Attr *out)
{
    const char *eq = memchr(s, '=', len);
    char *name = arena_strndup(g->a, s, eq ? (size_t)(eq - s) : len);
    char *text = arena_strndup(g->a, eq ? eq + 1 : "", eq ? len - (size_t)(eq + 1 - s) : 0);
    if (!name || !text) return graph_fail(g, DYN_NOMEM, "out of memory"), false;
    *out = (Attr) { .name = name, .kind = ATTR_TEXT, .s = text };
    if (str_to_int(text, &out->i))
        out->kind = ATTR_INT;
    else if (str_to_double(text, &out->f))
        out->kind = ATTR_FLOAT;
    return true;
}

bool attrs_complete(Graph *g, Node *n, const OpDef *op, const Attr *given, int n_given)
{
    const char *s = op->attrs ? op->attrs : "";
    int used = 0, count = *s != 0;
    for (const char *c = s; *c; c++)
        count += *c == ' ';
    if (!(n->attr = ARENA_ARRAY(g->a, Attr, count + 1))) return graph_fail(g, DYN_NOMEM, "out of memory"), false;
    for (; *s; s += strspn(s, " ")) {
        size_t len = strcspn(s, " ");
        Attr *a = &n->attr[n->n_attr++];
        if (!parse_default(g, s, len, a)) return false;
        for (int i = 0; i < n_given; i++) {
            if (!str_eq(given[i].name, a->name)) continue;
            used++;
            const char *name = a->name;
            *a = given[i];
            a->name = name;
            if (a->kind == ATTR_TEXT && !(a->s = arena_strdup(g->a, a->s)))
                return graph_fail(g, DYN_NOMEM, "out of memory"), false;
        }
        s += len;
    }
    for (int i = 0; i < n_given && used < n_given; i++) {
        bool known = false;
        for (int k = 0; k < n->n_attr; k++)
            known |= str_eq(n->attr[k].name, given[i].name);
        if (!known)
            return graph_fail(g, DYN_USAGE, "operator %s has no attribute '%s'", op->name, given[i].name), false;
    }
    return true;
}

static const Attr *find(const Node *n, const char *name)
{
    for (int i = 0; i < n->n_attr; i++)
        if (str_eq(n->attr[i].name, name)) return &n->attr[i];
    assert(!"an attribute that its operator does not declare");
    return NULL;
}

/* The nearest int64 towards zero; of a NaN 0. */
static int64_t whole(double f)
{
    const double end = 9223372036854775808.; /* 2^63 */
    return f >= end ? INT64_MAX : f <= -end ? INT64_MIN : f == f ? (int64_t)f : 0;
}

int64_t attr_int(const Node *n, const char *name)
{
    const Attr *a = find(n, name);
    return !a ? 0 : a->kind == ATTR_FLOAT ? whole(a->f) : a->i;
}

double attr_float(const Node *n, const char *name)
{
    const Attr *a = find(n, name);
    return !a ? 0 : a->kind == ATTR_INT ? (double)a->i : a->f;
}

const char *attr_text(const Node *n, const char *name)
{
    const Attr *a = find(n, name);
    return a && a->kind == ATTR_TEXT ? a->s : "";
}

bool attr_is(const Node *n, const char *name, const char *text)
{
    return str_eq(attr_text(n, name), text);
}
