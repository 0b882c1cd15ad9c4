/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints: weights for whoever loads models, and beside them the state for whoever goes on training.
 *
 *   NAME.safetensors         the moving average; notes train_run and train_epoch
 *   NAME.state.safetensors   raw.P, ema.P, optim0.P .. for every parameter P, sum.P when gradients are pending; the
 *                            numbers of TrainState and the args as notes
 *
 * The state alone is complete, and it is written first: a run that is killed between the two files leaves a newer state
 * beside older weights, which is as good. A state older than its weights, or of another run, is refused. Numbers are
 * written with 17 digits, which give back every double. */
#include "train/trainer.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <unistd.h>

#define MAX_COUNT ((int64_t)1 << 40) /* of epochs, batches, steps; their products are computed with */

enum { MAX_SLABS = 3 + OPTIM_MAX_STATE, MAX_NOTES = 24 };

static const char format_note[] = "dynyolo training state 1";

/* ---- the slabs and numbers of a state, in file order --------------------------------------------------------- */

typedef struct NamedSlab {
    const char *name;
    const Slab *slab;
} NamedSlab;

static int slabs_of(const Trainer *t, NamedSlab slab[MAX_SLABS])
{
    static const char *const optim_name[OPTIM_MAX_STATE] = { "optim0", "optim1" };
    int n = 0;
    slab[n++] = (NamedSlab) { "raw", &t->m->w };
    slab[n++] = (NamedSlab) { "ema", &t->ema };
    for (int i = 0; i < t->optim->def->n_state; i++)
        slab[n++] = (NamedSlab) { optim_name[i], &t->optim->state[i] };
    if (t->at.pending > 0) slab[n++] = (NamedSlab) { "sum", &t->sum };
    return n;
}

typedef struct Field {
    const char *key;
    int64_t *i;
    double *f; /* one of the two */
} Field;

enum { N_FIELDS = 14 };

static void fields_of(Trainer *t, Field field[N_FIELDS])
{
    TrainState *s = &t->at;
    const Field all[N_FIELDS] = { { "epoch", &s->epoch, NULL },
                                  { "batch", &s->batch, NULL },
                                  { "last_step", &s->last_step, NULL },
                                  { "pending", &s->pending, NULL },
                                  { "updates", &s->updates, NULL },
                                  { "loss_box", NULL, &s->loss_sum[0] },
                                  { "loss_cls", NULL, &s->loss_sum[1] },
                                  { "loss_dfl", NULL, &s->loss_sum[2] },
                                  { "seconds", NULL, &s->seconds },
                                  { "best_fitness", NULL, &s->stopper.best },
                                  { "best_epoch", &s->stopper.best_epoch, NULL },
                                  { "optimizer_steps", &t->optim->t, NULL },
                                  { "optimizer_product", NULL, &t->optim->product },
                                  { "epochs", &t->epochs, NULL } };
    memcpy(field, all, sizeof all);
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

static Status add_slab(Arena *a, const Trainer *t, const NamedSlab *s, BlobFile *f, Error *err)
{
    for (int i = 0; i < graph_n_params(t->m->g); i++) {
        const ParamSpec *p = graph_param_spec(t->m->g, i);
        if (p->offset < 0) continue;
        Blob b = { .name = arena_printf(a, "%s.%s", s->name, p->name), .dtype = F32, .rank = p->shape.rank };
        memcpy(b.dim, p->shape.dim, (size_t)b.rank * sizeof *b.dim);
        b.data = s->slab->data + p->offset;
        if (!b.name || !blob_set_bytes(&b)) return fail_nomem(err, sizeof b);
        f->blob[f->n++] = b;
    }
    return DYN_OK;
}

static Status add_notes(Arena *a, Trainer *t, BlobFile *f, Error *err)
{
    Field field[N_FIELDS];
    fields_of(t, field);
    f->note[f->n_note++] = (BlobNote) { "format", format_note };
    f->note[f->n_note++] = (BlobNote) { "run", t->run };
    f->note[f->n_note++] = (BlobNote) { "optimizer", t->optim->def->name };
    f->note[f->n_note++] = (BlobNote) { "args", t->job->opt.args ? t->job->opt.args : "" };
    for (int i = 0; i < N_FIELDS; i++) {
        char *text =
            field[i].i ? arena_printf(a, "%" PRId64, *field[i].i) : str_point(arena_printf(a, "%.17g", *field[i].f));
        if (!text) return fail_nomem(err, 32);
        f->note[f->n_note++] = (BlobNote) { field[i].key, text };
    }
    return DYN_OK;
}

static Status save_state(Arena *a, Trainer *t, const char *path, Error *err)
{
    NamedSlab slab[MAX_SLABS];
    int n = slabs_of(t, slab);
    BlobFile f = { .blob = ARENA_ARRAY(a, Blob, n * graph_n_params(t->m->g)),
                   .note = ARENA_ARRAY(a, BlobNote, MAX_NOTES) };
    if (!f.blob || !f.note) return fail_nomem(err, 1);
    for (int i = 0; i < n; i++)
        TRY(add_slab(a, t, &slab[i], &f, err));
    TRY(add_notes(a, t, &f, err));
    return safetensors_write(path, &f, err);
}

static Status save_weights(const Trainer *t, const char *path, Error *err)
{
    char epoch[32];
    snprintf(epoch, sizeof epoch, "%" PRId64, t->at.epoch);
    const BlobNote note[] = { { "train_run", t->run }, { "train_epoch", epoch } };
    Model average = *t->m;
    average.w = t->ema;
    return model_save(&average, path, note, COUNT_OF(note), err);
}

/* A second name for a finished file. Files are replaced, never changed, so sharing the bytes is safe. */
static bool same_file(const char *from, const char *to)
{
    char tmp[4096];
    if ((size_t)snprintf(tmp, sizeof tmp, "%s" TMP_MARK "%ld", to, (long)getpid()) >= sizeof tmp) return false;
    unlink(tmp);
    if (link(from, tmp) != 0) return false;
    if (rename(tmp, to) == 0) {
        unlink(tmp); /* rename does nothing when both were the same file */
        return true;
    }
    unlink(tmp);
    return false;
}

static char *in_weights(Arena *a, const Trainer *t, const char *name)
{
    return arena_printf(a, "%s/weights/%s", t->job->opt.dir, name);
}

static Status save_all(Arena *a, Trainer *t, bool best, int64_t k, Error *err)
{
    char *folder = in_weights(a, t, ""), *state = in_weights(a, t, "last.state.safetensors"),
         *weights = in_weights(a, t, "last.safetensors"), *best_state = in_weights(a, t, "best.state.safetensors"),
         *best_weights = in_weights(a, t, "best.safetensors"),
         *kept = arena_printf(a, "epoch%" PRId64 ".safetensors", k);
    if (!folder || !state || !weights || !best_state || !best_weights || !kept || !(kept = in_weights(a, t, kept)))
        return fail_nomem(err, 1);
    TRY(dir_make(folder, err));
    /* What resuming begins with comes last: a kill before it repeats the epoch, which writes the others again. */
    if (best) TRY(save_state(a, t, best_state, err));
    if (best) TRY(save_weights(t, best_weights, err));
    if (k >= 0 && !(best && same_file(best_weights, kept))) TRY(save_weights(t, kept, err));
    if (!(best && same_file(best_state, state))) TRY(save_state(a, t, state, err));
    return best && same_file(best_weights, weights) ? DYN_OK : save_weights(t, weights, err);
}

Status checkpoint_save(const Trainer *t, bool best, int64_t k, Error *err)
{
    Arena *a = arena_new();
    if (!a) return fail_nomem(err, 1);
    Status s = save_all(a, (Trainer *)t, best, k, err);
    arena_free(&a);
    return s;
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

static char *state_path(Arena *a, const char *weights)
{
    size_t n = strlen(weights), tail = strlen(".safetensors");
    if (!str_ends(weights, ".safetensors") || str_ends(weights, ".state.safetensors")) return NULL;
    char *stem = arena_strndup(a, weights, n - tail);
    return stem ? arena_printf(a, "%s.state.safetensors", stem) : NULL;
}

static Status read_state(Arena *a, const char *weights, BlobFile *f, const char **path, Error *err)
{
    *path = state_path(a, weights);
    if (!*path)
        return fail(err, DYN_USAGE, "'%s' cannot be resumed: give the last.safetensors of a run's weights folder",
                    weights);
    if (!file_exists(*path))
        return fail(err, DYN_IO, "'%s' cannot be resumed: '%s', which lies beside the weights of a run, is missing",
                    weights, *path);
    TRY(safetensors_read(a, *path, f, err));
    const char *format = blob_note(f, "format");
    if (!format || !str_eq(format, format_note))
        return fail(err, DYN_FORMAT, "%s: not a training state of this program", *path);
    return DYN_OK;
}

static const char *note_or_empty(const BlobFile *f, const char *key)
{
    const char *v = blob_note(f, key);
    return v ? v : "";
}

static Status read_numbers(Trainer *t, const BlobFile *f, const char *path, Error *err)
{
    Field field[N_FIELDS];
    fields_of(t, field);
    for (int i = 0; i < N_FIELDS; i++) {
        const char *text = note_or_empty(f, field[i].key);
        bool ok = field[i].i ? str_to_int(text, field[i].i) : str_to_double(text, field[i].f);
        if (!ok) return fail(err, DYN_FORMAT, "%s: note '%s' is '%s', not a number", path, field[i].key, text);
        if (field[i].i ? *field[i].i > MAX_COUNT : !isfinite(*field[i].f))
            return fail(err, DYN_FORMAT, "%s: note '%s' is %s, out of range", path, field[i].key, text);
    }
    const TrainState *s = &t->at;
    if (s->epoch < 0 || s->batch < 0 || s->last_step < -1 || s->pending < 0 || s->updates < 0 ||
        s->stopper.best_epoch < 0 || t->optim->t < 0 || t->epochs < 1)
        return fail(err, DYN_FORMAT, "%s: a count is negative or no epoch is planned", path);
    return DYN_OK;
}

/* Tensors come in the order in which they are written. */
static Status read_slab(Trainer *t, const NamedSlab *s, const BlobFile *f, size_t *at, const char *path, Error *err)
{
    for (int i = 0; i < graph_n_params(t->m->g); i++) {
        const ParamSpec *p = graph_param_spec(t->m->g, i);
        if (p->offset < 0) continue;
        const Blob *b = *at < f->n ? &f->blob[(*at)++] : NULL;
        size_t prefix = strlen(s->name);
        if (!b || strncmp(b->name, s->name, prefix) != 0 || b->name[prefix] != '.' ||
            !str_eq(b->name + prefix + 1, p->name))
            return fail(err, DYN_FORMAT, "%s: state of another model: '%s.%s' is not where it belongs", path, s->name,
                        p->name);
        Shape shape = { .rank = MIN(b->rank, MAX_RANK) };
        memcpy(shape.dim, b->dim, (size_t)shape.rank * sizeof *shape.dim);
        if (b->dtype != F32 || b->rank != p->shape.rank || !shape_eq(&shape, &p->shape))
            return fail(err, DYN_FORMAT, "%s: '%s' has another type or shape in this model", path, b->name);
        memcpy(s->slab->data + p->offset, b->data, b->bytes);
    }
    return DYN_OK;
}

/* The weights beside it must be of the same run, and not newer. */
static Status check_pair(Arena *a, const Trainer *t, const char *path, const char *run, Error *err)
{
    const char *weights = t->job->opt.resume;
    BlobFile f;
    int64_t epoch = 0;
    if (!file_exists(weights)) return DYN_OK;
    TRY(safetensors_read(a, weights, &f, err));
    if (!str_eq(note_or_empty(&f, "train_run"), run))
        return fail(err, DYN_FORMAT, "'%s' and '%s' are of two different runs", weights, path);
    if (!str_to_int(note_or_empty(&f, "train_epoch"), &epoch) || epoch > t->at.epoch)
        return fail(err, DYN_FORMAT, "'%s' is older than '%s'", path, weights);
    return DYN_OK;
}

static Status load(Arena *a, Trainer *t, Error *err)
{
    BlobFile f;
    NamedSlab slab[MAX_SLABS];
    const char *path;
    size_t at = 0;
    TRY(read_state(a, t->job->opt.resume, &f, &path, err));
    const char *optimizer = note_or_empty(&f, "optimizer"), *run = note_or_empty(&f, "run");
    if (!str_eq(optimizer, t->optim->def->name))
        return fail(err, DYN_USAGE, "%s was trained with %s; it cannot go on with %s", path, optimizer,
                    t->optim->def->name);
    if (strlen(run) >= sizeof t->run) return fail(err, DYN_FORMAT, "%s: malformed run name", path);
    TRY(read_numbers(t, &f, path, err));
    int n = slabs_of(t, slab);
    for (int i = 0; i < n; i++)
        TRY(read_slab(t, &slab[i], &f, &at, path, err));
    if (at != f.n) return fail(err, DYN_FORMAT, "%s: state of another model: more tensors than it has", path);
    TRY(check_pair(a, t, path, run, err));
    snprintf(t->run, sizeof t->run, "%s", run);
    return DYN_OK;
}

Status checkpoint_load(Trainer *t, Error *err)
{
    Arena *a = arena_new();
    if (!a) return fail_nomem(err, 1);
    Status s = load(a, t, err);
    arena_free(&a);
    return s;
}

Status train_resume_args(const char *weights, Arena *a, const char **args, Error *err)
{
    BlobFile f;
    const char *path;
    TRY(read_state(a, weights, &f, &path, err));
    *args = note_or_empty(&f, "args");
    return DYN_OK;
}
