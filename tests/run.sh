#!/bin/sh
# Runs the test programs named as arguments one after another and closes with "N passed, N failed[, N skipped]".
# A program that dies counts as one failure. VERBOSE=1 shows what passes.
# Idle threads sleep: beside other programs, spinning ones triple the time of the tests.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
passed=0 failed=0 skipped=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for t in "$@"; do
    name=$(basename "$t")
    CMOCKA_MESSAGE_OUTPUT=TAP "$t" >"$out" 2>&1
    rc=$?
    # cmocka 1.1.5 (Debian 12) says "not ok" of a test that it skipped.
    skip=$(grep -cE '^(not )?ok.*# SKIP' "$out") ok=$(grep '^ok' "$out" | grep -vc '# SKIP')
    bad=$(grep '^not ok' "$out" | grep -vc '# SKIP')
    if [ $rc -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; echo "$name: exit status $rc"; fi
    if [ $rc -eq 0 ] && [ $((ok + bad + skip)) -eq 0 ]; then bad=1; echo "$name: ran no test"; fi
    echo "$name: $ok passed, $bad failed, $skip skipped"
    if [ "$bad" -gt 0 ]; then cat "$out"; elif [ -n "${VERBOSE:-}" ]; then cat "$out"; else grep '^skip: ' "$out"; fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
