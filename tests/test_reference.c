/* SPDX-License-Identifier: Apache-2.0
 *
 * What the reference package measures and finds with its released weights on coco128: P, R, mAP50, mAP50-95 of `val`
 * (shared/reference.md), and the boxes of `predict` on a dozen pictures (tools/golden_predict.py). Through the public
 * header alone. The runs that take long are done with DYN_SLOW=1. */
#include "test.h"

#include <dynyolo.h>
#include <math.h>
#include <unistd.h>

static DynContext *ctx;
static DynError err;
static char dir[] = "/tmp/dynyolo-reference-XXXXXX", data_yaml[64];

/* A data set file of our own: the shared folder may lie anywhere and is not written to. */
static int setup(void **state)
{
    const char *coco = shared_dir("data/coco128");
    char full[4096];
    if (!mkdtemp(dir) || dyn_open(NULL, &ctx, &err) != DYN_OK) return -1;
    if (!coco) return 0;
    if (!realpath(coco, full)) return -1;
    snprintf(data_yaml, sizeof data_yaml, "%s/coco128.yaml", dir);
    FILE *f = fopen(data_yaml, "w");
    if (!f) return -1;
    fprintf(f, "path: %s\ntrain: images/train2017\nval: images/train2017\nnc: 80\n", full);
    return fclose(f);
}

static int teardown(void **state)
{
    char command[64];
    dyn_close(&ctx);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

typedef struct Figures {
    double p, r, map50, map;
} Figures;

static const Figures n_rect = { 0.69803, 0.53518, 0.61887, 0.46574 }, n_square = { 0.64644, 0.56785, 0.62007, 0.46823 },
                     s_rect = { 0.80956, 0.67400, 0.77203, 0.61056 }, s_square = { 0.75893, 0.71677, 0.78788, 0.61510 };

static DynMetrics measure(const char *weights, bool rect, const char *precision)
{
    DynOptions o;
    DynMetrics m;
    dyn_options_defaults(&o, DYN_VAL);
    o.model = weights;
    o.data = data_yaml;
    o.rect = rect;
    o.precision = precision;
    o.project = dir;
    o.plots = false;
    assert_ok(dyn_validate(ctx, &o, NULL, NULL, &m, &err));
    printf("# %s %s %s: P %.5f R %.5f mAP50 %.5f mAP50-95 %.5f\n", weights, rect ? "rect" : "square", precision,
           m.precision, m.recall, m.map50, m.map50_95);
    assert_int_equal(m.images, 128);
    assert_int_equal(m.instances, 929);
    return m;
}

static void compare(char size, bool rect, bool slow, const Figures *want)
{
    char path[64];
    snprintf(path, sizeof path, "data/weights/yolov8%c.pt", size);
    const char *weights = shared_dir(path);
    if (!weights || !data_yaml[0]) skip_without(path);
    if (slow && !getenv("DYN_SLOW")) {
        printf("skip: yolov8%c %s takes long; DYN_SLOW=1 runs it\n", size, rect ? "rect" : "square");
        skip();
    }
    DynMetrics m = measure(weights, rect, "f32");
    assert_true(fabs(m.precision - want->p) < 1e-3);
    assert_true(fabs(m.recall - want->r) < 1e-3);
    assert_true(fabs(m.map50 - want->map50) < 1e-3);
    assert_true(fabs(m.map50_95 - want->map) < 1e-3);
    if (!getenv("DYN_SLOW")) return;
    m = measure(weights, rect, "bf16");
    assert_true(m.map50_95 > want->map - 3e-3);
}

/* Recall ends below 1, so the area under curves that drop there is smaller (spec 8.6); fitness is one of two formulas
 * (7.10). */
static void metrics_of_another_version(void **state)
{
    DynMetrics m[2];
    DynOptions o;
    const char *weights = shared_dir("data/weights/yolov8n.pt");
    if (!weights || !data_yaml[0]) skip_without("data/weights/yolov8n.pt");
    dyn_options_defaults(&o, DYN_VAL);
    o.model = weights, o.data = data_yaml, o.project = dir, o.precision = "f32", o.plots = false;
    o.imgsz[0] = o.imgsz[1] = 160;
    for (int k = 0; k < 2; k++) {
        o.metrics = k ? "current" : "classic";
        assert_ok(dyn_validate(ctx, &o, NULL, NULL, &m[k], &err));
        printf("# metrics=%s: mAP50 %.5f mAP50-95 %.5f\n", o.metrics, m[k].map50, m[k].map50_95);
    }
    assert_true(m[1].map50_95 > 0.05 && m[1].map50_95 < m[0].map50_95 - 1e-3);
    assert_true(fabs(m[0].fitness - (0.1 * m[0].map50 + 0.9 * m[0].map50_95)) < 1e-12);
    assert_true(m[1].fitness == m[1].map50_95);
    o.metrics = "old";
    assert_int_equal(dyn_validate(ctx, &o, NULL, NULL, &m[0], &err), DYN_USAGE);
    assert_non_null(strstr(err.text, "metrics=old: wants classic or current"));
}

static void yolov8n_rect(void **state)
{
    compare('n', true, false, &n_rect);
}
static void yolov8n_square(void **state)
{
    compare('n', false, false, &n_square);
}
static void yolov8s_rect(void **state)
{
    compare('s', true, true, &s_rect);
}
static void yolov8s_square(void **state)
{
    compare('s', false, true, &s_square);
}

/* ---- boxes ------------------------------------------------------------------------------------------------------ */

typedef struct Seen {
    FILE *golden;
    int pictures, boxes;
    double worst_conf, worst_px;
} Seen;

static void on_picture(void *user, const DynEvent *e)
{
    Seen *s = user;
    char line[256], name[64];
    int h, w, n;
    if (e->kind != DYN_EVENT_RESULT) return;
    const char *file = strrchr(e->path, '/') + 1;
    assert_non_null(fgets(line, sizeof line, s->golden));
    assert_int_equal(sscanf(line, "picture %63s %d %d %d", name, &h, &w, &n), 4);
    assert_memory_equal(file, name, strlen(name));
    assert_true(e->height == h && e->width == w);
    if (e->n_detections != (size_t)n) fail_msg("%s: %zu boxes, wanted %d", name, e->n_detections, n);
    for (int i = 0; i < n; i++) {
        DynDetection want;
        const DynDetection *got = &e->detections[i];
        assert_non_null(fgets(line, sizeof line, s->golden));
        sscanf(line, "%d %f %f %f %f %f", &want.cls, &want.conf, &want.x1, &want.y1, &want.x2, &want.y2);
        assert_int_equal(got->cls, want.cls);
        s->worst_conf = fmax(s->worst_conf, fabs((double)got->conf - (double)want.conf));
        s->worst_px =
            fmax(s->worst_px, fmax(fabs((double)got->x1 - (double)want.x1), fabs((double)got->y1 - (double)want.y1)));
        s->worst_px =
            fmax(s->worst_px, fmax(fabs((double)got->x2 - (double)want.x2), fabs((double)got->y2 - (double)want.y2)));
        s->boxes++;
    }
    s->pictures++;
}

/* The list is in the golden file's own order, which begins with two pictures that are not files. */
static void boxes_of_predict(void **state)
{
    char list[128], line[256], name[64], full[4096], weights[1024];
    DynOptions o;
    Seen seen = { .golden = fopen("tests/data/predict.txt", "r") };
    const char *found = shared_dir("data/weights/yolov8n.pt");
    if (!found) skip_without("data/weights/yolov8n.pt");
    snprintf(weights, sizeof weights, "%s", found);
    if (!(found = shared_dir("data/coco128/images/train2017")) || !realpath(found, full)) skip_without("data/coco128");
    assert_non_null(seen.golden);
    snprintf(list, sizeof list, "%s/list.txt", dir);
    FILE *f = fopen(list, "w");
    long begin = 0, at = 0;
    for (; fgets(line, sizeof line, seen.golden); at = ftell(seen.golden)) {
        if (sscanf(line, "picture %63s", name) != 1 || strncmp(name, "forward", 7) == 0) continue;
        begin = begin ? begin : at;
        fprintf(f, "%s/%s.jpg\n", full, name);
    }
    fclose(f);
    fseek(seen.golden, begin, SEEK_SET);
    dyn_options_defaults(&o, DYN_PREDICT);
    o.model = weights, o.source = list, o.save = false, o.precision = "f32";
    assert_ok(dyn_predict(ctx, &o, on_picture, &seen, &err));
    printf("# %d boxes of %d pictures: conf within %.1e, corners within %.4f px\n", seen.boxes, seen.pictures,
           seen.worst_conf, seen.worst_px);
    assert_int_equal(seen.pictures, 12);
    assert_true(seen.boxes > 40 && seen.worst_conf < 5e-5 && seen.worst_px < 0.02);
    fclose(seen.golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_of_another_version),
        cmocka_unit_test(boxes_of_predict),
        cmocka_unit_test(yolov8n_rect),
        cmocka_unit_test(yolov8n_square),
        cmocka_unit_test(yolov8s_rect),
        cmocka_unit_test(yolov8s_square),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
