#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""peer_torch - PyTorch on a stock model, the peer for the training step. Prints one line of JSON.

usage: peer_torch.py [--model yolov8n-DynamicConv] [--work train|infer] [--precision f32|bf16] [--layout nhwc|nchw]
                     [--each grouped|loop] [--nc 80] [--threads 2] [--batch 8] [--imgsz 640] [--iters 10] [--warmup 3]
A training step is forward, a sum of squares over the head's maps, backward; no optimiser, so that it times the network and
nothing else. bf16 is autocast. Inference folds BatchNorm and decodes the boxes. --each: see peer_model.py."""
import argparse
import json
import statistics
import time

import torch

import peer_model


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model", default="yolov8n")
    p.add_argument("--work", choices=("train", "infer"), default="train")
    p.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    p.add_argument("--layout", choices=("nhwc", "nchw"), default="nhwc")
    p.add_argument("--each", choices=("grouped", "loop"), default="grouped")
    for name, default in ("nc", 80), ("threads", 2), ("batch", 8), ("imgsz", 640), ("iters", 10), ("warmup", 3):
        p.add_argument("--" + name, type=int, default=default)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    form = torch.channels_last if a.layout == "nhwc" else torch.contiguous_format
    peer_model.Each.way = a.each
    net = peer_model.load(a.model, a.nc)
    parameters = sum(v.numel() for v in net.parameters())
    if a.work == "infer":
        peer_model.settle(net)
        peer_model.fold(net.eval())
    net = peer_model.lay_out(net.train(a.work == "train"), form)
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
    print(json.dumps({"peer": f"torch {torch.__version__} {a.layout} {a.each}", "work": a.work, "precision": a.precision,
                      "model": a.model, "parameters": parameters, "threads": a.threads, "batch": a.batch,
                      "imgsz": a.imgsz, "iters": a.iters, "median_ms": statistics.median(ms), "min_ms": min(ms),
                      "ms_per_image": statistics.median(ms) / a.batch}))


if __name__ == "__main__":
    main()
