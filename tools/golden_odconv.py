# SPDX-License-Identifier: Apache-2.0
"""golden_odconv - ODConv2d and C2f_ODConv for golden_modules.py, from section D of the modules' specification."""
import torch
import torch.nn.functional as F
from torch import nn

from golden_plain import Conv, autopad


class OneValueNorm(nn.BatchNorm2d):
    """D.7: with one value a channel the running statistics stand in for the batch's, as constants."""

    def forward(self, x):
        if x.numel() > x.shape[1]:
            return super().forward(x)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0, self.eps)


class Attention(nn.Module):
    def __init__(self, c_in, c_out, k, groups, reduction, kernels):
        super().__init__()
        width = max(int(c_in * reduction), 16)
        self.k, self.temperature = k, 30.0
        self.fc = nn.Module()
        self.fc.conv = nn.Conv2d(c_in, width, 1, bias=False)
        self.fc.bn = OneValueNorm(width)
        self.channel_fc = nn.Conv2d(width, c_in, 1)
        if not c_in == groups == c_out:
            self.filter_fc = nn.Conv2d(width, c_out, 1)
        if k > 1:
            self.spatial_fc = nn.Conv2d(width, k * k, 1)
        if kernels > 1:
            self.kernel_fc = nn.Conv2d(width, kernels, 1)

    def logits(self, name, h):
        head = getattr(self, name, None)
        return None if head is None else head(h)[:, :, 0, 0] / self.temperature

    def forward(self, x):
        h = F.relu(self.fc.bn(self.fc.conv(x.mean((2, 3), keepdim=True))))
        z = [self.logits(name, h) for name in ("channel_fc", "filter_fc", "spatial_fc")]
        channel, filters, spatial = [torch.ones(1, dtype=x.dtype) if v is None else torch.sigmoid(v) for v in z]
        mix = self.logits("kernel_fc", h)
        return channel, filters, spatial, None if mix is None else torch.softmax(mix, 1)


class ODConvPart(nn.Module):
    """The convolution alone."""

    def __init__(self, c1, c2, k, s, p, g, d, reduction, kernels):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(kernels, c2, c1 // g, k, k))
        self.attention = Attention(c1, c2, k, g, reduction, kernels)
        self.how = dict(stride=s, padding=p, dilation=d, groups=g)

    def convolve(self, x):
        c, f, sp, mix = self.attention(x)
        y = []
        for n in range(x.shape[0]):
            own = [v if v.dim() == 1 else v[n] for v in (c, f, sp)]
            w = self.weight[0] if mix is None else (mix[n].reshape(-1, 1, 1, 1, 1) * self.weight).sum(0)
            if own[2].numel() > 1:
                w = w * own[2].reshape(1, 1, *w.shape[2:])
            y.append(own[1].reshape(-1, 1, 1) * F.conv2d(own[0].reshape(-1, 1, 1) * x[n:n + 1], w, **self.how))
        return torch.cat(y)

    forward = convolve


class ODConv2d(ODConvPart):
    def __init__(self, c1, c2, k, s=1, p=None, g=1, act=True, d=1, reduction=0.0625, kernel_num=1, seed_pad=False):
        super().__init__(c1, c2, k, s, autopad(k, p, 1 if seed_pad else d), g, d, reduction, kernel_num)
        self.bn = nn.BatchNorm2d(c2)
        self.act = nn.SiLU() if act else nn.Identity()

    def forward(self, x):
        return self.act(self.bn(self.convolve(x)))


class Pair(nn.Module):
    def __init__(self, c, g, shortcut, **how):
        super().__init__()
        self.cv1, self.cv2, self.shortcut = ODConv2d(c, c, 3, **how), ODConv2d(c, c, 3, g=g, **how), shortcut

    def forward(self, x):
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C2f_ODConv(nn.Module):
    def __init__(self, c1, c2, shortcut=False, g=1, e=0.5, kernel_num=1, reduction=0.0625, repeat=1):
        super().__init__()
        h = int(c2 * e)
        how = dict(kernel_num=kernel_num, reduction=reduction)
        self.cv1, self.cv2 = Conv(c1, 2 * h), Conv((2 + repeat) * h, c2)
        self.m = nn.ModuleList(Pair(h, g, shortcut, **how) for _ in range(repeat))

    def forward(self, x):
        parts = list(self.cv1(x).chunk(2, 1))
        for pair in self.m:
            parts.append(pair(parts[-1]))
        return self.cv2(torch.cat(parts, 1))


MODULES = {
    "ODConv2d": (ODConv2d, ["x[2,4,7,6] train=1 temperature=1 loose=2 args=[6, 3, 2, {kernel_num: 4}]",
                            "x[1,4,5,6] train=0 temperature=1 loose=2 args=[6, 3, 2, null, 1, true, 1, 0.0625, 4]",
                            "x[1,4,5,6] train=1 temperature=1 loose=2 args=[6, 3, 1, {kernel_num: 4}]",
                            "x[7,3,5,4] train=1 loose=2 args=[4, 3, 2, 1, 1, false]",
                            "x[2,4,7,9] train=1 temperature=2 loose=2 args=[6, 3, 1, null, 2, true, 2, 0.5, 2]",
                            "x[2,4,7,9] train=0 temperature=1 loose=2 args=[6, 3, 1, {d: 2, seed_pad: true}]",
                            "x[2,6,5,3] train=1 temperature=1 loose=2 args=[6, 3, 1, {g: 6, kernel_num: 4}]",
                            "x[2,4,5,3] train=0 temperature=1 loose=2 args=[8, 3, 1, {g: 4}]",
                            "x[2,4,3,5] train=1 temperature=1 loose=2 args=[6, 1]",
                            "x[1,4,3,5] train=0 temperature=1 loose=2 args=[6, 1, 1, {kernel_num: 4}]",
                            "x[2,4,6,5] train=0 temperature=1 loose=2 args=[6, 2, 1, 0]"]),
    "C2f_ODConv": (C2f_ODConv, ["x[7,4,3,2] train=1 temperature=1 loose=3 args=[8, true]",
                                "x[2,4,5,3] train=0 temperature=1 amp=0.3 repeat=2 loose=3 args=[8, true, {kernel_num: 4}]",
                                "x[1,4,5,3] train=1 temperature=1 loose=3 args=[8, false, 2, 0.5, 4]"]),
}
