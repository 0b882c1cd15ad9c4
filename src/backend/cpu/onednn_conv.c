/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolutions by oneDNN, forward and both gradients, images channels-last and dense. Constant weights are packed once;
 * others (training: f32 parameters) are reordered at each run, which costs a few per cent of the convolution. The
 * input's gradient takes no residual here: it is added afterwards.
 * The weight gradient is summed in f32 in oneDNN's layout and reordered to [O,I,kh,kw]. */
#include "backend/cpu/conv_util.h"
#include "ops/ops.h"

typedef struct State {
    DnnOp *op;
    const Isa *isa;
    DnnPass pass;
    int threads;
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
    TRY(dnn_run(s->op, &d, err));
    if (s->pass == DNN_DX && s->res >= 0) {
        Rows res = rows_of(&a->in[s->res]), dx = rows_of(&a->out[0]);
        zip_rows(s->isa, ZIP_ADD, &dx, &res, &dx, s->threads);
    }
    return DYN_OK;
}

static bool claim(const Cpu *cpu, const KernelPlan *p, Kernel *k, char *why, size_t n)
{
    State s = { .isa = cpu->isa, .threads = p->threads, .x = 0, .w = 1, .b = -1, .res = -1, .dy = -1 };
    DnnConv c;
    if (!conv_of_plan(p, &c, why, n)) return false;
    s.pass = c.pass;
    if (c.bias) s.b = 2;
    if (c.residual) s.res = 3;
    if (c.pass == DNN_DX) s.x = -1, s.dy = 0;
    if (c.pass == DNN_DW) s.x = 1, s.dy = 0, s.w = -1;
    if (c.pass != DNN_FORWARD && c.x != c.y) return decline(why, n, "gradients of mixed types");
    s.op = dnn_conv(cpu->dnn, &c, p->threads, why, n);
    if (!s.op) return false;
    size_t packed = dnn_packed_bytes(s.op);
    s.packs = s.w >= 0 && p->in_const[s.w] && packed;
    s.packed_at = mem_round(dnn_scratch_bytes(s.op));
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
    if (s.pass == DNN_DX && s.res >= 0) k->strided_in = 1 << s.res;
    k->run = run;
    k->free = free_state;
    return true;
}

const CpuKernel cpu_onednn_conv = {
    .name = "onednn_conv", .ops = "conv2d conv2d_dx conv2d_dw", .priority = PRIORITY_ONEDNN, .claim = claim
};
