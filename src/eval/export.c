/* SPDX-License-Identifier: Apache-2.0
 *
 * export - predictions for other programs: COCO's predictions.json (spec 8.8), JSON lines, label rows (9.5).
 *
 * A locale with a decimal comma must not break the files: JSON numbers are printed from integers, label rows mended. */
#include "eval/eval.h"

#include <math.h>
#include <string.h>

static const uint8_t coco_ids[80] = {
    1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 27, 28, 31,
    32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59,
    60, 61, 62, 63, 64, 65, 67, 70, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 84, 85, 86, 87, 88, 89, 90,
};

int32_t coco_category(CategoryMap map, int32_t cls)
{
    if (cls < 0 || cls == INT32_MAX) return -1;
    if (map == CATEGORY_COCO) return cls < (int32_t)sizeof coco_ids ? coco_ids[cls] : -1;
    return map == CATEGORY_NEXT ? cls + 1 : cls;
}

/* v to the given number of decimals, half to even; exact for float32 values of sane size. */
static void put_fixed(FILE *f, double v, int decimals)
{
    double scale = decimals == 3 ? 1e3 : 1e5;
    long long n = isfinite(v) && fabs(v) < 1e12 ? (long long)nearbyint(v * scale) : 0;
    if (n < 0) fputc('-', f), n = -n;
    fprintf(f, "%lld.%0*lld", n / (long long)scale, decimals, n % (long long)scale);
}

static void put_string(FILE *f, const char *s, size_t n)
{
    fputc('"', f);
    for (size_t i = 0; i < n;) {
        const unsigned char *c = (const unsigned char *)s + i;
        int len = str_utf8_length(s + i);
        if (len == 0)
            fputs("\\ufffd", f), len = 1;
        else if (*c == '"' || *c == '\\')
            fprintf(f, "\\%c", *c);
        else if (*c < 0x20)
            fprintf(f, "\\u%04x", *c);
        else
            fwrite(c, 1, (size_t)len, f);
        i += (size_t)len;
    }
    fputc('"', f);
}

static void put_box(FILE *f, const float b[4])
{
    for (int d = 0; d < 4; d++) {
        fputs(d ? ", " : "[", f);
        put_fixed(f, b[d], 3);
    }
    fputc(']', f);
}

static void put_image_id(FILE *f, const char *name, size_t stem)
{
    size_t digits = strspn(name, "0123456789"), zeros = strspn(name, "0");
    if (stem == 0 || digits < stem) {
        put_string(f, name, stem);
        return;
    }
    zeros = MIN(zeros, stem - 1); /* JSON knows no leading zeros */
    fwrite(name + zeros, 1, stem - zeros, f);
}

Status coco_begin(CocoWriter *w, const char *path, CategoryMap map, Error *err)
{
    w->map = map, w->any = false;
    TRY(file_begin(&w->file, path, err));
    fputc('[', w->file.f);
    return DYN_OK;
}

Status coco_add(CocoWriter *w, const char *image_path, const Detection *det, size_t n, Error *err)
{
    const char *name = path_name(image_path), *dot = strrchr(name, '.');
    size_t stem = dot && dot != name ? (size_t)(dot - name) : strlen(name);
    FILE *f = w->file.f;
    for (size_t i = 0; i < n; i++) {
        int32_t category = coco_category(w->map, det[i].cls);
        if (category < 0) return fail(err, DYN_USAGE, "class %d is not one of COCO's 80", det[i].cls);
        /* By way of the centre, as the reference: the last bit of x and y depends on it. */
        float xyxy[4] = { det[i].x1, det[i].y1, det[i].x2, det[i].y2 }, b[4];
        box_xyxy_to_xywh(xyxy, b);
        b[0] -= b[2] / 2, b[1] -= b[3] / 2;
        fputs(w->any ? ",\n{\"image_id\": " : "\n{\"image_id\": ", f);
        put_image_id(f, name, stem);
        fputs(", \"file_name\": ", f);
        put_string(f, name, strlen(name));
        fprintf(f, ", \"category_id\": %d, \"bbox\": ", category);
        put_box(f, b);
        fputs(", \"score\": ", f);
        put_fixed(f, det[i].conf, 5);
        fputc('}', f);
        w->any = true;
    }
    return DYN_OK;
}

Status coco_end(CocoWriter *w, bool ok, Error *err)
{
    if (ok) fputs("\n]\n", w->file.f);
    return file_end(&w->file, ok, err);
}

void detections_json(FILE *f, const char *path, int32_t w0, int32_t h0, const Detection *det, size_t n,
                     const char *const *names, int32_t n_names, const double speed_ms[3])
{
    static const char *const stage[] = { "preprocess", "inference", "postprocess" };
    fputs("{\"path\": ", f);
    put_string(f, path, strlen(path));
    fprintf(f, ", \"shape\": [%d, %d], \"detections\": [", h0, w0);
    for (size_t i = 0; i < n; i++) {
        const float box[4] = { det[i].x1, det[i].y1, det[i].x2, det[i].y2 };
        const char *name = det[i].cls >= 0 && det[i].cls < n_names ? names[det[i].cls] : NULL;
        fprintf(f, "%s{\"class\": %d, \"name\": ", i ? ", " : "", det[i].cls);
        if (name)
            put_string(f, name, strlen(name));
        else
            fputs("null", f);
        fputs(", \"conf\": ", f);
        put_fixed(f, det[i].conf, 5);
        fputs(", \"box\": ", f);
        put_box(f, box);
        fputc('}', f);
    }
    fputc(']', f);
    for (int i = 0; i < 3 && speed_ms; i++) {
        fprintf(f, "%s\"%s\": ", i ? ", " : ", \"speed_ms\": {", stage[i]);
        put_fixed(f, speed_ms[i], 3);
    }
    fputs(speed_ms ? "}}\n" : "}\n", f);
}

int label_row(char *buf, size_t size, const Detection *det, int32_t w0, int32_t h0, bool with_conf)
{
    float xyxy[4] = { det->x1, det->y1, det->x2, det->y2 }, b[4];
    box_xyxy_to_xywh(xyxy, b);
    b[0] /= (float)w0, b[1] /= (float)h0, b[2] /= (float)w0, b[3] /= (float)h0;
    int n = snprintf(buf, size, "%d %g %g %g %g", det->cls, b[0], b[1], b[2], b[3]);
    if (with_conf) {
        size_t used = MIN((size_t)n, size);
        n += snprintf(buf + used, size - used, " %g", det->conf);
    }
    if (size) str_point(buf);
    return n;
}

Status label_rows_append(const char *path, const Detection *det, size_t n, int32_t w0, int32_t h0, bool with_conf,
                         Error *err)
{
    char line[128];
    Arena *a = arena_new();
    Text text = { .a = a };
    if (!a) return fail_nomem(err, 1);
    for (size_t i = 0; i < n; i++) {
        label_row(line, sizeof line, &det[i], w0, h0, with_conf);
        text_add(&text, "%s\n", line);
    }
    char *rows = text_done(&text);
    Status s = rows ? file_append(path, rows, false, err) : fail_nomem(err, n * sizeof line);
    arena_free(&a);
    return s;
}
