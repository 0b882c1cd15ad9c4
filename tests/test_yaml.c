/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "formats/yaml.h"

#include <math.h>

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

static Status parse(const char *text, const Yaml **y)
{
    return yaml_parse(arena, "t.yaml", text, strlen(text), y, &err);
}

/* tests/data/yaml_scalars.txt: what PyYAML makes of each text (tools/golden_yaml.py). */
static void scalars_as_pyyaml(void **state)
{
    static const char *const names[] = { "null", "bool", "int", "float", "string" };
    char *text, *save = NULL;
    size_t n, lines = 0;
    assert_ok(file_read(arena, "tests/data/yaml_scalars.txt", 1 << 20, &text, &n, &err));
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save), lines++) {
        char *value = strchr(l, '\t') + 1, *source = strchr(value, '\t') + 1;
        const Yaml *y;
        value[-1] = source[-1] = 0;
        if (str_eq(l, "error")) {
            assert_int_equal(parse(source, &y), DYN_FORMAT);
            continue;
        }
        assert_ok(parse(source, &y));
        if (!str_eq(names[y->kind], l)) fail_msg("%s: %s, PyYAML says %s", source, names[y->kind], l);
        assert_string_equal(y->text, source);
        if (y->kind == YAML_BOOL) assert_true(y->b == str_eq(value, "True"));
        if (y->kind == YAML_INT) assert_true(y->i == strtoll(value, NULL, 10));
        if (y->kind == YAML_FLOAT) assert_true(y->f == strtod(value, NULL) || (isnan(y->f) && str_eq(value, "nan")));
    }
    assert_true(lines > 70);
}

static void where_we_differ(void **state)
{
    const Yaml *y;
    assert_ok(parse("[1e-3, 1e5, -2E3, None, 'None', \"1\", 99999999999999999999, 1:30, 2001-01-01]", &y));
    assert_int_equal(y->n, 9);
    assert_true(y->item[0]->kind == YAML_FLOAT && y->item[0]->f == 1e-3);
    assert_true(y->item[1]->kind == YAML_FLOAT && y->item[1]->f == 1e5);
    assert_true(y->item[2]->kind == YAML_FLOAT && y->item[2]->f == -2e3);
    assert_int_equal(y->item[3]->kind, YAML_NULL);
    assert_int_equal(y->item[4]->kind, YAML_STRING);
    assert_int_equal(y->item[5]->kind, YAML_STRING);
    assert_true(y->item[6]->kind == YAML_FLOAT && y->item[6]->f == 1e20);
    assert_int_equal(y->item[7]->kind, YAML_STRING);
    assert_int_equal(y->item[8]->kind, YAML_STRING);
}

static void a_model_file(void **state)
{
    static const char text[] = "# a comment\n"
                               "nc: 80\n"
                               "scales: # [depth, width, max]\n"
                               "  n: [0.33, 0.25, 1024]\n"
                               "backbone:\n"
                               "  - [-1, 1, Conv, [64, 3, 2]] # 0\n"
                               "  - [[-1, 6], 1, nn.Upsample, [None, 2, \"nearest\"], {name: up}]\n";
    const Yaml *y, *rows, *row;
    int64_t i;
    double f;
    bool b;
    const char *s;
    assert_ok(parse(text, &y));
    assert_ok(yaml_as_int(yaml_get(y, "nc"), "nc", &i, &err));
    assert_int_equal(i, 80);
    assert_ok(yaml_as_double(yaml_get(y, "nc"), "nc", &f, &err));
    assert_true(f == 80);
    rows = yaml_get(y, "backbone");
    assert_int_equal(rows->n, 2);
    row = rows->item[1];
    assert_int_equal(row->line, 7);
    assert_int_equal(row->column, 5);
    assert_int_equal(row->item[0]->item[1]->i, 6);
    assert_ok(yaml_as_text(row->item[2], "module", &s, &err));
    assert_string_equal(s, "nn.Upsample");
    assert_int_equal(row->item[3]->item[0]->kind, YAML_NULL);
    assert_string_equal(yaml_get(row->item[4], "name")->text, "up");
    assert_null(yaml_get(y, "absent"));
    assert_null(yaml_get(NULL, "absent"));
    assert_fails(yaml_as_int(rows, "nc", &i, &err), DYN_FORMAT, "t.yaml:6:3: nc must be a whole number, not a list");
    assert_fails(yaml_as_int(row->item[2], "n", &i, &err), DYN_FORMAT,
                 "t.yaml:7:18: n must be a whole number, not 'nn.");
    assert_fails(yaml_as_bool(row->item[1], "shortcut", &b, &err), DYN_FORMAT, "shortcut must be true/false, not '1'");
}

static void refusals(void **state)
{
    const Yaml *y;
    char *deep = arena_alloc(arena, 300), *zero = "a: \"x\\0y\"";
    assert_fails(parse("a: 1\nb: 2\na: 3\n", &y), DYN_FORMAT, "t.yaml:3:1: key 'a' is there twice (first in line 1)");
    assert_fails(parse("{0x1: a, 1: b}", &y), DYN_FORMAT, "twice");
    assert_fails(parse("a: [1, 2\nb: 3", &y), DYN_FORMAT, "t.yaml:2:");
    assert_fails(parse("a:\n\t- b", &y), DYN_FORMAT, "t.yaml:2:1: a character that cannot begin anything here (a tab?");
    assert_fails(parse("a: *x", &y), DYN_FORMAT, "t.yaml:1:4: alias '*x'");
    assert_fails(parse("&x [*x]", &y), DYN_FORMAT, "alias");
    assert_fails(parse("a: 1\n---\nb: 2", &y), DYN_FORMAT, "second document");
    assert_fails(parse("a: !!python/object:os.system x", &y), DYN_FORMAT, "tag");
    assert_fails(parse("? [a]\n: b", &y), DYN_FORMAT, "key must be");
    assert_fails(parse("<<: {a: 1}", &y), DYN_FORMAT, "merge keys");
    assert_fails(parse(zero, &y), DYN_FORMAT, "zero byte");
    assert_fails(parse("\xff\xfe\x01", &y), DYN_FORMAT, "t.yaml");
    assert_fails(parse("a: \xc3\x28", &y), DYN_FORMAT, "UTF-8");
    memset(deep, '[', 200);
    assert_fails(parse(deep, &y), DYN_FORMAT, "64 levels");
    assert_fails(yaml_parse(arena, "big", "", (size_t)1 << 40, &y, &err), DYN_FORMAT, "more than");
    assert_fails(yaml_read(arena, "tests/data/absent.yaml", &y, &err), DYN_IO, "tests/data/absent.yaml");
}

static void alias_bomb(void **state)
{
    char text[4000];
    const Yaml *y;
    int n = snprintf(text, sizeof text, "a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 30; i++)
        n += snprintf(text + n, sizeof text - (size_t)n,
                      "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1, i - 1,
                      i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    assert_fails(parse(text, &y), DYN_FORMAT, "too many nodes");
    assert_ok(parse("a: &x [1, 2]\nb: *x\nc: &x 3\nd: *x", &y));
    assert_ptr_equal(yaml_get(y, "a"), yaml_get(y, "b"));
    assert_int_equal(yaml_get(y, "d")->i, 3);
}

static void empty_and_truncated(void **state)
{
    static const char text[] =
        "a: &q {b: [1, 'x''y', \"z\\n\"], 2: ~}\nc: |\n  text\n  more\nd: *q\n? e\n: - f\n  - !!str 1\n";
    const Yaml *y;
    assert_ok(parse("", &y));
    assert_int_equal(y->kind, YAML_NULL);
    assert_ok(parse("# nothing\n", &y));
    assert_int_equal(y->kind, YAML_NULL);
    assert_ok(parse(text, &y));
    assert_string_equal(yaml_get(y, "e")->item[1]->text, "1");
    assert_int_equal(yaml_get(y, "e")->item[1]->kind, YAML_STRING);
    assert_string_equal(yaml_get(y, "c")->text, "text\nmore\n");
    for (size_t n = 0; n < sizeof text; n++) {
        err.text[0] = 0;
        Status s = yaml_parse(arena, "cut", text, n, &y, &err);
        assert_true(s == DYN_OK || (s == DYN_FORMAT && str_starts(err.text, "cut")));
    }
}

static Yaml *tree_to_write(void)
{
    Arena *a = arena;
    Yaml *m = yaml_map(a), *scales = yaml_map(a), *n = yaml_list(a), *names = yaml_map(a), *rows = yaml_list(a);
    Yaml *row0 = yaml_list(a), *row1 = yaml_list(a), *args0 = yaml_list(a), *args1 = yaml_list(a), *from = yaml_list(a);
    Yaml *maps = yaml_list(a), *ma = yaml_map(a), *mb = yaml_map(a), *b = yaml_list(a);
    bool ok = yaml_set(a, m, "task", yaml_string(a, "detect")) && yaml_set(a, m, "lr0", yaml_float(a, 0.01)) &&
              yaml_set(a, m, "tiny", yaml_float(a, 1e-5)) && yaml_set(a, m, "big", yaml_float(a, 1e22)) &&
              yaml_set(a, m, "third", yaml_float(a, 1.0 / 3)) && yaml_set(a, m, "epochs", yaml_int(a, 100)) &&
              yaml_set(a, m, "cos_lr", yaml_bool(a, false)) && yaml_set(a, m, "cfg", yaml_null(a));
    static const char *const texts[][2] = {
        { "name", "yes" },   { "number", "007" }, { "empty", "" },     { "colon", "a: b" },
        { "hash", "a #b" },  { "star", "*.jpg" }, { "lines", "a\nb" }, { "accent", "caf\xc3\xa9" },
        { "path", "C:\\x" }, { "space", " x " },  { "quote", "it's" },
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        ok = ok && yaml_set(a, m, texts[i][0], yaml_string(a, texts[i][1]));
    ok = ok && yaml_set(a, m, "inf", yaml_float(a, INFINITY));
    ok = ok && yaml_append(a, n, yaml_float(a, 0.33)) && yaml_append(a, n, yaml_float(a, 0.25)) &&
         yaml_append(a, n, yaml_int(a, 1024)) && yaml_set(a, scales, "n", n) &&
         yaml_set(a, scales, "empty", yaml_list(a)) && yaml_set(a, m, "scales", scales);
    ok = ok && yaml_put(a, names, yaml_int(a, 0), yaml_string(a, "person")) &&
         yaml_put(a, names, yaml_int(a, 1), yaml_string(a, "no")) && yaml_set(a, m, "names", names);
    ok = ok && yaml_append(a, args0, yaml_int(a, 64)) && yaml_append(a, args0, yaml_int(a, 3)) &&
         yaml_append(a, args0, yaml_int(a, 2)) && yaml_append(a, row0, yaml_int(a, -1)) &&
         yaml_append(a, row0, yaml_int(a, 1)) && yaml_append(a, row0, yaml_string(a, "Conv")) &&
         yaml_append(a, row0, args0) && yaml_append(a, rows, row0);
    ok = ok && yaml_append(a, from, yaml_int(a, -1)) && yaml_append(a, from, yaml_int(a, 6)) &&
         yaml_append(a, row1, from) && yaml_append(a, row1, yaml_int(a, 1)) &&
         yaml_append(a, row1, yaml_string(a, "Concat")) && yaml_append(a, args1, yaml_int(a, 1)) &&
         yaml_append(a, row1, args1) && yaml_append(a, rows, row1) && yaml_set(a, m, "rows", rows);
    ok = ok && yaml_set(a, ma, "a", yaml_int(a, 1)) && yaml_append(a, b, yaml_int(a, 1)) &&
         yaml_append(a, b, yaml_int(a, 2)) && yaml_set(a, mb, "b", b) && yaml_append(a, maps, ma) &&
         yaml_append(a, maps, mb) && yaml_set(a, m, "maps", maps) && yaml_set(a, m, "nothing", yaml_map(a)) &&
         yaml_set(a, m, "dash", yaml_string(a, "- x")) && yaml_set(a, m, "exp", yaml_string(a, "1e5")) &&
         yaml_set(a, m, "None", yaml_string(a, "None")) && yaml_set(a, m, "tilde", yaml_string(a, "~"));
    return ok ? m : NULL;
}

static void assert_same(const Yaml *x, const Yaml *y)
{
    assert_int_equal(x->kind, y->kind);
    assert_int_equal(x->n, y->n);
    if (x->kind == YAML_STRING) assert_string_equal(x->text, y->text);
    assert_true(x->i == y->i && x->f == y->f && x->b == y->b);
    for (size_t i = 0; i < x->n; i++) {
        assert_same(x->item[i], y->item[i]);
        if (x->key) assert_string_equal(x->key[i]->text, y->key[i]->text);
    }
}

/* The committed text was read back by PyYAML (tools/golden_yaml.py --check). */
static void written_text(void **state)
{
    Yaml *m = tree_to_write();
    const Yaml *back;
    char *text, *want;
    size_t n, n_want;
    assert_non_null(m);
    assert_ok(yaml_write(arena, m, &text, &n, &err));
    assert_int_equal(strlen(text), n);
    if (getenv("DYN_WRITE_GOLDEN")) assert_ok(file_write("tests/data/yaml_written.yaml", text, n, &err));
    assert_ok(file_read(arena, "tests/data/yaml_written.yaml", 1 << 20, &want, &n_want, &err));
    assert_string_equal(text, want);
    assert_ok(parse(text, &back));
    assert_same(m, back);
    assert_fails(yaml_write(arena, yaml_string(arena, "\xff"), &text, &n, &err), DYN_FORMAT, "UTF-8");
}

static void memory_runs_out(void **state)
{
    static const char text[] = "a: &q {b: [1, 2, 3], c: d}\ne: *q\n";
    const Yaml *y;
    char *out;
    size_t n;
    Status s = DYN_NOMEM;
    for (long i = 1; s != DYN_OK; i++) {
        Arena *a = arena_new();
        assert_true(i < 100 && a);
        mem_fail_after(i);
        s = yaml_parse(a, "x", text, sizeof text - 1, &y, &err);
        if (s == DYN_OK) s = yaml_write(a, y, &out, &n, &err);
        assert_true(s == DYN_OK || s == DYN_NOMEM);
        mem_fail_after(0);
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_as_pyyaml), cmocka_unit_test(where_we_differ), cmocka_unit_test(a_model_file),
        cmocka_unit_test(refusals),          cmocka_unit_test(alias_bomb),      cmocka_unit_test(empty_and_truncated),
        cmocka_unit_test(written_text),      cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
