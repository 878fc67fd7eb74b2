#!/usr/bin/env bash
# A command asks the kiln that watches its tree, and gets what it would have found itself; where that is not
# certain, or nobody answers in time, it does it all itself.
. "$(dirname "$0")/lib.sh"

A='"a": {"run": "cat in > out", "inputs": ["in"], "outputs": ["out"]}'
B='"b": {"run": "cat out; cat in2", "inputs": ["in2"], "needs": ["a"]}'

pipeline() { # STEPS
    printf '{"version": 1, "defaults": {"runner": "host"}, "steps": {%s}}' "$1"
}

begin() {
    project "$(pipeline "${1:-$A, $B}")"
    echo 1 > in
    echo 1 > in2
    shift || :
    watch_start "$@"
}

# Whether the last kiln's run was done by the watcher: true, or null.
by_watcher() {
    events 'select(.type == "run.started") | .watcher' "${1:-}" | tail -n 1
}

answered() { # ARGUMENT...
    kiln any run --json "$@"
    [ "$(by_watcher)" = true ]
}

# asked EXIT ARGUMENT...: until the watcher did it, which on a busy machine may not be at the first try.
asked() {
    local want=$1
    shift
    wait_for answered "$@"
    assert_eq "$RC" "$want" "exit code"
}

# alone EXIT ARGUMENT...: never by the watcher.
alone() {
    local i
    for i in 1 2 3; do
        kiln "$1" run --json "${@:2}"
        assert_eq "$(by_watcher)" null "done by the watcher"
    done
}

test_nothing_to_do() {
    begin
    asked 0
    assert_eq "$(ran)" ""
    assert_eq "$(status a) $(status b)" "cached cached"
    assert_eq "$(events 'select(.type == "run.finished") | "\(.status) \(.cached)"')" "passed 2"
    assert_eq "$(events 'select(.type == "step.finished" and .step == "a") | .outputs[0].path')" out
    assert_eq "$(events .seq | paste -sd ' ')" "1 2 3 4 5"
    asked 0 a
    assert_eq "$(events 'select(.type == "run.started") | .steps | join(" ")')" a
    kiln 0 run --plain
    assert_out '^a: cached'
    # It has left a record like any other, and the watcher tells it too.
    kiln 0 runs
    assert_out 'command'
    wait_event '.type == "run.finished" and .cached == 2'
    watch_stop
}

test_an_edit_just_before_is_seen() {
    local i
    begin
    for ((i = 0; i < 50; i++)); do
        echo "$i" > in
        kiln 0 run --json
        assert_file out "$i"
        [ "$(status a)" = passed ] || [ "$(status a)" = cached ] || fail "a: $(status a)"
    done
    for ((i = 0; i < 6; i++)); do # the same size, put in place at once, and the output is spoilt as well
        put in "2$((i % 2))"
        case $((i % 3)) in
        0) rm -f out ;;
        1) echo spoilt > out ;;
        esac
        kiln 0 run --plain
        assert_file out "2$((i % 2))"
    done
    watch_stop
}

test_an_output_that_was_removed_is_restored() {
    begin
    asked 0
    rm out
    asked 0
    assert_file out 1
    assert_eq "$(ran)" ""
    watch_stop
}

test_a_failure_is_shown_with_its_log() {
    begin "$A, "'"f": {"run": "echo some words; exit 7", "inputs": ["in2"]}'
    asked 1
    assert_eq "$(ran)" f
    assert_eq "$(reasons f)" failed
    assert_eq "$(step_log f)" "some words"
    assert_eq "$(events 'select(.type == "step.finished" and .step == "f") | .exit_code')" 7
    kiln 1 run --plain
    assert_out '^some words$'
    assert_out '^f: FAILED with exit code 7'
    watch_stop
}

test_without_keep_going_a_failure_ends_it() {
    begin '"f": {"run": "exit 1", "inputs": []}, "g": {"run": "true", "inputs": [], "cache": false, "needs": ["h"]}, "h": {"run": "while [ ! -e go ]; do sleep 0.02; done", "inputs": ["go"], "cache": false}' h
    watch_stop
    touch go
    watch_start
    asked 1 f g
    assert_match "$(status g)" "passed|skipped"
    asked 1 --keep-going f g
    assert_eq "$(status g)" passed
    watch_stop
}

test_an_input_that_is_missing() {
    begin "$A"
    rm in
    kiln 2 run --json
    asked 2
    watch_stop
}

test_what_is_ordered_otherwise_is_done_alone() {
    begin
    asked 0
    alone 0 --force
    alone 0 --force=a
    alone 0 --no-cache
    alone 0 --rehash
    alone 0 -j 2
    kiln 2 run nonsense
    assert_err 'there is no step "nonsense"'
    asked 0
    watch_stop
}

test_steps_that_are_not_watched() {
    begin "$A, $B" a
    asked 0 a
    alone 0
    alone 0 b
    asked 0 a
    watch_stop
}

test_another_environment() {
    export CC=gcc OTHER=1
    begin '"a": {"run": "echo CC=$CC", "inputs": [], "pass_env": ["CC"]}'
    OTHER=2
    asked 0
    CC=clang kiln 0 run --json
    assert_eq "$(by_watcher) $(step_log a)" "null CC=clang"
    CC=clang alone 0
    (unset CC; kiln 0 run --json; assert_eq "$(by_watcher) $(step_log a)" "null CC=")
    HOME=$T alone 0
    XDG_CACHE_HOME=$T/other kiln 0 run --json
    assert_eq "$(by_watcher) $(status a)" "null passed"
    asked 0
    (umask 077 && alone 0)
    XDG_RUNTIME_DIR='' alone 0
    watch_stop
}

# A secret of the asker's may be another one; what files and commands give the watcher cannot know to be the same.
test_other_secrets() {
    export TOKEN=value-1
    begin '"a": {"run": "test \"$T\" = value-1", "inputs": [], "secrets": {"T": {"env": "TOKEN"}}}'
    asked 0
    TOKEN=value-2 alone 1
    asked 0
    watch_stop
    echo value-1 > key
    begin '"a": {"run": "test \"$T\" = value-1", "inputs": [], "secrets": {"T": {"file": "key"}}}'
    alone 0
    echo value-2 > key
    alone 1
    watch_stop
}

# No event tells of a write through a hard link that lies elsewhere.
test_an_edit_through_another_hard_link() {
    local i
    project "$(pipeline '"a": {"run": "cat in", "inputs": ["in"]}')"
    echo 1 > in
    ln in "$T/elsewhere"
    for i in 2 3; do # the second time what the stat cache knows is looked at
        watch_start
        echo "$i" > "$T/elsewhere"
        kiln 0 run --json
        assert_eq "$(by_watcher) $(step_log a)" "null $i"
        watch_stop
    done
    watch_start
    put in 4 # a file of its own
    watch_stop
    watch_start
    asked 0
    watch_stop
}

# The link comes later, under a name that is no input: writes to that are none to the input's name.
test_an_edit_through_a_hard_link_made_later() {
    project "$(pipeline '"a": {"run": "cat src/in", "inputs": ["src"]}, '"$SYNC_STEP")"
    mkdir src
    echo 0 > .sync
    echo 1 > src/in
    echo '*.ign' > .gitignore
    git_project
    watch_start
    ln src/in src/x.ign
    echo 2 > src/x.ign
    kiln 0 run --json a
    assert_eq "$(by_watcher) $(step_log a)" "null 2"
    watch_stop
}

test_a_watcher_that_can_start_nothing_any_more() {
    begin
    asked 0
    kill -KILL "$(pgrep -P "$WATCH_PID" kiln-warden)"
    echo 2 > in
    wait_event '.type == "step.finished" and .status == "failed"'
    kiln 0 run --json
    assert_eq "$(by_watcher)" null
    assert_file out 2
    watch_stop
}

test_output_into_the_project_is_no_edit() {
    begin '"all": {"run": "ls > /dev/null"}'
    "$KILN" run --json > "$P/words" 2> "$T/err"
    assert_eq "$(by_watcher "$P/words")" null
    watch_stop
}

test_kiln_json_edited_just_before() {
    local i
    begin "$A"
    for ((i = 0; i < 20; i++)); do
        if [ $((i % 2)) -eq 0 ]; then
            pipeline '"a": {"run": "cat in in > out", "inputs": ["in"], "outputs": ["out"]}' > kiln.json
            kiln 0 run --json
            assert_file out $'1\n1'
        else
            pipeline "$A" > kiln.json # shorter
            kiln 0 run --json
            assert_file out 1
        fi
    done
    # As long, and the old time put back.
    asked 0
    touch -r kiln.json "$T/time"
    sed -i 's/cat in/cp  in/; s/> out/  out/' kiln.json
    sed -i 's/cp  in   out/cp in out  /' kiln.json
    touch -r "$T/time" kiln.json
    kiln 0 run --json
    assert_eq "$(events 'select(.type == "pipeline.loaded") | .steps[0].command')" "cp in out  "
    watch_stop
}

test_a_broken_kiln_json_is_nobody_elses() {
    begin
    echo '{' > kiln.json
    kiln 2 run
    wait_event '.type == "notice" and .level == "error"'
    kiln 2 run
    put kiln.json "$(pipeline "$A")"
    asked 0
    assert_eq "$(events 'select(.type == "run.started") | .steps | join(" ")')" a
    watch_stop
}

test_a_stopped_watcher_is_done_without() {
    begin
    asked 0
    kill -STOP "$WATCH_PID"
    echo 2 > in
    kiln 0 run --json
    assert_eq "$(by_watcher)" null
    assert_file out 2
    kill -CONT "$WATCH_PID"
    asked 0
    watch_stop
}

test_a_watcher_that_was_killed() {
    begin
    kill -KILL "$WATCH_PID"
    wait "$WATCH_PID" || :
    [ -n "$(find "$XDG_RUNTIME_DIR/kiln" -type s)" ] || fail "no socket was left"
    alone 0
    watch_start # takes the place over
    asked 0
    watch_stop
    [ -z "$(find "$XDG_RUNTIME_DIR/kiln" -mindepth 1)" ] || fail "something was left behind"
}

test_a_place_that_is_not_private() {
    begin
    local place=$XDG_RUNTIME_DIR/kiln
    assert_eq "$(stat -c %a "$place") $(stat -c %a "$place"/*)" "700 600"
    chmod 755 "$place"
    alone 0
    chmod 700 "$place"
    asked 0
    mv "$place" "$place.real"
    ln -s kiln.real "$place"
    alone 0
    watch_stop
    watch_start # does not use it either
    alone 0
    watch_stop
}

test_somebody_elses_socket() {
    if ! unprivileged || [ "${#AS[@]}" -eq 0 ]; then
        echo "(not tried: it takes root)"
        return 0
    fi
    AS=()
    begin # as root ...
    chmod 711 "$XDG_RUNTIME_DIR"
    chmod 755 "$HOME"
    chown -R 65534:65534 "$P"
    unprivileged
    chown 65534:65534 "$XDG_RUNTIME_DIR/kiln" "$XDG_RUNTIME_DIR/kiln"/*
    kiln any run --json # ... is not asked
    assert_eq "$(by_watcher)" null
    AS=()
    watch_stop
}

SLOW='"slow": {"run": "echo x >> \"$T/begun\"; echo words; while [ ! -e \"$T/go\" ]; do sleep 0.02; done; cat in > out", "inputs": ["in"], "outputs": ["out"], "pass_env": ["T"]}'

slow() {
    export T
    touch "$T/go"
    begin "$SLOW, "'"other": {"run": "cat in2", "inputs": ["in2"]}'
    asked 0
    rm -f "$T/go" "$T/begun"
}

# run_in_background FILE: returns when the watcher has the step going for it; or, where that one was too slow to answer,
# when it waits for the watcher's own.
run_in_background() {
    : > "$1"
    "$KILN" run --json > "$1" 2> "$1.err" < /dev/null &
    wait_for under_way "$1"
}

under_way() { # FILE
    has_lines "$1" '"type":"step.log"|another kiln is at work' 1
}

test_equal_steps_are_run_once() {
    slow
    put in 2 # seen empty for a moment it would be two edits
    run_in_background "$T/one"
    local one=$!
    run_in_background "$T/two"
    local two=$!
    touch "$T/go"
    wait "$one"
    wait "$two"
    assert_file out 2
    assert_eq "$(wc -l < "$T/begun")" 1 "executions"
    for one in one two; do
        [ "$(by_watcher "$T/$one")" = true ] || continue
        assert_match "$(status slow "$T/$one")" "passed|cached"
        assert_eq "$(status other "$T/$one")" cached
        assert_eq "$(step_log slow "$T/$one")" words
    done
    watch_stop
}

test_an_edit_in_mid_run_is_waited_for() {
    slow
    put in 2
    run_in_background "$T/one"
    local one=$!
    put in 3
    wait_for has_lines "$T/begun" x 2
    touch "$T/go"
    wait "$one"
    if [ "$(by_watcher "$T/one")" = true ]; then assert_file out 3; fi
    watch_stop
}

test_interrupted() {
    slow
    put in 2
    touch "$T/go"
    asked 0
    rm -f "$T/go" "$T/begun"
    put in 3
    : > "$T/one"
    "$KILN" run --json > "$T/one" 2> "$T/err" < /dev/null &
    local one=$! code=0
    wait_for under_way "$T/one"
    kill -INT "$one"
    wait "$one" || code=$?
    assert_eq "$code" 130
    # What the watcher wants for itself goes on there.
    touch "$T/go"
    wait_for has_out 3
    watch_stop
}

has_out() {
    [ "$(cat out)" = "$1" ]
}

test_interrupted_and_nobody_else_wants_it() {
    export T
    touch "$T/go"
    begin "${SLOW%\}}, \"cache\": false}"
    rm -f "$T/go" "$T/begun"
    local code=0
    : > "$T/one"
    "$KILN" run --json > "$T/one" 2> "$T/err" < /dev/null &
    local one=$!
    wait_for under_way "$T/one"
    kill -INT "$one"
    wait "$one" || code=$?
    assert_eq "$code" 130
    if [ "$(by_watcher "$T/one")" = true ]; then
        wait_event '.type == "step.finished" and .step == "slow" and .status == "cancelled"'
        assert_eq "$(status slow "$T/one")" cancelled
    fi
    touch "$T/go"
    watch_stop
}

test_a_client_that_is_killed() {
    export T
    touch "$T/go"
    begin "${SLOW%\}}, \"cache\": false}"
    rm -f "$T/go" "$T/begun"
    : > "$T/one"
    "$KILN" run --json > "$T/one" 2> "$T/err" < /dev/null &
    local one=$!
    wait_for has_lines "$T/one" '"type":"step.log"' 1
    kill -KILL "$one"
    wait "$one" || :
    touch "$T/go"
    if [ "$(by_watcher "$T/one")" = true ]; then wait_event '.type == "run.finished"'; fi
    asked 0
    watch_stop
}

test_the_watcher_ends_in_mid_run() {
    local signal
    for signal in INT KILL; do
        rm -f "$T/go" "$T/begun"
        slow
        put in "$signal"
        : > "$T/one"
        "$KILN" run --json > "$T/one" 2> "$T/one.err" < /dev/null &
        local one=$!
        wait_for under_way "$T/one"
        kill -s "$signal" "$WATCH_PID"
        touch "$T/go"
        wait "$one" || fail "exit $?"
        wait "$WATCH_PID" || :
        assert_file out "$signal"
        assert_match "$(status slow "$T/one")" "passed|cached"
        if [ "$(by_watcher "$T/one")" = null ] && grep -q '"watcher":true' "$T/one"; then
            grep -q 'did not finish the run' "$T/one" || fail "nothing was said"
        fi
        WATCH_PID=
    done
}

# What the watcher's own runs wait for is not the client's to end.
test_interrupted_while_the_watcher_waits_for_it() {
    export T
    touch "$T/go"
    begin "${SLOW%\}}, \"cache\": false}, "'"next": {"run": "cat in2", "inputs": ["in2"], "needs": ["slow"]}, '"$SYNC_STEP"
    rm -f "$T/go" "$T/begun"
    local code=0
    : > "$T/one"
    "$KILN" run --json slow > "$T/one" 2> "$T/err" < /dev/null &
    local one=$!
    wait_for under_way "$T/one"
    put in2 2
    wait_event '.type == "run.started" and (.steps | index("next"))'
    kill -INT "$one"
    wait "$one" || code=$?
    assert_eq "$code" 130
    touch "$T/go"
    wait_event '.type == "step.finished" and .step == "next"'
    assert_eq "$(since 'select(.type == "step.finished" and .step == "next") | .status' | tail -n 1)" passed
    watch_stop
}

# Without its warden the watcher can't finish what was asked for: the one who asked can.
test_the_warden_is_killed_in_mid_run() {
    slow
    put in 2
    : > "$T/one"
    "$KILN" run --json > "$T/one" 2> "$T/one.err" < /dev/null &
    local one=$!
    wait_for under_way "$T/one"
    kill -KILL "$(pgrep -P "$WATCH_PID" kiln-warden)"
    touch "$T/go"
    wait "$one" || fail "exit $?: $(cat "$T/one.err")"
    assert_eq "$(by_watcher "$T/one")" null
    assert_match "$(status slow "$T/one")" "passed|cached"
    assert_file out 2
    watch_stop
}

test_many_at_once() {
    begin
    local i j
    for ((i = 0; i < 5; i++)); do
        echo "m$i" > in
        for ((j = 0; j < 8; j++)); do
            "$KILN" run --plain > "$T/many.$j" 2>&1 < /dev/null &
        done
        for j in $(jobs -p); do
            [ "$j" = "$WATCH_PID" ] || wait "$j" || fail "exit $?: $(cat "$T"/many.*)"
        done
        assert_file out "m$i"
    done
    watch_stop
}

run_tests
