/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolutions by oneDNN, forward and both gradients, images channels-last and dense. Constant weights are packed once;
 * others (training: f32 parameters) are reordered at each run, which costs a few per cent of the convolution.
 * The weight gradient is summed in f32 in oneDNN's layout and reordered to [O,I,kh,kw]. */
#include "backend/cpu/cpu.h"
#include "backend/cpu/onednn_util.h"
#include "ops/ops.h"

typedef struct State {
    DnnOp *op;
    DnnPass pass;
    bool packs;           /* constant weights are kept in oneDNN's layout; others are packed at each run */
    int x, w, b, res, dy; /* inputs, -1 when absent */
    size_t packed_at;     /* in scratch: weights on their way */
} State;

static void free_state(Kernel *k)
{
    State *s = k->state;
    if (!s) return;
    dnn_op_free(&s->op);
    mem_free(s);
    k->state = NULL;
}

static Status pack(Kernel *k, const KernelArgs *a, Error *err)
{
    State *s = k->state;
    return dnn_pack(s->op, a->in[s->w].data, a->packed, err);
}

static Status run(Kernel *k, const KernelArgs *a, Error *err)
{
    State *s = k->state;
    size_t packed = dnn_packed_bytes(s->op);
    void *moving = (char *)a->scratch + s->packed_at;
    DnnArgs d = { .out = a->out[0].data, .scratch = a->scratch };
    if (s->x >= 0) d.x = a->in[s->x].data;
    if (s->dy >= 0) d.dy = a->in[s->dy].data;
    if (s->b >= 0) d.b = a->in[s->b].data;
    if (s->res >= 0) d.res = a->in[s->res].data;
    if (s->pass == DNN_DW) {
        if (packed) d.out = moving;
        TRY(dnn_run(s->op, &d, err));
        return packed ? dnn_unpack(s->op, moving, a->out[0].data, err) : DYN_OK;
    }
    d.w = s->packs ? a->packed : packed ? moving : a->in[s->w].data;
    if (packed && !s->packs) TRY(dnn_pack(s->op, a->in[s->w].data, moving, err));
    return dnn_run(s->op, &d, err);
}

static DnnConv describe(const KernelPlan *p, DnnPass pass, const Type *x, const Type *w, const Type *y)
{
    const Node *n = p->node;
    int64_t pad_w = attr_int(n, "pad_w");
    DnnConv c = { .pass = pass, .n = x->shape.dim[0], .c = x->shape.dim[1], .h = x->shape.dim[2] };
    c.w = x->shape.dim[3], c.o = y->shape.dim[1], c.ho = y->shape.dim[2], c.wo = y->shape.dim[3];
    c.kh = w->shape.dim[2], c.kw = w->shape.dim[3];
    c.stride = attr_int(n, "stride"), c.pad_h = attr_int(n, "pad"), c.pad_w = pad_w < 0 ? c.pad_h : pad_w;
    c.dilation = attr_int(n, "dilation"), c.groups = attr_int(n, "groups");
    c.x = x->dtype, c.y = y->dtype;
    c.act = pass == DNN_FORWARD ? attr_text(n, "act") : "none";
    return c;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    const char *name = p->node->op->name;
    State s = { .x = 0, .w = 1, .b = -1, .res = -1, .dy = -1 };
    DnnConv c;
    if (str_eq(name, "conv2d")) {
        if (!is_float(&p->in[0]) || p->in[1].dtype != F32) return decline(why, n, "types other than f32 and bf16");
        c = describe(p, s.pass = DNN_FORWARD, &p->in[0], &p->in[1], &p->out[0]);
        if (has_in(p, 2)) c.bias = true, s.b = 2;
        if (has_in(p, 3)) c.residual = true, s.res = 3;
        if (c.residual && p->in[3].dtype != c.y) return decline(why, n, "residual of another type");
    } else if (str_eq(name, "conv2d_dx")) {
        if (!is_float(&p->in[0]) || p->in[1].dtype != F32) return decline(why, n, "types other than f32 and bf16");
        c = describe(p, s.pass = DNN_DX, &p->in[2], &p->in[1], &p->in[0]);
        s.x = -1, s.dy = 0;
    } else {
        if (!is_float(&p->in[0]) || !is_float(&p->in[1])) return decline(why, n, "types other than f32 and bf16");
        c = describe(p, s.pass = DNN_DW, &p->in[1], &p->in[2], &p->in[0]);
        s.x = 1, s.dy = 0, s.w = -1;
    }
    if (s.pass != DNN_FORWARD && c.x != c.y) return decline(why, n, "gradients of mixed types");
    if (c.n < 1 || c.ho < 1 || c.wo < 1) return decline(why, n, "empty result");
    s.op = dnn_conv(cpu->dnn, &c, p->threads, why, n);
    if (!s.op) return false;
    size_t packed = dnn_packed_bytes(s.op);
    s.packs = s.w >= 0 && p->in_const[s.w] && packed;
    s.packed_at = (dnn_scratch_bytes(s.op) + 63) & ~(size_t)63;
    k->scratch_bytes = s.packed_at + (s.packs ? 0 : packed);
    if (!(k->state = mem_alloc(sizeof s))) {
        dnn_op_free(&s.op);
        return decline(why, n, "out of memory");
    }
    memcpy(k->state, &s, sizeof s);
    k->impl = dnn_impl(s.op);
    if (s.packs) {
        char form[PACKED_FORM];
        kernel_packs(k, packed, pack, "%s", dnn_packed_form(s.op, form, sizeof form));
    }
    k->run = run;
    k->free = free_state;
    return true;
}

const CpuKernel cpu_onednn_conv = {
    .name = "onednn_conv", .ops = "conv2d conv2d_dx conv2d_dw", .priority = PRIORITY_ONEDNN, .claim = claim
};
