#!/bin/sh
# Memory of a long training, sampled: a leak of a few bytes a batch shows as a slope.
#
#   sh tools/memory_curve.sh DYNYOLO OUT [HOURS] [key=value ...]
#
# Draws a small data set, trains on it for HOURS (default 1) and writes OUT/memory.csv (seconds, resident and anonymous
# KiB, threads, open files, finished epochs), OUT/memory.svg and a summary. Fails when the second half of the run ends
# more than 2 % above its own beginning. More options (multi_scale=0.5, cache=ram, ...) are handed to the training.
set -eu
bin=$(realpath "$1") out=$2 hours=${3:-1}
shift 2
[ $# -gt 0 ] && shift
here=$(dirname "$(realpath "$0")")
mkdir -p "$out"
out=$(realpath "$out")
[ -d "$out/shapes" ] || "$bin" synth out="$out/shapes" n=40 imgsz=96 seed=1 >/dev/null
"$bin" train model=yolov8n.yaml data="$out/shapes/data.yaml" project="$out" name=run exist_ok=True imgsz=96 batch=8 \
    workers=1 threads=1 patience=0 time="$hours" "$@" >"$out/train.log" 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null || :' EXIT
echo seconds,rss_kib,anonymous_kib,threads,files,epochs >"$out/memory.csv"
begun=$(date +%s)
while kill -0 $pid 2>/dev/null; do
    sleep 5
    now=$(($(date +%s) - begun)) files=$(ls /proc/$pid/fd 2>/dev/null | wc -l)
    epochs=$(cat "$out/run/results.csv" 2>/dev/null | wc -l)
    awk -v now="$now" -v files="$files" -v epochs="$epochs" '/^VmRSS/ { r = $2 } /^RssAnon/ { a = $2 } /^Threads/ { t = $2 }
        END { if (r) printf "%d,%d,%d,%d,%d,%d\n", now, r, a, t, files, epochs ? epochs - 1 : 0 }' \
        /proc/$pid/status 2>/dev/null >>"$out/memory.csv" || :
done
trap - EXIT
wait $pid || { tail -5 "$out/train.log"; exit 1; }
awk -F, -f "$here/memory_curve.awk" "$out/memory.csv" >"$out/memory.svg"
