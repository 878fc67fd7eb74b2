#!/usr/bin/env bash
# What a step finds, how it ends, and that nothing of it is left; and the signals that end kiln itself.
. "$(dirname "$0")/lib.sh"

test_variables_are_in_the_key() {
    project '{"version": 1, "defaults": {"runner": "host", "env": {"D": "d"}}, "steps": {
        "a": {"run": "echo $V $P $D ${HIDDEN-none}", "inputs": [], "env": {"V": "1"}, "pass_env": ["P"]}}}'
    export P_SAVE=$P
    HIDDEN=x P=one kiln 0 run --json
    assert_eq "$(step_log a)" "1 one d none"
    HIDDEN=y P=one kiln 0 run --json
    assert_eq "$(ran)" ""
    P=two kiln 0 run --json
    assert_eq "$(ran)" a
    assert_eq "$(events 'select(.type == "step.started") | .reasons[] | "\(.kind) \(.subject) \(.old) \(.new)"')" "env P one two"
    sed -i 's/"V": "1"/"V": "2"/' kiln.json
    P=two kiln 0 run --json
    assert_eq "$(events 'select(.type == "step.started") | .reasons[] | "\(.kind) \(.subject) \(.old) \(.new)"')" "env V 1 2"
    (unset P; cd "$P_SAVE"; KILN_P=; env -u P true; kiln 0 run --json)
    assert_eq "$(events 'select(.type == "step.started") | .reasons[] | "\(.kind) \(.subject) \(.old) \(.new)"')" "env P two null"
    P=$P_SAVE
}

test_the_environment_is_clean() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": ["env"], "inputs": []}}}'
    FOO=1 LD_LIBRARY_PATH=/nowhere PWD=/x kiln 0 run --json
    assert_eq "$(step_log a | sed 's/=.*//' | sort | grep -vx PWD | paste -sd ' ')" "HOME LANG PATH TERM TZ"
    assert_eq "$(step_log a | grep TERM)" "TERM=dumb"
}

test_stdin_is_empty_and_both_streams_come() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat; echo out; echo err >&2; readlink /proc/self/fd/0", "inputs": []}}}'
    kiln 0 run --json
    # Each stream is in order; how they lie between one another is as they were seen.
    assert_eq "$(jq -r 'select(.type == "step.log" and .stream == "stdout") | .data' "$T/out" | sed '/^$/d')" $'out\n/dev/null'
    assert_eq "$(jq -r 'select(.type == "step.log" and .stream == "stderr") | .data' "$T/out")" err
}

test_string_and_argv() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "string": {"run": "echo $((1 + 1)); false; echo no", "inputs": []},
        "argv": {"run": ["printf", "%s|", "$HOME", "a b", "", "*"], "inputs": []},
        "cwd": {"run": "pwd", "cwd": "sub/dir", "inputs": ["sub"]},
        "missing": {"run": ["no-such-program"], "inputs": []}}}'
    mkdir -p sub/dir
    touch sub/dir/x
    kiln 1 run --json --keep-going
    assert_eq "$(step_log string)" 2
    assert_eq "$(status string)" failed
    assert_eq "$(step_log argv)" '$HOME|a b||*|'
    assert_eq "$(step_log cwd)" "$(realpath sub/dir)"
    assert_eq "$(status missing)" failed
    assert_eq "$(events 'select(.type == "step.finished" and .step == "missing") | .exit_code')" 127
    rm -r sub/dir
    echo 1 > sub/other
    kiln 1 run cwd
    assert_out 'sub/dir'
}

test_retries() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "echo x >> tries; [ $(wc -l < tries) -ge 3 ]", "inputs": [], "retries": 2}}}'
    kiln 0 run --json
    assert_eq "$(events 'select(.type == "step.started") | .attempt' | paste -sd ' ')" "1 2 3"
    assert_eq "$(events 'select(.type == "step.finished") | .status')" passed
    kiln 0 run --json
    assert_eq "$(ran)" ""
    sed -i 's/-ge 3/-ge 30/' kiln.json
    kiln 1 run --json
    assert_eq "$(events 'select(.type == "step.started") | .attempt' | paste -sd ' ')" "1 2 3"
    assert_eq "$(events 'select(.type == "step.finished") | .status')" failed
}

test_never_cached() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "echo same > o", "cache": false, "inputs": [], "outputs": ["o"]}, "b": {"run": "cat o", "inputs": [], "needs": ["a"]}}}'
    kiln 0 run
    kiln 0 run --json
    assert_eq "$(ran)" a
    assert_eq "$(reasons a)" uncacheable
    assert_eq "$(status b)" cached
}

test_a_failure_is_never_a_hit() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "echo made > o; exit 1", "inputs": [], "outputs": ["o"]}}}'
    kiln 1 run
    kiln 1 run --json
    assert_eq "$(ran)" a
    assert_eq "$(reasons a)" failed
    assert_eq "$(results)" 0
}

# Its group, a background child, and what called setsid or forked twice: all of it.
test_timeout_ends_everything() {
    local limit
    # As long as it takes for all four to be there.
    for limit in 1s 5s 25s; do
        : > pids
        four_for "$limit"
        [ "$(wc -l < pids)" -lt 4 ] || break
    done
    assert_eq "$(wc -l < pids)" 4
    for pid in $(cat pids); do
        gone "$pid" || fail "process $pid was left"
    done
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"inputs": [], "timeout": "200ms", "run": "sleep 1000"}}}'
    kiln 1 run
    assert_out '^a: FAILED: timed out after '
}

four_for() { # TIMEOUT
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"inputs": [], "timeout": "'"$1"'", "retries": 0, "run":
        "trap \"\" TERM; sleep 1000 & echo $! >> pids; setsid sh -c \"trap : TERM; echo \\$\\$ >> pids; while :; do sleep 1000; done\" & (setsid sh -c \"sleep 1000 & echo \\$! >> pids\" &); echo $$ >> pids; while :; do sleep 1000; done"}}}'
    kiln 1 run --json
    assert_eq "$(events 'select(.type == "step.finished") | "\(.status) \(.timed_out)"')" "failed true"
}

test_leftovers_end_with_the_step() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"inputs": [], "run": "sleep 1000 & echo $! > pids; setsid sleep 1000 & echo $! >> pids; echo done"}}}'
    kiln 0 run
    for pid in $(cat pids); do
        gone "$pid" || fail "process $pid was left"
    done
}


# What a signal must end: a shell, its background child, one in a session of its own, one that is deaf to TERM.
LONG='{"version": 1, "defaults": {"runner": "host"}, "jobs": 2, "steps": {
    "a": {"inputs": ["in"], "outputs": ["o"], "run": "cat in > o; sleep 1000 & echo $! >> pids; setsid sleep 1000 & echo $! >> pids; echo $$ >> pids; touch ready-a; wait"},
    "b": {"inputs": ["in"], "run": "(exec setsid sleep 1000) & echo $! >> pids; echo $$ >> pids; touch ready-b; exec sleep 1000"},
    "c": {"inputs": [], "needs": ["a"], "run": "true"}}}'

# long_run ARGUMENT...: kiln runs those two in the background; returns when both have begun. Its pid is in $KILN_PID.
long_run() {
    project "$LONG"
    echo 1 > in
    rm -f ready-a ready-b pids
    "$KILN" run --json "$@" > "$T/out" 2> "$T/err" < /dev/null &
    KILN_PID=$!
    wait_for test -e ready-a -a -e ready-b
}

all_gone() {
    local pid
    for pid in $(cat pids); do
        gone "$pid" || return 1
    done
}

ends_by() { # SIGNAL NUMBER
    long_run
    kill -s "$1" "$KILN_PID"
    wait_for gone "$KILN_PID"
    RC=0
    wait "$KILN_PID" || RC=$?
    assert_eq "$RC" $((128 + $2)) "exit code"
    all_gone || fail "a process was left"
    assert_no_err
    assert_eq "$(events 'select(.type == "step.finished") | "\(.step) \(.status)"' | sort | paste -sd ' ')" "a cancelled b cancelled c cancelled"
    assert_eq "$(events 'select(.type == "run.finished") | .status')" cancelled
    kiln 0 cache stats --json
    assert_eq "$(jq .actions "$T/out")" 0 "stored results"
    # What was cancelled is no result, and its half-made output nobody's.
    sed -i 's/; touch ready.*wait"/"/; s/; touch ready-b; exec sleep 1000//' kiln.json
    kiln 0 run --json
    assert_eq "$(ran)" "a b c"
    assert_file o 1
    kiln 0 run --json
    assert_eq "$(ran)" ""
}

test_interrupted() {
    ends_by INT 2
}

test_terminated() {
    ends_by TERM 15
}

test_hung_up() {
    ends_by HUP 1
}

# Under nohup it outlives its terminal. (Not under timeout(1), which has a mind of its own about HUP.)
test_nohup() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"inputs": [], "run": "touch ready; while [ ! -e go ]; do sleep 0.02; done"}}}'
    (trap '' HUP && exec "$KILN" run --json > "$T/out" 2> "$T/err" < /dev/null) &
    local pid=$!
    wait_for test -e ready
    kill -HUP "$pid"
    touch go
    wait_for gone "$pid"
    wait "$pid"
    assert_eq "$(status a)" passed
}

# A step that kills what watches over it, itself, or its whole group.
test_a_step_that_kills() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"inputs": [], "run": "echo $$ > pid; kill -KILL $PPID; exec sleep 1000"}}}'
    kiln 3 run --json
    assert_eq "$(status a)" failed
    assert_match "$(events 'select(.type == "step.finished") | .error')" 'helper process'
    events 'select(.type == "step.finished") | .duration_ms < 60000' | grep -qx true || fail "an absurd duration"
    wait_for gone "$(cat pid)"
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"inputs": [], "run": "kill -KILL 0"}}}'
    kiln 1 run --json
    assert_eq "$(events 'select(.type == "step.finished") | .signal')" SIGKILL
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"inputs": [], "timeout": "300ms", "run": "kill -STOP $$"}}}'
    kiln 1 run --json
    assert_eq "$(events 'select(.type == "step.finished") | .timed_out')" true
}

# Whatever kiln's caller did to signals, a step begins with them as they are at first.
test_signals_as_at_first() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": ["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"], "inputs": []}, "b": {"run": "sleep 0 & wait; ls -l /proc/self/fd | grep -c \"[0-9] -> [^/]*$\"", "inputs": []}}}'
    trap '' CHLD PIPE INT TERM USR1
    kiln 0 run --json
    assert_eq "$(step_log a | grep -c 0000000000000000)" 2
    assert_eq "$(step_log b)" 2 "open pipes"
}

test_a_flood() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "head -c 30000000 /dev/zero | tr \"\\0\" x; echo; seq 100000 >&2; echo end", "inputs": []}}}'
    kiln 0 run
    kiln 0 run --json --force
    assert_eq "$(step_log a | wc -c)" $((30000000 + 1 + 588895 + 4))
    kiln 0 logs a
    assert_eq "$(wc -c < "$T/out")" $((30000000 + 1 + 588895 + 4))
}

test_few_descriptors() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": []}}}'
    local n
    for n in 10 16 20 24 28; do
        (
            ulimit -n "$n"
            kiln any run
            [ "$RC" -eq 0 ] || [ "$RC" -eq 3 ] || fail "exit $RC with $n descriptors"
            [ "$RC" -eq 0 ] || grep -q 'Too many open files' "$T/out" "$T/err" || fail "no word about it"
        )
    done
    kiln 0 run
}

# Deaf to TERM: a second signal does not wait for the grace period's end.
test_asked_twice() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"inputs": [], "run": "trap \"\" TERM; echo $$ > pids; touch ready; while :; do sleep 1000; done"}}}'
    "$KILN" run --json > "$T/out" 2> "$T/err" < /dev/null &
    KILN_PID=$!
    wait_for test -e ready
    kill -INT "$KILN_PID"
    wait_for test -s pids
    kill -INT "$KILN_PID" 2> /dev/null || true
    kill -TERM "$KILN_PID" 2> /dev/null || true
    wait_for gone "$KILN_PID"
    RC=0
    wait "$KILN_PID" || RC=$?
    [ "$RC" -eq 130 ] || [ "$RC" -eq 143 ] || fail "exit $RC"
    all_gone || fail "a process was left"
}

# Nobody is left to tell them: they go all the same, and the next run is right.
recorded() { grep -qs '"type":"step.started"' "$XDG_STATE_HOME"/kiln/projects/*/runs/1/events.ndjson; }

test_killed() {
    long_run
    wait_for recorded # kiln hears of what it started a moment after that began
    kill -KILL "$KILN_PID"
    wait "$KILN_PID" 2> /dev/null || true
    wait_for all_gone
    kiln 0 runs
    assert_out '^ +1 '
    sed -i 's/; touch ready.*wait"/"/; s/; touch ready-b; exec sleep 1000//' kiln.json
    kiln 0 run --json
    assert_eq "$(ran)" "a b c"
    assert_file o 1
}

# Several kilns in one project share its cache, its history and its numbers of runs.
test_several_at_once() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat in", "inputs": ["in"]}, "b": {"run": "echo b", "inputs": ["in"]}}}'
    local i pid pids
    for i in 1 2 3 4 5; do
        echo "$i" > in
        pids=
        for _ in 1 2 3; do
            timeout "$DEADLINE" "$KILN" run >> "$T/out" 2>> "$T/err" < /dev/null &
            pids="$pids $!"
        done
        for pid in $pids; do
            wait "$pid" || fail "a run failed beside another"
        done
        kiln 0 logs a
        assert_eq "$(cat "$T/out")" "$i"
    done
    assert_no_err
    kiln 0 runs --json
    assert_eq "$(jq -r '.[].status' "$T/out" | sort | uniq -c | tr -s ' ')" " 15 passed"
    kiln 0 run --json
    assert_eq "$(ran)" ""
}

run_tests
