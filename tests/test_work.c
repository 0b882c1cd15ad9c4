/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/work.h"

#include <stdatomic.h>
#include <unistd.h>

typedef struct Item {
    int64_t index, square;
} Item;

static atomic_int busy, most_busy, made;

static void make(void *user, int64_t index, void *slot, int worker)
{
    int now = atomic_fetch_add(&busy, 1) + 1, most = atomic_load(&most_busy);
    while (now > most && !atomic_compare_exchange_weak(&most_busy, &most, now))
        ;
    usleep((useconds_t)(index * 37 % 300));
    *(Item *)slot = (Item) { index, index * index };
    atomic_fetch_add(&made, 1);
    atomic_fetch_sub(&busy, 1);
}

static void in_order(void **state)
{
    Error err;
    for (int threads = 0; threads <= 4; threads++) {
        Item slots[3];
        Work *w;
        Item *item;
        int64_t n = 0;
        assert_ok(work_start(&w, threads, 100, slots, 3, sizeof(Item), make, NULL, &err));
        while ((item = work_next(w, NULL))) {
            assert_int_equal(item->index, n);
            assert_int_equal(item->square, n * n);
            n++;
            work_done(w);
        }
        assert_int_equal(n, 100);
        work_stop(&w);
        assert_null(w);
    }
    assert_true(atomic_load(&most_busy) > 1);
}

static void stops_early(void **state)
{
    Error err;
    Item slots[4];
    Work *w;
    atomic_store(&made, 0);
    assert_ok(work_start(&w, 2, 1000000, slots, 4, sizeof(Item), make, NULL, &err));
    assert_non_null(work_next(w, NULL));
    work_stop(&w);
    assert_true(atomic_load(&made) <= 5); /* never more than the slots allow */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(in_order), cmocka_unit_test(stops_early) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
