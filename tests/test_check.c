/* SPDX-License-Identifier: Apache-2.0
 *
 * dynyolo check, and the strict and the skipping way of reading a data set. The oracle is the table of the
 * specification (5.3), row by row in `rows`; and that check and training never disagree about which pictures can be
 * used. */
#include "command.h"

#include "data/data.h"

#include <jansson.h>
#include <math.h>
#include <sys/stat.h>

static const char *in_set(const char *name)
{
    return arena_printf(arena, "%s/set/%s", home, name);
}

static void put(const char *name, const char *text, size_t n)
{
    const char *path = in_set(name);
    assert_ok(dir_make(path_dir(arena, path), &err));
    assert_ok(file_write(path, text, n, &err));
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

/* A picture that no other shade equals. */
static void put_picture(const char *name, int w, int h, int shade)
{
    Image im;
    const char *path = in_set(name);
    assert_ok(dir_make(path_dir(arena, path), &err));
    assert_ok(image_new(&im, w, h, &err));
    for (int i = 0; i < w * h * 3; i++) /* not smooth, so that a JPEG is more than its headers */
        im.data[i] = (uint8_t)(shade + i * i % 31);
    assert_ok(str_ends(name, ".png") ? image_write_png(path, &im, &err) : image_write_jpeg(path, &im, 90, true, &err));
    image_free(&im);
}

static void new_set(const char *yaml)
{
    assert_int_equal(system("rm -rf set"), 0);
    put_text("data.yaml", yaml);
}

/* ---- what was found --------------------------------------------------------------------------------------------- */

enum { MOST = 200 };
static json_t *line_of[MOST];
static int n_lines;

static void forget(void)
{
    while (n_lines > 0)
        json_decref(line_of[--n_lines]);
}

/* `check OPTIONS`, its JSON lines into line_of; gives the status. */
static int check(const char *options)
{
    int status = run("check data=set format=json %s", options);
    forget();
    for (char *at = out, *end; *at; at = end + 1) {
        json_error_t why;
        end = strchr(at, '\n');
        assert_non_null(end);
        *end = 0;
        json_t *j = json_loads(at, 0, &why);
        if (!j) fail_msg("%s: %s", why.text, at);
        assert_true(n_lines < MOST);
        line_of[n_lines++] = j;
    }
    return status;
}

static const char *text_of(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s ? s : "";
}

static int64_t int_of(const json_t *j, const char *key)
{
    return json_integer_value(json_object_get(j, key));
}

/* The problem of this kind in a file whose name ends so, on this line; NULL when there is none. */
static const json_t *problem(const char *kind, const char *end, int line)
{
    for (int i = 0; i < n_lines; i++)
        if (str_eq(text_of(line_of[i], "kind"), kind) && str_ends(text_of(line_of[i], "path"), end) &&
            int_of(line_of[i], "line") == line)
            return line_of[i];
    return NULL;
}

static int problems(void)
{
    int n = 0;
    for (int i = 0; i < n_lines; i++)
        n += str_eq(text_of(line_of[i], "type"), "problem");
    return n;
}

static const json_t *of_type(const char *type, int k)
{
    for (int i = 0; i < n_lines; i++)
        if (str_eq(text_of(line_of[i], "type"), type) && k-- == 0) return line_of[i];
    fail_msg("there is no line of type %s", type);
    return NULL;
}

/* ---- label rows ---------------------------------------------------------------------------------------------------
 */

/* Specification 5.3, one situation a row. */
static const struct Row {
    const char *text, *kind; /* kind NULL: nothing is wrong */
    int line;
    bool error;
} rows[] = {
    { "0 .5 .5 .2 .2\n", NULL, 0, false },
    { "", NULL, 0, false },
    { "\n  \n", NULL, 0, false },
    { "0 .5 .5 .2\n", "columns", 1, true },
    { "0 .5 .5 .2 .2 .9\n", "columns", 1, true },
    { "1 .5 .5 .2 .2\n\n0 .5\n", "columns", 3, true },
    { "0 .5 x .2 .2\n", "number", 1, true },
    { "0 .5 nan .2 .2\n", "number", 1, true },
    { "0 .5 1e999 .2 .2\n", "number", 1, true },
    { "0,.5,.5,.2,.2\n", "number", 1, true },
    { "\xef\xbb\xbf"
      "0 .5 .5 .2 .2\n",
      "number", 1, true },
    { "0 .5 .5 1.02 .2\n", "coordinate", 1, true },
    { "0 120 80 40 30\n", "coordinate", 1, true },
    { "0 -.02 .5 .2 .2\n", "coordinate", 1, true },
    { "-1 .5 .5 .2 .2\n", "class", 1, true },
    { "3 .5 .5 .2 .2\n", "class", 1, true },
    { "0 .5 .5 .2 .2\n1e9 .5 .5 .1 .1\n", "class", 2, true },
    { "0 1.005 .5 .02 .2\n", "beyond", 1, false },
    { "0 .05 .5 .3 .2\n", "beyond", 1, false },
    { "0 .5 .5 0 .2\n", "size", 1, false },
    { "0 .5 .5 .1 -.005\n", "size", 1, false },
    { "1.5 .5 .5 .2 .2\n", "fraction", 1, false },
    { "0 .5 .5 .2 .2\n1 .5 .5 .2 .2\n0 .5 .5 .2 .2\n", "duplicate-row", 3, false },
    { "0 .1 .1 .5 .1 .5 .4\n", NULL, 0, false },
    { "0 .1 .1 .5 .1 .5 .4\n1 .2 .2 .6 .6\n", "polygon-box", 2, false },
    { "0 .1 .1 .5 .1 .5 .4\n1 .2 .2 .6 .6 .7\n", "columns", 2, true },
};

static void every_row_of_the_specification(void **state)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct Row *r = &rows[i];
        new_set("train: images\nval: images\nnc: 3\n");
        put_picture("images/a.png", 60, 40, 100);
        put_picture("images/b.png", 60, 40, 200);
        put_text("labels/a.txt", r->text);
        put_text("labels/b.txt", r->kind && str_eq(r->kind, "polygon-box") ? "2 .1 .1 .5 .1 .5 .4\n" : "");
        int status = check("split=train");
        if (status != r->error) fail_msg("'%s': status %d: %s", r->text, status, errs);
        int absent = 0; /* classes that never occur are told of, too */
        for (int k = 0; k < n_lines; k++)
            absent += str_eq(text_of(line_of[k], "kind"), "class-absent");
        if (problems() - absent != (r->kind != NULL)) fail_msg("'%s': %d problems", r->text, problems() - absent);
        if (!r->kind) continue;
        const json_t *p = problem(r->kind, "labels/a.txt", r->line);
        if (!p) fail_msg("'%s': not told as %s in line %d", r->text, r->kind, r->line);
        assert_string_equal(text_of(p, "level"), r->error ? "error" : "warning");
        assert_true(*text_of(p, "what") && *text_of(p, "then"));
        assert_int_equal(int_of(of_type("split", 0), "used"), r->error ? 1 : 2);
    }
}

static void every_bad_row_of_a_file(void **state)
{
    new_set("train: images\nval: images\nnc: 3\n");
    put_picture("images/a.png", 60, 40, 100);
    put_text("labels/a.txt", "0 .5 .5 .2 .2\n9 .5 .5 .2 .2\n0 .5 .5\n0 a b c d\n0 .5 7 .2 .2\n1 .5 .5 .1 .1\n");
    assert_int_equal(check("split=train"), 1);
    assert_non_null(problem("class", "labels/a.txt", 2));
    assert_non_null(problem("columns", "labels/a.txt", 3));
    assert_non_null(problem("number", "labels/a.txt", 4));
    assert_non_null(problem("coordinate", "labels/a.txt", 5));
    assert_non_null(problem("none", "images", 0));
    assert_says(errs, "5 errors, 3 warnings");
}

/* ---- pictures and files ---------------------------------------------------------------------------------------------
 */

static void cut(const char *name, const char *to, double part)
{
    char *bytes;
    size_t n;
    assert_ok(file_read(arena, in_set(name), 1 << 24, &bytes, &n, &err));
    put(to, bytes, (size_t)((double)n * part));
}

static void copy(const char *name, const char *to)
{
    cut(name, to, 1);
}

static void make_mess(void)
{
    new_set("train: images/train\nval: images/val\ntest: list.txt\nnames: [one, two, 'th\"ree']\n");
    put_picture("images/train/good.jpg", 80, 60, 10);
    put_picture("images/train/small.png", 9, 60, 20);
    put_text("images/train/empty.jpg", "");
    put_text("images/train/text.png", "no picture");
    put_text("images/train/gif.png", "GIF89a");
    cut("images/train/good.jpg", "images/train/cut.jpg", 0.8);
    cut("images/train/good.jpg", "images/train/head.jpg", 0.05);
    put_picture("images/train/noise.png", 50, 50, 30);
    cut("images/train/noise.png", "images/train/noise.png", 0.7);
    put_picture("images/train/dup1.png", 40, 40, 40);
    copy("images/train/dup1.png", "images/train/dup2.png");
    put_picture("images/train/bare.png", 40, 40, 45);
    copy("images/train/dup1.png", "images/val/leak.png");
    put_picture("images/val/v.png", 64, 48, 50);
    put_picture("other/t.png", 64, 48, 60);
    put_text("list.txt", "./other/t.png\n./other/nowhere.png\n");
    put_text("labels/train/good.txt", "0 .5 .5 .2 .2\n1 .25 .25 .5 .5\n");
    put_text("labels/train/dup1.txt", "0 .5 .5 .5 .5\n");
    put_text("labels/train/dup2.txt", "");
    put_text("labels/train/cut.txt", "");
    put_text("labels/train/deep/lost.txt", "0 .5 .5 .5 .5\n");
    put_text("labels/val/v.txt", "0 .5 .5 .25 .25\n");
    put_text("labels/val/leak.txt", "0 .5 .5 .5 .5\n");
    put_text("other/t.txt", "0 .5 .5 1 1\n");
}

static void pictures_labels_and_pairs(void **state)
{
    static const struct {
        const char *kind, *end;
        bool error;
    } wanted[] = {
        { "small", "train/small.png", true },        { "broken", "train/empty.jpg", true },
        { "format", "train/text.png", true },        { "broken", "train/noise.png", true },
        { "broken", "train/head.jpg", true },        { "truncated", "train/cut.jpg", false },
        { "no-labels", "train/bare.png", false },    { "duplicate", "train/dup2.png", false },
        { "leak", "val/leak.png", false },           { "no-picture", "train/deep/lost.txt", false },
        { "unreadable", "other/nowhere.png", true }, { "class-absent", "data.yaml", false },
    };
    make_mess();
    assert_int_equal(check(""), 1);
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        const json_t *p = problem(wanted[i].kind, wanted[i].end, 0);
        if (!p) fail_msg("%s is not told as %s", wanted[i].end, wanted[i].kind);
        assert_string_equal(text_of(p, "level"), wanted[i].error ? "error" : "warning");
    }
    assert_says(text_of(problem("duplicate", "dup2.png", 0), "what"), "train/dup1.png");
    assert_says(text_of(problem("leak", "leak.png", 0), "what"), "of train");
    const json_t *train = of_type("split", 0), *val = of_type("split", 1), *test = of_type("split", 2);
    assert_int_equal(int_of(train, "pictures"), 11);
    assert_int_equal(int_of(train, "used"), 5);
    assert_int_equal(int_of(train, "backgrounds"), 3);
    assert_int_equal(int_of(train, "objects"), 3);
    assert_int_equal(int_of(val, "objects"), 2);
    assert_int_equal(int_of(test, "used"), 1);
    assert_int_equal(int_of(test, "large"), 0);
    assert_int_equal(int_of(test, "medium"), 1); /* 64 x 48: between 32^2 and 96^2 */
    /* boxes of train in pixels: 16 x 12, 40 x 30, 20 x 20 */
    const json_t *w = json_object_get(train, "box_width"), *aspect = json_object_get(train, "box_aspect");
    assert_near(json_number_value(json_array_get(w, 0)), 16, 1e-3);
    assert_near(json_number_value(json_array_get(w, 2)), 20, 1e-3);
    assert_near(json_number_value(json_array_get(w, 4)), 40, 1e-3);
    assert_near(json_number_value(json_array_get(aspect, 0)), 1, 1e-3);
    assert_near(json_number_value(json_array_get(aspect, 4)), 4.0 / 3, 1e-3);
    const json_t *third = of_type("class", 2);
    assert_string_equal(text_of(third, "name"), "th\"ree");
    assert_int_equal(int_of(json_object_get(of_type("class", 0), "train"), "objects"), 2);
    assert_int_equal(int_of(json_object_get(of_type("class", 0), "train"), "pictures"), 2);
    const json_t *sum = of_type("summary", 0);
    assert_int_equal(int_of(sum, "errors") + int_of(sum, "warnings"), problems());
    forget();
}

/* A JPEG whose data stops early is told once, with what is made of it, by whoever reads it; strict refuses it. */
static void a_jpeg_that_is_cut(void **state)
{
    static const char told[] = "set/images/train/cut.jpg: JPEG is truncated: the data ends at byte ",
                      then[] = ", before the last pixels; used as far as it goes, the rest is grey\n",
                      job[] = "model=yolov8n.yaml data=set imgsz=64 project=cut plots=False workers=0";
    char *bytes;
    size_t n;
    new_set("train: images/train\nval: images/val\nnames: [a]\n");
    put_picture("images/train/a.jpg", 80, 60, 1);
    put_picture("images/train/b.jpg", 80, 60, 2);
    copy("images/train/b.jpg", "images/val/c.jpg");
    put_text("labels/train/a.txt", "0 .5 .5 .5 .5\n");
    put_text("labels/train/b.txt", "0 .5 .5 .5 .5\n");
    put_text("labels/val/c.txt", "0 .5 .5 .5 .5\n");
    cut("images/train/a.jpg", "images/train/cut.jpg", 0.8);
    put_text("labels/train/cut.txt", "0 .5 .5 .5 .5\n");
    assert_runs("train %s epochs=2", job);
    assert_int_equal(count(errs, "cut.jpg"), 1);
    assert_says(errs, arena_printf(arena, "WARNING: train: %s", told));
    assert_says(errs, then);
    assert_runs("val %s split=train", job);
    assert_int_equal(count(errs, "cut.jpg"), 1);
    assert_says(errs, arena_printf(arena, "WARNING: train: %s", told));
    assert_says(errs, then);
    assert_runs("predict model=yolov8n.yaml source=set/images/train imgsz=64 save=False");
    assert_int_equal(count(errs, "cut.jpg"), 1);
    assert_says(errs, "WARNING: skipped: 'set/images/train/cut.jpg': JPEG is truncated: the data ends at byte ");
    assert_runs("check data=set split=train");
    assert_int_equal(count(out, "cut.jpg"), 1);
    assert_says(out, arena_printf(arena, "warning: train: %s", told));
    assert_says(out, then);
    assert_int_equal(run("check data=set split=train strict=True"), 1);
    assert_refuses(1, told, "train %s strict=True", job);
    assert_int_equal(run("val %s split=train strict=True", job), 1);
    assert_says(errs, arena_printf(arena, "dynyolo: %s", told));
    assert_ok(file_read(arena, "set/images/train/b.jpg", 1 << 24, &bytes, &n, &err));
    put("images/train/cut.jpg", bytes, n - 2); /* the mark alone is missing: nothing is grey */
    assert_runs("train %s epochs=1", job);
    assert_says(errs, "cut.jpg: JPEG without an end mark; used as far as it goes\n");
    forget();
}

/* What a person sees: the same problems, one a line, and the tables. */
static void text_for_people(void **state)
{
    make_mess();
    assert_int_equal(run("check data=set/data.yaml split=train"), 1);
    assert_says(out,
                "error: train: set/images/train/small.png: 9 x 60 pixels, less than 10 a side; the picture is left");
    assert_says(out, "warning: train: set/labels/train/deep/lost.txt: labels without a picture; never read\n");
    assert_says(out, "\ntrain           11         5            3         3");
    assert_says(out, "  0 one ");
    assert_null(strstr(out, "leak.png"));
    assert_says(errs, "dynyolo: 'set/data.yaml': 6 errors, ");
}

static void good_sets_and_strictness(void **state)
{
    new_set("train: images/train\nval: images/val\nnames: [a]\n");
    put_picture("images/train/a.png", 40, 40, 1);
    put_picture("images/val/b.png", 40, 40, 2);
    put_text("labels/train/a.txt", "0 .5 .5 .5 .5\n");
    put_text("labels/val/b.txt", "0 .5 .5 .5 .5\n");
    assert_int_equal(check(""), 0);
    assert_int_equal(problems(), 0);
    assert_int_equal(check("strict=True"), 0);
    put_text("labels/val/b.txt", "0 .5 .5 0 .5\n");
    assert_int_equal(check(""), 0);
    assert_int_equal(problems(), 1);
    assert_int_equal(check("strict=True"), 1);
    assert_int_equal(check("strict=True split=train"), 0);
    new_set("train: images\nval: images\nnames: [a]\n");
    put_picture("images/a.png", 40, 40, 1);
    put_text("labels/a.txt", "0 .5 .5 .5 .5\n");
    assert_int_equal(check(""), 0);
    assert_non_null(problem("same-split", "images", 0));
    put_text("data.yaml", "train: nowhere\nval: images\nnames: [a]\n");
    assert_int_equal(check(""), 1);
    assert_non_null(problem("source", "nowhere", 0));
    forget();
    assert_refuses(2, "names no test pictures", "check data=set split=test");
    assert_refuses(2, "wants train, val or test", "check data=set split=all");
    assert_refuses(2, "check knows json", "check data=set format=xml");
    assert_refuses(2, "which data set", "check");
    assert_refuses(1, "cannot open", "check data=none.yaml");
}

/* ---- check and training agree ---------------------------------------------------------------------------------------
 */

typedef struct Count {
    Arena *a;
    const char *last; /* path of a picture or label file that had an error */
    int files;
} Count;

static void count_files(void *user, const DataProblem *p)
{
    Count *c = user;
    if (!p->error || (c->last && str_eq(p->path, c->last))) return;
    c->files += !str_eq(p->kind, "none");
    c->last = arena_strdup(c->a, p->path);
}

/* For any set: as many pictures are left out as files are called bad, except those that only the loader finds out
 * (their headers are sound), and check's objects are the data set's. */
static void assert_agree(const char *path, int for_the_loader)
{
    DataConfig config;
    DataReport report;
    Dataset *ds;
    DatasetOptions opt = DATASET_OPTIONS;
    Count count = { .a = arena };
    DataCheck c = { .split = "train", .threads = 2, .problem = count_files, .user = &count };
    assert_ok(data_config_read(arena, path, &config, &err));
    assert_ok(data_check(arena, &config, &c, &report, &err));
    assert_ok(dataset_open(&ds, &config, &config.train, &opt, NULL, &err));
    assert_int_equal(ds->corrupt + for_the_loader, count.files);
    assert_int_equal(ds->n - for_the_loader, report.split[0].used);
    assert_int_equal(ds->n_labels, report.split[0].objects);
    dataset_free(&ds);
}

static void check_agrees_with_training(void **state)
{
    make_mess();
    assert_agree("set", 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        new_set("train: images\nval: images\nnc: 3\n");
        put_picture("images/a.png", 60, 40, 100);
        put_picture("images/b.png", 60, 40, 200);
        put_text("labels/a.txt", rows[i].text);
        assert_agree("set", 0);
    }
}

/* Skipping is told and goes on; strict mode ends with one line. */
static void strict_and_skipping_runs(void **state)
{
    new_set("train: images/train\nval: images/val\nnames: [a]\n");
    put_picture("images/train/a.png", 40, 40, 1);
    put_picture("images/train/b.png", 40, 40, 2);
    put_picture("images/val/c.png", 40, 40, 3);
    put_text("labels/train/a.txt", "0 .5 .5 .5 .5\n");
    put_text("labels/val/c.txt", "0 .5 .5 .5 .5\n");
    put_text("labels/train/b.txt", "0 .5 .5 .5\n");
    const char *train = "train model=yolov8n.yaml data=set imgsz=32 epochs=1 plots=False device=cpu project=p";
    assert_runs("%s name=skip", train);
    assert_says(errs, "WARNING: train: set/labels/train/b.txt:1: 4 values, wanted 5");
    assert_says(errs, "train: 1 images, 0 backgrounds, 1 corrupt");
    assert_refuses(1, "set/labels/train/b.txt:1: 4 values, wanted 5 (class cx cy w h)\n", "%s name=strict strict=True",
                   train);
    assert_false(dir_exists("p/strict"));
    put_text("labels/val/c.txt", "7 .5 .5 .5 .5\n");
    put_picture("images/val/d.png", 40, 40, 4);
    assert_runs("val model=yolov8n.yaml data=set imgsz=32 plots=False project=p");
    assert_says(errs, "c.txt:1: class 7");
    assert_int_equal(run("val model=yolov8n.yaml data=set imgsz=32 plots=False strict=True project=p"), 1);
    assert_says(errs, "dynyolo: set/labels/val/c.txt:1: class 7, but there are only 1 classes (0 to 0)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_specification),
        cmocka_unit_test(every_bad_row_of_a_file),
        cmocka_unit_test(pictures_labels_and_pairs),
        cmocka_unit_test(a_jpeg_that_is_cut),
        cmocka_unit_test(text_for_people),
        cmocka_unit_test(good_sets_and_strictness),
        cmocka_unit_test(check_agrees_with_training),
        cmocka_unit_test(strict_and_skipping_runs),
    };
    return cmocka_run_group_tests(tests, command_setup, command_teardown);
}
