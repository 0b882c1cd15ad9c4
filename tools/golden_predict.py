#!/usr/bin/env python3
"""Boxes that the reference package finds, for tests/test_api.c and tests/test_reference.c.

usage: golden_predict.py SHARED OUT      (a Python that has ultralytics 8.3.x, used as a black box, and no network)

One line a picture, then one a box, best first:
  picture NAME HEIGHT WIDTH N
  CLASS CONF X1 Y1 X2 Y2
Pictures called forward.I are the arrays of oracle/forward.safetensors (imgsz 320), the others files of coco128 (imgsz 640), one
at a time, conf 0.25, iou 0.7: package defaults.
"""
import json, struct, sys
import numpy as np
from ultralytics import YOLO

NAMES = "009 025 030 042 049 061 074 077 094 109 133 142".split()
shared, out = sys.argv[1:3]
model = YOLO(f"{shared}/data/weights/yolov8n.pt")
lines = []


def add(name, source, imgsz):
    r = model.predict(source, imgsz=imgsz, conf=0.25, iou=0.7, device="cpu", save=False, verbose=False)[0]
    lines.append(f"picture {name} {r.orig_shape[0]} {r.orig_shape[1]} {len(r.boxes)}")
    for b in r.boxes.data.tolist():
        lines.append(f"{int(b[5])} {b[4]:.6f} " + " ".join(f"{v:.3f}" for v in b[:4]))


with open(f"{shared}/oracle/forward.safetensors", "rb") as f:
    head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))["x"]
    data = f.read()
first, last = head["data_offsets"]
x = np.frombuffer(data[first:last], np.uint8).reshape(head["shape"])
for i in range(len(x)):
    add(f"forward.{i}", np.ascontiguousarray(x[i][:, :, ::-1]), 320)
for k in NAMES:
    add(f"000000000{k}", f"{shared}/data/coco128/images/train2017/000000000{k}.jpg", 640)
open(out, "w").write("\n".join(lines) + "\n")
