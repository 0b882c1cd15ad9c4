/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/dtype.h"

#include <locale.h>
#include <math.h>
#include <unistd.h>

static void nearest_names(void **state)
{
    static const char *const names[] = { "epochs", "imgsz", "batch", "patience", "iou" };
    Arena *a = arena_new();
    assert_string_equal(str_nearest(a, "epoch", names, COUNT_OF(names)), "'epochs'");
    assert_string_equal(str_nearest(a, "imgzs", names, COUNT_OF(names)), "'imgsz'");
    assert_string_equal(str_nearest(a, "zzzzzzzz", names, COUNT_OF(names)), "");
    arena_free(&a);
}

static void numbers(void **state)
{
    double x;
    int64_t i;
    assert_true(str_to_double("1e-3", &x) && x == 1e-3);
    assert_false(str_to_double("1.5x", &x));
    assert_false(str_to_double("", &x));
    assert_false(str_to_double("1e999", &x));
    assert_true(str_to_int("-12", &i) && i == -12);
    assert_false(str_to_int("99999999999999999999", &i));
    assert_false(str_to_int("1.0", &i));
}

/* An application may have chosen a locale that writes 1,5: files and options mean 1.5 all the same. */
static void numbers_in_a_locale_with_commas(void **state)
{
    double x;
    char text[256], dir[] = "/tmp/dyn_locale_XXXXXX";
    assert_non_null(mkdtemp(dir));
    snprintf(text, sizeof text, "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >/dev/null 2>&1", dir);
    if (system(text) != 0) skip(); /* this machine has no sources of locales */
    setenv("LOCPATH", dir, 1);
    assert_non_null(setlocale(LC_ALL, "de_DE.UTF-8"));
    snprintf(text, sizeof text, "%g", 1.5);
    assert_string_equal(text, "1,5");
    assert_string_equal(str_point(text), "1.5");
    assert_true(str_to_double("1.5", &x) && x == 1.5);
    assert_false(str_to_double("1,5", &x));
    setlocale(LC_ALL, "C");
    unsetenv("LOCPATH");
    snprintf(text, sizeof text, "rm -r %s", dir);
    assert_int_equal(system(text), 0);
}

static void half_precision(void **state)
{
    for (uint32_t h = 0; h < 65536; h++) {
        float f = f16_to_f32((uint16_t)h), g = bf16_to_f32((uint16_t)h);
        if (!isnan(f)) assert_int_equal(f32_to_f16(f), h);
        if (!isnan(g)) assert_int_equal(f32_to_bf16(g), h);
    }
    assert_int_equal(f32_to_f16(65519.99f), 0x7bff);
    assert_int_equal(f32_to_f16(65520.f), 0x7c00);
    assert_int_equal(f32_to_f16(0x1p-25f), 0); /* a tie goes to even */
    assert_true(isnan(f16_to_f32(f32_to_f16(NAN))) && isnan(bf16_to_f32(f32_to_bf16(NAN))));
}

static void files(void **state)
{
    Error err;
    Arena *a = arena_new();
    char dir[] = "/tmp/dynyolo-base-XXXXXX", *data;
    size_t n;
    assert_non_null(mkdtemp(dir));
    char *path = path_join(a, dir, "a/b");
    assert_ok(dir_make(path, &err));
    path = path_join(a, path, "x.txt");
    assert_ok(file_write(path, "hello", 5, &err));
    assert_ok(file_read(a, path, 100, &data, &n, &err));
    assert_int_equal(n, 5);
    assert_string_equal(data, "hello");
    assert_fails(file_read(a, path, 4, &data, &n, &err), DYN_FORMAT, "more than");
    assert_fails(file_read(a, dir, 4, &data, &n, &err), DYN_IO, dir);
    char **paths;
    assert_ok(dir_list(a, dir, true, &paths, &n, &err));
    assert_int_equal(n, 1);
    assert_string_equal(paths[0], path);
    assert_string_equal(path_stem(a, "a/b.c/d.tar.gz"), "d.tar");
    assert_string_equal(path_ext("a/b.c/d"), "");
    assert_fails(dir_make(path, &err), DYN_IO, "x.txt");
    unlink(path);
    rmdir(path_dir(a, path));
    rmdir(path_dir(a, path_dir(a, path)));
    rmdir(dir);
    arena_free(&a);
}

static void random_streams(void **state)
{
    Rng a = rng_at(1, 2, 3, 4), b = rng_at(1, 2, 3, 4), c = rng_at(1, 2, 4, 3);
    double sum = 0, sum2 = 0;
    assert_true(rng_u64(&a) == rng_u64(&b));
    assert_true(rng_u64(&a) != rng_u64(&c));
    for (int i = 0; i < 100000; i++) {
        double x = rng_normal(&a);
        sum += x, sum2 += x * x;
        int64_t k = rng_int(&b, 7);
        assert_true(k >= 0 && k < 7);
    }
    assert_true(fabs(sum / 1e5) < 0.02 && fabs(sum2 / 1e5 - 1) < 0.03);
}

static void memory_runs_out(void **state)
{
    Arena *a = arena_new();
    mem_fail_after(1);
    assert_null(arena_alloc(a, 10));
    assert_null(arena_printf(a, "%d", 1));
    mem_fail_after(0);
    assert_non_null(arena_alloc(a, 10));
    assert_null(arena_array(a, SIZE_MAX / 2, 4));
    arena_free(&a);
    assert_null(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearest_names),   cmocka_unit_test(numbers), cmocka_unit_test(numbers_in_a_locale_with_commas),
        cmocka_unit_test(half_precision),  cmocka_unit_test(files),   cmocka_unit_test(random_streams),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
