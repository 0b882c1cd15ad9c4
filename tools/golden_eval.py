# SPDX-License-Identifier: Apache-2.0
"""Writes tests/data/eval_nms.txt and tests/data/eval_scene.txt, what tests/test_eval.c compares src/eval with.

NMS: torchvision.ops.nms on inputs that the C test draws again from the same congruential generator.
Metrics: the words of the spec (sections 8.3 to 8.6 and 8.10) in numpy, literally and slowly: pairs are listed, sorted and
thinned per threshold, curves come from numpy.interp and numpy.trapz. Run from the repository root; needs Debian's
python3-torch, python3-torchvision."""
import numpy as np
import torch
from torchvision.ops import nms

f32 = np.float32


class Lcg:
    def __init__(self, seed):
        self.s = seed

    def unit(self):
        self.s = (self.s * 1664525 + 1013904223) & 0xFFFFFFFF
        return f32(self.s >> 8) / f32(1 << 24)


def draw(seed, anchors, nc, span, steps):
    """[A, 4+nc]; centres in [0, 640*span), sizes in [8, 8+200*span), scores u^4, cut to multiples of 1/steps if steps."""
    r, p = Lcg(seed), np.zeros((anchors, 4 + nc), f32)
    for a in range(anchors):
        for d in range(2):
            p[a, d] = r.unit() * f32(640) * f32(span)
        for d in range(2):
            p[a, 2 + d] = f32(8) + r.unit() * f32(200) * f32(span)
        for c in range(nc):
            u = r.unit()
            u = u * u
            u = u * u
            p[a, 4 + c] = np.floor(u * f32(steps)) / f32(steps) if steps else u
    return p


def run_nms(p, conf, iou, max_det, max_nms, multi, agnostic, classes):
    box = np.concatenate([p[:, :2] - p[:, 2:4] / 2, p[:, :2] + p[:, 2:4] / 2], 1).astype(f32)
    score = p[:, 4:]
    if multi:
        a, c = np.nonzero(score > f32(conf))
    else:
        c = score.argmax(1)
        a = np.nonzero(score[np.arange(len(c)), c] > f32(conf))[0]
        c = c[a]
    if classes:
        ok = np.isin(c, classes)
        a, c = a[ok], c[ok]
    s = score[a, c]
    order = np.argsort(-s, kind="stable")[:max_nms]
    a, c, s = a[order], c[order], s[order]
    shifted = box[a] + (np.zeros_like(c) if agnostic else c).astype(f32)[:, None] * f32(7680)
    keep = nms(torch.tensor(shifted), torch.tensor(s), iou).numpy()[:max_det]
    return box[a[keep]], s[keep], c[keep]


NMS = [  # seed anchors nc span steps conf iou max_det max_nms multi agnostic classes
    (1, 300, 4, 1, 0, 0.05, 0.7, 300, 30000, 1, 0, []),
    (2, 600, 80, 1, 0, 0.6, 0.45, 300, 30000, 1, 0, []),
    (3, 400, 6, 1, 0, 0.25, 0.6, 100, 30000, 0, 1, [1, 4, 5]),
    (4, 300, 5, 1, 0, 0.01, 0.7, 40, 150, 1, 0, []),
    (5, 200, 3, 30, 0, 0.1, 0.2, 300, 30000, 1, 0, []),
    (6, 400, 3, 1, 16, 0.05, 0.5, 300, 30000, 1, 0, []),
]


def write_nms(path):
    with open(path, "w") as f:
        f.write("# tools/golden_eval.py; case: seed anchors nc span steps conf iou max_det max_nms multi agnostic "
                "n_classes n_kept, classes, rows x1 y1 x2 y2 conf cls\n")
        for seed, anchors, nc, span, steps, conf, iou, max_det, max_nms, multi, agnostic, classes in NMS:
            box, s, c = run_nms(draw(seed, anchors, nc, span, steps), conf, iou, max_det, max_nms, multi, agnostic, classes)
            print("nms case", seed, "kept", len(s))
            f.write(f"{seed} {anchors} {nc} {span} {steps} {conf} {iou} {max_det} {max_nms} {multi} {agnostic} "
                    f"{len(classes)} {len(s)}\n{' '.join(map(str, classes))}\n")
            for b, v, k in zip(box, s, c):
                f.write(" ".join(f"{x:.9g}" for x in b) + f" {v:.9g} {k}\n")


def iou_matrix(a, b):
    w = np.clip(np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0]), 0, None)
    h = np.clip(np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1]), 0, None)
    area = lambda x: (x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1])
    inter = w * h
    return inter / (area(a)[:, None] + area(b)[None, :] - inter + f32(1e-7))


def thin(pairs, iou, resort):
    """pairs [k, 2] of (target, prediction)."""
    if len(pairs) < 2:
        return pairs
    by_iou = lambda p: p[np.argsort(-iou[p[:, 0], p[:, 1]], kind="stable")]
    pairs = by_iou(pairs)
    pairs = pairs[np.unique(pairs[:, 1], return_index=True)[1]]
    if resort:
        pairs = by_iou(pairs)
    return pairs[np.unique(pairs[:, 0], return_index=True)[1]]


def match(iou, pred_cls, target_cls):
    hit = np.zeros((len(pred_cls), 10), bool)
    same = iou * (target_cls[:, None] == pred_cls[None])
    for k, t in enumerate(torch.linspace(0.5, 0.95, 10).numpy()):
        hit[thin(np.argwhere(same >= t), same, False)[:, 1], k] = True
    return hit


def confusion(m, iou, conf, pred_cls, target_cls, nc):
    sure = np.nonzero(conf > f32(0.25))[0]
    pairs = thin(np.argwhere(iou[:, sure] > f32(0.45)), iou[:, sure], True)
    for t, p in pairs:
        m[pred_cls[sure[p]], target_cls[t]] += 1
    for t in set(range(len(target_cls))) - set(pairs[:, 0]):
        m[nc, target_cls[t]] += 1
    for p in set(range(len(sure))) - set(pairs[:, 1]):
        m[pred_cls[sure[p]], nc] += 1


def average_precision(recall, precision, rule):
    end = ([1.0], [0.0]) if rule == 0 else ([recall[-1], 1.0], [0.0, 0.0])
    r, p = np.concatenate([[0.0], recall, end[0]]), np.concatenate([[1.0], precision, end[1]])
    p = np.flip(np.maximum.accumulate(np.flip(p)))
    x = np.linspace(0, 1, 101)
    return np.trapz(np.interp(x, r, p), x), r, p


def per_class(hit, conf, pred_cls, target_cls, rule):
    order = np.argsort(-conf, kind="stable")
    hit, conf, pred_cls = hit[order], conf[order], pred_cls[order]
    classes, x, out = np.unique(target_cls), np.linspace(0, 1, 1000), {}
    for c in classes:
        mine, n = pred_cls == c, int((target_cls == c).sum())
        ap, curves = np.zeros(10), np.zeros((4, 1000))
        if mine.any():
            tp, fp = hit[mine].cumsum(0), (1 - hit[mine]).cumsum(0)
            recall, precision = tp / (n + 1e-16), tp / (tp + fp)
            curves[1] = np.interp(-x, -conf[mine].astype(float), recall[:, 0], left=0)
            curves[0] = np.interp(-x, -conf[mine].astype(float), precision[:, 0], left=1)
            for k in range(10):
                ap[k], r, p = average_precision(recall[:, k], precision[:, k], rule)
                if k == 0:
                    curves[3] = np.interp(x, r, p)
        curves[2] = 2 * curves[0] * curves[1] / (curves[0] + curves[1] + 1e-16)
        out[c] = n, ap, curves
    mean = np.mean([v[2][2] for v in out.values()], 0)
    padded = np.concatenate([np.full(50, mean[0]), mean, np.full(50, mean[-1])])
    return out, np.convolve(padded, np.ones(101) / 101, "valid").argmax()


def scene(rng, nc):
    """Images as (letterbox, detections, targets); boxes that stick out, misses, doubles, wrong classes, unseen classes."""
    images = []
    for i in range(40):
        w0, h0 = int(rng.integers(200, 900)), int(rng.integers(200, 900))
        gain = min(640 / w0, 640 / h0)
        pad = (640 - round(w0 * gain)) // 2, (640 - round(h0 * gain)) // 2
        target, det = [], []
        for _ in range(int(rng.integers(0, 8))):
            w, h = rng.uniform(0.05, 0.5, 2)
            x, y = rng.uniform(0.1, 0.9, 2)
            target.append([x, y, w, h, rng.integers(0, nc - 2)])
            for _ in range(int(rng.integers(0, 4))):
                j = rng.normal(0, 0.12, 4) * [w, h, w, h]
                b = np.array([x, y, w, h]) + j
                c = target[-1][4] if rng.uniform() < 0.85 else rng.integers(0, nc)
                det.append([b[0] - b[2] / 2, b[1] - b[3] / 2, b[0] + b[2] / 2, b[1] + b[3] / 2, rng.uniform(), c])
        if len(target) > 2:  # the same object labelled twice
            target.append(list(target[0]))
        for _ in range(int(rng.integers(0, 3))):
            x, y = rng.uniform(0, 0.7, 2)
            det.append([x, y, x + 0.2, y + 0.3, rng.uniform() ** 3, rng.integers(0, nc)])
        det = np.array(det, f32).reshape(-1, 6)
        det[:, :4] *= f32(640)
        det[:, 4] = np.round(det[:, 4] * 100) / f32(100)
        det = det[np.argsort(-det[:, 4], kind="stable")]
        images.append((w0, h0, gain, pad, det, np.array(target, f32).reshape(-1, 5)))
    return images


def undo(box, w0, h0, gain, pad):
    box = (box - np.array([*pad, *pad], f32)) / f32(gain)
    return np.clip(box, 0, np.array([w0, h0, w0, h0], f32)).astype(f32)


def write_scene(path, nc=7):
    images = scene(np.random.default_rng(3), nc)
    with open(path, "w") as f:
        f.write(f"{len(images)} {nc}\n")
        for w0, h0, gain, pad, det, target in images:
            f.write(f"{w0} {h0} {gain!r} {pad[0]} {pad[1]} {len(det)} {len(target)}\n")
            for row in [*det, *target]:
                f.write(" ".join(f"{x:.9g}" for x in row) + "\n")
        for rule in 0, 1:
            for space in 0, 1:  # original pixels, letterboxed pixels
                hits, m = [], np.zeros((nc + 1, nc + 1), int)
                for w0, h0, gain, pad, det, target in images:
                    t = target[:, :4].copy()
                    t[:, :2], t[:, 2:] = target[:, :2] - target[:, 2:4] / 2, target[:, :2] + target[:, 2:4] / 2
                    t, d = (t * f32(640)).astype(f32), det[:, :4]
                    if space == 0:
                        t, d = undo(t, w0, h0, gain, pad), undo(d, w0, h0, gain, pad)
                    iou = iou_matrix(t, d)
                    hits.append(match(iou, det[:, 5], target[:, 4]))
                    confusion(m, iou, det[:, 4], det[:, 5].astype(int), target[:, 4].astype(int), nc)
                det, target = np.concatenate([i[4] for i in images]), np.concatenate([i[5] for i in images])
                rows, best = per_class(np.concatenate(hits), det[:, 4], det[:, 5], target[:, 4], rule)
                mean = lambda v: f"{np.mean(v):.12g}"
                ap = np.array([v[1] for v in rows.values()])
                pr = np.array([[v[2][0, best], v[2][1, best]] for v in rows.values()])
                f.write(f"{rule} {space} {len(rows)} {best} {mean(pr[:, 0])} {mean(pr[:, 1])} {mean(ap[:, 0])} "
                        f"{mean(ap[:, 5])} {mean(ap)}\n")
                print("scene", rule, space, mean(pr[:, 0]), mean(pr[:, 1]), mean(ap[:, 0]), mean(ap))
                for c, (n, a, curves) in rows.items():
                    seen = sum((i[5][:, 4] == c).any() for i in images)
                    f.write(f"{int(c)} {seen} {n} " + " ".join(f"{x:.12g}" for x in a) + "\n")
                    for curve in curves:
                        f.write(" ".join(f"{x:.9g}" for x in curve[[0, 137, 400, 620, 999]]) + "\n")
                f.write("\n".join(" ".join(map(str, r)) for r in m) + "\n")


if __name__ == "__main__":
    write_nms("tests/data/eval_nms.txt")
    write_scene("tests/data/eval_scene.txt")
