/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "data/data.h"

#include <math.h>
#include <unistd.h>

/* Lines that were logged, one after the other. */
typedef struct Lines {
    char text[1 << 16];
    size_t n;
} Lines;

static void collect(void *user, DynLogLevel level, const char *line)
{
    Lines *l = user;
    int n = snprintf(l->text + l->n, sizeof l->text - l->n, "%s\n", line);
    l->n = MIN(l->n + (size_t)MAX(n, 0), sizeof l->text - 1);
}

static Dataset *open_split(const char *yaml, int threads, Lines *lines)
{
    Error err;
    Arena *a = arena_new();
    DataConfig c;
    Dataset *ds;
    Log log = { collect, lines, DYN_LOG_DEBUG };
    DatasetOptions opt = DATASET_OPTIONS;
    opt.title = "train", opt.threads = threads;
    lines->n = 0, lines->text[0] = 0;
    assert_ok(data_config_read(a, yaml, &c, &err));
    assert_ok(dataset_open(&ds, &c, &c.train, &opt, &log, &err));
    arena_free(&a);
    return ds;
}

static void coco128(void **state)
{
    const char *dir = shared_dir("data/coco128");
    if (!dir) skip_without("data/coco128");
    static Lines lines;
    for (int threads = 0; threads < 3; threads++) {
        Dataset *ds = open_split(dir, threads, &lines);
        assert_int_equal(ds->n, 128);
        assert_int_equal(ds->n_labels, 929);
        assert_int_equal(ds->nc, 80);
        assert_string_equal(ds->names[79], "toothbrush");
        assert_string_equal(lines.text, "train: 128 images, 2 backgrounds, 0 corrupt\n");
        dataset_free(&ds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coco128),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
