# SPDX-License-Identifier: Apache-2.0
"""golden_file - what the golden scripts share: the case notation, reproducible numbers, the safetensors container.

A case is one line, `x[2,6,3,3] w[4,6,1,1] stride=1 pad=0`: named inputs with their logical NCHW shapes, then attributes.
Marks behind an input (`x[1,3,4,4]:u8`, see tests/ops_case.h) are for the reader of the file.
A fixture holds for case i the tensors `i.NAME`, row-major in that logical order, and the metadata entry `i` = the line."""
import json
import re
import struct
import zlib

import numpy as np

DTYPE = {"float64": "F64", "float32": "F32", "int64": "I64", "uint8": "U8", "bool": "BOOL"}


def parse(line):
    """-> ({input: shape}, {attribute: int, float, list of ints, or text}); `-`, an input left out, has the shape None"""
    shapes, attrs = {}, {}
    for word in line.split():
        if word == "-":
            shapes[f"-{len(shapes)}"] = None
            continue
        tensor = re.fullmatch(r"(\w+)\[([\d,]*)\](:\w+)*", word)
        if tensor:
            shapes[tensor[1]] = [int(d) for d in tensor[2].split(",") if d]
            continue
        name, value = word.split("=", 1)
        if re.fullmatch(r"-?\d+(,-?\d+)+", value):
            attrs[name] = [int(v) for v in value.split(",")]
        elif re.fullmatch(r"-?\d+", value):
            attrs[name] = int(value)
        else:
            attrs[name] = float(value) if re.fullmatch(r"-?[\d.]+(e-?\d+)?", value) else value
    return shapes, attrs


def normal(key, shape, scale=1.0):
    """Normal values that depend on the key (text) alone. Rounded to float32, so that a float32 file states them exactly."""
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    return (scale * rng.standard_normal(shape)).astype(np.float32)


def uniform(key, shape, lo, hi):
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    return rng.uniform(lo, hi, shape).astype(np.float32)


def save(path, tensors, meta):
    """Header padded to eight bytes, tensors in order of falling element size so that each one is aligned."""
    arrays = {k: np.ascontiguousarray(v).reshape(np.shape(v)) for k, v in tensors.items()}
    head, blob = {"__metadata__": meta}, bytearray()
    for name in sorted(arrays, key=lambda k: -arrays[k].itemsize):
        a = arrays[name]
        head[name] = {"dtype": DTYPE[a.dtype.name], "shape": list(a.shape), "data_offsets": [len(blob), len(blob) + a.nbytes]}
        blob += a.tobytes()
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + blob)
