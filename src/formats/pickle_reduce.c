/* SPDX-License-Identifier: Apache-2.0
 *
 * What a pickle may build (spec 10.3): containers, torch's tensors, parameters and sizes, paths as text. Every other
 * callable, known to Python or not, becomes an OBJECT that swallows its arguments. Nothing is executed, so nothing has
 * to be forbidden. */
#include "formats/pickle_util.h"

enum { BYTES_A_VALUE = 64 };

/* What can be made from a few opcodes over and over is counted: values, and bytes of text in units of a value. */
static Status spend(PickleMaker *m, size_t values)
{
    if (values > PICKLE_MAX_VALUES || (m->n += values) > PICKLE_MAX_VALUES)
        return fail(m->err, DYN_FORMAT, "more than %d values", PICKLE_MAX_VALUES);
    return DYN_OK;
}

Status pickle_new(PickleMaker *m, PickleKind kind, PickleValue **v)
{
    TRY(spend(m, 1));
    if (!(*v = ARENA_NEW(m->a, PickleValue))) return fail_nomem(m->err, sizeof **v);
    (*v)->kind = kind;
    return DYN_OK;
}

/* Well-formed UTF-8 (RFC 3629: shortest form, no surrogates) without a zero byte. */
static bool is_text(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s, *end = p + n;
    while (p < end) {
        int more = *p < 0x80                 ? 0
                   : *p >= 0xc2 && *p < 0xe0 ? 1
                   : *p >= 0xe0 && *p < 0xf0 ? 2
                   : *p >= 0xf0 && *p < 0xf5 ? 3
                                             : -1;
        if (more < 0 || !*p || end - p <= more) return false;
        if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
            (*p == 0xf4 && p[1] > 0x8f))
            return false;
        for (p++; more > 0; more--, p++)
            if ((*p & 0xc0) != 0x80) return false;
    }
    return true;
}

Status pickle_text(PickleMaker *m, const char *s, size_t n, bool text, PickleValue **v)
{
    TRY(spend(m, n / BYTES_A_VALUE));
    TRY(pickle_new(m, text && is_text(s, n) ? PICKLE_STRING : PICKLE_BYTES, v));
    if (!((*v)->text.s = arena_strndup(m->a, s, n))) return fail_nomem(m->err, n);
    (*v)->text.n = n;
    return DYN_OK;
}

Status pickle_global(PickleMaker *m, const char *module, size_t n_module, const char *name, size_t n_name,
                     PickleValue **v)
{
    if (n_module > 500 || n_name > 500 || !is_text(module, n_module) || !is_text(name, n_name))
        return fail(m->err, DYN_FORMAT, "a class name that is no name");
    TRY(spend(m, (n_module + n_name) / BYTES_A_VALUE));
    TRY(pickle_new(m, PICKLE_GLOBAL, v));
    (*v)->text.s = arena_printf(m->a, "%.*s.%.*s", (int)n_module, module, (int)n_name, name);
    if (!(*v)->text.s) return fail_nomem(m->err, n_module + n_name);
    (*v)->text.n = n_module + 1 + n_name;
    return DYN_OK;
}

Status pickle_append(PickleMaker *m, PickleValue *list, PickleValue *item)
{
    if (!list->list.cap) { /* most lists of a checkpoint hold one to four items */
        if (!(list->list.item = ARENA_ARRAY(m->a, PickleValue *, 4))) return fail_nomem(m->err, 0);
        list->list.cap = 4;
    }
    if (!arena_grow(m->a, &list->list.item, list->list.n, &list->list.cap, sizeof item)) return fail_nomem(m->err, 0);
    list->list.item[list->list.n++] = item;
    return DYN_OK;
}

static const PickleValue *arg(const PickleValue *args, size_t i)
{
    return pickle_is(args, PICKLE_TUPLE) && i < args->list.n ? args->list.item[i] : NULL;
}

static bool is_sequence(const PickleValue *v)
{
    return v && (v->kind == PICKLE_TUPLE || v->kind == PICKLE_LIST || v->kind == PICKLE_SET);
}

/* ---- tensors ------------------------------------------------------------------------------------------------- */

typedef struct StorageClass {
    const char *name;
    DType dtype;
} StorageClass;

static const StorageClass storage_classes[] = {
    { "FloatStorage", F32 }, { "HalfStorage", F16 },  { "BFloat16Storage", BF16 }, { "DoubleStorage", F64 },
    { "LongStorage", I64 },  { "IntStorage", I32 },   { "ShortStorage", I16 },     { "CharStorage", I8 },
    { "ByteStorage", U8 },   { "BoolStorage", BOOL },
};

Status pickle_storage(PickleMaker *m, const PickleValue *id, PickleValue **v)
{
    const PickleValue *what = arg(id, 0), *class = arg(id, 1), *key = arg(id, 2), *n = arg(id, 4);
    if (!pickle_is(what, PICKLE_STRING) || !str_eq(what->text.s, "storage") || !pickle_is(class, PICKLE_GLOBAL) ||
        !pickle_is(key, PICKLE_STRING) || !pickle_is(n, PICKLE_INT) || n->i < 0)
        return fail(m->err, DYN_FORMAT, "a persistent id that is no storage of PyTorch");
    TRY(pickle_new(m, PICKLE_STORAGE, v));
    const char *dot = strrchr(class->text.s, '.');
    PickleStorage *s = ARENA_NEW(m->a, PickleStorage);
    if (!s) return fail_nomem(m->err, sizeof *s);
    *s = (PickleStorage) { .key = key->text.s, .class_name = dot ? dot + 1 : class->text.s, .n = n->i };
    for (size_t i = 0; i < COUNT_OF(storage_classes); i++) {
        if (!str_eq(s->class_name, storage_classes[i].name)) continue;
        s->known = true;
        s->dtype = storage_classes[i].dtype;
    }
    (*v)->storage = s;
    return DYN_OK;
}

/* Position of the last element reached; false when any step overflows. */
static bool last_element(const PickleTensor *t, int64_t *last)
{
    int64_t step;
    *last = t->offset;
    for (int i = 0; i < t->rank; i++) {
        if (t->dim[i] == 0) return true;
        if (__builtin_mul_overflow(t->dim[i] - 1, t->stride[i], &step) || __builtin_add_overflow(*last, step, last))
            return false;
    }
    return true;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata]) */
static Status rebuild_tensor(PickleMaker *m, const PickleValue *args, PickleValue **v)
{
    const PickleValue *storage = arg(args, 0), *offset = arg(args, 1), *size = arg(args, 2), *stride = arg(args, 3);
    int64_t last;
    bool empty = false;
    if (!pickle_is(storage, PICKLE_STORAGE) || !pickle_is(offset, PICKLE_INT) || offset->i < 0 || !is_sequence(size) ||
        !is_sequence(stride) || size->list.n != stride->list.n || size->list.n > PICKLE_MAX_RANK)
        return fail(m->err, DYN_FORMAT, "a tensor without proper storage, size and stride");
    TRY(pickle_new(m, PICKLE_TENSOR, v));
    PickleTensor *t = ARENA_NEW(m->a, PickleTensor);
    if (!t) return fail_nomem(m->err, sizeof *t);
    (*v)->tensor = t;
    *t = (PickleTensor) { .storage = storage->storage, .rank = (int)size->list.n, .offset = offset->i };
    for (int i = 0; i < t->rank; i++) {
        const PickleValue *d = size->list.item[i], *s = stride->list.item[i];
        if (d->kind != PICKLE_INT || s->kind != PICKLE_INT || d->i < 0 || s->i < 0)
            return fail(m->err, DYN_FORMAT, "a tensor with a size or stride that is none");
        t->dim[i] = d->i;
        t->stride[i] = s->i;
        empty |= d->i == 0;
    }
    if (!last_element(t, &last) || (!empty && last >= t->storage->n))
        return fail(m->err, DYN_FORMAT, "a tensor that reaches beyond its storage of %lld elements",
                    (long long)t->storage->n);
    return DYN_OK;
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

typedef Status Build(PickleMaker *m, const PickleValue *args, PickleValue **v);

static Status copy_items(PickleMaker *m, PickleKind kind, const PickleValue *from, PickleValue **v)
{
    TRY(pickle_new(m, kind, v));
    for (size_t i = 0; is_sequence(from) && i < from->list.n; i++) {
        PickleValue *item = from->list.item[i];
        TRY(spend(m, 1)); /* a long list behind many short calls */
        if (kind != PICKLE_DICT) {
            TRY(pickle_append(m, *v, item));
        } else if (is_sequence(item) && item->list.n == 2) { /* OrderedDict([(key, value), ...]) */
            TRY(pickle_append(m, *v, item->list.item[0]));
            TRY(pickle_append(m, *v, item->list.item[1]));
        } else {
            return fail(m->err, DYN_FORMAT, "a dict made of something other than pairs");
        }
    }
    return DYN_OK;
}

static Status build_set(PickleMaker *m, const PickleValue *args, PickleValue **v)
{
    return copy_items(m, PICKLE_SET, arg(args, 0), v);
}

static Status build_dict(PickleMaker *m, const PickleValue *args, PickleValue **v)
{
    return copy_items(m, PICKLE_DICT, arg(args, 0), v);
}

static Status build_list(PickleMaker *m, const PickleValue *args, PickleValue **v)
{
    return copy_items(m, PICKLE_LIST, arg(args, 0), v);
}

static Status build_tuple(PickleMaker *m, const PickleValue *args, PickleValue **v)
{
    return copy_items(m, PICKLE_TUPLE, arg(args, 0), v);
}

/* _rebuild_parameter(tensor, requires_grad, hooks) */
static Status build_parameter(PickleMaker *m, const PickleValue *args, PickleValue **v)
{
    const PickleValue *t = arg(args, 0);
    if (!pickle_is(t, PICKLE_TENSOR)) return fail(m->err, DYN_FORMAT, "a parameter that is no tensor");
    TRY(pickle_new(m, PICKLE_TENSOR, v));
    (*v)->tensor = t->tensor;
    return DYN_OK;
}

/* _rebuild_from_type_v2(function, class, arguments, state): a tensor of a subclass */
static Status build_typed(PickleMaker *m, const PickleValue *args, PickleValue **v)
{
    const PickleValue *function = arg(args, 0), *inner = arg(args, 2);
    if (!pickle_is(function, PICKLE_GLOBAL) || !str_ends(function->text.s, "._rebuild_tensor_v2"))
        return fail(m->err, DYN_FORMAT, "a tensor of a kind that is not read here");
    return rebuild_tensor(m, inner, v);
}

/* PosixPath("a", "b") */
static Status build_path(PickleMaker *m, const PickleValue *args, PickleValue **v)
{
    char path[4096] = "";
    size_t n = 0;
    for (size_t i = 0; is_sequence(args) && i < args->list.n; i++) {
        const PickleValue *part = args->list.item[i];
        if (part->kind != PICKLE_STRING || part->text.n >= sizeof path - n - 1) break;
        if (n && path[n - 1] != '/') path[n++] = '/';
        memcpy(path + n, part->text.s, part->text.n);
        n += part->text.n;
    }
    return pickle_text(m, path, n, true, v);
}

static const struct {
    const char *path;
    Build *build;
} builders[] = {
    { "torch._utils._rebuild_tensor_v2", rebuild_tensor },
    { "torch._utils._rebuild_tensor", rebuild_tensor },
    { "torch._utils._rebuild_parameter", build_parameter },
    { "torch._utils._rebuild_parameter_with_state", build_parameter },
    { "torch._tensor._rebuild_from_type_v2", build_typed },
    { "torch.nn.parameter.Parameter", build_parameter },
    { "torch.Size", build_tuple },
    { "collections.OrderedDict", build_dict },
    { "collections.defaultdict", NULL },
    { "__builtin__.set", build_set },
    { "builtins.set", build_set },
    { "__builtin__.frozenset", build_set },
    { "builtins.frozenset", build_set },
    { "__builtin__.dict", build_dict },
    { "builtins.dict", build_dict },
    { "__builtin__.list", build_list },
    { "builtins.list", build_list },
    { "__builtin__.tuple", build_tuple },
    { "builtins.tuple", build_tuple },
    { "pathlib.PosixPath", build_path },
    { "pathlib.WindowsPath", build_path },
    { "pathlib.Path", build_path },
    { "pathlib.PurePosixPath", build_path },
    { "pathlib._local.PosixPath", build_path },
    { "pathlib._local.WindowsPath", build_path },
};

Status pickle_reduce(PickleMaker *m, PickleValue *callable, PickleValue *args, PickleValue **v)
{
    const char *path = callable->kind == PICKLE_GLOBAL ? callable->text.s : "";
    for (size_t i = 0; i < COUNT_OF(builders); i++) {
        if (!str_eq(path, builders[i].path)) continue;
        if (!builders[i].build) return pickle_new(m, PICKLE_DICT, v); /* defaultdict(factory) */
        return builders[i].build(m, args, v);
    }
    TRY(pickle_new(m, PICKLE_OBJECT, v));
    (*v)->object.path = path;
    (*v)->object.args = args;
    return DYN_OK;
}
