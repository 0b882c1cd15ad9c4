/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the keys of a model YAML: class count, scales, activation (spec 1.1, 1.2, 1.5). Keys that the engine does not
 * know are left alone: files carry notes of other tools. */
#include "model/rows.h"

#include <math.h>

/* y[key] as a whole number in [lo, hi] when it is there. */
static Status read_int(const Yaml *y, const char *key, int64_t lo, int64_t hi, int64_t *x, Error *err)
{
    const Yaml *v = yaml_get(y, key);
    if (!v || v->kind == YAML_NULL) return DYN_OK;
    TRY(yaml_as_int(v, key, x, err));
    if (*x < lo || *x > hi)
        return yaml_fail(v, err, DYN_FORMAT, "%s must be from %lld to %lld, not %lld", key, (long long)lo,
                         (long long)hi, (long long)*x);
    return DYN_OK;
}

static Status as_factor(const Yaml *v, const char *what, double *x, Error *err)
{
    TRY(yaml_as_double(v, what, x, err));
    if (!(*x > 0 && *x <= 64))
        return yaml_fail(v, err, DYN_FORMAT, "%s must be above 0 and at most 64, not %s", what,
                         v->text ? v->text : "?");
    return DYN_OK;
}

static Status read_scale(Description *d, const Yaml *scales, Error *err)
{
    const Yaml *v = yaml_get(scales, d->scale);
    if (!v) {
        char list[256] = "";
        for (size_t i = 0, n = 0; i < scales->n && n < sizeof list; i++, n = strlen(list))
            snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", scales->key[i]->text);
        return yaml_fail(scales, err, DYN_USAGE, "no scale '%s'; there are: %s", d->scale, list);
    }
    if (v->kind != YAML_LIST || v->n != 3)
        return yaml_fail(v, err, DYN_FORMAT, "scale '%s' must be [depth, width, max_channels]", d->scale);
    TRY(as_factor(v->item[0], "depth", &d->depth, err));
    TRY(as_factor(v->item[1], "width", &d->width, err));
    TRY(yaml_as_int(v->item[2], "max_channels", &d->max_channels, err));
    if (d->max_channels < 1 || d->max_channels > 65536)
        return yaml_fail(v->item[2], err, DYN_FORMAT, "max_channels must be from 1 to 65536");
    return DYN_OK;
}

/* Which scale, in order: asked for, the file name's letter, the file's key `scale`, the first. */
static Status choose_scale(Arena *a, const char *file, const Yaml *y, const ModelOptions *o, Description *d, Error *err)
{
    const Yaml *scales = yaml_get(y, "scales"), *key = yaml_get(y, "scale");
    char letter[2] = { scale_letter(file), 0 };
    d->scale = "";
    if (!scales || scales->kind == YAML_NULL) {
        if (o->scale && *o->scale)
            return yaml_fail(y, err, DYN_USAGE, "scale=%s was asked for, but the file has no `scales`", o->scale);
        return DYN_OK;
    }
    TRY(yaml_as_kind(scales, YAML_MAP, "scales", err));
    if (!scales->n) return yaml_fail(scales, err, DYN_FORMAT, "scales is empty");
    if (o->scale && *o->scale)
        d->scale = o->scale;
    else if (*letter)
        d->scale = letter;
    else if (key && key->kind != YAML_NULL)
        TRY(yaml_as_text(key, "scale", &d->scale, err));
    if (!*d->scale) {
        d->scale = scales->key[0]->text;
        log_warn(o->log,
                 "%s: neither its name carries a scale letter nor was scale= given; taking '%s' of its `scales`", file,
                 d->scale);
    }
    if (!(d->scale = arena_strdup(a, d->scale))) return fail_nomem(err, 2);
    return read_scale(d, scales, err);
}

static Status read_activation(const Yaml *y, Description *d, Error *err)
{
    const Yaml *v = yaml_get(y, "activation");
    d->act = (Act) { .kind = ACT_OP, .op = "silu" };
    if (!v || v->kind == YAML_NULL) return DYN_OK;
    if (v->kind != YAML_STRING || !act_parse(v->text, &d->act))
        return yaml_fail(v, err, DYN_FORMAT, "activation must be one of %s, not %s", act_names(),
                         v->text ? v->text : yaml_kind_name(v->kind));
    return DYN_OK;
}

static Status read_note(const Yaml *y, Description *d, Error *err)
{
    const Yaml *v = yaml_get(y, "note");
    return v && v->kind != YAML_NULL ? yaml_as_text(v, "note", &d->note, err) : DYN_OK;
}

static Status read_counts(const Yaml *y, const ModelOptions *o, Description *d, Error *err)
{
    d->ch = 3;
    d->reg_max = 16;
    TRY(read_int(y, "ch", 1, 65536, &d->ch, err));
    TRY(read_int(y, "channels", 1, 65536, &d->ch, err));
    TRY(read_int(y, "reg_max", 2, 64, &d->reg_max, err));
    TRY(read_int(y, "nc", 1, 65535, &d->nc, err));
    if (o->ch) d->ch = o->ch;
    if (d->ch < 1 || d->ch > 65536 || o->nc < 0 || o->nc > 65535)
        return fail(err, DYN_USAGE, "nc must be from 1 to 65535 and ch from 1 to 65536");
    if (o->nc && d->nc && o->nc != d->nc)
        log_info(o->log, "Overriding model.yaml nc=%lld with nc=%lld", (long long)d->nc, (long long)o->nc);
    if (o->nc) d->nc = o->nc;
    if (!d->nc) return yaml_fail(y, err, DYN_FORMAT, "nc (the number of classes) is missing");
    const Yaml *end2end = yaml_get(y, "end2end");
    if (end2end && end2end->i)
        return yaml_fail(end2end, err, DYN_UNSUPPORTED, "end2end heads are not supported; train without it");
    return DYN_OK;
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

/* Behind "file:line:column: " of an error text, NULL when it does not begin so. */
static const char *behind_place(const char *text, const char *file)
{
    size_t n = strlen(file);
    if (!*file || strncmp(text, file, n) != 0 || text[n] != ':') return NULL;
    text += n + 1;
    text += strspn(text, "0123456789:");
    return *text == ' ' && text[-1] == ':' ? text + 1 : NULL; /* "file:4 (row 1): " is the graph's mention */
}

/* Takes the graph's own mention of the row out of its message: the place is put in front. */
static void cut(char *text, const char *mention)
{
    char *at = strstr(text, mention);
    if (at) memmove(at, at + strlen(mention), strlen(at + strlen(mention)) + 1);
}

Status row_fail_in(const RowSpec *r, int index, Error *err)
{
    const char *module = r->def ? r->def->name : NULL, *file = r->at->file, *rest;
    char text[sizeof err->text], place[sizeof err->text] = "";
    snprintf(place, sizeof place, "%s:%d (row %d): ", file, r->at->line, index);
    cut(err->text, place);
    snprintf(place, sizeof place, " (%s:%d, row %d)", file, r->at->line, index);
    cut(err->text, place);
    rest = behind_place(err->text, file);
    snprintf(text, sizeof text, "%s", rest ? rest : err->text);
    *place = 0;
    if (rest)
        snprintf(place, sizeof place, "%.*s", (int)(rest - err->text), err->text);
    else if (r->at->line)
        snprintf(place, sizeof place, "%s:%d: ", file, r->at->line);
    else if (*file)
        snprintf(place, sizeof place, "%s: ", file);
    return fail(err, err->status, "%srow %d%s%s%s: %s", place, index, module ? " (" : "", module ? module : "",
                module ? ")" : "", text);
}

static int find_named(const Description *d, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (d->row[i].name && str_eq(d->row[i].name, name)) return i;
    return -2;
}

/* One item of `from`: a row number, counted from the end when negative, or a row's name. */
static Status read_source(const Description *d, int index, const Yaml *y, int *source, Error *err)
{
    if (y->kind == YAML_STRING) {
        if ((*source = find_named(d, index, y->text)) >= 0) return DYN_OK;
        return yaml_fail(y, err, DYN_FORMAT, "from: no earlier row is named '%s'", y->text);
    }
    if (y->kind != YAML_INT)
        return yaml_fail(y, err, DYN_FORMAT, "from must be a row number or a row's name, not %s",
                         yaml_kind_name(y->kind));
    int64_t at = y->i < 0 && y->i >= -MAX_ROWS ? index + y->i : y->i;
    if (at >= index || at < -1 || (at == -1 && (index || y->i != -1)))
        return yaml_fail(y, err, DYN_FORMAT, "from %s is out of range: row %d can read the rows before it%s", y->text,
                         index, index ? "" : ", which is the image alone, -1");
    *source = (int)at;
    return DYN_OK;
}

static Status read_from(Arena *a, const Description *d, int index, const Yaml *y, RowSpec *r, Error *err)
{
    Yaml *const *item = y->kind == YAML_LIST ? y->item : (Yaml *const[]) { (Yaml *)(uintptr_t)y };
    size_t n = y->kind == YAML_LIST ? y->n : 1;
    if (n < 1 || n > 64) return yaml_fail(y, err, DYN_FORMAT, "from must name 1 to 64 rows, not %zu", n);
    if (!(r->source = ARENA_ARRAY(a, int, n))) return fail_nomem(err, n * sizeof(int));
    r->from = "";
    for (size_t i = 0; i < n; i++) {
        TRY(read_source(d, index, item[i], &r->source[i], err));
        r->from = arena_printf(a, "%s%s%s", r->from, i ? ", " : "", item[i]->text);
        if (!r->from) return fail_nomem(err, 16);
    }
    if (y->kind == YAML_LIST) r->from = arena_printf(a, "[%s]", r->from);
    r->n_source = (int)n;
    return r->from ? DYN_OK : fail_nomem(err, 16);
}

static Status read_module(Arena *a, const Yaml *y, RowSpec *r, Description *d, Error *err)
{
    static const char *const LATER[] = { "C3k2", "A2C2f", "C2fCIB" };
    if (y->kind != YAML_STRING)
        return yaml_fail(y, err, DYN_FORMAT, "a module's name must be text, not %s", yaml_kind_name(y->kind));
    const char *name = str_starts(y->text, "torch.nn.") ? y->text + strlen("torch.") : y->text;
    for (size_t i = 0; i < COUNT_OF(LATER); i++)
        if (str_eq(name, LATER[i])) d->later_family = true;
    if ((r->def = modules_find(name))) return DYN_OK;
    const char **names = ARENA_ARRAY(a, const char *, modules_count());
    if (!names) return fail_nomem(err, 64);
    for (int i = 0; i < modules_count(); i++)
        names[i] = modules_at(i)->name;
    const char *near = str_nearest(a, name, names, (size_t)modules_count());
    return yaml_fail(y, err, DYN_FORMAT, "unknown module '%s'%s%s", name, *near ? ", did you mean " : "", near);
}

static Status read_row_name(const Description *d, int index, const Yaml *y, RowSpec *r, Error *err)
{
    TRY(yaml_as_kind(y, YAML_MAP, "the fifth item of a row", err));
    for (size_t i = 0; i < y->n; i++) {
        if (!str_eq(y->key[i]->text, "name"))
            return yaml_fail(y->key[i], err, DYN_FORMAT, "a row's map knows `name` only, not '%s'", y->key[i]->text);
        if (y->item[i]->kind != YAML_STRING || !*y->item[i]->text)
            return yaml_fail(y->item[i], err, DYN_FORMAT, "a row's name must be text that is no number");
        int other = find_named(d, index, y->item[i]->text);
        if (other >= 0)
            return yaml_fail(y->item[i], err, DYN_FORMAT, "the name '%s' is taken by row %d", y->item[i]->text, other);
        r->name = y->item[i]->text;
    }
    return DYN_OK;
}

static Status read_row(Arena *a, Description *d, int index, const Yaml *y, Error *err)
{
    RowSpec *r = &d->row[index];
    *r = (RowSpec) { .at = y };
    if (y->kind != YAML_LIST || y->n < 4 || y->n > 5)
        return yaml_fail(y, err, DYN_FORMAT,
                         "a row must be [from, repeats, module, args] with an optional {name: text} after it");
    TRY(read_module(a, y->item[2], r, d, err));
    TRY(read_from(a, d, index, y->item[0], r, err));
    TRY(yaml_as_int(y->item[1], "repeats", &r->repeat, err));
    if (r->repeat < 1 || r->repeat > MAX_REPEAT)
        return yaml_fail(y->item[1], err, DYN_FORMAT, "repeats must be from 1 to %d, not %lld", MAX_REPEAT,
                         (long long)r->repeat);
    int max_in = MAX(r->def->max_in, 1);
    if (r->n_source > max_in)
        return yaml_fail(y->item[0], err, DYN_FORMAT, "%s takes %d input%s, `from` names %d", r->def->name, max_in,
                         max_in > 1 ? "s at most" : "", r->n_source);
    r->args = y->item[3];
    return y->n == 5 ? read_row_name(d, index, y->item[4], r, err) : DYN_OK;
}

static Status read_rows(Arena *a, const Yaml *y, Description *d, Error *err)
{
    const Yaml *part[2] = { yaml_get(y, "backbone"), yaml_get(y, "head") };
    size_t n = 0;
    for (int p = 0; p < 2; p++) {
        const char *what = p ? "head" : "backbone";
        if (!part[p]) return yaml_fail(y, err, DYN_FORMAT, "%s (a list of rows) is missing", what);
        TRY(yaml_as_kind(part[p], YAML_LIST, what, err));
        n += part[p]->n;
    }
    if (n < 1 || n > MAX_ROWS)
        return yaml_fail(part[0], err, DYN_FORMAT, "a model has 1 to %d rows, not %zu", MAX_ROWS, n);
    if (!(d->row = ARENA_ARRAY(a, RowSpec, n))) return fail_nomem(err, n * sizeof *d->row);
    for (int p = 0; p < 2; p++)
        for (size_t i = 0; i < part[p]->n; i++) {
            if (read_row(a, d, d->n_row, part[p]->item[i], err) != DYN_OK)
                return row_fail_in(&d->row[d->n_row], d->n_row, err);
            d->n_row++;
        }
    return DYN_OK;
}

Status description_read(Arena *a, const char *file, const Yaml *yaml, const ModelOptions *o, Description *d, Error *err)
{
    *d = (Description) { .depth = 1, .width = 1, .max_channels = INT32_MAX };
    if (!yaml || yaml->kind != YAML_MAP)
        return fail(err, DYN_FORMAT, "%s: a model description must be a map with nc, backbone and head", file);
    TRY(read_counts(yaml, o, d, err));
    const Yaml *depth = yaml_get(yaml, "depth_multiple"), *width = yaml_get(yaml, "width_multiple");
    if (depth) TRY(as_factor(depth, "depth_multiple", &d->depth, err));
    if (width) TRY(as_factor(width, "width_multiple", &d->width, err));
    TRY(choose_scale(a, file, yaml, o, d, err));
    TRY(read_activation(yaml, d, err));
    TRY(read_note(yaml, d, err));
    return read_rows(a, yaml, d, err);
}
