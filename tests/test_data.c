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

static Lines lines;
static const Log to_lines = { collect, &lines, DYN_LOG_DEBUG };

static void forget_lines(void)
{
    lines.n = 0, lines.text[0] = 0;
}

/* ---- a folder of our own ---------------------------------------------------------------------------------------- */

static char top[256];

static int enter_folder(void **state)
{
    snprintf(top, sizeof top, "/tmp/dynyolo-data-XXXXXX");
    forget_lines();
    return mkdtemp(top) ? 0 : -1;
}

static int leave_folder(void **state)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", top);
    return system(command);
}

static const char *in_top(const char *name)
{
    static char path[4][512];
    static int k;
    k = (k + 1) % 4;
    snprintf(path[k], sizeof path[k], "%s/%s", top, name);
    return path[k];
}

static void put(const char *name, const char *text)
{
    Error err;
    Arena *a = arena_new();
    assert_ok(dir_make(path_dir(a, in_top(name)), &err));
    assert_ok(file_write(in_top(name), text, strlen(text), &err));
    arena_free(&a);
}

/* A grey picture with one filled rectangle (pixels x1..x2-1, y1..y2-1). */
static void put_picture(const char *name, int w, int h, const int box[4], const uint8_t colour[3])
{
    Error err;
    Image im;
    Arena *a = arena_new();
    assert_ok(dir_make(path_dir(a, in_top(name)), &err));
    assert_ok(image_new(&im, w, h, &err));
    image_fill(&im, IMAGE_PAD);
    for (int y = box ? box[1] : 0; box && y < box[3]; y++)
        for (int x = box[0]; x < box[2]; x++)
            memcpy(im.data + (size_t)y * (size_t)im.stride_bytes + 3 * (size_t)x, colour, 3);
    assert_ok(str_ends(name, ".png") ? image_write_png(in_top(name), &im, &err)
                                     : image_write_jpeg(in_top(name), &im, 90, true, &err));
    image_free(&im);
    arena_free(&a);
}

/* ---- label files ------------------------------------------------------------------------------------------------- */

static void label_table(void **state)
{
    static const struct {
        const char *text;
        int nc, rows; /* rows < 0: refused with `says` in the message */
        const char *says;
    } cases[] = {
        { "", 3, 0, "" },
        { "\n \n\t\n", 3, 0, "" },
        { "0 0.5 0.5 0.2 0.2\n", 3, 1, "" },
        { "0 0.5 0.5 0.2 0.2", 3, 1, "" },
        { "\r\n2 .5 5e-1 0.2 0.2\r\n\r\n1 0 0 0 0\r\n", 3, 2, "" }, /* no size is accepted */
        { "0 0.5 0.5 0.2\n", 3, -1, "lab.txt:1: 4 values" },
        { "0 0.5 0.5 0.2 0.2 0.9\n", 3, -1, "lab.txt:1: 6 values" },
        { "0 0.5 0.5 0.2 0.2\n\n0 0.5\n", 3, -1, "lab.txt:3: 2 values" },
        { "0 0.5 abc 0.2 0.2\n", 3, -1, "'abc' is not a number" },
        { "0 0.5 nan 0.2 0.2\n", 3, -1, "'nan' is not a number" },
        { "0 0.5 inf 0.2 0.2\n", 3, -1, "'inf' is not a number" },
        { "0 0.5 1e99 0.2 0.2\n", 3, -1, "not a number" },
        { "0 1.01 0.5 0.2 0.2\n", 3, 1, "" },
        { "0 1.0101 0.5 0.2 0.2\n", 3, -1, "lab.txt:1: coordinate 1.0101" },
        { "0 -0.01 0.5 0.2 0.2\n", 3, 1, "" },
        { "0 -0.0101 0.5 0.2 0.2\n", 3, -1, "coordinate -0.0101" },
        { "-1 0.5 0.5 0.2 0.2\n", 3, -1, "class -1 is negative" },
        { "2 0.5 0.5 0.2 0.2\n", 3, 1, "" },
        { "3 0.5 0.5 0.2 0.2\n", 3, -1, "only 3 classes" },
        { "3 0.5 0.5 0.2 0.2\n", 0, 1, "" },
        { "1.5 0.5 0.5 0.2 0.2\n", 3, 1, "" },
        { "0 .1 .1 .5 .1 .5 .4\n1 .2 .2 .6 .6\n", 3, 2, "" },
        { "0 .1 .1 .5 .1 .5 .4\n1 .2 .2 .6 .6 .7\n", 3, -1, "lab.txt:2: 6 values in a file of polygons" },
        { "0 .1 .1 .5 .1 .5 .4\n1\n", 3, -1, "lab.txt:2: 1 values in a file of polygons" },
        { "0\0 .5 .5 .2 .2\n", 3, -1, "1 values" }, /* cut at the zero by the C string; see hostile_labels */
    };
    Error err;
    LabelFile f;
    Arena *a = arena_new();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *t = cases[i].text;
        if (cases[i].rows < 0) {
            assert_fails(label_parse(a, "lab.txt", t, strlen(t), cases[i].nc, &f, &err), DYN_FORMAT, cases[i].says);
            continue;
        }
        assert_ok(label_parse(a, "lab.txt", t, strlen(t), cases[i].nc, &f, &err));
        assert_int_equal(f.n, cases[i].rows);
    }
    assert_fails(label_parse(a, "z", "0 .5\0 .5 .2 .2\n", 15, 3, &f, &err), DYN_FORMAT, "not a number");
    arena_free(&a);
}

static void label_values(void **state)
{
    static const char polygons[] = "1 0.25 0.5 0.75 0.125 0.5 0.875\n0 .1 .2 .3 .6\n";
    static const char twice[] = "2 .5 .5 .1 .1\n1 .5 .5 .1 .1\n2 .5 .5 .1 .1\n1 .25 .5 .1 .1\n";
    Error err;
    LabelFile f;
    Arena *a = arena_new();
    assert_ok(label_parse(a, "p", polygons, strlen(polygons), 2, &f, &err));
    assert_non_null(f.polygon);
    assert_int_equal(f.polygon[0].n, 3);
    assert_int_equal(f.polygon[1].n, 2);
    assert_true(f.polygon[0].point[2][1] == 0.875f);
    assert_true(f.label[0].cx == 0.5f && f.label[0].cy == 0.5f && f.label[0].w == 0.5f && f.label[0].h == 0.75f);
    assert_true(fabsf(f.label[1].cx - 0.2f) < 1e-6f && fabsf(f.label[1].h - 0.4f) < 1e-6f);
    assert_ok(label_parse(a, "d", twice, strlen(twice), 3, &f, &err));
    assert_int_equal(f.n, 3); /* and sorted */
    assert_int_equal(f.duplicates, 1);
    assert_true(f.label[0].cls == 1 && f.label[0].cx == 0.25f && f.label[1].cls == 1 && f.label[2].cls == 2);
    assert_ok(label_parse(a, "s", "2 .5 .5 .1 .1\n1 .5 .5 .1 .1\n", 28, 3, &f, &err));
    assert_true(f.label[0].cls == 2); /* no duplicates: the order of the file */
    arena_free(&a);
}

static void label_paths(void **state)
{
    static const char *const cases[][2] = {
        { "a/images/train/x.jpg", "a/labels/train/x.txt" },
        { "a/images/b/images/x.y.jpeg", "a/images/b/labels/x.y.txt" },
        { "images/x.png", "labels/x.txt" },
        { "a/myimages/x.png", "a/myimages/x.txt" },
        { "a.b/x", "a.b/x.txt" },
    };
    Arena *a = arena_new();
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(data_label_path(a, cases[i][0]), cases[i][1]);
    arena_free(&a);
}

/* ---- data YAML --------------------------------------------------------------------------------------------------- */

static void config(void **state)
{
    Error err;
    DataConfig c;
    Arena *a = arena_new();
    const char *y = in_top("set/data.yaml");
    char path[512];
    snprintf(path, sizeof path, "%s", y);
    put("set/images/train/x.txt", "");
    put("set/images/val/x.txt", "");
#define WITH(text) (put("set/data.yaml", text), data_config_read(a, path, &c, &err))
    assert_ok(WITH("train: [images/train, ../images/val]\nvalidation: images/val\nnames: {1: b, 0: a}\n"));
    assert_int_equal(c.train.n, 2);
    assert_true(dir_exists(c.train.path[0]) && dir_exists(c.train.path[1]) && dir_exists(c.val.path[0]));
    assert_int_equal(c.nc, 2);
    assert_string_equal(c.names[1], "b");
    assert_ok(WITH("path: images\ntrain: train\nval: val\nnc: 2\n"));
    assert_string_equal(c.names[1], "class_1");
    assert_ok(data_config_read(a, in_top("set"), &c, &err));
    assert_ok(WITH("train: a\nval: images/val\nnames: [007, yes]\n"));
    assert_string_equal(c.names[0], "007");
    assert_string_equal(c.names[1], "yes");
    assert_fails(WITH("train: a\nval: b\nnames: [a]\ndownload: http://x/y.zip\n"), DYN_IO, "nothing is downloaded");
    assert_fails(WITH("path: nowhere\ntrain: a\nval: b\nnames: [a]\n"), DYN_IO, "data.yaml:1:7");
    assert_fails(WITH("val: images/val\nnames: [a]\n"), DYN_FORMAT, "train pictures");
    assert_fails(WITH("train: a\nnames: [a]\n"), DYN_FORMAT, "val pictures");
    assert_fails(WITH("train: a\nval: images/val\n"), DYN_FORMAT, "neither names nor nc");
    assert_fails(WITH("train: a\nval: images/val\nnc: 3\nnames: [a]\n"), DYN_FORMAT, "nc is 3, but names has 1");
    assert_fails(WITH("train: a\nval: images/val\nnames: {0: a, 2: b}\n"), DYN_FORMAT, "class 2 among 2");
    assert_fails(WITH("train: a\nval: images/val\nnames: {0: a, x: b}\n"), DYN_FORMAT, "no class number");
    assert_fails(WITH("train: a\nval: images/val\nnames: {0: a, 00: b}\n"), DYN_FORMAT, "twice");
    assert_fails(WITH("train: a\nval: images/val\nnc: 0\n"), DYN_FORMAT, "0 classes");
    assert_fails(WITH("train: a\nval: images/val\nnames: [a]\nchannels: 4\n"), DYN_UNSUPPORTED, "channels is 4");
#undef WITH
    put("set/other.yaml", "");
    assert_fails(data_config_read(a, in_top("set"), &c, &err), DYN_IO, "2 YAML files");
    assert_fails(data_config_read(a, "x.zip", &c, &err), DYN_UNSUPPORTED, "archive");
    arena_free(&a);
}

/* ---- index --------------------------------------------------------------------------------------------------------
 */

static Dataset *open_split(const char *yaml, int threads)
{
    Error err;
    Arena *a = arena_new();
    DataConfig c;
    Dataset *ds;
    DatasetOptions opt = DATASET_OPTIONS;
    opt.title = "train", opt.threads = threads;
    forget_lines();
    assert_ok(data_config_read(a, yaml, &c, &err));
    assert_ok(dataset_open(&ds, &c, &c.train, &opt, &to_lines, &err));
    arena_free(&a);
    return ds;
}

static void coco128(void **state)
{
    const char *dir = shared_dir("data/coco128");
    if (!dir) skip_without("data/coco128");
    for (int threads = 0; threads < 3; threads++) {
        Dataset *ds = open_split(dir, threads);
        assert_int_equal(ds->n, 128);
        assert_int_equal(ds->n_labels, 929);
        assert_int_equal(ds->nc, 80);
        assert_string_equal(ds->names[79], "toothbrush");
        assert_string_equal(lines.text, "train: 128 images, 2 backgrounds, 0 corrupt\n");
        dataset_free(&ds);
    }
}

static void bccd(void **state)
{
    const char *dir = shared_dir("data/bccd");
    if (!dir) skip_without("data/bccd");
    Dataset *ds = open_split(dir, 2);
    assert_int_equal(ds->n, 205);
    assert_int_equal(ds->n_labels, 209 + 2381 + 214); /* the table of its README */
    assert_string_equal(ds->names[1], "RBC");
    dataset_free(&ds);
}

/* Every kind of trouble in one folder; the good ones are kept, in the order of their paths. */
static void put_troubles(void)
{
    static const uint8_t colour[3] = { 255, 0, 0 };
    put_picture("t/images/b.png", 40, 30, NULL, colour);
    put_picture("t/images/sub/a.JPG", 30, 40, NULL, colour);
    put_picture("t/images/c.png", 9, 40, NULL, colour);
    put_picture("t/images/d.png", 40, 40, NULL, colour);
    put_picture("t/images/e.png", 40, 40, NULL, colour);
    put_picture("t/images/f.png", 40, 40, NULL, colour);
    put("t/images/g.jpg", "no picture at all");
    put("t/images/notes.md", "not looked at");
    put("t/labels/b.txt", "0 .5 .5 .5 .5\n2 .5 .5 .1 .1\n");
    put("t/labels/d.txt", "0 .5 .5 .5 5\n");
    put("t/labels/e.txt", "1 .5 .5 .5 .5\n1 .5 .5 .5 .5\n");
    put("t/labels/sub/a.txt", "");
    put("t/data.yaml", "train: images\nval: images\nnames: [x, y, z]\n");
}

static void troubles(void **state)
{
    Error err;
    DataConfig c;
    Arena *a = arena_new();
    DatasetOptions opt = DATASET_OPTIONS;
    put_troubles();
    Dataset *ds = open_split(in_top("t"), 2);
    assert_int_equal(ds->n, 4);
    assert_int_equal(ds->corrupt, 3);
    assert_int_equal(ds->backgrounds, 2);
    assert_int_equal(ds->n_labels, 3);
    assert_string_equal(path_name(ds->item[0].path), "b.png");
    assert_string_equal(path_name(ds->item[3].path), "a.JPG");
    assert_int_equal(ds->item[3].h, 40);
    assert_non_null(strstr(lines.text, "c.png: 9 x 40 pixels"));
    assert_non_null(strstr(lines.text, "labels/d.txt:1: coordinate 5"));
    assert_non_null(strstr(lines.text, "labels/e.txt: 1 duplicate"));
    assert_non_null(strstr(lines.text, "g.jpg"));
    assert_null(strstr(lines.text, "notes.md"));
    assert_non_null(strstr(lines.text, "train: 4 images, 2 backgrounds, 3 corrupt\n"));
    dataset_free(&ds);
    assert_ok(data_config_read(a, in_top("t"), &c, &err));
    opt.strict = true;
    assert_fails(dataset_open(&ds, &c, &c.val, &opt, NULL, &err), DYN_FORMAT, "c.png");
    opt = DATASET_OPTIONS;
    opt.classes = (int[]) { 1, 2 }, opt.n_classes = 2;
    assert_ok(dataset_open(&ds, &c, &c.val, &opt, NULL, &err));
    assert_int_equal(ds->n, 4);
    assert_int_equal(ds->n_labels, 2);
    assert_true(ds->item[0].n_labels == 1 && ds->item[0].label[0].cls == 2);
    dataset_free(&ds);
    opt = DATASET_OPTIONS;
    opt.single_cls = true, opt.fraction = 0.2; /* of 7 pictures: round(1.4) */
    assert_ok(dataset_open(&ds, &c, &c.val, &opt, NULL, &err));
    assert_int_equal(ds->n, 1);
    assert_true(ds->nc == 1 && ds->item[0].n_labels == 2 && ds->item[0].label[1].cls == 0);
    assert_string_equal(ds->names[0], "item");
    dataset_free(&ds);
    put("t/list.txt", "./images/b.png\n\n  ./images/sub/a.JPG \nnowhere.png\nnotes.md\n");
    put("t/data.yaml", "train: list.txt\nval: list.txt\nnc: 3\n");
    ds = open_split(in_top("t"), 0);
    assert_int_equal(ds->n, 2);
    assert_int_equal(ds->corrupt, 1);
    dataset_free(&ds);
    arena_free(&a);
}

static void polygons_all_or_none(void **state)
{
    static const uint8_t colour[3] = { 255, 0, 0 };
    put_picture("p/images/a.png", 40, 30, NULL, colour);
    put_picture("p/images/b.png", 40, 30, NULL, colour);
    put("p/labels/a.txt", "0 .1 .1 .5 .1 .5 .4\n");
    put("p/data.yaml", "train: images\nval: images\nnames: [x]\n");
    Dataset *ds = open_split(in_top("p"), 0);
    assert_true(ds->polygons && ds->item[0].polygon && !ds->item[1].polygon);
    dataset_free(&ds);
    put("p/labels/b.txt", "0 .5 .5 .1 .1\n");
    ds = open_split(in_top("p"), 0);
    assert_true(!ds->polygons && !ds->item[0].polygon && ds->n_labels == 2);
    assert_non_null(strstr(lines.text, "1 of 2 objects have polygons"));
    dataset_free(&ds);
}

/* ---- batches ------------------------------------------------------------------------------------------------------
 */

static void shape_of(int w, int h, int *batch_h, int *batch_w)
{
    Error err;
    DataItem item = { .path = "x", .w = w, .h = h };
    Dataset ds = { .n = 1, .item = &item, .nc = 1 };
    LoaderOptions opt = LOADER_OPTIONS;
    Loader *l;
    int64_t n;
    opt.rect = true, opt.pad = 0.5;
    assert_ok(loader_new(&l, &ds, &opt, NULL, &err));
    loader_shape(l, 0, &n, batch_h, batch_w);
    loader_free(&l);
}

/* Section 13 of the specification, and 5.7. */
static void rect_shapes(void **state)
{
    static const int cases[][4] = {
        { 500, 500, 672, 672 }, { 640, 480, 512, 672 }, { 480, 640, 672, 512 }, { 1600, 900, 384, 672 }
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int h, w;
        shape_of(cases[i][0], cases[i][1], &h, &w);
        assert_int_equal(h, cases[i][2]);
        assert_int_equal(w, cases[i][3]);
    }
}

/* N pictures, each with a rectangle of a colour of its own, whose class is the picture's number. */
enum { N = 12 };
static const uint8_t palette[N][3] = { { 255, 0, 0 },   { 0, 255, 0 },   { 0, 0, 255 },   { 255, 255, 0 },
                                       { 255, 0, 255 }, { 0, 255, 255 }, { 255, 128, 0 }, { 0, 128, 255 },
                                       { 128, 0, 255 }, { 255, 0, 128 }, { 0, 0, 0 },     { 255, 255, 255 } };

static Dataset *rectangles(void)
{
    char name[64], text[128], names[256] = "train: images\nval: images\nnc: 12\n";
    for (int i = 0; i < N; i++) {
        int w = 90 + 17 * (i % 5), h = 100 + 13 * (i % 7);
        int box[4] = { 10 + i, 20, 10 + i + w / 2, 20 + h / 2 + i };
        snprintf(name, sizeof name, "r/images/%02d.png", i);
        put_picture(name, w, h, box, palette[i]);
        snprintf(name, sizeof name, "r/labels/%02d.txt", i);
        snprintf(text, sizeof text, "%d %.9f %.9f %.9f %.9f\n", i, (box[0] + box[2]) / 2.0 / w,
                 (box[1] + box[3]) / 2.0 / h, (double)(box[2] - box[0]) / w, (double)(box[3] - box[1]) / h);
        put(name, text);
    }
    put("r/data.yaml", names);
    return open_split(in_top("r"), 0);
}

/* Extent of a colour's pixels (more than half of it) inside a window. */
static bool extent(const Batch *b, int64_t image, const uint8_t colour[3], const float window[4], float box[4])
{
    const uint8_t *p = b->images + (size_t)image * (size_t)b->h * (size_t)b->w * 3;
    box[0] = box[1] = INFINITY, box[2] = box[3] = -INFINITY;
    for (int y = 0; y < b->h; y++)
        for (int x = 0; x < b->w; x++, p += 3) {
            int far = 0, from_grey = 0;
            for (int c = 0; c < 3; c++) {
                far = MAX(far, abs(p[c] - colour[c]));
                from_grey = MAX(from_grey, abs(p[c] - IMAGE_PAD));
            }
            if (far >= from_grey || far > 72 || (float)x < window[0] || (float)x > window[2] || (float)y < window[1] ||
                (float)y > window[3])
                continue;
            box[0] = fminf(box[0], (float)x), box[2] = fmaxf(box[2], (float)(x + 1));
            box[1] = fminf(box[1], (float)y), box[3] = fmaxf(box[3], (float)(y + 1));
        }
    return box[0] < box[2];
}

/* Whatever was done to pictures and labels: a box must surround the pixels of its colour. Returns boxes compared. */
static int64_t compare_boxes(const Batch *b, float tolerance)
{
    for (int64_t k = 0; k < b->n_targets; k++) {
        const float *t = b->targets[k];
        float w = (float)b->w, h = (float)b->h, found[4];
        float box[4] = { (t[2] - t[4] / 2) * w, (t[3] - t[5] / 2) * h, (t[2] + t[4] / 2) * w, (t[3] + t[5] / 2) * h };
        float window[4] = { box[0] - 3, box[1] - 3, box[2] + 2, box[3] + 2 };
        assert_true(extent(b, (int64_t)t[0], palette[(int)t[1]], window, found));
        for (int i = 0; i < 4; i++)
            if (!(fabsf(found[i] - box[i]) <= tolerance))
                fail_msg("batch %d image %d class %d: box %g %g %g %g, pixels %g %g %g %g", (int)b->index, (int)t[0],
                         (int)t[1], (double)box[0], (double)box[1], (double)box[2], (double)box[3], (double)found[0],
                         (double)found[1], (double)found[2], (double)found[3]);
    }
    return b->n_targets;
}

static int64_t check_epochs(const Dataset *ds, LoaderOptions opt, int epochs, bool mosaic, float tolerance)
{
    Error err;
    Loader *l;
    Batch b;
    int64_t n = 0, images = 0;
    assert_ok(loader_new(&l, ds, &opt, NULL, &err));
    for (int e = 0; e < epochs; e++) {
        bool seen[N] = { 0 };
        assert_ok(loader_start(l, e, 0, mosaic, &err));
        for (;;) {
            assert_ok(loader_next(l, &b, NULL, &err));
            if (!b.n) break;
            n += compare_boxes(&b, tolerance);
            images += b.n;
            for (int64_t i = 0; i < b.n; i++) {
                assert_false(seen[b.info[i].index]); /* each picture once an epoch */
                seen[b.info[i].index] = true;
            }
        }
    }
    assert_int_equal(images, epochs * N);
    loader_free(&l);
    return n;
}

static LoaderOptions geometry_only(void)
{
    Error err;
    LoaderOptions opt = LOADER_OPTIONS;
    opt.imgsz = 160, opt.batch = 5, opt.train = true, opt.strict = true;
    assert_ok(augment_set(&opt.augment, "hsv_h", 0, &err));
    assert_ok(augment_set(&opt.augment, "hsv_s", 0, &err));
    assert_ok(augment_set(&opt.augment, "hsv_v", 0, &err));
    return opt;
}

static void boxes_follow_pixels(void **state)
{
    Error err;
    Dataset *ds = rectangles();
    LoaderOptions opt = geometry_only(), val = LOADER_OPTIONS;
    val.imgsz = 160, val.batch = 5, val.rect = true, val.pad = 0.5;
    assert_int_equal(check_epochs(ds, val, 1, false, 1.01f), N);
    val.rect = false;
    assert_int_equal(check_epochs(ds, val, 1, false, 1.01f), N);
    assert_ok(augment_set(&opt.augment, "flipud", 0.5, &err));
    assert_true(check_epochs(ds, opt, 8, true, 1.6f) > 12 * N); /* mosaic */
    assert_in_range(check_epochs(ds, opt, 8, false, 1.6f), 7 * N, 8 * N);
    opt.rect = true;
    assert_in_range(check_epochs(ds, opt, 4, true, 1.6f), 3 * N, 4 * N);
    opt.rect = false; /* thin corners fade away, hence the tolerance */
    assert_ok(augment_set(&opt.augment, "degrees", 45, &err));
    assert_ok(augment_set(&opt.augment, "shear", 8, &err));
    assert_in_range(check_epochs(ds, opt, 4, false, 3), 3 * N, 4 * N);
    assert_ok(augment_set(&opt.augment, "perspective", 0.0005, &err));
    assert_in_range(check_epochs(ds, opt, 4, false, 3), 3 * N, 4 * N);
    dataset_free(&ds);
}

/* The same with outlines instead of boxes: four corners each. */
static void outlines_follow_pixels(void **state)
{
    char name[64], text[256];
    Dataset *ds = rectangles();
    for (int i = 0; i < N; i++) {
        const Label *l = &ds->item[i].label[0];
        double x1 = (double)(l->cx - l->w / 2), y1 = (double)(l->cy - l->h / 2);
        double x2 = (double)(l->cx + l->w / 2), y2 = (double)(l->cy + l->h / 2);
        snprintf(name, sizeof name, "r/labels/%02d.txt", i);
        snprintf(text, sizeof text, "%d %.9f %.9f %.9f %.9f %.9f %.9f %.9f %.9f\n", i, x1, y1, x2, y1, x2, y2, x1, y2);
        put(name, text);
    }
    dataset_free(&ds);
    ds = open_split(in_top("r"), 0);
    assert_true(ds->polygons);
    assert_true(check_epochs(ds, geometry_only(), 8, true, 1.6f) > 12 * N);
    assert_in_range(check_epochs(ds, geometry_only(), 4, false, 1.6f), 3 * N, 4 * N);
    dataset_free(&ds);
}

static uint64_t digest(uint64_t h, const void *p, size_t n)
{
    for (const uint8_t *b = p; n; n--)
        h = (h ^ *b++) * 0x100000001b3u;
    return h;
}

static uint64_t digest_batch(const Batch *b)
{
    uint64_t h = digest(0xcbf29ce484222325u, b->images, (size_t)b->n * (size_t)b->h * (size_t)b->w * 3);
    return digest(h, b->targets, (size_t)b->n_targets * sizeof *b->targets);
}

static void workers_change_nothing(void **state)
{
    static const int workers[] = { 0, 1, 4 };
    Error err;
    Batch b;
    Loader *l;
    uint64_t want[2][3], rest;
    Dataset *ds = rectangles();
    LoaderOptions opt = LOADER_OPTIONS;
    opt.imgsz = 96, opt.batch = 5, opt.train = true, opt.seed = 7;
    assert_ok(augment_set(&opt.augment, "mixup", 0.5, &err));
    assert_ok(augment_set(&opt.augment, "cutmix", 0.5, &err));
    for (size_t k = 0; k < COUNT_OF(workers); k++) {
        opt.workers = workers[k], opt.cache = k == 2;
        assert_ok(loader_new(&l, ds, &opt, NULL, &err));
        assert_int_equal(loader_batches(l), 3);
        for (int64_t i = 0; i < 6; i++) {
            if (i % 3 == 0) assert_ok(loader_start(l, i / 3, 0, true, &err));
            assert_ok(loader_next(l, &b, NULL, &err));
            assert_int_equal(b.n, i % 3 == 2 ? 2 : 5);
            if (k == 0) want[i / 3][i % 3] = digest_batch(&b);
            assert_true(digest_batch(&b) == want[i / 3][i % 3]);
        }
        assert_ok(loader_next(l, &b, NULL, &err));
        assert_int_equal(b.n, 0);
        assert_ok(loader_start(l, 1, 2, true, &err)); /* an epoch can be begun anywhere, and left at any time */
        assert_ok(loader_next(l, &b, NULL, &err));
        rest = digest_batch(&b);
        assert_true(rest == want[1][2]);
        assert_ok(loader_start(l, 0, 0, true, &err));
        loader_free(&l);
    }
    assert_true(want[0][0] != want[1][0]);
    dataset_free(&ds);
}

/* The mosaic is never drawn; its warp must be what a warp of the drawn one gives. */
static void warp_of_patches(void **state)
{
    enum { SIDE = 200, PATCHES = 4 };
    static const int place[PATCHES][4] = {
        { 7, 30, 80, 61 }, { 87, 12, 100, 79 }, { 40, 91, 47, 60 }, { 87, 91, 3, 2 }
    };
    Error err;
    Image canvas, part[PATCHES], drawn, direct;
    ImagePatch patch[PATCHES];
    Rng r = rng_at(1, 2, 3, 4);
    assert_ok(image_new(&canvas, SIDE, SIDE, &err));
    assert_ok(image_new(&drawn, 97, 61, &err));
    assert_ok(image_new(&direct, 97, 61, &err));
    image_fill(&canvas, IMAGE_PAD);
    for (int k = 0; k < PATCHES; k++) {
        assert_ok(image_new(&part[k], place[k][2], place[k][3], &err));
        patch[k] = (ImagePatch) { part[k], place[k][0], place[k][1] };
        for (int y = 0; y < part[k].h; y++)
            for (int x = 0; x < 3 * part[k].w; x++) {
                uint8_t v = (uint8_t)rng_int(&r, 256);
                part[k].data[y * part[k].stride_bytes + x] = v;
                canvas.data[(y + place[k][1]) * canvas.stride_bytes + 3 * place[k][0] + x] = v;
            }
    }
    for (int round = 0; round < 200; round++) {
        double M[6];
        for (int i = 0; i < 6; i++)
            M[i] = rng_uniform(&r, -1, 1) * (i % 3 == 2 ? SIDE : 1.2);
        if (round % 2) M[1] = M[3] = 0;
        assert_ok(image_warp_affine(&canvas, M, IMAGE_PAD, &drawn, &err));
        assert_ok(image_warp_patches(patch, PATCHES, M, IMAGE_PAD, &direct, &err));
        assert_memory_equal(drawn.data, direct.data, 97 * 61 * 3);
    }
    for (int k = 0; k < PATCHES; k++)
        image_free(&part[k]);
    image_free(&canvas), image_free(&drawn), image_free(&direct);
}

/* A picture that goes bad between the scan and the epoch. */
static void vanished(void **state)
{
    Error err;
    Loader *l;
    Batch b;
    Dataset *ds = rectangles();
    LoaderOptions opt = LOADER_OPTIONS;
    opt.imgsz = 64, opt.batch = 4;
    assert_int_equal(unlink(in_top("r/images/01.png")), 0);
    assert_ok(loader_new(&l, ds, &opt, &to_lines, &err));
    assert_ok(loader_start(l, 0, 0, false, &err));
    assert_ok(loader_next(l, &b, NULL, &err));
    assert_int_equal(b.n_targets, 3);
    assert_int_equal(b.images[64 * 64 * 3], IMAGE_PAD);
    assert_non_null(strstr(lines.text, "01.png"));
    loader_free(&l);
    opt.strict = true;
    assert_ok(loader_new(&l, ds, &opt, NULL, &err));
    assert_ok(loader_start(l, 0, 0, false, &err));
    assert_fails(loader_next(l, &b, NULL, &err), DYN_IO, "01.png");
    loader_free(&l);
    opt.batch = 0;
    assert_fails(loader_new(&l, ds, &opt, NULL, &err), DYN_USAGE, "batch 0");
    dataset_free(&ds);
}

static void params(void **state)
{
    Error err;
    AugmentOptions o = augment_defaults();
    static const char *const names[] = { "mosaic", "degrees", "translate", "scale",  "shear", "perspective", "hsv_h",
                                         "hsv_s",  "hsv_v",   "flipud",    "fliplr", "bgr",   "mixup",       "cutmix" };
    static const double def[] = { 1, 0, 0.1, 0.5, 0, 0, 0.015, 0.7, 0.4, 0, 0.5, 0, 0, 0 };
    assert_true(augment_param_count() <= AUGMENT_MAX_PARAMS);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_in_range(augment_param_find(names[i]), 0, augment_param_count() - 1);
        assert_true(o.value[augment_param_find(names[i])] == def[i]);
    }
    assert_fails(augment_set(&o, "mosaics", 1, &err), DYN_USAGE, "mosaics");
    assert_fails(augment_set(&o, "mosaic", 1.5, &err), DYN_USAGE, "0 to 1");
    assert_fails(augment_set(&o, "mosaic", NAN, &err), DYN_USAGE, "0 to 1");
}

/* ---- drawn data ---------------------------------------------------------------------------------------------------
 */

static void drawn(void **state)
{
    Error err;
    SynthOptions opt = SYNTH_OPTIONS;
    char *x, *y, first[512];
    size_t nx, ny;
    Arena *a = arena_new();
    opt.n = 12, opt.classes = 8, opt.imgsz = 96, opt.seed = 3;
    assert_ok(synth_write(in_top("one"), &opt, NULL, &err));
    opt.threads = 3;
    assert_ok(synth_write(in_top("two"), &opt, NULL, &err));
    for (int i = 0; i < 10; i++)
        for (int k = 0; k < 2; k++) {
            char name[64];
            snprintf(name, sizeof name, k ? "one/labels/train/%06d.txt" : "one/images/train/%06d.jpg", i);
            snprintf(first, sizeof first, "%s", in_top(name));
            memcpy(name, "two", 3);
            assert_ok(file_read(a, first, 1 << 20, &x, &nx, &err));
            assert_ok(file_read(a, in_top(name), 1 << 20, &y, &ny, &err));
            assert_int_equal(nx, ny);
            assert_memory_equal(x, y, nx);
        }
    Dataset *ds = open_split(in_top("one"), 0);
    assert_string_equal(lines.text, "train: 10 images, 0 backgrounds, 0 corrupt\n");
    assert_true(ds->nc == 8 && ds->n_labels >= 10);
    for (int64_t i = 0; i < ds->n; i++)
        for (int k = 0; k < ds->item[i].n_labels; k++) {
            const Label *l = &ds->item[i].label[k];
            assert_true(l->w > 0.02f && l->h > 0.02f && l->cx - l->w / 2 > -1e-5f && l->cx + l->w / 2 < 1.00001f);
        }
    dataset_free(&ds);
    opt.n = 6;
    assert_fails(synth_write(in_top("two"), &opt, NULL, &err), DYN_IO, "not of the data set");
    opt.classes = 9;
    assert_fails(synth_write(in_top("three"), &opt, NULL, &err), DYN_USAGE, "classes is 9");
    arena_free(&a);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(label_table),
        cmocka_unit_test(label_values),
        cmocka_unit_test(label_paths),
        IN_FOLDER(config),
        cmocka_unit_test(coco128),
        cmocka_unit_test(bccd),
        IN_FOLDER(troubles),
        IN_FOLDER(polygons_all_or_none),
        cmocka_unit_test(rect_shapes),
        IN_FOLDER(boxes_follow_pixels),
        IN_FOLDER(outlines_follow_pixels),
        IN_FOLDER(workers_change_nothing),
        cmocka_unit_test(warp_of_patches),
        IN_FOLDER(vanished),
        cmocka_unit_test(params),
        IN_FOLDER(drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
