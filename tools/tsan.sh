#!/bin/sh
# Threads under ThreadSanitizer: the loader's tests, short trainings with their validation, val and predict.
#
#   sh tools/tsan.sh BUILD TEST...      (made with CC=clang MODE=tsan)
#
# clang's OpenMP runtime tells the sanitizer of its barriers through libarcher, which lies beside it; without it there
# would be false reports. Libraries that are not instrumented are not looked into (ignore_noninstrumented_modules).
set -u
b=$(realpath "$1") here=$(dirname "$(realpath "$0")")
shift
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$here/.." || exit 1
export TSAN_OPTIONS="ignore_noninstrumented_modules=1 exitcode=66 halt_on_error=0"
export OMP_WAIT_POLICY=passive ARCHER_OPTIONS=verbose=1
count=0 bad=0
try()
{
    count=$((count + 1))
    "$@" >"$dir/out" 2>&1
    rc=$?
    [ $rc -eq 0 ] && return
    bad=$((bad + 1))
    echo "$* : exit status $rc"
    grep -E '^(WARNING: ThreadSanitizer|SUMMARY| +#[0-9]|  (Previous|Read|Write|Mutex|Location))|FAILED|dynyolo:' "$dir/out" | head -60
}

for t in "$@"; do try "$b/tests/$t"; done
run="project=$dir threads=2 workers=2 imgsz=64"
try "$b/dynyolo" synth out="$dir/shapes" n=32 imgsz=64
try "$b/dynyolo" train model=yolov8n.yaml data="$dir/shapes/data.yaml" name=a $run epochs=2 batch=8 multi_scale=0.5
grep -q '^Archer detected' "$dir/out" || { echo 'libarcher was not loaded: install libomp-dev'; bad=$((bad + 1)); }
weights=$dir/a/weights/last.safetensors
try "$b/dynyolo" train model=yolov8n-ODConv.yaml data="$dir/shapes/data.yaml" name=b $run epochs=1 batch=8 precision=f32 rect=True
try "$b/dynyolo" val model="$weights" data="$dir/shapes/data.yaml" name=v $run
try "$b/dynyolo" predict model="$weights" source="$dir/shapes/images/train" name=p $run conf=0.001
echo "$count runs, $bad with races"
[ $bad -eq 0 ]
