#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""peer_ort - ONNX Runtime on an exported model, the peer for inference. Prints one line of JSON.

usage: peer_ort.py MODEL.onnx [--threads 2] [--batch 1] [--imgsz 640] [--iters 50] [--warmup 10]
Times session.run on random pixels already in memory, outputs included; a static model keeps its own batch and size."""
import argparse
import json
import statistics
import time

import numpy as np
import onnxruntime as ort

p = argparse.ArgumentParser()
p.add_argument("model")
for name, default in ("threads", 2), ("batch", 1), ("imgsz", 640), ("iters", 50), ("warmup", 10):
    p.add_argument("--" + name, type=int, default=default)
a = p.parse_args()

options = ort.SessionOptions()
options.intra_op_num_threads, options.inter_op_num_threads = a.threads, 1
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
session = ort.InferenceSession(a.model, options, providers=["CPUExecutionProvider"])
x = session.get_inputs()[0]
shape = [d if isinstance(d, int) else free for d, free in zip(x.shape, (a.batch, 3, a.imgsz, a.imgsz))]
feed = {x.name: np.random.default_rng(0).random(shape, np.float32)}
ms = []
for i in range(a.warmup + a.iters):
    t = time.perf_counter()
    session.run(None, feed)
    ms.append((time.perf_counter() - t) * 1e3)
ms = ms[a.warmup:]
print(json.dumps({"peer": f"onnxruntime {ort.__version__}", "work": "inference", "precision": "f32", "threads": a.threads,
                  "batch": shape[0], "imgsz": shape[2], "iters": a.iters, "median_ms": statistics.median(ms),
                  "min_ms": min(ms), "ms_per_image": statistics.median(ms) / shape[0]}))
