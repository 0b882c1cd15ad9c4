#!/bin/sh
# Runs the fuzzers named as arguments, FUZZ_SECONDS each, and closes with "N fuzzers clean, N found something".
# Seeds: fuzz/seeds/NAME/*, and files of tests/data that the globs in fuzz/fuzz_NAME.seeds name, one a line. The corpus grows in
# $B/corpus; what crashes is kept in $B as crash-fuzz_NAME-*. FUZZ_TIMEOUT is by the clock on the wall: raise it where the
# machine has something better to do.
clean=0 found=0
for bin in "$@"; do
    name=$(basename "$bin")
    corpus=$B/corpus/$name
    mkdir -p "$corpus"
    seeds=fuzz/seeds/${name#fuzz_}
    [ -d "$seeds" ] && cp "$seeds"/* "$corpus"/
    [ -f "fuzz/$name.seeds" ] && for f in $(cat "fuzz/$name.seeds"); do cp "$f" "$corpus"/; done
    dict=
    [ -f "fuzz/$name.dict" ] && dict=-dict=fuzz/$name.dict
    if "$bin" "$corpus" $dict -max_total_time="${FUZZ_SECONDS:-60}" -timeout="${FUZZ_TIMEOUT:-20}" -rss_limit_mb=4096 -max_len=20000 \
        -artifact_prefix="$B/crash-$name-" -print_final_stats=1 >"$B/$name.log" 2>&1; then
        clean=$((clean + 1))
        echo "$name: clean, $(sed -n 's/^stat::number_of_executed_units: *//p' "$B/$name.log") inputs"
    else
        found=$((found + 1))
        echo "$name: found something"
        grep -aE 'ERROR|SUMMARY|runtime error|Test unit written|^    #[0-9] ' "$B/$name.log" | head -20
    fi
done
echo "$clean fuzzers clean, $found found something"
[ "$found" -eq 0 ]
