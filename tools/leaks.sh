#!/bin/sh
# Every command on a small data set under AddressSanitizer with its leak check, the ways out through errors included.
#
#   sh tools/leaks.sh DYNYOLO      (built with MODE=asan)
#
# tools/leaks.supp names what libraries keep on purpose, with the reason. Closes with "N commands, N with leaks".
set -u
bin=$(realpath "$1") here=$(dirname "$(realpath "$0")")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export ASAN_OPTIONS=detect_leaks=1:exitcode=99 LSAN_OPTIONS=suppressions=$here/leaks.supp:print_suppressions=0 OMP_WAIT_POLICY=passive
count=0 bad=0
# Wanted exit status, then the words of the command.
try()
{
    want=$1
    shift
    count=$((count + 1))
    "$bin" "$@" >out 2>&1
    rc=$?
    [ $rc -eq "$want" ] && return
    bad=$((bad + 1))
    echo "dynyolo $*: exit status $rc, wanted $want"
    grep -E '^(=|SUMMARY| +#[0-9])|runtime error|dynyolo:' out | head -30
}

# Small, since sanitized kernels are slow: a row of every kind that holds memory of its own kind.
for i in 1 2; do
    cat >tiny$i.yaml <<TEXT
nc: 6
backbone:
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, C2f, [16, True]]
  - [-1, 1, $([ $i = 1 ] && echo Conv || echo ODConv2d), [16, 3, 2]]
  - [-1, 1, SPPF, [16, 5]]
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 2], 1, Concat, [1]]
  - [-1, 1, C2f, [16]]
  - [[7, 4], 1, Detect, [nc]]
TEXT
done
small="imgsz=64 batch=4 epochs=2 threads=2"
try 0 synth out=shapes n=16 imgsz=64
try 0 info model=yolov8n.yaml
try 0 train model=tiny2.yaml data=shapes/data.yaml name=a $small cache=True multi_scale=0.5 save_period=1 degrees=5 \
    mixup=0.5 cutmix=0.5 bgr=0.5
weights=runs/detect/a/weights/last.safetensors
try 0 train model=$weights data=shapes/data.yaml name=b $small rect=True optimizer=SGD freeze=3 precision=f32
try 2 train model=$weights resume=True
try 0 val model=$weights data=shapes/data.yaml imgsz=64 plots=True save_json=True save_txt=True save_conf=True augment=True
try 0 predict model=$weights source=shapes/images/val imgsz=64 conf=0.0001 save_txt=True save_crop=True
try 0 predict model=$weights source=shapes/images/val imgsz=64 format=json save=False half=True
try 0 compare models=tiny1.yaml,tiny2.yaml data=shapes/data.yaml seeds=0,1 $small iters=1
try 0 convert in=$weights out=a.pt
try 1 convert in=a.pt out=b.safetensors
try 0 benchmark model=tiny2.yaml imgsz=64 iters=1
try 0 benchmark model=tiny2.yaml imgsz=64 iters=1 batch=2 train=True precision=f32
try 0 check data=shapes/data.yaml
# Ways out through errors.
try 2 train data=shapes/data.yaml epochs=0
try 1 train model=tiny2.yaml data=nowhere.yaml
try 2 predict model=$weights source=nowhere.jpg
head -c 3000 $weights >cut.safetensors
try 1 predict model=cut.safetensors source=shapes/images/val
printf 'nc: 1\nbackbone:\n  - [-1, 1, Nothing, [1]]\nhead:\n  - [[0], 1, Detect, [nc]]\n' >odd.yaml
try 1 info model=odd.yaml
for f in shapes/images/train/*; do head -c 200 "$f" >cut && mv cut "$f"; done
try 0 train model=tiny2.yaml data=shapes/data.yaml name=c $small
try 1 train model=tiny2.yaml data=shapes/data.yaml name=d $small strict=True
try 1 predict model=$weights source=shapes/images/train imgsz=64
echo "$count commands, $bad with leaks or another status than wanted"
[ $bad -eq 0 ]
