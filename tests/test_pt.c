/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "formats/pt.h"

#include <math.h>
#include <unistd.h>
#include <zip.h>

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

static void assert_same_blobs(const BlobFile *f, const BlobFile *g)
{
    assert_int_equal(f->n, g->n);
    for (size_t i = 0; i < f->n; i++) {
        const Blob *a = &f->blob[i], *b = &g->blob[i];
        assert_string_equal(a->name, b->name);
        if (a->dtype != b->dtype || a->rank != b->rank || a->bytes != b->bytes || memcmp(a->dim, b->dim, sizeof a->dim))
            fail_msg("%s: shape or type differs", a->name);
        if (a->bytes && memcmp(a->data, b->data, a->bytes)) fail_msg("%s: values differ", a->name);
    }
}

/* Every element type, strides, offsets, shared and expanded storages; PyTorch wrote both files (tools/golden_pt.py). */
static void tensors_as_pytorch(void **state)
{
    static const char *const files[] = { "tests/data/pt_state.pt", "tests/data/pt_nested.pt",
                                         "tests/data/pt_deflated.pt" };
    BlobFile want;
    PtFile f;
    assert_ok(safetensors_read(arena, "tests/data/pt_state.safetensors", &want, &err));
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        assert_ok(pt_read(arena, files[i], &f, &err));
        assert_same_blobs(&f.blobs, &want);
        assert_false(f.is_model);
        assert_string_equal(f.source, i == 1 ? "state_dict" : "");
        assert_int_equal(f.epoch, i == 1 ? 4 : -1);
    }
    /* a view shares its storage's bytes */
    assert_ptr_equal(blob_find(&f.blobs, "view")->data, (const float *)blob_find(&f.blobs, "f32")->data + 5);
}

static void a_training_checkpoint(void **state)
{
    BlobFile want;
    PtFile f;
    int64_t i;
    assert_ok(safetensors_read(arena, "tests/data/pt_ema.safetensors", &want, &err));
    assert_ok(pt_read(arena, "tests/data/pt_ema.pt", &f, &err));
    assert_same_blobs(&f.blobs, &want);
    assert_true(f.is_model && !f.fused);
    assert_string_equal(f.source, "ema");
    assert_string_equal(f.class_path, "ultralytics.nn.tasks.DetectionModel");
    assert_string_equal(f.date, "2024-01-01T00:00:00");
    assert_string_equal(f.version, "8.2.0");
    assert_string_equal(f.task, "detect");
    assert_int_equal(f.epoch, 3);
    assert_int_equal(f.nc, 2);
    assert_true(f.n_stride == 3 && f.stride[0] == 8 && f.stride[2] == 32);
    assert_true(f.bn_eps == 1e-3 && f.bn_momentum == 0.03);
    assert_string_equal(f.sppf_act, "SiLU");
    assert_int_equal(f.n_row, 2);
    assert_string_equal(f.row[1].class_path, "ultralytics.nn.modules.block.SPPF");
    assert_string_equal(f.row[1].class_name, "SPPF");
    assert_true(f.row[0].n_from == 1 && f.row[0].from[0] == -1 && f.row[1].n_from == 2 && f.row[1].from[1] == 0);
    assert_ok(yaml_as_int(yaml_get(f.train_args, "imgsz"), "imgsz", &i, &err));
    assert_int_equal(i, 320);
    assert_int_equal(yaml_get(f.train_args, "cfg")->kind, YAML_NULL);
    assert_int_equal(yaml_get(f.train_args, "freeze")->n, 2);
    /* a class may be called None; in the model description it is null */
    assert_int_equal(f.names->item[0]->kind, YAML_STRING);
    assert_string_equal(f.names->item[0]->text, "None");
    assert_int_equal(f.names->key[1]->i, 1);
    assert_int_equal(yaml_get(f.yaml, "head")->item[0]->item[3]->item[0]->kind, YAML_NULL);
    assert_string_equal(pt_module(&f, "model.1.cv1.act")->object.path, "torch.nn.modules.activation.SiLU");
    assert_non_null(pickle_attr(pt_module(&f, "model.0.bn"), "num_features"));
    assert_null(pt_module(&f, "model.7"));
}

static void a_fused_wrapped_model(void **state)
{
    PtFile f;
    assert_ok(pt_read(arena, "tests/data/pt_fused.pt", &f, &err));
    assert_true(f.fused && f.is_model);
    assert_string_equal(f.source, "model");
    assert_string_equal(f.sppf_act, "Identity");
    assert_string_equal(f.class_path, "ultralytics.nn.tasks.DetectionModel");
    assert_string_equal(f.blobs.blob[0].name, "model.0.conv.weight");
    assert_string_equal(f.blobs.blob[1].name, "model.0.conv.bias");
    assert_true(f.bn_eps == 0);
}

static void other_files(void **state)
{
    static const struct {
        const char *file, *words;
        Status s;
    } cases[] = {
        { "pt_segment.pt", "segments instances", DYN_UNSUPPORTED },
        { "pt_yolov5.pt", "YOLOv5", DYN_UNSUPPORTED },
        { "pt_script.pt", "TorchScript", DYN_UNSUPPORTED },
        { "pt_legacy.pt", "before 1.6", DYN_UNSUPPORTED },
        { "pt_nothing.pt", "without a model", DYN_FORMAT },
        { "yaml_written.yaml", "not a PyTorch", DYN_FORMAT },
        { "absent.pt", "absent.pt", DYN_IO },
        { "pt_big_endian.pt", "big-endian", DYN_UNSUPPORTED },
        { "pt_wrong_size.pt", "'data/0' has 4 bytes, its 24 elements need 96", DYN_FORMAT },
        { "pt_bomb.pt", "claims 16777216 bytes", DYN_FORMAT },
        { "pt_overlap.pt", "overlap at 'archive/data/", DYN_FORMAT },
        { "pt_endless.pt", "more than 1000000 entries", DYN_FORMAT },
    };
    PtFile f;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char path[100];
        snprintf(path, sizeof path, "tests/data/%s", cases[i].file);
        assert_fails(pt_read(arena, path, &f, &err), cases[i].s, cases[i].words);
        assert_true(strstr(err.text, cases[i].file) != NULL);
    }
    assert_fails(pt_parse(arena, "x", "<html>", 6, &f, &err), DYN_FORMAT, "web page");
    assert_fails(pt_parse(arena, "x", "", 0, &f, &err), DYN_FORMAT, "not a PyTorch checkpoint");
}

/* Names, order, types, shapes and values of a released file against PyTorch's own state_dict. */
static void released(const char *letter, const char *conv_class)
{
    char *text, *save = NULL, table[100];
    const char *dir = shared_dir("data/weights");
    size_t n, i = 0;
    PtFile f;
    if (!dir) skip_without("data/weights");
    snprintf(table, sizeof table, "tests/data/pt_yolov8%s.txt", letter);
    assert_ok(file_read(arena, table, 1 << 20, &text, &n, &err));
    double t0 = clock_ms();
    assert_ok(pt_read(arena, arena_printf(arena, "%s/yolov8%s.pt", dir, letter), &f, &err));
    print_message("# yolov8%s.pt read in %.1f ms\n", letter, clock_ms() - t0);
    assert_int_equal(f.blobs.n, 355);
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save), i++) {
        const Blob *b = &f.blobs.blob[i];
        char name[100], dtype[10], shape[40], have[40] = "-";
        double first, sum, got = 0;
        int at = 0;
        assert_int_equal(sscanf(l, "%99s %9s %39s %lf %lf", name, dtype, shape, &first, &sum), 5);
        assert_string_equal(b->name, name);
        assert_string_equal(dtype_name(b->dtype), dtype);
        for (int d = 0; d < b->rank; d++)
            at += snprintf(have + at, sizeof have - (size_t)at, d ? "x%d" : "%d", (int)b->dim[d]);
        assert_string_equal(have, shape);
        for (int64_t k = 0; k < blob_count(b); k++)
            got += dtype_load(b->data, b->dtype, k);
        if (dtype_load(b->data, b->dtype, 0) != first || fabs(got - sum) > 1e-9 * (1 + fabs(sum)))
            fail_msg("%s: first %g, sum %.17g; PyTorch %g, %.17g", name, dtype_load(b->data, b->dtype, 0), got, first,
                     sum);
    }
    assert_int_equal(i, 355);
    assert_true(!f.fused && f.is_model && f.nc == 80 && f.names->n == 80 && f.n_row == 23);
    assert_string_equal(f.names->item[79]->text, "toothbrush");
    assert_true(f.bn_eps == 1e-3 && f.bn_momentum == 0.03 && f.n_stride == 3 && f.stride[1] == 16);
    assert_string_equal(f.sppf_act, "SiLU");
    assert_string_equal(f.row[0].class_path, conv_class);
    assert_string_equal(f.row[22].class_name, "Detect");
    assert_true(f.row[22].n_from == 3 && f.row[22].from[1] == 18);
    assert_int_equal(yaml_get(f.yaml, "backbone")->n, 10);
    assert_true(yaml_get(f.yaml, "depth_multiple")->f == 0.33 || yaml_get(f.yaml, "scales"));
    assert_string_equal(f.task, "detect");
}

static void released_n(void **state)
{
    released("n", "ultralytics.nn.modules.Conv");
}

static void released_s(void **state)
{
    released("s", "ultralytics.nn.modules.conv.Conv");
}

static void write_and_read_back(void **state)
{
    char path[] = "/tmp/dynyolo-pt-XXXXXX";
    const char *keep = getenv("DYN_KEEP_PT"), *to = keep ? keep : path; /* for tools/golden_pt.py --check */
    BlobFile want;
    PtFile f;
    assert_ok(safetensors_read(arena, "tests/data/pt_state.safetensors", &want, &err));
    close(mkstemp(path));
    assert_ok(pt_write(to, &want, &err));
    assert_ok(pt_read(arena, to, &f, &err));
    assert_same_blobs(&f.blobs, &want);
    for (size_t i = 0; i < want.n; i++) /* PyTorch maps such files: every data entry on a line of 64 bytes */
        assert_int_equal((uintptr_t)f.blobs.blob[i].data % dtype_bytes(want.blob[i].dtype), 0);
    want.blob[1].name = want.blob[0].name;
    assert_fails(pt_write(to, &want, &err), DYN_FORMAT, "two tensors");
    unlink(path);
}

/* ---- hostile pickles ----------------------------------------------------------------------------------------- */

static Status parse(const void *data, size_t n, PickleValue **v)
{
    return pickle_parse(arena, "x.pt", data, n, v, &err);
}
#define PARSE(text, v) parse(text, sizeof(text) - 1, v)

static void opcodes(void **state)
{
    PickleValue *v;
    assert_ok(PARSE("\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00]\x94(K\x01M\x00\x01J\xff\xff\xff\xff\x8a\x02\x00\xff"
                    "G?\xf0\x00\x00\x00\x00\x00\x00\x88\x89N\x8c\x02hiC\x01xU\x01yh\x00"
                    "e.",
                    &v));
    assert_true(v->kind == PICKLE_LIST && v->list.n == 12);
    assert_true(v->list.item[0]->i == 1 && v->list.item[1]->i == 256 && v->list.item[2]->i == -1);
    assert_true(v->list.item[3]->i == -256 && v->list.item[4]->f == 1.0 && v->list.item[5]->b && !v->list.item[6]->b);
    assert_string_equal(v->list.item[8]->text.s, "hi");
    assert_int_equal(v->list.item[9]->kind, PICKLE_BYTES);
    assert_ptr_equal(v->list.item[11], v); /* a list that holds itself */
    assert_ok(PARSE(").", &v));            /* no items from an empty stack */
    assert_true(v->kind == PICKLE_TUPLE && v->list.n == 0);
    assert_ok(PARSE("\x8f(K\x01K\x02\x90.", &v));
    assert_true(v->kind == PICKLE_SET && v->list.n == 2);
    assert_ok(PARSE("\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R}X\x01\x00\x00\x00"
                    "aK\x01sb.",
                    &v));
    assert_true(v->kind == PICKLE_OBJECT && pickle_attr(v, "a")->i == 1);
    assert_string_equal(v->object.path, "os.system");
    assert_ok(PARSE("cpathlib\nPosixPath\n(X\x01\x00\x00\x00/X\x01\x00\x00\x00"
                    "aX\x01\x00\x00\x00"
                    "btR.",
                    &v));
    assert_string_equal(v->text.s, "/a/b");
    assert_ok(PARSE("X\x02\x00\x00\x00\xc3\x28.", &v));
    assert_int_equal(v->kind, PICKLE_BYTES); /* not UTF-8 */
    assert_ok(PARSE("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", &v));
    assert_true(v->kind == PICKLE_FLOAT && v->f == 0x1p64);
}

static void malformed_pickles(void **state)
{
    static const struct {
        const char *text;
        size_t n;
        const char *words;
    } cases[] = {
#define C(text, words) { text, sizeof(text) - 1, words }
        C("", "ends in the middle"),
        C(".", "empty stack"),
        C("\x80\x09.", "newer than 5"),
        C("K", "ends in the middle"),
        C("X\xff\xff\xff\xffhi.", "ends in the middle"),
        C("\x8d\xff\xff\xff\xff\xff\xff\xff\xffhi.", "ends in the middle"),
        C("cos\nsystem", "ends in the middle"),
        C("h\x05.", "not remembered"),
        C("Nr\xff\xff\xff\xff.", "memo index"),
        C("t.", "no mark"),
        C("(R.", "empty stack"),
        C("K\x01(a.", "empty stack"),
        C("K\x01K\x02"
          "a.",
          "holds none"),
        C("}(K\x01u.", "without a value"),
        C("i.", "opcode 0x69"),
        C("K\x01Q.", "persistent id"),
        C("ctorch._utils\n_rebuild_tensor_v2\n)R.", "without proper storage"),
        C("ctorch._utils\n_rebuild_parameter\n)R.", "no tensor"),
        C("N\x8c\x01x\x93.", "name of a class"),
#undef C
    };
    PickleValue *v;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_fails(parse(cases[i].text, cases[i].n, &v), DYN_FORMAT, cases[i].words);
        assert_true(str_starts(err.text, "x.pt: byte "));
    }
}

/* storage of 4 floats, then offset, size and stride as given */
#define TENSOR(rest)                                                                                                   \
    "ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00"             \
    "0X\x03\x00\x00\x00"                                                                                               \
    "cpuK\x04tQ" rest "\x89NtR."

static void tensors_beyond_their_storage(void **state)
{
    PickleValue *v;
    assert_ok(PARSE(TENSOR("K\x00K\x02K\x02\x86K\x02K\x01\x86"), &v));
    assert_true(v->kind == PICKLE_TENSOR && v->tensor->rank == 2 && v->tensor->storage->n == 4);
    assert_fails(PARSE(TENSOR("K\x01K\x02K\x02\x86K\x02K\x01\x86"), &v), DYN_FORMAT, "beyond its storage");
    assert_fails(PARSE(TENSOR("K\x00K\x02K\x02\x86K\x03K\x01\x86"), &v), DYN_FORMAT, "beyond its storage");
    assert_fails(PARSE(TENSOR("J\xff\xff\xff\xffK\x02\x85K\x01\x85"), &v), DYN_FORMAT, "without proper");
    assert_fails(PARSE(TENSOR("K\x00K\x02\x85J\xff\xff\xff\xff\x85"), &v), DYN_FORMAT, "that is none");
    assert_fails(
        PARSE(TENSOR("K\x00\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85"),
              &v),
        DYN_FORMAT, "beyond its storage");
    assert_fails(PARSE(TENSOR("K\x00K\x02K\x02\x86K\x01\x85"), &v), DYN_FORMAT, "without proper");
}

/* Ten thousand nested tuples, and a value count beyond the limit. */
static void bombs(void **state)
{
    PickleValue *v;
    const Yaml *y;
    size_t n = PICKLE_MAX_VALUES + 100;
    char *text = arena_alloc(arena, n);
    memset(text, 'N', n);
    assert_fails(parse(text, n, &v), DYN_FORMAT, "more than");
    memset(text, 0x85, 10002);
    text[0] = 'N';
    text[10001] = '.';
    assert_ok(parse(text, 10002, &v));
    assert_fails(pickle_to_yaml(arena, "x.pt", v, false, &y, &err), DYN_FORMAT, "too deep");
    /* each list holds the one before it ten times */
    static const char start[] = "]q\x00", level[] = "](h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00"
                                                    "eq\x00";
    size_t at = 0;
    memcpy(text, start, sizeof start - 1), at += sizeof start - 1;
    for (int i = 0; i < 30; i++)
        memcpy(text + at, level, sizeof level - 1), at += sizeof level - 1;
    text[at++] = '.';
    assert_ok(parse(text, at, &v));
    assert_fails(pickle_to_yaml(arena, "x.pt", v, false, &y, &err), DYN_FORMAT, "too large");
}

/* ---- hostile archives ---------------------------------------------------------------------------------------- */

static void cut_and_damaged(void **state)
{
    static const char *const files[] = { "tests/data/pt_ema.pt", "tests/data/pt_deflated.pt" };
    for (size_t k = 0; k < COUNT_OF(files); k++) {
        char *data;
        size_t n;
        PtFile f;
        assert_ok(file_read(arena, files[k], 1 << 20, &data, &n, &err));
        for (size_t i = 0; i < n; i += 37)
            assert_int_equal(pt_parse(arena, "cut.pt", data, i, &f, &err), DYN_FORMAT);
        for (size_t i = 0; i < n; i += 11) {
            ArenaMark mark = arena_mark(arena);
            char old = data[i];
            data[i] = (char)(old ^ 0x55);
            Status s = pt_parse(arena, "damaged.pt", data, n, &f, &err);
            assert_true(s == DYN_OK || s == DYN_FORMAT || s == DYN_UNSUPPORTED || s == DYN_NOMEM);
            data[i] = old;
            arena_release(arena, mark);
        }
    }
}

/* An archive with these entries; texts of fixed size, as pickles hold zero bytes. */
typedef struct Entry {
    const char *name, *bytes;
    size_t n;
    int method; /* of compression, -1: as libzip likes */
} Entry;

static Status read_zip(const Entry *e, size_t n, PtFile *f)
{
    char path[] = "/tmp/dynyolo-pt-XXXXXX";
    close(mkstemp(path));
    zip_t *z = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);
    assert_non_null(z);
    for (size_t i = 0; i < n; i++) {
        zip_source_t *s = zip_source_buffer(z, e[i].bytes, e[i].n, 0);
        zip_int64_t at = zip_file_add(z, e[i].name, s, ZIP_FL_ENC_UTF_8);
        assert_true(at >= 0);
        zip_set_file_compression(z, (zip_uint64_t)at, e[i].method < 0 ? ZIP_CM_DEFAULT : e[i].method, 0);
    }
    assert_int_equal(zip_close(z), 0);
    Status s = pt_read(arena, path, f, &err);
    unlink(path);
    return s;
}

/* { "w": tensor [4] of a storage of the class, with the key and the count as given } */
#define STATE(class, key, count)                                                                                       \
    "\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage" class key               \
        "X\x03\x00\x00\x00"                                                                                            \
        "cpu" count "tQK\x00K\x04\x85K\x01\x85\x89NtRs."
#define FLOATS "ctorch\nFloatStorage\n"
#define KEY                                                                                                            \
    "X\x01\x00\x00\x00"                                                                                                \
    "0"
#define E(name, bytes)                                                                                                 \
    {                                                                                                                  \
        name, bytes, sizeof(bytes) - 1, ZIP_CM_STORE                                                                   \
    }
#define SIXTEEN "0123456789abcdef"

static void zip_tricks(void **state)
{
    static const struct {
        Entry entry[4];
        size_t n;
        const char *words; /* NULL: is read */
    } cases[] = {
        { { E("a/data.pkl", STATE(FLOATS, KEY, "K\x04")), E("a/data/0", SIXTEEN) }, 2, NULL },
        /* names that lead elsewhere are names: nothing is ever unpacked */
        { { E("../../etc/data.pkl", STATE(FLOATS, KEY, "K\x04")), E("../../etc/data/0", SIXTEEN) }, 2, NULL },
        { { E("a/data.pkl", STATE(FLOATS, KEY, "K\x04")) }, 1, "data/0" },
        { { E("a/data.pkl", STATE(FLOATS, "X\x06\x00\x00\x00../../x", "K\x04")), E("a/data/0", SIXTEEN) }, 2, "" },
        { { E("a/data.pkl", STATE(FLOATS, KEY, "K\x05")), E("a/data/0", SIXTEEN) }, 2, "has 16 bytes" },
        { { E("a/data.pkl", STATE(FLOATS, KEY, "K\x03")), E("a/data/0", SIXTEEN) }, 2, "beyond its storage" },
        { { E("a/data.pkl", STATE(FLOATS, KEY, "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x3f")), E("a/data/0", SIXTEEN) },
          2,
          "" },
        { { E("a/data.pkl", STATE(FLOATS, KEY, "J\xff\xff\xff\xff")), E("a/data/0", SIXTEEN) }, 2, "" },
        { { E("a/data.pkl", STATE("cos\nsystem\n", KEY, "K\x04")), E("a/data/0", SIXTEEN) }, 2, "system" },
        { { E("a/data.pkl", STATE("ctorch\nQInt8Storage\n", KEY, "K\x04")), E("a/data/0", SIXTEEN) }, 2, "QInt8" },
        { { E("a/data.pkl", STATE("N", KEY, "K\x04")), E("a/data/0", SIXTEEN) }, 2, "" },
        { { E("a/data/0", SIXTEEN) }, 1, "no PyTorch checkpoint" },
        { { E("a/data.pkl", "") }, 1, "ends in the middle" },
    };
    PtFile f;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Status s = read_zip(cases[i].entry, cases[i].n, &f);
        if (!cases[i].words) {
            assert_ok(s);
            assert_int_equal(f.blobs.n, 1);
            assert_memory_equal(f.blobs.blob[0].data, SIXTEEN, 16);
        } else if ((s != DYN_FORMAT && s != DYN_UNSUPPORTED) || !strstr(err.text, cases[i].words)) {
            fail_msg("case %d: %s: '%s' does not say '%s'", (int)i, dyn_status_name(s), err.text, cases[i].words);
        }
    }
}

static void memory_runs_out(void **state)
{
    char path[] = "/tmp/dynyolo-pt-XXXXXX";
    Status s = DYN_NOMEM;
    close(mkstemp(path));
    for (long i = 1; s != DYN_OK; i++) {
        Arena *a = arena_new();
        PtFile f;
        assert_true(i < 500 && a);
        mem_fail_after(i);
        s = pt_read(a, "tests/data/pt_ema.pt", &f, &err);
        if (s == DYN_OK) s = pt_write(path, &f.blobs, &err);
        assert_true(s == DYN_OK || s == DYN_NOMEM);
        mem_fail_after(0);
        arena_free(&a);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_as_pytorch),
        cmocka_unit_test(a_training_checkpoint),
        cmocka_unit_test(a_fused_wrapped_model),
        cmocka_unit_test(other_files),
        cmocka_unit_test(released_n),
        cmocka_unit_test(released_s),
        cmocka_unit_test(write_and_read_back),
        cmocka_unit_test(opcodes),
        cmocka_unit_test(malformed_pickles),
        cmocka_unit_test(tensors_beyond_their_storage),
        cmocka_unit_test(bombs),
        cmocka_unit_test(cut_and_damaged),
        cmocka_unit_test(zip_tricks),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
