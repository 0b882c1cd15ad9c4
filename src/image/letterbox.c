/* SPDX-License-Identifier: Apache-2.0
 *
 * letterbox - a picture of any shape on a canvas of a wanted shape, aspect kept, grey around it (spec 5.8). The plan is
 * separate from the work, so that shapes and box coordinates are known without pixels. */
#include "image/image.h"

#include <math.h>
#include <string.h>

/* Half to even, as Python rounds. */
static int round_even(double x)
{
    return (int)nearbyint(x);
}

/* Python's %: the sign of the divisor. */
static int modulo(int a, int b)
{
    int m = a % b;
    return m < 0 ? m + b : m;
}

Status letterbox_plan(const Letterbox *lb, int w, int h, LetterboxPlan *plan, Error *err)
{
    if (w < 1 || h < 1 || lb->w < 1 || lb->h < 1 || (lb->auto_pad && lb->stride < 1))
        return fail(err, DYN_SHAPE, "letterbox of %d x %d pixels to %d x %d with stride %d", w, h, lb->w, lb->h,
                    lb->stride);
    double r = fmin((double)lb->h / h, (double)lb->w / w);
    if (!lb->scaleup) r = fmin(r, 1);
    *plan = (LetterboxPlan) { .w = round_even(w * r), .h = round_even(h * r), .ratio_w = r, .ratio_h = r };
    double dw = lb->w - plan->w, dh = lb->h - plan->h;
    if (lb->auto_pad) {
        dw = modulo(lb->w - plan->w, lb->stride), dh = modulo(lb->h - plan->h, lb->stride);
    } else if (lb->scale_fill) {
        dw = dh = 0;
        plan->w = lb->w, plan->h = lb->h;
        plan->ratio_w = (double)lb->w / w, plan->ratio_h = (double)lb->h / h;
    }
    if (lb->center) dw /= 2, dh /= 2;
    plan->top = lb->center ? round_even(dh - 0.1) : 0, plan->bottom = round_even(dh + 0.1);
    plan->left = lb->center ? round_even(dw - 0.1) : 0, plan->right = round_even(dw + 0.1);
    plan->out_w = plan->w + plan->left + plan->right, plan->out_h = plan->h + plan->top + plan->bottom;
    if (plan->w < 1 || plan->h < 1)
        return fail(err, DYN_SHAPE, "a picture of %d x %d pixels vanishes when it is fitted into %d x %d", w, h, lb->w,
                    lb->h);
    if (plan->out_w > IMAGE_MAX_SIDE || plan->out_h > IMAGE_MAX_SIDE ||
        (int64_t)plan->out_w * plan->out_h > IMAGE_MAX_PIXELS)
        return fail(err, DYN_SHAPE, "letterbox to %d x %d pixels is too large", plan->out_w, plan->out_h);
    return DYN_OK;
}

Status letterbox_into(const LetterboxPlan *p, uint8_t pad, const Image *src, uint8_t *out, Error *err)
{
    Image canvas = { .w = p->out_w, .h = p->out_h, .stride_bytes = 3 * p->out_w, .data = out };
    Image inner = image_view(&canvas, p->left, p->top, p->w, p->h);
    Image above = image_view(&canvas, 0, 0, p->out_w, p->top);
    Image below = image_view(&canvas, 0, p->top + p->h, p->out_w, p->bottom);
    Image left = image_view(&canvas, 0, p->top, p->left, p->h);
    Image right = image_view(&canvas, p->left + p->w, p->top, p->right, p->h);
    image_fill(&above, pad);
    image_fill(&below, pad);
    image_fill(&left, pad);
    image_fill(&right, pad);
    return image_resize_into(src, &inner, err);
}
