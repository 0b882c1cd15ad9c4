#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""golden_modules - value and gradients of YAML modules, computed by PyTorch in float64 from implementations that are
written here, from the modules' specification alone: the oracle of tests/test_modules.c.

usage: golden_modules.py OUT_DIR [MODULE...]       e.g. python3 tools/golden_modules.py tests/data

Writes OUT_DIR/module_MODULE.safetensors for each module. Note `i` is the line of case i (see tests/module_case.h, whose
fill rule stands here again); the file holds `i.y`, `i.grad:x` and `i.grad:NAME` for every trained parameter, under the
names of its state dict. Inputs and parameters are not in the file: both sides make them by the rule. A module is a class
made by NAME(c_in, *args, **keywords); args is YAML. The same command gives the same bytes."""
import re
import sys

import torch
import yaml
from torch import nn

import golden_file as gf
import golden_attention
import golden_dynconv
import golden_dysample
import golden_odconv
import golden_plain

MODULES = {}  # name -> (class, case lines)
for part in (golden_plain, golden_dynconv, golden_dysample, golden_attention, golden_odconv):
    MODULES.update(part.MODULES)


def fill(amp, j, n):
    e = torch.arange(n, dtype=torch.float64)
    return amp * torch.sin(1 + 0.7 * j + 0.37 * e)


def is_norm(module):
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


def fill_parameters(net, amp, plain):
    """The rule of tests/module_case.h."""
    j, state = 1, 100
    owners = {f"{path}.{k}".lstrip("."): (m, k) for path, m in net.named_modules()
              for k in (*m._parameters, *m._buffers)}
    for name, t in net.state_dict(keep_vars=True).items():
        owner, leaf = owners[name]
        n = t.numel()
        with torch.no_grad():
            if isinstance(t, nn.Parameter):
                norm = is_norm(owner)
                if norm and plain:
                    t.fill_(leaf == "weight")
                else:
                    t.copy_((float(norm and leaf == "weight") + fill(amp, j, n)).reshape(t.shape))
                j += 1
            elif leaf in ("running_mean", "running_var"):
                var = leaf == "running_var"
                t.fill_(var) if plain else t.copy_((float(var) + fill(amp, state, n)).reshape(t.shape))
                state += 1


def set_norms(net):
    """What the reference does to every BatchNorm2d of a model."""
    for m in net.modules():
        if is_norm(m):
            m.eps, m.momentum = 1e-3, 0.03


def run(make, line):
    """-> {name: array} of one case."""
    head, args = line.split("args=", 1)
    shape = [int(v) for v in re.search(r"x\[([\d,]+)\]", head)[1].split(",")]
    options = dict(w.split("=", 1) for w in head.split() if "=" in w)
    args = yaml.safe_load(args)
    keywords = args.pop() if args and isinstance(args[-1], dict) else {}
    if "repeat" in options:
        keywords["repeat"] = int(options["repeat"])
    net = make(shape[1], *args, **keywords).double()
    set_norms(net)
    for m in net.modules():
        if "temperature" in options and hasattr(m, "temperature"):
            m.temperature = float(options["temperature"])
    fill_parameters(net, float(options.get("amp", 0.5)), options.get("bn") == "plain")
    net.train(options.get("train") == "1")
    x = fill(1.0, 0, torch.Size(shape).numel()).reshape(shape).requires_grad_()
    y = net(x)
    dy = torch.cos(0.11 * torch.arange(y.numel(), dtype=torch.float64)).reshape(y.shape)
    (y * dy).sum().backward()
    out = {"y": y.detach(), "grad:x": x.grad}
    for name, p in net.named_parameters():
        out[f"grad:{name}"] = torch.zeros_like(p) if p.grad is None else p.grad
    return {k: v.numpy() for k, v in out.items()}


def write(folder, name):
    make, lines = MODULES[name]
    tensors = {}
    for i, line in enumerate(lines):
        tensors.update({f"{i}.{k}": v for k, v in run(make, line).items()})
    gf.save(f"{folder}/module_{name}.safetensors", tensors, {str(i): line for i, line in enumerate(lines)})


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    for name in sys.argv[2:] or MODULES:
        write(sys.argv[1], name)
