#!/bin/sh
# The main job end to end on a drawn data set: synth, train, compare (the baseline and two dynamic variants, all three
# fine-tuned from that training and measured), val, predict. Everything lands below runs/demo.
set -eu
dyn=${B:-build}/dynyolo
out=runs/demo
base=$out/train/weights/best.safetensors
best=$out/compare/yolov8n-seed0/weights/best.safetensors
rm -rf $out
start=$(date +%s)
say() { printf '\n== %s\n' "$*"; "$@"; }
# A small set and short runs: steps count, so batches are small and every one of them is a step (nbs=batch). Three models
# from fresh weights would take three times as long: they begin with the weights of one.
how="data=$out/shapes/data.yaml project=$out imgsz=160 batch=8 nbs=8 optimizer=AdamW momentum=0.9 warmup_bias_lr=0 cache=ram verbose=False"
say $dyn synth out=$out/shapes n=640
say $dyn train model=yolov8n.yaml name=train epochs=${EPOCHS:-32} lr0=0.002 $how
say $dyn compare models=yolov8n.yaml,yolov8n-DynamicConv.yaml,yolov8n-Dysample.yaml pretrained=$base \
    name=compare epochs=${COMPARE_EPOCHS:-4} lr0=0.0005 warmup_epochs=0 mosaic=0 plots=False $how
say $dyn val model=$best data=$out/shapes/data.yaml project=$out name=val imgsz=160
say $dyn predict model=$best source=$out/shapes/images/val project=$out name=predict imgsz=160 >$out/predict.log
tail -n 3 $out/predict.log
cat <<TEXT

done in $(($(date +%s) - start)) seconds
  the drawn pictures      $out/shapes/images
  training                $out/train: results.csv results.png labels.jpg train_batch*.jpg weights/
  three models compared   $out/compare: compare.md compare.csv compare.png MODEL-seed0/weights/
  validation of yolov8n   $out/val: BoxPR_curve.png confusion_matrix.png val_batch*_pred.jpg
  its boxes on pictures   $out/predict
TEXT
