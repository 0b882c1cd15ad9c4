#!/bin/sh
# The main job end to end on a drawn data set: synth, train, val, predict. Everything lands below runs/demo.
set -eu
dyn=${B:-build}/dynyolo
out=runs/demo
rm -rf $out
start=$(date +%s)
say() { printf '\n== %s\n' "$*"; "$@"; }
# A small set and a short run: steps count, so batches are small and every one of them is a step (nbs=batch).
say $dyn synth out=$out/shapes n=640
say $dyn train model=yolov8n.yaml data=$out/shapes/data.yaml project=$out name=train epochs=${EPOCHS:-40} imgsz=160 batch=8 nbs=8 \
    optimizer=AdamW lr0=0.002 momentum=0.9 warmup_bias_lr=0 cache=ram verbose=False
say $dyn val model=$out/train/weights/best.safetensors data=$out/shapes/data.yaml project=$out name=val imgsz=160
say $dyn predict model=$out/train/weights/best.safetensors source=$out/shapes/images/val project=$out name=predict imgsz=160 >$out/predict.log
tail -n 3 $out/predict.log
cat <<TEXT

done in $(($(date +%s) - start)) seconds
  the drawn pictures      $out/shapes/images
  training                $out/train: results.csv results.png labels.jpg train_batch*.jpg weights/
  validation              $out/val: BoxPR_curve.png confusion_matrix.png val_batch*_pred.jpg
  boxes on pictures       $out/predict
TEXT
