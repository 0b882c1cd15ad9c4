#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds beyond the files of tests/data: small pictures that take each codec through the paths it has, and a pickle with
a value of every kind that the reader builds.

usage: python3 tools/fuzz_seeds.py [fuzz/seeds]     (needs Pillow and NumPy)"""
import struct
import sys
import zlib

import numpy as np
from PIL import Image

seeds = sys.argv[1] if len(sys.argv) > 1 else "fuzz/seeds"
out = seeds + "/image"
y, x = np.mgrid[0:13, 0:17]
rgb = np.stack([x * 15, y * 19, (x * y) % 256], -1).astype(np.uint8)
grey = rgb[..., 2]


def save(name, array, mode=None, **options):
    Image.fromarray(array, mode).save(f"{out}/{name}", **options)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(name, depth, colour, rows, interlaced=False, *more):
    """Rows of raw bytes, one pass after another, each behind filter 0..4 in turn."""
    body = b"".join(bytes([i % 5]) + r for i, r in enumerate(rows))
    head = struct.pack(">IIBBBBB", 17, 13, depth, colour, 0, 0, int(interlaced))
    with open(f"{out}/{name}", "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(more) + chunk(b"IDAT", zlib.compress(body, 9)) +
                chunk(b"IEND", b""))


def adam7(a):
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        part = a[y0::dy, x0::dx]
        if part.size:
            yield from (r.tobytes() for r in part)


exif = Image.Exif()
exif[0x0112] = 6
save("turned.jpg", rgb, quality=60, exif=exif)
save("grey.jpg", grey, quality=60)
for name, options in (("fine.jpg", dict(quality=95, subsampling=0, optimize=True)), ("scans.jpg", dict(progressive=True))):
    save(name, rgb, **options)
png("grey1.png", 1, 0, [np.packbits(r > 99).tobytes() for r in grey])
png("palette4.png", 4, 3, [bytes((int(a) << 4 | int(b)) & 255 for a, b in zip(r[0::2] % 16, np.append(r[1::2], 0) % 16))
                           for r in grey], False, chunk(b"PLTE", bytes(range(48))), chunk(b"tRNS", b"\0\x7f"))
png("alpha.png", 8, 6, [np.dstack([rgb, grey])[i].tobytes() for i in range(13)])
png("deep.png", 16, 2, [r.astype(">u2").tobytes() for r in rgb.reshape(13, -1)])
png("woven.png", 8, 2, list(adam7(rgb)), True)
save("lossy.webp", rgb, quality=50)
save("alpha.webp", np.dstack([rgb, grey]), quality=50)
save("packbits.tif", rgb, compression="packbits")
save("fax.tif", grey > 99, compression="group4")
save("alpha.tif", np.dstack([rgb, grey]), compression="tiff_lzw")
Image.fromarray(grey.astype(np.uint16) * 256).save(f"{out}/deep.tif")
Image.fromarray(rgb).convert("YCbCr").save(f"{out}/ycc.tif", compression="jpeg")
save("plain.gif", grey)
with open(f"{out}/deep.ppm", "wb") as f:
    f.write(b"P6\n# comment\n17 13\n1000\n" + (rgb.astype(">u2") * 3).tobytes())
with open(f"{out}/masks.bmp", "wb") as f:  # 16 bits, 5-6-5, rows from the top
    pixels = np.zeros((13, 18), "<u2")
    pixels[:, :17] = grey.astype("<u2") * 257
    f.write(b"BM" + struct.pack("<IHHI", 66 + pixels.nbytes, 0, 0, 66) +
            struct.pack("<IiiHHIIiiII", 40, 17, -13, 1, 16, 3, pixels.nbytes, 0, 0, 0, 0) +
            struct.pack("<III", 0xf800, 0x7e0, 0x1f) + pixels.tobytes())
with open(f"{out}/os2.bmp", "wb") as f:  # the oldest header, 24 bits
    rows = b"".join(r.tobytes() + b"\0" for r in rgb[::-1, :, ::-1])
    f.write(b"BM" + struct.pack("<IHHI", 26 + len(rows), 0, 0, 26) + struct.pack("<IHHHH", 12, 17, 13, 1, 24) + rows)


def text(s):
    return b"X" + struct.pack("<I", len(s)) + s.encode()


def call(path, *args):
    module, name = path.rsplit(".", 1)
    return f"c{module}\n{name}\n(".encode() + b"".join(args) + b"tR"


def ints(*values):
    return b"(" + b"".join(b"K" + bytes([v]) for v in values) + b"t"


storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x06tQ"
dense = storage + b"K\0" + ints(2, 3) + ints(3, 1) + b"\x89" + call("collections.OrderedDict")
values = [
    b"\x8a\x02\xff\x7f", b"\x8a\x09" + b"\xff" * 9, b"J\xff\xff\xff\xff", b"M\x01\x02", b"G?\xf8" + bytes(6), b"N", b"\x88",
    call("builtins.tuple", ints(1, 2)), call("builtins.list", ints(1, 2)), call("builtins.set", ints(1, 1)),
    call("builtins.dict", b"(" + ints(1, 2) + ints(3, 4) + b"t"), call("torch.Size", ints(2, 3)),
    call("pathlib.PosixPath", text("/"), text("a"), text("b.pt")), call("collections.defaultdict", b"cbuiltins\nlist\n"),
    call("torch._utils._rebuild_tensor_v2", dense),
    call("torch._utils._rebuild_parameter", call("torch._utils._rebuild_tensor_v2", dense), b"\x88", b"}"),
    call("torch._tensor._rebuild_from_type_v2", b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nTensor\n",
         b"(" + dense + b"t", b"N"),
    call("models.yolo.Thing", b"K\x01") + b"}" + text("a") + b"K\x02s" + b"b",
]
with open(f"{seeds}/pt/kinds.pkl", "wb") as f:
    f.write(b"\x80\x02}(" + b"".join(text(f"k{i}") + v for i, v in enumerate(values)) + b"u.")
