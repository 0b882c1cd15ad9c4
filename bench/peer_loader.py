#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""peer_loader - augmented training pictures a second of one core, of the reference package through its public interface.

usage: peer_loader.py DATA.yaml [IMGSZ] [EPOCHS]
Pictures are cached in memory, one thread works, the best epoch's processor time counts: as bench/bench_data.c does."""
import sys
import time

import cv2
import torch
from ultralytics.cfg import get_cfg
from ultralytics.data import build_yolo_dataset
from ultralytics.data.utils import check_det_dataset

data, imgsz, epochs = sys.argv[1], int((sys.argv + ["640"])[2]), int((sys.argv + ["640", "3"])[3])
cv2.setNumThreads(1)
torch.set_num_threads(1)
cfg = get_cfg(overrides={"task": "detect", "mode": "train", "imgsz": imgsz, "cache": "ram"})
info = check_det_dataset(data)
pictures = build_yolo_dataset(cfg, info["train"], 16, info, mode="train")
best = 0
for _ in range(epochs):
    start = time.thread_time()
    for i in range(len(pictures)):
        pictures[i]
    best = max(best, len(pictures) / (time.thread_time() - start))
print(f"{imgsz} x {imgsz}, mosaic, affine, HSV, flips, cached: {best:.0f} pictures/s on one core")
