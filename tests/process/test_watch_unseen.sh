#!/usr/bin/env bash
# Watching what inotify does not tell of.
. "$(dirname "$0")/lib.sh"

# A write through a link from outside causes no event: the step that reads meanwhile must not be believed.
test_written_through_another_name_in_mid_run() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "echo begun; while [ ! -e '"$T"'/go ]; do sleep 0.02; done; cat in > out", "inputs": ["in"], "outputs": ["out"]},
        '"$SYNC_STEP"'}}'
    echo 0 > .sync
    echo 1 > in
    : > "$T/go"
    watch_start
    rm "$T/go"
    put in 2
    ln in "$T/other"
    wait_event '.type == "step.log" and .step == "a"'
    echo 3 > "$T/other"
    : > "$T/go"
    watch_settle
    watch_settle
    assert_file out 3
    kiln 0 plan --json
    assert_eq "$(jq -r '.steps[].state' "$T/out" | sort -u)" "cached" "states"
    put in 2 # what it was when the step began has never been read
    watch_settle
    assert_file out 2
    watch_stop
}

run_tests
