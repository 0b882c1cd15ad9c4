/* SPDX-License-Identifier: Apache-2.0
 *
 * Models from files and to files: released checkpoints, the native format, transfer between models (spec 2.11, 10). */
#include "test.h"

#include "formats/pt.h"
#include "model/model.h"

#include <unistd.h>

static Error err;
static char dir[64];

static const char *temp(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static int make_dir(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/dynyolo-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    static const char *const names[] = { "a.safetensors",      "b.safetensors",    "a.pt",
                                         "yolov8.yaml",        "bare.safetensors", "unscaled.safetensors",
                                         "compat.safetensors", "compat.pt" };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        unlink(temp(names[i]));
    return rmdir(dir);
}

static Model *small(int64_t nc, const char *act)
{
    char text[256];
    Model *m = NULL;
    snprintf(
        text, sizeof text,
        "nc: 80\nactivation: %s\nbackbone:\n  - [-1, 1, Conv, [8, {s: 4, k: 3}]]\n  - [-1, 1, SPPF, [16, 5]]\nhead:\n"
        "  - [[0, 1], 1, Detect, [nc]]\n",
        act);
    assert_ok(model_from_text("small.yaml", text, strlen(text),
                              &(ModelOptions) { .nc = nc, .seed = 7, .compat = { .sppf_no_act = true } }, &m, &err));
    return m;
}

static void assert_same_weights(const Model *a, const Model *b)
{
    assert_int_equal(graph_n_params(a->g), graph_n_params(b->g));
    assert_int_equal(a->w.n, b->w.n);
    assert_memory_equal(a->w.data, b->w.data, (size_t)a->w.n * sizeof(float));
    assert_memory_equal(a->count, b->count, (size_t)graph_n_params(a->g) * sizeof *a->count);
}

static void test_native_round_trip(void **state)
{
    static const char *const names[] = { "cat", "b\"ö\n", "no" };
    Model *m = small(3, "nn.LeakyReLU(0.2)"), *back = NULL;
    Arena *a = arena_new();
    BlobNote note = { "epoch", "12" };
    BlobFile f;
    assert_ok(model_set_names(m, names, &err));
    m->count[graph_find_param(m->g, "model.0.bn.num_batches_tracked")] = INT64_C(5000000000);
    assert_ok(model_save(m, temp("a.safetensors"), &note, 1, &err));
    assert_ok(model_load(temp("a.safetensors"), NULL, &back, &err));
    assert_same_weights(m, back);
    for (int i = 0; i < 3; i++)
        assert_string_equal(back->names[i], names[i]);
    assert_int_equal(back->nc, 3);
    assert_true(back->compat.sppf_no_act);
    assert_string_equal(back->title, "small");
    assert_string_equal(back->row[0].args, "[3, 8, k=3, s=4]"); /* keywords come back as keywords */
    char *text[2];
    assert_non_null(text[0] = graph_text(m->g, NULL, a));
    assert_non_null(text[1] = graph_text(back->g, NULL, a));
    assert_string_equal(text[0], text[1]);
    assert_ok(safetensors_read(a, temp("a.safetensors"), &f, &err));
    assert_string_equal(blob_note(&f, "epoch"), "12");
    assert_string_equal(blob_note(&f, "stride"), "4,4");
    assert_ok(model_save(back, temp("b.safetensors"), &note, 1, &err));
    char *bytes[2];
    size_t n[2];
    assert_ok(file_read(a, temp("a.safetensors"), 1 << 24, &bytes[0], &n[0], &err));
    assert_ok(file_read(a, temp("b.safetensors"), 1 << 24, &bytes[1], &n[1], &err));
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(bytes[0], bytes[1], n[0]);
    model_free(&m);
    model_free(&back);
    arena_free(&a);
}

static void test_state_dict(void **state)
{
    Model *m = small(3, "nn.SiLU()"), *other = NULL;
    Arena *a = arena_new();
    BlobFile f;
    Transfer t;
    assert_ok(model_save_pt(m, temp("a.pt"), &err));
    assert_fails(model_load(temp("a.pt"), NULL, &other, &err), DYN_UNSUPPORTED, "without a model description");
    assert_ok(model_read_blobs(temp("a.pt"), a, &f, NULL, &err));
    other = small(3, "nn.SiLU()");
    model_init(other, 99);
    assert_memory_not_equal(m->w.data, other->w.data, (size_t)m->w.n * sizeof(float));
    assert_ok(model_transfer(other, &f, a, &t, &err));
    assert_int_equal(t.copied, t.total);
    assert_same_weights(m, other);
    model_free(&m);
    model_free(&other);
    arena_free(&a);
}

static void test_transfer_counts(void **state)
{
    Model *src = small(80, "nn.SiLU()"), *dst = small(3, "nn.SiLU()");
    Arena *a = arena_new();
    BlobFile f;
    Transfer t;
    assert_ok(model_blobs(src, &src->w, a, &f, &err));
    assert_ok(model_transfer(dst, &f, a, &t, &err));
    /* cls_width is max(8, min(nc, 100)): all of the class branch but the six scalar counters differ */
    assert_int_equal(t.total - t.copied, 2 * (5 + 5 + 2));
    assert_int_equal(t.n_missing, 24);
    assert_string_equal(t.missing[0], "model.2.cv3.0.0.conv.weight");
    model_free(&src);
    model_free(&dst);
    arena_free(&a);
}

/* A parameter whose shape in files is another: so it is written, so it is looked for, with the same elements. */
static void test_file_shape(void **state)
{
    Model *m = small(3, "nn.SiLU()"), *same = small(3, "nn.SiLU()"), *plain = small(3, "nn.SiLU()");
    Arena *a = arena_new();
    BlobFile native, pt;
    Transfer t;
    int i = graph_find_param(m->g, "model.0.conv.weight");
    graph_param_file_shape(m->g, graph_param_spec(m->g, i)->value, SHAPE(8, 27));
    graph_param_file_shape(same->g, graph_param_spec(same->g, i)->value, SHAPE(8, 27));
    assert_ok(graph_status(m->g, &err));
    assert_ok(model_save(m, temp("a.safetensors"), NULL, 0, &err));
    assert_ok(model_save_pt(m, temp("a.pt"), &err));
    assert_ok(model_read_blobs(temp("a.safetensors"), a, &native, NULL, &err));
    assert_ok(model_read_blobs(temp("a.pt"), a, &pt, NULL, &err));
    for (int k = 0; k < 2; k++) {
        const BlobFile *f = k ? &pt : &native;
        const Blob *b = blob_find(f, "model.0.conv.weight");
        assert_int_equal(b->rank, 2);
        assert_int_equal(b->dim[0], 8);
        assert_int_equal(b->dim[1], 27);
        assert_memory_equal(b->data, m->w.data + graph_param_spec(m->g, i)->offset, 8 * 27 * sizeof(float));
        model_init(same, 99);
        assert_ok(model_transfer(same, f, a, &t, &err));
        assert_int_equal(t.n_missing, 0);
        assert_same_weights(m, same);
        assert_ok(model_transfer(plain, f, a, &t, &err));
        assert_int_equal(t.n_missing, 1);
        assert_string_equal(t.missing[0], "model.0.conv.weight");
    }
    graph_param_file_shape(m->g, graph_param_spec(m->g, i)->value, SHAPE(8, 9, 9));
    assert_fails(graph_status(m->g, &err), DYN_SHAPE, "[8,3,3,3], which does not fit the shape [8,9,9] in files");
    model_free(&m);
    model_free(&same);
    model_free(&plain);
    arena_free(&a);
}

static void test_released(void **state)
{
    static const struct {
        const char *file, *title;
        int64_t params;
        const char *stock;
        int64_t nc, transferred;
    } T[] = {
        { "data/weights/yolov8n.pt", "YOLOv8n", 3157200, "yolov8n.yaml", 1, 319 },
        { "data/weights/yolov8s.pt", "YOLOv8s", 11166560, "yolov8s.yaml", 20, 349 },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        const char *path = shared_dir(T[i].file);
        if (!path) skip_without(T[i].file);
        Arena *a = arena_new();
        Model *m = NULL, *other = NULL;
        ModelInfo info;
        Transfer t;
        BlobFile f;
        assert_ok(model_load(path, NULL, &m, &err));
        assert_int_equal(m->nc, 80);
        assert_string_equal(m->names[0], "person");
        assert_string_equal(m->names[79], "toothbrush");
        assert_string_equal(m->title, T[i].title);
        assert_int_equal(m->max_stride, 32);
        assert_int_equal(graph_n_params(m->g), 355);
        assert_ok(model_info(m, 640, a, &info, &err));
        assert_int_equal(info.params, T[i].params);
        assert_ok(model_read_blobs(path, a, &f, NULL, &err));
        assert_int_equal(f.n, 355);
        for (int k = 0; k < 355; k++) {
            const ParamSpec *p = graph_param_spec(m->g, k);
            assert_string_equal(f.blob[k].name, p->name);
            if (p->kind == PARAM_COUNT) continue;
            int64_t last = blob_count(&f.blob[k]) - 1;
            if ((double)m->w.data[p->offset + last] != dtype_load(f.blob[k].data, f.blob[k].dtype, last))
                fail_msg("%s differs", p->name);
        }
        assert_ok(model_from_file(T[i].stock, &(ModelOptions) { .nc = T[i].nc }, &other, &err));
        assert_ok(model_transfer(other, &f, a, &t, &err));
        assert_int_equal(t.copied, T[i].transferred);
        assert_int_equal(t.total, 355);
        model_free(&m);
        model_free(&other);
        arena_free(&a);
    }
}

/* pt_unscaled.pt has 16 classes, and a first row of nominal width 16 that its version of the reference did not scale
 * (spec 1.4, rule 4): PyTorch's own shapes, tools/golden_pt.py. */
static void test_width_that_equals_the_class_count(void **state)
{
    Model *m = NULL, *again = NULL;
    assert_ok(model_load("tests/data/pt_unscaled.pt", NULL, &m, &err));
    assert_int_equal(m->row[0].shape.dim[1], 16);
    assert_int_equal(m->row[1].shape.dim[1], 8);
    assert_ok(model_save(m, temp("unscaled.safetensors"), NULL, 0, &err));
    assert_ok(model_load(temp("unscaled.safetensors"), NULL, &again, &err));
    assert_int_equal(again->row[0].shape.dim[1], 16);
    assert_memory_equal(again->w.data, m->w.data, m->w.n * sizeof *m->w.data);
    model_free(&again);
    assert_ok(model_from_yaml("new.yaml", m->yaml, NULL, &again, &err)); /* what is built here is scaled */
    assert_int_equal(again->row[0].shape.dim[1], 8);
    model_free(&again);
    model_free(&m);
}

/* What the version of a file did differently comes with its tensors, from one reading. */
static void test_compat_comes_with_the_tensors(void **state)
{
    Arena *a = arena_new();
    BlobFile f;
    WeightsFacts c;
    Model *m = small(3, "nn.SiLU()");
    m->compat.sppf_no_act = true;
    assert_ok(model_save(m, temp("compat.safetensors"), NULL, 0, &err));
    assert_ok(model_save_pt(m, temp("compat.pt"), &err));
    model_free(&m);
    assert_ok(model_read_blobs(temp("compat.safetensors"), a, &f, &c, &err));
    assert_true(c.compat.sppf_no_act && !c.compat.width_nc_quirk);
    assert_ok(model_read_blobs(temp("compat.pt"), a, &f, &c, &err)); /* a state dict says nothing */
    assert_true(!c.compat.sppf_no_act && !c.compat.width_nc_quirk);
    assert_ok(model_read_blobs("tests/data/pt_unscaled.pt", a, &f, &c, &err));
    assert_true(!c.compat.sppf_no_act && c.compat.width_nc_quirk);
    arena_free(&a);
}

/* A file in the way of a stock name wins, its unified form too. */
static void test_file_before_stock(void **state)
{
    const char *text = "nc: 5\nscales: {n: [1, 1, 64], s: [1, 2, 64]}\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\nhead:\n"
                       "  - [0, 1, Detect, [nc]]\n";
    Model *m = NULL;
    char path[256];
    assert_ok(file_write(temp("yolov8.yaml"), text, strlen(text), &err));
    snprintf(path, sizeof path, "%s", temp("yolov8s.yaml"));
    assert_ok(model_load(path, NULL, &m, &err));
    assert_int_equal(m->nc, 5);
    assert_int_equal(m->row[0].shape.dim[1], 16);
    assert_string_equal(m->title, "YOLOv8s");
    model_free(&m);
    assert_fails(model_load(temp("yolov8s-p2.yaml"), NULL, &m, &err), DYN_IO, "no model file");
}

static void rewrite(const char *from, const char *to, const char *drop_note, const char *drop_tensor)
{
    Arena *a = arena_new();
    BlobFile f;
    assert_ok(safetensors_read(a, from, &f, &err));
    for (size_t i = 0; drop_note && i < f.n_note; i++)
        if (str_eq(f.note[i].key, drop_note)) f.note[i--] = f.note[--f.n_note];
    for (size_t i = 0; drop_tensor && i < f.n; i++)
        if (str_eq(f.blob[i].name, drop_tensor)) f.blob[i--] = f.blob[--f.n];
    assert_ok(safetensors_write(to, &f, &err));
    arena_free(&a);
}

/* A file of a few hundred bytes that describes a model of 200 million weights. Were they allocated before the tensors
 * are counted, they would be missing: another message. */
static void test_larger_than_its_file(void **state)
{
    static const char yaml[] = "nc: 1\nbackbone: [[-1, 1, Conv, [4096, 3, 2]], [-1, 1, Conv, [4096, 3, 2]]]\n"
                               "head: [[[1], 1, Detect, [nc]]]\n";
    static const float w[4] = { 0 };
    BlobNote note[] = { { "dynyolo", "1" }, { "model", yaml }, { "names", "[\"a\"]" } };
    Blob blob = { .name = "w", .dtype = F32, .rank = 1, .dim = { 4 }, .data = w, .bytes = sizeof w };
    BlobFile f = { &blob, 1, note, COUNT_OF(note) };
    Model *m = NULL;
    char path[256];
    snprintf(path, sizeof path, "%s", temp("bare.safetensors"));
    assert_ok(safetensors_write(path, &f, &err));
    assert_fails(model_load(path, NULL, &m, &err), DYN_FORMAT, "describes a model of");
    assert_null(m);
}

static void test_refusals(void **state)
{
    char from[256], to[256];
    Model *m = small(3, "nn.SiLU()");
    snprintf(from, sizeof from, "%s", temp("a.safetensors"));
    snprintf(to, sizeof to, "%s", temp("bare.safetensors"));
    assert_ok(model_save(m, from, NULL, 0, &err));
    model_free(&m);
    rewrite(from, to, "model", NULL);
    assert_fails(model_load(to, NULL, &m, &err), DYN_UNSUPPORTED, "without a model description");
    rewrite(from, to, "names", NULL);
    assert_fails(model_load(to, NULL, &m, &err), DYN_FORMAT, "'names' must be a list of 3 texts");
    rewrite(from, to, NULL, "model.1.cv2.bn.bias");
    assert_fails(model_load(to, NULL, &m, &err), DYN_FORMAT, "'model.1.cv2.bn.bias' is missing");
    assert_fails(model_load("nothing.pt", NULL, &m, &err), DYN_IO, "nothing.pt");
    assert_fails(model_load("x.onnx", NULL, &m, &err), DYN_UNSUPPORTED, "ONNX");
    assert_null(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_native_round_trip),
        cmocka_unit_test(test_state_dict),
        cmocka_unit_test(test_transfer_counts),
        cmocka_unit_test(test_file_shape),
        cmocka_unit_test(test_released),
        cmocka_unit_test(test_file_before_stock),
        cmocka_unit_test(test_width_that_equals_the_class_count),
        cmocka_unit_test(test_compat_comes_with_the_tensors),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_larger_than_its_file),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
