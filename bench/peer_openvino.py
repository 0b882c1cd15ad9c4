#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""peer_openvino - OpenVINO on an exported model, in the precision that it chooses for this processor (bf16 where there is
AMX or AVX512-BF16). Prints one line of JSON.

usage: peer_openvino.py MODEL.onnx [--threads 2] [--batch 1] [--imgsz 640] [--iters 50] [--warmup 10]
Times infer() on random pixels already in memory, outputs included."""
import argparse
import json
import statistics
import time

import numpy as np
import openvino as ov

p = argparse.ArgumentParser()
p.add_argument("model")
for name, default in ("threads", 2), ("batch", 1), ("imgsz", 640), ("iters", 50), ("warmup", 10):
    p.add_argument("--" + name, type=int, default=default)
a = p.parse_args()

core, shape = ov.Core(), [a.batch, 3, a.imgsz, a.imgsz]
model = core.read_model(a.model)
model.reshape(shape)
compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": a.threads, "PERFORMANCE_HINT": "LATENCY"})
request = compiled.create_infer_request()
feed = {0: np.random.default_rng(0).random(shape, np.float32)}
ms = []
for _ in range(a.warmup + a.iters):
    t = time.perf_counter()
    request.infer(feed)
    ms.append((time.perf_counter() - t) * 1e3)
ms = ms[a.warmup:]
print(json.dumps({"peer": f"openvino {ov.__version__}", "work": "inference",
                  "precision": str(compiled.get_property("INFERENCE_PRECISION_HINT")), "threads": a.threads,
                  "batch": a.batch, "imgsz": a.imgsz, "iters": a.iters, "median_ms": statistics.median(ms), "min_ms": min(ms),
                  "ms_per_image": statistics.median(ms) / a.batch}))
