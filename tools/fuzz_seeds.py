#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds of fuzz_image beyond tests/data/image: small pictures that take each codec through the paths it has.

usage: python3 tools/fuzz_seeds.py [fuzz/seeds/image]     (needs Pillow and NumPy)"""
import struct
import sys
import zlib

import numpy as np
from PIL import Image

out = sys.argv[1] if len(sys.argv) > 1 else "fuzz/seeds/image"
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
