#!/usr/bin/env bash
# What a step finds, how it ends, and that nothing of it is left; and the signals that end kiln itself.
. "$(dirname "$0")/lib.sh"

test_variables_are_in_the_key() {
    project '{"version": 1, "defaults": {"env": {"D": "d"}}, "steps": {
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
    project '{"version": 1, "steps": {"a": {"run": ["env"], "inputs": []}}}'
    FOO=1 LD_LIBRARY_PATH=/nowhere PWD=/x kiln 0 run --json
    assert_eq "$(step_log a | sed 's/=.*//' | sort | grep -vx PWD | paste -sd ' ')" "HOME LANG PATH TERM TZ"
    assert_eq "$(step_log a | grep TERM)" "TERM=dumb"
}

test_stdin_is_empty_and_both_streams_come() {
    project '{"version": 1, "steps": {"a": {"run": "cat; echo out; echo err >&2; readlink /proc/self/fd/0", "inputs": []}}}'
    kiln 0 run --json
    assert_eq "$(step_log a)" $'out\nerr\n/dev/null'
    assert_eq "$(jq -r 'select(.type == "step.log" and .stream == "stderr") | .data' "$T/out")" err
}

test_string_and_argv() {
    project '{"version": 1, "steps": {
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
    project '{"version": 1, "steps": {"a": {"run": "echo x >> tries; [ $(wc -l < tries) -ge 3 ]", "inputs": [], "retries": 2}}}'
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
    project '{"version": 1, "steps": {"a": {"run": "echo same > o", "cache": false, "inputs": [], "outputs": ["o"]}, "b": {"run": "cat o", "inputs": [], "needs": ["a"]}}}'
    kiln 0 run
    kiln 0 run --json
    assert_eq "$(ran)" a
    assert_eq "$(reasons a)" uncacheable
    assert_eq "$(status b)" cached
}

test_a_failure_is_never_a_hit() {
    project '{"version": 1, "steps": {"a": {"run": "echo made > o; exit 1", "inputs": [], "outputs": ["o"]}}}'
    kiln 1 run
    kiln 1 run --json
    assert_eq "$(ran)" a
    assert_eq "$(reasons a)" failed
    kiln 0 cache stats --json
    assert_eq "$(jq .actions "$T/out")" 0
}

# Its group, a background child, and what called setsid or forked twice: all of it.
test_timeout_ends_everything() {
    project '{"version": 1, "steps": {"a": {"inputs": [], "timeout": "1s", "retries": 0, "run":
        "trap \"\" TERM; sleep 1000 & echo $! >> pids; setsid sh -c \"trap : TERM; echo \\$\\$ >> pids; while :; do sleep 1000; done\" & (setsid sh -c \"sleep 1000 & echo \\$! >> pids\" &); echo $$ >> pids; while :; do sleep 1000; done"}}}'
    kiln 1 run --json
    assert_eq "$(events 'select(.type == "step.finished") | "\(.status) \(.timed_out)"')" "failed true"
    assert_eq "$(wc -l < pids)" 4
    for pid in $(cat pids); do
        gone "$pid" || fail "process $pid was left"
    done
    project '{"version": 1, "steps": {"a": {"inputs": [], "timeout": "200ms", "run": "sleep 1000"}}}'
    kiln 1 run
    assert_out '^a: FAILED: timed out after '
}

test_leftovers_end_with_the_step() {
    project '{"version": 1, "steps": {"a": {"inputs": [], "run": "sleep 1000 & echo $! > pids; setsid sleep 1000 & echo $! >> pids; echo done"}}}'
    kiln 0 run
    for pid in $(cat pids); do
        gone "$pid" || fail "process $pid was left"
    done
}


# What a signal must end: a shell, its background child, one in a session of its own, one that is deaf to TERM.
LONG='{"version": 1, "jobs": 2, "steps": {
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

# Deaf to TERM: a second signal does not wait for the grace period's end.
test_asked_twice() {
    project '{"version": 1, "steps": {"a": {"inputs": [], "run": "trap \"\" TERM; echo $$ > pids; touch ready; while :; do sleep 1000; done"}}}'
    "$KILN" run --json > "$T/out" 2> "$T/err" < /dev/null &
    KILN_PID=$!
    wait_for test -e ready
    kill -INT "$KILN_PID"
    wait_for test -s pids
    kill -INT "$KILN_PID"
    kill -TERM "$KILN_PID" 2> /dev/null || true
    wait_for gone "$KILN_PID"
    RC=0
    wait "$KILN_PID" || RC=$?
    [ "$RC" -eq 130 ] || [ "$RC" -eq 143 ] || fail "exit $RC"
    all_gone || fail "a process was left"
}

# Nobody is left to tell them: they go all the same, and the next run is right.
test_killed() {
    long_run
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

test_two_at_once() {
    project '{"version": 1, "steps": {"a": {"run": "cat in > o", "inputs": ["in"], "outputs": ["o"]}, "b": {"run": "cat o", "inputs": [], "needs": ["a"]}}}'
    local i pids
    for i in 1 2 3 4 5; do
        echo "$i" > in
        pids=
        for _ in 1 2 3; do
            timeout "$DEADLINE" "$KILN" run > /dev/null 2>> "$T/err" < /dev/null &
            pids="$pids $!"
        done
        for pid in $pids; do
            wait "$pid" || fail "a run failed beside another"
        done
        assert_file o "$i"
    done
    kiln 0 runs --json
    assert_eq "$(jq length "$T/out")" 15
    kiln 0 run --json
    assert_file o 5
}

run_tests
