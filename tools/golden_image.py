#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden values of src/image from OpenCV 4.6 and Pillow: tests/data/image/golden.txt and the small files beside it.

usage: python3 tools/golden_image.py [SHARED]     (SHARED holds data/images-odd and data/coco128; default ../shared)

A line of golden.txt is a kind and its values; pictures are named by the CRC-32 of their packed RGB bytes. The source
pictures of resize, letterbox and warp are noise(w, h, seed), which tests/test_image.c makes in the same way."""
import io
import os
import sys
import tempfile
import zlib

import cv2
import numpy as np
from PIL import Image, ImageOps

OUT = "tests/data/image"
shared = sys.argv[1] if len(sys.argv) > 1 else "../shared"
lines = []


def noise(w, h, seed):
    x, y, c = (np.arange(n, dtype=np.uint32) for n in (w, h, 3))
    with np.errstate(over="ignore"):
        v = (x[None, :, None] * np.uint32(73856093)) ^ (y[:, None, None] * np.uint32(19349663))
        v = v ^ (c[None, None, :] * np.uint32(83492791)) ^ (np.uint32(seed) * np.uint32(2654435761))
        v = (v ^ (v >> np.uint32(15))) * np.uint32(2246822519)
        v = (v ^ (v >> np.uint32(13))) * np.uint32(3266489917)
    return np.ascontiguousarray((v >> np.uint32(24)).astype(np.uint8))


def crc(rgb):
    return "%08x" % zlib.crc32(np.ascontiguousarray(rgb).tobytes())


def put(*values):
    lines.append(" ".join(str(v) for v in values))


def by_cv2(path_or_bytes):
    if isinstance(path_or_bytes, bytes):
        a = cv2.imdecode(np.frombuffer(path_or_bytes, np.uint8), cv2.IMREAD_COLOR)
    else:
        a = cv2.imread(path_or_bytes)
    return None if a is None else a[..., ::-1]


def by_pil(path):
    return np.array(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))


def by_masks(path):
    """A 32-bit bitmap whose channels are the bytes that its header's masks name: neither library reads these masks."""
    d = open(path, "rb").read()
    at, w, h = (int.from_bytes(d[i:i + 4], "little") for i in (10, 18, 22))
    masks = np.frombuffer(d, "<u4", 3, 54)
    a = np.frombuffer(d, "<u4", w * h, at).reshape(h, w)[::-1]
    return np.stack([(a & m) // (m & ~m + np.uint32(1)) for m in masks], -1).astype(np.uint8)


# Where OpenCV 4.6 reads nothing, or gives a bitmap's full intensity less than 255, Pillow is the oracle.
ORACLE = {"gif-still.gif": by_pil, "gif-animated.gif": by_pil, "bmp-rgb16-565.bmp": by_pil, "bmp-rgba32.bmp": by_masks}


def odd_images():
    folder = os.path.join(shared, "data/images-odd")
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name == "README.md":
            continue
        if name.startswith("bad-"):
            put("odd", name, 0, 0, "refused")
        elif name == "png-truncated-end-chunk.png":  # the pixels are complete: the oracle gets IEND for the cut chunk
            data = open(path, "rb").read()
            a = by_cv2(data[:data.rindex(b"IDAT") - 4] + b"\0\0\0\0IEND\xaeB`\x82")
            put("odd", name, a.shape[1], a.shape[0], crc(a))
        else:
            a = ORACLE.get(name, by_cv2)(path)
            put("odd", name, a.shape[1], a.shape[0], crc(a))


def coco():
    folder = os.path.join(shared, "data/coco128")
    paths = sorted(os.path.join(d, f) for d, _, fs in os.walk(folder) for f in fs if f.endswith(".jpg"))
    for p in paths[::2]:
        a = by_cv2(p)
        put("coco", os.path.relpath(p, folder), a.shape[1], a.shape[0], crc(a))


def smooth(w, h):
    y, x = np.mgrid[0:h, 0:w]
    a = np.stack([x * 255 // w, y * 255 // h, (x * 5 + y * 3) % 256], -1).astype(np.uint8)
    a[h // 4:h // 2, w // 4:w // 2] = (200, 40, 90)
    return a


def save(name, image, oracle=by_cv2, **how):
    path = os.path.join(OUT, name)
    image.save(path, **how)
    a = oracle(path)
    put("file", name, a.shape[1], a.shape[0], crc(a))


def exif(orientation):
    e = Image.Exif()
    e[0x0112] = orientation
    return e


def files():
    rgb = Image.fromarray(smooth(45, 31))
    rgba = rgb.convert("RGBA")
    rgba.putalpha(Image.fromarray(smooth(45, 31)[..., 0]))
    save("lzw.tif", rgb, compression="tiff_lzw")
    save("deflate.tif", rgb, compression="tiff_adobe_deflate")
    save("grey.tif", rgb.convert("L"))
    save("palette.tif", rgb.quantize(16), by_pil)
    save("bilevel.tif", rgb.convert("1"), compression="group4")
    save("turned.tif", rgb, tiffinfo={274: 6})
    save("jpeg.tif", rgb, by_pil, compression="jpeg", quality=90)
    save("turned.png", rgb, exif=exif(6))
    save("turned.webp", rgb, by_pil, lossless=True, exif=exif(8))
    save("moving.webp", rgb, by_pil, lossless=True, save_all=True, append_images=[rgb.rotate(180)])
    save("lossless-alpha.webp", rgba, lossless=True, exact=True)
    save("picture.ppm", rgb)
    save("grey.pgm", rgb.convert("L"))
    save("baseline.jpg", rgb, quality=85)
    save("progressive.jpg", rgb, quality=85, progressive=True)
    save("cmyk.jpg", rgb.convert("CMYK"), quality=90)
    odd = Image.fromarray(smooth(61, 47))
    for sampling in ("4:2:0", "4:2:2", "4:4:4"):
        save("sampling-%s.jpg" % sampling.replace(":", ""), odd, quality=80, subsampling=sampling)
    data = open(os.path.join(OUT, "baseline.jpg"), "rb").read()
    for cut in (len(data) * 2 // 3, len(data) - 12):
        with tempfile.NamedTemporaryFile(suffix=".jpg") as f:  # imread: imdecode leaves the missing rows undefined
            f.write(data[:cut])
            f.flush()
            put("tolerant", "baseline.jpg", cut, crc(by_cv2(f.name)))


def resizes():
    sizes = [(640, 480, 320, 240), (640, 480, 640, 240), (640, 480, 320, 480), (33, 17, 66, 34), (33, 17, 65, 35),
             (64, 64, 16, 16), (63, 65, 21, 22), (1, 1, 7, 5), (2, 1, 1, 1), (1, 9, 3, 4), (5, 3, 1, 1), (3, 2, 640, 2),
             (640, 427, 640, 426), (500, 333, 640, 427), (810, 1080, 480, 640), (300, 200, 299, 201), (8, 8, 4, 3),
             (257, 129, 128, 64), (256, 128, 128, 64), (4, 4, 2, 2), (2, 2, 1, 1), (7, 1, 3, 1), (100, 75, 333, 250)]
    for k, (w, h, dw, dh) in enumerate(sizes):
        put("resize", w, h, k, dw, dh, crc(cv2.resize(noise(w, h, k), (dw, dh), interpolation=cv2.INTER_LINEAR)))


def letterbox(a, W, H, auto, fill, scaleup, center, stride=32):
    h, w = a.shape[:2]
    r = min(H / h, W / w)
    if not scaleup:
        r = min(r, 1.0)
    uw, uh = int(round(w * r)), int(round(h * r))
    dw, dh = W - uw, H - uh
    if auto:
        dw, dh = dw % stride, dh % stride
    elif fill:
        dw, dh, uw, uh = 0, 0, W, H
    if center:
        dw, dh = dw / 2, dh / 2
    if (w, h) != (uw, uh):
        a = cv2.resize(a, (uw, uh), interpolation=cv2.INTER_LINEAR)
    top, bottom = int(round(dh - 0.1)) if center else 0, int(round(dh + 0.1))
    left, right = int(round(dw - 0.1)) if center else 0, int(round(dw + 0.1))
    return cv2.copyMakeBorder(a, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114, 114, 114)), left, top


def letterboxes():
    cases = [(810, 1080, 640, 640), (1280, 720, 640, 640), (500, 333, 640, 640), (640, 427, 640, 640), (100, 61, 320, 320),
             (1000, 100, 640, 640), (37, 91, 96, 64), (640, 640, 640, 640), (200, 100, 672, 512)]
    k = 0
    for w, h, W, H in cases:
        for auto, fill, scaleup, center in ((0, 0, 1, 1), (1, 0, 1, 1), (0, 0, 0, 1), (0, 1, 1, 1), (1, 0, 1, 0), (0, 0, 1, 0)):
            a, left, top = letterbox(noise(w, h, k), W, H, auto, fill, scaleup, center)
            put("letterbox", w, h, k, W, H, auto, fill, scaleup, center, a.shape[1], a.shape[0], left, top, crc(a))
            k += 1


def warps():
    rng = np.random.RandomState(3)
    for k in range(60):
        w, h, dw, dh = (int(v) for v in rng.randint(1, 200, 4))
        angle = rng.uniform(-180, 180) if k % 2 else 0.0
        m = np.vstack([cv2.getRotationMatrix2D((w / 2, h / 2), angle, rng.uniform(0.3, 2)), [0, 0, 1]])
        m[0, 1] += rng.uniform(-0.2, 0.2)
        m[:2, 2] += rng.uniform(-60, 60, 2)
        if k == 0:
            m = np.eye(3)
        if k == 1:
            m[:2] = 0
        if k == 2:
            m = np.diag([-1.0, -1.0, 1.0]) + np.array([[0, 0, w - 1], [0, 0, h - 1], [0, 0, 0]])
        src = noise(w, h, k)
        out = cv2.warpAffine(src, m[:2], (dw, dh), borderValue=(114, 114, 114))
        put("affine", w, h, k, dw, dh, crc(out), *(float(v).hex() for v in m[:2].ravel()))
        m[2, :2] = rng.uniform(-0.002, 0.002, 2)
        out = cv2.warpPerspective(src, m, (dw, dh), borderValue=(114, 114, 114))
        put("perspective", w, h, k, dw, dh, crc(out), *(float(v).hex() for v in m.ravel()))


def colours():
    v = np.arange(1 << 24, dtype=np.uint32)
    every = np.stack([v >> 16, v >> 8 & 255, v & 255], -1).astype(np.uint8).reshape(4096, 4096, 3)
    put("to_hsv", crc(cv2.cvtColor(every, cv2.COLOR_RGB2HSV)))
    put("to_rgb", crc(cv2.cvtColor(every, cv2.COLOR_HSV2RGB)))  # 4096 columns: no scalar tail
    x = np.arange(0, 256)
    for k, (gh, gs, gv) in enumerate([(0.015, 0.7, 0.4), (-0.0123, -0.33, 0.21), (0.5, 0.05, -0.399), (-0.9, -0.99, 3.0)]):
        hue = ((x + gh * 180) % 180).astype(np.uint8)
        sat, val = (np.clip(x * (1 + g), 0, 255).astype(np.uint8) for g in (gs, gv))
        sat[0] = 0
        a = cv2.split(cv2.cvtColor(noise(96, 40, k), cv2.COLOR_RGB2HSV))
        a = cv2.merge([cv2.LUT(c, t) for c, t in zip(a, (hue, sat, val))])
        put("hsv", 96, 40, k, crc(cv2.cvtColor(a, cv2.COLOR_HSV2RGB)), *(float(g).hex() for g in (gh, gs, gv)))


def writers():
    a = noise(50, 37, 9) // 4 + 64
    for quality in (75, 95):
        data = cv2.imencode(".jpg", a[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        put("write", 50, 37, 9, quality, 0, crc(by_cv2(data)))
    buf = io.BytesIO()
    Image.fromarray(a).save(buf, "JPEG", quality=100, subsampling=0)
    put("write", 50, 37, 9, 100, 1, crc(by_cv2(buf.getvalue())))


os.makedirs(OUT, exist_ok=True)
for part in (odd_images, coco, files, resizes, letterboxes, warps, colours, writers):
    part()
with open(os.path.join(OUT, "golden.txt"), "w") as f:
    f.write("\n".join(lines) + "\n")
print(len(lines), "lines")
