#!/usr/bin/env bash
# Some of the points of scripts/hook-sweep, in each form of commit: whatever goes wrong in the hook, index and working
# tree are as they were.
. "$(dirname "$0")/lib.sh"

test_sweep() {
    command -v cc >/dev/null || { echo "(not tried: there is no C compiler)"; return 0; }
    mkdir -p "$T/tmp"
    TMPDIR=$T/tmp timeout 1000 "$SOURCE_DIR/scripts/hook-sweep" --kiln "$KILN" --sample 1 >"$T/out" 2>"$T/err" </dev/null || fail "it failed"
    assert_out '^8 forms, [0-9]+ faults, 0 of them'
}

# Fixes that are being put in place.
test_fixes() {
    command -v cc >/dev/null || { echo "(not tried: there is no C compiler)"; return 0; }
    mkdir -p "$T/tmp"
    TMPDIR=$T/tmp timeout 1000 "$SOURCE_DIR/scripts/hook-sweep" --fix --kiln "$KILN" --sample 4 --form all --form only kill >"$T/out" 2>"$T/err" </dev/null || fail "it failed"
    assert_out '^2 forms, [0-9]+ faults, 0 of them'
}

run_tests
