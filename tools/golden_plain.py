# SPDX-License-Identifier: Apache-2.0
"""golden_plain - Conv and C2f for golden_modules.py, and what the dynamic modules build on (spec yolov8 2.1, 2.3)."""
from torch import nn
import torch


def autopad(k, p=None, d=1):
    return (d * (k - 1) + 1) // 2 if p is None else p


class Conv(nn.Module):
    def __init__(self, c1, c2, k=1, s=1, p=None, g=1, d=1, act=True):
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, k, s, autopad(k, p, d), d, g, bias=False)
        self.bn = nn.BatchNorm2d(c2)
        self.act = nn.SiLU() if act is True else nn.Identity()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    def __init__(self, c, shortcut):
        super().__init__()
        self.cv1, self.cv2 = Conv(c, c, 3), Conv(c, c, 3)
        self.shortcut = shortcut

    def forward(self, x):
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C2f(nn.Module):
    def __init__(self, c1, c2, shortcut=False, repeat=1):
        super().__init__()
        self.c = c2 // 2
        self.cv1 = Conv(c1, 2 * self.c)
        self.cv2 = Conv((2 + repeat) * self.c, c2)
        self.m = nn.ModuleList(Bottleneck(self.c, shortcut) for _ in range(repeat))

    def forward(self, x):
        parts = list(self.cv1(x).split(self.c, 1))
        for m in self.m:
            parts.append(m(parts[-1]))
        return self.cv2(torch.cat(parts, 1))


MODULES = {
    "Conv": (Conv, ["x[2,3,7,9] train=1 args=[8, 3, 2]",
                    "x[1,4,6,5] train=0 args=[6, 3, 1, null, 2, 2, false]",
                    "x[7,3,4,4] train=1 args=[4, {k: 2, p: 0}]"]),
    "C2f": (C2f, ["x[2,4,5,6] train=1 args=[8, true]",
                  "x[1,4,5,6] train=0 args=[4]"]),
}
