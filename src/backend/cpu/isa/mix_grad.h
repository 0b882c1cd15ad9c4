/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of the gradients of single samples' kernels: gradients of the bank that they are mixed from, of their
 * shares and of their scales, in one pass over kernels that are read once. */
#ifndef ISA_MIX_GRAD_H
#define ISA_MIX_GRAD_H

/* One kernel is O rows of `row` floats, an output's weights; a bank is K of them. */
typedef struct MixGrad {
    int64_t K, O, row, per_group; /* per_group: outputs that share a part of `tap` */
    const float *bank;
    float *dbank;   /* added to */
    bool fresh;     /* dbank holds nothing yet */
    int64_t n;      /* samples of this call; operands and results of sample s lie behind each other */
    const float *e; /* [n][O][row], kernels e_apart floats apart: gradients of the samples' kernels as they come */
    int64_t e_apart;
    const float *mix, *out_scale; /* [n][K], [n][O]; NULL: 1 */
    const float *tap;             /* [n][groups][row] in_scale times spatial; NULL: 1 */
    double *dmix;                 /* [n][K], added to */
    double *dout;                 /* [n][O]; NULL with tap and du: there are no scales */
    float *du;                    /* [n][groups][row] gradient of tap, added to */
} MixGrad;

#endif
