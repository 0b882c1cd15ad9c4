/* SPDX-License-Identifier: Apache-2.0
 *
 * Pickled tensors as dense blobs. */
#include "formats/pt_util.h"

static bool is_dense(const PickleTensor *t)
{
    int64_t step = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        if (t->dim[i] != 1 && t->stride[i] != step) return false;
        step *= t->dim[i]; /* cannot overflow: blob_set_bytes saw the product */
    }
    return true;
}

/* Row by row in logical order. Offset and strides were checked when the pickle was read. */
static void gather(const PickleTensor *t, const char *from, char *to, size_t size)
{
    int64_t at[PICKLE_MAX_RANK] = { 0 }, place = t->offset;
    for (;;) {
        int d = t->rank - 1;
        memcpy(to, from + (size_t)place * size, size);
        to += size;
        for (; d >= 0; d--) {
            place += t->stride[d];
            if (++at[d] < t->dim[d]) break;
            place -= t->stride[d] * t->dim[d];
            at[d] = 0;
        }
        if (d < 0) return;
    }
}

Status pt_tensor(Arena *a, PtStore *store, const PickleTensor *t, Blob *b, Error *err)
{
    static const double nothing = 0; /* aligned for whatever has no elements */
    const PickleStorage *s = t->storage;
    const void *data;
    if (!s->known) return fail(err, DYN_UNSUPPORTED, "element type torch.%s is not read here", s->class_name);
    size_t size = dtype_bytes(s->dtype);
    b->dtype = s->dtype;
    b->rank = t->rank;
    memcpy(b->dim, t->dim, sizeof b->dim);
    if (!blob_set_bytes(b) || (uint64_t)s->n > (uint64_t)INT64_MAX / size)
        return fail(err, DYN_FORMAT, "a size that does not fit into memory");
    b->data = &nothing;
    if (!b->bytes) return DYN_OK;
    TRY(store->read(store->user, s, (size_t)s->n * size, &data, err));
    if (is_dense(t)) {
        b->data = (const char *)data + (size_t)t->offset * size;
        return DYN_OK;
    }
    /* A stride of zero repeats elements: without a limit a few bytes could ask for all memory. */
    if (b->bytes > store->copy_limit) return fail(err, DYN_FORMAT, "its strides blow it up to %zu bytes", b->bytes);
    store->copy_limit -= b->bytes;
    char *copy = arena_alloc(a, b->bytes);
    if (!copy) return fail_nomem(err, b->bytes);
    gather(t, data, copy, size);
    b->data = copy;
    return DYN_OK;
}
