#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""peer_torch - YOLOv8 in plain PyTorch, the peer for the training step. Prints one line of JSON.

usage: peer_torch.py [--work train|infer] [--precision f32|bf16] [--layout nhwc|nchw] [--scale n] [--nc 80]
                     [--threads 2] [--batch 8] [--imgsz 640] [--iters 10] [--warmup 3]
A training step is forward, a sum of squares over the head's maps, backward; no optimiser, so that it times the network and
nothing else. bf16 is autocast. Inference folds BatchNorm and decodes the boxes. Names are those of the released checkpoints."""
import argparse
import json
import statistics
import time

import torch
from torch import nn

SCALES = {"n": (0.33, 0.25, 1024), "s": (0.33, 0.5, 1024), "m": (0.67, 0.75, 768), "l": (1, 1, 512), "x": (1, 1.25, 512)}


class Conv(nn.Module):
    def __init__(self, c1, c2, k=1, s=1):
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, k, s, k // 2, bias=False)
        self.bn = nn.BatchNorm2d(c2, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))

    def fold(self):
        g = self.bn.weight / (self.bn.running_var + self.bn.eps).sqrt()
        bias = nn.Parameter(self.bn.bias - self.bn.running_mean * g)
        self.conv.weight, self.conv.bias, self.bn = nn.Parameter(self.conv.weight * g[:, None, None, None]), bias, nn.Identity()


class Bottleneck(nn.Module):
    def __init__(self, c, shortcut):
        super().__init__()
        self.cv1, self.cv2, self.shortcut = Conv(c, c, 3), Conv(c, c, 3), shortcut

    def forward(self, x):
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C2f(nn.Module):
    def __init__(self, c1, c2, n, shortcut=False):
        super().__init__()
        c = c2 // 2
        self.cv1, self.cv2 = Conv(c1, 2 * c), Conv((2 + n) * c, c2)
        self.m = nn.ModuleList(Bottleneck(c, shortcut) for _ in range(n))

    def forward(self, x):
        y = list(self.cv1(x).chunk(2, 1))
        for m in self.m:
            y.append(m(y[-1]))
        return self.cv2(torch.cat(y, 1))


class SPPF(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.cv1, self.cv2, self.m = Conv(c, c // 2), Conv(2 * c, c), nn.MaxPool2d(5, 1, 2)

    def forward(self, x):
        y = [self.cv1(x)]
        for _ in range(3):
            y.append(self.m(y[-1]))
        return self.cv2(torch.cat(y, 1))


class DFL(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(16, 1, 1, bias=False).requires_grad_(False)
        self.conv.weight.data = torch.arange(16.0).reshape(1, 16, 1, 1)


class Detect(nn.Module):
    def __init__(self, nc, ch, strides=(8, 16, 32)):
        super().__init__()
        c2, c3 = max(16, ch[0] // 4, 64), max(ch[0], min(nc, 100))
        branch = lambda c, hidden, out: nn.Sequential(Conv(c, hidden, 3), Conv(hidden, hidden, 3), nn.Conv2d(hidden, out, 1))
        self.cv2 = nn.ModuleList(branch(c, c2, 64) for c in ch)
        self.cv3 = nn.ModuleList(branch(c, c3, nc) for c in ch)
        self.dfl, self.strides = DFL(), strides

    def forward(self, xs):
        maps = [(b(x), c(x)) for x, b, c in zip(xs, self.cv2, self.cv3)]
        return maps if self.training else self.decode(maps)

    def decode(self, maps):
        """-> [N, 4+nc, A]: cx cy w h in input pixels, probabilities"""
        grid, stride = [], []
        for (b, _), s in zip(maps, self.strides):
            y, x = torch.meshgrid(*(torch.arange(d, dtype=b.dtype) + 0.5 for d in b.shape[2:]), indexing="ij")
            grid.append(torch.stack([x, y]).flatten(1))
            stride.append(torch.full((1, y.numel()), float(s), dtype=b.dtype))
        grid, stride = torch.cat(grid, 1), torch.cat(stride, 1)
        box, cls = (torch.cat([m[i].flatten(2) for m in maps], 2) for i in (0, 1))
        ltrb = self.dfl.conv(box.unflatten(1, (4, 16)).transpose(1, 2).softmax(1)).squeeze(1)
        lo, hi = grid - ltrb[:, :2], grid + ltrb[:, 2:]
        return torch.cat([(lo + hi) / 2 * stride, (hi - lo) * stride, cls.sigmoid()], 1)


class YOLOv8(nn.Module):
    def __init__(self, scale="n", nc=80):
        super().__init__()
        depth, width, limit = SCALES[scale]
        c = lambda v: int(-(-min(v, limit) * width // 8) * 8)
        n = lambda v: max(round(v * depth), 1)
        up = lambda: nn.Upsample(scale_factor=2, mode="nearest")
        c64, c128, c256, c512, c1024 = map(c, (64, 128, 256, 512, 1024))
        self.model = nn.ModuleList([
            Conv(3, c64, 3, 2), Conv(c64, c128, 3, 2), C2f(c128, c128, n(3), True), Conv(c128, c256, 3, 2),
            C2f(c256, c256, n(6), True), Conv(c256, c512, 3, 2), C2f(c512, c512, n(6), True), Conv(c512, c1024, 3, 2),
            C2f(c1024, c1024, n(3), True), SPPF(c1024), up(), nn.Identity(), C2f(c1024 + c512, c512, n(3)), up(),
            nn.Identity(), C2f(c512 + c256, c256, n(3)), Conv(c256, c256, 3, 2), nn.Identity(),
            C2f(c256 + c512, c512, n(3)), Conv(c512, c512, 3, 2), nn.Identity(), C2f(c512 + c1024, c1024, n(3)),
            Detect(nc, (c256, c512, c1024))])

    def forward(self, x):
        m = self.model
        p3 = m[4](m[3](m[2](m[1](m[0](x)))))
        p4 = m[6](m[5](p3))
        p5 = m[9](m[8](m[7](p4)))
        t4 = m[12](torch.cat([m[10](p5), p4], 1))
        t3 = m[15](torch.cat([m[13](t4), p3], 1))
        t4 = m[18](torch.cat([m[16](t3), t4], 1))
        t5 = m[21](torch.cat([m[19](t4), p5], 1))
        return m[22]([t3, t4, t5])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--work", choices=("train", "infer"), default="train")
    p.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    p.add_argument("--layout", choices=("nhwc", "nchw"), default="nhwc")
    p.add_argument("--scale", choices=SCALES, default="n")
    for name, default in ("nc", 80), ("threads", 2), ("batch", 8), ("imgsz", 640), ("iters", 10), ("warmup", 3):
        p.add_argument("--" + name, type=int, default=default)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    form = torch.channels_last if a.layout == "nhwc" else torch.contiguous_format
    net = YOLOv8(a.scale, a.nc).train(a.work == "train")
    if a.work == "infer":
        for m in net.modules():
            if isinstance(m, Conv):
                m.fold()
    net = net.to(memory_format=form)
    parameters = sum(v.numel() for v in net.parameters())
    x = torch.rand(a.batch, 3, a.imgsz, a.imgsz).to(memory_format=form)

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=a.precision == "bf16"):
            y = net(x)
        if a.work == "train":
            for v in net.parameters():
                v.grad = None
            sum(m.float().square().sum() for level in y for m in level).backward()

    ms = []
    with torch.set_grad_enabled(a.work == "train"):
        for _ in range(a.warmup + a.iters):
            t = time.perf_counter()
            step()
            ms.append((time.perf_counter() - t) * 1e3)
    ms = ms[a.warmup:]
    print(json.dumps({"peer": f"torch {torch.__version__} {a.layout}", "work": a.work,
                      "precision": a.precision, "model": f"yolov8{a.scale}", "parameters": parameters, "threads": a.threads,
                      "batch": a.batch, "imgsz": a.imgsz, "iters": a.iters, "median_ms": statistics.median(ms),
                      "min_ms": min(ms), "ms_per_image": statistics.median(ms) / a.batch}))


if __name__ == "__main__":
    main()
