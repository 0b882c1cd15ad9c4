# SPDX-License-Identifier: Apache-2.0
"""gates - what `make bench` measures: commands of ours and of the peers, and how they should compare.

A Measure is a command and the figure it yields. A Gate compares the figures of two; a Sweep holds several of ours against the
best of them, per unit of work. Gates of one group share measures: each is taken once a round, all of them in turn."""
import os
from collections import namedtuple

BUILD = os.environ.get("B", "build")
SHARED = os.environ.get("DYN_SHARED", "../shared")
PYTHON = os.environ.get("PEER_PYTHON", "python3")
REFERENCE = os.environ.get("REF", "yolo")
REFERENCE_PYTHON = os.path.join(os.path.dirname(REFERENCE), "python3") if os.path.dirname(REFERENCE) else "python3"
SCRATCH = os.environ.get("BENCH_SCRATCH", os.path.join(os.environ.get("TMPDIR", "/tmp"), "dynyolo-bench"))
THREADS = 2
ITERS = int(os.environ.get("ITERS", "0"))  # of every timing; 0: as each row has it. 1 is enough to see that all rows work

DYNYOLO = f"{BUILD}/dynyolo"
VARIANTS = "dynamic", "DynamicConv", "DynamicBnAct", "DANet", "ODConv", "ODConv4", "C2f_ODConv", "Dysample"
WEIGHTS = f"{SHARED}/data/weights/yolov8n.pt"
PHOTO = f"{SHARED}/data/coco128/images/train2017/000000000036.jpg"
COCO, BCCD = f"{SCRATCH}/coco128/coco128.yaml", f"{SCRATCH}/bccd/bccd.yaml"
NATIVE = f"{SCRATCH}/yolov8n.safetensors"

# figure: a pattern whose group is the number in the output, or "wall_ms" or "rss_mb" of the process. kind: "" for ours, else
# what must be installed (see table.py). files: (path, command that makes it) of what must be there first.
Measure = namedtuple("Measure", "command figure kind files")
# limit: ours / peer at most (or, where more is better, at least). fallback: the peer's figure where it cannot run here.
Gate = namedtuple("Gate", "group work ours peer limit unit more_is_better fallback")
# points: (name of the row, measure, units of work)
Sweep = namedtuple("Sweep", "group points limit unit")

PER_IMAGE = r'"ms_per_image": *([\d.eE+-]+)'


# ---- ours -----------------------------------------------------------------------------------------------------------

def ours(model, precision, batch=1, imgsz=640, train=False, threads=THREADS, iters=None):
    iters = ITERS or iters or (5 if train else 30 if batch == 1 else 8)
    return Measure(f"{DYNYOLO} benchmark model={model}.yaml precision={precision} batch={batch} imgsz={imgsz} "
                   f"threads={threads} iters={iters} train={train} format=json", PER_IMAGE, "", ())


def our_job(arguments, figure, files=()):
    return Measure(f"{DYNYOLO} {arguments} threads={THREADS}", figure, "", files)


# ---- peers ----------------------------------------------------------------------------------------------------------

def onnx(model, batch):
    path = f"{SCRATCH}/{model}-b{batch}.onnx"
    return path, f"{PYTHON} bench/peer_export.py {model} {path} --batch {batch}"


def runtime(kind):
    def peer(model, batch=1):
        path, make = onnx(model, batch)
        return Measure(f"{PYTHON} bench/peer_{kind}.py {path} --threads {THREADS} --batch {batch} "
                       f"--iters {ITERS or (30 if batch == 1 else 8)} --warmup 3", PER_IMAGE, kind, ((path, make),))
    return peer


ort, openvino = runtime("ort"), runtime("openvino")


def torch(model, precision, batch, work="train", figure=PER_IMAGE, iters=4):
    return Measure(f"{PYTHON} bench/peer_torch.py --model {model} --work {work} --precision {precision} --batch {batch} "
                   f"--threads {THREADS} --iters {ITERS or iters} --warmup 1", figure, "torch", ())


def reference(arguments, figure, files=()):
    return Measure(f"{REFERENCE} {arguments} device=cpu", figure, "reference", files)


# ---- files that measures want: the reference package writes beside the pictures, so it gets a copy -------------------

def copied(name):
    to = f"{SCRATCH}/{name}"
    return to, (f"cp -r {SHARED}/data/{name} {to}.part && chmod -R u+w {to}.part && "
                f"sed -i 's|^path:.*|path: {to}|' {to}.part/{name}.yaml && mv {to}.part {to}")


CONVERTED = NATIVE, f"{DYNYOLO} convert in={WEIGHTS} out={NATIVE}"


# ---- the rows -------------------------------------------------------------------------------------------------------

def gate(group, work, a, b, limit, unit="ms", more_is_better=False, fallback=None):
    return Gate(group, work, a, b, limit, unit, more_is_better, fallback)


def inference():
    for scale, limits in ("n", {"f32": 0.85, "bf16": 0.28}), ("s", {"f32": 0.85, "bf16": 0.25}):
        for precision, limit in limits.items():
            group, static = f"infer-{scale}-{precision}", f"yolov8{scale}"
            mine = ours(static, precision)
            yield gate(group, f"{static} batch 1 {precision} : ONNX Runtime", mine, ort(static), limit)
            yield gate(group, f"{static} batch 1 {precision} : OpenVINO", mine, openvino(static),
                       1.0 if precision == "bf16" else None)
            for v in VARIANTS:
                model = f"{static}-{v}"
                yield gate(group, f"{model} batch 1 {precision} : our {static}", ours(model, precision), mine, 1.05)
                yield gate(group, f"{model} batch 1 {precision} : ONNX Runtime", ours(model, precision), ort(model), limit)
    for precision, limit in ("f32", 0.85), ("bf16", 0.25):
        mine, group = ours("yolov8n", precision, 8), f"infer-n-{precision}-b8"
        yield gate(group, f"yolov8n batch 8 {precision} : ONNX Runtime", mine, ort("yolov8n", 8), limit)
        yield gate(group, f"yolov8n batch 8 {precision} : OpenVINO", mine, openvino("yolov8n", 8),
                   1.0 if precision == "bf16" else None)


def training():
    for precision, limit in ("f32", 0.5), ("bf16", 0.4):
        yield gate(f"train-n-{precision}-b8", f"yolov8n step batch 8 {precision} : PyTorch",
                   ours("yolov8n", precision, 8, train=True), torch("yolov8n", precision, 8), limit)
    for scale in "ns":
        group, static = f"train-{scale}-bf16-b16", f"yolov8{scale}"
        mine = ours(static, "bf16", 16, train=True)
        yield gate(group, f"{static} step batch 16 bf16 : PyTorch", mine, torch(static, "bf16", 16), 0.4)
        for v in VARIANTS:
            model = f"{static}-{v}"
            own = ours(model, "bf16", 16, train=True)
            yield gate(group, f"{model} step batch 16 bf16 : our {static}", own, mine, 1.10)
            yield gate(group, f"{model} step batch 16 bf16 : PyTorch", own, torch(model, "bf16", 16), 0.4)


def whole_jobs():
    """Fallbacks are the reference package's figures on another machine of the kind."""
    epoch = f"train model={WEIGHTS} data={BCCD} epochs=4 imgsz=320 batch=16 cache=ram workers=2 plots=False close_mosaic=0"
    figure = r'"ms_per_epoch": *([\d.]+)'
    timed = lambda m: m._replace(command=f"python3 bench/epoch.py {SCRATCH} {m.command}", files=(copied("bccd"),))
    for precision, limit in ("f32", 0.25), ("bf16", 0.15):
        yield gate(f"epoch-{precision}", f"epoch on BCCD {precision} : reference package",
                   timed(our_job(f"{epoch} precision={precision}", figure)), timed(reference(epoch, figure)), limit,
                   fallback=21000)

    rate, program = r"([\d.]+) pictures/s", f"{BUILD}/bench/bench_data"
    yield gate("loader", "training pictures a second and core, 640 : reference package",
               Measure(f"{program} {COCO} 640 4", rate, "", (copied("coco128"), (program, f"make B={BUILD} {program}"))),
               Measure(f"{REFERENCE_PYTHON} bench/peer_loader.py {COCO} 640 2", rate, "reference", (copied("coco128"),)),
               3.0, "pictures/s", True, 178)

    val = f"val model={WEIGHTS} data={COCO} plots=False project={SCRATCH} exist_ok=True"
    post, files = r"([\d.]+)ms postprocess", (copied("coco128"),)
    yield gate("post", "post-processing of a picture at conf 0.001, coco128 : reference package",
               our_job(f"{val} name=val-ours precision=f32", post, files),
               reference(f"{val} name=val-peer workers=2", post, files), 0.3)

    photo = f"source={PHOTO} project={SCRATCH} exist_ok=True"
    for precision, limit in ("auto", 0.15), ("f32", None):
        yield gate("start", f"predict one photo, process start to file, {precision} : reference package",
                   our_job(f"predict model={NATIVE} name=predict-ours {photo} precision={precision}", "wall_ms", (CONVERTED,)),
                   reference(f"predict model={WEIGHTS} name=predict-peer {photo}", "wall_ms"), limit, fallback=1600)


def memory():
    for precision in "f32", "bf16":
        yield gate("memory", f"peak memory, predict yolov8n 640 {precision} : PyTorch",
                   our_job(f"predict model={NATIVE} source={PHOTO} project={SCRATCH} exist_ok=True name=predict-ours "
                           f"precision={precision}", "rss_mb", (CONVERTED,)),
                   torch("yolov8n", precision, 1, "infer", "rss_mb", 2), 0.25, "MB")
        yield gate("memory", f"peak memory, yolov8n step batch 16 640 {precision} : PyTorch",
                   ours("yolov8n", precision, 16, train=True, iters=2)._replace(figure="rss_mb"),
                   torch("yolov8n", precision, 16, "train", "rss_mb", 2), 0.6, "MB")


def scaling():
    """Cost per pixel, one thing varied at a time."""
    area = lambda side: (side / 640) ** 2
    for precision in "f32", "bf16":
        for threads in 1, 2:
            sides = 320, 416, 640, 960, 1280
            yield Sweep(f"scale-size-{precision}-t{threads}",
                        [(f"yolov8n {side}x{side} batch 1 {precision}, {threads} thread{'s' * (threads > 1)}",
                          ours("yolov8n", precision, 1, side, threads=threads, iters=10), area(side)) for side in sides], 1.3,
                        "ms/640x640")
        yield Sweep(f"scale-batch-{precision}",
                    [(f"yolov8n 640x640 batch {n} {precision}", ours("yolov8n", precision, n, iters=max(16 // n, 2)), 1)
                     for n in (1, 2, 4, 8, 16, 32)], 1.3, "ms/image")
        for scale in "smlx":
            yield Sweep(f"scale-{scale}-{precision}",
                        [(f"yolov8{scale} {side}x{side} batch 1 {precision}",
                          ours(f"yolov8{scale}", precision, 1, side, iters=4), area(side)) for side in (320, 640, 1280)], 1.3,
                        "ms/640x640")


GATES = [*inference(), *training(), *whole_jobs(), *memory(), *scaling()]
