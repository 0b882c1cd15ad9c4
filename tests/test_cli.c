/* SPDX-License-Identifier: Apache-2.0
 *
 * The command as a user has it: what it understands (spec 12.1), what it writes (spec 9), what it says and the status
 * it ends with. Runs $B/dynyolo in a folder of its own. */
#include "command.h"
#include "formats/blob.h"

#include <jansson.h>
#include <math.h>
#include <signal.h>

static char weights[4096], pictures[4096], odd[4096];

static void needs_weights(void)
{
    if (!weights[0]) skip_without("data/weights and data/coco128");
}

static void find_shared(const char *below, char *full)
{
    const char *path = shared_dir(below);
    if (!path || !realpath(path, full)) full[0] = 0;
}

static int setup(void **state)
{
    find_shared("data/weights/yolov8n.pt", weights); /* while relative paths still lead there */
    find_shared("data/coco128/images/train2017", pictures);
    find_shared("data/images-odd", odd);
    if (!pictures[0] || !odd[0]) weights[0] = 0;
    return command_setup(state);
}

/* ---- grammar ---------------------------------------------------------------------------------------------------- */

static void help_and_version(void **state)
{
    static const char *const mode[] = { "train", "val",       "predict", "info", "convert",
                                        "synth", "benchmark", "compare", "check" };
    assert_runs("help");
    for (size_t i = 0; i < COUNT_OF(mode); i++) {
        assert_runs("help");
        assert_says(out, mode[i]);
        assert_runs("help %s", mode[i]);
        assert_says(out, "options (key=value)");
        assert_says(out, mode[i]);
        assert_string_equal(errs, "");
    }
    assert_runs("predict --help");
    assert_says(out, "max_det");
    assert_runs("detect help train");
    assert_says(out, "warmup_bias_lr");
    assert_runs("-h");
    assert_runs("--version");
    assert_string_equal(out, dyn_version() ? arena_printf(arena, "%s\n", dyn_version()) : "");
    assert_runs("version");
    assert_runs("help synth"); /* the mode's own defaults and words; nothing is listed that is not there */
    assert_says(out, "  imgsz           size   224       long side of a picture, pixels\n");
    assert_null(strstr(out, "without effect"));
    assert_runs("help val");
    assert_says(out, "  rect            bool   True      ");
    assert_refuses(2, "no such mode", "help tarin");
    assert_runs(" ");
    assert_says(out, "usage:");
}

static void words_are_joined_and_forgiven(void **state)
{
    assert_runs("info model=yolov8n.yaml verbose=False imgsz=64");
    assert_string_equal(errs, "");
    assert_runs("detect info model = yolov8n.yaml verbose= False imgsz =64");
    assert_string_equal(errs, "");
    assert_runs("model=yolov8n.yaml info imgsz=64");
    assert_runs("mode=info model=yolov8n.yaml imgsz=64");
    assert_runs("info --model=yolov8n.yaml, imgsz=64");
    assert_int_equal(count(errs, "WARNING: "), 2);
    assert_runs("info model=none.yaml model=yolov8n.yaml imgsz=64"); /* later wins */
    assert_runs("info model=yolov8.yaml scale=s imgsz=64 verbose=FALSE");
    assert_says(out, "11,166,560 parameters"); /* spec 2.7 */
    assert_refuses(2, "which model", "predict model= source=x.jpg");
    assert_refuses(2, "'conf' needs a value", "predict conf");
    assert_refuses(2, "'model' needs a value", "predict model source=x.jpg");
    assert_refuses(2, "did you mean 'iou'", "predict ioo=0.4");
    assert_refuses(2, "from 0 to 1", "predict conf=1.5");
    assert_refuses(2, "not an option of predict", "predict epochs=3");
    assert_int_equal(run("model=yolov8n.yaml"), 2); /* train, told so */
    assert_says(errs, "WARNING: no mode is given: train");
    assert_says(errs, "data=");
    assert_int_equal(run("predcit model=yolov8n.yaml"), 2);
    assert_says(errs, "'predcit' is no mode");
}

static void options_from_a_file_replace_those_before(void **state)
{
    const char *text = "model: yolov8n.yaml\nsource: nowhere.jpg\nepochs: 7\n";
    assert_ok(file_write("cfg.yaml", text, strlen(text), &err));
    assert_refuses(2, "'nowhere.jpg' does not exist", "predict source=a.jpg cfg=cfg.yaml");
    assert_refuses(2, "'a.jpg' does not exist", "predict cfg=cfg.yaml source=a.jpg");
    assert_refuses(1, "none.yaml", "predict cfg=none.yaml");
    assert_ok(file_write("cfg.yaml", "modle: x\n", 9, &err));
    assert_refuses(2, "cfg.yaml:1", "predict cfg=cfg.yaml");
}

static void wrong_files_are_told_in_a_line(void **state)
{
    assert_ok(file_write("text.txt", "\n", 1, &err));
    assert_ok(file_write("text.jpg", "no picture", 10, &err));
    assert_ok(file_write("text.pt", "no weights", 10, &err));
    assert_refuses(1, "text.pt", "info model=text.pt");
    assert_refuses(1, "none.pt", "info model=none.pt");
    assert_refuses(1, "onnx", "info model=none.onnx");
    assert_refuses(2, "names no picture", "predict model=yolov8n.yaml source=text.txt");
    assert_refuses(2, "matches no file", "predict model=yolov8n.yaml source='*.png'");
    assert_refuses(2, "none of them a picture", "predict model=yolov8n.yaml source='*.txt'");
    assert_refuses(2, "knows json", "predict model=yolov8n.yaml source=text.jpg format=xml");
    assert_refuses(1, "cannot make folder", "predict model=yolov8n.yaml source=text.jpg project=/proc/none");
    assert_int_equal(run("predict model=yolov8n.yaml source=text.jpg imgsz=64"), 1);
    assert_says(errs, "WARNING: skipped: 'text.jpg'");
    assert_says(errs, "dynyolo: none of the 1 pictures");
    assert_refuses(2, "one size", "val model=yolov8n.yaml data=x.yaml imgsz=[64,96]");
    assert_refuses(1, "none.yaml", "val model=yolov8n.yaml data=none.yaml");
    assert_refuses(2, "in=FILE", "convert in=yolov8n.yaml");
    assert_refuses(2, "classes=dog", "predict model=yolov8n.yaml source=text.jpg classes=dog save=False");
}

/* ---- predict ------------------------------------------------------------------------------------------------------
 */

static json_t *line_of_json(const char *text)
{
    json_error_t why;
    json_t *j = json_loads(text, JSON_DISABLE_EOF_CHECK, &why);
    if (!j) fail_msg("%s: %s", why.text, text);
    return j;
}

/* What predict finds in picture 000000000009 with more options. The caller frees. */
static json_t *found(const char *options)
{
    assert_runs("predict model=%s source=%s/000000000009.jpg format=json save=False precision=f32 %s", weights,
                pictures, options);
    assert_int_equal(count(out, "\n"), 1);
    return line_of_json(out);
}

static json_t *detections(const json_t *j)
{
    json_t *d = json_object_get(j, "detections");
    assert_true(json_is_array(d));
    return d;
}

static size_t n_found(const char *options)
{
    json_t *j = found(options);
    size_t n = json_array_size(detections(j));
    json_decref(j);
    return n;
}

/* tests/data/predict.txt has the same picture from the reference package: 6 boxes, 45 45 45 49 50 among the classes. */
static void options_change_what_is_found(void **state)
{
    needs_weights();
    json_t *j = found(""), *d = detections(j), *first = json_array_get(d, 0);
    assert_int_equal(json_array_size(d), 6);
    assert_string_equal(json_string_value(json_object_get(first, "name")), "bowl");
    double conf = json_number_value(json_object_get(first, "conf"));
    assert_true(conf > 0.9469 && conf < 0.9471);
    json_decref(j);
    assert_int_equal(n_found("max_det=2"), 2);
    assert_int_equal(n_found("classes=50"), 1);
    assert_true(n_found("classes=[45, 50]") < 6 && n_found("classes=[45,50]") >= 4);
    assert_int_equal(n_found("classes=0"), 0);
    assert_true(n_found("conf=0.001") > 20);
    assert_int_equal(n_found("conf=0.99"), 0);
    assert_true(n_found("conf=0.01 agnostic_nms=True") < n_found("conf=0.01"));
    j = found("augment=True");
    double other = json_number_value(json_object_get(json_array_get(detections(j), 0), "conf"));
    assert_true(other != conf && json_array_size(detections(j)) > 2);
    json_decref(j);
    assert_runs("predict model=%s source=%s/000000000009.jpg save=False imgsz=[320, 256]", weights, pictures);
    assert_says(out, ": 192x256 ");
    assert_runs("predict model=%s source=%s/000000000009.jpg save=False imgsz=[320, 256] rect=False", weights,
                pictures);
    assert_says(out, ": 320x256 ");
    assert_int_equal(run("predict model=%s source=%s/000000000009.jpg save=False imgsz=100", weights, pictures), 0);
    assert_says(errs, "128");
}

static void predict_writes_its_files(void **state)
{
    needs_weights();
    assert_runs("predict model=%s source=%s/000000000009.jpg save_txt save_conf save_crop project=p precision=f32",
                weights, pictures);
    assert_says(out, "480x640 ");
    assert_says(out, "Results saved to p/predict");
    assert_true(file_exists("p/predict/000000000009.jpg"));
    assert_int_equal(lines_in("p/predict/labels/000000000009.txt"), 6);
    char text[TEXT_MAX / 4];
    FILE *f = fopen("p/predict/labels/000000000009.txt", "r");
    double v[6];
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    assert_int_equal(sscanf(text, "%lf %lf %lf %lf %lf %lf", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5]), 6);
    /* 306.917 0.055 628.855 237.748 in 640 x 480 */
    assert_true(v[0] == 45 && fabs(v[1] - 0.731072) < 1e-4 && fabs(v[2] - 0.247711) < 1e-4 &&
                fabs(v[3] - 0.503028) < 1e-4 && fabs(v[4] - 0.495194) < 1e-4 && fabs(v[5] - 0.946993) < 1e-4);
    assert_true(file_exists("p/predict/crops/bowl/000000000009.jpg"));
    assert_true(file_exists("p/predict/crops/bowl/0000000000092.jpg"));
    assert_runs("predict model=%s source=%s/000000000009.jpg save_txt=True save=False project=p", weights, pictures);
    assert_int_equal(lines_in("p/predict2/labels/000000000009.txt"), 6); /* the next free number */
    assert_false(file_exists("p/predict2/000000000009.jpg"));
    assert_runs("predict model=%s source=%s/000000000009.jpg project=p name=x line_width=9 show_conf=False", weights,
                pictures);
    assert_runs("predict model=%s source=%s/000000000009.jpg project=p name=y", weights, pictures);
    assert_int_not_equal(system("cmp -s p/x/000000000009.jpg p/y/000000000009.jpg"), 0);
    assert_runs("predict model=%s source=%s/000000000009.jpg project=p name=y exist_ok", weights, pictures);
    assert_false(dir_exists("p/y2"));
}

static void sources_of_every_kind(void **state)
{
    needs_weights();
    assert_int_equal(system(arena_printf(arena,
                                         "mkdir -p s/deep && cp %s/00000000000*.jpg %s/00000000002*.jpg s && "
                                         "cp %s/000000000030.jpg s/deep && echo text >s/readme.md",
                                         pictures, pictures, pictures)),
                     0);
    assert_runs("predict model=%s source=s imgsz=64 save=False", weights);
    assert_int_equal(count(out, ".jpg: "), 2); /* not the folder below, not the text */
    assert_says(out, "image 2/2 ");
    assert_runs("predict model=%s source='s/*9.jpg' imgsz=64 save=False", weights);
    assert_int_equal(count(out, ".jpg: "), 1);
    const char *list = "000000000009.jpg\n\n  s/000000000025.jpg\r\nnone.jpg\n";
    assert_ok(file_write("s/list.txt", list, strlen(list), &err));
    assert_runs("predict model=%s source=s/list.txt imgsz=64 save=False batch=4", weights);
    assert_int_equal(count(out, ".jpg: "), 2);
    assert_int_equal(count(errs, "WARNING: skipped: "), 1);
    assert_says(errs, "none.jpg");
    assert_runs("predict model=%s source=s imgsz=64 save=False workers=0 batch=2 format=json", weights);
    assert_int_equal(count(out, "\n"), 2);
}

/* The batch that ran, which may be smaller than the one that was asked for; of several the largest. */
static void predict_says_the_shape_that_ran(void **state)
{
    static const struct {
        const char *what, *shape;
    } want[] = { { "source=five/images/val/000000.jpg batch=8", "(1, 3, 64, 64)" },
                 { "source=five/images/train batch=8", "(4, 3, 64, 64)" },
                 { "source=five/images/train batch=3", "(3, 3, 64, 64)" },
                 { "source=five/images/train batch=3 imgsz=[32,96] rect=False", "(3, 3, 32, 96)" },
                 { "source=five/images/train", "(1, 3, 64, 64)" } };
    assert_runs("synth out=five n=5 imgsz=64 classes=2");
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        assert_runs("predict model=yolov8n.yaml imgsz=64 save=False %s", want[i].what);
        assert_says(out, arena_printf(arena, "per image at shape %s\n", want[i].shape));
    }
}

static void verbose_is_a_line_for_each_picture(void **state)
{
    assert_runs("predict model=yolov8n.yaml imgsz=64 save=False source=five/images/train");
    assert_int_equal(count(out, ".jpg: "), 4);
    assert_runs("predict model=yolov8n.yaml imgsz=64 save=False source=five/images/train verbose=False");
    assert_int_equal(count(out, "\n"), 1);
    assert_says(out, "Speed: ");
    assert_runs("predict model=yolov8n.yaml imgsz=64 save=False source=five/images/train verbose=False format=json");
    assert_int_equal(count(out, "{\"path\""), 4);
}

static void odd_pictures_are_read_or_refused(void **state)
{
    needs_weights();
    assert_runs("predict model=%s source=%s imgsz=64 format=json conf=0.1 save_crop project=odd", weights, odd);
    int good = 0;
    for (const char *line = out; *line; line = strchr(line, '\n') + 1, good++)
        json_decref(line_of_json(line));
    assert_int_equal(good, 76); /* 86, of which ten are broken beyond use */
    assert_int_equal(count(errs, "WARNING: skipped: "), 10);
    assert_int_equal(count(errs, "WARNING: skipped: '"), count(errs, "/bad-"));
}

/* ---- train, val, convert, info, benchmark
 * ----------------------------------------------------------------------------- */

static void benchmark_and_info_of_a_fresh_model(void **state)
{
    assert_runs("benchmark model=yolov8n.yaml imgsz=64 iters=1 format=json");
    json_t *j = line_of_json(out);
    assert_true(json_number_value(json_object_get(j, "ms_per_image")) > 0);
    json_decref(j);
    assert_runs("benchmark model=yolov8n.yaml imgsz=64 iters=1 precision=f32");
    assert_says(out, "conv2d");
    assert_runs("convert in=yolov8n.yaml out=n.safetensors");
    assert_runs("info model=n.safetensors imgsz=64");
    assert_says(out, "3,157,200 parameters");
}

/* Ledger of spec 0.3: what 8.4.0 builds has one layer more (2.9), and starts boxes at 2 (2.8). */
static void structure_is_that_of_a_version(void **state)
{
    assert_runs("info model=yolov8n.yaml imgsz=64 verbose=False");
    assert_says(out, "129 layers, 3,157,200 parameters");
    assert_runs("info model=yolov8n.yaml imgsz=64 verbose=False structure=current");
    assert_says(out, "130 layers, 3,157,200 parameters");
    assert_refuses(2, "structure=new: wants classic or current", "info model=yolov8n.yaml structure=new");
    assert_runs("synth out=made n=10 imgsz=64 classes=2");
    for (int current = 0; current < 2; current++) { /* untrained but for steps too small to see */
        assert_runs("train model=yolov8n.yaml data=made imgsz=64 epochs=1 batch=8 optimizer=SGD lr0=1e-9 plots=False "
                    "warmup_bias_lr=0 project=st exist_ok name=s%d structure=%s",
                    current, current ? "current" : "classic");
        Arena *a = arena_new();
        BlobFile f;
        assert_ok(safetensors_read(a, arena_printf(a, "st/s%d/weights/best.safetensors", current), &f, &err));
        int seen = 0;
        for (size_t i = 0; i < f.n; i++)
            if (str_eq(f.blob[i].name, "model.22.cv2.0.2.bias")) {
                assert_true(fabs(((const float *)f.blob[i].data)[5] - (current ? 2 : 1)) < 1e-4);
                seen++;
            }
        assert_int_equal(seen, 1);
        arena_free(&a);
    }
    assert_runs("val model=st/s0/weights/best.safetensors data=made imgsz=64 project=st name=v plots=False save_json "
                "category_base=0");
    json_error_t why;
    json_t *j = json_load_file("st/v/predictions.json", 0, &why);
    assert_true(json_is_array(j) && json_array_size(j) > 0);
    int64_t least = 9, most = 0;
    for (size_t i = 0; i < json_array_size(j); i++) {
        int64_t id = json_integer_value(json_object_get(json_array_get(j, i), "category_id"));
        least = MIN(least, id), most = MAX(most, id);
    }
    assert_true(least == 0 && most <= 1);
    json_decref(j);
}

/* Interrupted in its second epoch, the run ends with 130 and a checkpoint; resumed, it has every epoch once. */
static void an_interrupted_training_goes_on(void **state)
{
    assert_runs("synth out=shapes n=16 imgsz=64 classes=2");
    assert_runs("val model=yolov8n.yaml data=shapes imgsz=64 project=t plots=False name=v");
    static const char *const words[] = {
        "model=yolov8n.yaml", "data=shapes", "imgsz=64",    "epochs=40",       "batch=4",
        "project=t",          "name=a",      "plots=False", "warmup_epochs=0", NULL
    };
    pid_t pid = start("train", words);
    int epochs = 0;
    for (int i = 0; i < 12000 && (epochs = lines_in("t/a/results.csv")) < 2; i++)
        usleep(50000);
    assert_in_range(epochs, 2, 30);
    kill(pid, SIGINT);
    assert_int_equal(ended(pid), 130);
    assert_true(file_exists("t/a/weights/last.safetensors"));
    epochs = lines_in("t/a/results.csv") - 1;
    assert_runs("train model=t/a/weights/last.safetensors resume=True time=0.0005");
    assert_true(file_exists("t/a/weights/best.safetensors"));
    char text[4096];
    int row = 0, epoch;
    FILE *f = fopen("t/a/results.csv", "r");
    assert_non_null(fgets(text, sizeof text, f)); /* the header */
    while (fgets(text, sizeof text, f)) {
        assert_int_equal(sscanf(text, "%d,", &epoch), 1);
        assert_int_equal(epoch, ++row);
    }
    fclose(f);
    assert_true(row > epochs);
    assert_runs("info model=t/a/weights/best.safetensors imgsz=64 verbose=False");
    assert_runs("val model=t/a/weights/best.safetensors data=shapes/data.yaml imgsz=64 project=t name=v2 save_json");
    assert_says(out, "mAP50-95");
    assert_true(file_exists("t/v2/predictions.json"));
    assert_refuses(2, "cannot be resumed", "train model=yolov8n.yaml data=shapes resume=True");
}

/* ---- the same bits --------------------------------------------------------------------------------------------------
 */

static void assert_same_weights(const char *a, const char *b)
{
    BlobFile f, g;
    assert_ok(safetensors_read(arena, a, &f, &err));
    assert_ok(safetensors_read(arena, b, &g, &err));
    assert_true(f.n == g.n && f.n > 100);
    for (size_t i = 0; i < f.n; i++) {
        assert_string_equal(f.blob[i].name, g.blob[i].name);
        assert_int_equal(f.blob[i].bytes, g.blob[i].bytes);
        if (memcmp(f.blob[i].data, g.blob[i].data, f.blob[i].bytes) != 0) fail_msg("%s: %s differs", b, f.blob[i].name);
    }
}

/* Pictures made by the caller, by one thread, by four, or kept in memory: the weights and the rows of a training are
 * the same bits, with one compute thread and with two. */
static void loader_threads_change_no_bit(void **state)
{
    static const char *const how[][3] = { { "workers=1", "workers=4", "workers=0 cache=ram" },
                                          { "workers=1", "workers=4", "workers=1" } }; /* the last: the same again */
    static const char rows_of[] = "cut -d, -f1,3- b/t%dw%d/results.csv >%s";           /* all but the time */
    assert_runs("synth out=bits n=20 imgsz=64 classes=3 seed=3");
    for (int t = 0; t < 2; t++)
        for (int k = 0; k < 3; k++) {
            assert_runs(
                "train model=yolov8n.yaml data=bits imgsz=64 batch=8 epochs=2 close_mosaic=1 mixup=0.5 threads=%d "
                "plots=False project=b name=t%dw%d %s",
                t + 1, t, k, how[t][k]);
            assert_same_weights(arena_printf(arena, "b/t%dw0/weights/last.safetensors", t),
                                arena_printf(arena, "b/t%dw%d/weights/last.safetensors", t, k));
            assert_int_equal(system(arena_printf(arena, rows_of, t, 0, "rows0")), 0);
            assert_int_equal(system(arena_printf(arena, rows_of, t, k, "rows")), 0);
            assert_int_equal(system("cmp rows0 rows"), 0);
        }
}

/* ---- cls_pw -------------------------------------------------------------------------------------------------------
 */

static const char rare_train[] = "train model=yolov8n.yaml data=rare imgsz=32 batch=8 plots=False project=w threads=1";

/* (1 / objects)^0.5 to a mean of 1, from the label files; the line that training says it with. */
static const char *weights_line(void)
{
    enum { CLASSES = 3 };
    static const char *const name[CLASSES] = { "disc", "square", "triangle" };
    double raw[CLASSES], sum = 0;
    int n[CLASSES], most = 0, least = 0;
    for (int k = 0; k < CLASSES; k++) {
        assert_int_equal(system(arena_printf(arena, "cat rare/labels/train/*.txt | grep -c '^%d ' >n.txt", k)), 0);
        n[k] = atoi((slurp("n.txt", out), out));
        sum += raw[k] = pow(1 / (double)n[k], 0.5);
        if (n[k] > n[most]) most = k;
        if (n[k] < n[least]) least = k;
    }
    assert_true(n[most] > 2 * n[least]);
    return arena_printf(arena, "Class weights: %.3g (%s, %d objects) to %.3g (%s, %d)\n", raw[most] * CLASSES / sum,
                        name[most], n[most], raw[least] * CLASSES / sum, name[least], n[least]);
}

/* A run that is stopped and goes on has the bits of one that went through, whatever is asked for then. */
static void rare_classes_are_remembered(const char *line)
{
    static const char *const words[] = { "model=yolov8n.yaml", "data=rare", "imgsz=32",  "batch=8",
                                         "plots=False",        "project=w", "threads=1", "cls_pw=0.5",
                                         "epochs=12",          "name=part", NULL };
    pid_t pid = start("train", words);
    for (int i = 0; i < 60000 && lines_in("w/part/results.csv") < 2; i++)
        usleep(10000);
    kill(pid, SIGINT);
    assert_int_equal(ended(pid), 130);
    assert_runs("train model=w/part/weights/last.safetensors resume=True cls_pw=0.1");
    assert_says(errs, "cls_pw is kept as the run began with it (0.5)");
    assert_says(out, line);
    assert_runs("%s name=whole cls_pw=0.5 epochs=12", rare_train);
    assert_same_weights("w/whole/weights/last.safetensors", "w/part/weights/last.safetensors");
}

static void rare_classes_weigh_more(void **state)
{
    assert_runs("synth out=rare n=10 imgsz=64 classes=3");
    assert_int_equal(system("sed -i '/^1 /d' rare/labels/train/00000[0-5].txt"), 0); /* squares become rare */
    const char *line = weights_line();
    assert_runs("%s name=plain epochs=1", rare_train);
    assert_true(strstr(out, "Class weights") == NULL);
    assert_runs("%s name=zero epochs=1 cls_pw=0", rare_train);
    assert_same_weights("w/plain/weights/last.safetensors", "w/zero/weights/last.safetensors");
    assert_runs("%s name=one epochs=1 cls_pw=0.5", rare_train);
    assert_says(out, line);
    /* one batch: its box loss was computed before anything was learnt, its class loss with the weights */
    assert_int_equal(system("cut -d, -f3 w/plain/results.csv >a; cut -d, -f3 w/one/results.csv | cmp - a"), 0);
    assert_int_not_equal(system("cut -d, -f4 w/plain/results.csv >a; cut -d, -f4 w/one/results.csv | cmp -s - a"), 0);
    assert_int_equal(system("grep -q '^cls_pw: 0.5$' w/one/args.yaml"), 0);
    rare_classes_are_remembered(line);
    assert_refuses(2, "cls_pw=1.5: wants a number from 0 to 1", "%s cls_pw=1.5", rare_train);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_and_version),
        cmocka_unit_test(words_are_joined_and_forgiven),
        cmocka_unit_test(options_from_a_file_replace_those_before),
        cmocka_unit_test(wrong_files_are_told_in_a_line),
        cmocka_unit_test(options_change_what_is_found),
        cmocka_unit_test(predict_writes_its_files),
        cmocka_unit_test(sources_of_every_kind),
        cmocka_unit_test(predict_says_the_shape_that_ran),
        cmocka_unit_test(verbose_is_a_line_for_each_picture),
        cmocka_unit_test(odd_pictures_are_read_or_refused),
        cmocka_unit_test(benchmark_and_info_of_a_fresh_model),
        cmocka_unit_test(structure_is_that_of_a_version),
        cmocka_unit_test(an_interrupted_training_goes_on),
        cmocka_unit_test(loader_threads_change_no_bit),
        cmocka_unit_test(rare_classes_weigh_more),
    };
    return cmocka_run_group_tests(tests, setup, command_teardown);
}
