#!/bin/sh
# Kills trainings at random moments with SIGKILL and resumes them, KILLS times in all (default 50), as many trainings as
# that takes. Each must end with the bytes of one that nobody killed: last.safetensors, best.safetensors, and
# results.csv without its column `time`, which is a clock's. After every kill the files that are there must be whole.
# KILL_SEED repeats the moments, as far as the machine's load does. B=build sh tests/kill.sh
set -eu
kills=${KILLS:-50} seed=${KILL_SEED:-$(date +%s)} epochs=${KILL_EPOCHS:-10}
dir=$(mktemp -d) bin=$dir/dynyolo
cp "${B:-build}/dynyolo" "$bin" # so that a build may go on beside it
trap 'rm -rf "$dir"' EXIT
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
fail() { echo "kill: $*; KILL_SEED=$seed"; tail -5 "$dir/log" 2>/dev/null; exit 1; }

"$bin" synth out="$dir/shapes" n=64 imgsz=64 classes=3 seed=1 2>"$dir/log" || fail "synth failed"
# exec: so that what is killed is the command, not a shell that waits for it
begin() { exec "$bin" train model=yolov8n.yaml data="$dir/shapes" imgsz=64 batch=16 epochs="$epochs" threads=1 plots=False \
              close_mosaic=3 warmup_epochs=1 project=runs name=r exist_ok=True "$@"; }
resume() { exec "$bin" train model=runs/r/weights/last.safetensors resume=True "$@"; }
seconds() { date +%s.%N; }
number() { # a number from 0 to $1, the next of the seed's
    count=$((${count:-0} + 1))
    awk -v s="$seed" -v c="$count" -v m="$1" 'BEGIN { srand(s * 1000 + c); rand(); print rand() * m }'
}
without_time() { cut -d, -f1,3- "$1"; }

mkdir "$dir/whole" && cd "$dir/whole"
from=$(seconds)
(begin) >"$dir/log" 2>&1 || fail "the training that is not killed failed"
span=$(echo "$from $(seconds) $epochs" | awk '{ print 3 * ($2 - $1) / $3 + 0.1 }') # a life: up to about three epochs

done_kills=0 trainings=0 before_first=0
while [ "$done_kills" -lt "$kills" ] || [ "$trainings" -eq 0 ]; do
    trainings=$((trainings + 1))
    rm -rf "$dir/killed" && mkdir "$dir/killed" && cd "$dir/killed"
    while :; do
        if [ -f runs/r/weights/last.state.safetensors ]; then how=resume; else how=begin; fi
        $how >"$dir/log" 2>&1 &
        pid=$!
        if [ "$done_kills" -lt "$kills" ]; then
            sleep "$(number "$span")"
            kill -9 $pid 2>/dev/null || true
        fi
        rc=0
        wait $pid 2>/dev/null || rc=$?
        # Killed after the last epoch's checkpoint, it has nothing left to do.
        if [ $rc -eq 0 ] || grep -q 'nothing to resume' "$dir/log"; then break; fi
        [ $rc -eq 137 ] || fail "$how ended with $rc"
        done_kills=$((done_kills + 1))
        [ $how = resume ] || before_first=$((before_first + 1))
        for f in runs/r/weights/last.safetensors runs/r/weights/best.safetensors; do
            [ ! -f $f ] || "$bin" info model=$f imgsz=64 verbose=False >/dev/null 2>"$dir/log" || fail "$f is not whole"
        done
    done
    for f in last best; do
        cmp "$dir/whole/runs/r/weights/$f.safetensors" "runs/r/weights/$f.safetensors" || fail "$f.safetensors differs"
    done
    without_time "$dir/whole/runs/r/results.csv" >"$dir/a"
    without_time runs/r/results.csv >"$dir/b"
    cmp "$dir/a" "$dir/b" || fail "results.csv differs"
    [ -z "$(find runs -name '*.tmp-*')" ] || fail "left behind: $(find runs -name '*.tmp-*')"
done
echo "kill: $done_kills kills in $trainings trainings of $epochs epochs ($before_first before the first checkpoint): same bytes"
