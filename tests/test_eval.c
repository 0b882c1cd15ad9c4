/* SPDX-License-Identifier: Apache-2.0
 *
 * Oracles: tests/data/eval_*.txt (torchvision's NMS, the spec in numpy; tools/golden_eval.py) and, for what torchvision
 * cannot be asked (layouts, limits), the plain definition of NMS below. */
#include "test.h"

#include "eval/eval.h"

#include <math.h>
#include <unistd.h>

/* ---- NMS ---------------------------------------------------------------------------------------------------- */

static uint32_t lcg;
static float unit(void)
{
    lcg = lcg * 1664525u + 1013904223u;
    return (float)(lcg >> 8) / (float)(1 << 24);
}

/* As draw() in tools/golden_eval.py: [A, 4+nc]. */
static float *draw(uint32_t seed, int anchors, int nc, int span, int steps)
{
    float *p = malloc((size_t)anchors * (size_t)(4 + nc) * sizeof *p), *at = p;
    lcg = seed;
    for (int a = 0; a < anchors; a++) {
        for (int d = 0; d < 2; d++)
            *at++ = unit() * 640.f * (float)span;
        for (int d = 0; d < 2; d++) {
            float u = unit() * 200.f;
            *at++ = 8.f + u * (float)span;
        }
        for (int c = 0; c < nc; c++) {
            float u = unit();
            u = u * u, u = u * u;
            *at++ = steps ? floorf(u * (float)steps) / (float)steps : u;
        }
    }
    return p;
}

/* The definition: all rows, a stable insertion of every row by score, each row against every kept row. */
static size_t plain_nms(const float *p, int anchors, int nc, const NmsOpt *opt, Detection *out)
{
    size_t n = 0, kept = 0;
    Detection *row = malloc((size_t)anchors * (size_t)nc * sizeof *row);
    for (int a = 0; a < anchors; a++) {
        const float *v = p + a * (4 + nc);
        int best = 0;
        for (int c = 1; c < nc; c++)
            if (v[4 + c] > v[4 + best]) best = c;
        for (int c = 0; c < nc; c++) {
            bool wanted = !opt->classes;
            for (size_t i = 0; i < opt->n_classes; i++)
                wanted = wanted || opt->classes[i] == c;
            if (!wanted || !(v[4 + c] > (float)opt->conf) || (!opt->multi_label && c != best)) continue;
            Detection d = { v[0] - v[2] / 2, v[1] - v[3] / 2, v[0] + v[2] / 2, v[1] + v[3] / 2, v[4 + c], c };
            size_t i = n++;
            for (; i > 0 && row[i - 1].conf < d.conf; i--)
                row[i] = row[i - 1];
            row[i] = d;
        }
    }
    n = MIN(n, (size_t)opt->max_nms);
    for (size_t i = 0; i < n && kept < (size_t)opt->max_det; i++) {
        bool hit = !isfinite(row[i].x1 + row[i].y1 + row[i].x2 + row[i].y2);
        float si = opt->agnostic ? 0 : (float)row[i].cls * 7680.f;
        float ax1 = row[i].x1 + si, ay1 = row[i].y1 + si, ax2 = row[i].x2 + si, ay2 = row[i].y2 + si;
        for (size_t j = 0; j < kept && !hit; j++) {
            float sj = opt->agnostic ? 0 : (float)out[j].cls * 7680.f;
            float bx1 = out[j].x1 + sj, by1 = out[j].y1 + sj, bx2 = out[j].x2 + sj, by2 = out[j].y2 + sj;
            float w = fmaxf(0, fminf(ax2, bx2) - fmaxf(ax1, bx1)), h = fmaxf(0, fminf(ay2, by2) - fmaxf(ay1, by1));
            float inter = w * h, iou = inter / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - inter);
            hit = (double)iou > opt->iou;
        }
        if (!hit) out[kept++] = row[i];
    }
    free(row);
    return kept;
}

static void same_boxes(const Detection *a, const Detection *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("row %zu: %.9g %.9g %.9g %.9g conf %.9g cls %d, wanted %.9g %.9g %.9g %.9g conf %.9g cls %d", i,
                     a[i].x1, a[i].y1, a[i].x2, a[i].y2, a[i].conf, a[i].cls, b[i].x1, b[i].y1, b[i].x2, b[i].y2,
                     b[i].conf, b[i].cls);
}

static void nms_is_torchvisions(void **state)
{
    Error err;
    FILE *f = fopen("tests/data/eval_nms.txt", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "#%*[^\n]"), 0);
    Arena *a = arena_new();
    int seed, anchors, nc, span, steps, multi, agnostic, n_cases = 0;
    long max_det, max_nms;
    size_t n_classes, n_want, n;
    NmsOpt opt = { 0 };
    while (fscanf(f, "%d %d %d %d %d %lf %lf %ld %ld %d %d %zu %zu", &seed, &anchors, &nc, &span, &steps, &opt.conf,
                  &opt.iou, &max_det, &max_nms, &multi, &agnostic, &n_classes, &n_want) == 13) {
        int32_t classes[8];
        Detection want[300], got[300];
        for (size_t i = 0; i < n_classes; i++)
            assert_int_equal(fscanf(f, "%d", &classes[i]), 1);
        for (size_t i = 0; i < n_want; i++)
            assert_int_equal(fscanf(f, "%f %f %f %f %f %d", &want[i].x1, &want[i].y1, &want[i].x2, &want[i].y2,
                                    &want[i].conf, &want[i].cls),
                             6);
        opt.max_det = max_det, opt.max_nms = max_nms, opt.multi_label = multi, opt.agnostic = agnostic;
        opt.classes = n_classes ? classes : NULL, opt.n_classes = n_classes;
        float *p = draw((uint32_t)seed, anchors, nc, span, steps);
        Predictions view = { p, anchors, nc, 4 + nc, 1 };
        assert_ok(nms(&view, &opt, a, got, &n, &err));
        assert_int_equal(n, n_want);
        same_boxes(got, want, n);
        free(p);
        n_cases++;
    }
    assert_int_equal(n_cases, 6);
    fclose(f);
    arena_free(&a);
}

/* Every option, three layouts (anchor rows, class rows, neither), against the definition. */
static void nms_is_its_definition(void **state)
{
    enum { A = 150 };
    Error err;
    Arena *a = arena_new();
    static float turned[A * 90], spread[A * 90 * 2];
    static Detection want[400], got[400];
    for (int i = 0; i < 96; i++) {
        int nc = i % 5 == 0 ? 1 : i % 3 ? 7 : 80, span = i % 7 == 3 ? 25 : 1;
        int32_t classes[] = { 0, 3, 5, 99, -1 };
        NmsOpt opt = { .conf = i % 2 ? 0.001 : 0.3,
                       .iou = i % 4 < 2 ? 0.7 : 0.1,
                       .max_det = i % 6 ? 300 : 17,
                       .max_nms = i % 8 ? 30000 : 60,
                       .multi_label = i & 4,
                       .agnostic = i & 8 };
        if (i & 16) opt.classes = classes, opt.n_classes = COUNT_OF(classes);
        float *p = draw((uint32_t)i, A, nc, span, i % 9 ? 0 : 8);
        if (i == 50) p[3 * (4 + nc)] = NAN, p[5 * (4 + nc) + 4] = NAN, p[7 * (4 + nc) + 2] = INFINITY;
        for (int j = 0; j < A; j++)
            for (int c = 0; c < 4 + nc; c++) {
                turned[c * A + j] = p[j * (4 + nc) + c];
                spread[2 * (j * (4 + nc) + c)] = p[j * (4 + nc) + c];
            }
        size_t n, n_want = plain_nms(p, A, nc, &opt, want);
        Predictions view[] = { { p, A, nc, 4 + nc, 1 }, { turned, A, nc, 1, A }, { spread, A, nc, 2 * (4 + nc), 2 } };
        for (size_t v = 0; v < COUNT_OF(view); v++) {
            assert_ok(nms(&view[v], &opt, a, got, &n, &err));
            assert_int_equal(n, n_want);
            same_boxes(got, want, n);
        }
        free(p);
    }
    arena_free(&a);
}

static void nms_edges(void **state)
{
    Error err;
    size_t n;
    Detection out[4];
    Arena *a = arena_new();
    NmsOpt opt = nms_defaults_predict();
    opt.max_det = 4;
    float p[2 * 5] = { 10, 10, 4, 4, 0.25f, 10, 10, 4, 4, 0.5f };
    Predictions v = { p, 2, 1, 5, 1 };
    assert_ok(nms(&v, &opt, a, out, &n, &err)); /* 0.25 is not above 0.25 */
    assert_int_equal(n, 1);
    assert_true(out[0].conf == 0.5f && out[0].x1 == 8 && out[0].y2 == 12);
    const float odd[] = { NAN, INFINITY, -INFINITY };
    for (int i = 0; i < 12; i++) { /* a box that is nowhere, from damaged weights, hides none and is none */
        p[5 + i / 3] = odd[i % 3];
        assert_ok(nms(&v, &opt, a, out, &n, &err));
        assert_int_equal(n, 0);
        p[4] = 0.3f;
        assert_ok(nms(&v, &opt, a, out, &n, &err));
        assert_true(n == 1 && out[0].conf == 0.3f);
        p[4] = 0.25f, p[5 + i / 3] = i / 3 < 2 ? 10 : 4;
    }
    v.n_anchors = 0;
    assert_ok(nms(&v, &opt, a, out, &n, &err));
    assert_int_equal(n, 0);
    v.n_anchors = 1ll << 40;
    assert_fails(nms(&v, &opt, a, out, &n, &err), DYN_SHAPE, "anchors");
    v.n_anchors = 2, opt.iou = 1.5;
    assert_fails(nms(&v, &opt, a, out, &n, &err), DYN_USAGE, "iou=1.5");
    opt.iou = 0.7, opt.conf = NAN;
    assert_fails(nms(&v, &opt, a, out, &n, &err), DYN_USAGE, "conf");
    opt.conf = 0.1, opt.max_det = -1;
    assert_fails(nms(&v, &opt, a, out, &n, &err), DYN_USAGE, "max_det");
    opt.max_det = 4;
    arena_free(&a);
    a = arena_new(); /* without a chunk yet */
    mem_fail_after(1);
    assert_fails(nms(&v, &opt, a, out, &n, &err), DYN_NOMEM, "memory");
    mem_fail_after(0);
    arena_free(&a);
}

/* ---- boxes -------------------------------------------------------------------------------------------------- */

static void boxes(void **state)
{
    const float a[4] = { 0, 0, 10, 10 }, b[4] = { 5, 5, 15, 20 }, c[4] = { 0, 0, 10, 20 }, d[4] = { 2, 3, 14, 15 };
    assert_true(fabsf(box_iou(a, b) - 0.1111111f) < 1e-6f); /* spec 13 */
    assert_true(fabsf(box_iou(c, d) - 0.3870968f) < 1e-6f);
    /* spec 13: 1080x810 -> 640x480 no pad; 333x500 -> 448x640, top 11; 427x640 -> top 10; 1080x810 in 640 -> left 80 */
    Placement l = placement_guess(480, 640, 810, 1080);
    assert_true(l.pad_x == 0 && l.pad_y == 0);
    l = placement_guess(640, 448, 500, 333);
    assert_true(l.pad_x == 0 && l.pad_y == 11 && l.gain == 1.28);
    l = placement_guess(640, 448, 640, 427);
    assert_true(l.pad_y == 10);
    l = placement_guess(640, 640, 810, 1080);
    assert_true(l.pad_x == 80 && l.pad_y == 0);
    float box[4] = { 80 + 64, 64, 700, 320 };
    placement_undo(&l, box);
    assert_true(box[0] == 108 && box[1] == 108 && box[2] == 810 && box[3] == 540);
}

/* ---- metrics ------------------------------------------------------------------------------------------------ */

static void ap_example(void **state)
{
    /* spec 8.6: tp = 1 1 0 1 0, five targets */
    const double r[] = { .2, .4, .4, .6, .6 }, p[] = { 1, 1, 2. / 3, .75, .6 };
    double knots[16];
    size_t n;
    assert_true(fabs(compute_ap(r, p, 5, AP_SLANTED, knots, &n) - 0.668) < 5e-4);
    assert_int_equal(n, 7);
    assert_true(fabs(compute_ap(r, p, 5, AP_DROP, knots, &n) - 0.545) < 5e-4);
    assert_int_equal(n, 8);
}

static void near(const char *what, double got, double want)
{
    if (!(fabs(got - want) <= 1e-8 * (1 + fabs(want)))) fail_msg("%s: %.12g, wanted %.12g", what, got, want);
}

typedef struct SceneImage {
    Placement l;
    Detection det[64];
    Target target[16];
    size_t n_det, n_target;
} SceneImage;

static void read_image(FILE *f, SceneImage *s)
{
    s->l.net_w = s->l.net_h = 640;
    assert_int_equal(fscanf(f, "%d %d %lf %lf %lf %zu %zu", &s->l.w0, &s->l.h0, &s->l.gain, &s->l.pad_x, &s->l.pad_y,
                            &s->n_det, &s->n_target),
                     7);
    assert_true(s->n_det <= 64 && s->n_target <= 16);
    for (size_t i = 0; i < s->n_det; i++) {
        Detection *d = &s->det[i];
        assert_int_equal(fscanf(f, "%f %f %f %f %f %d", &d->x1, &d->y1, &d->x2, &d->y2, &d->conf, &d->cls), 6);
    }
    for (size_t i = 0; i < s->n_target; i++) {
        Target *t = &s->target[i];
        assert_int_equal(fscanf(f, "%f %f %f %f %d", &t->x, &t->y, &t->w, &t->h, &t->cls), 5);
    }
}

static double number(FILE *f)
{
    double x;
    assert_int_equal(fscanf(f, "%lf", &x), 1);
    return x;
}

static void check_rows(FILE *f, const EvalResult *r)
{
    static const int at[] = { 0, 137, 400, 620, 999 };
    for (size_t i = 0; i < r->n_rows; i++) {
        const ClassResult *c = &r->row[i];
        const double *curve[] = { c->p_curve, c->r_curve, c->f1_curve, c->pr_curve };
        near("class", c->cls, number(f));
        near("images", (double)c->images, number(f));
        near("instances", (double)c->instances, number(f));
        for (int k = 0; k < N_IOU; k++)
            near("AP", c->ap[k], number(f));
        for (int k = 0; k < 4; k++)
            for (int j = 0; j < 5; j++)
                near("curve", curve[k][at[j]], number(f));
        near("maps", r->maps[c->cls], c->map);
    }
    for (int32_t i = 0; i < (r->nc + 1) * (r->nc + 1); i++)
        near("confusion", (double)r->confusion[i], number(f));
}

static void metrics_are_the_specs(void **state)
{
    Error err;
    int n_images, nc;
    FILE *f = fopen("tests/data/eval_scene.txt", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d %d", &n_images, &nc), 2);
    SceneImage *image = calloc((size_t)n_images, sizeof *image);
    for (int i = 0; i < n_images; i++)
        read_image(f, &image[i]);
    for (int i = 0; i < 4; i++) {
        Arena *a = arena_new();
        Metrics *m;
        EvalResult r;
        int rule = (int)number(f), space = (int)number(f);
        MetricsOpt opt = {
            .nc = nc, .conf = 0.001, .confusion = true, .ap_rule = (ApRule)rule, .space = (MatchSpace)space
        };
        assert_ok(metrics_new(&m, &opt, &err));
        for (int j = 0; j < n_images; j++)
            assert_ok(
                metrics_add(m, &image[j].l, image[j].det, image[j].n_det, image[j].target, image[j].n_target, &err));
        assert_ok(metrics_result(m, a, &r, &err));
        near("rows", (double)r.n_rows, number(f));
        near("best", r.best_conf * 999, number(f));
        near("P", r.p, number(f));
        near("R", r.r, number(f));
        near("mAP50", r.map50, number(f));
        near("mAP75", r.map75, number(f));
        near("mAP", r.map, number(f));
        assert_int_equal(r.images, n_images);
        check_rows(f, &r);
        near("maps of a class without labels", r.maps[nc - 1], r.map);
        metrics_free(&m);
        arena_free(&a);
    }
    free(image);
    fclose(f);
}

static void metrics_degenerate(void **state)
{
    Error err;
    Arena *a = arena_new();
    Metrics *m;
    EvalResult r;
    Placement l = { 1, 0, 0, 100, 100, 100, 100 };
    MetricsOpt opt = { .nc = 2, .conf = 0.001, .confusion = true };
    Target t = { .5f, .5f, .2f, .2f, 1 };
    Detection d = { 40, 40, 60, 60, .9f, 1 };
    assert_ok(metrics_new(&m, &opt, &err));
    assert_ok(metrics_result(m, a, &r, &err)); /* nothing at all */
    assert_true(r.n_rows == 0 && r.map == 0 && r.p == 0 && r.images == 0);
    assert_ok(metrics_add(m, &l, NULL, 0, &t, 1, &err)); /* labels, no prediction */
    assert_ok(metrics_result(m, a, &r, &err));
    assert_true(r.n_rows == 1 && r.row[0].cls == 1 && r.map == 0 && r.confusion[2 * 3 + 1] == 1);
    metrics_reset(m);
    assert_ok(metrics_add(m, &l, &d, 1, &t, 1, &err)); /* perfect */
    assert_ok(metrics_result(m, a, &r, &err));
    assert_true(fabs(r.map - 0.995) < 1e-9 && r.p == 1 && r.r == 1 && r.confusion[1 * 3 + 1] == 1);
    assert_true(fabs(eval_fitness(&r, FITNESS_CLASSIC) - 0.995) < 1e-9);
    char *table = eval_table(&r, (const char *[]) { "cat", "dog" }, true, a);
    assert_string_equal(table,
                        "                 Class     Images  Instances      Box(P          R      mAP50  mAP50-95)\n"
                        "                   all          1          1          1          1      0.995      0.995\n"
                        "                   dog          1          1          1          1      0.995      0.995");
    d.cls = 2;
    assert_fails(metrics_add(m, &l, &d, 1, &t, 1, &err), DYN_FORMAT, "class 2");
    metrics_free(&m);
    arena_free(&a);
}

static void metrics_out_of_memory(void **state)
{
    Error err;
    Placement l = { 1, 0, 0, 100, 100, 100, 100 };
    Target t = { .5f, .5f, .2f, .2f, 1 };
    Detection d = { 40, 40, 60, 60, .9f, 1 };
    Status s = DYN_NOMEM;
    for (long n = 1; s != DYN_OK && n < 100; n++) {
        Metrics *m = NULL;
        EvalResult r;
        Arena *a = arena_new();
        mem_fail_after(n);
        s = metrics_new(&m, &(MetricsOpt) { .nc = 2, .confusion = true }, &err);
        if (s == DYN_OK) s = metrics_add(m, &l, &d, 1, &t, 1, &err);
        if (s == DYN_OK) s = metrics_result(m, a, &r, &err);
        mem_fail_after(0);
        if (s != DYN_OK) assert_int_equal(s, DYN_NOMEM);
        metrics_free(&m);
        arena_free(&a);
    }
    assert_int_equal(s, DYN_OK);
}

/* ---- files -------------------------------------------------------------------------------------------------- */

static void coco_json(void **state)
{
    Error err;
    CocoWriter w;
    Arena *a = arena_new();
    char path[] = "/tmp/dynyolo-eval-XXXXXX", *text;
    size_t n;
    close(mkstemp(path));
    Detection d[2] = { { 1.5f, 2.25f, 11.75f, 22.0625f, .123456f, 0 }, { -3, 0, 4, 5, 1, 79 } };
    assert_ok(coco_begin(&w, path, CATEGORY_COCO, &err));
    assert_ok(coco_add(&w, "x/000000000042.jpg", d, 2, &err));
    assert_ok(coco_add(&w, "x/none.jpg", d, 0, &err));
    assert_ok(coco_add(&w, "x/a\"b\xff.c.png", d, 1, &err));
    assert_ok(coco_end(&w, true, &err));
    assert_ok(file_read(a, path, 10000, &text, &n, &err));
    assert_string_equal(
        text, "[\n{\"image_id\": 42, \"file_name\": \"000000000042.jpg\", \"category_id\": 1, "
              "\"bbox\": [1.500, 2.250, 10.250, 19.812], \"score\": 0.12346},\n"
              "{\"image_id\": 42, \"file_name\": \"000000000042.jpg\", \"category_id\": 90, "
              "\"bbox\": [-3.000, 0.000, 7.000, 5.000], \"score\": 1.00000},\n"
              "{\"image_id\": \"a\\\"b\\ufffd.c\", \"file_name\": \"a\\\"b\\ufffd.c.png\", \"category_id\": 1, "
              "\"bbox\": [1.500, 2.250, 10.250, 19.812], \"score\": 0.12346}\n]\n");
    assert_ok(coco_begin(&w, path, CATEGORY_COCO, &err));
    d[0].cls = 80;
    assert_fails(coco_add(&w, "x.jpg", d, 1, &err), DYN_USAGE, "class 80");
    assert_int_not_equal(coco_end(&w, false, &err), DYN_OK);
    unlink(path);
    assert_int_equal(coco_category(CATEGORY_NEXT, 4), 5);
    assert_int_equal(coco_category(CATEGORY_INDEX, 4), 4);
    char row[100];
    label_row(row, sizeof row, &(Detection) { 10, 20, 30, 60, .5f, 3 }, 100, 200, true);
    assert_string_equal(row, "3 0.2 0.2 0.2 0.2 0.5");
    arena_free(&a);
}

static void json_lines(void **state)
{
    char *text;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    const char *names[] = { "tra\"m" };
    Detection d[] = { { 1, 2.5f, 3.0625f, 4, .123456f, 0 }, { -1, 0, 1e6f, 1, 1, 7 } };
    detections_json(f, "a\tb/c.jpg", 640, 480, d, 2, names, 1, (double[]) { 1.25, 20, .5 });
    detections_json(f, "x", 1, 2, NULL, 0, names, 1, NULL);
    fclose(f);
    assert_string_equal(
        text, "{\"path\": \"a\\u0009b/c.jpg\", \"shape\": [480, 640], \"detections\": ["
              "{\"class\": 0, \"name\": \"tra\\\"m\", \"conf\": 0.12346, \"box\": [1.000, 2.500, 3.062, 4.000]}, "
              "{\"class\": 7, \"name\": null, \"conf\": 1.00000, \"box\": [-1.000, 0.000, 1000000.000, 1.000]}], "
              "\"speed_ms\": {\"preprocess\": 1.250, \"inference\": 20.000, \"postprocess\": 0.500}}\n"
              "{\"path\": \"x\", \"shape\": [2, 1], \"detections\": []}\n");
    free(text);
}

/* Spec, ledger 0.3: 8.4.37, 8.3.168, 8.3.198. */
static void test_rules_go_by_name(void **state)
{
    Error err;
    MetricRules r;
    assert_ok(metric_rules(NULL, &r, &err));
    assert_true(r.ap == AP_SLANTED && r.space == MATCH_ORIGINAL && r.fitness == FITNESS_CLASSIC);
    assert_ok(metric_rules("classic", &r, &err));
    assert_true(r.ap == AP_SLANTED && r.space == MATCH_ORIGINAL && r.fitness == FITNESS_CLASSIC);
    assert_ok(metric_rules("current", &r, &err));
    assert_true(r.ap == AP_DROP && r.space == MATCH_LETTERBOX && r.fitness == FITNESS_MAP);
    assert_fails(metric_rules("Current", &r, &err), DYN_USAGE, "metrics=Current: wants classic or current");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_go_by_name),
        cmocka_unit_test(nms_is_torchvisions),
        cmocka_unit_test(nms_is_its_definition),
        cmocka_unit_test(nms_edges),
        cmocka_unit_test(boxes),
        cmocka_unit_test(ap_example),
        cmocka_unit_test(metrics_are_the_specs),
        cmocka_unit_test(metrics_degenerate),
        cmocka_unit_test(coco_json),
        cmocka_unit_test(metrics_out_of_memory),
        cmocka_unit_test(json_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
