#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""golden_optim - ten steps of each of torch.optim's optimisers in float64, for tests/test_optim.c.

usage: golden_optim.py OUT_DIR      writes optim.safetensors
  p0 [52], g [10,52]   40 weights (decay 0.05), 7 norm weights and 5 biases (no decay); a bias that never gets a gradient
  after.NAME [52]      the parameters after the ten steps; lr and momentum of step k as in rates()
  (PyTorch 2: the NAdam of 1.13 multiplies its next momentum by the present one twice)
  norm [1], clipped [52]   of g[0] by clip_grad_norm_ with maximum 2"""
import sys

import numpy as np
import torch

import golden_file as gf

SIZES, STEPS = [("weight", 40), ("norm", 7), ("bias", 5)], 10


def rates(k):
    """lr of weights and norms, lr of biases, momentum"""
    return 0.01 * (1 + k) / STEPS, 0.05 - 0.004 * k, 0.8 + 0.0137 * k


def run(make, p0, g, follows_momentum):
    parts = [torch.nn.Parameter(torch.tensor(v)) for v in np.split(p0, np.cumsum([n for _, n in SIZES])[:-1])]
    opt = make([{"params": [parts[0]], "weight_decay": 0.05}, {"params": [parts[1]]}, {"params": [parts[2]]}])
    for k in range(STEPS):
        lr, lr_bias, momentum = rates(k)
        for i, group in enumerate(opt.param_groups):
            group["lr"] = lr_bias if i == 2 else lr
            if follows_momentum:
                group["momentum"] = momentum
        for part, grad in zip(parts, np.split(g[k], np.cumsum([n for _, n in SIZES])[:-1])):
            part.grad = torch.tensor(grad)
        opt.step()
    return torch.cat([p.detach() for p in parts]).numpy()


def main():
    n = sum(n for _, n in SIZES)
    p0, g = gf.normal("optim p", (n,)).astype("float64"), gf.normal("optim g", (STEPS, n), 0.7).astype("float64")
    g[:, -1] = 0
    optim = torch.optim
    adam = dict(betas=(0.9, 0.999), eps=1e-8)
    tensors = {"p0": p0, "g": g}
    for name, make, follows in [
        ("SGD", lambda p: optim.SGD(p, lr=1, momentum=0.9, nesterov=True), True),
        ("RMSProp", lambda p: optim.RMSprop(p, lr=1, momentum=0.9), True),
        ("Adam", lambda p: optim.Adam(p, lr=1, **adam), False),
        ("AdamW", lambda p: optim.AdamW(p, lr=1, weight_decay=0, **adam), False),
        ("Adamax", lambda p: optim.Adamax(p, lr=1, **adam), False),
        ("NAdam", lambda p: optim.NAdam(p, lr=1, **adam), False),
        ("RAdam", lambda p: optim.RAdam(p, lr=1, **adam), False),
    ]:
        tensors[f"after.{name}"] = run(make, p0, g, follows)
    p = torch.nn.Parameter(torch.tensor(p0))
    p.grad = torch.tensor(g[0])
    tensors["norm"] = torch.nn.utils.clip_grad_norm_([p], 2.0).reshape(1).numpy()
    tensors["clipped"] = p.grad.numpy()
    gf.save(f"{sys.argv[1]}/optim.safetensors", tensors, {"torch": torch.__version__})


main()
