# SPDX-License-Identifier: Apache-2.0
"""golden_dynconv - dynamic convolutions for golden_modules.py, written from sections A and B of the specification. Plain
on purpose: a sample at a time, its kernel mixed by hand."""
import math

import torch
import torch.nn.functional as F
from torch import nn

from golden_plain import autopad


def per_sample(x, a, bank, bias, stride, pad, dilation, groups):
    """a [N,K] mixes bank [K,O,I,k,k] and bias [K,O]; pad(x) gives the padded image."""
    out = []
    for n in range(len(x)):
        w = sum(a[n, k] * bank[k] for k in range(len(bank)))
        b = None if bias is None else sum(a[n, k] * bias[k] for k in range(len(bank)))
        out.append(F.conv2d(pad(x[n:n + 1]), w, b, stride, 0, dilation, groups))
    return torch.cat(out)


class Symmetric:
    """p zeros on each side."""

    def __init__(self, p):
        self.p = p

    def __call__(self, x):
        return F.pad(x, (self.p,) * 4)


class Attention(nn.Module):
    def __init__(self, c, ratio, K, temperature, hidden_plus_one, fc2_bias):
        super().__init__()
        h = K if c == 3 else int(c * ratio) + hidden_plus_one
        self.fc1 = nn.Conv2d(c, h, 1, bias=False)
        self.fc2 = nn.Conv2d(h, K, 1, bias=fc2_bias)
        self.temperature = temperature

    def forward(self, x):
        z = self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return F.softmax(z.flatten(1) / self.temperature, 1)


class Dynamic_conv2d(nn.Module):
    def __init__(self, c1, c2, kernel_size, ratio=0.25, stride=1, padding=0, dilation=1, groups=1, bias=True, K=4,
                 temperature=34, init_weight=True, hidden_plus_one=False, fc2_bias=False):
        super().__init__()
        self.geometry = stride, Symmetric(padding), dilation, groups
        self.weight = nn.Parameter(torch.zeros(K, c2, c1 // groups, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(K, c2)) if bias else None
        self.attention = Attention(c1, ratio, K, temperature, hidden_plus_one, fc2_bias)

    def forward(self, x):
        return per_sample(x, self.attention(x), self.weight, self.bias, *self.geometry)


class DynConv2dBnAct(nn.Module):
    def __init__(self, c1, c2, k=1, s=1, p=None, g=1, d=1, act=True, K=4, ratio=0.25, temperature=34,
                 hidden_plus_one=False, fc2_bias=False):
        super().__init__()
        self.conv = Dynamic_conv2d(c1, c2, k, ratio, s, autopad(k, p, d), d, g, False, K, temperature, True,
                                   hidden_plus_one, fc2_bias)
        self.bn = nn.BatchNorm2d(c2)
        self.act = nn.SiLU() if act is True else nn.Identity()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


def cond_padding(padding, k, s, d):
    """Section B.2."""
    reach = d * (k - 1)
    if isinstance(padding, int):
        return Symmetric(padding)
    if padding == "valid":
        return Symmetric(0)
    if padding == "same" and (s > 1 or reach % 2):
        def pad(x):
            total = [max((math.ceil(n / s) - 1) * s + reach + 1 - n, 0) for n in x.shape[2:]]
            return F.pad(x, (total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2))
        return pad
    return Symmetric((s - 1 + reach) // 2)


class CondConv(nn.Module):
    """Holds the experts as rows."""

    def __init__(self, c1, c2, k, groups, bias, experts):
        super().__init__()
        self.shape = c2, c1 // groups, k, k
        self.weight = nn.Parameter(torch.zeros(experts, c2 * (c1 // groups) * k * k))
        self.bias = nn.Parameter(torch.zeros(experts, c2)) if bias else None


class DynamicConv_Single(nn.Module):
    def __init__(self, c1, c2, kernel_size=1, stride=1, padding="", dilation=1, groups=1, bias=False, num_experts=4):
        super().__init__()
        self.geometry = stride, cond_padding(padding, kernel_size, stride, dilation), dilation, groups
        self.routing = nn.Linear(c1, num_experts)
        self.cond_conv = CondConv(c1, c2, kernel_size, groups, bias, num_experts)

    def forward(self, x):
        a = torch.sigmoid(self.routing(x.mean((2, 3))))
        c = self.cond_conv
        return per_sample(x, a, c.weight.reshape(-1, *c.shape), c.bias, *self.geometry)


class DynamicConv(nn.Module):
    def __init__(self, c1, c2, k=1, s=1, p=None, g=1, d=1, act=True, num_experts=4):
        super().__init__()
        single = DynamicConv_Single(c1, c2, k, s, autopad(k, p, d), d, g, False, num_experts)
        self.conv = nn.Sequential(single, nn.BatchNorm2d(c2), nn.SiLU() if act is True else nn.Identity())

    def forward(self, x):
        return self.conv(x)


class DynamicBnAct(nn.Module):
    """u is the rule of tests/module_case.h for random inputs."""

    def __init__(self, c1, c2, kernel_size, stride=1, dilation=1, pad_type=None, skip=False, act_layer="nn.ReLU()",
                 norm_layer=None, drop_path_rate=0, num_experts=4):
        super().__init__()
        self.conv = DynamicConv(c1, c2, kernel_size, stride, pad_type, 1, dilation, True, num_experts)
        self.bn1 = nn.BatchNorm2d(c2)
        self.act = nn.ReLU() if act_layer == "nn.ReLU()" else nn.Identity()
        self.skip = skip and stride == 1 and c1 == c2
        self.rate = drop_path_rate

    def forward(self, x):
        y = self.act(self.bn1(self.conv(x)))
        if not self.skip:
            return y
        if self.training and self.rate:
            u = torch.remainder(0.37 * torch.arange(len(x)) + 0.11, 1)
            y = y * ((u >= self.rate).to(y.dtype) / (1 - self.rate)).reshape(-1, 1, 1, 1)
        return y + x


MODULES = {
    "Dynamic_conv2d": (Dynamic_conv2d, [
        "x[2,4,5,6] args=[6, 3, 0.5, 2, 1, {temperature: 4}]",
        "x[1,6,7,5] args=[4, 3, 0.5, 1, 2, 2, 2]",
        "x[7,3,4,5] args=[5, 1, {K: 4, temperature: 1}]",
        "x[3,4,5,3] args=[4, 3, 0.25, 1, 1, {groups: 4, K: 2, bias: false}]",
        "x[2,4,5,6] args=[3, 3, {ratio: 0.5, K: 1, padding: 1}]",
        "x[2,5,4,3] args=[4, 2, {stride: 2, hidden_plus_one: true, fc2_bias: true}]"]),
    "DynConv2dBnAct": (DynConv2dBnAct, [
        "x[2,4,5,6] train=1 args=[6, 3, 2, {ratio: 0.5}]",
        "x[1,6,7,5] train=1 args=[4, 3, 1, null, 2, 2, false, 2, 0.5, 10]",
        "x[7,4,3,5] train=0 args=[4, 3, {K: 4, temperature: 1}]",
        "x[2,3,8,8] train=0 args=[6, 3, 2]",
        "x[2,4,5,6] train=0 args=[3, 3, {K: 1, hidden_plus_one: true, fc2_bias: true}]"]),
    "DynamicConv_Single": (DynamicConv_Single, [
        "x[2,4,5,6] args=[6, 3, 2, 1, 1, 2]",
        "x[1,3,7,5] args=[4, 5, 1, '', 2, {bias: true}]",
        "x[7,4,4,5] args=[4, 3, 2, same, {num_experts: 3}]",
        "x[2,4,5,7] args=[4, 2, 1, same]",
        "x[2,4,7,6] args=[3, 3, 1, same, 2]",
        "x[2,4,5,6] args=[4, 3, 1, valid, {groups: 4, bias: true, num_experts: 1}]",
        "x[2,3,4,5] args=[5, 2, 2]",
        "x[3,5,3,2] args=[4]"]),
    "DynamicConv": (DynamicConv, [
        "x[2,4,5,6] train=1 args=[6, 3, 2]",
        "x[1,4,7,5] train=1 args=[4, 3, 1, null, 2, 2, false, 2]",
        "x[7,3,4,5] train=0 args=[5, 1, {num_experts: 1}]",
        "x[2,4,6,5] train=0 args=[4, 3, 2, 0]"]),
    "DynamicBnAct": (DynamicBnAct, [
        "x[2,4,9,11] train=1 args=[6, 3, 2]",
        "x[7,4,5,6] train=1 loose=2 args=[4, 3, 1, {skip: true, drop_path_rate: 0.5}]",
        "x[2,4,7,5] train=1 args=[4, 3, 1, 2, null, true]",
        "x[1,4,5,6] train=0 args=[4, 3, {skip: true, drop_path_rate: 0.5, num_experts: 1}]",
        "x[2,3,6,5] train=0 args=[4, 3, 2, 1, 0, {num_experts: 2, act_layer: false}]"]),
}
