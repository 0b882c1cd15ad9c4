/* SPDX-License-Identifier: Apache-2.0
 *
 * Binds a row's arguments to its module's signature. Text is looked at as the reference does (spec 1.4, rule 2): `nc`
 * is the class count, whatever reads as a number, a boolean or None is that, the rest stays text; nothing is evaluated.
 */
#include "model/args.h"

#include <assert.h>
#include <math.h>

typedef struct ArgValue {
    bool null;
    int64_t i;
    double f;
    bool b;
    const char *s;
    Act act;
    int64_t *ints;
    int n_ints;
} ArgValue;

struct ModuleArgs {
    const ModuleDef *def;
    Signature sig;
    const char *text; /* of the signature */
    ArgValue v[MAX_ARGS];
    bool given[MAX_ARGS], named[MAX_ARGS]; /* by the row; by its name there */
};

typedef struct Bind {
    const ArgContext *c;
    ModuleArgs *m;
    const Yaml *given[MAX_ARGS];
    Error *err;
} Bind;

/* Text that means something else is replaced by what it means; field NULL keeps only the rule for nc. */
static const Yaml *resolve(const ArgContext *c, const ArgField *f, const Yaml *y)
{
    if (y->kind != YAML_STRING) return y;
    Yaml *z = NULL;
    if (str_eq(y->text, "nc"))
        z = yaml_int(c->a, c->nc);
    else if (f->type != ARG_TEXT || str_eq(y->text, "None"))
        z = yaml_scalar(c->a, y->text);
    if (!z) return y;
    z->file = y->file;
    z->line = y->line;
    z->column = y->column;
    return z;
}

static Status arg_fail(const Bind *b, const Yaml *at, const ArgField *f, const char *want)
{
    const char *sig = signature_text(b->c->a, b->c->def->name, &b->m->sig);
    if (f->choices) want = arena_printf(b->c->a, "one of %s", f->choices);
    return yaml_fail(at, b->err, DYN_FORMAT, "argument '%s' must be %s, not %s; %s", f->name, want ? want : "?",
                     at->text ? at->text : yaml_kind_name(at->kind), sig);
}

static const char *range_text(Arena *a, const ArgField *f, const char *what)
{
    if (f->lo > -1e15 && f->hi < 1e15) return arena_printf(a, "%s from %g to %g", what, f->lo, f->hi);
    if (f->lo > -1e15) return arena_printf(a, "%s of at least %g", what, f->lo);
    return what;
}

static bool whole(const Yaml *y, const ArgField *f, int64_t *i)
{
    if (y->kind == YAML_FLOAT && (y->f != floor(y->f) || fabs(y->f) > 1e15)) return false;
    if (y->kind != YAML_FLOAT && y->kind != YAML_INT) return false;
    *i = y->kind == YAML_INT ? y->i : (int64_t)y->f;
    return (double)*i >= f->lo && (double)*i <= f->hi;
}

static Status bind_ints(const Bind *b, const Yaml *y, const ArgField *f, ArgValue *v)
{
    const char *want = range_text(b->c->a, f, "a list of whole numbers");
    if (y->kind != YAML_LIST || y->n < 1 || y->n > MAX_INTS) return arg_fail(b, y, f, want);
    v->n_ints = (int)y->n;
    if (!(v->ints = ARENA_ARRAY(b->c->a, int64_t, y->n))) return fail_nomem(b->err, y->n * sizeof *v->ints);
    for (size_t i = 0; i < y->n; i++)
        if (!whole(y->item[i], f, &v->ints[i])) return arg_fail(b, y->item[i], f, want);
    return DYN_OK;
}

static bool has_choice(const char *choices, const char *s)
{
    size_t n = strlen(s);
    for (const char *c = choices; c; c = strchr(c, '|'), c = c ? c + 1 : NULL)
        if (strcspn(c, "|") == n && !memcmp(c, s, n)) return true;
    return !choices;
}

static void scale_channels(const ArgContext *c, ArgValue *v)
{
    if (c->width == 0 || (c->width_nc_quirk && v->i == c->nc)) return;
    v->i = make_divisible((double)MIN(v->i, c->max_channels) * c->width, 8);
}

/* true: the default activation, a name: that one, anything else: none (spec 2.1). */
static Status bind_act(const Bind *b, const Yaml *y, const ArgField *f, ArgValue *v)
{
    v->act = (Act) { .kind = ACT_NONE };
    if (y->kind == YAML_BOOL) {
        if (y->b) v->act.kind = ACT_DEFAULT;
        return DYN_OK;
    }
    if (y->kind == YAML_NULL || (y->kind == YAML_STRING && act_parse(y->text, &v->act))) return DYN_OK;
    return arg_fail(b, y, f, arena_printf(b->c->a, "true, false or %s", act_names()));
}

static Status bind_value(const Bind *b, const Yaml *y, const ArgField *f, ArgValue *v)
{
    Arena *a = b->c->a;
    y = resolve(b->c, f, y);
    *v = (ArgValue) { 0 };
    if (f->type == ARG_ACT) return bind_act(b, y, f, v);
    if (y->kind == YAML_NULL) {
        v->null = true;
        return f->nullable ? DYN_OK : arg_fail(b, y, f, "given");
    }
    switch (f->type) {
    case ARG_INTS: return bind_ints(b, y, f, v);
    case ARG_BOOL:
        v->b = y->i != 0;
        if (y->kind == YAML_BOOL || (y->kind == YAML_INT && (y->i == 0 || y->i == 1))) return DYN_OK;
        return arg_fail(b, y, f, "true or false");
    case ARG_FLOAT:
        v->f = y->f;
        if ((y->kind == YAML_FLOAT || y->kind == YAML_INT) && y->f >= f->lo && y->f <= f->hi) return DYN_OK;
        return arg_fail(b, y, f, range_text(a, f, "a number"));
    case ARG_TEXT:
        v->s = y->text;
        if (y->text && has_choice(f->choices, y->text)) return DYN_OK;
        return arg_fail(b, y, f, "text");
    default:
        if (!whole(y, f, &v->i)) return arg_fail(b, y, f, range_text(a, f, "a whole number"));
        if (f->type == ARG_CHANNELS) scale_channels(b->c, v);
        return DYN_OK;
    }
}

/* The default of the signature, read as YAML reads it; 3,5 is a list. */
static Status bind_default(const Bind *b, const ArgField *f, ArgValue *v)
{
    Arena *a = b->c->a;
    Yaml *y = NULL;
    if (f->type == ARG_INTS) {
        y = yaml_list(a);
        for (const char *s = f->def; y && *s; s += strspn(s, ",")) {
            size_t n = strcspn(s, ",");
            char *item = arena_strndup(a, s, n);
            if (!item || !yaml_append(a, y, yaml_scalar(a, item))) y = NULL;
            s += n;
        }
    } else
        y = yaml_scalar(a, f->def);
    return y ? bind_value(b, y, f, v) : fail_nomem(b->err, strlen(f->def));
}

static Status place_named(Bind *b, const Yaml *map)
{
    const char *names[MAX_ARGS];
    size_t n_names = 0;
    const Signature *sig = &b->m->sig;
    for (int i = 0; i < sig->n; i++)
        if (sig->field[i].type != ARG_REPEAT) names[n_names++] = sig->field[i].name;
    for (size_t k = 0; k < map->n; k++) {
        int at = -1;
        for (int i = 0; i < sig->n; i++)
            if (sig->field[i].type != ARG_REPEAT && str_eq(sig->field[i].name, map->key[k]->text)) at = i;
        if (at < 0) {
            const char *near = str_nearest(b->c->a, map->key[k]->text, names, n_names);
            return yaml_fail(map->key[k], b->err, DYN_FORMAT, "no argument '%s'%s%s; %s", map->key[k]->text,
                             *near ? ", did you mean " : "", near, signature_text(b->c->a, b->c->def->name, sig));
        }
        if (b->given[at])
            return yaml_fail(map->key[k], b->err, DYN_FORMAT, "argument '%s' is given twice", map->key[k]->text);
        b->given[at] = map->item[k];
        b->m->named[at] = true;
    }
    return DYN_OK;
}

/* Positional items go to the fields in order; a map among them (its last item, or all of it) names its fields. */
static Status place(Bind *b, const Yaml *args)
{
    const Signature *sig = &b->m->sig;
    int at = 0;
    if (!args || args->kind == YAML_NULL) return DYN_OK;
    if (args->kind == YAML_MAP) return place_named(b, args);
    if (args->kind != YAML_LIST)
        return yaml_fail(args, b->err, DYN_FORMAT, "arguments must be a list or a map, not %s",
                         yaml_kind_name(args->kind));
    for (size_t i = 0; i < args->n; i++) {
        if (args->item[i]->kind == YAML_MAP && i + 1 == args->n) return place_named(b, args->item[i]);
        while (at < sig->n && sig->field[at].type == ARG_REPEAT)
            at++;
        if (at == sig->n)
            return yaml_fail(args->item[i], b->err, DYN_FORMAT, "too many arguments; %s",
                             signature_text(b->c->a, b->c->def->name, sig));
        b->given[at++] = args->item[i];
    }
    return DYN_OK;
}

Status args_bind(const ArgContext *c, const Yaml *args, const ModuleArgs **out, Error *err)
{
    ModuleArgs *m = ARENA_NEW(c->a, ModuleArgs);
    Bind b = { .c = c, .m = m, .err = err };
    if (!m) return fail_nomem(err, sizeof *m);
    m->def = c->def;
    if (!signature_parse(c->a, c->def->args, &m->sig))
        return fail(err, DYN_UNSUPPORTED, "module %s has a malformed signature: %s", c->def->name, c->def->args);
    m->text = signature_text(c->a, c->def->name, &m->sig);
    TRY(place(&b, args));
    for (int i = 0; i < m->sig.n; i++) {
        const ArgField *f = &m->sig.field[i];
        if (f->type == ARG_REPEAT)
            m->v[i].i = c->repeat;
        else if (b.given[i]) {
            TRY(bind_value(&b, b.given[i], f, &m->v[i]));
            m->given[i] = true;
        } else if (f->def)
            TRY(bind_default(&b, f, &m->v[i]));
        else
            return fail(err, DYN_FORMAT, "argument '%s' is missing; %s", f->name,
                        signature_text(c->a, c->def->name, &m->sig));
    }
    *out = m;
    return DYN_OK;
}

static const ArgValue *find(const ModuleArgs *m, const char *name, ArgType *type)
{
    for (int i = 0; i < m->sig.n; i++)
        if (str_eq(m->sig.field[i].name, name)) {
            if (type) *type = m->sig.field[i].type;
            return &m->v[i];
        }
    assert(!"a module asks for an argument that its signature does not declare");
    return &m->v[0];
}

int64_t arg_int(const ModuleArgs *a, const char *name)
{
    return find(a, name, NULL)->i;
}

double arg_float(const ModuleArgs *a, const char *name)
{
    return find(a, name, NULL)->f;
}

bool arg_bool(const ModuleArgs *a, const char *name)
{
    return find(a, name, NULL)->b;
}

const char *arg_text(const ModuleArgs *a, const char *name)
{
    return find(a, name, NULL)->s;
}

Act arg_act(const ModuleArgs *a, const char *name)
{
    return find(a, name, NULL)->act;
}

bool arg_null(const ModuleArgs *a, const char *name)
{
    return find(a, name, NULL)->null;
}

const char *arg_signature(const ModuleArgs *a)
{
    return a->text;
}

int arg_ints(const ModuleArgs *a, const char *name, const int64_t **items)
{
    const ArgValue *v = find(a, name, NULL);
    *items = v->ints;
    return v->n_ints;
}

/* ---- printing ------------------------------------------------------------------------------------------------ */

static const char *ints_text(Arena *a, const int64_t *x, int n)
{
    const char *s = "[";
    for (int i = 0; s && i < n; i++)
        s = arena_printf(a, "%s%s%lld", s, i ? ", " : "", (long long)x[i]);
    return s ? arena_printf(a, "%s]", s) : NULL;
}

static const char *value_text(Arena *a, const ArgField *f, const ArgValue *v)
{
    if (v->null) return "None";
    switch (f->type) {
    case ARG_FLOAT: return arena_printf(a, "%g", v->f);
    case ARG_BOOL: return v->b ? "True" : "False";
    case ARG_TEXT: return arena_printf(a, "'%s'", v->s);
    case ARG_ACT: return v->act.kind == ACT_DEFAULT ? "True" : v->act.kind == ACT_NONE ? "None" : v->act.op;
    case ARG_INTS: return ints_text(a, v->ints, v->n_ints);
    default: return arena_printf(a, "%lld", (long long)v->i);
    }
}

/* Modules that take channels are called with their input width first, and so is printed; a head's widths come last.
 * What a row names is printed by name: [64, 128, 3, 2, K=4]. */
const char *args_print(Arena *a, const ModuleArgs *m, const int64_t *c_in, int n_in)
{
    const char *s = "[", *sep = "";
    if (signature_has(&m->sig, ARG_CHANNELS)) {
        s = arena_printf(a, "[%lld", (long long)c_in[0]);
        sep = ", ";
    }
    for (int i = 0; s && i < m->sig.n; i++) {
        const ArgField *f = &m->sig.field[i];
        if (!m->given[i] && f->type != ARG_REPEAT) continue;
        bool named = m->named[i];
        const char *v = value_text(a, f, &m->v[i]);
        s = v ? arena_printf(a, "%s%s%s%s%s", s, sep, named ? f->name : "", named ? "=" : "", v) : NULL;
        sep = ", ";
    }
    if (s && n_in > 1 && !str_eq(m->def->name, "Concat")) {
        const char *v = ints_text(a, c_in, n_in);
        s = v ? arena_printf(a, "%s%s%s", s, sep, v) : NULL;
    }
    s = s ? arena_printf(a, "%s]", s) : NULL;
    return s ? s : "[]";
}
