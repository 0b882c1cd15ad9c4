# SPDX-License-Identifier: Apache-2.0
"""golden_loss - the task-aligned assigner and the three loss terms on hand-made hard cases, float64, gradients by autograd.

Written from the published method alone (TOOD: task-aligned assignment; GFL: distribution focal loss; CIoU), plainly: one image,
one target, one anchor tensor at a time. golden_ops.py writes the fixture, loss.safetensors. Per case i, A anchors over all
levels, T targets over all images:
  in   i.box0..2 [N,4*16,h,w], i.cls0..2 [N,nc,h,w] logits; i.targets [T,6] = image, class, cx, cy, w, h relative to the input;
       i.class_weight [nc] in the cases of WEIGHTS only
  out  i.fg [N,A]  i.target [N,A] index of the target within its image, -1 for background  i.target_class [N,A] (0 there)
       i.target_xyxy [N,A,4] input pixels (0 there)  i.target_score [N,A]  i.items [3] box, cls, dfl with their gains
       i.total = sum(items) * N, and its gradients i.dbox0..2, i.dcls0..2
Ties among the ten best anchors of a target go to the lower anchor. Only zero alignments tie in these cases, so the rule shows
in fg, target, target_class and target_xyxy where target_score is 0, and never in the loss or its gradients."""
import math

import torch

import golden_file as gf

REG_MAX, TOPK, ALPHA, BETA = 16, 10, 0.5, 6.0
GAIN = torch.tensor([7.5, 0.5, 1.5], dtype=torch.float64)  # box, cls, dfl


def flatten(maps):
    """Per-level maps [N,C,h,w] -> [N,A,C], levels one after the other, rows outer."""
    return torch.cat([m.flatten(2) for m in maps], 2).transpose(1, 2)


def anchors(sizes, strides):
    """-> cell centres in grid units [A,2], strides [A,1]"""
    grid, stride = [], []
    for (h, w), s in zip(sizes, strides):
        y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
        grid.append(torch.stack([x, y], 2).reshape(-1, 2).double())
        stride.append(torch.full((h * w, 1), float(s), dtype=torch.float64))
    return torch.cat(grid), torch.cat(stride)


def distances(logits, reg_max):
    """[..., 4*reg_max] -> expected distances left, top, right, bottom [..., 4] in grid units"""
    p = torch.softmax(logits.unflatten(-1, (4, reg_max)), -1)
    return p @ torch.arange(reg_max, dtype=p.dtype)


def ciou(a, b):
    """Boxes xyxy, broadcast. The small number goes on the heights only; the weight of the aspect term has no gradient."""
    eps = 1e-7
    aw, ah = a[..., 2] - a[..., 0], a[..., 3] - a[..., 1] + eps
    bw, bh = b[..., 2] - b[..., 0], b[..., 3] - b[..., 1] + eps
    iw = (torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])).clamp(min=0)
    ih = (torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])).clamp(min=0)
    iou = iw * ih / (aw * ah + bw * bh - iw * ih + eps)
    cw = torch.maximum(a[..., 2], b[..., 2]) - torch.minimum(a[..., 0], b[..., 0])
    ch = torch.maximum(a[..., 3], b[..., 3]) - torch.minimum(a[..., 1], b[..., 1])
    far = ((b[..., 0] + b[..., 2] - a[..., 0] - a[..., 2]) ** 2 + (b[..., 1] + b[..., 3] - a[..., 1] - a[..., 3]) ** 2) / 4
    v = 4 / math.pi**2 * (torch.atan(bw / bh) - torch.atan(aw / ah)) ** 2
    with torch.no_grad():
        weight = v / (v - iou + 1 + eps)
    return iou - far / (cw**2 + ch**2 + eps) - v * weight


@torch.no_grad()
def assign(score, box, point, cls, gt):
    """One image. score [A,nc] probabilities, box [A,4] and point [A,2] in pixels, cls [G], gt [G,4] pixels, invalid ones
    (coordinates that do not sum to more than 0) included -> target [A] (-1 background), target score [A]."""
    n_anchor, n_gt = len(point), len(gt)
    if n_gt == 0:
        return torch.full((n_anchor,), -1), torch.zeros(n_anchor, dtype=torch.float64)
    iou = torch.zeros(n_gt, n_anchor, dtype=torch.float64)
    align, mask = torch.zeros_like(iou), torch.zeros_like(iou, dtype=torch.bool)
    for g in range(n_gt):
        inside = (torch.cat([point - gt[g, :2], gt[g, 2:] - point], 1).amin(1) > 1e-9) & (gt[g].sum() > 0)
        iou[g] = torch.where(inside, ciou(gt[g], box).clamp(min=0), iou[g])
        align[g] = torch.where(inside, score[:, cls[g]] ** ALPHA * iou[g] ** BETA, align[g])
        best = torch.sort(align[g], descending=True, stable=True).indices[:TOPK]
        mask[g, best] = inside[best]
    wanted = mask.sum(0) > 1
    winner = iou.argmax(0)  # among all targets, the ones that did not want this anchor included
    first = (iou == iou.amax(0)).int().argmax(0)  # of equal maxima the first: argmax does not promise it
    assert torch.equal(iou.gather(0, winner[None]), iou.gather(0, first[None]))
    mask = torch.where(wanted, torch.arange(n_gt)[:, None] == first, mask)
    align = align * mask
    norm = align * (iou * mask).amax(1, True) / (align.amax(1, True) + 1e-9)
    target = torch.where(mask.any(0), mask.int().argmax(0), torch.tensor(-1))
    return target, norm.amax(0)


def loss(box_maps, cls_maps, targets, strides, class_weight=None):
    box_logits, cls_logits = flatten(box_maps), flatten(cls_maps)
    grid, stride = anchors([m.shape[2:] for m in box_maps], strides)
    n, n_anchor, nc = cls_logits.shape
    h, w = (d * strides[0] for d in box_maps[0].shape[2:])
    d = distances(box_logits, REG_MAX)
    pred = torch.cat([grid - d[..., :2], grid + d[..., 2:]], 2)
    index, score = [], []
    gt_class, gt_box = torch.zeros(n, n_anchor, dtype=torch.int64), torch.zeros(n, n_anchor, 4, dtype=torch.float64)
    for i in range(n):
        mine = targets[targets[:, 0] == i]
        c, size = mine[:, 2:4] * torch.tensor([w, h]), mine[:, 4:6] * torch.tensor([w, h])
        gt, cls = torch.cat([c - size / 2, c + size / 2], 1), mine[:, 1].long()
        a, s = assign(torch.sigmoid(cls_logits[i]), pred[i] * stride, grid * stride, cls, gt)
        index.append(a), score.append(s)
        gt_class[i, a >= 0], gt_box[i, a >= 0] = cls[a[a >= 0]], gt[a[a >= 0]]
    index, score = torch.stack(index), torch.stack(score)
    fg, total_score = index >= 0, score.sum().clamp(min=1)

    want = torch.zeros_like(cls_logits).scatter(2, gt_class[..., None], score[..., None])
    l_cls = torch.nn.functional.binary_cross_entropy_with_logits(cls_logits, want, class_weight, reduction="sum") / total_score
    grid_box = gt_box / stride
    l_box = ((1 - ciou(pred[fg], grid_box[fg])) * score[fg]).sum() / total_score
    ltrb = torch.cat([grid - grid_box[..., :2], grid_box[..., 2:] - grid], 2).clamp(0, REG_MAX - 1 - 0.01)[fg]
    lo = ltrb.floor().long()
    logp = torch.log_softmax(box_logits[fg].unflatten(-1, (4, REG_MAX)), -1)
    at = lambda k: logp.gather(-1, k[..., None]).squeeze(-1)
    dfl = -(at(lo) * (lo + 1 - ltrb) + at(lo + 1) * (ltrb - lo)).mean(1)
    l_dfl = (dfl * score[fg]).sum() / total_score
    items = torch.stack([l_box, l_cls, l_dfl]) * GAIN
    out = {"fg": fg, "target": index, "target_class": gt_class, "target_xyxy": gt_box, "target_score": score, "items": items,
           "total": items.sum() * n}
    return out


# name, N, nc, input height and width, boxes in pixels: image, class, x1, y1, x2, y2
CASES = [
    ("none", 1, 3, 32, 32, []),
    ("absent", 3, 3, 32, 32, [(0, 0, 2, 3, 29, 30), (0, 2, 4, 10, 14, 25), (2, 1, 0, 0, 32, 17)]),
    ("crowded", 1, 4, 64, 32, [(0, 0, 1, 1, 31, 60), (0, 1, 3, 5, 30, 58), (0, 2, 6, 10, 22, 40), (0, 2, 8, 12, 24, 44),
                               (0, 3, 9, 14, 20, 30), (0, 1, 11, 19, 14, 22)]),
    ("twins", 1, 3, 64, 32, [(0, 2, 3, 4, 27, 41), (0, 0, 3, 4, 27, 41), (0, 0, 3, 4, 27, 41), (0, 1, 10, 30, 31, 63)]),
    ("outside", 1, 2, 64, 32, [(0, 0, -200, -100, 260, 300), (0, 1, 24, 50, 45, 90), (0, 0, -60, -60, 13, 13),
                               (0, 1, 40, 70, 60, 90), (0, 0, -9, 20, 11, 41)]),
    ("tiny", 1, 3, 64, 32, [(0, 0, 3, 3, 5, 5), (0, 1, 9, 9, 11, 11), (0, 2, 12, 12, 12, 12), (0, 2, 20, 20, 28, 28.5),
                            (0, 1, 4, 36, 12, 44), (0, 0, 3.75, 27.5, 20.25, 28.5)]),
    ("classes", 1, 80, 32, 32, [(0, 79, 1, 1, 20, 22), (0, 0, 8, 6, 30, 31), (0, 42, 8, 6, 30, 31)]),
    ("hopeless", 1, 3, 32, 32, [(0, 2, 0, 0, 32, 20), (0, 0, 2, 2, 32, 30)]),
    ("weighted", 1, 4, 32, 32, [(0, 0, 1, 1, 31, 30), (0, 3, 3, 5, 14, 18), (0, 1, 12, 10, 30, 26)]),
]
WEIGHTS = {"weighted": [0.25, 1.5, 1.75, 0.5]}  # of classes, in the class term
STRIDES = [8, 16, 32]


def run():
    tensors, meta = {}, {}
    bins = -0.7 * torch.arange(REG_MAX).repeat(4).reshape(1, -1, 1, 1).numpy()  # boxes of a few cells: some fit, some do not
    for i, (name, n, nc, h, w, boxes) in enumerate(CASES):
        boxes = [(b, c, (x1 + x2) / 2 / w, (y1 + y2) / 2 / h, (x2 - x1) / w, (y2 - y1) / h) for b, c, x1, y1, x2, y2 in boxes]
        targets = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 6).double()
        box, cls = [], []
        for level, s in enumerate(STRIDES):
            shape = (h // s, w // s)
            steep = 40 if name == "hopeless" else 1  # every predicted box collapses to a point
            box.append(gf.normal(f"loss {name} box{level}", (n, 4 * REG_MAX, *shape), 1.5) + (steep * bins).astype("float32"))
            cls.append(gf.normal(f"loss {name} cls{level}", (n, nc, *shape), 1.5) - 1)
        leaf = lambda v: torch.tensor(v, dtype=torch.float64, requires_grad=True)
        box_leaf, cls_leaf = [leaf(v) for v in box], [leaf(v) for v in cls]
        weight = torch.tensor(WEIGHTS[name], dtype=torch.float64) if name in WEIGHTS else None
        out = loss(box_leaf, cls_leaf, targets, STRIDES, weight)
        out["total"].backward()
        parts = {"targets": targets.float().numpy(), **{k: v.detach().numpy() for k, v in out.items()}}
        if weight is not None:
            parts["class_weight"] = weight.float().numpy()
        for level in range(len(STRIDES)):
            parts |= {f"box{level}": box[level], f"cls{level}": cls[level]}
            # no foreground: the box terms are the constant 0
            grad = box_leaf[level].grad
            parts |= {f"dbox{level}": (torch.zeros_like(box_leaf[level]) if grad is None else grad).numpy()}
            parts |= {f"dcls{level}": cls_leaf[level].grad.numpy()}
        tensors |= {f"{i}.{k}": v for k, v in parts.items()}
        meta[str(i)] = f"targets[{len(boxes)},6] nc={nc} batch={n} imgsz={h},{w} strides=8,16,32 reg_max=16 name={name}"
    return tensors, meta
