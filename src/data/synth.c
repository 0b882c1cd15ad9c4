/* SPDX-License-Identifier: Apache-2.0
 *
 * A drawn data set in files: pictures, labels, YAML. What a picture shows is in synth_draw.c. */
#include "data/synth.h"

#include "base/work.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 8, MAX_PICTURES = 1000000 };
static const char *const split_name[2] = { "train", "val" };

typedef struct Job {
    const char *dir;
    const SynthOptions *opt;
    int64_t n_train;
} Job;

typedef struct Slot {
    Status status;
    Error err;
} Slot;

static Status write_labels(const char *path, const SynthPicture *p, Error *err)
{
    char text[SYNTH_MAX_OBJECTS * 64];
    size_t n = 0;
    for (int i = 0; i < p->n_labels; i++) {
        const Label *l = &p->label[i];
        n += (size_t)snprintf(text + n, sizeof text - n, "%d %.6f %.6f %.6f %.6f\n", (int)l->cls, (double)l->cx,
                              (double)l->cy, (double)l->w, (double)l->h);
    }
    return file_write(path, str_point(text), n, err);
}

static Status write_picture(const Job *job, int64_t item, Error *err)
{
    uint64_t split = item >= job->n_train;
    int64_t index = split ? item - job->n_train : item;
    char picture[4096], labels[4096];
    SynthPicture p;
    snprintf(picture, sizeof picture, "%s/images/%s/%06lld.jpg", job->dir, split_name[split], (long long)index);
    snprintf(labels, sizeof labels, "%s/labels/%s/%06lld.txt", job->dir, split_name[split], (long long)index);
    TRY(synth_draw(job->opt, split, index, &p, err));
    Status s = image_write_jpeg(picture, &p.im, p.quality, false, err);
    image_free(&p.im);
    TRY(s);
    return write_labels(labels, &p, err);
}

static void make(void *user, int64_t item, void *slot, int worker)
{
    Slot *s = slot;
    s->status = write_picture(user, item, &s->err);
}

/* A folder with other pictures in it would silently become part of the data set. */
static Status check_stray(Arena *a, const char *folder, int64_t n, Error *err)
{
    char **path;
    size_t count;
    TRY(dir_list(a, folder, true, &path, &count, err));
    for (size_t i = 0; i < count; i++) {
        int64_t index;
        const char *stem = path_stem(a, path[i]);
        if (!stem) return fail_nomem(err, 0);
        while (stem[0] == '0' && stem[1])
            stem++;
        if (!str_to_int(stem, &index) || index < 0 || index >= n)
            return fail(err, DYN_IO,
                        "'%s' is not of the data set that would be drawn; empty '%s' or choose another "
                        "folder",
                        path[i], folder);
    }
    return DYN_OK;
}

static Status make_folders(Arena *a, const Job *job, Error *err)
{
    static const char *const kinds[2] = { "images", "labels" };
    for (int k = 0; k < 2; k++)
        for (int s = 0; s < 2; s++) {
            const char *folder = arena_printf(a, "%s/%s/%s", job->dir, kinds[k], split_name[s]);
            if (!folder) return fail_nomem(err, 0);
            TRY(dir_make(folder, err));
            TRY(check_stray(a, folder, s ? job->opt->n - job->n_train : job->n_train, err));
        }
    return DYN_OK;
}

static void yaml_path(const Job *job, char path[4096])
{
    snprintf(path, 4096, "%s/data.yaml", job->dir);
}

/* A folder that is not whole must not look so. */
static Status remove_yaml(const Job *job, Error *err)
{
    char path[4096];
    yaml_path(job, path);
    return unlink(path) == 0 || errno == ENOENT ? DYN_OK : fail_errno(err, "cannot remove '%s'", path);
}

static Status write_yaml(const Job *job, Error *err)
{
    char path[4096], text[1024];
    int n = snprintf(
        text, sizeof text,
        "# %d drawn pictures of %d classes, seed %llu; paths are from this file\ntrain: images/train\nval: images/val\n"
        "names:\n",
        job->opt->n, job->opt->classes, (unsigned long long)job->opt->seed);
    for (int i = 0; i < job->opt->classes; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "  %d: %s\n", i, shape_name(i));
    yaml_path(job, path);
    return file_write(path, text, (size_t)n, err);
}

static Status check(const char *dir, const SynthOptions *o, Error *err)
{
    if (o->n < 2 || o->n > MAX_PICTURES)
        return fail(err, DYN_USAGE, "n is %d; 2 to %d pictures can be drawn", o->n, MAX_PICTURES);
    if (o->classes < 1 || o->classes > SYNTH_MAX_CLASSES)
        return fail(err, DYN_USAGE, "classes is %d; 1 to %d can be drawn", o->classes, SYNTH_MAX_CLASSES);
    if (o->imgsz < 64 || o->imgsz > 2048) return fail(err, DYN_USAGE, "imgsz is %d; 64 to 2048 can be drawn", o->imgsz);
    if (!(o->val > 0 && o->val < 1))
        return fail(err, DYN_USAGE, "val is %g; it is the share of pictures for validation, between 0 and 1", o->val);
    if (strlen(dir) > 3000) return fail(err, DYN_USAGE, "the folder's path is too long");
    return DYN_OK;
}

Status synth_write(const char *dir, const SynthOptions *opt, const Log *log, Error *err)
{
    TRY(check(dir, opt, err));
    int64_t n_val = CLAMP((int64_t)nearbyint(opt->n * opt->val), 1, opt->n - 1);
    Job job = { dir, opt, opt->n - n_val };
    Slot slots[SLOTS], *slot;
    Work *w = NULL;
    Arena *a = arena_new();
    Status s = a ? make_folders(a, &job, err) : fail_nomem(err, 0);
    arena_free(&a);
    TRY(s);
    TRY(remove_yaml(&job, err));
    TRY(work_start(&w, opt->threads, opt->n, slots, SLOTS, sizeof *slots, make, &job, err));
    for (int i = 0; s == DYN_OK && (slot = work_next(w, NULL)); i++) {
        if ((s = slot->status) != DYN_OK)
            *err = slot->err;
        else if (opt->stop && *opt->stop && i + 1 < opt->n)
            s = fail(err, DYN_STOPPED,
                     "stopped after %d of %d pictures: '%s' has no data.yaml yet; the same command draws all of it",
                     i + 1, opt->n, dir);
        work_done(w);
    }
    work_stop(&w);
    TRY(s);
    TRY(write_yaml(&job, err));
    log_info(log, "%lld pictures for training and %lld for validation of %d classes in '%s'", (long long)job.n_train,
             (long long)n_val, opt->classes, dir);
    return DYN_OK;
}
