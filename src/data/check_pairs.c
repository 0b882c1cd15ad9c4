/* SPDX-License-Identifier: Apache-2.0
 *
 * check_pairs - what belongs together and what does not: pictures that are there twice, in one split or across two, and
 * label files without a picture. Pictures are the same when all their pixels are, whatever file they came in. */
#include "data/check_impl.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- pictures that are there twice ------------------------------------------------------------------------------ */

static int by_content(const void *a, const void *b)
{
    const Seen *x = *(const Seen *const *)a, *y = *(const Seen *const *)b;
    for (int i = 0; i < 2; i++)
        if (x->content[i] != y->content[i]) return x->content[i] < y->content[i] ? -1 : 1;
    return (x > y) - (x < y); /* as they were seen */
}

static bool same_content(const Seen *x, const Seen *y)
{
    return x->content[0] == y->content[0] && x->content[1] == y->content[1];
}

static void tell_copy(Checking *c, const Seen *first, const Seen *again)
{
    const char *split = c->split[again->split].name, *other = c->split[first->split].name;
    bool inside = first->split == again->split;
    char what[700];
    snprintf(what, sizeof what, "the same pixels as '%.600s'%s%s", first->path, inside ? "" : " of ",
             inside ? "" : other);
    check_tell(c, &(DataProblem) { false, inside ? "duplicate" : "leak", split, again->path, 0, str_one_line(what),
                                   inside ? "it counts twice" : "measured is what was learnt by heart" });
}

Status check_copies(Checking *c, Error *err)
{
    if (!c->n_seen) return DYN_OK;
    const Seen **order = ARENA_ARRAY(c->a, const Seen *, c->n_seen),
               **first = ARENA_ARRAY(c->a, const Seen *, c->n_seen);
    if (!order || !first) return fail_nomem(err, c->n_seen * sizeof *order);
    for (size_t i = 0; i < c->n_seen; i++)
        order[i] = &c->seen[i];
    qsort(order, c->n_seen, sizeof *order, by_content);
    for (size_t i = 1, head = 0; i < c->n_seen; i++) {
        if (!same_content(order[i], order[head]))
            head = i;
        else
            first[order[i] - c->seen] = order[head];
    }
    for (size_t i = 0; i < c->n_seen; i++)
        if (first[i]) tell_copy(c, first[i], &c->seen[i]);
    return DYN_OK;
}

/* ---- label files without a picture ------------------------------------------------------------------------------ */

/* A folder of pictures and the one of their labels. */
typedef struct Pair {
    const char *pictures, *labels;
} Pair;

static Status pair_of(Arena *a, const char *pictures, Pair *p, Error *err)
{
    const char *some = path_join(a, pictures, "x.jpg"), *label = some ? data_label_path(a, some) : NULL;
    *p = (Pair) { pictures, label ? path_dir(a, label) : NULL };
    return p->labels ? DYN_OK : fail_nomem(err, strlen(pictures));
}

/* "a.txt" is labels of "a.EXT" for any extension that pictures have, in small letters or capitals. */
static bool has_picture(Arena *a, const Pair *p, const char *label)
{
    ArenaMark mark = arena_mark(a);
    bool found = false;
    const char *below = label + strlen(p->labels) + 1;
    for (int i = 0; !found && picture_extensions[i]; i++) {
        char ext[16];
        for (int upper = 0; upper < 2 && !found; upper++) {
            size_t n = 0;
            for (const char *e = picture_extensions[i]; *e && n + 1 < sizeof ext; e++)
                ext[n++] = (char)(upper ? toupper((unsigned char)*e) : *e);
            ext[n] = 0;
            const char *path =
                arena_printf(a, "%s/%.*s.%s", p->pictures, (int)(strlen(below) - strlen(".txt")), below, ext);
            found = !path || file_exists(path);
        }
    }
    arena_release(a, mark);
    return found;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Label files below a folder that no picture of the split has. known [n]: the label files that one has, sorted. */
static Status orphans_below(Checking *c, const CheckSplit *s, const Pair *p, bool recursive, const char **known,
                            Error *err)
{
    char **file;
    size_t n;
    if (!dir_exists(p->labels)) return DYN_OK;
    TRY(dir_list(c->a, p->labels, recursive, &file, &n, err));
    for (size_t i = 0; i < n; i++) {
        const char *path = file[i];
        if (!str_ends(path, ".txt") || bsearch(&path, known, s->n, sizeof *known, by_text)) continue;
        if (has_picture(c->a, p, path)) continue;
        check_tell(c,
                   &(DataProblem) { false, "no-picture", s->name, path, 0, "labels without a picture", "never read" });
    }
    return DYN_OK;
}

/* The folders that a list's pictures lie in; the pictures are sorted, so those of one folder mostly follow each other,
 * and a folder that comes again is looked for among the ones before. */
static Status orphans_of_lists(Checking *c, const CheckSplit *s, const char **known, Error *err)
{
    const char **folder = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < s->n; i++) {
        const char *dir = path_dir(c->a, s->path[i]);
        bool there = false;
        if (!dir) return fail_nomem(err, 1);
        for (size_t k = n; k-- > 0 && !there;)
            there = str_eq(folder[k], dir);
        if (there) continue;
        Pair p;
        if (!arena_grow(c->a, &folder, n, &cap, sizeof *folder)) return fail_nomem(err, 1);
        folder[n++] = dir;
        TRY(pair_of(c->a, dir, &p, err));
        TRY(orphans_below(c, s, &p, false, known, err));
    }
    return DYN_OK;
}

static Status orphans_of(Checking *c, const CheckSplit *s, Error *err)
{
    bool lists = false;
    const char **known = ARENA_ARRAY(c->a, const char *, s->n + 1);
    if (!known) return fail_nomem(err, s->n * sizeof *known);
    for (size_t i = 0; i < s->n; i++)
        if (!(known[i] = data_label_path(c->a, s->path[i]))) return fail_nomem(err, 1);
    qsort(known, s->n, sizeof *known, by_text);
    for (size_t i = 0; i < s->from->n; i++) {
        Pair p;
        lists |= !dir_exists(s->from->path[i]);
        if (!dir_exists(s->from->path[i])) continue;
        TRY(pair_of(c->a, s->from->path[i], &p, err));
        TRY(orphans_below(c, s, &p, true, known, err));
    }
    return lists ? orphans_of_lists(c, s, known, err) : DYN_OK;
}

Status check_orphans(Checking *c, Error *err)
{
    for (int i = 0; i < c->n_splits; i++)
        TRY(orphans_of(c, &c->split[i], err));
    return DYN_OK;
}
