/* SPDX-License-Identifier: Apache-2.0
 *
 * The stack machine of pickle (opcodes: CPython Lib/pickletools.py documentation; which of them occur: spec 10.3).
 * Every operand is checked against the bytes that are left, every pop against the stack, and values are counted, so
 * that neither a cut file nor a bomb gets further than an error. What REDUCE may build is in pickle_reduce.c. */
#include "formats/pickle_util.h"

#include <inttypes.h>

/* A mark is the stack's height, kept beside it: no value on the stack has to mean "mark". */
typedef struct Machine {
    PickleMaker maker;
    const unsigned char *data;
    size_t n, at, op_at;
    PickleValue **stack, **memo;
    size_t n_stack, cap_stack, cap_memo, n_memo;
    size_t *mark;
    size_t n_mark, cap_mark;
} Machine;

static Status bad(Machine *m, const char *what)
{
    return fail(m->maker.err, DYN_FORMAT, "%s", what);
}

static Status cut(Machine *m)
{
    return bad(m, "the pickle ends in the middle");
}

/* Little-endian unsigned operand of 1, 2, 4 or 8 bytes. */
static Status operand(Machine *m, size_t bytes, uint64_t *x)
{
    *x = 0;
    if (m->n - m->at < bytes) return cut(m);
    for (size_t i = 0; i < bytes; i++)
        *x |= (uint64_t)m->data[m->at + i] << 8 * i;
    m->at += bytes;
    return DYN_OK;
}

static Status push(Machine *m, PickleValue *v)
{
    if (!arena_grow(m->maker.a, &m->stack, m->n_stack, &m->cap_stack, sizeof *m->stack))
        return fail_nomem(m->maker.err, 0);
    m->stack[m->n_stack++] = v;
    return DYN_OK;
}

/* Nothing below the last mark may be taken. */
static Status pop(Machine *m, PickleValue **v)
{
    size_t floor = m->n_mark ? m->mark[m->n_mark - 1] : 0;
    if (m->n_stack <= floor) return bad(m, "takes from an empty stack");
    *v = m->stack[--m->n_stack];
    return DYN_OK;
}

static Status top(Machine *m, PickleValue **v)
{
    TRY(pop(m, v));
    m->n_stack++;
    return DYN_OK;
}

/* The values above the last mark, which goes. */
static Status pop_mark(Machine *m, PickleValue ***items, size_t *n)
{
    if (!m->n_mark) return bad(m, "no mark on the stack");
    size_t from = m->mark[--m->n_mark];
    *items = m->stack + from;
    *n = m->n_stack - from;
    m->n_stack = from;
    return DYN_OK;
}

static Status push_new(Machine *m, PickleKind kind, PickleValue **v)
{
    TRY(pickle_new(&m->maker, kind, v));
    return push(m, *v);
}

static Status push_int(Machine *m, int64_t i)
{
    PickleValue *v;
    TRY(push_new(m, PICKLE_INT, &v));
    v->i = i;
    return DYN_OK;
}

static Status push_text(Machine *m, size_t length_bytes, bool text)
{
    uint64_t n;
    PickleValue *v;
    TRY(operand(m, length_bytes, &n));
    if (n > m->n - m->at) return cut(m);
    TRY(pickle_text(&m->maker, (const char *)m->data + m->at, (size_t)n, text, &v));
    m->at += (size_t)n;
    return push(m, v);
}

/* Two's complement of any length; beyond 64 bits it becomes a float, as good as any for what is read here. */
static Status push_long(Machine *m, size_t length_bytes)
{
    uint64_t n, low = 0;
    PickleValue *v;
    TRY(operand(m, length_bytes, &n));
    if (n > m->n - m->at) return cut(m);
    const unsigned char *p = m->data + m->at;
    m->at += (size_t)n;
    bool minus = n && p[n - 1] & 0x80;
    if (n <= 8) {
        for (size_t i = 0; i < 8; i++)
            low |= (uint64_t)(i < n ? p[i] : minus ? 0xff : 0) << 8 * i;
        return push_int(m, (int64_t)low);
    }
    TRY(push_new(m, PICKLE_FLOAT, &v));
    double scale = 1;
    for (size_t i = 0; i < n && i < 130; i++, scale *= 256)
        v->f += scale * p[i];
    if (minus) v->f -= scale;
    return DYN_OK;
}

static Status push_double(Machine *m)
{
    uint64_t bits = 0;
    PickleValue *v;
    if (m->n - m->at < 8) return cut(m);
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | m->data[m->at++];
    TRY(push_new(m, PICKLE_FLOAT, &v));
    memcpy(&v->f, &bits, 8);
    return DYN_OK;
}

/* A line "module\nname\n". */
static Status push_global(Machine *m)
{
    const char *part[2];
    size_t n[2];
    PickleValue *v;
    for (int i = 0; i < 2; i++) {
        part[i] = (const char *)m->data + m->at;
        const char *end = memchr(part[i], '\n', m->n - m->at);
        if (!end) return cut(m);
        n[i] = (size_t)(end - part[i]);
        m->at += n[i] + 1;
    }
    TRY(pickle_global(&m->maker, part[0], n[0], part[1], n[1], &v));
    return push(m, v);
}

static Status stack_global(Machine *m)
{
    PickleValue *module, *name, *v;
    TRY(pop(m, &name));
    TRY(pop(m, &module));
    if (module->kind != PICKLE_STRING || name->kind != PICKLE_STRING)
        return bad(m, "the name of a class is not a text");
    TRY(pickle_global(&m->maker, module->text.s, module->text.n, name->text.s, name->text.n, &v));
    return push(m, v);
}

static Status push_items(Machine *m, PickleKind kind, size_t count, bool marked)
{
    PickleValue **items = NULL, *v;
    size_t n = count;
    if (marked) {
        TRY(pop_mark(m, &items, &n));
    } else {
        for (size_t i = 0; i < n; i++)
            TRY(pop(m, &v));
        items = m->stack + m->n_stack;
    }
    if (kind == PICKLE_DICT && n % 2) return bad(m, "a key without a value");
    TRY(pickle_new(&m->maker, kind, &v));
    for (size_t i = 0; i < n; i++)
        TRY(pickle_append(&m->maker, v, items[i]));
    return push(m, v);
}

/* Into a list, set or dict. What an OBJECT (a subclass of one of these) is given, it swallows. */
static Status add_items(Machine *m, PickleKind kind, size_t count, bool marked)
{
    PickleValue **items = NULL, *into = NULL;
    size_t n = count;
    if (marked) {
        TRY(pop_mark(m, &items, &n));
    } else {
        for (size_t i = 0; i < n; i++)
            TRY(pop(m, &into));
        items = m->stack + m->n_stack;
    }
    TRY(top(m, &into));
    if (into->kind == PICKLE_OBJECT) return DYN_OK;
    if (into->kind != kind) return bad(m, "items for something that holds none");
    if (kind == PICKLE_DICT && n % 2) return bad(m, "a key without a value");
    for (size_t i = 0; i < n; i++)
        TRY(pickle_append(&m->maker, into, items[i]));
    return DYN_OK;
}

static Status put_memo(Machine *m, uint64_t at)
{
    PickleValue *v = NULL;
    TRY(top(m, &v));
    /* An index can be large only when as many values came before it; a stray one would ask for gigabytes. */
    if (at >= PICKLE_MAX_VALUES) return bad(m, "memo index too large");
    if (at >= m->cap_memo) {
        size_t cap = MAX(MAX(m->cap_memo * 2, (size_t)at + 1), 256);
        PickleValue **memo = ARENA_ARRAY(m->maker.a, PickleValue *, cap);
        if (!memo) return fail_nomem(m->maker.err, cap * sizeof *memo);
        if (m->cap_memo) memcpy(memo, m->memo, m->cap_memo * sizeof *memo);
        m->memo = memo;
        m->cap_memo = cap;
    }
    m->n_memo += !m->memo[at];
    m->memo[at] = v;
    return DYN_OK;
}

static Status get_memo(Machine *m, uint64_t at)
{
    if (at >= m->cap_memo || !m->memo[at]) return bad(m, "refers to a value that was not remembered");
    return push(m, m->memo[at]);
}

static Status reduce(Machine *m)
{
    PickleValue *callable, *args, *v;
    TRY(pop(m, &args));
    TRY(pop(m, &callable));
    TRY(pickle_reduce(&m->maker, callable, args, &v));
    return push(m, v);
}

/* State replaces earlier state. Values of known kinds have no state that matters (an OrderedDict's _metadata). */
static Status build(Machine *m)
{
    PickleValue *state = NULL, *v = NULL;
    TRY(pop(m, &state));
    TRY(top(m, &v));
    if (v->kind == PICKLE_OBJECT) v->object.state = state;
    return DYN_OK;
}

static Status new_object(Machine *m, bool keywords)
{
    PickleValue *ignored, *args, *class, *v;
    if (keywords) TRY(pop(m, &ignored));
    TRY(pop(m, &args));
    TRY(pop(m, &class));
    TRY(pickle_reduce(&m->maker, class, args, &v));
    return push(m, v);
}

static Status persistent(Machine *m)
{
    PickleValue *id, *v;
    TRY(pop(m, &id));
    TRY(pickle_storage(&m->maker, id, &v));
    return push(m, v);
}

static Status push_mark(Machine *m)
{
    if (!arena_grow(m->maker.a, &m->mark, m->n_mark, &m->cap_mark, sizeof *m->mark)) return fail_nomem(m->maker.err, 0);
    m->mark[m->n_mark++] = m->n_stack;
    return DYN_OK;
}

static Status push_bool(Machine *m, bool b)
{
    PickleValue *v;
    TRY(push_new(m, PICKLE_BOOL, &v));
    v->b = b;
    return DYN_OK;
}

static Status with_operand(Machine *m, size_t bytes, Status (*then)(Machine *, uint64_t))
{
    uint64_t x;
    TRY(operand(m, bytes, &x));
    return then(m, x);
}

static Status push_unsigned(Machine *m, uint64_t x)
{
    return push_int(m, (int64_t)x);
}

static Status push_int32(Machine *m, uint64_t x)
{
    return push_int(m, (int32_t)(uint32_t)x);
}

static Status check_protocol(Machine *m, uint64_t x)
{
    return x <= 5 ? DYN_OK : bad(m, "a pickle protocol newer than 5");
}

/* Frames only tell a reader how much to buffer. */
static Status skip_frame(Machine *m, uint64_t x)
{
    return DYN_OK;
}

static Status drop(Machine *m)
{
    PickleValue *v, **items;
    size_t n;
    /* POP also takes a mark that lies on top */
    if (m->n_mark && m->mark[m->n_mark - 1] == m->n_stack) return pop_mark(m, &items, &n);
    return pop(m, &v);
}

static Status duplicate(Machine *m)
{
    PickleValue *v = NULL;
    TRY(top(m, &v));
    return push(m, v);
}

static Status step(Machine *m, unsigned char op)
{
    PickleValue *v, **items;
    size_t n;
    switch (op) {
    case 0x80: return with_operand(m, 1, check_protocol);    /* PROTO */
    case 0x95: return with_operand(m, 8, skip_frame);        /* FRAME */
    case 'N': return push_new(m, PICKLE_NONE, &v);           /* NONE */
    case 0x88: return push_bool(m, true);                    /* NEWTRUE */
    case 0x89: return push_bool(m, false);                   /* NEWFALSE */
    case 'J': return with_operand(m, 4, push_int32);         /* BININT */
    case 'K': return with_operand(m, 1, push_unsigned);      /* BININT1 */
    case 'M': return with_operand(m, 2, push_unsigned);      /* BININT2 */
    case 0x8a: return push_long(m, 1);                       /* LONG1 */
    case 0x8b: return push_long(m, 4);                       /* LONG4 */
    case 'G': return push_double(m);                         /* BINFLOAT */
    case 'X': return push_text(m, 4, true);                  /* BINUNICODE */
    case 0x8c: return push_text(m, 1, true);                 /* SHORT_BINUNICODE */
    case 0x8d: return push_text(m, 8, true);                 /* BINUNICODE8 */
    case 'U': return push_text(m, 1, true);                  /* SHORT_BINSTRING */
    case 'T': return push_text(m, 4, true);                  /* BINSTRING */
    case 'C': return push_text(m, 1, false);                 /* SHORT_BINBYTES */
    case 'B': return push_text(m, 4, false);                 /* BINBYTES */
    case 0x8e: return push_text(m, 8, false);                /* BINBYTES8 */
    case 0x96: return push_text(m, 8, false);                /* BYTEARRAY8 */
    case '(': return push_mark(m);                           /* MARK */
    case '0': return drop(m);                                /* POP */
    case '1': return pop_mark(m, &items, &n);                /* POP_MARK */
    case '2': return duplicate(m);                           /* DUP */
    case ')': return push_items(m, PICKLE_TUPLE, 0, false);  /* EMPTY_TUPLE */
    case 0x85: return push_items(m, PICKLE_TUPLE, 1, false); /* TUPLE1 */
    case 0x86: return push_items(m, PICKLE_TUPLE, 2, false); /* TUPLE2 */
    case 0x87: return push_items(m, PICKLE_TUPLE, 3, false); /* TUPLE3 */
    case 't': return push_items(m, PICKLE_TUPLE, 0, true);   /* TUPLE */
    case ']': return push_new(m, PICKLE_LIST, &v);           /* EMPTY_LIST */
    case 'l': return push_items(m, PICKLE_LIST, 0, true);    /* LIST */
    case '}': return push_new(m, PICKLE_DICT, &v);           /* EMPTY_DICT */
    case 'd': return push_items(m, PICKLE_DICT, 0, true);    /* DICT */
    case 0x8f: return push_new(m, PICKLE_SET, &v);           /* EMPTY_SET */
    case 0x91: return push_items(m, PICKLE_SET, 0, true);    /* FROZENSET */
    case 'a': return add_items(m, PICKLE_LIST, 1, false);    /* APPEND */
    case 'e': return add_items(m, PICKLE_LIST, 0, true);     /* APPENDS */
    case 's': return add_items(m, PICKLE_DICT, 2, false);    /* SETITEM */
    case 'u': return add_items(m, PICKLE_DICT, 0, true);     /* SETITEMS */
    case 0x90: return add_items(m, PICKLE_SET, 0, true);     /* ADDITEMS */
    case 'q': return with_operand(m, 1, put_memo);           /* BINPUT */
    case 'r': return with_operand(m, 4, put_memo);           /* LONG_BINPUT */
    case 0x94: return put_memo(m, m->n_memo);                /* MEMOIZE */
    case 'h': return with_operand(m, 1, get_memo);           /* BINGET */
    case 'j': return with_operand(m, 4, get_memo);           /* LONG_BINGET */
    case 'c': return push_global(m);                         /* GLOBAL */
    case 0x93: return stack_global(m);                       /* STACK_GLOBAL */
    case 'R': return reduce(m);                              /* REDUCE */
    case 0x81: return new_object(m, false);                  /* NEWOBJ */
    case 0x92: return new_object(m, true);                   /* NEWOBJ_EX */
    case 'b': return build(m);                               /* BUILD */
    case 'Q': return persistent(m);                          /* BINPERSID */
    default: break;
    }
    return fail(m->maker.err, DYN_FORMAT, "opcode 0x%02x is not read here", op);
}

static Status run(Machine *m, PickleValue **root)
{
    while (m->at < m->n) {
        m->op_at = m->at;
        unsigned char op = m->data[m->at++];
        if (op == '.') return pop(m, root); /* STOP */
        TRY(step(m, op));
    }
    return cut(m);
}

Status pickle_parse(Arena *a, const char *file, const void *data, size_t n, PickleValue **root, Error *err)
{
    Machine m = { .maker = { .a = a, .err = err }, .data = data, .n = n };
    if (n > PICKLE_MAX_BYTES)
        return fail(err, DYN_FORMAT, "%s: data.pkl has %zu bytes, more than the %d that are read", file, n,
                    PICKLE_MAX_BYTES);
    /* never NULL, so that "no items" is a place on it too */
    m.cap_stack = 256;
    if (!(m.stack = ARENA_ARRAY(a, PickleValue *, m.cap_stack))) return fail_nomem(err, 0);
    Status s = run(&m, root);
    return s == DYN_FORMAT ? fail_in(err, "%s: byte %zu of data.pkl", file, m.op_at) : s;
}

const PickleValue *pickle_get(const PickleValue *v, const char *key)
{
    if (!pickle_is(v, PICKLE_DICT)) return NULL;
    for (size_t i = v->list.n / 2; i-- > 0;) {
        const PickleValue *k = v->list.item[2 * i];
        if (k->kind == PICKLE_STRING && str_eq(k->text.s, key)) return v->list.item[2 * i + 1];
    }
    return NULL;
}

const PickleValue *pickle_attr(const PickleValue *v, const char *name)
{
    return pickle_is(v, PICKLE_OBJECT) ? pickle_get(v->object.state, name) : NULL;
}

bool pickle_truthy(const PickleValue *v)
{
    if (!v || v->kind == PICKLE_NONE) return false;
    if (v->kind == PICKLE_BOOL) return v->b;
    if (v->kind == PICKLE_INT) return v->i != 0;
    if (v->kind == PICKLE_FLOAT) return v->f != 0;
    if (v->kind == PICKLE_STRING || v->kind == PICKLE_BYTES) return v->text.n != 0;
    if (v->kind >= PICKLE_TUPLE && v->kind <= PICKLE_DICT) return v->list.n != 0;
    return true;
}
