#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""golden_ops - values and gradients of every operator, computed by PyTorch in float64: the oracle of the operator tests.

usage: golden_ops.py OUT_DIR [OP...]       e.g. python3 tools/golden_ops.py tests/data

Writes OUT_DIR/ops_OP.safetensors for each operator, and loss.safetensors (golden_loss.py). Per case i of an operator: the
inputs (F32, exact) under their names in the case line, the output `i.y` (F64), an upstream gradient `i.dy` (F32), and
`i.dNAME` (F64) for each input that has a gradient. Inputs are in the order in which the operator takes them. Where an operator
returns more than y, the further outputs have the operator's own names for them; `i.NAME_out` is an input that it updates;
several outputs of one kind are y0, y1, ... with dy0, dy1, ... The same command gives the same bytes."""
import re
import sys

import torch
import torch.nn.functional as F

import golden_file as gf
import golden_loss

ACTS = {"none": lambda x: x, "silu": F.silu, "relu": F.relu, "sigmoid": torch.sigmoid, "leaky_relu": F.leaky_relu,
        "hardswish": F.hardswish, "gelu": F.gelu, "tanh": torch.tanh, "mish": F.mish}
OPS = {}     # name -> (function of (inputs in order, attributes), case lines)
CONSTANT = {"yolo_decode", "image"}  # operators that nothing flows back through
DRAW = {}    # (op, input) -> how to draw it, where a normal distribution will not do


def op(name, *cases):
    def register(fn):
        OPS[name] = (fn, cases)
        return fn
    return register


@op("conv2d",
    "x[1,8,5,7] w[6,8,1,1] b[6] stride=1 pad=0 dilation=1 groups=1",
    "x[3,4,7,5] w[5,4,3,3] b[5] stride=1 pad=1 dilation=1 groups=1",
    "x[1,3,9,11] w[16,3,3,3] stride=2 pad=1 dilation=1 groups=1",
    "x[3,3,8,8] w[8,3,3,3] stride=2 pad=1 dilation=1 groups=1",
    "x[1,16,6,6] w[24,16,3,3] stride=1 pad=1 dilation=1 groups=1",
    "x[2,5,6,5] w[3,5,5,5] b[3] stride=1 pad=2 dilation=1 groups=1",
    "x[1,4,7,9] w[3,4,5,5] stride=2 pad=2 dilation=1 groups=1",
    "x[2,6,5,5] w[8,3,3,3] b[8] stride=1 pad=1 dilation=1 groups=2",
    "x[3,7,5,6] w[7,1,3,3] stride=1 pad=1 dilation=1 groups=7",
    "x[1,16,7,7] w[16,1,3,3] b[16] stride=2 pad=1 dilation=1 groups=16",
    "x[1,4,9,8] w[5,4,3,3] stride=1 pad=2 dilation=2 groups=1",
    "x[1,3,4,4] w[4,3,3,3] stride=1 pad=0 dilation=1 groups=1",
    "x[1,17,1,1] w[19,17,1,1] b[19] stride=1 pad=0 dilation=1 groups=1",
    "x[2,6,5,5] w[4,6,1,1] stride=2 pad=0 dilation=1 groups=1",
    "x[1,2,3,13] w[3,2,3,3] stride=3 pad=1 dilation=1 groups=1",
    "x[2,3,8,8] w[5,3,1,5] pad=0 pad_w=2",
    "x[2,3,8,8] w[5,3,3,3] b[5] res[2,5,8,8] pad=1 act=silu")
def conv2d(t, a):
    pad = a["pad"], a.get("pad_w", a["pad"])
    y = F.conv2d(*t[:3], stride=a.get("stride", 1), padding=pad, dilation=a.get("dilation", 1), groups=a.get("groups", 1))
    return ACTS[a.get("act", "none")](y) + (t[3] if len(t) > 3 else 0)


@op("dynconv2d",
    "x[3,4,7,6] bank[4,6,4,3,3] mix[3,4,1,1] stride=2 pad=1",
    "x[2,6,5,4] bank[4,8,3,3,3] mix[2,4,1,1] bias_bank[4,8] in_scale[2,6,1,1] out_scale[2,8,1,1] spatial[2,9,1,1] b[8] pad=1 groups=2",
    "x[2,5,6,5] bank[3,5,1,3,3] mix[2,3,1,1] bias_bank[3,5] pad=1 groups=5",
    "x[1,4,6,7] bank[2,8,1,3,3] mix[1,2,1,1] - in_scale[1,4,1,1] out_scale[1,8,1,1] spatial[1,9,1,1] stride=2 pad=1 groups=4",
    "x[1,3,9,8] bank[2,4,3,3,3] mix[1,2,1,1] pad=2 dilation=2",
    "x[3,5,4,4] bank[1,7,5,1,1] - - in_scale[3,5,1,1] out_scale[3,7,1,1]",
    "x[2,3,6,7] bank[1,4,3,3,3] - bias_bank[1,4] in_scale[2,3,1,1] out_scale[2,4,1,1] spatial[2,9,1,1] stride=2 pad=1",
    "x[2,3,6,7] bank[2,4,3,3,3] mix[2,2,1,1] same=1 stride=2",
    "x[1,3,5,6] bank[2,4,3,2,4] mix[1,2,1,1] same=1 stride=1",
    "x[1,3,7,10] bank[2,4,3,3,3] mix[1,2,1,1] same=1 stride=3 dilation=2",
    "x[2,3,5,6] bank[2,4,3,3,1] mix[2,2,1,1] pad=1 pad_w=0",
    "x[2,4,5,5] bank[3,6,4,3,3] mix[2,3,1,1] bias_bank[3,6] - - - b[6] res[2,6,5,5] pad=1 act=silu")
def dynconv2d(t, a):
    """A kernel for every sample, one sample after the other."""
    x, bank, mix, bias_bank, in_scale, out_scale, spatial, b, res = t + [None] * (9 - len(t))
    stride, dilation, (kh, kw) = a.get("stride", 1), a.get("dilation", 1), bank.shape[3:]
    y = []
    for n in range(len(x)):
        share = torch.ones(1, dtype=torch.float64) if mix is None else mix[n, :, 0, 0]
        w = torch.einsum("k,koiab->oiab", share, bank)
        w = w if spatial is None else w * spatial[n].reshape(1, 1, kh, kw)
        xn = x[n:n + 1] if in_scale is None else x[n:n + 1] * in_scale[n]
        if a.get("same"):
            both = [max((-(-xn.shape[d] // stride) - 1) * stride + dilation * (k - 1) + 1 - xn.shape[d], 0)
                    for d, k in ((3, kw), (2, kh))]
            xn, pad = F.pad(xn, [side for p in both for side in (p // 2, p - p // 2)]), 0
        else:
            pad = a.get("pad", 0), a.get("pad_w", a.get("pad", 0))
        z = F.conv2d(xn, w, None, stride, pad, dilation, a.get("groups", 1))[0]
        z = z if out_scale is None else z * out_scale[n]
        y.append(z if bias_bank is None else z + (share @ bias_bank)[:, None, None])
    y = torch.stack(y)
    y = ACTS[a.get("act", "none")](y if b is None else y + b[:, None, None])
    return y if res is None else y + res


NORM = "x[{0}] gamma[{1}] beta[{1}] mean[{1}] var[{1}]"


@op("batchnorm",
    NORM.format("2,4,3,5", 4) + " train=1",
    NORM.format("1,3,3,3", 3) + " train=1 eps=0.001 momentum=0.03",
    NORM.format("3,17,2,2", 17) + " train=1",
    NORM.format("5,2,1,1", 2) + " train=1 eps=0.00001 momentum=0.1",
    NORM.format("2,4,3,5", 4) + " train=0",
    NORM.format("1,17,3,3", 17) + " train=0",
    NORM.format("5,3", 3) + " train=1",
    NORM.format("1,3,1,1", 3) + " train=1 act=silu",
    *(NORM.format("3,2,2,3", 2) + f" train=1 act={act}" for act in ACTS),
    NORM.format("3,2,2,3", 2) + " train=0 act=silu")
def batchnorm(t, a):
    """One value a channel: as with train=0 (PyTorch refuses)."""
    x, gamma, beta, mean, var = t
    axes = [d for d in range(x.dim()) if d != 1]
    train = bool(a["train"]) and x[:, 0].numel() > 1
    mean, var, eps = mean.detach().clone(), var.detach().clone(), a.get("eps", 1e-3)
    y = F.batch_norm(x, mean, var, gamma, beta, train, a.get("momentum", 0.03), eps)
    used = (x.mean(axes), x.var(axes, unbiased=False)) if train else (mean, var)
    return {"y": ACTS[a.get("act", "none")](y), "save_mean": used[0], "save_rstd": 1 / torch.sqrt(used[1] + eps),
            "mean_out": mean, "var_out": var}


DRAW["batchnorm", "var"] = lambda key, s: gf.uniform(key, s, 0.2, 2)
DRAW["batchnorm", "x"] = lambda key, s: gf.normal(key, s, 2) + 3  # a mean far from zero shows a careless variance

UNARY = ("x[2,3,4,5]", "x[1,17,3,1]", "x[7]")
op("relu", *UNARY)(lambda t, a: F.relu(t[0]))
op("leaky_relu", *(c + " slope=0.1" for c in UNARY))(lambda t, a: F.leaky_relu(t[0], a["slope"]))
op("silu", *UNARY)(lambda t, a: F.silu(t[0]))
op("sigmoid", *UNARY)(lambda t, a: torch.sigmoid(t[0]))
op("tanh", *UNARY)(lambda t, a: torch.tanh(t[0]))
op("hardswish", *UNARY)(lambda t, a: F.hardswish(t[0]))
op("mish", *UNARY)(lambda t, a: F.mish(t[0]))
op("gelu", *UNARY)(lambda t, a: F.gelu(t[0]))
op("exp", *UNARY)(lambda t, a: torch.exp(t[0]))
op("log", *UNARY)(lambda t, a: torch.log(t[0]))
op("sqrt", *UNARY)(lambda t, a: torch.sqrt(t[0]))
op("scale", *(c + " a=0.375 b=-2" for c in UNARY))(lambda t, a: t[0] * a["a"] + a["b"])
for name in "relu", "leaky_relu", "silu", "sigmoid", "tanh", "hardswish", "gelu", "mish":
    DRAW[name, "x"] = lambda key, s: gf.normal(key, s, 3)  # both tails
for name in "log", "sqrt":
    DRAW[name, "x"] = lambda key, s: gf.uniform(key, s, 0.05, 4)

BINARY = ("a[2,3,4,5] b[2,3,4,5]", "a[2,3,4,5] b[1,3,1,1]", "a[1,3,1,1] b[2,3,4,5]", "a[2,3,1,1] b[2,3,3,5]",
          "a[2,1,4,5] b[2,3,4,5]", "a[3,1,5,1] b[1,4,1,2]", "a[6] b[1]")
op("add", *BINARY)(lambda t, a: t[0] + t[1])
op("sub", *BINARY)(lambda t, a: t[0] - t[1])
op("mul", *BINARY)(lambda t, a: t[0] * t[1])
op("div", *BINARY)(lambda t, a: t[0] / t[1])
DRAW["div", "b"] = lambda key, s: gf.uniform(key, s, 0.3, 2) * (1 - 2 * (gf.uniform(key + "sign", s, 0, 1) < 0.5))


@op("maxpool2d", "x[2,3,7,6] k=5 stride=1 pad=2", "x[1,17,4,4] k=5 stride=1 pad=2", "x[3,2,8,7] k=2 stride=2 pad=0",
    "x[1,4,9,9] k=3 stride=2 pad=1", "x[1,1,1,1] k=5 stride=1 pad=2")
def maxpool2d(t, a):
    return F.max_pool2d(t[0], a["k"], a["stride"], a["pad"])


DRAW["maxpool2d", "x"] = lambda key, s: gf.normal(key, s, 1.5).round()  # many equal maxima: the first one counts
op("gap", "x[2,5,3,7]", "x[1,17,1,1]", "x[3,4,8,8]", "x[2,3,5,4] out=f32")(lambda t, a: t[0].mean((2, 3), keepdim=True))
op("upsample_nearest", "x[2,3,3,5] scale=2", "x[1,17,1,1] scale=2", "x[3,2,2,3] scale=3")(
    lambda t, a: F.interpolate(t[0], scale_factor=a["scale"], mode="nearest"))
op("concat", "x0[2,3,4,5] x1[2,2,4,5] dim=1", "x0[1,16,3,3] x1[1,1,3,3] x2[1,7,3,3] dim=1",
   "x0[2,3,2,2] x1[2,3,2,2] x2[2,3,2,2] x3[2,3,2,2] dim=1", "x0[2,4,3] x1[2,4,5] x2[2,4,1] dim=2",
   "x0[1,3,2,2] x1[2,3,2,2] dim=0")(lambda t, a: torch.cat(t, a["dim"]))
op("slice", "x[2,6,3,3] dim=1 lo=0 hi=3", "x[1,5,2,2] dim=1 lo=4 hi=5", "x[2,3,4,6] dim=3 lo=1 hi=5",
   "x[3,2,5,2] dim=0 lo=1 hi=3")(lambda t, a: t[0].narrow(a["dim"], a["lo"], a["hi"] - a["lo"]))


@op("pad", "x[2,3,4,5] dim=1 lo=2 hi=1", "x[1,2,3,3] dim=2 lo=0 hi=4", "x[2,1,3,2] dim=3 lo=1 hi=0")
def pad(t, a):
    """Zeros: lo of them before, hi of them behind."""
    rest = t[0].dim() - 1 - a["dim"]
    return F.pad(t[0], [0, 0] * rest + [a["lo"], a["hi"]])


@op("split", "x[2,6,3,3] n_out=2 dim=1", "x[1,6,2,5] n_out=3 dim=1", "x[4,2,3] n_out=4 dim=0")
def split(t, a):
    return list(torch.chunk(t[0], a["n_out"], a["dim"]))


@op("reshape", "x[2,6,2,3] shape=2,6,6", "x[2,6,2,3] shape=2,2,3,6", "x[1,12,1,1] shape=1,3,4,1", "x[2,3,4] shape=24",
    "x[3,6,2,5] shape==0,=1,=2*3", "x[2,12,3,1] shape==0,4,-1", "x[2,8,3,2] shape==0,=2*3,2,4")
def reshape(t, a):
    """=k is input dimension k, =a*b a product of them."""
    items = a["shape"] if isinstance(a["shape"], list) else str(a["shape"]).split(",")
    sizes = [torch.Size(t[0].shape[int(k)] for k in str(i)[1:].split("*")).numel() if str(i)[0] == "=" else int(i)
             for i in items]
    return t[0].reshape(sizes)


op("transpose", "x[2,3,4,5] perm=0,2,3,1", "x[2,3,4,5] perm=0,1,3,2", "x[2,3,4] perm=1,0,2", "x[2,3,2,2] perm=3,2,1,0",
   "x[4,5] perm=1,0")(lambda t, a: t[0].permute(a["perm"]))


@op("softmax", "x[2,5,3,4] dim=1", "x[1,16,2,3] dim=1", "x[2,3,4,7] dim=3", "x[3,4] dim=1", "x[2,3,4,2] dim=2",
    "x[2,5,3,4] space=1", "x[1,3,7,1] space=1", "x[2,17,1,1] space=1")
def softmax(t, a):
    if a.get("space"):
        return torch.softmax(t[0].flatten(2), 2).reshape(t[0].shape)
    return torch.softmax(t[0], a["dim"])


DRAW["softmax", "x"] = lambda key, s: gf.normal(key, s, 4)


@op("matmul", "a[3,4] b[4,5]", "a[2,3,4] b[2,4,5]", "a[2,2,3,7] b[2,2,7,4]", "a[2,3,4] b[1,4,5]", "a[1,1,17] b[1,17,1]",
    "a[3,4] b[5,4] tb=1", "a[2,4,3] b[2,4,5] ta=1", "a[2,4,3] b[1,5,4] ta=1 tb=1")
def matmul(t, a):
    return (t[0].mT if a.get("ta") else t[0]) @ (t[1].mT if a.get("tb") else t[1])


op("pool_outer", "a[2,5,3,4] b[2,3,3,4]", "a[1,17,6,5] b[1,9,6,5]", "a[3,2,1,1] b[3,4,1,1]")(
    lambda t, a: torch.einsum("nchw,nmhw->ncm", t[0], t[1])[..., None])
op("mix_channels", "g[2,5,3,1] v[2,3,3,4]", "g[1,17,9,1] v[1,9,6,5]", "g[3,2,4,1] v[3,2,5,1] t=1",
   "g[2,5,3,1] v[2,5,2,3] t=1")(
    lambda t, a: torch.einsum("ncm,nchw->nmhw" if a.get("t") else "ncm,nmhw->nchw", t[0][..., 0], t[1]))
op("sum_to", "x[2,3,4,5] like[1,3,1,1]", "x[2,3,1] like[2,3,1]", "x[3,7] like[1,1]")(
    lambda t, a: t[0].sum_to_size(t[1].shape))
op("image", "x[1,3,5,4]:u8", "x[2,1,3,3]:u8 scale=0.5")(lambda t, a: t[0] * a.get("scale", 1 / 255))
DRAW["image", "x"] = lambda key, s: gf.uniform(key, s, 0, 256).astype("uint8")
REDUCE = ("x[2,3,4,5] dims=2,3 keep=1", "x[2,3,4,5] dims=1 keep=1", "x[2,3,4,5] dims=0,2,3 keep=0", "x[3,4,5] dims=0 keep=0",
          "x[2,3,4] dims=0,1,2 keep=0")
op("reduce_sum", *REDUCE)(lambda t, a: torch.atleast_1d(t[0].sum(as_list(a["dims"]), keepdim=bool(a["keep"]))))
op("reduce_mean", *REDUCE)(lambda t, a: torch.atleast_1d(t[0].mean(as_list(a["dims"]), keepdim=bool(a["keep"]))))
op("pixel_shuffle", "x[2,8,3,2] scale=2", "x[1,9,2,3] scale=3", "x[1,4,1,1] scale=2")(
    lambda t, a: F.pixel_shuffle(t[0], a["scale"]))


@op("subpixel_linear", "x[2,8,3,4] w[4,2,1,1] b[4] scale=2", "x[1,18,2,3] w[3,2,1,1] scale=3", "x[3,5,2,2] w[4,5,1,1] b[4] scale=1")
def subpixel_linear(t, a):
    return F.pixel_unshuffle(F.conv2d(F.pixel_shuffle(t[0], a["scale"]), *t[1:]), a["scale"])


@op("dysample", "x[2,8,3,4] off[2,32,3,4] scale=2 groups=4", "x[1,6,5,2] off[1,36,5,2] scale=3 groups=2",
    "x[1,5,4,1] off[1,8,4,1] scale=2 groups=1", "x[3,4,1,3] off[3,8,1,3] scale=1 groups=4",
    "x[1,4,2,3] off[1,64,2,3] scale=4 groups=2")
def dysample(t, a):
    """Through grid_sample, groups folded into the batch; offsets are in pixels, channel ((q G + g) r + ry) r + rx, q = 0: x."""
    x, off = t
    n, c, h, w = x.shape
    r, groups = a["scale"], a["groups"]
    off = off.view(n, 2, groups * r * r, h, w)
    place = torch.stack([off[:, 0] + torch.arange(w), off[:, 1] + torch.arange(h)[:, None]], 1)
    grid = (2 * place + 1) / torch.tensor([w, h]).view(1, 2, 1, 1, 1) - 1
    grid = F.pixel_shuffle(grid.view(n, -1, h, w), r).view(n, 2, groups, r * h, r * w)
    grid = grid.permute(0, 2, 3, 4, 1).flatten(0, 1)
    y = F.grid_sample(x.reshape(n * groups, -1, h, w), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return y.view(n, c, r * h, r * w)


@op("yolo_decode",
    "box0[2,64,4,4] box1[2,64,2,2] box2[2,64,1,1] cls0[2,3,4,4] cls1[2,3,2,2] cls2[2,3,1,1] strides=8,16,32 reg_max=16",
    "box0[1,64,3,5] box1[1,64,2,3] box2[1,64,1,2] cls0[1,1,3,5] cls1[1,1,2,3] cls2[1,1,1,2] strides=8,16,32 reg_max=16")
def yolo_decode(t, a):
    """y [N, A, 4+nc]: cx, cy, w, h in input pixels, then class probabilities, of which score [N, A] is the maximum."""
    n = len(a["strides"])
    grid, stride = golden_loss.anchors([m.shape[2:] for m in t[:n]], a["strides"])
    ltrb = golden_loss.distances(golden_loss.flatten(t[:n]), a["reg_max"])
    lo, hi = grid - ltrb[..., :2], grid + ltrb[..., 2:]
    box = torch.cat([(lo + hi) / 2, hi - lo], 2) * stride
    cls = torch.sigmoid(golden_loss.flatten(t[n:]))
    return {"y": torch.cat([box, cls], 2), "score": cls.amax(2)}


DRAW["dysample", "off"] = lambda key, s: gf.normal(key, s, 1.5)  # many of them beyond the border
for level in range(3):
    DRAW["yolo_decode", f"box{level}"] = lambda key, s: gf.normal(key, s, 3)
    DRAW["yolo_decode", f"cls{level}"] = lambda key, s: gf.normal(key, s, 3)


def as_list(v):
    return v if isinstance(v, list) else [v]


def run(name):
    """All cases of one operator -> (tensors, metadata)"""
    fn, cases = OPS[name]
    tensors, meta = {}, {}
    for i, line in enumerate(cases):
        shapes, attrs = gf.parse(line)
        meta[str(i)] = line
        leaves = []
        for k, shape in shapes.items():
            if shape is None:
                leaves.append(None)
                continue
            value = DRAW.get((name, k), gf.normal)(f"{name} {i} {k}", shape)
            tensors[f"{i}.{k}"] = value if value.dtype == "uint8" else value.astype("float32")
            leaves.append(torch.tensor(tensors[f"{i}.{k}"], dtype=torch.float64, requires_grad=True))
        out = fn(leaves, attrs)
        out = {f"y{k}": v for k, v in enumerate(out)} if isinstance(out, list) else out if isinstance(out, dict) else {"y": out}
        for k in [k for k in out if re.fullmatch(r"y\d*", k)]:
            dy = gf.normal(f"{name} {i} d{k}", tuple(out[k].shape))
            tensors[f"{i}.d{k}"] = dy
            if name not in CONSTANT:
                out[k].backward(torch.tensor(dy, dtype=torch.float64), retain_graph=True)
        tensors.update({f"{i}.{k}": v.detach().numpy() for k, v in out.items()})
        tensors.update({f"{i}.d{k}": x.grad.numpy() for k, x in zip(shapes, leaves) if x is not None and x.grad is not None})
    return tensors, meta


def main():
    out, names = sys.argv[1], sys.argv[2:] or [*OPS, "loss"]
    for name in names:
        if name == "loss":
            gf.save(f"{out}/loss.safetensors", *golden_loss.run())
        else:
            gf.save(f"{out}/ops_{name}.safetensors", *run(name))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
