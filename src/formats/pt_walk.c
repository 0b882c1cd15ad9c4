/* SPDX-License-Identifier: Apache-2.0
 *
 * From the pickled values of a checkpoint to a PtFile (spec 10.2, 10.3): which model of the file counts, its tensors in
 * state_dict order, and what its objects say about themselves. */
#include "formats/pt_util.h"

enum { MAX_DEPTH = 64, MAX_NAME = 1000, MAX_WORK = 1000000 };

typedef struct Walker {
    Arena *a;
    const char *file;
    PtStore *store;
    PtFile *out;
    size_t cap_blob;
    size_t work; /* entries looked at: values may be shared, so a small file can spell an endless tree */
    Error *err;
} Walker;

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

static const char *text_of(const PickleValue *v)
{
    return pickle_is(v, PICKLE_STRING) ? v->text.s : NULL;
}

static size_t count_of(const PickleValue *v)
{
    return v && v->kind >= PICKLE_TUPLE && v->kind <= PICKLE_DICT ? v->list.n : 0;
}

static Status spend(Walker *w, size_t entries)
{
    if (entries > MAX_WORK || (w->work += entries) > MAX_WORK)
        return fail(w->err, DYN_FORMAT, "%s: a model with more than %d entries", w->file, MAX_WORK);
    return DYN_OK;
}

/* ---- tensors ------------------------------------------------------------------------------------------------- */

static Status add_tensor(Walker *w, const char *name, const PickleValue *v)
{
    BlobFile *f = &w->out->blobs;
    if (!name) return fail_nomem(w->err, 0);
    if (strlen(name) > MAX_NAME) return fail(w->err, DYN_FORMAT, "%s: tensor name too long: '%.80s...'", w->file, name);
    if (v->kind != PICKLE_TENSOR)
        return fail(w->err, DYN_UNSUPPORTED, "%s: '%s' is no plain tensor (quantised models are not read)", w->file,
                    name);
    if (!arena_grow(w->a, &f->blob, f->n, &w->cap_blob, sizeof(Blob))) return fail_nomem(w->err, sizeof(Blob));
    Blob *b = &f->blob[f->n++];
    *b = (Blob) { .name = name };
    if (pt_tensor(w->a, w->store, v->tensor, b, w->err) != DYN_OK)
        return fail_in(w->err, "%s: tensor '%s'", w->file, name);
    return DYN_OK;
}

static bool holds_text(const PickleValue *set, const char *s)
{
    if (!set || (set->kind != PICKLE_SET && set->kind != PICKLE_LIST)) return false;
    for (size_t i = 0; i < set->list.n; i++)
        if (set->list.item[i]->kind == PICKLE_STRING && str_eq(set->list.item[i]->text.s, s)) return true;
    return false;
}

/* The entries of _parameters or _buffers; None is a slot without a tensor, and `skip` names what a state_dict leaves
 * out. */
static Status add_slots(Walker *w, const char *prefix, const PickleValue *slots, const PickleValue *skip)
{
    TRY(spend(w, count_of(slots) * (1 + MIN(count_of(skip), (size_t)MAX_WORK))));
    for (size_t i = 0; pickle_is(slots, PICKLE_DICT) && i + 1 < slots->list.n; i += 2) {
        const PickleValue *key = slots->list.item[i], *v = slots->list.item[i + 1];
        if (key->kind != PICKLE_STRING || v->kind == PICKLE_NONE || holds_text(skip, key->text.s)) continue;
        TRY(add_tensor(w, arena_printf(w->a, "%s%s", prefix, key->text.s), v));
    }
    return DYN_OK;
}

static double number(const PickleValue *v)
{
    return pickle_is(v, PICKLE_FLOAT) ? v->f : pickle_is(v, PICKLE_INT) ? (double)v->i : 0;
}

static void note_module(Walker *w, const PickleValue *module, const PickleValue *children)
{
    const char *name = last_part(module->object.path);
    if (str_eq(name, "Conv") && pickle_get(children, "conv") && !pickle_get(children, "bn")) w->out->fused = true;
    if (str_eq(name, "BatchNorm2d") && w->out->bn_eps == 0) {
        w->out->bn_eps = number(pickle_attr(module, "eps"));
        w->out->bn_momentum = number(pickle_attr(module, "momentum"));
    }
}

static Status add_module(Walker *w, const char *prefix, const PickleValue *module, int depth)
{
    const PickleValue *children = pickle_attr(module, "_modules");
    if (depth > MAX_DEPTH || strlen(prefix) > MAX_NAME)
        return fail(w->err, DYN_FORMAT, "%s: modules nest without end at '%.200s'", w->file, prefix);
    TRY(spend(w, 1 + count_of(module->object.state) + count_of(children)));
    note_module(w, module, children);
    TRY(add_slots(w, prefix, pickle_attr(module, "_parameters"), NULL));
    TRY(add_slots(w, prefix, pickle_attr(module, "_buffers"), pickle_attr(module, "_non_persistent_buffers_set")));
    for (size_t i = 0; pickle_is(children, PICKLE_DICT) && i + 1 < children->list.n; i += 2) {
        const PickleValue *key = children->list.item[i], *child = children->list.item[i + 1];
        if (key->kind != PICKLE_STRING || child->kind != PICKLE_OBJECT) continue;
        char *below = arena_printf(w->a, "%s%s.", prefix, key->text.s);
        if (!below) return fail_nomem(w->err, 0);
        TRY(add_module(w, below, child, depth + 1));
    }
    return DYN_OK;
}

/* ---- what the file is ---------------------------------------------------------------------------------------- */

/* Classes that other tasks pickle; matched anywhere in the class's own name. */
static const struct {
    const char *part, *what;
} other_tasks[] = {
    { "Segment", "segments instances" },
    { "Pose", "finds key points" },
    { "Classif", "classifies pictures" },
    { "OBB", "finds rotated boxes" },
    { "RTDETR", "is an RT-DETR" },
    { "World", "is an open-vocabulary YOLO-World" },
    { "YOLOE", "is an open-vocabulary YOLOE" },
};

static Status check_kind(Walker *w, const char *path, const char *task)
{
    const char *name = last_part(path);
    if (str_starts(path, "models."))
        return fail(w->err, DYN_UNSUPPORTED,
                    "%s: this is a YOLOv5 or YOLOv7 file (class %s); only YOLOv8 detectors are read", w->file, path);
    for (size_t i = 0; i < COUNT_OF(other_tasks); i++)
        if (strstr(name, other_tasks[i].part))
            return fail(w->err, DYN_UNSUPPORTED, "%s: this model %s (class %s); only detectors are read", w->file,
                        other_tasks[i].what, path);
    if (task && !str_eq(task, "detect"))
        return fail(w->err, DYN_UNSUPPORTED, "%s: this model was trained for '%.40s'; only detectors are read", w->file,
                    task);
    return DYN_OK;
}

/* Layers of a DataParallel or of a kept ModelEMA around the model itself. */
static const PickleValue *unwrap(const PickleValue *v)
{
    for (int i = 0; i < 3; i++) {
        const PickleValue *children = pickle_attr(v, "_modules"), *inner = pickle_get(children, "module");
        if (pickle_is(inner, PICKLE_OBJECT) && strstr(v->object.path, "Parallel"))
            v = inner;
        else if (!children && pickle_is(pickle_attr(v, "ema"), PICKLE_OBJECT))
            v = pickle_attr(v, "ema");
    }
    return v;
}

/* ---- facts of the model -------------------------------------------------------------------------------------- */

static Status read_row(Walker *w, const PickleValue *module, PtRow *row)
{
    const PickleValue *f = pickle_attr(module, "f");
    bool many = pickle_is(f, PICKLE_LIST) || pickle_is(f, PICKLE_TUPLE);
    *row = (PtRow) { .class_path = module->object.path, .class_name = last_part(module->object.path) };
    size_t n = many ? f->list.n : pickle_is(f, PICKLE_INT);
    if (n > 1000) return fail(w->err, DYN_FORMAT, "%s: a row with %zu inputs", w->file, n);
    int64_t *from = ARENA_ARRAY(w->a, int64_t, n);
    if (!from) return fail_nomem(w->err, n * sizeof *from);
    for (size_t i = 0; i < n; i++) {
        const PickleValue *x = many ? f->list.item[i] : f;
        if (x->kind != PICKLE_INT) return fail(w->err, DYN_FORMAT, "%s: a row whose input is no number", w->file);
        from[i] = x->i;
    }
    row->from = from;
    row->n_from = (int)n;
    return DYN_OK;
}

static Status read_rows(Walker *w, const PickleValue *model)
{
    const PickleValue *rows = pickle_attr(pickle_get(pickle_attr(model, "_modules"), "model"), "_modules");
    if (!pickle_is(rows, PICKLE_DICT)) return DYN_OK;
    if (!(w->out->row = ARENA_ARRAY(w->a, PtRow, rows->list.n / 2))) return fail_nomem(w->err, 0);
    for (size_t i = 1; i < rows->list.n; i += 2) {
        const PickleValue *module = rows->list.item[i], *cv1, *act;
        if (module->kind != PICKLE_OBJECT) continue;
        TRY(spend(w, 1 + count_of(module->object.state)));
        PtRow *row = &w->out->row[w->out->n_row++];
        TRY(read_row(w, module, row));
        if (!str_eq(row->class_name, "SPPF")) continue;
        cv1 = pickle_get(pickle_attr(module, "_modules"), "cv1");
        act = pickle_get(pickle_attr(cv1, "_modules"), "act");
        if (pickle_is(act, PICKLE_OBJECT)) w->out->sppf_act = last_part(act->object.path);
    }
    return DYN_OK;
}

static Status read_stride(Walker *w, const PickleValue *v)
{
    Blob b = { 0 };
    if (!pickle_is(v, PICKLE_TENSOR)) return DYN_OK;
    if (pt_tensor(w->a, w->store, v->tensor, &b, w->err) != DYN_OK) return fail_in(w->err, "%s: stride", w->file);
    int64_t n = blob_count(&b);
    if (n > 64) return fail(w->err, DYN_FORMAT, "%s: a model with %lld strides", w->file, (long long)n);
    double *stride = ARENA_ARRAY(w->a, double, n);
    if (!stride) return fail_nomem(w->err, 0);
    for (int64_t i = 0; i < n; i++)
        stride[i] = dtype_load(b.data, b.dtype, i);
    w->out->stride = stride;
    w->out->n_stride = (int)n;
    return DYN_OK;
}

static Status to_yaml(Walker *w, const PickleValue *v, bool resolve, const Yaml **out)
{
    if (!v || (v->kind != PICKLE_DICT && v->kind != PICKLE_LIST && v->kind != PICKLE_OBJECT)) return DYN_OK;
    return pickle_to_yaml(w->a, w->file, v, resolve, out, w->err);
}

static Status read_model(Walker *w, const PickleValue *model)
{
    PtFile *out = w->out;
    const PickleValue *args = pickle_attr(model, "args"), *nc = pickle_attr(model, "nc");
    out->is_model = true;
    out->module = model;
    out->class_path = model->object.path;
    out->task = text_of(pickle_attr(model, "task"));
    if (!out->task) out->task = text_of(pickle_get(args, "task"));
    if (!out->task) out->task = text_of(pickle_attr(args, "task"));
    TRY(check_kind(w, out->class_path, out->task));
    TRY(to_yaml(w, pickle_attr(model, "yaml"), true, &out->yaml));
    TRY(to_yaml(w, pickle_attr(model, "names"), false, &out->names));
    TRY(read_stride(w, pickle_attr(model, "stride")));
    TRY(read_rows(w, model));
    TRY(add_module(w, "", model, 0));
    if (pickle_is(nc, PICKLE_INT)) out->nc = nc->i;
    if (!out->nc && yaml_is(yaml_get(out->yaml, "nc"), YAML_INT)) out->nc = yaml_get(out->yaml, "nc")->i;
    if (!out->nc && out->names) out->nc = (int64_t)out->names->n;
    return DYN_OK;
}

/* ---- a dict of tensors --------------------------------------------------------------------------------------- */

static bool holds_tensor(const PickleValue *v)
{
    for (size_t i = 1; pickle_is(v, PICKLE_DICT) && i < v->list.n; i += 2)
        if (v->list.item[i]->kind == PICKLE_TENSOR && v->list.item[i - 1]->kind == PICKLE_STRING) return true;
    return false;
}

static Status read_state_dict(Walker *w, const PickleValue *dict)
{
    for (size_t i = 0; i + 1 < dict->list.n; i += 2) {
        const PickleValue *key = dict->list.item[i], *v = dict->list.item[i + 1];
        if (key->kind == PICKLE_STRING && v->kind == PICKLE_TENSOR) TRY(add_tensor(w, key->text.s, v));
    }
    return DYN_OK;
}

static Status read_top(Walker *w, const PickleValue *root)
{
    static const char *const places[] = { "ema", "model", "state_dict", "model_state_dict", "" };
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        const PickleValue *v = *places[i] ? pickle_get(root, places[i]) : root;
        if (!pickle_truthy(v)) continue;
        w->out->source = places[i];
        v = unwrap(v);
        if (pickle_is(pickle_attr(v, "_modules"), PICKLE_DICT)) return read_model(w, v);
        if (holds_tensor(v)) return read_state_dict(w, v);
    }
    return fail(w->err, DYN_FORMAT, "%s: a pickle without a model or a dict of tensors in it", w->file);
}

Status pt_walk(Arena *a, const char *file, const PickleValue *root, PtStore *store, PtFile *out, Error *err)
{
    Walker w = { .a = a, .file = file, .store = store, .out = out, .err = err };
    const PickleValue *epoch = pickle_get(root, "epoch"), *args = pickle_get(root, "train_args");
    *out = (PtFile) { .epoch = pickle_is(epoch, PICKLE_INT) ? epoch->i : -1, .source = "" };
    out->date = text_of(pickle_get(root, "date"));
    out->version = text_of(pickle_get(root, "version"));
    TRY(to_yaml(&w, args, false, &out->train_args));
    TRY(read_top(&w, root));
    return blob_check_names(a, &out->blobs, file, err);
}

const PickleValue *pt_module(const PtFile *f, const char *path)
{
    const PickleValue *v = f->module;
    while (v && *path) {
        const PickleValue *children = pickle_attr(v, "_modules");
        size_t n = strcspn(path, ".");
        v = NULL;
        for (size_t i = 0; pickle_is(children, PICKLE_DICT) && i + 1 < children->list.n; i += 2) {
            const PickleValue *key = children->list.item[i];
            if (key->kind != PICKLE_STRING || key->text.n != n || memcmp(key->text.s, path, n) != 0) continue;
            v = children->list.item[i + 1];
        }
        path += n + (path[n] == '.');
    }
    return pickle_is(v, PICKLE_OBJECT) ? v : NULL;
}
