/* SPDX-License-Identifier: Apache-2.0
 *
 * Values and gradients of the operators against PyTorch in double (tools/golden_ops.py,
 * tests/data/ops_NAME.safetensors): every case that a file holds, every tensor in it. */
#include "ops_case.h"

#include "formats/blob.h"

#include <math.h>

typedef struct Golden {
    const BlobFile *file;
    const OpRun *r;
    int index; /* of the case in the file */
} Golden;

static const Blob *find(const Golden *g, const char *prefix, const char *name, size_t len, const char *suffix)
{
    char key[128];
    snprintf(key, sizeof key, "%d.%s%.*s%s", g->index, prefix, (int)len, name, suffix);
    return blob_find(g->file, key);
}

static void fill(const Golden *g, Value v, const Blob *b)
{
    if (!b) fail_msg("case %d lacks a tensor: %s", g->index, g->r->c->line);
    const Tensor *t = &g->r->t[v.id];
    assert_int_equal(blob_count(b), tensor_count(t));
    for (int64_t i = 0; i < tensor_count(t); i++)
        tensor_set(t, i, dtype_load(b->data, b->dtype, i));
}

static void compare(const Golden *g, Value v, const Blob *b)
{
    const Tensor *t = &g->r->t[v.id];
    double top = 0;
    if (blob_count(b) != tensor_count(t) || b->rank != t->rank ||
        memcmp(b->dim, t->dim, (size_t)t->rank * sizeof *t->dim) != 0)
        fail_msg("%s: %s has another shape here", g->r->c->line, b->name);
    for (int64_t i = 0; i < tensor_count(t); i++)
        top = MAX(top, fabs(dtype_load(b->data, b->dtype, i)));
    for (int64_t i = 0; i < tensor_count(t); i++) {
        double got = tensor_get(t, i), want = dtype_load(b->data, b->dtype, i);
        if (!(fabs(got - want) <= 1e-10 * fabs(want) + 1e-12 * top))
            fail_msg("%s: %s[%lld] is %.15g, PyTorch has %.15g", g->r->c->line, b->name, (long long)i, got, want);
    }
}

/* The k-th output's name: the k-th word of OpDef.out, or y0, y1, ... */
static const Blob *output_blob(const Golden *g, const char *prefix, int k)
{
    const char *name = g->r->c->op->out;
    char numbered[16];
    if (str_ends(name, "*")) {
        snprintf(numbered, sizeof numbered, "y%d", k);
        return find(g, prefix, numbered, strlen(numbered), "");
    }
    for (; k > 0; k--)
        name += strcspn(name, " ") + 1;
    return find(g, prefix, name, strcspn(name, " "), "");
}

static int compare_all(const Golden *g, bool differentiable)
{
    const OpRun *r = g->r;
    int compared = 0;
    for (int k = 0; k < r->n_out; k++) {
        const Blob *b = output_blob(g, "", k);
        if (!b) continue;
        compare(g, r->out[k], b);
        compared++;
    }
    for (int i = 0; i < r->c->n_in; i++) {
        const char *name = r->c->name[i];
        const Blob *d = find(g, "d", name, strlen(name), ""), *out = find(g, "", name, strlen(name), "_out");
        if (differentiable && d && !r->dx[i].id) fail_msg("%s: no gradient for %s", r->c->line, name);
        if (differentiable && d) compare(g, r->dx[i], d), compared++;
        if (out) compare(g, r->in[i], out), compared++;
    }
    return compared;
}

static int check_case(const OpCase *c, const BlobFile *file, int index, Arena *a)
{
    OpRun r = case_build(c, F64, a);
    Golden g = { file, &r, index };
    bool differentiable = case_differentiate(&r);
    case_allocate(&r);
    for (int i = 0; i < c->n_in; i++)
        if (r.in[i].id) fill(&g, r.in[i], find(&g, "", c->name[i], strlen(c->name[i]), ""));
    for (int k = 0; k < r.n_out; k++)
        if (r.dy[k].id) fill(&g, r.dy[k], output_blob(&g, "d", k));
    case_run(&r, !differentiable);
    int compared = compare_all(&g, differentiable);
    if (compared == 0) fail_msg("%s: nothing to compare", c->line);
    graph_free(&r.g);
    return compared;
}

static void against_pytorch(void **state)
{
    Error err;
    const OpDef *op;
    int files = 0, compared = 0;
    for (int i = 0; (op = ops_at(i)); i++) {
        Arena *a = arena_new();
        BlobFile file;
        char path[256], key[16];
        OpCase c;
        snprintf(path, sizeof path, "tests/data/ops_%s.safetensors", op->name);
        if (file_exists(path)) {
            assert_ok(safetensors_read(a, path, &file, &err));
            assert_true(file.n_note > 0);
            for (int k = 0; k < (int)file.n_note; k++) {
                snprintf(key, sizeof key, "%d", k);
                const char *line = blob_note(&file, key);
                assert_non_null(line);
                assert_true(case_next(op, &line, a, &c));
                compared += check_case(&c, &file, k, a);
            }
            files++;
        }
        arena_free(&a);
    }
    print_message("%d operators, %d tensors\n", files, compared);
    assert_true(files >= 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(against_pytorch) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
