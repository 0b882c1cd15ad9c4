/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "formats/blob.h"

#include <unistd.h>

static Arena *arena;
static Error err;

static int setup(void **state)
{
    arena = arena_new();
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    mem_fail_after(0);
    arena_free(&arena);
    return 0;
}

/* A file from the text of its header and n bytes of data; the data of each counts 0, 1, 2, ... */
static Status parse(const char *header, size_t n_data, BlobFile *f)
{
    size_t n = strlen(header);
    char *file = arena_alloc(arena, 8 + n + n_data + 1);
    for (int i = 0; i < 8; i++)
        file[i] = (char)((uint64_t)n >> 8 * i);
    memcpy(file + 8, header, n);
    for (size_t i = 0; i < n_data; i++)
        file[8 + n + i] = (char)i;
    return safetensors_parse(arena, "t.safetensors", file, 8 + n + n_data, f, &err);
}

/* tools/golden_pt.py wrote the file with json and NumPy. */
static void reads_what_numpy_wrote(void **state)
{
    BlobFile f;
    assert_ok(safetensors_read(arena, "tests/data/pt_state.safetensors", &f, &err));
    assert_int_equal(f.n, 18);
    assert_string_equal(f.blob[0].name, "f32");
    assert_string_equal(blob_note(&f, "note"), "caf\xc3\xa9 \"x\"");
    assert_null(blob_note(&f, "absent"));
    assert_null(blob_find(&f, "absent"));
    const Blob *b = blob_find(&f, "i32");
    assert_true(b->dtype == I32 && b->rank == 1 && b->dim[0] == 7 && blob_count(b) == 7);
    for (int i = 0; i < 7; i++)
        assert_true(dtype_load(b->data, I32, i) == i - 3);
    assert_true(blob_find(&f, "scalar")->rank == 0 && dtype_load(blob_find(&f, "scalar")->data, I64, 0) == 42);
    assert_true(blob_find(&f, "empty")->bytes == 0 && blob_find(&f, "empty")->dim[1] == 3);
}

static void write_and_read_back(void **state)
{
    char path[] = "/tmp/dynyolo-safetensors-XXXXXX", *one, *two;
    size_t n_one, n_two;
    BlobFile f, g;
    assert_ok(safetensors_read(arena, "tests/data/pt_state.safetensors", &f, &err));
    close(mkstemp(path));
    assert_ok(safetensors_write(path, &f, &err));
    assert_ok(file_read(arena, path, 1 << 20, &one, &n_one, &err));
    assert_int_equal(one[0] & 7, 0);
    assert_ok(safetensors_read(arena, path, &g, &err));
    assert_int_equal(g.n, f.n);
    assert_int_equal(g.n_note, f.n_note);
    assert_string_equal(blob_note(&g, "note"), blob_note(&f, "note"));
    for (size_t i = 0; i < f.n; i++) {
        const Blob *a = &f.blob[i], *b = &g.blob[i];
        assert_string_equal(a->name, b->name);
        assert_true(a->dtype == b->dtype && a->rank == b->rank && a->bytes == b->bytes);
        assert_memory_equal(a->dim, b->dim, sizeof a->dim);
        if (a->bytes) assert_memory_equal(a->data, b->data, a->bytes);
    }
    assert_ok(safetensors_write(path, &g, &err));
    assert_ok(file_read(arena, path, 1 << 20, &two, &n_two, &err));
    assert_true(n_one == n_two && memcmp(one, two, n_one) == 0);
    f.blob[1].name = f.blob[0].name;
    assert_fails(safetensors_write(path, &f, &err), DYN_FORMAT, "two tensors are named 'f32'");
    f.blob[1].name = "\xff";
    assert_fails(safetensors_write(path, &f, &err), DYN_FORMAT, "UTF-8");
    f.blob[1].name = "x";
    f.blob[1].dim[0]++;
    assert_fails(safetensors_write(path, &f, &err), DYN_SHAPE, "'x'");
    assert_fails(safetensors_write("/nonexistent/x", &g, &err), DYN_IO, "/nonexistent/x");
    unlink(path);
}

static void misaligned_data(void **state)
{
    BlobFile f;
    assert_ok(parse("{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
                    "\"b\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[3,11]}}",
                    11, &f));
    assert_int_equal((uintptr_t)f.blob[1].data % 8, 0);
    assert_int_equal(*(const unsigned char *)f.blob[1].data, 3);
}

static void refusals(void **state)
{
    BlobFile f;
    static const struct {
        const char *header;
        size_t n;
        const char *words;
    } cases[] = {
        { "[]", 0, "no JSON header" },
        { "{\"a\":1}", 0, "lacks dtype" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}", 4, "header" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "need 8" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "no shape" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "no shape" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", 0, "too large" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,4611686018427387904,4],\"data_offsets\":[0,0]}}", 0, "too large" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 4, "bytes 4 to 8 of 4" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "bytes 4 to 0" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "after a hole" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8, "end at byte 4 of 8" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
          "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}",
          6, "inside another" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
          "\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
          0, "duplicate" },
        { "{\"__metadata__\":{\"a\":1}}", 0, "not a text" },
        { "{\"__metadata__\":[]}", 0, "not a map" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_fails(parse(cases[i].header, cases[i].n, &f), DYN_FORMAT, cases[i].words);
    assert_fails(parse("{\"a\":{\"dtype\":\"F8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, &f), DYN_UNSUPPORTED,
                 "F8");
    assert_fails(parse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, &f),
                 DYN_UNSUPPORTED, "9 dimensions");
    assert_fails(safetensors_parse(arena, "x", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, &f, &err), DYN_FORMAT,
                 "announces a header");
    assert_ok(parse("{}", 0, &f));
    assert_int_equal(f.n, 0);
}

static void cut_anywhere(void **state)
{
    char *data;
    size_t n;
    BlobFile f;
    assert_ok(file_read(arena, "tests/data/pt_state.safetensors", 1 << 20, &data, &n, &err));
    for (size_t i = 0; i < n; i += 7)
        assert_int_equal(safetensors_parse(arena, "cut", data, i, &f, &err), DYN_FORMAT);
}

static void memory_runs_out(void **state)
{
    Status s = DYN_NOMEM;
    char path[] = "/tmp/dynyolo-safetensors-XXXXXX";
    close(mkstemp(path));
    for (long i = 1; s != DYN_OK; i++) {
        Arena *a = arena_new();
        BlobFile f;
        assert_true(i < 100 && a);
        mem_fail_after(i);
        s = safetensors_read(a, "tests/data/pt_state.safetensors", &f, &err);
        if (s == DYN_OK) s = safetensors_write(path, &f, &err);
        assert_true(s == DYN_OK || s == DYN_NOMEM);
        mem_fail_after(0);
        arena_free(&a);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_numpy_wrote), cmocka_unit_test(write_and_read_back),
        cmocka_unit_test(misaligned_data),        cmocka_unit_test(refusals),
        cmocka_unit_test(cut_anywhere),           cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
