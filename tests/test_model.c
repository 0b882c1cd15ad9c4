/* SPDX-License-Identifier: Apache-2.0
 *
 * Model descriptions to graphs: parameter counts, names, strides and profiler figures against the published tables of
 * the reference (spec 2.6, 2.7, 2.9, 2.10), and every way in which a description can be wrong. */
#include "test.h"

#include "model/model.h"

static Error err;

static Model *stock(const char *name, int64_t nc)
{
    Model *m = NULL;
    assert_ok(model_from_file(name, &(ModelOptions) { .nc = nc }, &m, &err));
    return m;
}

static int64_t params(const Model *m)
{
    int64_t n = 0;
    for (int i = 0; i < m->n_row; i++)
        n += m->row[i].params;
    return n;
}

static uint32_t crc32_add(uint32_t crc, const char *s)
{
    for (crc = ~crc; *s; s++) {
        crc ^= (unsigned char)*s;
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* Names and shapes of all parameters in order, as tools/golden_model.py writes them. */
static uint32_t names_crc(const Model *m)
{
    uint32_t crc = 0;
    for (int i = 0; i < graph_n_params(m->g); i++) {
        const ParamSpec *p = graph_param_spec(m->g, i);
        char line[512], shape[128] = "[]";
        if (p->kind != PARAM_COUNT) shape_text(&p->shape, shape, sizeof shape);
        snprintf(line, sizeof line, "%s%s\n", p->name, shape);
        crc = crc32_add(crc, line);
    }
    return crc;
}

/* Every stock model against what the reference package says of its own (tools/golden_model.py). */
static void test_stock_models(void **state)
{
    FILE *f = fopen("tests/data/model_table.txt", "r");
    char name[64], strides[64];
    long long nc, count, layers, entries, crc;
    int n = 0;
    assert_non_null(f);
    while (fscanf(f, "%63s %lld %lld %lld %lld %lld %63s", name, &nc, &count, &layers, &entries, &crc, strides) == 7) {
        Model *m = stock(name, nc);
        char text[64] = "";
        for (int i = 0; i < m->n_level; i++)
            snprintf(text + strlen(text), 16, "%s%d", i ? "," : "", (int)m->stride[i]);
        if (params(m) != count) fail_msg("%s nc=%lld: %lld parameters", name, nc, (long long)params(m));
        if (graph_n_params(m->g) != entries) fail_msg("%s: %d entries", name, graph_n_params(m->g));
        if (names_crc(m) != crc) fail_msg("%s: names, shapes or order differ", name);
        assert_string_equal(text, strides);
        assert_int_equal(m->nc, nc);
        model_free(&m);
        n++;
    }
    fclose(f);
    assert_int_equal(n, 17);
}

/* The totals of spec 2.7 for other class counts. */
static void test_class_counts(void **state)
{
    static const int64_t want[2][5] = { { 3011043, 11135987, 25856899, 43630611, 68153571 },
                                        { 3014748, 11143340, 25867900, 43645260, 68171868 } };
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 5; i++) {
            char name[] = "yolov8?.yaml";
            name[6] = "nsmlx"[i];
            Model *m = stock(name, k ? 20 : 1);
            assert_int_equal(params(m), want[k][i]);
            model_free(&m);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_stock_models), cmocka_unit_test(test_class_counts) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
