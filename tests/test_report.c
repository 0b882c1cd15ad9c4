/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures are read back and their pixels looked at; with DYN_TEST_OUT=DIR they stay there for a person to see. */
#include "test.h"

#include "report/report.h"

#include <math.h>
#include <unistd.h>

static char out_dir[512];
static Error err;

static const char *out(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", out_dir, name);
    return path;
}

static const uint8_t *pixel(const Image *im, int x, int y)
{
    return im->data + (size_t)y * (size_t)im->stride_bytes + 3 * x;
}

static bool is_rgb(const Image *im, int x, int y, int r, int g, int b)
{
    const uint8_t *p = pixel(im, x, y);
    return abs(p[0] - r) <= 2 && abs(p[1] - g) <= 2 && abs(p[2] - b) <= 2;
}

/* The picture decodes, has the size (0: any), a white border of `margin` pixels (no label is cut) and something in it.
 */
static void check_plot(const char *name, int w, int h, int margin)
{
    Image im;
    long ink = 0;
    assert_ok(image_read(out(name), &im, &err));
    if (w) assert_int_equal(im.w, w);
    if (h) assert_int_equal(im.h, h);
    for (int y = 0; y < im.h; y++)
        for (int x = 0; x < im.w; x++) {
            bool white = is_rgb(&im, x, y, 255, 255, 255);
            bool border = x < margin || y < margin || x >= im.w - margin || y >= im.h - margin;
            if (border && !white) fail_msg("%s: ink at (%d, %d), within %d of the border", name, x, y, margin);
            ink += !white;
        }
    assert_true(ink > im.w * im.h / 100);
    image_free(&im);
}

static void grey_picture(Image *im, int w, int h, uint8_t value)
{
    assert_ok(image_new(im, w, h, &err));
    image_fill(im, value);
}

/* ---- boxes --------------------------------------------------------------------------------------------------- */

static void boxes_lie_where_they_should(void **state)
{
    Image im;
    const char *names[] = { "cat", "dog" };
    DrawOpt opt = draw_defaults(names, 2);
    Detection d[] = { { 100, 100, 200, 180, .9f, 1 }, { 102, 102, 198, 178, .5f, 0 } };
    grey_picture(&im, 320, 240, 114);
    opt.labels = false, opt.line_width = 2;
    assert_ok(report_draw(&im, d, 1, &opt, &err));
    /* class 1 is 0BDBEB; a line of 2 pixels covers one on each side of the edge */
    for (int y = 110; y < 170; y++) {
        assert_true(is_rgb(&im, 99, y, 0x0B, 0xDB, 0xEB) && is_rgb(&im, 100, y, 0x0B, 0xDB, 0xEB));
        assert_true(is_rgb(&im, 199, y, 0x0B, 0xDB, 0xEB) && is_rgb(&im, 200, y, 0x0B, 0xDB, 0xEB));
        assert_true(is_rgb(&im, 97, y, 114, 114, 114) && is_rgb(&im, 103, y, 114, 114, 114));
    }
    assert_true(is_rgb(&im, 150, 140, 114, 114, 114));
    opt.line_width = 6;
    assert_ok(report_draw(&im, d, 2, &opt, &err)); /* the more confident one lies on top */
    assert_true(is_rgb(&im, 101, 140, 0x0B, 0xDB, 0xEB) && is_rgb(&im, 104, 140, 0x04, 0x2A, 0xFF));
    image_free(&im);
}

/* Everything that is not grey lies inside the picture by definition; here the tag's filled box must be whole: its
 * corner pixels have the class colour. */
static void tags_stay_inside(void **state)
{
    const char *names[] = { "traffic light", "\xff\xfe broken \xe2\x82" };
    DrawOpt opt = draw_defaults(names, 2);
    Detection corner[] = { { 2, 2, 60, 40, .87f, 0 },       { 280, 2, 318, 40, .87f, 0 },
                           { 280, 180, 318, 238, .87f, 1 }, { -20, 120, 30, 160, .87f, 0 },
                           { NAN, 0, 5, 5, 1, 0 },          { 300, 235, 400, 300, .4f, 7 } };
    Image im;
    grey_picture(&im, 320, 240, 114);
    opt.conf = true;
    assert_ok(report_draw(&im, corner, COUNT_OF(corner), &opt, &err));
    assert_ok(image_write_png(out("tags.png"), &im, &err));
    /* 2, 2 is a corner of a box whose tag does not fit above: the tag's text must be there, white on blue */
    bool white = false; /* or nearly: how much of a pixel a stroke covers is the font engine's matter */
    for (int x0 = 2; x0 < 100; x0++)
        for (int y0 = 6; y0 < 16; y0++)
            white = white || (pixel(&im, x0, y0)[0] > 200 && pixel(&im, x0, y0)[1] > 200);
    assert_true(white && is_rgb(&im, 3, 10, 0x04, 0x2A, 0xFF));
    /* top right: the tag reaches the right border and starts well left of the box */
    int y = 6, x = 319;
    while (x > 0 && !is_rgb(&im, x, y, 114, 114, 114))
        x--;
    assert_true(x < 250 && x > 150);
    image_free(&im);
    grey_picture(&im, 12, 9, 0); /* smaller than any tag */
    assert_ok(report_draw(&im, corner, COUNT_OF(corner), &opt, &err));
    image_free(&im);
}

static void mosaics(void **state)
{
    Image im[5];
    MosaicTile tile[5];
    const char *names[] = { "person", "bicycle", "car" };
    Detection d[3] = { { 20, 30, 200, 150, .9f, 0 }, { 150, 60, 300, 220, .6f, 2 }, { 5, 5, 100, 100, .1f, 1 } };
    DrawOpt opt = draw_defaults(names, 3);
    for (int i = 0; i < 5; i++) {
        grey_picture(&im[i], 320, i % 2 ? 320 : 240, (uint8_t)(60 + 30 * i));
        tile[i] = (MosaicTile) { &im[i], d, 3, "some/where/000000000139.jpg" };
    }
    assert_ok(report_mosaic(out("mosaic.png"), tile, 5, &opt, &err));
    Image m;
    assert_ok(image_read(out("mosaic.png"), &m, &err));
    assert_int_equal(m.w, 960);
    assert_int_equal(m.h, 960);
    /* column first: tile 1 (grey 90) lies below tile 0 (60), tile 3 (150) right of it */
    assert_true(is_rgb(&m, 310, 10, 60, 60, 60) && is_rgb(&m, 310, 330, 90, 90, 90) &&
                is_rgb(&m, 630, 10, 150, 150, 150));
    assert_true(is_rgb(&m, 950, 950, 255, 255, 255));
    assert_true(is_rgb(&m, 5, 60, 60, 60, 60)); /* 0.1 is too unsure */
    image_free(&m);
    assert_ok(report_mosaic(out("mosaic.jpg"), tile, 1, &opt, &err));
    assert_ok(image_read(out("mosaic.jpg"), &m, &err));
    assert_int_equal(m.h, 240);
    image_free(&m);
    assert_fails(report_mosaic(out("none.png"), tile, 0, &opt, &err), DYN_USAGE, "none.png");
    for (int i = 0; i < 5; i++)
        image_free(&im[i]);
}

/* ---- plots --------------------------------------------------------------------------------------------------- */

static const char *const coco_like[] = { "person",       "bicycle",   "car",           "motorcycle", "airplane",
                                         "bus",          "train",     "truck",         "boat",       "traffic light",
                                         "fire hydrant", "stop sign", "parking meter", "bench",      "bird",
                                         "cat",          "dog",       "horse",         "sheep",      "cow" };

static void evaluate(Metrics **m, int nc, Arena *a, EvalResult *r)
{
    Rng rng = rng_at(1, 2, 3, 4);
    Placement l = { 1, 0, 0, 640, 640, 640, 640 };
    assert_ok(metrics_new(m, &(MetricsOpt) { .nc = nc, .conf = 0.001, .confusion = true }, &err));
    for (int i = 0; i < 300; i++) {
        Target t[4];
        Detection d[6];
        for (int j = 0; j < 4; j++) {
            t[j] = (Target) { .1f + .8f * (float)rng_unit(&rng), .1f + .8f * (float)rng_unit(&rng), .2f, .2f,
                              (int32_t)(rng_unit(&rng) * rng_unit(&rng) * nc) };
            float e = (float)rng_normal(&rng) * 8, x = t[j].x * 640 + e, y = t[j].y * 640 - e;
            double u = rng_unit(&rng);
            d[j] = (Detection) { x - 64,
                                 y - 64,
                                 x + 64,
                                 y + 64,
                                 (float)(0.95 - 0.1 * j - 0.1 * u),
                                 u < 0.8 ? t[j].cls : (int32_t)rng_int(&rng, nc) };
        }
        for (int j = 4; j < 6; j++)
            d[j] = (Detection) {
                10, 10, 90, 90, .3f - .04f * (float)j * (float)rng_unit(&rng), (int32_t)rng_int(&rng, nc)
            };
        assert_ok(metrics_add(*m, &l, d, 6, t, 4, &err));
    }
    assert_ok(metrics_result(*m, a, r, &err));
}

static void validation_plots(void **state)
{
    Arena *a = arena_new();
    Metrics *m;
    EvalResult r;
    evaluate(&m, 20, a, &r);
    assert_ok(report_curves(out_dir, &r, coco_like, &err));
    check_plot("BoxPR_curve.png", 1000, 640, 6);
    check_plot("BoxF1_curve.png", 1000, 640, 6);
    check_plot("BoxP_curve.png", 1000, 640, 6);
    check_plot("BoxR_curve.png", 1000, 640, 6);
    assert_ok(report_confusion(out("confusion_matrix.png"), r.confusion, 20, coco_like, false, &err));
    assert_ok(report_confusion(out("confusion_matrix_normalized.png"), r.confusion, 20, coco_like, true, &err));
    check_plot("confusion_matrix.png", 0, 0, 6);
    check_plot("confusion_matrix_normalized.png", 0, 0, 6);
    metrics_free(&m);

    const char *names[80];
    for (int i = 0; i < 80; i++)
        names[i] = arena_printf(a, "%s %d", coco_like[i % 20], i);
    evaluate(&m, 80, a, &r);
    char dir[600];
    snprintf(dir, sizeof dir, "%s/many", out_dir);
    assert_ok(dir_make(dir, &err));
    assert_ok(report_curves(dir, &r, names, &err));
    check_plot("many/BoxPR_curve.png", 1000, 640, 6);
    assert_ok(report_confusion(out("many/confusion_matrix.png"), r.confusion, 80, names, false, &err));
    check_plot("many/confusion_matrix.png", 0, 0, 6);
    metrics_free(&m);

    const int64_t two[4] = { 12345, 67, 890, 0 };
    assert_ok(report_confusion(out("many/confusion_one.png"), two, 1, coco_like, false, &err));
    check_plot("many/confusion_one.png", 0, 0, 6);
    r.n_rows = 0;
    snprintf(dir, sizeof dir, "%s/none", out_dir);
    assert_ok(dir_make(dir, &err));
    assert_ok(report_curves(dir, &r, names, &err)); /* nothing to show is no failure */
    arena_free(&a);
}

static void label_plots(void **state)
{
    enum { N = 3000 };
    static Target t[N];
    Rng rng = rng_at(5, 0, 0, 0);
    for (int i = 0; i < N; i++) {
        float w = (float)(0.02 + 0.9 * pow(rng_unit(&rng), 3)), h = (float)(0.02 + 0.9 * pow(rng_unit(&rng), 2));
        t[i] = (Target) { w / 2 + (1 - w) * (float)rng_unit(&rng), h / 2 + (1 - h) * (float)rng_unit(&rng), w, h,
                          (int32_t)(20 * rng_unit(&rng) * rng_unit(&rng)) };
    }
    t[7].x = NAN, t[8].w = 1e9f, t[9].cls = -4;
    assert_ok(report_labels(out("labels.png"), t, N, coco_like, 20, &err));
    check_plot("labels.png", 1280, 1280, 6);
    assert_ok(report_labels(out("many/labels_none.png"), t, 0, coco_like, 3, &err));
}

static void bar_plots(void **state)
{
    const char *names[] = { "dynyolo bf16", "dynyolo f32", "ONNX Runtime 1.30 f32", "PyTorch 1.13 channels-last, f32" };
    const double ms[] = { 7.2, 25.1, 32.6, 48 };
    Rgb color[4] = { palette_line(0), palette_line(0), palette_line(7), palette_line(7) };
    Bars bars = {
        "yolov8n, 640x640, batch 1", "milliseconds per image (less is better)", names, ms, color, 4, "%.1f ms"
    };
    assert_ok(report_bars(out("bars.png"), 900, 320, &bars, &err));
    check_plot("bars.png", 900, 320, 6);
    double x[50], y[50], z[50];
    for (int i = 0; i < 50; i++)
        x[i] = i, y[i] = i == 20 ? NAN : 1e-4 * exp(-i / 15.), z[i] = 5e-5 + 1e-6 * i;
    Series s[] = { { "a very long name of a series that does not fit anywhere", x, y, 50, palette_line(1), 2, 3, NULL,
                     NULL },
                   { "linear", x, z, 50, palette_line(0), 3, 0, NULL, NULL } };
    Chart chart = { "Learning rate", { "epoch", 0, 0, true }, { "lr", 0, 0, false }, s, 2, true };
    assert_ok(report_chart(out("chart.png"), 700, 420, &chart, &err));
    check_plot("chart.png", 700, 420, 6);
}

/* Whatever allocation fails, the answer is an error and nothing is lost (the sanitizer looks). */
static void out_of_memory(void **state)
{
    Arena *a = arena_new();
    Metrics *m;
    EvalResult r;
    Image im;
    Target t = { .5f, .5f, .2f, .2f, 0 };
    Detection d = { 10, 10, 60, 60, .9f, 0 };
    DrawOpt opt = draw_defaults(coco_like, 20);
    evaluate(&m, 3, a, &r);
    grey_picture(&im, 64, 64, 99);
    MosaicTile tile = { &im, &d, 1, "x.jpg" };
    for (int what = 0; what < 5; what++) {
        Status s = DYN_NOMEM;
        long n = 0;
        while (s != DYN_OK && n < 100) {
            mem_fail_after(++n);
            s = what == 0   ? report_curves(out_dir, &r, coco_like, &err)
                : what == 1 ? report_confusion(out("oom.png"), r.confusion, 3, coco_like, true, &err)
                : what == 2 ? report_labels(out("oom.png"), &t, 1, coco_like, 3, &err)
                : what == 3 ? report_mosaic(out("oom.png"), &tile, 1, &opt, &err)
                            : report_draw(&im, &d, 1, &opt, &err);
            mem_fail_after(0);
            if (s != DYN_OK) assert_int_equal(s, DYN_NOMEM);
        }
        assert_int_equal(s, DYN_OK);
    }
    image_free(&im);
    metrics_free(&m);
    arena_free(&a);
}

/* ---- text ---------------------------------------------------------------------------------------------------- */

static void results_csv(void **state)
{
    Arena *a = arena_new();
    ResultsTable t;
    const char *path = arena_strdup(a, out("results.csv"));
    unlink(path);
    const char *const extra[] = { "img/s" };
    for (int e = 1; e <= 40; e++) {
        double speed = 100 + e, f = exp(-e / 12.), wobble = 0.02 * sin(e * 2.1);
        ResultsRow row = { e,
                           12.3456789 * e,
                           { 1.2 + 2 * f + wobble, .7 + 4 * f, 1.1 + f },
                           .8 - .8 * f + wobble,
                           .75 - .7 * f - wobble,
                           .8 - .8 * f + wobble / 2,
                           .6 - .6 * f,
                           { 1.25 + 2 * f - wobble, .8 + 4 * f, 1.15 + f },
                           { 0.01 / e, 0.01, 0.0123456789 },
                           &speed,
                           1 };
        assert_ok(results_append(path, &row, extra, &err));
    }
    assert_ok(results_read(a, path, &t, &err));
    assert_int_equal(t.n_columns, 16);
    assert_int_equal(t.n_rows, 40);
    assert_string_equal(t.name[0], "epoch");
    assert_int_equal(results_column(&t, "img/s"), 15);
    assert_int_equal(results_column(&t, "nothing"), -1);
    assert_true(t.value[39 * 16] == 40 && t.value[39 * 16 + 15] == 140 && t.value[0 * 16 + 14] == 0.0123457);
    assert_ok(report_results(out("results.png"), &t, &err));
    check_plot("results.png", 1800, 760, 6);
    t.n_rows = 1;
    assert_ok(report_results(out("many/results_one.png"), &t, &err));
    check_plot("many/results_one.png", 1800, 760, 6);
    t.n_rows = 0;
    assert_fails(report_results(out("results.png"), &t, &err), DYN_FORMAT, "no row");

    FILE *f = fopen(path, "a");
    fputs("41,1,2", f); /* a run that was killed while it wrote */
    fclose(f);
    assert_ok(results_trim(path, 30, &err));
    assert_ok(results_read(a, path, &t, &err));
    assert_true(t.n_rows == 30 && t.value[29 * 16] == 30);
    assert_ok(results_trim(path, 30, &err));
    assert_ok(results_trim(out("no.csv"), 30, &err));

    ResultsRow row = { 3, 1234567, { 1.234567891, 0.000004, NAN }, .5, .25, 1, 0, { 0 }, { 1e-5, 0, 0 }, NULL, 0 };
    assert_string_equal(results_line(a, &row), "3,1.23457e+06,1.23457,0,nan,0.5,0.25,1,0,0,0,0,1e-05,0,0");
    const char *old = "                  epoch,         train/box_loss,       metrics/mAP50(B)\n"
                      "                      0,                 1.2345,                   nan\n\n";
    assert_ok(file_write(out("old.csv"), old, strlen(old), &err));
    assert_ok(results_read(a, out("old.csv"), &t, &err));
    assert_true(t.n_rows == 1 && t.value[1] == 1.2345 && isnan(t.value[2]) &&
                results_column(&t, "metrics/mAP50(B)") == 2);
    assert_fails(report_results(out("results.png"), &t, &err), DYN_FORMAT, "train/cls_loss");
    assert_ok(file_write(out("old.csv"), "a,b\n1,2\n1\n", 10, &err));
    assert_fails(results_read(a, out("old.csv"), &t, &err), DYN_FORMAT, "line 3");
    assert_ok(file_write(out("old.csv"), "", 0, &err));
    assert_fails(results_read(a, out("old.csv"), &t, &err), DYN_FORMAT, "old.csv");
    arena_free(&a);
}

static void console_lines(void **state)
{
    char buf[256], head[256];
    Arena *a = arena_new();
    assert_string_equal(duration_text(buf, sizeof buf, 12.4), "12s");
    assert_string_equal(duration_text(buf, sizeof buf, 185), "3:05");
    assert_string_equal(duration_text(buf, sizeof buf, 7384), "2:03:04");
    assert_string_equal(duration_text(buf, sizeof buf, 93780), "1d 02:03");
    assert_string_equal(duration_text(buf, sizeof buf, NAN), "-");
    TrainProgress p = { 3, 100, 12, 250, { 1.23456, 0.98765, 1.1 }, 217, 640, 93.27, 0.034, 185 };
    train_header(head, sizeof head);
    assert_string_equal(
        train_line(buf, sizeof buf, &p),
        "    3/100     1.235    0.9877       1.1        217   640     12/250     93.3     3%      3:05");
    assert_int_equal(strlen(head), strlen(buf));
    assert_string_equal(speed_text(buf, sizeof buf, 0.44, 25.06, 0, 1),
                        "Speed: 0.4ms preprocess, 25.1ms inference, 0.0ms loss, 1.0ms postprocess per image");
    assert_string_equal(speed_text(buf, sizeof buf, -1, 25, -1, 1),
                        "Speed: 25.0ms inference, 1.0ms postprocess per image");
    speed_text(buf, 20, 1, 1, 1, 1); /* cut, not overrun */
    assert_int_equal(strlen(buf), 19);
    Detection d[] = { { .cls = 5 }, { .cls = 0 }, { .cls = 0 }, { .cls = 77 } };
    const char *names[] = { "person", "", "", "", "", "bus" };
    assert_string_equal(counts_text(a, d, 4, names, 6), "2 persons, 1 bus, 1 class 77, ");
    assert_string_equal(counts_text(a, d, 0, names, 6), "(no detections), ");
    arena_free(&a);
}

/* On a machine without fonts cairo draws with its own strokes; asked in a process that sees an empty font folder. */
static void works_without_fonts(void **state)
{
    char self[512], conf[1024], command[2600];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) skip_without("/proc/self/exe");
    self[n] = 0;
    const char *xml = "<fontconfig><cachedir>/nowhere</cachedir></fontconfig>";
    strcpy(conf, out("fonts.conf"));
    assert_ok(file_write(conf, xml, strlen(xml), &err));
    snprintf(command, sizeof command, "FONTCONFIG_FILE='%s' DYN_TEST_FONTLESS='%s/fontless.png' '%s' 2>/dev/null", conf,
             out_dir, self);
    assert_int_equal(system(command), 0);
    Image im;
    long white = 0;
    assert_ok(image_read(out("fontless.png"), &im, &err));
    for (int y = 0; y < im.h; y++)
        for (int x = 0; x < im.w; x++)
            white += pixel(&im, x, y)[0] > 140 && pixel(&im, x, y)[1] > 140; /* the tag is 04 2A FF */
    assert_true(white > 60); /* strokes of "horse 0.90", white on dark */
    image_free(&im);
}

static int draw_fontless(const char *path)
{
    const char *names[] = { "horse" };
    Detection d = { 40, 60, 150, 130, .9f, 0 };
    DrawOpt opt = draw_defaults(names, 1);
    Image im;
    if (image_new(&im, 200, 150, &err) != DYN_OK) return 1;
    image_fill(&im, 60);
    bool ok = report_draw(&im, &d, 1, &opt, &err) == DYN_OK && image_write_png(path, &im, &err) == DYN_OK;
    image_free(&im);
    return !ok;
}

int main(void)
{
    if (getenv("DYN_TEST_FONTLESS")) return draw_fontless(getenv("DYN_TEST_FONTLESS"));
    const char *keep = getenv("DYN_TEST_OUT");
    char temporary[] = "/tmp/dynyolo-report-XXXXXX", command[600];
    snprintf(out_dir, sizeof out_dir, "%s", keep ? keep : mkdtemp(temporary));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boxes_lie_where_they_should),
        cmocka_unit_test(tags_stay_inside),
        cmocka_unit_test(mosaics),
        cmocka_unit_test(validation_plots),
        cmocka_unit_test(label_plots),
        cmocka_unit_test(bar_plots),
        cmocka_unit_test(results_csv),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(console_lines),
        cmocka_unit_test(works_without_fonts),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof command, "rm -rf '%s'", out_dir);
    return keep || system(command) == 0 ? failed : 1;
}
