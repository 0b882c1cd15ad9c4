/* SPDX-License-Identifier: Apache-2.0
 *
 * Every kernel of the CPU backend against the operator's plain reference: all nodes that a case line and its gradient
 * give rise to, in f32 and bf16, at every vector level of this machine, with one thread and with three, on dense images
 * and on channel ranges of wider ones where the kernel says that it takes them. Memory around every result is watched.
 * Kernels are found through the backend: a new one needs a line here only when its shapes want it. */
#include "ops_case.h"

#include "backend/cpu/cpu.h"

#include <math.h>

static Error err;

enum { MAX_LEVELS = 8 }; /* vector levels */

/* Shapes beyond the operators' own cases: odd tails, several threads' worth of work, the sizes of real models. `!`
 * marks what a kernel must take, so that one that declines by mistake shows. */
static const char *const more[] = {
    "!conv2d x[1,3,33,31] w[16,3,3,3] b[16] stride=2 pad=1 act=silu",
    "!conv2d x[2,16,10,12] w[32,16,3,3] b[32] stride=1 pad=1 act=silu",
    "!conv2d x[1,32,13,11] w[32,32,3,3] b[32] res[1,32,13,11] pad=1 act=silu",
    "!conv2d x[1,64,9,9] w[80,64,1,1] b[80]",
    "!conv2d x[1,48,9,9] w[24,48,1,1] b[24] act=silu",
    "!conv2d x[2,24,7,5] w[24,24,1,1] b[24] res[2,24,7,5] act=silu",
    "!conv2d x[1,80,5,6] w[80,80,3,3] pad=1 b[80]",
    "!conv2d x[1,64,8,8] w[64,64,1,1] b[64] out=f32",
    "!conv2d x[1,32,9,9] w[32,1,3,3] b[32] pad=1 groups=32 act=silu",
    "!conv2d x[1,32,9,9] w[64,32,3,3] stride=2 pad=1",
    "!conv2d x[3,5,7,6] w[37,5,3,3] b[37] res[3,37,7,6] pad=1 act=silu",
    "!conv2d x[2,6,11,9] w[65,6,5,2] b[65] stride=2 pad=2 pad_w=0 act=silu",
    "!conv2d x[1,7,12,9] w[90,7,3,3] pad=2 dilation=2 act=relu",
    "!conv2d x[1,33,5,4] w[129,33,1,1] b[129] act=silu",
    "!conv2d x[2,3,2,1] w[17,3,3,3] pad=1",
    "!conv2d x[1,16,21,25] w[16,16,3,3] b[16] res[1,16,21,25] pad=1 act=silu",
    "!conv2d x[2,19,7,9] w[33,19,3,3] pad=1",
    "!conv2d x[1,9,6,5] w[20,9,3,3]",
    "!conv2d x[1,12,4,3] w[66,12,3,3] pad=2 pad_w=1",
    "!conv2d x[1,16,25,23] w[16,16,3,3] pad=1",
    "!conv2d x[2,3,17,19] w[1,3,3,3] stride=2 pad=1",
    "!conv2d x[1,1,9,8] w[5,1,7,7] pad=3",
    "!conv2d x[3,17,8,21] w[33,17,7,7] stride=2 pad=3",
    "!conv2d x[2,40,11,13] w[72,40,3,3] dilation=2 pad=2 stride=2",
    "!conv2d x[1,33,12,10] w[20,33,2,3] stride=3 pad=1",
    "!conv2d x[5,17,1,1] w[33,17,1,1]",
    "!conv2d x[2,17,1,1] w[5,17,3,3] pad=1",
    "!conv2d x[1,16,1,70] w[48,16,1,5] pad=0 pad_w=2",
    "!conv2d x[2,20,9,7] w[17,20,1,1] stride=2",
    "!conv2d x[1,48,90,65] w[40,48,3,3] pad=1",
    "!conv2d x[1,1,19,18] w[1,1,3,3] pad=1 act=silu",
    "!conv2d x[2,3,37,35] w[5,3,3,3] b[5] stride=2 pad=1 act=silu",
    "!conv2d x[1,17,6,35] w[17,17,3,3] b[17] res[1,17,6,35] pad=1 act=silu",
    "!conv2d x[2,33,10,20] w[33,33,3,3] b[33] pad=1 act=silu",
    "!conv2d x[1,31,10,20] w[18,31,3,3] b[18] pad=1 act=leaky_relu",
    "!conv2d x[1,34,9,7] w[40,34,1,1] b[40] act=silu",
    "!conv2d x[3,40,3,3] w[50,40,1,1] b[50] res[3,50,3,3] act=silu",
    "!conv2d x[1,48,40,40] w[64,48,3,3] b[64] pad=1 act=silu",
    "!conv2d x[1,4,3,2] w[16,4,3,3] pad=5",
    "!conv2d x[1,6,9,17] w[48,6,3,5] b[48] pad=1 pad_w=7 stride=3 dilation=2 act=silu",
    "!conv2d x[2,10,31,33] w[20,10,2,2] stride=2",
    "!conv2d x[1,32,5,81] w[48,32,1,1] stride=2 out=f32",
    "!conv2d x[1,20,1,1] w[36,20,3,3] pad=1 act=silu",
    "!conv2d x[1,8,40,300] w[16,8,3,3] b[16] pad=1 act=silu",
    "!conv2d_dx dy[2,33,9,7] w[33,24,3,3] x[2,24,9,7] res[2,24,9,7] pad=1",
    "!conv2d_dx dy[2,40,5,6] w[40,48,3,3] x[2,48,10,11] res[2,48,10,11] stride=2 pad=1",
    "!conv2d_dx dy[1,80,8,9] w[80,64,1,1] x[1,64,8,9] res[1,64,8,9]",
    "!conv2d_dx dy[1,32,7,8] w[32,1,3,3] x[1,32,7,8] res[1,32,7,8] pad=1 groups=32",
    "!conv2d_dx dy[3,20,1,1] w[20,17,1,1] x[3,17,1,1] res[3,17,1,1]",
    /* stacks of rows: lines through several rows, rows by themselves, taps whose channels fill tiles, several bands,
     * the last row of four alone, rows shorter than a tile, kernels of two rows */
    "!conv2d x[1,64,21,19] w[48,64,3,3] b[48] res[1,48,21,19] pad=1 act=silu",
    "!conv2d x[2,64,5,48] w[40,64,3,3] pad=1",
    "!conv2d x[1,512,14,20] w[17,512,3,3] pad=1",
    "!conv2d x[1,80,33,30] w[33,80,3,3] b[33] pad=1 act=relu out=f32",
    "!conv2d x[3,40,9,2] w[33,40,3,3] pad=1",
    "!conv2d x[2,36,13,1] w[18,36,3,2] pad=1",
    "!conv2d x[1,64,11,18] w[48,64,2,2] b[48] pad=1 act=silu",
    "!conv2d x[2,40,18,22] w[64,40,3,3] stride=2 pad=1",
    "!conv2d x[1,96,22,37] w[32,96,3,3] stride=2 pad=1",
    "!dynconv2d x[2,64,14,20] bank[4,80,64,3,3] mix[2,4,1,1]:wide:pos - - - - b[80] pad=1 act=silu",
    "!dynconv2d x[2,32,9,11] bank[4,64,32,3,3] mix[2,4,1,1]:wide:pos stride=2 pad=1",
    "!dynconv2d x[1,32,12,10] bank[4,64,32,3,3] mix[1,4,1,1]:wide:pos - - - - b[64] stride=2 pad=1 act=silu",
    "!dynconv2d x[7,16,5,6] bank[4,48,16,3,3] mix[7,4,1,1]:wide:pos bias_bank[4,48] - - - b[48] stride=2 pad=1",
    "!dynconv2d x[2,33,9,7] bank[4,37,33,3,3] mix[2,4,1,1]:wide:pos bias_bank[4,37] in_scale[2,33,1,1]:wide:pos "
    "out_scale[2,37,1,1]:wide:pos spatial[2,9,1,1]:wide:pos b[37] stride=2 pad=1",
    "!dynconv2d x[1,32,11,9] bank[1,64,32,3,3] - - in_scale[1,32,1,1]:wide:pos out_scale[1,64,1,1]:wide:pos "
    "spatial[1,9,1,1]:wide:pos stride=2 pad=1",
    "!dynconv2d x[2,16,9,7] bank[4,32,16,3,3] mix[2,4,1,1]:wide:pos - in_scale[2,16,1,1]:wide:pos "
    "out_scale[2,32,1,1]:wide:pos spatial[2,9,1,1]:wide:pos b[32] res[2,32,9,7] pad=1 act=silu",
    "!dynconv2d x[2,19,8,9] bank[3,33,19,3,3] mix[2,3,1,1]:wide:pos - in_scale[2,19,1,1]:wide:pos - "
    "spatial[2,9,1,1]:wide:pos pad=1",
    "!dynconv2d x[2,64,7,7] bank[4,64,64,3,3] mix[2,4,1,1]:wide:pos pad=1",
    "!dynconv2d x[1,48,9,8] bank[1,80,48,1,1] - - in_scale[1,48,1,1]:wide:pos out_scale[1,80,1,1]:wide:pos",
    "!dynconv2d x[2,7,9,8] bank[4,90,7,3,3] mix[2,4,1,1]:wide:pos - in_scale[2,7,1,1]:wide:pos - "
    "spatial[2,9,1,1]:wide:pos pad=2 dilation=2 act=relu",
    "!dynconv2d x[2,3,21,19] bank[4,16,3,3,3] mix[2,4,1,1]:wide:pos - in_scale[2,3,1,1]:wide:pos "
    "out_scale[2,16,1,1]:wide:pos spatial[2,9,1,1]:wide:pos b[16] stride=2 pad=1 act=silu",
    "!dynconv2d x[2,32,7,8] bank[4,32,1,3,3] mix[2,4,1,1]:wide:pos bias_bank[4,32] in_scale[2,32,1,1]:wide:pos - "
    "spatial[2,9,1,1]:wide:pos groups=32 pad=1",
    "!dynconv2d x[1,32,7,8] bank[1,32,1,3,3] - - in_scale[1,32,1,1]:wide:pos - spatial[1,9,1,1]:wide:pos groups=32 "
    "pad=1",
    "!dynconv2d x[2,64,6,7] bank[2,32,32,3,3] mix[2,2,1,1]:wide:pos - in_scale[2,64,1,1]:wide:pos "
    "out_scale[2,32,1,1]:wide:pos spatial[2,9,1,1]:wide:pos groups=2 pad=1",
    "!dynconv2d x[2,32,10,11] bank[5,32,32,3,3] mix[2,5,1,1]:wide:pos same=1 stride=2",
    "!dynconv2d x[2,16,9,11] bank[2,24,16,2,4] mix[2,2,1,1]:wide:pos - in_scale[2,16,1,1]:wide:pos same=1 stride=3",
    "!dynconv2d x[2,24,6,5] bank[1,40,24,3,3] - - - - - b[40] pad=1 out=f32",
    "!conv2d x[1,64,1,1]:wide w[4,64,1,1] b[4] act=sigmoid",
    "!conv2d x[7,33,1,1]:wide w[19,33,1,1] b[19] act=relu",
    "!conv2d x[2,16,1,1]:wide w[131,16,1,1] b[131]",
    "!conv2d x[16,256,1,1]:wide w[16,256,1,1]",
    "!softmax x[7,4,1,1]:wide dim=1",
    "!gap x[2,133,9,10] out=f32",
    "!gap x[1,64,80,80] out=f32",
    "!gap x[2,3,67,71] out=f32",
    "!fold_conv w[19,5,3,3] gamma[19] beta[19] mean[19] var[19]:pos",
    "!fold_conv w[4,19,5,3,3] gamma[19] beta[19] mean[19] var[19]:pos b[19] dim=1",
    "!fold_conv w[4,19] gamma[19] beta[19] mean[19] var[19]:pos dim=1",
    "!fold_conv w[40,70,3,3] gamma[40] beta[40] mean[40] var[40]:pos b[40]",
    "!batchnorm x[2,16,35,33] gamma[16] beta[16] mean[16] var[16]:pos train=1 act=silu",
    "!batchnorm x[2,80,11,10] gamma[80] beta[80] mean[80] var[80]:pos train=1 act=silu",
    "!batchnorm x[1,67,40,9] gamma[67] beta[67] mean[67] var[67]:pos train=1",
    "!batchnorm x[2,37,23,15] gamma[37] beta[37] mean[37] var[37]:pos res[2,37,23,15] train=1 act=silu",
    "!batchnorm x[3,96,19,21] gamma[96] beta[96] mean[96] var[96]:pos res[3,96,19,21] train=1 act=silu",
    "!batchnorm x[1,33,7,5] gamma[33] beta[33] mean[33] var[33]:pos res[1,33,7,5] act=relu",
    "!batchnorm x[1,131,8,9] gamma[131] beta[131] mean[131] var[131]:pos act=relu",
    "!batchnorm x[1,5,8,9] gamma[5] beta[5] mean[5] var[5]:pos act=mish",
    "!batchnorm x[1,5,8,9] gamma[5] beta[5] mean[5] var[5]:pos act=gelu",
    "!batchnorm x[1,5,8,9] gamma[5] beta[5] mean[5] var[5]:pos act=hardswish",
    "!silu x[1,40,21,23]",
    "!relu x[1,40,21,23]",
    "!sigmoid x[1,40,21,23]",
    "!add a[2,37,15,20] b[2,37,15,20]",
    "!mul a[2,37,15,20] b[2,37,1,1]",
    "!mul a[2,37,15,20] b[2,1,15,20]",
    "!image x[1,3,65,63]:u8",
    "!maxpool2d x[2,67,11,10] k=5 pad=2",
    "!maxpool2d x[1,17,12,13] k=3 stride=2 pad=1",
    "!upsample_nearest x[2,33,11,10] scale=2",
    "!dysample x[2,132,9,10] off[2,32,9,10]:wide",
    "!dysample x[1,64,11,13] off[1,32,11,13]:wide",
    "!dysample x[1,6,3,70] off[1,300,3,70]:wide scale=5 groups=6",
    "!dysample x[3,8,1,1] off[3,16,1,1]:wide scale=2 groups=2",
    "!dysample x[2,36,4,5] off[2,216,4,5]:wide scale=6 groups=3",
    "!subpixel_linear x[2,132,9,10] w[8,33,1,1]:wide b[8]:wide out=f32",
    "!subpixel_linear x[1,64,20,23] w[19,16,1,1]:wide out=f32",
    "!subpixel_linear x[2,36,5,4] w[6,4,1,1]:wide b[6]:wide scale=3 out=f32",
    "!subpixel_linear x[2,21,5,4] w[9,21,1,1]:wide b[9]:wide scale=1",
    "!subpixel_linear x[1,8,9,7] w[66,2,1,1]:wide",
    "!add a[2,37,15,20] b[1,37,1,1]:param",
    "!gap x[2,133,9,10]",
    "!gap x[2,133,9,10] out=f32",
    "!concat a[2,33,11,10] b[2,64,11,10] dim=1",
    "!split x[2,64,9,18] n_out=2 dim=1",
    "!slice x[2,64,9,18] dim=2 lo=3 hi=7",
    "!pad x[2,64,9,18] dim=1 lo=3 hi=7",
    "!pad x[2,6,21,20] dim=3 lo=0 hi=7",
    "!pool_outer a[2,32,21,20] b[2,8,21,20]:wide",
    "!pool_outer a[1,67,40,13] b[1,35,40,13]",
    "!pool_outer a[3,5,1,1] b[3,1,1,1]",
    "!mix_channels g[2,32,8,1]:wide v[2,8,21,20] res[2,32,21,20]",
    "!mix_channels g[1,37,67,1]:wide v[1,37,15,9] t=1",
    "!mix_channels g[2,130,20,1]:wide v[2,20,15,9]:wide - like[1]",
    "!softmax x[2,8,24,25] dim=1",
    "!softmax x[3,4,5,7] dim=1",
    "!softmax x[1,67,20,21] dim=1",
    "!softmax x[2,8,40,40] space=1",
    "!softmax x[1,67,20,21] space=1",
    "!softmax x[2,24,10,7] space=1",
    "!softmax x[1,3,1,7] space=1",
    "!matmul a[37,65] b[65,33]",
    "!matmul a[3,65,20] b[3,33,65] ta=1 tb=1",
    "!matmul a[2,40,70] b[1,70,17]",
    "!reduce_sum x[2,37,15,20] dims=0,2,3 keep=1",
    "!reduce_sum x[2,37,15,20] dims=1 keep=1",
    "!reduce_mean x[2,37,15,20] dims=2,3 keep=1",
    "!reduce_mean x[2,37,15,20] dims=0,1,2,3 keep=0",
    "!reduce_mean x[3,5,700] dims=0,2 keep=0",
    "!reduce_sum x[30,7,131] dims=1 keep=0",
    "!transpose x[3,37,41]",
    "!transpose x[2,37,15,20] perm=0,2,3,1",
    "!transpose x[37,2,20,15] perm=3,0,2,1",
    "!yolo_decode b0[2,64,12,13] b1[2,64,6,7] c0[2,80,12,13] c1[2,80,6,7] strides=8,16",
};

static const char *first_word(const char *line, char *word, size_t n)
{
    snprintf(word, n, "%.*s", (int)strcspn(line, " "), line);
    return line + strcspn(line, " ") + 1;
}

/* Types as a model has them: parameters of these operators are f32, convolution weights row-major. */
static OpCase as_in_a_model(const OpCase *c)
{
    static const char *const names[] = { "w", "b", "gamma", "beta", "mean", "var", "bank", "bias_bank" };
    OpCase m = *c;
    bool params =
        strstr(c->op->name, "conv2d") || str_starts(c->op->name, "batchnorm") || str_starts(c->op->name, "fold_conv");
    for (int i = 0; i < c->n_in; i++)
        for (size_t k = 0; params && k < COUNT_OF(names); k++)
            if (str_eq(names[k], c->name[i])) m.wide[i] = m.param[i] = true;
    return m;
}

/* ---- watched memory ----------------------------------------------------------------------------------------- */

enum { GUARD = 256, WIDER = 5, FIRST = 3 };

/* A copy of t with guards; an image lies in one that has WIDER more channels, from channel FIRST on, when asked. Bytes
 * that do not belong to it are 0xA5. */
typedef struct Watched {
    Tensor t;
    unsigned char *block;
    size_t bytes;
} Watched;

static Watched watched(const Tensor *from, bool ranged)
{
    Watched w = { .t = *from };
    int64_t count = tensor_count(from);
    bool image = from->rank == 4 && from->stride[1] == 1 && ranged;
    if (from->rank < 0 || !from->data) return w;
    if (image) {
        w.t.stride[3] = from->dim[1] + WIDER;
        w.t.stride[2] = w.t.stride[3] * from->dim[3];
        w.t.stride[0] = w.t.stride[2] * from->dim[2];
        count = from->dim[0] * w.t.stride[0];
    }
    size_t size = dtype_bytes(from->dtype);
    w.bytes = (size_t)count * size + 2 * GUARD;
    w.block = aligned_alloc(64, (w.bytes + 63) & ~(size_t)63);
    memset(w.block, 0xA5, w.bytes);
    w.t.data = w.block + GUARD + (image ? FIRST * size : 0);
    for (int64_t i = 0; i < tensor_count(from); i++)
        memcpy((char *)w.t.data + (size_t)tensor_offset(&w.t, i) * size,
               (char *)from->data + (size_t)tensor_offset(from, i) * size, size);
    return w;
}

/* Fills the elements of t with 0xA5: then every byte of the block must be 0xA5. */
static bool intact_around(const Watched *w)
{
    size_t size = dtype_bytes(w->t.dtype);
    for (int64_t i = 0; i < tensor_count(&w->t); i++)
        memset((char *)w->t.data + (size_t)tensor_offset(&w->t, i) * size, 0xA5, size);
    for (size_t i = 0; i < w->bytes; i++)
        if (w->block[i] != 0xA5) return false;
    return true;
}

/* ---- one node ----------------------------------------------------------------------------------------------- */

typedef struct Trial {
    Backend *b;
    const OpRun *r;
    const Node *n;
    const char *level;
    bool ranged, constant;
    Tensor want[CASE_MAX * 4], in[CASE_MAX * 4]; /* the reference's results; inputs before it ran */
} Trial;

static bool multiplies(const char *op)
{
    return str_starts(op, "conv2d") || str_starts(op, "dynconv2d") || str_starts(op, "matmul");
}

static void compare(const Trial *t, const Tensor *got, const Tensor *want, const char *what, int k)
{
    double top = 0;
    bool half = want->dtype == BF16 || t->r->act == BF16;
    for (int64_t i = 0; i < tensor_count(want); i++)
        top = MAX(top, fabs(tensor_get(want, i)));
    for (int64_t i = 0; i < tensor_count(want); i++) {
        double a = tensor_get(got, i), b = tensor_get(want, i);
        /* One step of bf16 where the result is stored so; products of bf16 operands have rounded weights, too. */
        double slack = 1e-5 * top + 1e-6 + (want->dtype == BF16 ? ldexp(fabs(b), -7) : 1e-5 * fabs(b));
        if (half && multiplies(t->n->op->name)) slack += 0.01 * top;
        /* Sums of gradients that were multiplied by slopes of bf16's accuracy. */
        if (half && str_eq(t->n->op->name, "batchnorm_grad")) slack += 4e-4 * top;
        if (!(fabs(a - b) <= slack) && !(isnan(a) && isnan(b)))
            fail_msg("%s: %s at %s, %s, %s, threads %d: %s %d [%lld] is %.9g, wanted %.9g (largest %g)", t->r->c->line,
                     t->n->op->name, t->level, dtype_name(t->r->act), t->ranged ? "channel range" : "dense",
                     t->b->threads, what, k, (long long)i, a, b, top);
    }
}

/* [2][C] of an image in double, two walks: what a kernel hands over for its result, or gets for its input. */
static double *moments_of(const Tensor *t)
{
    int64_t C = t->dim[1], each = t->dim[0] * t->dim[2] * t->dim[3];
    double *m = calloc(2 * (size_t)C, sizeof *m);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < tensor_count(t); i++) {
            int64_t c = i / (t->dim[2] * t->dim[3]) % C;
            double v = tensor_get(t, i), d = v - m[c];
            if (pass == 0)
                m[c] += v / (double)each;
            else
                m[C + c] += d * d;
        }
    return m;
}

/* The moments are those of the result as it is stored, to f32's accuracy of sums over a block. */
static void compare_moments(const Trial *t, const Tensor *y, const double *got)
{
    int64_t C = y->dim[1], each = tensor_count(y) / C;
    double *want = moments_of(y);
    for (int64_t c = 0; c < C; c++) {
        double sd = sqrt(want[C + c] / (double)each);
        if (!(fabs(got[c] - want[c]) <= 1e-5 * (sd + 1e-3 * fabs(want[c]))) ||
            !(fabs(got[C + c] - want[C + c]) <= 2e-5 * want[C + c] + 1e-12 * want[c] * want[c]))
            fail_msg("%s: %s at %s, %s, threads %d: moments of channel %lld are %.9g, %.9g, wanted %.9g, %.9g",
                     t->r->c->line, t->n->op->name, t->level, t->ranged ? "channel range" : "dense", t->b->threads,
                     (long long)c, got[c], got[C + c], want[c], want[C + c]);
    }
    free(want);
}

/* Runs the kernel that the backend chooses; false when none does. A kernel that packs nothing is the same whether its
 * inputs are constant. */
static bool try_node(const Trial *t)
{
    const Node *n = t->n;
    Type in[CASE_MAX * 4], out[CASE_MAX * 4];
    bool constant[CASE_MAX * 4];
    Watched win[CASE_MAX * 4] = { 0 }, wout[CASE_MAX * 4] = { 0 };
    Tensor tin[CASE_MAX * 4], tout[CASE_MAX * 4];
    char why[512] = "";
    Kernel k = { 0 };
    for (int i = 0; i < n->n_in; i++) {
        in[i] = n->in[i].id ? t->r->types[n->in[i].id] : (Type) { .shape.rank = -1 };
        constant[i] = t->constant;
    }
    for (int i = 0; i < n->n_out; i++)
        out[i] = t->r->types[n->out.id + i];
    KernelPlan plan = {
        .node = n, .in = in, .out = out, .in_const = constant, .threads = t->b->threads, .backend = t->b
    };
    plan.moments_wanted = true;
    if (!t->b->def->claim(t->b, &plan, &k, why, sizeof why)) {
        if (getenv("DYN_WHY")) printf("%s: %s (%s): %s\n", t->r->c->line, n->op->name, dtype_name(t->r->act), why);
        return false;
    }
    if (t->constant && !k.pack) {
        if (k.free) k.free(&k);
        return true;
    }
    for (int i = 0; i < n->n_in; i++) {
        win[i] = watched(&t->in[i], t->ranged && (k.strided_in >> i & 1));
        tin[i] = win[i].t;
    }
    for (int i = 0; i < n->n_out; i++) {
        wout[i] = watched(&t->want[i], t->ranged && (k.strided_out >> i & 1));
        tout[i] = wout[i].t;
        assert_true(intact_around(&wout[i])); /* and no result is there yet */
    }
    void *scratch = mem_alloc(k.scratch_bytes), *packed = mem_alloc(k.packed_bytes);
    KernelArgs args = { .in = tin, .out = tout, .scratch = scratch, .packed = packed };
    /* Handed over in one of the two ways only, so that a batchnorm is tried with and without. */
    bool image = tin[0].rank == 4;
    double *given = t->ranged && image ? moments_of(&tin[0]) : NULL;
    double *moments = k.gives_moments ? calloc(2 * (size_t)tout[0].dim[1] + 1, sizeof *moments) : NULL;
    args.moments_in = given, args.moments_out = moments;
    assert_true(!k.pack == !k.packed_bytes);
    if (k.pack) assert_ok(k.pack(&k, &args, &err));
    assert_ok(k.run(&k, &args, &err));
    for (int i = 0; i < n->n_out; i++)
        compare(t, &tout[i], &t->want[i], "output", i);
    if (moments) compare_moments(t, &tout[0], moments);
    if (moments && moments[2 * tout[0].dim[1]] != 0) fail_msg("%s: more moments than channels", t->r->c->line);
    for (int i = 0; i < n->n_in; i++)
        if (n->op->updates >> i & 1) compare(t, &tin[i], &t->r->t[n->in[i].id], "state", i);
    for (int i = 0; i < n->n_out; i++)
        if (!intact_around(&wout[i]))
            fail_msg("%s: %s at %s writes outside output %d", t->r->c->line, n->op->name, t->level, i);
    free(given), free(moments);
    for (int i = 0; i < n->n_in; i++)
        free(win[i].block);
    for (int i = 0; i < n->n_out; i++)
        free(wout[i].block);
    mem_free(scratch);
    mem_free(packed);
    if (k.free) k.free(&k);
    return true;
}

static Tensor copy_of(const Tensor *t, Arena *a)
{
    Tensor c = *t;
    if (t->rank < 0) return c;
    size_t bytes = (size_t)tensor_count(t) * dtype_bytes(t->dtype);
    c.data = arena_alloc(a, bytes);
    memcpy(c.data, t->data, bytes);
    return c;
}

/* One device for each level that the processor has and each number of threads. */
typedef struct Device {
    Backend *b;
    const char *level;
} Device;
static Device device[2 * MAX_LEVELS];
static int n_device;

static int open_devices(void **state)
{
    static const int threads[] = { 1, 3 };
    for (int i = 0; i < 2 * MAX_LEVELS && isa_at(i / 2); i++) {
        device[i].level = isa_at(i / 2)->name;
        setenv("DYN_CPU", device[i].level, 1);
        if (backend_open("cpu", threads[i % 2], NULL, &device[i].b, &err) != DYN_OK) return -1;
        n_device++;
    }
    unsetenv("DYN_CPU");
    return 0;
}

static int close_devices(void **state)
{
    while (n_device)
        backend_close(&device[--n_device].b);
    return 0;
}

/* All nodes of a built case by the reference, each then by the kernel in every way that is to be tried. */
static void try_case(const OpCase *c, DType act, bool must, Arena *a)
{
    OpCase model = as_in_a_model(c);
    OpRun r = case_build(&model, act, a);
    case_differentiate(&r);
    case_allocate(&r);
    case_draw(&r);
    for (int i = 0; i < graph_n_nodes(r.g); i++) {
        Trial t = { .r = &r, .n = graph_node(r.g, i) };
        Tensor in[CASE_MAX * 4];
        if (t.n->kind != NODE_OP || t.n->n_in >= CASE_MAX * 4) continue;
        for (int k = 0; k < t.n->n_in; k++)
            t.in[k] = t.n->in[k].id ? copy_of(&r.t[t.n->in[k].id], a) : (Tensor) { .rank = -1 };
        RefCall call = node_call(&r, t.n, in, t.want);
        t.n->op->ref(&call);
        for (int way = 0; way < 4 * n_device; way++) {
            t.ranged = way & 1, t.constant = way & 2, t.b = device[way / 4].b, t.level = device[way / 4].level;
            if (try_node(&t)) continue;
            /* sum_to of equal types is a view: the planner runs nothing */
            if (must && !str_eq(t.n->op->name, "sum_to"))
                fail_msg("%s: no kernel takes %s at %s in %s", c->line, t.n->op->name, t.level, dtype_name(act));
            break;
        }
    }
    graph_free(&r.g);
}

static void try_lines(const OpDef *op, const char *text, bool must)
{
    for (int half = 0; half < 2; half++) {
        Arena *a = arena_new();
        OpCase c;
        for (const char *s = text; case_next(op, &s, a, &c);)
            try_case(&c, half ? BF16 : F32, must, a);
        arena_free(&a);
    }
}

static void operators_own_cases(void **state)
{
    const OpDef *op;
    for (int i = 0; (op = ops_at(i)); i++)
        try_lines(op, op->cases, false);
}

static void more_shapes(void **state)
{
    for (size_t i = 0; i < COUNT_OF(more); i++) {
        char name[64];
        bool must = more[i][0] == '!';
        const char *text = first_word(more[i] + must, name, sizeof name);
        const OpDef *op = ops_find(name);
        if (!op) fail_msg("no operator '%s'", name);
        try_lines(op, text, must);
    }
}

static void ref_level_claims_nothing(void **state)
{
    Backend *b;
    Arena *a = arena_new();
    OpCase c;
    const char *text = op_silu.cases;
    char why[64];
    Kernel k = { 0 };
    setenv("DYN_CPU", "ref", 1);
    assert_ok(backend_open("cpu", 1, NULL, &b, &err));
    assert_true(case_next(&op_silu, &text, a, &c));
    OpRun r = case_build(&c, F32, a);
    case_allocate(&r);
    const Node *n = value_node(r.g, r.out[0]);
    bool constant[1] = { false };
    KernelPlan plan = { .node = n, .in = &r.types[n->in[0].id], .out = &r.types[n->out.id], .in_const = constant };
    plan.threads = 1, plan.backend = b;
    assert_false(b->def->claim(b, &plan, &k, why, sizeof why));
    backend_close(&b);
    setenv("DYN_CPU", "mmx", 1);
    assert_fails(backend_open("cpu", 1, NULL, &b, &err), DYN_USAGE, "amx");
    unsetenv("DYN_CPU");
    graph_free(&r.g);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(operators_own_cases), cmocka_unit_test(more_shapes),
                                        cmocka_unit_test(ref_level_claims_nothing) };
    return cmocka_run_group_tests(tests, open_devices, close_devices);
}
