# SPDX-License-Identifier: Apache-2.0
"""golden_attention - double attention for golden_modules.py, written from section C of the specification."""
import torch
import torch.nn.functional as F
from torch import nn


class DoubleAttentionLayer(nn.Module):
    def __init__(self, c, c_m=None, c_n=None, reconstruct=False, residual=False):
        super().__init__()
        c_m, c_n = c_m or max(c // 4, 1), c_n or max(c // 4, 1)
        self.convA, self.convB, self.convV = nn.Conv2d(c, c_m, 1), nn.Conv2d(c, c_n, 1), nn.Conv2d(c, c_n, 1)
        if reconstruct:
            self.conv_reconstruct = nn.Conv2d(c_m, c, 1)
        self.reconstruct, self.residual = reconstruct, residual

    def forward(self, x):
        features = self.convA(x).flatten(2)
        # The bias shifts all logits of a softmax: its gradient is 0 in theory and 1e-15 of rounding without detach.
        gather = F.conv2d(x, self.convB.weight, self.convB.bias.detach()).flatten(2).softmax(2)
        distribute = self.convV(x).flatten(2).softmax(1)
        z = (features @ gather.transpose(1, 2) @ distribute).unflatten(2, x.shape[2:])
        y = self.conv_reconstruct(z) if self.reconstruct else z
        return y + x if self.residual else y


MODULES = {
    "DoubleAttentionLayer": (DoubleAttentionLayer, [
        # Sizes and amplitudes at which no gradient is the small difference of large sums.
        "x[2,6,3,4] args=[4, 3, true]",                # golden vector G3
        "x[1,12,7,5] amp=1.5 args=[null, null, true, true]",
        "x[7,6,3,3] amp=1.5 args=[6, 5, false, true]",         # residual without reconstruct
        "x[2,8,5,6] amp=1.5 args=[6, 8]",                      # c_n too wide to be worth moving the products
        "x[2,5,9,1] amp=1 args=[4, 4, {reconstruct: true}]",
        "x[3,4,2,3] amp=1 args=[2, 1, true]"]),              # one map: constant over space
}
