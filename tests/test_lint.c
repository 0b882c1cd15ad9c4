/* SPDX-License-Identifier: Apache-2.0
 *
 * What info and train say of descriptions whose rows do not mean what they seem to. */
#include "model/model.h"

#include "test.h"

static Error err;

/* Backbone rows 0 Conv/2, 1 C2f, 2 Conv/4, 3 C2f, 4 Conv/8, 5 C2f; then the head. */
#define HEAD(rows)                                                                                                     \
    "nc: 3\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n  - [-1, 1, C2f, [8]]\n  - [-1, 1, Conv, [8, 3, 2]]\n"            \
    "  - [-1, 1, C2f, [8]]\n  - [-1, 1, Conv, [8, 3, 2]]\n  - [-1, 1, C2f, [8]]\nhead:\n" rows

static Status build(const char *text, Model **m)
{
    return model_from_text("m.yaml", text, strlen(text), NULL, m, &err);
}

static void test_warnings(void **state)
{
    static const struct {
        const char *text, *warning; /* NULL: none */
    } T[] = {
        { HEAD("  - [[1, 3, 5], 1, Detect, [nc]]\n"), NULL },
        { HEAD("  - [-1, 1, nn.Upsample, [None, 2, nearest]]\n  - [[-1, 3], 1, Concat, [1]]\n  - [-1, 1, C2f, [8]]\n"
               "  - [[8, 5], 1, Detect, [nc]]\n"),
          NULL },
        { HEAD("  - [[1, 3], 1, Detect, [nc]]\n"), "m.yaml:8: row 5 (C2f): nothing reads its result" },
        { HEAD("  - [[5, 3], 1, Detect, [nc]]\n"),
          "m.yaml:10: row 6 (Detect): level 1 has stride 4 behind one of stride 8: a head reads fine maps first" },
        { HEAD("  - [[-1, 4], 1, Concat, [1]]\n  - [[6], 1, Detect, [nc]]\n"),
          "m.yaml:11: row 7 (Detect): level 0 reads row 6 (Concat): no block works on what it joins" },
        { HEAD("  - [-1, 1, nn.Upsample, [None, 2, nearest]]\n  - [[-1, 2], 1, Concat, [1]]\n  - [-1, 1, C2f, [8]]\n"
               "  - [[8, 5], 1, Detect, [nc]]\n"),
          "m.yaml:11: row 7 (Concat): reads row 2 (Conv), and row 3 (C2f) goes on from there at the same stride" },
    };
    for (size_t i = 0; i < COUNT_OF(T); i++) {
        Model *m = NULL;
        bool found = !T[i].warning;
        assert_ok(build(T[i].text, &m));
        for (size_t k = 0; k < m->n_warning; k++)
            found = found || str_starts(m->warning[k], T[i].warning ? T[i].warning : "");
        if (!found || (!T[i].warning && m->n_warning))
            fail_msg("%s: %zu warnings, first '%s'", T[i].text, m->n_warning, m->n_warning ? m->warning[0] : "");
        model_free(&m);
    }
}

/* A Concat of maps of two sizes is no warning: it cannot be computed. */
static void test_unlike_maps(void **state)
{
    Model *m = NULL;
    assert_fails(build(HEAD("  - [[-1, 3], 1, Concat, [1]]\n  - [-1, 1, Detect, [nc]]\n"), &m), DYN_SHAPE,
                 "m.yaml:10: row 6 (Concat)");
}

/* Each stock description is free of warnings, except the recipes' own forms. */
static void test_stock(void **state)
{
    const char *name;
    int published = 0;
    for (int i = 0; (name = model_stock(i, NULL)); i++) {
        Model *m = NULL;
        bool literal = strstr(name, "-published") != NULL;
        assert_ok(model_from_file(name, &(ModelOptions) { .scale = "n" }, &m, &err));
        if (!literal && m->n_warning) fail_msg("%s: %s", name, m->warning[0]);
        if (str_eq(name, "yolov8-DANet-published.yaml")) assert_int_equal(m->n_warning, 2 + 4 + 1 + 3);
        published += literal;
        model_free(&m);
    }
    assert_true(published > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_unlike_maps),
        cmocka_unit_test(test_stock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
