/* SPDX-License-Identifier: Apache-2.0
 *
 * What a model costs: layers, parameters, operations; and the table that shows it (spec 1.5, 2.9, 2.10).
 *
 * Two figures stand side by side: the true one, from what the operators state, and the one that a profiler
 * hooked into the reference's layers prints, which is what papers quote. */
#include "model/model.h"
#include "passes/passes.h"

#include <stdlib.h>

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Layers without children, as the reference counts them: the owners of parameters below which no other owner lies, and
 * the parameterless ones that modules declared. Names have no character before '.', so that whatever lies below an
 * owner follows it in sorted order. */
static Status count_layers(const Model *m, Arena *a, int *layers, Error *err)
{
    int n = graph_n_params(m->g);
    const char **owner = ARENA_ARRAY(a, const char *, n + 1);
    if (!owner) return fail_nomem(err, (size_t)n * sizeof *owner);
    for (int i = 0; i < n; i++) {
        const char *name = graph_param_spec(m->g, i)->name, *dot = strrchr(name, '.');
        if (!(owner[i] = arena_strndup(a, name, dot ? (size_t)(dot - name) : 0))) return fail_nomem(err, strlen(name));
    }
    qsort(owner, (size_t)n, sizeof *owner, by_text);
    *layers = m->n_leaf;
    for (int i = 0; i < n; i++) {
        size_t len = strlen(owner[i]);
        const char *next = i + 1 < n ? owner[i + 1] : "";
        *layers += !(str_starts(next, owner[i]) && (!next[len] || next[len] == '.'));
    }
    return DYN_OK;
}

static void count_norms(const Graph *g, int *n, int64_t *channels)
{
    *n = 0;
    *channels = 0;
    for (int i = 0; i < graph_n_nodes(g); i++) {
        const Node *node = graph_node(g, i);
        if (node->kind != NODE_OP || !str_eq(node->op->name, "batchnorm")) continue;
        ++*n;
        *channels += value_dim(g, node->in[0], 1);
    }
}

typedef struct Counts {
    double flops, macs, profiler;
} Counts;

/* Costs of all nodes that depend on an input, and their sum: what is computed from parameters alone is computed once.
 */
static Status graph_counts(const Graph *g, const Binding *b, Arena *a, Counts *each, Counts *sum, Error *err)
{
    Type *types;
    bool *varies = ARENA_ARRAY(a, bool, graph_n_nodes(g) + 1);
    if (!varies) return fail_nomem(err, (size_t)graph_n_nodes(g));
    TRY(graph_bind(g, b, a, &types, err));
    *sum = (Counts) { 0 };
    for (int i = 0; i < graph_n_nodes(g); i++) {
        const Node *n = graph_node(g, i);
        Type in[64];
        varies[i] = n->kind == NODE_INPUT;
        for (int k = 0; k < n->n_in; k++) {
            in[k] = n->in[k].id ? types[n->in[k].id] : (Type) { .shape.rank = -1 };
            if (n->in[k].id) varies[i] |= varies[value_node(g, n->in[k])->id];
        }
        each[i] = (Counts) { 0 };
        if (n->kind != NODE_OP || !varies[i]) continue;
        Cost cost = n->op->cost(n, in, &types[n->out.id]);
        each[i].flops = cost.flops, each[i].profiler = cost.profiler;
        if (n->op->macs) each[i].macs = n->op->macs(n, in, &types[n->out.id]);
        sum->flops += each[i].flops, sum->macs += each[i].macs, sum->profiler += each[i].profiler;
    }
    return DYN_OK;
}

/* What a profiler comes to: it looks at the smallest picture that the model takes and multiplies by the area, layers
 * that do not depend on it included (spec 2.10); at the picture itself where the small one does not fit. */
static Status profiler_counts(const Model *m, const Graph *g, int64_t imgsz, Arena *a, Counts *each, double *macs,
                              Error *err)
{
    int64_t side = MAX(m->max_stride, 32);
    Binding b = { .batch = 1, .height = side, .width = side, .targets = 1, .act = F32 };
    double area = (double)imgsz / (double)side * ((double)imgsz / (double)side);
    Counts sum;
    if (graph_counts(g, &b, a, each, &sum, err) != DYN_OK) {
        b.height = b.width = imgsz, area = 1;
        TRY(graph_counts(g, &b, a, each, &sum, err));
    }
    *macs = sum.profiler * area;
    return DYN_OK;
}

static Status fused_info(const Model *m, const Graph *fused, const Binding *b, Arena *a, ModelInfo *info, Error *err)
{
    Counts *each = ARENA_ARRAY(a, Counts, graph_n_nodes(fused) + 1), sum;
    int norms, left;
    int64_t channels, channels_left;
    double profiler;
    if (!each) return fail_nomem(err, sizeof *each);
    TRY(profiler_counts(m, fused, b->height, a, each, &profiler, err));
    TRY(graph_counts(fused, b, a, each, &sum, err));
    info->gflops_fused = sum.flops * 1e-9;
    info->mac_gflops_fused = sum.macs * 2e-9;
    info->profiler_fused = profiler * 2e-9;
    count_norms(m->g, &norms, &channels);
    count_norms(fused, &left, &channels_left);
    info->layers_fused = info->layers - (norms - left);
    info->params_fused = info->params - (channels - channels_left); /* two vectors go, one bias comes */
    return DYN_OK;
}

Status model_info(const Model *m, int64_t imgsz, Arena *a, ModelInfo *info, Error *err)
{
    Binding b = { .batch = 1, .height = imgsz, .width = imgsz, .targets = 1, .act = F32 };
    Counts *each = ARENA_ARRAY(a, Counts, graph_n_nodes(m->g) + 1), sum;
    double profiler;
    Graph *fused;
    *info = (ModelInfo) { .row_gflops = ARENA_ARRAY(a, double, m->n_row) };
    if (!each || !info->row_gflops) return fail_nomem(err, sizeof *each);
    TRY(count_layers(m, a, &info->layers, err));
    for (int i = 0; i < graph_n_params(m->g); i++) {
        const ParamSpec *p = graph_param_spec(m->g, i);
        if (!param_counts(p)) continue;
        info->params += shape_count(&p->shape);
        if (p->trainable) info->gradients += shape_count(&p->shape);
    }
    TRY(profiler_counts(m, m->g, imgsz, a, each, &profiler, err));
    TRY(graph_counts(m->g, &b, a, each, &sum, err));
    info->gflops = sum.flops * 1e-9;
    info->mac_gflops = sum.macs * 2e-9;
    info->profiler = profiler * 2e-9;
    for (int r = 0; r < m->n_row; r++)
        for (int i = m->row[r].first_node; i < m->row[r].last_node; i++)
            info->row_gflops[r] += each[i].flops * 1e-9;
    TRY(passes_inference(m->g, &fused, err));
    Status s = fused_info(m, fused, &b, a, info, err);
    graph_free(&fused);
    return s;
}

/* ---- table --------------------------------------------------------------------------------------------------- */

/* 3157200 -> "3,157,200" */
static const char *grouped(int64_t n, char *buf, size_t size)
{
    char plain[32];
    int len = snprintf(plain, sizeof plain, "%lld", (long long)n), at = 0;
    for (int i = 0; i < len && at + 2 < (int)size; i++) {
        if (i && (len - i) % 3 == 0) buf[at++] = ',';
        buf[at++] = plain[i];
    }
    buf[at] = 0;
    return buf;
}

static void print_rows(const Model *m, const ModelInfo *info, FILE *f)
{
    fprintf(f, "%3s%20s%3s%10s  %-45s%-30s%20s%10s\n", "", "from", "n", "params", "module", "arguments", "output",
            "GFLOPs");
    for (int i = 0; i < m->n_row; i++) {
        const ModelRow *r = &m->row[i];
        char shape[128], module[160];
        snprintf(module, sizeof module, "%s%s%s%s", r->module, r->name ? " (" : "", r->name ? r->name : "",
                 r->name ? ")" : "");
        fprintf(f, "%3d%20s%3lld%10lld  %-45s%-30s%20s%10.3f\n", r->index, r->from, (long long)r->repeat,
                (long long)r->params, module, r->args, shape_text(&r->shape, shape, sizeof shape), info->row_gflops[i]);
    }
}

static void print_summary(const Model *m, const ModelInfo *info, int64_t imgsz, FILE *f)
{
    char params[40], gradients[40], fused[40];
    fprintf(f, "%s summary: %d layers, %s parameters, %s gradients, %.1f GFLOPs\n", m->title, info->layers,
            grouped(info->params, params, sizeof params), grouped(info->gradients, gradients, sizeof gradients),
            info->profiler);
    fprintf(f, "%s summary (fused): %d layers, %s parameters, 0 gradients, %.1f GFLOPs\n", m->title, info->layers_fused,
            grouped(info->params_fused, fused, sizeof fused), info->profiler_fused);
    fprintf(
        f,
        "At %lldx%lld, true: %.4f GFLOPs, fused %.4f (two a multiply-accumulate, mixing of kernels, routing, attention "
        "and sampling included); %.3f and %.3f with every other operation.\n",
        (long long)imgsz, (long long)imgsz, info->mac_gflops, info->mac_gflops_fused, info->gflops, info->gflops_fused);
    fprintf(f, "The summaries count what a profiler of layers sees: %.4f GFLOPs, fused %.4f.\n", info->profiler,
            info->profiler_fused);
}

static void print_remarks(const Model *m, const char *schedules, FILE *f)
{
    if (*schedules) fprintf(f, "%s\n", schedules);
    if (m->note) fprintf(f, "note: %s\n", m->note);
    for (size_t i = 0; i < m->n_warning; i++)
        fprintf(f, "warning: %s\n", m->warning[i]);
}

char *model_table(const Model *m, const ModelInfo *info, int64_t imgsz, bool rows, Arena *a)
{
    char *text = NULL, *copy = NULL, *schedules = model_schedules(m, a);
    size_t n = 0;
    FILE *f = schedules ? open_memstream(&text, &n) : NULL;
    if (!f) return NULL;
    if (rows) print_rows(m, info, f);
    print_summary(m, info, imgsz, f);
    print_remarks(m, schedules, f);
    if (!fclose(f)) copy = arena_strdup(a, text);
    free(text);
    return copy;
}
