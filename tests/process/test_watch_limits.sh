#!/usr/bin/env bash
# Watching where the kernel gives up: events lost, no watches left, no inotify at all, the root gone.
. "$(dirname "$0")/lib.sh"

PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "steps": {
    "a": {"run": "grep -v ^# in > mid || :", "inputs": ["in"], "outputs": ["mid"]},
    "b": {"run": "{ cat mid; find src -type f | sort | xargs cat; } > out", "inputs": ["src"], "needs": ["a"],
          "outputs": ["out"]},
    "many": {"run": "ls many | wc -l", "inputs": ["many"]},
    '$SYNC_STEP'}}'

begin() {
    project "$PIPELINE"
    mkdir -p src/deep/er many
    echo 1 > in
    echo s > src/deep/er/f
    : > many/none
    echo 0 > .sync
}

# limited NAME LIMIT: a watch that the kernel gives no more than that; nobody else is limited by it.
limited() {
    if ! unshare -Ur sh -c "echo $2 > /proc/sys/user/max_inotify_$1" 2> /dev/null; then
        echo "(not tried: no user namespaces here)"
        exit 0
    fi
    : > "$T/watch.out"
    unshare -Ur sh -c 'echo "$1" > "/proc/sys/user/max_inotify_$0" && exec "$2" watch --json' "$1" "$2" "$KILN" \
        > "$T/watch.out" 2> "$T/watch.err" < /dev/null &
    WATCH_PID=$! IDLE=0 MARK=0 SYNC=0
    watch_idle
}

degraded() {
    events 'select(.type == "watch.degraded") | .reason' "$T/watch.out"
}

# What polling has to find, as inotify would.
changes_are_found() {
    echo 2 > in
    watch_settle
    assert_file out $'2\ns'
    echo t > src/deep/er/f
    watch_settle
    assert_file out $'2\nt'
    mkdir -p src/new/dir
    echo n > src/new/dir/f
    watch_settle
    assert_file out $'2\nt\nn'
    echo m > src/new/dir/f
    watch_settle
    assert_file out $'2\nt\nm'
    rm -r src/new
    watch_settle
    assert_file out $'2\nt'
    rm out
    wait_for test -e out
    watch_settle
    assert_file out $'2\nt'
    # A step that does not touch its inputs is not taken for one that does, so it ends up in the cache.
    kiln 0 plan --json
    assert_eq "$(jq -r '.steps[].state' "$T/out" | sort -u)" "cached" "states"
}

# Asks the kernel, not the clock: as soon as the queue is full, nothing more fits in.
test_queue_overflow() {
    local limit
    begin
    limit=$(cat /proc/sys/fs/inotify/max_queued_events)
    if [ "$limit" -gt 40000 ]; then
        echo "(not tried: a queue of $limit)"
        return 0
    fi
    watch_start
    kill -STOP "$WATCH_PID"
    echo 2 > in
    awk -v n=$((limit / 2 + 2000)) 'BEGIN { for (i = 0; i < n; i++) { f = "many/" i; printf "" > f; close(f) } }'
    echo t > src/deep/er/f # these no longer fit
    mkdir -p src/new/dir
    echo n > src/new/dir/f
    rm many/none
    kill -CONT "$WATCH_PID"
    watch_settle
    assert_match "$(degraded)" "overflow.*looked at again"
    assert_eq "$(degraded | wc -l)" 1 "times that it was said"
    assert_file out $'2\nt\nn'
    assert_eq "$(step_log many "$T/round" | tail -n 1 | tr -d ' ')" $((limit / 2 + 2000))
    echo m > src/new/dir/f # found in the rescan, and watched
    watch_settle
    assert_file out $'2\nt\nm'
    rm -r many
    mkdir many
    : > many/none
    watch_settle
    assert_eq "$(status many "$T/round")" "cached"
    kiln 0 plan --json
    assert_eq "$(jq -r '.steps[].state' "$T/out" | sort -u)" "cached" "states"
    watch_stop
}

# A step that runs while events are lost: nobody knows whether its input changed, so its result is not kept.
test_overflow_in_mid_run() {
    local limit
    begin
    limit=$(cat /proc/sys/fs/inotify/max_queued_events)
    if [ "$limit" -gt 40000 ]; then
        echo "(not tried: a queue of $limit)"
        return 0
    fi
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "cat in > mid; echo begun; while [ ! -e '"$T"'/go ]; do sleep 0.02; done", "inputs": ["in"], "outputs": ["mid"]},
        "many": {"run": ":", "inputs": ["many"]}, '"$SYNC_STEP"'}}'
    : > "$T/watch.out"
    "$KILN" watch --json > "$T/watch.out" 2> "$T/watch.err" < /dev/null &
    WATCH_PID=$! IDLE=0 MARK=0 SYNC=0
    wait_event '.type == "step.log" and .step == "a"'
    wait_event '.type == "step.finished" and .step == "many"'
    kill -STOP "$WATCH_PID"
    awk -v n="$limit" 'BEGIN { for (i = 0; i < n; i++) { f = "many/" (i % 2000); printf "" > f; close(f) } }'
    put in 2 # lost
    put in 3
    kill -CONT "$WATCH_PID"
    : > "$T/go"
    watch_settle
    assert_match "$(degraded)" "overflow"
    assert_file mid 3
    kiln 0 run --json a
    assert_eq "$(ran)" ""
    assert_file mid 3
    watch_stop
}

test_no_watches_left() {
    begin
    limited watches 4
    assert_match "$(degraded)" "cannot be watched and .* looked at every.*max_user_watches.*sysctl"
    changes_are_found
    assert_eq "$(degraded | wc -l)" 1 "times that it was said"
    watch_stop TERM
    assert_eq "$RC" 143 "exit code"
}

test_no_watch_at_all() {
    begin
    limited watches 0
    assert_match "$(degraded)" "max_user_watches"
    changes_are_found
    assert_eq "$(degraded | wc -l)" 1 "times that it was said"
    watch_stop
}

test_no_inotify() {
    begin
    limited instances 0
    assert_match "$(degraded)" "inotify is refused.*max_user_instances"
    changes_are_found
    assert_eq "$(degraded | wc -l)" 1 "times that it was said"
    watch_stop
}

# Polling does not make work of its own: a save is one round, and silence is silence.
test_polling_is_quiet() {
    begin
    limited watches 0
    watch_settle
    put in 2
    watch_settle
    watch_settle
    idles=$(grep -c '"type":"watch.idle"' "$T/watch.out")
    [ "$idles" -le 8 ] || fail "idle $idles times after three saves"
    # Two looks later (the sync step's round needs one each) nothing else has happened.
    lines=$(wc -l < "$T/watch.out")
    watch_settle
    assert_eq "$(others)" "" "steps that ran"
    [ $(($(wc -l < "$T/watch.out") - lines)) -le 10 ] || fail "more than the one round: $(cat "$T/round")"
    watch_stop
}

test_root_deleted() {
    begin
    watch_start
    cd /
    wait_for rm -rf "$P" # it may be putting an output back there meanwhile
    wait_for gone "$WATCH_PID"
    RC=0
    wait "$WATCH_PID" || RC=$?
    WATCH_PID=
    assert_eq "$RC" 3 "exit code"
    assert_match "$(events 'select(.type == "notice" and .level == "error") | .text' "$T/watch.out")" "is gone"
}

test_root_moved_away() {
    begin
    watch_start
    cd /
    mv "$P" "$T/elsewhere"
    wait_for gone "$WATCH_PID"
    RC=0
    wait "$WATCH_PID" || RC=$?
    WATCH_PID=
    assert_eq "$RC" 3 "exit code"
}

test_root_deleted_in_mid_run() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "echo pid $$; exec sleep 1000", "inputs": []}}}'
    : > "$T/watch.out"
    "$KILN" watch --json > "$T/watch.out" 2> "$T/watch.err" < /dev/null &
    WATCH_PID=$! IDLE=0 MARK=0 SYNC=0
    wait_event '.type == "step.log"'
    step=$(step_log a "$T/watch.out" | sed 's/pid //')
    cd /
    rm -rf "$P"
    wait_for gone "$WATCH_PID"
    RC=0
    wait "$WATCH_PID" || RC=$?
    WATCH_PID=
    assert_eq "$RC" 3 "exit code"
    gone "$step" || fail "the step lives on"
    assert_match "$(events 'select(.type == "notice" and .level == "error") | .text' "$T/watch.out")" "is gone"
    assert_eq "$(status a "$T/watch.out")" "cancelled"
}

run_tests
