/* SPDX-License-Identifier: Apache-2.0
 *
 * graph_parse - a graph from the text that graph_text made of it (see text.c for the form). Everything is declared and
 * emitted anew, so that operators check what they are given; what the text says of a value (its number, its type) must
 * be what comes out. Types of inputs may be left out. */
#include "graph/graph_impl.h"

#include <ctype.h>

enum { MAX_WORDS = 256, MAX_PORTS = 64, MAX_ATTRS = 64 };
static const int64_t MOST_ELEMENTS = (int64_t)1 << 40;

typedef struct Parser {
    const char *file;
    int line;
    Graph *g;
    GraphOpFn *find;
    Arena *a; /* emptied after each line */
    char *word[MAX_WORDS];
    int n;
    Error *err;
} Parser;

static Status refuse(Parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
static Status refuse(Parser *p, const char *fmt, ...)
{
    char what[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return fail(p->err, DYN_FORMAT, "%s:%d: %s", p->file, p->line, what);
}

/* What building has refused since, with the line. */
static Status built(Parser *p)
{
    return graph_status(p->g, p->err) == DYN_OK ? DYN_OK : fail_in(p->err, "%s:%d", p->file, p->line);
}

static Status split_words(Parser *p, char *line)
{
    char *save;
    p->n = 0;
    for (char *w = strtok_r(line, " \t\r", &save); w; w = strtok_r(NULL, " \t\r", &save)) {
        if (p->n == MAX_WORDS) return refuse(p, "more than %d words", MAX_WORDS);
        p->word[p->n++] = w;
    }
    return DYN_OK;
}

static Status integer(Parser *p, const char *s, int64_t lo, int64_t hi, int64_t *x)
{
    if (!str_to_int(s, x) || *x < lo || *x > hi)
        return refuse(p, "'%s': wants a whole number from %lld to %lld", s, (long long)lo, (long long)hi);
    return DYN_OK;
}

static Status dtype(Parser *p, const char *s, DType *t)
{
    return dtype_from_name(s, t) ? DYN_OK : refuse(p, "'%s' is no element type (F32, BF16, U8, I32, ...)", s);
}

/* "[16,3,3,3]"; with symbols also N, H, W and T. */
static Status shape(Parser *p, const char *s, bool symbols, Shape *out)
{
    static const char symbol[] = "NHWT";
    size_t len = strlen(s);
    *out = (Shape) { 0 };
    if (len < 2 || s[0] != '[' || s[len - 1] != ']') return refuse(p, "'%s' is no shape: wants [16,3,3,3]", s);
    for (const char *at = s + 1; at < s + len - 1;) {
        char item[24];
        size_t n = strcspn(at, ",]");
        if (out->rank == MAX_RANK || !n || n >= sizeof item) return refuse(p, "'%s' is no shape: wants [16,3,3,3]", s);
        memcpy(item, at, n);
        item[n] = 0;
        const char *sign = symbols && n == 1 ? strchr(symbol, *item) : NULL;
        if (sign)
            out->dim[out->rank] = DIM_BATCH - (sign - symbol);
        else
            TRY(integer(p, item, 1, MOST_ELEMENTS, &out->dim[out->rank]));
        out->rank++;
        at += n + (at[n] == ',');
    }
    return DYN_OK;
}

/* "F32[16,3]" */
static Status type(Parser *p, char *s, bool symbols, Type *t)
{
    char *bracket = strchr(s, '[');
    if (!bracket) return refuse(p, "'%s' is no type: wants F32[16,3,3,3]", s);
    TRY(shape(p, bracket, symbols, &t->shape));
    *bracket = 0;
    return dtype(p, s, &t->dtype);
}

static Status too_large(Parser *p, const Shape *s)
{
    int64_t n = shape_count(s);
    return n < 0 || n > MOST_ELEMENTS ? refuse(p, "more than 2^40 elements") : DYN_OK;
}

static Status nominal(Parser *p)
{
    enum { MOST = 1 << 20 };
    Binding b;
    if (p->n != 6 || p->g->n_value > 1 || p->g->n_param)
        return refuse(p, "wants first, and once: nominal BATCH HEIGHT WIDTH TARGETS TYPE");
    TRY(integer(p, p->word[1], 1, MOST, &b.batch));
    TRY(integer(p, p->word[2], 1, MOST, &b.height));
    TRY(integer(p, p->word[3], 1, MOST, &b.width));
    TRY(integer(p, p->word[4], 1, MOST, &b.targets));
    TRY(dtype(p, p->word[5], &b.act));
    if (b.act != F32 && b.act != BF16 && b.act != F64) return refuse(p, "activations are F32, BF16 or F64");
    graph_nominal(p->g, &b);
    return DYN_OK;
}

static int index_of(const char *const *names, int n, const char *s, size_t len)
{
    int i = 0;
    while (i < n && !(strlen(names[i]) == len && !memcmp(names[i], s, len)))
        i++;
    return i;
}

static Status schedule(Parser *p, char *s, ScheduleSpec *out)
{
    double *field[] = { &out->start, &out->end, &out->step, &out->epochs, &out->published };
    for (size_t i = 0; i < COUNT_OF(field); i++) {
        char *comma = strchr(s, ',');
        if (!comma != (i + 1 == COUNT_OF(field))) return refuse(p, "schedule= wants five numbers");
        if (comma) *comma = 0;
        if (!str_to_double(s, field[i])) return refuse(p, "schedule: '%s' is no number", s);
        if (comma) s = comma + 1;
    }
    return DYN_OK;
}

/* file=, schedule= and frozen of a parameter. */
static Status param_word(Parser *p, char *word, ParamSpec *spec)
{
    if (str_starts(word, "file=")) {
        TRY(shape(p, word + 5, false, &spec->file_shape));
        if (shape_count(&spec->file_shape) != shape_count(&spec->shape)) return refuse(p, "%s: other elements", word);
        return DYN_OK;
    }
    if (str_starts(word, "schedule=") && spec->kind == PARAM_SCHEDULE) return schedule(p, word + 9, &spec->schedule);
    if (!str_eq(word, "frozen")) return refuse(p, "'%s' is not known of a parameter", word);
    spec->trainable = false;
    return DYN_OK;
}

static Status param(Parser *p)
{
    const char *form = "wants param NAME KIND SHAPE INIT=NUMBER";
    if (p->n < 3) return refuse(p, "%s", form);
    int kind = index_of(param_kind_names, N_PARAM_KIND, p->word[2], strlen(p->word[2]));
    if (kind == N_PARAM_KIND) return refuse(p, "'%s' is no kind of parameter", p->word[2]);
    if (graph_find_param(p->g, p->word[1]) >= 0) return refuse(p, "parameter '%s' a second time", p->word[1]);
    if (kind == PARAM_COUNT) {
        if (p->n > 3) return refuse(p, "a counter has no shape");
        graph_counter(p->g, p->word[1]);
        return built(p);
    }
    Shape s;
    Init init;
    char *eq = p->n > 4 ? strchr(p->word[4], '=') : NULL;
    if (!eq) return refuse(p, "%s", form);
    TRY(shape(p, p->word[3], false, &s));
    init.kind = (InitKind)index_of(init_kind_names, N_INIT_KIND, p->word[4], (size_t)(eq - p->word[4]));
    if (init.kind == N_INIT_KIND || !str_to_double(eq + 1, &init.a))
        return refuse(p, "'%s' is no initial value", p->word[4]);
    ParamSpec *spec = graph_declare(p->g, graph_name(p->g, p->word[1]), (ParamKind)kind, s, init);
    TRY(built(p));
    for (int i = 5; i < p->n; i++)
        TRY(param_word(p, p->word[i], spec));
    return DYN_OK;
}

static Status input_leaf(Parser *p, const char *name, int n, Value *v)
{
    Type t = { 0 };
    if (n < 1 || n > 2 || (n == 2 && !str_eq(p->word[3], "rowmajor")))
        return refuse(p, "wants NAME: input TYPE[N,3,H,W], and rowmajor where it is");
    TRY(type(p, p->word[2], true, &t));
    t.rowmajor = n == 2;
    Type bound = leaf_type(&(Node) { .leaf = t }, &p->g->nominal);
    TRY(too_large(p, &bound.shape));
    *v = graph_input(p->g, name, t);
    return DYN_OK;
}

static Status const_leaf(Parser *p, int n, Value *v)
{
    Type t = { 0 };
    if (n != 2) return refuse(p, "wants NAME: const TYPE[..] BYTES");
    TRY(type(p, p->word[2], false, &t));
    TRY(too_large(p, &t.shape));
    const char *hex = p->word[3];
    size_t bytes = type_bytes(&t);
    if (strlen(hex) != 2 * bytes || strspn(hex, "0123456789abcdef") != 2 * bytes)
        return refuse(p, "a constant of %zu bytes wants as many pairs of hexadecimal digits", bytes);
    unsigned char *data = arena_alloc(p->a, bytes + 1);
    if (!data) return fail_nomem(p->err, bytes);
    for (size_t i = 0; i < 2 * bytes; i++) {
        int digit = isdigit((unsigned char)hex[i]) ? hex[i] - '0' : hex[i] - 'a' + 10;
        data[i / 2] = (unsigned char)(data[i / 2] << 4 | digit);
    }
    *v = graph_const(p->g, t, data);
    return DYN_OK;
}

/* "%5[1,3,640,640]", "%5" or "-" */
static Status operand(Parser *p, const char *word, Value *v)
{
    char expected[160], number[24], text[128];
    size_t len = strcspn(word, "[");
    int64_t id;
    *v = (Value) { 0 };
    if (str_eq(word, "-")) return DYN_OK;
    if (*word != '%' || len >= sizeof number) return refuse(p, "'%s' is no value: wants %%NUMBER or -", word);
    memcpy(number, word + 1, len - 1);
    number[len - 1] = 0;
    TRY(integer(p, number, 1, graph_n_values(p->g), &id));
    v->id = (int32_t)id;
    snprintf(expected, sizeof expected, "%%%d%s", v->id, shape_text(&value_type(p->g, *v)->shape, text, sizeof text));
    return !word[len] || str_eq(word, expected) ? DYN_OK : refuse(p, "'%s' is %s", word, expected);
}

static Status attribute(Parser *p, char *word, Attr *a)
{
    char *eq = strchr(word, '=');
    if (!eq) return refuse(p, "'%s' is no input and no attribute", word);
    *eq = 0;
    char *value = eq + 1;
    size_t len = strlen(value);
    *a = (Attr) { .name = word, .kind = ATTR_TEXT, .s = value };
    if (len > 1 && value[0] == '"' && value[len - 1] == '"')
        value[len - 1] = 0, a->s = value + 1;
    else if (str_to_int(value, &a->i))
        a->kind = ATTR_INT;
    else if (str_to_double(value, &a->f))
        a->kind = ATTR_FLOAT;
    return DYN_OK;
}

static Status operator_node(Parser *p, const char *name, int n, Value *v)
{
    Value in[MAX_PORTS];
    Attr attr[MAX_ATTRS];
    int n_in = 0, n_attr = 0;
    const OpDef *op = p->find(p->word[1]);
    if (!op) return refuse(p, "no operator '%s'", p->word[1]);
    for (int i = 0; i < n; i++) {
        char *word = p->word[2 + i];
        if (*word == '%' || str_eq(word, "-")) {
            if (n_in == MAX_PORTS || n_attr) return refuse(p, "inputs come first, at most %d", MAX_PORTS);
            TRY(operand(p, word, &in[n_in++]));
        } else {
            if (n_attr == MAX_ATTRS) return refuse(p, "more than %d attributes", MAX_ATTRS);
            TRY(attribute(p, word, &attr[n_attr++]));
        }
    }
    const char *old = p->g->scope;
    p->g->scope = name;
    *v = graph_emit(p->g, op, in, n_in, attr, n_attr);
    p->g->scope = old;
    return DYN_OK;
}

/* What the text says of the results, from word i on, must be what came out: "%4:F32[1,16,320,320]" or "%4". */
static Status check_results(Parser *p, const Node *n, int i)
{
    if (p->n - i != n->n_out) return refuse(p, "has %d results, the text names %d", n->n_out, p->n - i);
    for (int k = 0; k < n->n_out; k++, i++) {
        char number[24], whole[192], text[128];
        const Type *t = value_type(p->g, value_at(n->out, k));
        snprintf(number, sizeof number, "%%%d", n->out.id + k);
        snprintf(whole, sizeof whole, "%s:%s%s", number, dtype_name(t->dtype),
                 shape_text(&t->shape, text, sizeof text));
        if (!str_eq(p->word[i], number) && !str_eq(p->word[i], whole))
            return refuse(p, "'%s' comes out as %s", p->word[i], whole);
    }
    return DYN_OK;
}

/* "NAME: KIND ... -> results"; word[0] has lost its colon. */
static Status node(Parser *p)
{
    Value v = { 0 };
    int arrow = 2;
    while (arrow < p->n && !str_eq(p->word[arrow], "->"))
        arrow++;
    if (arrow >= p->n) return refuse(p, "wants NAME: OPERATOR %%INPUTS ATTRIBUTES -> %%RESULTS");
    const char *name = graph_name(p->g, p->word[0]), *kind = p->word[1];
    TRY(built(p));
    if (str_eq(kind, "input"))
        TRY(input_leaf(p, name, arrow - 2, &v));
    else if (str_eq(kind, "const"))
        TRY(const_leaf(p, arrow - 2, &v));
    else if (str_eq(kind, "param")) {
        int at = graph_find_param(p->g, name);
        if (arrow != 2 || at < 0 || p->g->param[at]->kind == PARAM_COUNT)
            return refuse(p, "no parameter '%s' with a value is declared", name);
        v = graph_param_leaf(p->g, at);
    } else
        TRY(operator_node(p, name, arrow - 2, &v));
    TRY(built(p));
    Node *n = p->g->node[p->g->n_node - 1];
    n->name = name;
    n->origin = (Origin) { p->g->text_file, p->line, -1 };
    return check_results(p, n, arrow + 1);
}

static Status output(Parser *p)
{
    Value v;
    if (p->n != 3) return refuse(p, "wants output NAME %%VALUE");
    TRY(operand(p, p->word[2], &v));
    if (!v.id) return refuse(p, "an output that is void");
    graph_output(p->g, p->word[1], v);
    return built(p);
}

static Status parse_line(Parser *p, char *line)
{
    TRY(split_words(p, line));
    if (!p->n) return DYN_OK;
    size_t len = strlen(p->word[0]);
    if (p->word[0][len - 1] == ':') {
        p->word[0][len - 1] = 0;
        return p->n > 1 ? node(p) : refuse(p, "a name without an operator");
    }
    if (str_eq(p->word[0], "nominal")) return nominal(p);
    if (str_eq(p->word[0], "param")) return param(p);
    if (str_eq(p->word[0], "output")) return output(p);
    return refuse(p, "'%s': wants nominal, param, output or NAME:", p->word[0]);
}

static Status parse_lines(Parser *p, const char *text, size_t n)
{
    for (size_t at = 0; at < n;) {
        const char *end = memchr(text + at, '\n', n - at);
        size_t len = end ? (size_t)(end - text) - at : n - at;
        ArenaMark mark = arena_mark(p->a);
        p->line++;
        if (memchr(text + at, 0, len)) return refuse(p, "a zero byte");
        char *line = arena_strndup(p->a, text + at, len);
        if (!line) return fail_nomem(p->err, len);
        TRY(parse_line(p, line));
        arena_release(p->a, mark);
        at += len + 1;
    }
    return DYN_OK;
}

Status graph_parse(const char *file, const char *text, size_t n, GraphOpFn *find, Graph **out, Error *err)
{
    Parser p = { .file = file, .find = find, .err = err, .a = arena_new() };
    if (!p.a) return fail_nomem(err, 1);
    Status s = graph_new(&p.g, err);
    if (s == DYN_OK && !(p.g->text_file = arena_strdup(p.g->a, file))) s = fail_nomem(err, strlen(file));
    if (s == DYN_OK) s = parse_lines(&p, text, n);
    arena_free(&p.a);
    if (s == DYN_OK)
        *out = p.g;
    else
        graph_free(&p.g);
    return s;
}
