/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "data/data_impl.h"

static void ties_lie_as_in_the_reference(void **state)
{
    FILE *f = fopen("tests/data/ratio_sort.txt", "r");
    int n, cases = 0;
    assert_non_null(f);
    while (fscanf(f, "%d", &n) == 1) {
        double key[512];
        int64_t index[512];
        assert_true(n <= 512);
        for (int i = 0; i < n; i++) {
            assert_int_equal(fscanf(f, "%lf", &key[i]), 1);
            index[i] = i;
        }
        ratio_sort(key, index, n);
        for (int i = 0; i < n; i++) {
            int want;
            assert_int_equal(fscanf(f, "%d", &want), 1);
            if (index[i] != want) fail_msg("case %d: place %d holds %d, wanted %d", cases, i, (int)index[i], want);
        }
        cases++;
    }
    fclose(f);
    assert_int_equal(cases, 11);
}

/* Keys that make every split as bad as can be end in the heap sort; the order must still be right. */
static void bad_splits_are_sorted_too(void **state)
{
    enum { N = 4096 };
    static double key[N];
    static int64_t index[N];
    for (int i = 0; i < N; i++)
        key[i] = i % 2 ? N - i : i, index[i] = i;
    ratio_sort(key, index, N);
    for (int i = 1; i < N; i++)
        assert_true(key[index[i - 1]] <= key[index[i]]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(ties_lie_as_in_the_reference),
                                        cmocka_unit_test(bad_splits_are_sorted_too) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
