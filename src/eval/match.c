/* SPDX-License-Identifier: Apache-2.0
 *
 * match - which predictions are true positives (spec 8.4).
 *
 * The definition sorts all pairs anew for every threshold. Since a prediction's best target does not depend on the
 * threshold, one walk over the predictions does the same: the best target is claimed at every level that the overlap
 * reaches and that no earlier, more confident claimant holds. Equal overlaps: the later target, as a reversed sort. */
#include "eval/eval.h"

const float iou_levels[N_IOU] = { 0.5f, 0.55f, 0.6f, 0.65f, 0.7f, 0.75f, 0.8f, 0.85f, 0.9f, 0.949999988f };

void match_predictions(const float *iou, const int32_t *pred_cls, size_t n_pred, const int32_t *target_cls,
                       size_t n_target, uint16_t *hit, uint16_t *taken)
{
    for (size_t t = 0; t < n_target; t++)
        taken[t] = 0;
    for (size_t i = 0; i < n_pred; i++) {
        size_t best = n_target;
        float best_iou = iou_levels[0];
        for (size_t t = 0; t < n_target; t++) {
            float v = iou[t * n_pred + i];
            if (target_cls[t] == pred_cls[i] && v >= best_iou) best = t, best_iou = v;
        }
        hit[i] = 0;
        if (best == n_target) continue;
        for (int k = 0; k < N_IOU; k++)
            if (best_iou >= iou_levels[k]) hit[i] |= (uint16_t)(1u << k);
        hit[i] &= (uint16_t)~taken[best];
        taken[best] |= hit[i];
    }
}
