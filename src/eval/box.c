/* SPDX-License-Identifier: Apache-2.0
 *
 * box - box forms, overlap, and the way back from network to original pixels (spec 8.3, 8.9). All float32, in the
 * reference's order of operations. */
#include "eval/eval.h"

#include <math.h>

void box_xywh_to_xyxy(const float xywh[4], float xyxy[4])
{
    float x = xywh[0], y = xywh[1], w2 = xywh[2] / 2, h2 = xywh[3] / 2;
    xyxy[0] = x - w2, xyxy[1] = y - h2;
    xyxy[2] = x + w2, xyxy[3] = y + h2;
}

void box_xyxy_to_xywh(const float xyxy[4], float xywh[4])
{
    float x1 = xyxy[0], y1 = xyxy[1], x2 = xyxy[2], y2 = xyxy[3];
    xywh[0] = (x1 + x2) / 2, xywh[1] = (y1 + y2) / 2;
    xywh[2] = x2 - x1, xywh[3] = y2 - y1;
}

float box_iou(const float a[4], const float b[4])
{
    float w = MIN(a[2], b[2]) - MAX(a[0], b[0]), h = MIN(a[3], b[3]) - MAX(a[1], b[1]);
    float inter = MAX(w, 0.f) * MAX(h, 0.f);
    float area_a = (a[2] - a[0]) * (a[3] - a[1]), area_b = (b[2] - b[0]) * (b[3] - b[1]);
    return inter / (area_a + area_b - inter + 1e-7f);
}

Placement placement_guess(int32_t net_w, int32_t net_h, int32_t w0, int32_t h0)
{
    double gain = MIN((double)net_h / h0, (double)net_w / w0);
    return (Placement) { .gain = gain,
                         .pad_x = nearbyint((net_w - nearbyint(w0 * gain)) / 2 - 0.1),
                         .pad_y = nearbyint((net_h - nearbyint(h0 * gain)) / 2 - 0.1),
                         .net_w = net_w,
                         .net_h = net_h,
                         .w0 = w0,
                         .h0 = h0 };
}

void placement_undo(const Placement *l, float box[4])
{
    float gain = (float)l->gain, pad[2] = { (float)l->pad_x, (float)l->pad_y };
    float limit[2] = { (float)l->w0, (float)l->h0 };
    for (int i = 0; i < 4; i++) {
        float v = (box[i] - pad[i % 2]) / gain;
        box[i] = CLAMP(v, 0.f, limit[i % 2]);
    }
}

void placement_undo_all(const Placement *l, Detection *det, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float box[4] = { det[i].x1, det[i].y1, det[i].x2, det[i].y2 };
        placement_undo(l, box);
        det[i].x1 = box[0], det[i].y1 = box[1], det[i].x2 = box[2], det[i].y2 = box[3];
    }
}
