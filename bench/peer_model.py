# SPDX-License-Identifier: Apache-2.0
"""peer_model - a stock model of src/model/stock in plain PyTorch, at any scale, as the peers run it.

Rows are read from the YAML, plain and dynamic modules are those of the goldens (tools/golden_*.py), so that what is timed
is what the tests hold ours to. Where a golden takes one sample after the other, plain on purpose, a peer mixes all kernels
with one product and runs them as one convolution of as many groups, which is how these modules are published, or, where
that is faster, as one convolution a sample. Names of parameters are those of the released checkpoints."""
import os
import sys

import torch
import torch.nn.functional as F
import yaml
from torch import nn

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tools"))
import golden_attention
import golden_dynconv
import golden_dysample
import golden_odconv
import golden_plain

STOCK = os.path.join(TOP, "src", "model", "stock")


# ---- a kernel for each sample, all at once --------------------------------------------------------------------------

class Each:
    """How a batch is convolved with a kernel for each sample: "grouped" or "loop"; one sample is both."""
    way = "grouped"


def convolve_each(x, w, bias, stride, padding, dilation, groups):
    """x [N,C,H,W], w [N,O,C/g,k,k], bias [N,O] or None"""
    n, o = w.shape[:2]
    if Each.way == "loop" and n > 1:
        return torch.cat([F.conv2d(x[i:i + 1], w[i], None if bias is None else bias[i], stride, padding, dilation, groups)
                          for i in range(n)])
    b = None if bias is None else bias.flatten()
    y = F.conv2d(x.reshape(1, -1, *x.shape[2:]), w.flatten(0, 1), b, stride, padding, dilation, n * groups)
    return y.reshape(n, o, *y.shape[2:])


def mixed(a, bank):
    return (a @ bank.flatten(1)).unflatten(1, bank.shape[1:])


def mix_and_convolve(x, a, bank, bias, stride, pad, dilation, groups):
    """golden_dynconv.per_sample for a whole batch."""
    own = isinstance(pad, golden_dynconv.Symmetric)
    return convolve_each(x if own else pad(x), mixed(a, bank), None if bias is None else a @ bias, stride,
                         pad.p if own else 0, dilation, groups)


def odconv(self, x):
    """golden_odconv.ODConvPart.convolve for a whole batch."""
    c, f, sp, mix = self.attention(x)
    w = self.weight.expand(len(x), -1, -1, -1, -1) if mix is None else mixed(mix, self.weight)
    if sp.dim() > 1:
        w = w * sp.reshape(len(x), 1, 1, *w.shape[3:])
    how = self.how
    y = convolve_each(x * c[..., None, None], w, None, how["stride"], how["padding"], how["dilation"], how["groups"])
    return y * f[..., None, None]


golden_dynconv.per_sample = mix_and_convolve
golden_odconv.ODConvPart.convolve = odconv


# ---- what the goldens do not have -----------------------------------------------------------------------------------

class SPPF(nn.Module):
    def __init__(self, c1, c2, k=5):
        super().__init__()
        self.cv1, self.cv2 = golden_plain.Conv(c1, c1 // 2), golden_plain.Conv(2 * c1, c2)
        self.m = nn.MaxPool2d(k, 1, k // 2)

    def forward(self, x):
        y = [self.cv1(x)]
        for _ in range(3):
            y.append(self.m(y[-1]))
        return self.cv2(torch.cat(y, 1))


class Concat(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, xs):
        return torch.cat(xs, self.dim)


class DFL(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(16, 1, 1, bias=False).requires_grad_(False)
        self.conv.weight.data = torch.arange(16.0).reshape(1, 16, 1, 1)


class Detect(nn.Module):
    def __init__(self, nc, ch, strides):
        super().__init__()
        c2, c3 = max(16, ch[0] // 4, 64), max(ch[0], min(nc, 100))
        Conv = golden_plain.Conv
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


# ---- rows -----------------------------------------------------------------------------------------------------------

WIDE = {"Conv": golden_plain.Conv, "C2f": golden_plain.C2f, "SPPF": SPPF, "C2f_ODConv": golden_odconv.C2f_ODConv,
        "ODConv2d": golden_odconv.ODConv2d, **{k: make for k, (make, _) in golden_dynconv.MODULES.items()}}
BANKS = golden_dynconv.Dynamic_conv2d, golden_dynconv.CondConv, golden_odconv.ODConvPart  # made without numbers
SAME = {"DySample": golden_dysample.DySample, "DoubleAttentionLayer": golden_attention.DoubleAttentionLayer}


class Net(nn.Module):
    def __init__(self, name, scale, nc=None):
        """name: "yolov8" or "yolov8-VARIANT", a file of src/model/stock"""
        super().__init__()
        with open(os.path.join(STOCK, name + ".yaml")) as f:
            text = yaml.safe_load(f)
        self.scale, self.nc = text["scales"][scale], nc or text["nc"]
        self.model, self.sources, names, channels, strides = nn.ModuleList(), [], {}, [], []
        for i, (source, repeats, module, args, *named) in enumerate(text["backbone"] + text["head"]):
            source = [names.get(s, s) for s in (source if isinstance(source, list) else [source])]
            source = [i + s if s < 0 else s for s in source]
            c = [channels[s] if s >= 0 else 3 for s in source]
            stride = strides[source[0]] if source[0] >= 0 else 1
            m, c_out, factor = self.row(module, repeats, list(args), c, [strides[s] for s in source if s >= 0])
            self.model.append(m)
            self.sources.append(source)
            channels.append(c_out)
            strides.append(stride * factor)
            for keywords in named:
                names[keywords["name"]] = i
        for m in self.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.eps, m.momentum = 1e-3, 0.03
            if isinstance(m, (nn.SiLU, nn.ReLU)):
                m.inplace = True
            if isinstance(m, BANKS):
                nn.init.normal_(m.weight, std=0.05)

    def row(self, module, repeats, args, c, strides):
        """-> module, its channels, the factor on the stride"""
        depth, width, limit = self.scale
        keywords = args.pop() if args and isinstance(args[-1], dict) else {}
        args = [None if a == "None" else a for a in args]
        if module in WIDE:
            c_out = int(-(-min(args[0], limit) * width // 8) * 8)
            if module.startswith("C2f"):
                keywords["repeat"] = max(round(repeats * depth), 1)
            m = WIDE[module](c[0], c_out, *args[1:], **keywords)
            return m, c_out, args[2] if module not in ("C2f", "C2f_ODConv", "SPPF") and len(args) > 2 else 1
        if module in SAME:
            m = SAME[module](c[0], *args, **keywords)
            return m, c[0], 1 / m.scale if module == "DySample" else 1
        if module == "nn.Upsample":
            return nn.Upsample(*args), c[0], 1 / args[1]
        if module == "Concat":
            return Concat(*args), sum(c), 1
        if module == "Detect":
            return Detect(self.nc, c, [int(s) for s in strides]), 0, 1
        raise ValueError(f"module {module} has no peer")

    def forward(self, x):
        y = []
        for m, source in zip(self.model, self.sources):
            xs = [y[s] if s >= 0 else x for s in source]
            y.append(m(xs[0] if len(xs) == 1 and not isinstance(m, Detect) else xs))
        return y[-1]


def lay_out(net, form):
    """Weights of convolutions in this memory format; banks of kernels have a rank that it is not defined for."""
    for v in (*net.parameters(), *net.buffers()):
        if v.dim() == 4:
            v.data = v.data.contiguous(memory_format=form)
    return net


def fold(net):
    """BatchNorm into the static convolution before it."""
    for m in net.modules():
        if isinstance(getattr(m, "conv", None), nn.Conv2d) and isinstance(getattr(m, "bn", None), nn.BatchNorm2d):
            m.conv = nn.utils.fusion.fuse_conv_bn_eval(m.conv.eval(), m.bn.eval())
            m.bn = nn.Identity()


def settle(net, imgsz=64):
    """Running statistics of one batch, so that activations of a fresh net neither vanish nor become denormal."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 1.0
    with torch.no_grad():
        net.train()(torch.rand(4, 3, imgsz, imgsz))
    for m, momentum in zip(norms, before):
        m.momentum = momentum


def load(name, nc=None):
    """name: as our command has it, without the extension: yolov8n, yolov8s-DynamicConv"""
    family, _, variant = name.partition("-")
    return Net("-".join(["yolov8"] + [variant] * bool(variant)), family[len("yolov8"):], nc)
