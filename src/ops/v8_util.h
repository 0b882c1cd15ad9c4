/* SPDX-License-Identifier: Apache-2.0
 *
 * v8_util - what v8_assign and v8_loss share: the levels of a YOLOv8 head as one list of anchor points, boxes from
 * distributions, CIoU with its gradient. Spec sections 4.2 and 4.4.
 *
 * The inputs of both operators begin with the raw maps of the head, one pair a level, finest first:
 *   box_0 .. box_{L-1} [N,4 R,h,w] logits of four distributions (left, top, right, bottom) over 0 .. R-1 grid units
 *   cls_0 .. cls_{L-1} [N,nc,h,w]  logits
 * Anchor a = 0 .. A-1 runs over levels, then rows, then columns; its point is the middle of its cell. */
#ifndef V8_UTIL_H
#define V8_UTIL_H

#include "ops/ops_util.h"

enum { V8_MAX_LEVELS = 8, V8_MAX_BINS = 64, V8_MAX_TOPK = 64 };

typedef struct V8Level {
    int64_t h, w, first; /* first: index of its first anchor */
    double stride;       /* input pixels a cell */
} V8Level;

typedef struct V8Layout {
    int n_level, bins;    /* bins: R */
    int64_t N, nc, A;     /* images, classes, anchors an image */
    double width, height; /* of the network's input, pixels */
    V8Level level[V8_MAX_LEVELS];
} V8Layout;

typedef struct V8Anchor {
    int level;
    int64_t y, x;  /* cell */
    double px, py; /* its middle, grid units */
    double stride;
} V8Anchor;

/* Number of levels that attribute strides="8,16,32" lists; 0 when it is no list of positive whole numbers. */
int v8_strides(const Node *n, double *stride);
/* Checks the 2L maps against each other and fills the layout; fails in the words of infer. */
Status v8_layout_infer(Infer *c, V8Layout *q);
/* The same from tensors that infer has accepted. */
V8Layout v8_layout(const Node *n, const Tensor *in);
V8Anchor v8_anchor(const V8Layout *q, int64_t a);

/* One side's distribution: p = softmax of R logits, returns its mean; *log_sum such that log p_k = z_k - *log_sum. */
double v8_side(const double *z, int bins, double *p, double *log_sum);
/* The four times R logits of one anchor. */
void v8_logits(const Tensor *box, const V8Layout *q, int64_t n, const V8Anchor *at, double *z);
/* Box that the head predicts at an anchor: xyxy in grid units. */
void v8_box(const Tensor *box, const V8Layout *q, int64_t n, const V8Anchor *at, double xyxy[4]);

/* Complete IoU of two xyxy boxes in one unit; d (may be NULL) receives the derivative by a, for which the weight of the
 * aspect term is a constant. */
double v8_ciou(const double a[4], const double b[4], double d[4]);

/* One row of the targets. */
typedef struct V8Target {
    bool here;  /* of this image, and its class exists */
    bool valid; /* and its corners sum to more than zero */
    int64_t cls;
    double xyxy[4]; /* input pixels */
} V8Target;
V8Target v8_target(const Tensor *targets, const V8Layout *q, int64_t row, int64_t image);
/* Whether the anchor's point lies inside a valid target. */
bool v8_inside(const V8Target *t, const V8Anchor *at);
/* Overlap (returned) and alignment of a target and a predicted box (input pixels) whose logit of the target's class is
 * z; both zero where the overlap is not positive. */
double v8_align(const V8Target *t, const double box[4], double z, double *align);

/* What an anchor is to learn. */
typedef struct V8Goal {
    double weight, xyxy[4]; /* box in grid units */
    double hi_part[4];      /* of each side's distance, which lies between the bins lo and lo + 1 */
    int lo[4];
} V8Goal;
/* assigned: target_box, cls, weight, score_sum; i = image * A + anchor. */
V8Goal v8_goal(const Tensor *assigned, const V8Layout *q, int64_t i, const V8Anchor *at);
/* Weights of classes [nc] among the inputs of v8_loss or v8_loss_grad; NULL where there are none. */
const Tensor *v8_class_weight(const Node *n, const Tensor *in);
/* Adds weight * (1 - CIoU) and weight * cross entropy of the four distributions (mean). */
void v8_box_terms(const Tensor *box, const V8Layout *q, int64_t n, const V8Anchor *at, const V8Goal *g,
                  double *box_loss, double *dfl_loss);
/* Their gradient by the 4 R logits, each with its gain. */
void v8_box_gradient(const Tensor *box, const V8Layout *q, int64_t n, const V8Anchor *at, const V8Goal *g,
                     double gain_box, double gain_dfl, double *dz);

#endif
