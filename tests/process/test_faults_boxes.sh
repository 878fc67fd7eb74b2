#!/usr/bin/env bash
# Calls of kiln's, its warden's and a nest's that go wrong while a step is isolated. A sample; scripts/fault-sweep
# --sandbox does all of them.
. "$(dirname "$0")/lib.sh"

sample() { # N KIND...
    command -v cc > /dev/null || { echo "(not tried: there is no C compiler)"; return 0; }
    mine
    "${AS[@]}" timeout 1000 "$SOURCE_DIR/scripts/fault-sweep" --kiln "$KILN" --sandbox --sample "$@" > "$T/out" 2> "$T/err" ||
        fail "after a fault: $*"
}

killed() { sample 2 kill; }
refused() { sample 3 refused; }

test_killed_at_a_call() { as_both killed; }
test_namespaces_and_mounts_refused() { as_both refused; }
test_a_full_disk() {
    boxes || return 0
    sample 2 ENOSPC
}

run_tests
