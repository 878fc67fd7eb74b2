#!/usr/bin/env bash
# Watching: how it ends, by whichever signal and whenever; and several kilns on one tree and one cache.
. "$(dirname "$0")/lib.sh"

PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "steps": {
    "a": {"run": "cat in > mid", "inputs": ["in"], "outputs": ["mid"]},
    "b": {"run": "cat mid src/* > out", "inputs": ["src"], "needs": ["a"], "outputs": ["out"]},
    '$SYNC_STEP'}}'

begin() {
    project "$PIPELINE"
    mkdir src
    echo 1 > in
    echo s > src/s
    echo 0 > .sync
}

# A step that has children: one of its own, one in a session of its own, one that does not mind being asked to go.
LONG='echo pid $$; setsid sleep 1000 & echo pid $!; sleep 1001 & echo pid $!; cat in; wait'

# in_mid_run: a watch whose step runs; $PIDS are its processes, $WARDEN kiln's own child.
in_mid_run() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "'"$LONG"'", "inputs": ["in"]},
        "after": {"run": ":", "inputs": [], "needs": ["a"]}}}'
    echo end > in
    : > "$T/watch.out" # or what an earlier one said could be read before the shell below has emptied it
    "$KILN" watch --json > "$T/watch.out" 2> "$T/watch.err" < /dev/null &
    WATCH_PID=$! IDLE=0 MARK=0 SYNC=0
    wait_event '.type == "step.log" and (.data | test("end\n$"))'
    PIDS=$(step_log a "$T/watch.out" | sed -n 's/^pid //p')
    assert_eq "$(echo "$PIDS" | wc -l)" 3 "processes"
    WARDEN=$(pgrep -P "$WATCH_PID")
    for pid in $PIDS $WARDEN; do kill -0 "$pid"; done
}

nothing_is_left() {
    local pid
    for pid in $PIDS $WARDEN; do
        wait_for gone "$pid"
    done
    if compgen -G "$XDG_RUNTIME_DIR/kiln*/*" > "$T/left"; then fail "left in the runtime directory: $(cat "$T/left")"; fi
    [ -z "$(find "$XDG_CACHE_HOME/kiln/v1/tmp" -type f 2> "$T/null")" ] || fail "left in the cache's tmp"
}

number() { kill -l "$1"; }

test_signals_while_idle() {
    for signal in INT TERM HUP; do
        begin 2> "$T/null" || :
        watch_start
        WARDEN=$(pgrep -P "$WATCH_PID") PIDS=
        watch_stop "$signal"
        assert_eq "$RC" $((128 + $(number "$signal"))) "exit code after $signal"
        [ ! -s "$T/watch.err" ] || fail "it says: $(cat "$T/watch.err")"
        nothing_is_left
        rm -rf src
    done
}

test_signals_in_mid_run() {
    for signal in INT TERM HUP; do
        in_mid_run
        watch_stop "$signal"
        assert_eq "$RC" $((128 + $(number "$signal"))) "exit code after $signal"
        for pid in $PIDS; do
            gone "$pid" || fail "process $pid outlives kiln, ended by $signal"
        done
        nothing_is_left
        assert_eq "$(status a "$T/watch.out") $(status after "$T/watch.out")" "cancelled cancelled" "after $signal"
        assert_eq "$(events 'select(.type == "run.finished") | .status' "$T/watch.out")" "cancelled"
        tail -n 1 "$T/watch.out" | jq -e . > "$T/null" || fail "the last line is cut"
    done
}

# Before it has looked at anything, while it hashes, while it starts: any moment will do.
test_signals_at_any_moment() {
    local i
    begin
    awk 'BEGIN { for (i = 0; i < 500; i++) { f = "src/" i; print i > f; close(f) } }'
    for i in 0 1 2 5 10 20 30 50 80 120 200; do
        rm -rf "$XDG_CACHE_HOME"
        : > "$T/watch.out"
        "$KILN" watch --json > "$T/watch.out" 2> "$T/watch.err" < /dev/null &
        WATCH_PID=$!
        # It is kiln that is to get the signal, not the shell that is about to become it.
        until [ "/proc/$WATCH_PID/exe" -ef "$KILN" ] || gone "$WATCH_PID"; do :; done
        # As far as that many pieces of other work take us; what counts is that it differs each time.
        awk -v n=$((i * 20000)) 'BEGIN { for (i = 0; i < n; i++) x += i }'
        kill -TERM "$WATCH_PID"
        wait_for gone "$WATCH_PID"
        RC=0
        wait "$WATCH_PID" || RC=$?
        WATCH_PID=
        assert_eq "$RC" 143 "exit code"
        if grep -q "ERROR\|runtime error" "$T/watch.err"; then fail "a sanitizer spoke"; fi
    done
}

test_kill_takes_the_steps_along() {
    in_mid_run
    kill -KILL "$WATCH_PID"
    wait "$WATCH_PID" 2> "$T/null" || :
    WATCH_PID=
    for pid in $PIDS $WARDEN; do
        wait_for gone "$pid"
    done
    # What it left does not stand in the way of the next.
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat in > out", "inputs": ["in"], "outputs": ["out"]}}}'
    kiln 0 run
    assert_file out end
}

# No signal is on its way to it: two of a kind would be one.
heard() { # PID
    grep -q '^ShdPnd:[[:space:]]*0*$' "/proc/$1/status"
}

# Twice: no more grace for a step that does not want to go.
test_asked_twice() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "trap : TERM INT HUP; echo pid $$; while :; do sleep 0.1 || :; done", "inputs": []}}}'
    : > "$T/watch.out"
    "$KILN" watch --json > "$T/watch.out" 2> "$T/watch.err" < /dev/null &
    WATCH_PID=$! IDLE=0 MARK=0 SYNC=0
    wait_event '.type == "step.log"'
    PIDS=$(step_log a "$T/watch.out" | sed 's/pid //')
    WARDEN=$(pgrep -P "$WATCH_PID")
    kill -INT "$WATCH_PID"
    wait_for heard "$WATCH_PID"
    kill -0 "$PIDS"
    kill -INT "$WATCH_PID"
    wait_for gone "$WATCH_PID"
    RC=0
    wait "$WATCH_PID" || RC=$?
    WATCH_PID=
    assert_eq "$RC" 130 "exit code"
    nothing_is_left
}

test_stopped_and_continued() {
    begin
    watch_start
    for i in 2 3 4; do
        kill -STOP "$WATCH_PID"
        echo "$i" > in
        echo "$i" > src/s
        mkdir -p src/../more/deep
        kill -CONT "$WATCH_PID"
        watch_settle
        assert_eq "$(others)" "a b"
        assert_file out "$i
$i"
    done
    watch_stop
}

# Nobody reads any more what it says: it ends, and is not left watching for nobody.
test_the_reader_goes() {
    begin
    mkfifo "$T/pipe"
    "$KILN" watch --json > "$T/pipe" 2> "$T/watch.err" < /dev/null &
    WATCH_PID=$!
    exec 8< "$T/pipe"
    IFS= read -r line <&8
    assert_match "$line" '"type":"pipeline.loaded"'
    exec 8<&-
    echo 2 > in
    wait_for gone "$WATCH_PID"
    RC=0
    wait "$WATCH_PID" || RC=$?
    WATCH_PID=
    assert_eq "$RC" 3 "exit code"
}

test_two_watches_and_a_run() {
    local i second
    project '{"version": 1, "defaults": {"runner": "host"}, "jobs": 2, "steps": {
        "a": {"run": "cat in > mid", "inputs": ["in"], "outputs": ["mid"]},
        "b": {"run": "cat mid src/* > out", "inputs": ["src"], "needs": ["a"], "outputs": ["out"]},
        "c": {"run": "cat mid > other", "inputs": [], "needs": ["a"], "outputs": ["other"]},
        '"$SYNC_STEP"'}}'
    mkdir src
    echo 0 > in
    echo s > src/s
    echo 0 > .sync
    # The step that watch_settle waits for is the first one's alone.
    : > "$T/second.out"
    "$KILN" watch --json a b c > "$T/second.out" 2> "$T/second.err" < /dev/null &
    second=$!
    watch_start
    for i in 1 2 3 4 5 6 7 8; do
        put in "$i"
        put src/s "s$i"
        timeout "$DEADLINE" "$KILN" run --json a b c > "$T/run.out" 2> "$T/run.err" || : # a result may be tainted by the watchers'
        if grep -q "ERROR\|runtime error" "$T/run.err"; then fail "a sanitizer spoke"; fi
    done
    watch_settle
    wait_for settled_in "$T/second.out"
    # However they got into each other's way, in the end all is in place and true.
    kiln 0 run --json a b c
    assert_file mid 8
    assert_file other 8
    assert_file out $'8\ns8'
    watch_settle
    rm mid out other
    watch_settle
    wait_for test -e out -a -e mid -a -e other
    kiln 0 run --json a b c
    assert_eq "$(ran)" "" "steps that ran"
    assert_file out $'8\ns8'
    assert_eq "$(jq -s '[.[] | select(.type == "step.started" and .step != "sync")] | length < 100' "$T/watch.out" "$T/second.out")" \
        "true" "they keep each other busy: fewer than 100 starts"
    kill -INT "$second"
    wait_for gone "$second"
    if grep -q "ERROR\|runtime error" "$T/second.err"; then fail "a sanitizer spoke"; fi
    watch_stop
    assert_eq "$RC" 130 "exit code"
}

settled_in() {
    [ "$(tail -n 1 "$1" | jq -r .type)" = watch.idle ]
}

run_tests
