#!/usr/bin/env bash
# A run that is told to end, and cannot say what it has to say: nobody reads it.
. "$(dirname "$0")/lib.sh"

# filled FD: the pipe holds what it can.
filled() {
    [ "$(python3 -c 'import array, fcntl, sys, termios
n = array.array("i", [0]); fcntl.ioctl(int(sys.argv[1]), termios.FIONREAD, n); print(n[0])' "$1")" -ge 60000 ]
}

# ends PID PIDFILE: by SIGTERM's exit code, and its step goes with it.
ends() {
    local rc=0
    wait_for gone "$1"
    wait "$1" || rc=$?
    assert_eq "$rc" 143 "exit code"
    wait_for gone "$(cat "$2")"
}

# The signal comes before kiln stands still, and while it does.
test_nobody_reads() {
    local early late line=
    project '{"version": 1, "jobs": 2, "defaults": {"runner": "host"}, "steps": {
        "bad": {"run": "until [ -s \"$TO\" ]; do sleep 0.02; done; seq -f \"line %g of what went wrong in this step\" 5000; exit 1",
            "inputs": [], "pass_env": ["TO"]},
        "long": {"run": "echo $$ > \"$TO\"; exec sleep 1000", "inputs": [], "pass_env": ["TO"]}}}'
    mkdir "$T/other" # two kilns never do the same step of one tree at once
    cp kiln.json "$T/other"
    mkfifo "$T/one" "$T/two"
    exec 7<> "$T/one" 8<> "$T/two"
    TO=$T/one.pid "$KILN" run -k --plain --no-cache > "$T/one" 2> "$T/err" &
    early=$!
    TO=$T/two.pid GITLAB_CI=true "$KILN" -C "$T/other" run -k --no-cache > "$T/two" 2> "$T/err.two" &
    late=$!
    wait_for test -s "$T/one.pid" -a -s "$T/two.pid"
    wait_for filled 8
    # The early one's step has failed as well, of which it has all to say yet.
    until [[ $line == 'bad: FAILED'* ]]; do IFS= read -r -t "$DEADLINE" line <&7 || fail "bad has not failed"; done
    kill -TERM "$early" "$late"
    ends "$early" "$T/one.pid"
    ends "$late" "$T/two.pid"
    filled 7 || fail "it had nothing to stand still for"
}

run_tests
