#!/usr/bin/env bash
# Watching where file systems come and go: the kernel tells nothing of what a mount hides, or a bind mount showed.
. "$(dirname "$0")/lib.sh"

PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "steps": {
    "a": {"run": "find src -type f -print0 | sort -z | xargs -0 cat > out", "inputs": ["src"], "outputs": ["out"]},
    '$SYNC_STEP'}}'
export PIPELINE SYNC_STEP

mounts() {
    project "$PIPELINE"
    mkdir -p src/own "src/a place" elsewhere/deep "$T/outside"
    echo own > src/own/f
    echo hidden > "src/a place/f"
    echo bound > "$T/outside/f"
    echo 0 > .sync
    watch_start
    assert_file out $'hidden\nown'
    mount --bind "$T/outside" "src/a place"
    watch_settle
    assert_file out $'bound\nown'
    echo written > "src/a place/f" # it is watched
    watch_settle
    assert_file out $'written\nown'
    mkdir -p "$T/outside/new"
    echo new > "$T/outside/new/f" # through the other path
    watch_settle
    assert_file out $'written\nnew\nown'
    umount "src/a place"
    watch_settle
    assert_file out $'hidden\nown'
    echo seen > "src/a place/f" # watched again
    watch_settle
    assert_file out $'seen\nown'
    # One file over another.
    mount --bind "$T/outside/f" src/own/f
    watch_settle
    assert_file out $'seen\nwritten'
    umount src/own/f
    watch_settle
    assert_file out $'seen\nown'
    # One that dies with its last mount.
    mount -t tmpfs none src/own
    echo tmp > src/own/t
    watch_settle
    assert_file out $'seen\ntmp'
    umount src/own
    watch_settle
    assert_file out $'seen\nown'
    # What a fresh look finds.
    kiln 0 plan --json
    assert_eq "$(jq -r '.steps[].state' "$T/out" | sort -u)" "cached" "states"
    # Mounts outside of the project are nobody's business.
    idle=$(grep -c '"type":"watch.degraded"' "$T/watch.out")
    mount -t tmpfs none "$T/outside"
    umount "$T/outside"
    watch_settle
    assert_eq "$(grep -c '"type":"watch.degraded"' "$T/watch.out")" "$idle" "looks at everything"
    watch_stop
}

# A bind mount under the feet of a step that runs: what it read is not what the key says.
mount_in_mid_run() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "echo begun; while [ ! -e '"$T"'/go ]; do sleep 0.02; done; cat src/f > out", "inputs": ["src"], "outputs": ["out"]},
        '"$SYNC_STEP"'}}'
    mkdir -p src "$T/outside"
    echo own > src/f
    echo bound > "$T/outside/f"
    echo 0 > .sync
    : > "$T/watch.out"
    "$KILN" watch --json > "$T/watch.out" 2> "$T/watch.err" < /dev/null &
    WATCH_PID=$! IDLE=0 MARK=0 SYNC=0
    wait_event '.type == "step.log" and .step == "a"'
    mount --bind "$T/outside" src
    : > "$T/go"
    watch_settle
    assert_file out bound
    umount src
    watch_settle
    assert_file out own
    assert_eq "$(status a "$T/round")" passed # it was not kept of the first time
    watch_stop
}

test_mounts() {
    with_mounts mounts
}

test_mount_in_mid_run() {
    with_mounts mount_in_mid_run
}

run_tests
