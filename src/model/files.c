/* SPDX-License-Identifier: Apache-2.0
 *
 * Models and files. The native file is safetensors: tensors in f32 under PyTorch's names, and in its notes the model
 * YAML, class names and the few facts that rebuild the same graph. A .pt carries the same in its pickle (spec 10). */
#include "model/model.h"

#include "formats/pt.h"

#include <jansson.h>
#include <stdlib.h>

#define NOTE_FORMAT "dynyolo"

/* Every parameter, or an error that names the first that is not there. */
static Status fill(Model *m, const char *path, const BlobFile *blobs, Arena *a, Error *err)
{
    Transfer t;
    TRY(model_transfer(m, blobs, a, &t, err));
    if (!t.n_missing) return DYN_OK;
    return fail(err, DYN_FORMAT, "%s: holds %lld of the model's %lld tensors; '%s' is missing or has another shape",
                path, (long long)t.copied, (long long)t.total, t.missing[0]);
}

/* What a model may have whose tensors all come from this file; scheduled parameters, of a few values each, may be
 * missing from it. */
static int64_t most_values(const BlobFile *f)
{
    int64_t n = 1 << 16;
    for (size_t i = 0; i < f->n; i++)
        n += blob_count(&f->blob[i]);
    return n;
}

/* ---- .pt ----------------------------------------------------------------------------------------------------- */

static Status take_names(Model *m, const char *path, const Yaml *names, Error *err)
{
    if (!names || (names->kind != YAML_MAP && names->kind != YAML_LIST)) return DYN_OK;
    if ((int64_t)names->n != m->nc)
        return fail(err, DYN_FORMAT, "%s: has %zu class names for %lld classes", path, names->n, (long long)m->nc);
    for (size_t i = 0; i < names->n; i++) {
        int64_t at = names->kind == YAML_MAP ? names->key[i]->i : (int64_t)i;
        if (at < 0 || at >= m->nc || !names->item[i]->text)
            return fail(err, DYN_FORMAT, "%s: class names must be texts numbered from 0", path);
        if (!(m->names[at] = arena_strdup(m->a, names->item[i]->text))) return fail_nomem(err, 16);
    }
    return DYN_OK;
}

/* The scale that the description was built with: its key, else the letter of the file that it came from. */
static const char *recorded_scale(const Yaml *y)
{
    const Yaml *scale = yaml_get(y, "scale"), *scales = yaml_get(y, "scales");
    return yaml_is(scales, YAML_MAP) && scale && scale->text && *scale->text ? scale->text : NULL;
}

static bool has_depthwise_cls(const PtFile *f)
{
    for (size_t i = 0; i < f->blobs.n; i++)
        if (str_ends(f->blobs.blob[i].name, ".cv3.0.0.0.conv.weight")) return true;
    return false;
}

/* The quirk is in every version of the reference, so in every file of a model that it built. */
static void pt_compat(const PtFile *f, ModelCompat *c)
{
    c->width_nc_quirk = true;
    c->sppf_no_act = f->sppf_act && str_eq(f->sppf_act, "Identity");
    c->depthwise_cls = has_depthwise_cls(f);
    c->bn_eps = f->bn_eps;
    c->bn_momentum = f->bn_momentum;
}

static Status pt_options(const char *path, const PtFile *f, ModelOptions *o, Error *err)
{
    if (!f->is_model || !f->yaml)
        return fail(err, DYN_UNSUPPORTED,
                    "%s: holds weights without a model description; give the model as a YAML and this file as "
                    "pretrained=",
                    path);
    if (f->task && !str_eq(f->task, "detect"))
        return fail(err, DYN_UNSUPPORTED, "%s: is a model for the task '%s'; only detect is supported", path, f->task);
    if (f->fused)
        return fail(err, DYN_UNSUPPORTED,
                    "%s: its batch normalisation is fused away; load the checkpoint that it was made from", path);
    o->nc = f->nc;
    o->scale = recorded_scale(f->yaml);
    pt_compat(f, &o->compat);
    return DYN_OK;
}

static Status keep_facts(Model *m, const Yaml *train_args, const char *version, const char *date, Error *err)
{
    char *text;
    size_t n;
    m->version = version ? arena_strdup(m->a, version) : NULL;
    m->date = date ? arena_strdup(m->a, date) : NULL;
    if (!train_args) return DYN_OK;
    TRY(yaml_write(m->a, train_args, &text, &n, err));
    return yaml_parse(m->a, "train_args", text, n, &m->train_args, err);
}

static Status load_pt(const char *path, const ModelOptions *given, Arena *a, Model **m, Error *err)
{
    PtFile f;
    ModelOptions o = { .log = given->log, .filled = true };
    TRY(pt_read(a, path, &f, err));
    TRY(pt_options(path, &f, &o, err));
    o.most_values = most_values(&f.blobs);
    TRY(model_from_yaml(path, f.yaml, &o, m, err));
    TRY(fill(*m, path, &f.blobs, a, err));
    TRY(take_names(*m, path, f.names, err));
    return keep_facts(*m, f.train_args, f.version, f.date, err);
}

/* ---- .safetensors -------------------------------------------------------------------------------------------- */

static Status read_compat(const char *path, const char *text, ModelCompat *c, Error *err)
{
    int sppf = 0, depthwise = 0, quirk = 0;
    json_t *j = text ? json_loads(text, 0, NULL) : json_object();
    int bad = json_unpack(j, "{s?b s?b s?b s?F s?F}", "sppf_no_act", &sppf, "depthwise_cls", &depthwise,
                          "width_nc_quirk", &quirk, "bn_eps", &c->bn_eps, "bn_momentum", &c->bn_momentum);
    json_decref(j);
    if (bad) return fail(err, DYN_FORMAT, "%s: the note 'compat' is malformed", path);
    c->sppf_no_act = sppf;
    c->depthwise_cls = depthwise;
    c->width_nc_quirk = quirk;
    return DYN_OK;
}

static Status read_names(Model *m, const char *path, const char *text, Error *err)
{
    json_t *j = text ? json_loads(text, 0, NULL) : NULL;
    bool ok = json_is_array(j) && (int64_t)json_array_size(j) == m->nc;
    for (int64_t i = 0; ok && i < m->nc; i++) {
        const char *s = json_string_value(json_array_get(j, (size_t)i));
        ok = s && (m->names[i] = arena_strdup(m->a, s));
    }
    json_decref(j);
    return ok ? DYN_OK
              : fail(err, DYN_FORMAT, "%s: the note 'names' must be a list of %lld texts", path, (long long)m->nc);
}

static Status load_native(const char *path, const ModelOptions *given, Arena *a, Model **m, Error *err)
{
    BlobFile f;
    ModelOptions o = { .log = given->log, .filled = true };
    const Yaml *y, *args = NULL;
    TRY(safetensors_read(a, path, &f, err));
    const char *text = blob_note(&f, "model"), *args_text = blob_note(&f, "train_args");
    if (!blob_note(&f, NOTE_FORMAT) || !text)
        return fail(err, DYN_UNSUPPORTED,
                    "%s: holds weights without a model description; give the model as a YAML and this file as "
                    "pretrained=",
                    path);
    TRY(read_compat(path, blob_note(&f, "compat"), &o.compat, err));
    TRY(yaml_parse(a, path, text, strlen(text), &y, err));
    o.scale = recorded_scale(y);
    o.most_values = most_values(&f);
    TRY(model_from_yaml(path, y, &o, m, err));
    TRY(fill(*m, path, &f, a, err));
    TRY(read_names(*m, path, blob_note(&f, "names"), err));
    if (args_text) TRY(yaml_parse(a, path, args_text, strlen(args_text), &args, err));
    return keep_facts(*m, args, blob_note(&f, "version"), blob_note(&f, "date"), err);
}

/* A json value as text in the arena; the value is released. */
static const char *json_text(Arena *a, json_t *j)
{
    char *s = json_dumps(j, JSON_COMPACT), *copy = s ? arena_strdup(a, s) : NULL;
    free(s);
    json_decref(j);
    return copy;
}

static const char *names_text(const Model *m, Arena *a)
{
    json_t *j = json_array();
    for (int64_t i = 0; i < m->nc; i++)
        if (json_array_append_new(j, json_string(m->names[i]))) {
            json_decref(j);
            return NULL;
        }
    return json_text(a, j);
}

static const char *compat_text(const ModelCompat *c, Arena *a)
{
    return json_text(a, json_pack("{s:b s:b s:b s:f s:f}", "sppf_no_act", c->sppf_no_act, "depthwise_cls",
                                  c->depthwise_cls, "width_nc_quirk", c->width_nc_quirk, "bn_eps", c->bn_eps,
                                  "bn_momentum", c->bn_momentum));
}

static const char *strides_text(const Model *m, Arena *a)
{
    const char *s = "";
    for (int i = 0; s && i < m->n_level; i++)
        s = arena_printf(a, "%s%s%lld", s, i ? "," : "", (long long)m->stride[i]);
    return s;
}

static Status write_native(const Model *m, const char *path, const BlobNote *extra, size_t n_extra, Arena *a,
                           Error *err)
{
    BlobFile f;
    char *yaml, *args = NULL;
    size_t n;
    TRY(model_blobs(m, &m->w, a, &f, err));
    TRY(yaml_write(a, m->yaml, &yaml, &n, err));
    if (m->train_args) TRY(yaml_write(a, m->train_args, &args, &n, err));
    const BlobNote own[] = {
        { NOTE_FORMAT, DYN_VERSION },
        { "task", m->task },
        { "model", yaml },
        { "names", names_text(m, a) },
        { "nc", arena_printf(a, "%lld", (long long)m->nc) },
        { "scale", m->scale },
        { "stride", strides_text(m, a) },
        { "compat", compat_text(&m->compat, a) },
        { "version", m->version },
        { "date", m->date },
        { "train_args", args },
    };
    if (!(f.note = ARENA_ARRAY(a, BlobNote, COUNT_OF(own) + n_extra))) return fail_nomem(err, sizeof own);
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        if (i < 8 && !own[i].value) return fail(err, DYN_FORMAT, "%s: a class name is not UTF-8", path);
        if (own[i].value) f.note[f.n_note++] = own[i];
    }
    for (size_t i = 0; i < n_extra; i++)
        f.note[f.n_note++] = extra[i];
    return safetensors_write(path, &f, err);
}

Status model_save(const Model *m, const char *path, const BlobNote *extra, size_t n_extra, Error *err)
{
    Arena *a = arena_new();
    if (!a) return fail_nomem(err, sizeof(Blob));
    Status s = write_native(m, path, extra, n_extra, a, err);
    arena_free(&a);
    return s;
}

Status model_save_pt(const Model *m, const char *path, Error *err)
{
    Arena *a = arena_new();
    BlobFile f;
    if (!a) return fail_nomem(err, sizeof f);
    Status s = model_blobs(m, &m->w, a, &f, err);
    size_t kept = 0;
    for (size_t i = 0; s == DYN_OK && i < f.n; i++)
        if (graph_param_spec(m->g, (int)i)->kind != PARAM_SCHEDULE) f.blob[kept++] = f.blob[i];
    f.n = kept;
    if (s == DYN_OK) s = pt_write(path, &f, err);
    arena_free(&a);
    return s;
}

/* ---- by file name -------------------------------------------------------------------------------------------- */

static bool is_pt(const char *path)
{
    return str_ends_nocase(path, ".pt") || str_ends_nocase(path, ".pth");
}

Status model_load(const char *path, const ModelOptions *o, Model **out, Error *err)
{
    static const ModelOptions none = { 0 };
    Status (*load)(const char *, const ModelOptions *, Arena *, Model **, Error *) = NULL;
    if (is_pt(path))
        load = load_pt;
    else if (str_ends_nocase(path, ".safetensors"))
        load = load_native;
    else if (str_ends_nocase(path, ".onnx"))
        return fail(err, DYN_UNSUPPORTED, "%s: ONNX files are exports; load the .pt or .safetensors that it came from",
                    path);
    else
        return model_from_file(path, o, out, err);
    Arena *a = arena_new();
    Model *m = NULL;
    if (!a) return fail_nomem(err, sizeof *m);
    Status s = load(path, o ? o : &none, a, &m, err);
    arena_free(&a);
    if (s != DYN_OK)
        model_free(&m);
    else
        *out = m;
    return s;
}

static Status native_facts(const char *path, const BlobFile *f, Arena *a, WeightsFacts *facts, Error *err)
{
    const char *text = blob_note(f, "model");
    TRY(read_compat(path, blob_note(f, "compat"), &facts->compat, err));
    return text ? yaml_parse(a, path, text, strlen(text), &facts->description, err) : DYN_OK;
}

Status model_read_blobs(const char *path, Arena *a, BlobFile *out, WeightsFacts *facts, Error *err)
{
    PtFile f;
    WeightsFacts ignored;
    if (!facts) facts = &ignored;
    *facts = (WeightsFacts) { 0 };
    if (str_ends_nocase(path, ".safetensors")) {
        TRY(safetensors_read(a, path, out, err));
        return native_facts(path, out, a, facts, err);
    }
    if (!is_pt(path)) return fail(err, DYN_UNSUPPORTED, "%s: weights are read from .pt and .safetensors files", path);
    TRY(pt_read(a, path, &f, err));
    if (f.is_model) {
        pt_compat(&f, &facts->compat);
        facts->description = f.yaml;
    }
    *out = f.blobs;
    return DYN_OK;
}
