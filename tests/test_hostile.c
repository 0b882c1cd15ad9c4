/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile files and arguments as a user meets them: whatever is handed to the command, it ends with a status that is
 * not zero and one line that names the file. What each reader refuses and why is tested beside it (test_yaml, test_pt,
 * test_safetensors, test_image, test_model, test_data); here is the way from the command to there, for every kind. */
#include "command.h"

#include "image/image.h"

#include <math.h>
#include <sys/stat.h>

static void put(const char *name, const char *bytes, size_t n)
{
    unlink(name);
    assert_ok(file_write(name, bytes, n, &err));
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

/* ---- files ----------------------------------------------------------------------------------------------------------
 */

static void a_file_of_every_wrong_kind(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t n;
        const char *command, *words;
    } cases[] = {
#define C(name, bytes, command, words) { name, bytes, sizeof(bytes) - 1, command, words }
        /* model descriptions */
        C("m.yaml", "", "info model=m.yaml", "m.yaml"),
        C("m.yaml", "\0\1\2\3", "info model=m.yaml", "m.yaml"),
        C("m.yaml", "nc: 2\nnc: 3\n", "info model=m.yaml", "m.yaml:2:1: key 'nc' is there twice"),
        C("m.yaml", "nc: 2\nbackbone:\n  - [-1, 1, Cnv, [8]]\nhead:\n  - [-1, 1, Detect, [nc]]\n", "info model=m.yaml",
          "m.yaml:3:13: row 0: unknown module 'Cnv'"),
        C("m.yaml", "nc: 2\nbackbone:\n  - [-1, 1, Conv, [8, -3]]\nhead:\n  - [-1, 1, Detect, [nc]]\n",
          "info model=m.yaml", "m.yaml:3:23"),
        C("m.yaml", "nc: 2\nbackbone:\n  - [7, 1, Conv, [8]]\nhead:\n  - [-1, 1, Detect, [nc]]\n", "info model=m.yaml",
          "out of range"),
        C("m.yaml", "nc: 9999999999\nbackbone: []\nhead: []\n", "info model=m.yaml", "m.yaml:1:5"),
        C("m.yaml", "a: &a [x, x]\nb: !!python/object/apply:os.system [id]\n", "info model=m.yaml", "m.yaml:2"),
        C("m.yaml", "\x1b[31mred\x07: [", "info model=m.yaml", "m.yaml"),
        /* data descriptions */
        C("d.yaml", "", "check data=d.yaml", "d.yaml"),
        C("d.yaml", "[a, b]\n", "check data=d.yaml", "d.yaml"),
        C("d.yaml", "train: [[a]]\nval: .\nnames: [a]\n", "check data=d.yaml", "d.yaml:1"),
        C("d.yaml", "train: .\nval: .\nnames: {0: a, 0: b}\n", "check data=d.yaml", "d.yaml:3"),
        C("d.yaml", "train: .\nval: .\nnames: {-1: a}\n", "check data=d.yaml", "d.yaml:3"),
        C("d.yaml", "train: .\nval: .\nnc: 99999999999\n", "check data=d.yaml", "d.yaml:3"),
        C("d.yaml", "train: .\nval: .\nnc: -2\n", "check data=d.yaml", "d.yaml:3"),
        C("d.yaml", "train: .\nval: nowhere\nnc: 1\n", "val model=yolov8n.yaml data=d.yaml", "nowhere"),
        C("d.yaml", "train: .\nval: ''\nnc: 1\n", "check data=d.yaml", "d.yaml:2"),
        /* weights */
        C("w.pt", "", "info model=w.pt", "w.pt"),
        C("w.pt", "PK\3\4", "info model=w.pt", "w.pt"),
        C("w.pt", "PK\5\6\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0", "info model=w.pt", "w.pt"),
        C("w.pt", "\x80\x02]q\x01.", "convert in=w.pt out=o.safetensors", "w.pt"),
        C("w.pt", "<!DOCTYPE html>", "info model=w.pt", "web page"),
        C("w.safetensors", "", "info model=w.safetensors", "w.safetensors"),
        C("w.safetensors", "\xff\xff\xff\xff\xff\xff\xff\x7f{}", "info model=w.safetensors", "announces a header"),
        C("w.safetensors", "\2\0\0\0\0\0\0\0{}", "info model=w.safetensors", "w.safetensors"),
        C("w.safetensors", "\2\0\0\0\0\0\0\0{}", "convert in=w.safetensors out=o.pt", "w.safetensors"),
        C("w.safetensors", "\2\0\0\0\0\0\0\0{}", "train model=w.safetensors resume=True", "w.safetensors"),
        /* options in a file */
        C("o.yaml", "imgsz: [", "predict cfg=o.yaml", "o.yaml"),
        C("o.yaml", "imgsz: -1\n", "predict cfg=o.yaml", "imgsz"),
        C("o.yaml", "imgsz: {a: b}\n", "predict cfg=o.yaml", "o.yaml:1"),
#undef C
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        put(cases[i].name, cases[i].bytes, cases[i].n);
        int rc = run("%s", cases[i].command);
        if (rc != 1 && rc != 2) fail_msg("case %d: %s: status %d: %s", (int)i, cases[i].command, rc, errs);
        if (!strstr(errs, cases[i].words)) fail_msg("case %d: '%s' does not say '%s'", (int)i, errs, cases[i].words);
        if (count(errs, "\n") != 1 || strchr(errs, '\x1b')) fail_msg("case %d: not one clean line: '%s'", (int)i, errs);
        assert_false(file_exists("o.safetensors") || file_exists("o.pt"));
    }
}

/* What is no regular file is refused at once, also a pipe that nobody writes to. */
static void no_file_at_all(void **state)
{
    static const char *const what[] = { "pipe", "folder", "/dev/zero", "loop", "nowhere" };
    static const char *const command[] = { "info model=%s.yaml", "info model=%s.pt", "info model=%s.safetensors",
                                           "predict cfg=%s",
                                           "predict model=yolov8n.yaml source=%s.jpg imgsz=32 save=False" };
    for (size_t k = 0; k < COUNT_OF(command); k++) {
        const char *ext = strchr(command[k], '%') + 2;
        char suffix[32];
        snprintf(suffix, sizeof suffix, "%.*s", (int)strcspn(ext, " "), ext);
        for (size_t i = 0; i < COUNT_OF(what); i++) {
            if (what[i][0] == '/' && *suffix) continue;
            const char *path = arena_printf(arena, "%s%s", what[i], suffix);
            if (i == 0) assert_int_equal(mkfifo(path, 0600), 0);
            if (i == 1) assert_int_equal(mkdir(path, 0700), 0);
            if (i == 3) assert_int_equal(symlink(path, path), 0);
            int rc = run(command[k], what[i]);
            if (rc != 1 && rc != 2) fail_msg("%s with %s: status %d: %s", command[k], what[i], rc, errs);
            assert_says(errs, what[i]);
        }
    }
    /* and in a data set: told, left out */
    assert_int_equal(system("mkdir -p set/images set/labels && rm -f set/images/* && mkfifo set/labels/a.txt"), 0);
    Image im;
    assert_ok(image_new(&im, 40, 40, &err));
    image_fill(&im, 9);
    assert_ok(image_write_png("set/images/a.png", &im, &err));
    assert_ok(image_write_png("set/images/b.png", &im, &err));
    image_free(&im);
    put_text("set/list.txt", "./images/a.png\n./images/b.png\n./pipe.jpg\n");
    put_text("set/data.yaml", "train: list.txt\nval: list.txt\nnc: 1\n");
    assert_int_equal(mkfifo("set/pipe.jpg", 0600), 0);
    assert_int_equal(run("check data=set split=train"), 1);
    assert_says(out, "set/pipe.jpg: is not a regular file");
}

/* ---- pictures -------------------------------------------------------------------------------------------------------
 */

static void put_picture(const char *path, int w, int h)
{
    Image im;
    assert_ok(image_new(&im, w, h, &err));
    image_fill(&im, 77);
    assert_ok(image_write_png(path, &im, &err));
    image_free(&im);
}

/* The longest sides, the smallest picture, nothing at all, and a header that promises more than there is. */
static void pictures_of_extreme_size(void **state)
{
    assert_int_equal(system("mkdir -p size/images size/labels"), 0);
    put_picture("size/images/wide.png", 65535, 12);
    put_picture("size/images/high.png", 12, 65535);
    put_picture("size/images/line.png", 65535, 1);
    put_picture("size/images/dot.png", 1, 1);
    put_picture("size/images/good.png", 50, 50);
    put("size/images/none.jpg", "", 0);
    put("size/images/bomb.png", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\x02\0\0\0\x86\x8d\x5b\x49",
        33);
    put_text("size/labels/wide.txt", "0 .5 .5 1 1\n");
    put_text("size/labels/good.txt", "0 .5 .5 .5 .5\n");
    put_text("size/data.yaml", "train: images\nval: images\nnc: 1\n");
    assert_int_equal(run("check data=size format=json"), 1);
    assert_int_equal(count(out, "\"level\": \"error\""), 4); /* line, dot, none, bomb */
    assert_runs("train model=yolov8n.yaml data=size imgsz=64 epochs=1 batch=3 plots=False project=size name=t");
    assert_says(errs, "train: 3 images, 1 backgrounds, 4 corrupt");
    assert_runs("predict model=yolov8n.yaml source=size/images imgsz=64 project=size name=p format=json conf=0.9");
    assert_int_equal(count(out, "\n"), 2);                  /* dot and good */
    assert_int_equal(count(errs, "WARNING: skipped: "), 5); /* none, bomb; and what vanishes in 64 x 64 */
}

/* ---- arguments ------------------------------------------------------------------------------------------------------
 */

static const char *const no_numbers[] = { "x", "nan", "1e999", "--1", "0x", "" };

/* Every option with a range, in the first mode that knows it: below, above, and what is no number. */
static void every_option_out_of_range(void **state)
{
    size_t n, asked = 0;
    const DynOptionRow *row = dyn_option_rows(&n);
    for (size_t i = 0; i < n; i++) {
        const DynOptionRow *r = &row[i];
        DynMode m = 0;
        while (!(r->modes >> m & 1))
            m++;
        if (r->offset == (size_t)-1 || r->type == DYN_TEXT) continue;
        bool whole = r->type == DYN_INT || r->type == DYN_SIZE;
        const char *mode = dyn_mode_name(m);
        if (r->type != DYN_BOOL) {
            const char *below = str_point(arena_printf(arena, "%.17g", r->min - (whole ? 1 : 1e-6)));
            const char *above = arena_printf(arena, "%.17g", whole ? r->max + 2 : r->max * 1.5 + 1);
            assert_refuses(2, r->key, "%s %s=%s", mode, r->key, below);
            assert_refuses(2, r->key, "%s %s=%s", mode, r->key, above);
        }
        for (size_t k = 0; k + 1 < COUNT_OF(no_numbers) && i % 8 == 0; k++)
            assert_refuses(2, r->key, "%s %s=%s", mode, r->key, no_numbers[k]);
        asked++;
    }
    assert_true(asked > 50);
}

static void words_that_mean_nothing(void **state)
{
    char *long_word = arena_alloc(arena, 5000);
    memset(long_word, 'a', 4999);
    assert_refuses(2, "'%s%n' is no mode", "predict '%%s%%n'");
    assert_refuses(2, "unknown option", "predict '%%s%%n=1'");
    assert_refuses(2, "unknown option", "predict %s=1", long_word);
    assert_refuses(1, "aaa", "info model=%s.pt", long_word);
    assert_refuses(2, "knows json", "predict model=yolov8n.yaml source=. format=%.900s", long_word);
    assert_refuses(2, "wants a number or a list",
                   "predict model=yolov8n.yaml source=size/images classes=[0,,x] save=False");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_every_wrong_kind), cmocka_unit_test(no_file_at_all),
        cmocka_unit_test(pictures_of_extreme_size),   cmocka_unit_test(every_option_out_of_range),
        cmocka_unit_test(words_that_mean_nothing),
    };
    return cmocka_run_group_tests(tests, command_setup, command_teardown);
}
