#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden files for tests/test_pt.c and tests/test_safetensors.c, made by PyTorch and NumPy.

  tools/golden_pt.py [WEIGHTS_DIR]   writes tests/data/pt_*.pt and pt_state.safetensors; with a folder of released weights also
                                     tests/data/pt_yolov8{n,s}.txt: "name dtype shape first sum" of each state_dict entry
  tools/golden_pt.py --check A.pt B.safetensors    PyTorch's safe loader reads A.pt (written by us) as what B holds

The same command gives the same bytes. Classes that a checkpoint names are replaced by empty torch.nn.Module subclasses, so that
names and order come from PyTorch's own state_dict and no detector package is needed.
"""
import json
import os
import pickletools
import struct
import sys
import types
import zipfile
import zlib
from collections import OrderedDict

import numpy as np
import torch
from torch import nn

OUT = "tests/data/"
NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
         torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}


def raw(t):
    t = t.detach().contiguous()
    return (t.view(torch.int16) if t.dtype == torch.bfloat16 else t).numpy().tobytes()


def write_safetensors(path, tensors, meta=None):
    header, at, data = OrderedDict(), 0, []
    if meta:
        header["__metadata__"] = meta
    for name, t in tensors.items():
        data.append(raw(t))
        header[name] = {"dtype": NAMES[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + len(data[-1])]}
        at += len(data[-1])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(data))


def read_safetensors(path):
    with open(path, "rb") as f:
        whole = f.read()
    n = struct.unpack("<Q", whole[:8])[0]
    back = {v: k for k, v in NAMES.items()}
    out = OrderedDict()
    for name, e in json.loads(whole[8:8 + n]).items():
        if name == "__metadata__":
            continue
        lo, hi = e["data_offsets"]
        t = torch.frombuffer(bytearray(whole[8 + n + lo:8 + n + hi]), dtype=back[e["dtype"]]) if hi > lo else \
            torch.empty(0, dtype=back[e["dtype"]])
        out[name] = t.reshape(e["shape"])
    return out


def fake_class(path):
    """An nn.Module subclass that pickles under any dotted path."""
    module, name = path.rsplit(".", 1)
    parts = module.split(".")
    for i in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:i]), types.ModuleType(".".join(parts[:i])))
    cls = getattr(sys.modules[module], name, None)
    if cls is None:
        cls = type(name, (nn.Module,), {"__module__": module})
        setattr(sys.modules[module], name, cls)
    return cls


def load_with_stand_ins(path):
    with zipfile.ZipFile(path) as z:
        text = z.read(next(n for n in z.namelist() if n.endswith("/data.pkl")))
    for op, arg, _ in pickletools.genops(text):
        if op.name == "GLOBAL" and arg.startswith("ultralytics"):
            fake_class(arg.replace(" ", "."))
    return torch.load(path, map_location="cpu")


def state():
    g = torch.Generator().manual_seed(7)
    base = torch.randn(4, 6, generator=g)
    d = OrderedDict()
    d["f32"] = base
    d["transposed"] = base.t()
    d["column"] = base[:, 2]
    d["slice"] = base[1:3, 1:5]
    d["view"] = base.view(24)[5:11]
    d["expanded"] = base[:1].expand(3, 6)
    d["scalar"] = torch.tensor(42)
    d["empty"] = torch.empty(0, 3)
    d["f16"] = base.half()
    d["bf16"] = base.bfloat16()
    d["f64"] = base.double()
    d["i32"] = torch.arange(-3, 4, dtype=torch.int32)
    d["i16"] = torch.arange(-3, 4, dtype=torch.int16)
    d["i8"] = torch.arange(-3, 4, dtype=torch.int8)
    d["u8"] = torch.arange(250, 256, dtype=torch.int64).to(torch.uint8)
    d["bool"] = torch.tensor([True, False, True])
    d["parameter"] = nn.Parameter(base[:2])
    d["channels_last"] = torch.randn(2, 3, 4, 5, generator=g).to(memory_format=torch.channels_last)
    return d


def conv(block, c1, c2, k, act, fused=False):
    m = fake_class(block + "Conv")()
    m.conv = nn.Conv2d(c1, c2, k, bias=fused)
    if not fused:
        m.bn = nn.BatchNorm2d(c2, eps=1e-3, momentum=0.03)
    m.act = act
    return m


def detector(root="ultralytics.nn.tasks.DetectionModel", act=None, fused=False):
    """Two rows of a detector in miniature, with every kind of slot that a state_dict leaves out."""
    torch.manual_seed(3)
    c, b = "ultralytics.nn.modules.conv.", "ultralytics.nn.modules.block."
    first = conv(c, 3, 2, 3, nn.SiLU(), fused)
    first.i, first.f, first.type = 0, -1, c + "Conv"
    sppf = fake_class(b + "SPPF")()
    sppf.cv1, sppf.cv2 = conv(c, 2, 1, 1, act or nn.SiLU(), fused), conv(c, 4, 2, 1, nn.SiLU(), fused)
    sppf.i, sppf.f = 1, [-1, 0]
    sppf.register_buffer("kept", torch.ones(2))
    sppf.register_buffer("dropped", torch.ones(3), persistent=False)
    sppf.register_buffer("nothing", None)
    sppf.register_parameter("no_parameter", None)
    m = fake_class(root)()
    m.model = nn.Sequential(first, sppf)
    m.yaml = {"nc": 2, "scale": "n", "backbone": [[-1, 1, "Conv", [64, 3, 2]]], "head": [[-1, 1, "nn.Upsample", ["None", 2]]]}
    m.names, m.stride, m.task = {0: "None", 1: "cat"}, torch.tensor([8.0, 16.0, 32.0]), "detect"
    return m


def unscaled():
    """A whole detector whose class count is the nominal width of its first row, which the reference therefore does not scale."""
    torch.manual_seed(5)
    c, nc, width = "ultralytics.nn.modules.conv.", 16, 8
    head, dfl = fake_class("ultralytics.nn.modules.head.Detect")(), fake_class("ultralytics.nn.modules.block.DFL")()
    tail = lambda ci, cm, co: nn.Sequential(conv(c, ci, cm, 3, nn.SiLU()), conv(c, cm, cm, 3, nn.SiLU()), nn.Conv2d(cm, co, 1))
    head.cv2, head.cv3 = nn.ModuleList([tail(width, 16, 16)]), nn.ModuleList([tail(width, 16, nc)])
    dfl.conv = nn.Conv2d(4, 1, 1, bias=False)
    dfl.conv.weight.data = torch.arange(4.0).view(1, 4, 1, 1)
    head.dfl, head.nc = dfl, nc
    m = fake_class("ultralytics.nn.tasks.DetectionModel")()
    m.model = nn.Sequential(conv(c, 3, nc, 3, nn.SiLU()), conv(c, nc, width, 3, nn.SiLU()), head)
    for row, source, layer in zip(range(3), (-1, -1, [1]), m.model):
        layer.i, layer.f = row, source
    m.yaml = {"nc": nc, "scales": {"n": [1.0, 0.5, 64]}, "scale": "n", "reg_max": 4,
              "backbone": [[-1, 1, "Conv", [nc, 3, 2]], [-1, 1, "Conv", [12, 3, 2]]], "head": [[[1], 1, "Detect", ["nc"]]]}
    m.names, m.nc, m.task = {i: f"c{i}" for i in range(nc)}, nc, "detect"
    return m.half()


def repack(path, out, method, change=()):
    """The same entries packed anew, some with other contents, some new."""
    with zipfile.ZipFile(path) as a, zipfile.ZipFile(out, "w", method) as b:
        entries = {name: a.read(name) for name in a.namelist()}
        root = a.namelist()[0].split("/")[0]
        entries.update({f"{root}/{name}": data for name, data in dict(change).items()})
        for name, data in entries.items():
            b.writestr(zipfile.ZipInfo(name), data, method)


def endless():
    """Thirty modules, each twice the child of the next: a billion in the tree, thirty in the file."""
    m = fake_class("ultralytics.nn.modules.block.Bottleneck")()
    for _ in range(30):
        outer = type(m)()
        outer.a = outer.b = m
        m = outer
    return m


def overlapping(path, n=8, size=512):
    """Storages whose zip entries lie inside one another, so that n of them take the room of one: the quoted headers of
    D. Fifield, "A better zip bomb" (2019), without compression."""
    def local(name, data, crc):
        return struct.pack("<IHHHHHIIIHH", 0x04034b50, 20, 0, 0, 0, 33, crc, len(data), len(data), len(name), 0) + name + data

    body, entries, at = bytes(size), [], {}
    for i in range(n):
        name = f"archive/data/{i}".encode()
        entries.append((name, zlib.crc32(body), len(body)))
        body = local(name, body, zlib.crc32(body))
    for name, _, _ in entries:
        at[name] = body.index(struct.pack("<H", len(name)) + b"\0\0" + name) - 26
    one = b"ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nByteStorage\nX\1\0\0\0%dX\3\0\0\0cpuM%stQK\0K\1\x85K\1\x85\x89NtR"
    pkl = b"\x80\2}(" + b"".join(b"X\1\0\0\0%d" % i + one % (i, struct.pack("<H", e[2])) for i, e in enumerate(entries)) + b"u."
    name = b"archive/data.pkl"
    at[name] = len(body)
    entries.append((name, zlib.crc32(pkl), len(pkl)))
    body += local(name, pkl, zlib.crc32(pkl))
    central = b"".join(struct.pack("<IHHHHHHIIIHHHHHII", 0x02014b50, 20, 20, 0, 0, 0, 33, crc, n, n, len(name), 0, 0, 0, 0, 0, at[name]) + name
                       for name, crc, n in entries)
    with open(path, "wb") as f:
        f.write(body + central + struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, len(entries), len(entries), len(central), len(body), 0))


def legacy(path):
    """The format before zip files. It names a storage by its address, which is another one in each process: 0 here."""
    def pickled(text):
        return b"X" + struct.pack("<I", len(text)) + text

    t = torch.ones(2)
    torch.save({"a": t}, path, _use_new_zipfile_serialization=False)
    with open(path, "rb") as f:
        data = f.read()
    key = pickled(str(t.storage()._cdata).encode())
    assert data.count(key) == 2, "once in the pickle, once in the list of storages"
    with open(path, "wb") as f:
        f.write(data.replace(key, pickled(b"0")))


def table(path, out):
    ckpt = load_with_stand_ins(path)
    model = ckpt.get("ema") or ckpt["model"]
    with open(out, "w") as f:
        for name, t in model.state_dict().items():
            x = t.double().reshape(-1)
            shape = "x".join(map(str, t.shape)) or "-"
            print(name, NAMES[t.dtype], shape, repr(x[0].item()), repr(float(np.sum(x.numpy()))), file=f)


def make(weights):
    torch.save(state(), OUT + "pt_state.pt")
    write_safetensors(OUT + "pt_state.safetensors", state(), {"by": "golden_pt.py", "note": "caf\u00e9 \"x\""})
    torch.save({"state_dict": state(), "epoch": 4}, OUT + "pt_nested.pt", pickle_protocol=4)
    repack(OUT + "pt_state.pt", OUT + "pt_deflated.pt", zipfile.ZIP_DEFLATED)
    legacy(OUT + "pt_legacy.pt")
    torch.jit.script(nn.PReLU()).save(OUT + "pt_script.pt")  # one constant: several are written in the order of a set
    bag = fake_class("ultralytics.utils.IterableSimpleNamespace")
    args = {"task": "detect", "imgsz": 320, "lr0": 0.01, "cfg": None, "freeze": [0, 1]}
    ema = detector().half()
    torch.save({"epoch": 3, "best_fitness": 0.5, "model": None, "ema": ema, "updates": 10, "train_args": args,
                "date": "2024-01-01T00:00:00", "version": "8.2.0", "optimizer": {"state": {0: torch.ones(3)}}}, OUT + "pt_ema.pt")
    write_safetensors(OUT + "pt_ema.safetensors", ema.state_dict())
    fused = detector(act=nn.Identity(), fused=True)
    torch.save({"epoch": -1, "model": nn.DataParallel(fused), "ema": None, "train_args": bag()}, OUT + "pt_fused.pt")
    torch.save({"model": detector("ultralytics.nn.tasks.SegmentationModel")}, OUT + "pt_segment.pt")
    torch.save({"model": detector("models.yolo.DetectionModel")}, OUT + "pt_yolov5.pt")
    torch.save({"epoch": 1, "loss": 0.5}, OUT + "pt_nothing.pt")
    torch.save({"epoch": -1, "model": unscaled(), "ema": None, "version": "8.2.0"}, OUT + "pt_unscaled.pt")
    repack(OUT + "pt_state.pt", OUT + "pt_big_endian.pt", zipfile.ZIP_STORED, {"byteorder": b"big"})
    repack(OUT + "pt_state.pt", OUT + "pt_wrong_size.pt", zipfile.ZIP_STORED, {"data/0": b"1234"})
    torch.save({"zeros": torch.zeros(4 << 20)}, OUT + "pt_bomb.pt")
    repack(OUT + "pt_bomb.pt", OUT + "pt_bomb.pt.tmp", zipfile.ZIP_DEFLATED)
    os.replace(OUT + "pt_bomb.pt.tmp", OUT + "pt_bomb.pt")
    overlapping(OUT + "pt_overlap.pt")
    torch.save({"model": endless()}, OUT + "pt_endless.pt")
    for letter in "ns" if weights else "":
        table(f"{weights}/yolov8{letter}.pt", OUT + f"pt_yolov8{letter}.txt")


def check(pt, safetensors):
    got, want = torch.load(pt, weights_only=True), read_safetensors(safetensors)
    assert list(got) == list(want), (list(got), list(want))
    for k, w in want.items():
        assert got[k].dtype == w.dtype and got[k].shape == w.shape and raw(got[k]) == raw(w), k
    with zipfile.ZipFile(pt) as z:
        assert z.testzip() is None
        for i in z.infolist():
            z.fp.seek(i.header_offset + 26)
            n, m = struct.unpack("<HH", z.fp.read(4))
            assert (i.header_offset + 30 + n + m) % 64 == 0, i.filename
    print(f"PyTorch {torch.__version__} reads what we write: {len(want)} tensors")


if sys.argv[1:2] == ["--check"]:
    check(*sys.argv[2:4])
else:
    make(sys.argv[1] if len(sys.argv) > 1 else None)
