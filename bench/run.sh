#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Times two commands in turn, A B A B ..., so that both meet the same machine; prints the median of each and the ratio.
# Usage: bench/run.sh [-n ROUNDS] [-k KEY] 'OURS' 'PEER'
#   Each command prints a line of JSON that holds "KEY": NUMBER (default ms_per_image); the last such line counts. E.g.
#   bench/run.sh 'build/dynyolo benchmark model=yolov8n.pt imgsz=640 format=json' 'python3 bench/peer_ort.py yolov8n.onnx'
set -eu
rounds=5 key=ms_per_image
while getopts n:k: o; do
    case $o in n) rounds=$OPTARG ;; k) key=$OPTARG ;; *) exit 2 ;; esac
done
shift $((OPTIND - 1))
[ $# -eq 2 ] || { sed -n '4,6s/^# //p' "$0" >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# Runs command $2 and appends its figure to the file $1.
measure() {
    sh -c "$2" > "$dir/out" || { echo "bench: failed: $2" >&2; exit 1; }
    ms=$(sed -n 's/.*"'"$key"'": *\([0-9.eE+-]*\).*/\1/p' "$dir/out" | tail -n 1)
    [ -n "$ms" ] || { echo "bench: no \"$key\" in the output of: $2" >&2; exit 1; }
    echo "$ms" >> "$dir/$1"
}
# Median, smallest and largest of a file of numbers.
summary() {
    sort -g "$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2, v[1], v[NR] }'
}

for _ in $(seq "$rounds"); do
    measure a "$1"
    measure b "$2"
done
set -- $(summary "$dir/a") $(summary "$dir/b")
printf 'ours  %10.3f %s  (%.3f .. %.3f, %d rounds)\n' "$1" "$key" "$2" "$3" "$rounds"
printf 'peer  %10.3f %s  (%.3f .. %.3f)\n' "$4" "$key" "$5" "$6"
awk -v a="$1" -v b="$4" 'BEGIN { printf "peer / ours = %.3f\n", b / a }'
