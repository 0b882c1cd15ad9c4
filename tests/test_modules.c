/* SPDX-License-Identifier: Apache-2.0
 *
 * Every module that has a file tests/data/module_NAME.safetensors (tools/golden_modules.py: PyTorch in double) against
 * it: value, gradient of the input and of every parameter, in double by the plain references, in f32 and bf16 by the
 * processor's kernels, and the inference pipeline with BatchNorm folded. A new module needs its cases in that script
 * and nothing here. */
#include "module_case.h"

#include "formats/blob.h"

static Error err;

/* Length as a vector. */
static double size_of(const Blob *b)
{
    double sum = 0;
    for (int64_t e = 0; e < blob_count(b); e++)
        sum += dtype_load(b->data, b->dtype, e) * dtype_load(b->data, b->dtype, e);
    return sqrt(sum);
}

/* How far a result is from what the file has: the largest difference over the largest element there, or (mean) the
 * lengths of both as vectors, to the second of which `beside` is added. */
static double distance(const ModuleCase *c, const Tensor *got, const Blob *want, bool mean, double beside)
{
    double top = 0, most = 0, squares = 0;
    if (blob_count(want) != tensor_count(got))
        fail_msg("%s: %s: %s has %lld elements, not %lld", c->module, c->line, want->name, (long long)tensor_count(got),
                 (long long)blob_count(want));
    for (int64_t e = 0; e < blob_count(want); e++) {
        double w = dtype_load(want->data, want->dtype, e), d = fabs(tensor_get(got, e) - w);
        top = MAX(top, fabs(w));
        most = d <= most ? most : d; /* a NaN stays */
        squares += d * d;
    }
    if (mean) return sqrt(squares) / (size_of(want) + beside);
    return top > 0 ? most / top : most;
}

static bool is_zero(const Blob *b)
{
    for (int64_t e = 0; e < blob_count(b); e++)
        if (dtype_load(b->data, b->dtype, e) != 0) return false;
    return true;
}

typedef struct Tolerance {
    double value, gradient;
    bool mean;
} Tolerance;

/* Tensors of case `index` that run r has: returns how many were compared. */
static int compare(const ModuleCase *c, const BlobFile *file, int index, const ModuleRun *r, Tolerance tol,
                   const char *how)
{
    char prefix[16], all[24];
    double largest = 0;
    int n = 0;
    bool gradients = module_result(r, "grad:x").data;
    snprintf(prefix, sizeof prefix, "%d.", index);
    snprintf(all, sizeof all, "%d.grad:", index);
    for (size_t i = 0; i < file->n; i++)
        if (str_starts(file->blob[i].name, all)) largest = MAX(largest, size_of(&file->blob[i]));
    for (size_t i = 0; i < file->n; i++) {
        const Blob *b = &file->blob[i];
        if (!str_starts(b->name, prefix)) continue;
        const char *name = b->name + strlen(prefix);
        Tensor t = module_result(r, name);
        bool value = str_eq(name, "y");
        if (!t.data && gradients && str_starts(name, "grad:") && is_zero(b)) n++; /* nothing flows there, or should */
        if (!t.data) continue;
        double d = distance(c, &t, b, tol.mean, value ? 0 : largest / 10), most = value ? tol.value : tol.gradient;
        if (!(d <= most))
            fail_msg("%s: %s: %s: %s is %.3g of its size away, at most %g", c->module, c->line, how, name, d, most);
        n++;
    }
    return n;
}

/* Tensors that the file has for the case. */
static int count(const BlobFile *file, int index)
{
    char prefix[16];
    int n = 0;
    snprintf(prefix, sizeof prefix, "%d.", index);
    for (size_t i = 0; i < file->n; i++)
        n += str_starts(file->blob[i].name, prefix);
    return n;
}

/* Every parameter that is trained must have a gradient in the file. */
static void check_complete(const ModuleCase *c, const BlobFile *file, int index, Arena *a)
{
    Graph *g = module_graph(c, F64, a);
    for (int i = 0; i < graph_n_params(g); i++) {
        const ParamSpec *p = graph_param_spec(g, i);
        if (p->trainable && !blob_find(file, arena_printf(a, "%d.grad:%s", index, p->name)))
            fail_msg("%s: %s: the file has no gradient of '%s'", c->module, c->line, p->name);
    }
    assert_non_null(blob_find(file, arena_printf(a, "%d.y", index)));
    assert_non_null(blob_find(file, arena_printf(a, "%d.grad:x", index)));
    graph_free(&g);
}

typedef void CheckFn(const ModuleCase *c, const BlobFile *file, int index, Arena *a);

static void check_double(const ModuleCase *c, const BlobFile *file, int index, Arena *a)
{
    check_complete(c, file, index, a);
    ModuleRun r = module_walk(c, a);
    assert_int_equal(compare(c, file, index, &r, (Tolerance) { 1e-10, 1e-10, false }, "double"), count(file, index));
}

/* Products in another order are the same to rounding, gradients included. */
static void check_reassociated(const ModuleCase *c, const BlobFile *file, int index, Arena *a)
{
    Graph *g = module_graph(c, F64, a), *mode = NULL, *moved, *both;
    ModuleRun r = { .a = a };
    if (c->train) assert_ok(pass_train_mode(g, &mode, &err));
    assert_ok(pass_reassociate(mode ? mode : g, &moved, &err));
    assert_ok(pass_autodiff_inputs(moved, "loss", &both, &err));
    module_walk_graph(c, both, &r);
    graph_free(&both);
    assert_ok(pass_autodiff(moved, "loss", &both, &err));
    module_walk_graph(c, both, &r);
    assert_int_equal(compare(c, file, index, &r, (Tolerance) { 1e-10, 1e-10, false }, "reassociated"),
                     count(file, index));
    graph_free(&both);
    graph_free(&moved);
    graph_free(&mode);
    graph_free(&g);
}

static void check_f32(const ModuleCase *c, const BlobFile *file, int index, Arena *a)
{
    ModuleRun r = module_run(c, F32, a);
    assert_int_equal(compare(c, file, index, &r, (Tolerance) { 1e-5, 1e-5 * (c->train ? c->loose : 1), false }, "f32"),
                     count(file, index));
    if (c->train) return;
    r = module_infer(c, F32, a);
    assert_int_equal(compare(c, file, index, &r, (Tolerance) { 1e-5, 0, false }, "f32, folded"), 1);
}

/* bf16 keeps 8 bits: a value is right to 1/256 of itself. Measured by the mean, for a value beside a kink (ReLU) may
 * fall on its other side; gradients of parameters whose effect a norm takes away again (gates before it) are what is
 * left of sums of the others' size. */
static void check_bf16(const ModuleCase *c, const BlobFile *file, int index, Arena *a)
{
    ModuleRun r = module_run(c, BF16, a);
    assert_int_equal(compare(c, file, index, &r, (Tolerance) { 0.05, 0.2, true }, "bf16"), count(file, index));
    if (c->train) return;
    r = module_infer(c, BF16, a);
    assert_int_equal(compare(c, file, index, &r, (Tolerance) { 0.05, 0, true }, "bf16, folded"), 1);
}

static void each_case(CheckFn *check)
{
    int files = 0, cases = 0;
    for (int i = 0; i < modules_count(); i++) {
        char path[256];
        BlobFile file;
        Arena *a = arena_new();
        const char *module = modules_at(i)->name, *line;
        snprintf(path, sizeof path, "tests/data/module_%s.safetensors", module);
        if (file_exists(path)) {
            assert_ok(safetensors_read(a, path, &file, &err));
            for (int k = 0; (line = blob_note(&file, arena_printf(a, "%d", k))); k++, cases++) {
                ModuleCase c = module_case(a, module, line);
                check(&c, &file, k, a);
            }
            files++;
        }
        arena_free(&a);
    }
    print_message("%d modules, %d cases\n", files, cases);
    assert_true(files >= 2 && cases >= 2 * files);
}

static void in_double(void **state)
{
    each_case(check_double);
}

static void reassociated(void **state)
{
    each_case(check_reassociated);
}

static void in_f32(void **state)
{
    each_case(check_f32);
}

static void in_bf16(void **state)
{
    each_case(check_bf16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_double),
        cmocka_unit_test(reassociated),
        cmocka_unit_test(in_f32),
        cmocka_unit_test(in_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
