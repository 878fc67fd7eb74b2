#!/usr/bin/env bash
# Big inputs: what would take long can be ended at once.
. "$(dirname "$0")/lib.sh"

reads() {
    [ "$(sed -n 's/^rchar: //p' "/proc/$1/io")" -gt 100000000 ]
}

# Hashing a file of a tebibyte takes ten minutes and more; ^C does not wait for it.
test_a_huge_file_is_left_at_once() {
    project '{"version": 1, "steps": {"a": {"run": "true", "inputs": ["big"]}}}'
    truncate -s 1T big 2> /dev/null || { echo "(not tried: no file of that size here)"; return; }
    "$KILN" run --json > "$T/out" 2> "$T/err" < /dev/null &
    local pid=$! began
    wait_for reads "$pid"
    began=$SECONDS
    kill -INT "$pid"
    wait_for gone "$pid"
    [ $((SECONDS - began)) -le 5 ] || fail "it took $((SECONDS - began)) s to end"
    RC=0
    wait "$pid" || RC=$?
    assert_eq "$RC" 130
}

run_tests
