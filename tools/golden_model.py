# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/model_table.txt: what the reference package, run as a black box, says of the models that it builds
from the names of its stock files. One line a model: name, class count, parameters, leaf layers, state_dict entries,
CRC-32 of the state_dict's names and shapes in order, strides.

usage: python tools/golden_model.py    (with the reference package installed, 8.3.17 or later of 8.3)"""
import zlib

from ultralytics.nn.tasks import DetectionModel

NAMES = [f"yolov8{s}{v}.yaml" for v in ("", "-p2", "-p6") for s in "nsmlx"]

with open("tests/data/model_table.txt", "w") as out:
    for name, nc in [(n, 80) for n in NAMES] + [("yolov8n.yaml", 1), ("yolov8s.yaml", 20)]:
        m = DetectionModel(name, nc=nc, verbose=False)
        sd = m.state_dict()
        text = "".join(f"{k} {list(v.shape)}\n" for k, v in sd.items()).replace(" ", "")
        layers = len({id(x) for x in m.modules() if not list(x.children())})
        print(name, nc, sum(p.numel() for p in m.parameters()), layers, len(sd), zlib.crc32(text.encode()),
              ",".join(str(int(s)) for s in m.stride), file=out)
