/* SPDX-License-Identifier: Apache-2.0
 *
 * Options: one row each, or one for each meaning or default that a key has in some modes. Parsing, ranges, help,
 * args.yaml and the documentation all read this table. Keys, defaults and meaning follow spec 12.2. */
#include "api/options.h"

#include <math.h>
#include <string.h>
#include <strings.h>

/* T is whatever makes a training what it is, so all trainings of a comparison share it; T1 is for one training. */
enum {
    T1 = 1 << DYN_TRAIN,
    M = 1 << DYN_COMPARE,
    T = T1 | M,
    V = 1 << DYN_VAL,
    P = 1 << DYN_PREDICT,
    I = 1 << DYN_INFO,
    C = 1 << DYN_CONVERT,
    S = 1 << DYN_SYNTH,
    B = 1 << DYN_BENCHMARK,
    K = 1 << DYN_CHECK
};
#define NO_EFFECT ((size_t)-1)
#define AT(field) offsetof(DynOptions, field)
#define TEXT_ROW(key, field, def, modes, help)                                                                         \
    {                                                                                                                  \
        key, DYN_TEXT, AT(field), def, 0, 0, modes, help                                                               \
    }
#define BOOL_ROW(key, def, modes, help)                                                                                \
    {                                                                                                                  \
#key, DYN_BOOL, AT(key), def, 0, 1, modes, help                                                                \
    }
#define INT_ROW(key, def, min, max, modes, help)                                                                       \
    {                                                                                                                  \
#key, DYN_INT, AT(key), def, min, max, modes, help                                                             \
    }
#define FLOAT_ROW(key, def, min, max, modes, help)                                                                     \
    {                                                                                                                  \
#key, DYN_FLOAT, AT(key), def, min, max, modes, help                                                           \
    }
#define FRACTION_ROW(key, def, modes, help)                                                                            \
    {                                                                                                                  \
#key, DYN_FRACTION, AT(key), def, 0, 1, modes, help                                                            \
    }
#define IGNORED_ROW(key, modes, help)                                                                                  \
    {                                                                                                                  \
#key, DYN_TEXT, NO_EFFECT, NULL, 0, 0, modes, help                                                             \
    }

static const DynOptionRow rows[] = {
    TEXT_ROW("model", model, NULL, T1 | V | P | I | B,
             "model file: .yaml, .pt or .safetensors; stock names need no file"),
    TEXT_ROW("models", models, NULL, M, "model files to compare, the baseline first: a.yaml,b.yaml"),
    TEXT_ROW("data", data, NULL, T | V | K, "data set YAML, or a folder that holds one"),
    TEXT_ROW("source", source, NULL, P, "picture, folder, glob or .txt list"),
    TEXT_ROW("in", in, NULL, C, "file to convert"),
    TEXT_ROW("out", out, NULL, C, "file to write"),
    TEXT_ROW("out", out, NULL, S, "folder to write"),
    TEXT_ROW("project", project, NULL, T | V | P, "folder for runs (default runs/detect)"),
    TEXT_ROW("name", name, NULL, T | V | P, "name of the run (default: the mode, numbered)"),
    BOOL_ROW(exist_ok, "False", T1 | V | P, "write into an existing run folder"),
    BOOL_ROW(exist_ok, "False", M, "go on with the comparison in an existing folder"),
    TEXT_ROW("device", device, "cpu", T | V | P | I | B, "cpu, or ref (plain C, slow)"),
    INT_ROW(threads, "0", 0, 1024, T | V | P | B, "compute threads, 0: all cores"),
    INT_ROW(workers, "2", 0, 64, T | V | P | K, "threads that read pictures"),
    TEXT_ROW("precision", precision, "auto", T | V | P | I | B, "auto, f32 or bf16"),
    BOOL_ROW(half, "False", V | P | B, "16-bit inference: precision=bf16"),
    BOOL_ROW(amp, "True", T, "False: precision=f32"),
    { "imgsz", DYN_SIZE, AT(imgsz), "640", 32, 16384, T | V | I, "network input size, a multiple of the stride" },
    { "imgsz", DYN_SIZE, AT(imgsz), "640", 32, 16384, P | B,
      "network input size, a multiple of the stride; or [height, width]" },
    { "imgsz", DYN_SIZE, AT(imgsz), "224", 64, 2048, S, "long side of a picture, pixels" },
    INT_ROW(batch, "16", 1, 4096, T | V, "pictures per batch"),
    INT_ROW(batch, "1", 1, 4096, P | B, "pictures per batch"),
    INT_ROW(seed, "0", 0, 9007199254740992.0, T1 | I | S, "random seed"),
    TEXT_ROW("seeds", seeds, "0", M, "random seeds; each model is trained with each: 0,1"),
    BOOL_ROW(verbose, "True", T | V, "a row for each class in the table of the results"),
    BOOL_ROW(verbose, "True", P, "a line for each picture"),
    BOOL_ROW(verbose, "True", I, "a row for each layer"),
    BOOL_ROW(save, "True", T1, "write a checkpoint after each epoch, not only after the last"),
    BOOL_ROW(save, "True", P, "write the pictures with their boxes"),
    BOOL_ROW(plots, "True", T | V, "write curves and pictures"),
    TEXT_ROW("scale_letter", scale_letter, NULL, T | I, "n, s, m, l or x when the file name has none (also scale=s)"),
    INT_ROW(nc, "0", 0, 100000, I | B, "class count in place of the model file's"),
    INT_ROW(epochs, "100", 1, 1000000, T, "epochs"),
    FLOAT_ROW(time, "0", 0, 1e6, T, "hours to train, in place of epochs; 0: not limited"),
    INT_ROW(patience, "100", 0, 1000000, T, "epochs without a better result before stopping, 0: never"),
    INT_ROW(save_period, "-1", -1, 1000000, T, "also keep a checkpoint every so many epochs; below 1: none"),
    TEXT_ROW("cache", cache, "False", T | V, "True or ram: keep resized pictures in memory"),
    TEXT_ROW("pretrained", pretrained, "True", T, "True, False, or a weights file"),
    FRACTION_ROW(min_transfer, "0.0", T, "least part of the model's items that weights must give, else an error"),
    TEXT_ROW("optimizer", optimizer, "auto", T, "auto, SGD, Adam, AdamW, Adamax, NAdam, RAdam or RMSProp"),
    BOOL_ROW(single_cls, "False", T | V, "all classes as one"),
    BOOL_ROW(rect, "False", T, "batches of similar aspect ratio, least padding"),
    BOOL_ROW(rect, "True", V | P, "batches of similar aspect ratio, least padding"),
    BOOL_ROW(cos_lr, "False", T, "cosine learning rate"),
    INT_ROW(close_mosaic, "10", 0, 1000000, T, "last epochs without mosaic"),
    TEXT_ROW("resume", resume, "False", T1, "True with model=RUN/weights/last.safetensors: go on"),
    TEXT_ROW("resume", resume, "False", M, "True: go on with the last comparison; or the folder of one"),
    FRACTION_ROW(fraction, "1.0", T, "part of the training set to use"),
    TEXT_ROW("parity", parity, NULL, T,
             "published: temperatures of dynamic modules are never stepped, as in the recipes"),
    TEXT_ROW("structure", structure, NULL, T | I,
             "what a description builds: classic, or current: as from 8.4.0 on (SPPF begins without activation)"),
    TEXT_ROW("freeze", freeze, NULL, T, "number of first rows, or a list of rows, that are not trained"),
    FRACTION_ROW(multi_scale, "0.0", T, "vary the size of batches by this fraction"),
    BOOL_ROW(val, "True", T, "validate after each epoch"),
    FLOAT_ROW(lr0, "0.01", 0, 1, T, "initial learning rate"),
    FLOAT_ROW(lrf, "0.01", 0, 1, T, "final learning rate as a fraction of lr0"),
    FLOAT_ROW(momentum, "0.937", 0, 1, T, "SGD momentum, Adam beta1"),
    FLOAT_ROW(weight_decay, "0.0005", 0, 1, T, "weight decay"),
    FLOAT_ROW(warmup_epochs, "3.0", 0, 1e6, T, "warm-up epochs"),
    FLOAT_ROW(warmup_momentum, "0.8", 0, 1, T, "momentum at the start of warm-up"),
    FLOAT_ROW(warmup_bias_lr, "0.1", 0, 1, T, "bias learning rate at the start of warm-up"),
    FLOAT_ROW(box, "7.5", 0, 1e6, T, "gain of the box loss"),
    FLOAT_ROW(cls, "0.5", 0, 1e6, T, "gain of the class loss"),
    FLOAT_ROW(dfl, "1.5", 0, 1e6, T, "gain of the distribution focal loss"),
    FRACTION_ROW(cls_pw, "0.0", T,
                 "rare classes weigh more in the class loss: (1 / objects)^cls_pw, mean 1; 0: all alike"),
    INT_ROW(nbs, "64", 1, 1000000, T, "nominal batch: gradients accumulate up to it"),
    FRACTION_ROW(hsv_h, "0.015", T, "hue jitter"),
    FRACTION_ROW(hsv_s, "0.7", T, "saturation jitter"),
    FRACTION_ROW(hsv_v, "0.4", T, "value jitter"),
    FLOAT_ROW(degrees, "0.0", 0, 180, T, "rotation, degrees either way"),
    FRACTION_ROW(translate, "0.1", T, "shift, fraction of the size either way"),
    FRACTION_ROW(scale, "0.5", T, "zoom, 1 - s to 1 + s"),
    FLOAT_ROW(shear, "0.0", 0, 89, T, "shear, degrees either way"),
    FLOAT_ROW(perspective, "0.0", 0, 0.001, T, "perspective"),
    FRACTION_ROW(flipud, "0.0", T, "probability of an upside-down flip"),
    FRACTION_ROW(fliplr, "0.5", T, "probability of a left-right flip"),
    FRACTION_ROW(bgr, "0.0", T, "probability of swapped red and blue"),
    FRACTION_ROW(mosaic, "1.0", T, "probability of a mosaic of four"),
    FRACTION_ROW(mixup, "0.0", T, "probability of mixup"),
    FRACTION_ROW(cutmix, "0.0", T, "probability of cutmix"),
    TEXT_ROW("split", split, "val", V, "val, test or train"),
    TEXT_ROW("split", split, NULL, K, "only train, val or test (default: all that the data set has)"),
    BOOL_ROW(strict, "False", T | V, "a bad picture or label file is an error, in place of being left out"),
    BOOL_ROW(strict, "False", K, "warnings make it fail, too"),
    BOOL_ROW(save_json, "False", V, "predictions.json in COCO's form"),
    INT_ROW(category_base, "1", 0, 1, V, "category id of class 0 in predictions.json; COCO has its own ids"),
    TEXT_ROW(
        "metrics", metrics, "classic", T | V,
        "classic, or current: mAP, matching and fitness as from 8.4.37 on (mAP is lower where recall ends below 1)"),
    FRACTION_ROW(conf, NULL, V | T, "score threshold of validations (default 0.001)"),
    FRACTION_ROW(conf, NULL, P, "score threshold (default 0.25)"),
    FRACTION_ROW(iou, "0.7", V | P | T, "NMS IoU"),
    INT_ROW(max_det, "300", 1, 100000, V | P | T, "boxes per picture at most"),
    TEXT_ROW("classes", classes, NULL, T | V | P, "only these class ids: 0 or [0, 2]"),
    BOOL_ROW(agnostic_nms, "False", V | P, "suppress across classes"),
    BOOL_ROW(augment, "False", P | V, "test-time augmentation"),
    BOOL_ROW(save_txt, "False", V | P, "labels/NAME.txt, class xc yc w h"),
    BOOL_ROW(save_conf, "False", V | P, "with the score as sixth value"),
    BOOL_ROW(save_crop, "False", P, "cut out every box"),
    BOOL_ROW(show_labels, "True", P, "write class names on boxes"),
    BOOL_ROW(show_conf, "True", P, "write scores on boxes"),
    BOOL_ROW(show_boxes, "True", P, "draw boxes"),
    INT_ROW(line_width, "0", 0, 1000, P, "line width of boxes, 0: by picture size"),
    TEXT_ROW("format", format, NULL, P, "json: one line of JSON per picture on standard output"),
    TEXT_ROW("format", format, NULL, B, "json: one JSON object on standard output"),
    TEXT_ROW("format", format, NULL, K, "json: one line of JSON per problem, split and class on standard output"),
    INT_ROW(n, "400", 2, 1000000, S, "pictures to draw (a fifth of them for validation)"),
    { "classes", DYN_INT, AT(n_classes), "6", 1, 8, S, "shape classes" },
    INT_ROW(iters, "20", 1, 1000000, B | M, "timed runs"),
    { "train", DYN_BOOL, AT(train_step), "False", 0, 1, B, "time a training step in place of inference" },
    TEXT_ROW("cfg", cfg, NULL, T | V | P, "YAML of options in place of the ones before it"),
    IGNORED_ROW(task, T | V | P | I | B, "detect is the only task"),
    IGNORED_ROW(mode, T | V | P | I | B, "the mode is the command's first word"),
    IGNORED_ROW(deterministic, T, "training here is always deterministic"),
    IGNORED_ROW(compile, T | V | P, "programs are always compiled"),
    IGNORED_ROW(profile, T, "see dynyolo benchmark"),
    IGNORED_ROW(dnn, V | P, "there is one engine"),
    IGNORED_ROW(save_hybrid, V, "removed upstream"),
    IGNORED_ROW(label_smoothing, T, "had no effect on detection upstream"),
    IGNORED_ROW(crop_fraction, T, "classification only"),
    IGNORED_ROW(overlap_mask, T, "segmentation only"),
    IGNORED_ROW(mask_ratio, T, "segmentation only"),
    IGNORED_ROW(dropout, T, "classification only"),
    IGNORED_ROW(retina_masks, P, "segmentation only"),
    IGNORED_ROW(pose, T, "pose only"),
    IGNORED_ROW(kobj, T, "pose only"),
    IGNORED_ROW(auto_augment, T, "classification only"),
    IGNORED_ROW(erasing, T, "classification only"),
    IGNORED_ROW(end2end, V | P, "no effect on YOLOv8"),
    IGNORED_ROW(copy_paste, T, "segmentation only"),
    IGNORED_ROW(copy_paste_mode, T, "segmentation only"),
    IGNORED_ROW(rle, T, "pose only"),
    IGNORED_ROW(angle, T, "oriented boxes only"),
    IGNORED_ROW(tracker, P, "tracking only"),
    IGNORED_ROW(fl_gamma, T, "had no effect on detection upstream"),
    IGNORED_ROW(augmentations, T, "of the Python interface"),
    IGNORED_ROW(visualize, V | P, "feature maps are not drawn"),
    IGNORED_ROW(embed, P, "embeddings are not returned"),
    IGNORED_ROW(keras, T | V | P, "export only"),
    IGNORED_ROW(optimize, T | V | P, "export only"),
    IGNORED_ROW(int8, T | V | P, "export only"),
    IGNORED_ROW(dynamic, T | V | P, "export only"),
    IGNORED_ROW(simplify, T | V | P, "export only"),
    IGNORED_ROW(opset, T | V | P, "export only"),
    IGNORED_ROW(workspace, T | V | P, "export only"),
    IGNORED_ROW(nms, T | V | P, "export only"),
    IGNORED_ROW(save_dir, T | V | P, "project and name say where results go"),
    IGNORED_ROW(vid_stride, P, "videos are not read"),
    IGNORED_ROW(stream_buffer, P, "streams are not read"),
    IGNORED_ROW(save_frames, V | P, "videos are not read"),
    IGNORED_ROW(show, P, "no window is opened"),
};

const DynOptionRow *dyn_option_rows(size_t *n)
{
    *n = COUNT_OF(rows);
    return rows;
}

static const char *const mode_names[] = { "train", "val",       "predict", "info", "convert",
                                          "synth", "benchmark", "compare", "check" };

const char *dyn_mode_name(DynMode mode)
{
    return (size_t)mode < COUNT_OF(mode_names) ? mode_names[mode] : "";
}

int dyn_mode_from_name(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(mode_names); i++)
        if (str_eq(name, mode_names[i])) return (int)i;
    return -1;
}

/* Keys that were renamed upstream, and one of ours: `scale=s` is the letter, `scale=0.5` the augmentation. */
typedef struct Renamed {
    const char *old, *now;
    bool negated;
} Renamed;
static const Renamed renamed[] = { { "boxes", "show_boxes", false },
                                   { "hide_labels", "show_labels", true },
                                   { "hide_conf", "show_conf", true },
                                   { "line_thickness", "line_width", false } };

static const DynOptionRow *find(const char *key, DynMode mode, bool *elsewhere)
{
    *elsewhere = false;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (!str_eq(rows[i].key, key)) continue;
        if (rows[i].modes >> mode & 1) return &rows[i];
        *elsewhere = true;
    }
    return NULL;
}

static bool parse_bool(const char *s, bool *v)
{
    bool yes = strcasecmp(s, "true") == 0 || str_eq(s, "1"), no = strcasecmp(s, "false") == 0 || str_eq(s, "0");
    *v = yes;
    return yes || no;
}

/* "640" or "[480, 640]" or "480,640" */
static bool parse_size(const char *s, int64_t v[2])
{
    char text[64], *comma;
    size_t n = strlen(s);
    if (n >= sizeof text) return false;
    memcpy(text, s, n + 1);
    char *p = text;
    if (n > 1 && p[0] == '[' && p[n - 1] == ']') p[n - 1] = 0, p++;
    if ((comma = strchr(p, ','))) {
        *comma++ = 0;
        comma += strspn(comma, " ");
    }
    if (!str_to_int(p, &v[0])) return false;
    v[1] = v[0];
    return !comma || str_to_int(comma, &v[1]);
}

static Status bad_value(const DynOptionRow *r, const char *value, Error *err)
{
    static const char *const wanted[] = { "True or False", "an integer", "a number",
                                          "a number",      "text",       "an integer or [height, width]" };
    if (r->type == DYN_TEXT || r->type == DYN_BOOL)
        return fail(err, DYN_USAGE, "%s=%s: wants %s", r->key, value, wanted[r->type]);
    return fail(err, DYN_USAGE, "%s=%s: wants %s from %.10g to %.10g", r->key, value, wanted[r->type], r->min, r->max);
}

static Status assign(DynOptions *o, const DynOptionRow *r, const char *value, Error *err)
{
    char *at = (char *)o + r->offset;
    double x;
    int64_t i, size[2];
    bool b;
    switch (r->type) {
    case DYN_BOOL:
        if (!parse_bool(value, &b)) return bad_value(r, value, err);
        memcpy(at, &b, sizeof b);
        break;
    case DYN_INT:
        if (!str_to_int(value, &i) || (double)i < r->min || (double)i > r->max) return bad_value(r, value, err);
        memcpy(at, &i, sizeof i);
        break;
    case DYN_FLOAT:
    case DYN_FRACTION:
        if (!str_to_double(value, &x) || !(x >= r->min && x <= r->max)) return bad_value(r, value, err);
        memcpy(at, &x, sizeof x);
        break;
    case DYN_TEXT: memcpy(at, &value, sizeof value); break;
    case DYN_SIZE:
        if (!parse_size(value, size)) return bad_value(r, value, err);
        for (int k = 0; k < 2; k++)
            if ((double)size[k] < r->min || (double)size[k] > r->max) return bad_value(r, value, err);
        memcpy(at, size, sizeof size);
        break;
    }
    return DYN_OK;
}

void dyn_options_defaults(DynOptions *o, DynMode mode)
{
    Error err;
    memset(o, 0, sizeof *o);
    o->conf = NAN;                    /* not given: each mode has its own */
    for (int own = 0; own < 2; own++) /* the mode's own rows last */
        for (const DynOptionRow *r = rows; r < rows + COUNT_OF(rows); r++) {
            if ((r->modes >> mode & 1) != (unsigned)own || r->offset == NO_EFFECT) continue;
            if (r->def)
                assign(o, r, r->def, &err);
            else if (r->type == DYN_TEXT)
                memset((char *)o + r->offset, 0, options_size(r));
        }
}

bool options_known(const char *key, DynMode mode, bool *here)
{
    bool elsewhere;
    for (size_t i = 0; i < COUNT_OF(renamed); i++)
        if (str_eq(key, renamed[i].old)) key = renamed[i].now;
    *here = find(key, mode, &elsewhere) != NULL;
    return *here || elsewhere;
}

static Status unknown(const char *key, DynMode mode, bool elsewhere, Error *err)
{
    const char *names[COUNT_OF(rows)];
    size_t n = 0;
    Arena *a;
    if (elsewhere)
        return fail(err, DYN_USAGE, "'%s' is not an option of %s; see: dynyolo help %s", key, dyn_mode_name(mode),
                    dyn_mode_name(mode));
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].modes >> mode & 1) names[n++] = rows[i].key;
    if (!(a = arena_new())) return fail_nomem(err, 1);
    const char *near = str_nearest(a, key, names, n);
    if (*near)
        fail(err, DYN_USAGE, "unknown option '%s': did you mean %s?", key, near);
    else
        fail(err, DYN_USAGE, "unknown option '%s'; see: dynyolo help %s", key, dyn_mode_name(mode));
    arena_free(&a);
    return DYN_USAGE;
}

bool option_true(const char *s)
{
    return s && (str_eq(s, "True") || str_eq(s, "true"));
}

bool option_false(const char *s)
{
    return !s || str_eq(s, "False") || str_eq(s, "false");
}

static bool is_none(const char *s)
{
    return strcasecmp(s, "none") == 0 || str_eq(s, "null") || !*s;
}

/* Values that upstream knows and that mean another one here; NULL: not one of these. */
static const char *other_value(const DynOptionRow *r, const char *value, const char **note)
{
    double x;
    bool b;
    if (r->offset == AT(batch) && str_to_double(value, &x) && (x == -1 || (x > 0 && x < 1))) {
        *note = "AutoBatch measures the memory of a GPU; the default is taken";
        return "None";
    }
    if (r->offset == AT(multi_scale) && !str_to_double(value, &x) && parse_bool(value, &b)) {
        *note = "as a switch it was 0.5 or nothing";
        return b ? "0.5" : "0";
    }
    if (r->offset == AT(cache) && strcasecmp(value, "disk") == 0) {
        *note = "pictures are not kept on disk; cache=ram keeps them in memory";
        return "False";
    }
    return NULL;
}

static Status check_value(const DynOptionRow *r, const DynOptions *o, const char *value, Error *err)
{
    if (r->offset == AT(fraction) && o->fraction == 0)
        return fail(err, DYN_USAGE, "fraction=%s leaves no picture to train on", value);
    if (r->offset == AT(cache) && !option_true(value) && !option_false(value) && !str_eq(value, "ram"))
        return fail(err, DYN_USAGE, "cache=%s: wants True, ram or False", value);
    return DYN_OK;
}

DynStatus dyn_option_set(DynOptions *o, DynMode mode, const char *key, const char *value, const char **note,
                         DynError *err)
{
    bool elsewhere, b;
    const char *unused, *other;
    if (!note) note = &unused;
    *note = NULL;
    for (size_t i = 0; i < COUNT_OF(renamed); i++) {
        if (!str_eq(key, renamed[i].old)) continue;
        key = renamed[i].now;
        if (renamed[i].negated && parse_bool(value, &b)) value = b ? "False" : "True";
        *note = "this key has a new name upstream; it is understood";
    }
    if (str_eq(key, "scale") && strlen(value) == 1 && strchr("nsmlx", *value)) key = "scale_letter";
    const DynOptionRow *r = find(key, mode, &elsewhere);
    if (!r) return unknown(key, mode, elsewhere, err);
    if (r->offset == NO_EFFECT) {
        *note = r->help;
        return DYN_OK;
    }
    size_t at = (size_t)(r - rows);
    o->given[at / 64] |= (uint64_t)1 << at % 64;
    if ((other = other_value(r, value, note))) value = other;
    if (is_none(value)) { /* back to "not given" */
        DynOptions fresh;
        dyn_options_defaults(&fresh, mode);
        memcpy((char *)o + r->offset, (char *)&fresh + r->offset, options_size(r));
        return DYN_OK;
    }
    TRY(assign(o, r, value, err));
    return check_value(r, o, value, err);
}

_Static_assert(COUNT_OF(rows) <= 256, "DynOptions.given has a bit for each row");

Status options_check(const DynOptions *o, DynMode mode, Error *err)
{
    if (!o) return fail(err, DYN_USAGE, "options are NULL: dyn_options_defaults fills them");
    for (const DynOptionRow *r = rows; r < rows + COUNT_OF(rows); r++) {
        if (!(r->modes >> mode & 1) || r->offset == NO_EFFECT || r->type == DYN_BOOL || r->type == DYN_TEXT) continue;
        int64_t i[2];
        double x;
        memcpy(i, (const char *)o + r->offset, r->type == DYN_SIZE ? sizeof i : sizeof *i);
        memcpy(&x, (const char *)o + r->offset, sizeof x);
        bool number = r->type == DYN_FLOAT || r->type == DYN_FRACTION;
        for (int k = 0; k < (r->type == DYN_SIZE ? 2 : 1); k++) {
            double v = number ? x : (double)i[k];
            if ((number && !r->def && isnan(v)) || (v >= r->min && v <= r->max)) continue;
            return fail(err, DYN_USAGE, "%s is %.10g: must lie in %.10g to %.10g", r->key, v, r->min, r->max);
        }
    }
    bool square = mode == DYN_TRAIN || mode == DYN_VAL || mode == DYN_INFO || mode == DYN_SYNTH || mode == DYN_COMPARE;
    if (square && o->imgsz[0] != o->imgsz[1])
        return fail(err, DYN_USAGE, "imgsz=[%lld, %lld]: %s wants one size; height and width are for predict",
                    (long long)o->imgsz[0], (long long)o->imgsz[1], dyn_mode_name(mode));
    return DYN_OK;
}

size_t options_size(const DynOptionRow *r)
{
    return r->type == DYN_BOOL ? sizeof(bool) : r->type == DYN_SIZE ? 2 * sizeof(int64_t) : sizeof(int64_t);
}

bool options_given(const DynOptions *o, const DynOptionRow *r)
{
    size_t at = (size_t)(r - rows);
    return o->given[at / 64] >> at % 64 & 1;
}

char *options_text(const DynOptions *o, const DynOptionRow *r, Arena *a)
{
    const char *at = (const char *)o + r->offset, *s;
    int64_t i[2];
    double x;
    switch (r->type) {
    case DYN_BOOL: return arena_strdup(a, *(const bool *)at ? "true" : "false");
    case DYN_INT: memcpy(i, at, sizeof *i); return arena_printf(a, "%lld", (long long)i[0]);
    case DYN_FLOAT:
    case DYN_FRACTION:
        memcpy(&x, at, sizeof x);
        return isnan(x) ? arena_strdup(a, "null") : str_point(arena_printf(a, "%.10g", x));
    case DYN_TEXT: memcpy(&s, at, sizeof s); return arena_strdup(a, s ? s : "null");
    case DYN_SIZE:
        memcpy(i, at, sizeof i);
        return i[0] == i[1] ? arena_printf(a, "%lld", (long long)i[0])
                            : arena_printf(a, "[%lld, %lld]", (long long)i[0], (long long)i[1]);
    }
    return NULL;
}
