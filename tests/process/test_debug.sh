#!/usr/bin/env bash
# kiln debug without panes: what is held, by which rule, and what is done with it, by lines on standard input.
. "$(dirname "$0")/lib.sh"

TERMINAL=${TERMINAL:-$(dirname "$KILN")/tests/terminal}

begin() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "build": {"run": "cp in mid; echo built", "inputs": ["in"], "outputs": ["mid"], "env": {"CC": "gcc"}},
        "test": {"needs": ["build"], "run": "echo ran >> COUNT; echo 3 wrong; test ! -e bad", "inputs": ["bad*"]},
        "pack": {"needs": ["test"], "run": "echo packed", "inputs": ["in"]}}}'
    sed -i "s|COUNT|$T/count|" kiln.json
    echo 1 > in
    touch "$T/count"
}

# lines EXIT TEXT ARGUMENT...: kiln debug, with these lines on its standard input.
lines() {
    local exit=$1 text=$2
    shift 2
    printf "$text" > "$T/in"
    INPUT=$T/in kiln "$exit" debug "$@"
}

ran() {
    assert_eq "$(wc -l < "$T/count")" "$1" "executions of test"
}

test_before() {
    begin
    lines 0 'show\ncontinue\n' --break test
    assert_out '^test is held before it starts \(before@test\)$'
    assert_out '^  runs +echo ran'
    assert_out '^  on +host$'
    assert_out '^  key +[0-9a-f]{64}$'
    assert_out '^  inputs +[0-9a-f]{64}$'
    assert_out '^  changed +it has not passed before$'
    assert_no_out 'end of input'
    ran 1
    # From a pipe as from a file.
    mkfifo "$T/pipe"
    printf 'continue\n' > "$T/pipe" &
    INPUT=$T/pipe kiln 0 debug --force --break test
    assert_out '^test is held before it starts'
    assert_no_out 'end of input'
    ran 2
}

test_after() {
    begin
    lines 0 'log\nwhy\nretry\ncontinue\n' --break 'te*:after'
    assert_eq "$(grep -c '^test is held: it passed after .* (after@te\*)$' "$T/out")" 2 "pauses"
    assert_out '^3 wrong$'
    assert_out '^  changed +it has just passed$'
    assert_out '^pack: passed'
    ran 2
    # What depends on it waits.
    lines 1 'abort\n' --force --break test:after
    assert_out '^test: passed'
    assert_out '^pack: cancelled'
    # One that was silent.
    sed -i 's/echo packed/true/' kiln.json
    lines 0 'log\ncontinue\n' --break pack:after
    assert_out '^  it has written nothing$'
}

test_failure() {
    begin
    touch bad
    lines 0 'log\nwhy\nshell rm bad\nretry\n'
    assert_out '^test is held: it failed after .*, exit 1 \(failure\)$'
    assert_out '^pack: passed'
    ran 2
    touch bad
    lines 1 'why\ncontinue\n'
    assert_out '^  changed +since it passed in run [0-9]+:$'
    assert_out '^ +file bad added'
    assert_out '^pack: skipped: it needs test, which failed$'
    # Without a pause.
    lines 1 '' --on-failure=keep
    assert_no_out 'is held'
    lines 1 '' --on-failure=continue --break build:after
    assert_no_out 'test is held'
    lines 2 '' --on-failure=no
    assert_err 'pause, keep, continue'
}

test_skipped_once() {
    begin
    lines 1 'skip\n' --break test
    assert_out '^test: skipped: skipped by hand$'
    assert_out '^pack: skipped: it needs test, which was skipped$'
    assert_out 'cancelled: '
    ran 0
    touch bad
    lines 1 'skip\n'
    assert_out '^test: skipped: skipped by hand, after it failed$'
    rm bad
    # Nothing of that is kept.
    kiln 0 run
    assert_out '^test: passed'
    lines 0 'skip\ncontinue\n' --force=test --break test:after
    assert_out 'it has passed: there is nothing to skip'
}

test_next() {
    begin
    lines 0 'next\nnext\nnext\n' --break build
    assert_eq "$(grep 'is held' "$T/out" | cut -d' ' -f1 | xargs)" "build test pack" "held"
    assert_out '^test is held before it starts; it is the next that starts$'
    # It goes on until the one that it let go has ended.
    assert_eq "$(grep -n '^build: passed' "$T/out" | cut -d: -f1)" "$(($(grep -n '^test is held' "$T/out" | cut -d: -f1) - 1))" "order"
    # One at a time, also where several could start.
    project '{"version": 1, "jobs": 4, "defaults": {"runner": "host"}, "steps": {
        "first": {"run": "true", "inputs": []},
        "a": {"run": "true a", "inputs": [], "needs": ["first"]}, "b": {"run": "true b", "inputs": [], "needs": ["first"]},
        "c": {"run": "true c", "inputs": [], "needs": ["first"]}, "d": {"run": "true d", "inputs": [], "needs": ["first"]}}}'
    lines 0 'next\nnext\nnext\ncontinue\n' --break first
    assert_eq "$(grep -c 'is held' "$T/out")" 4 "pauses"
    assert_no_out 'end of input'
    assert_eq "$(grep -E -o 'is held|^[abcd]: passed' "$T/out" | sed 's/.*: //' | xargs)" \
        "is held is held passed is held passed is held passed passed" "order"
}

test_conditions() {
    begin
    lines 0 'continue\n' --break-on 'output~[0-9]+ wrong'
    assert_out '^test is held: it passed after .*; it wrote: 3 wrong \(output~\[0-9\]\+ wrong\)$'
    lines 0 '' --force --break-on 'output~[0-9]+ WRONG' --break-on 'output~wrong@build'
    assert_no_out 'is held'
    lines 0 'continue\n' --force --break-on 'key-changed'
    assert_no_out 'is held'
    echo 2 > in
    lines 0 'continue\ncontinue\ncontinue\n' --break-on 'key-changed'
    assert_out '^build is held before it starts; its key is not that of its last pass \(key-changed\)$'
    touch bad
    lines 1 'continue\n' --break-on failure@build
    assert_no_out 'is held'
}

test_duration() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"s": {"inputs": [], "run": "sleep 0.2"}}}'
    lines 0 'continue\n' --break-on 'duration>1h@s' --break-on 'duration>100ms@?'
    assert_out 'it took .*s, which is more than 0.10s \(duration>100ms@\?\)$'
}

# The whole of what it wrote is looked at, whatever the pieces; the last line need not end.
test_output_in_pieces() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"s": {"inputs": [],
        "run": "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; printf \"the \"; sleep 0.1; printf e; printf nd >&1"}}}'
    lines 0 'continue\n' --break-on 'output~^line 19999$'
    assert_out 'it wrote: line 19999 '
    lines 0 'continue\n' --force --break-on 'output~^the end$'
    assert_out 'it wrote: the end '
    # As terminals end lines.
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"s": {"inputs": [], "run": "printf \"the end\\r\\n\""}}}'
    lines 0 'continue\n' --break-on 'output~^the end$'
    assert_out 'it wrote: the end '
}

test_wrong_rules() {
    begin
    lines 2 '' --break tset
    assert_err 'no step is called "tset", which is to be held; did you mean "test"\?'
    lines 2 '' --break-on failur
    assert_err '--break-on: there is no condition "failur"; did you mean "failure"\?'
    lines 2 '' --break-on 'output~('
    assert_err 'output~ wants an expression'
    lines 2 '' --break :after
    assert_err "a step's name is wanted"
    assert_eq "$(find "$XDG_STATE_HOME" -name events.ndjson | wc -l)" 0 "runs"
    lines 0 'contnue\nbreak x\nbreak-on x\nunbreak x\ncontinue x\nabort x\nshell\n\n  \nbreaks\ncontinue' --break test
    assert_out 'there is no command "contnue"; did you mean "continue"\?'
    assert_out 'there is no condition "x"'
    assert_out 'there is no such rule; breaks lists them'
    assert_out '^x is not held$'
    assert_out '^abort takes nothing behind it$'
    assert_out 'a shell needs a terminal'
    assert_out '^  before@test$'
    assert_match "$(cat "$T/out" "$T/err")" 'no step is called "x"'
}

# Rules come and go while something is held.
test_rules_by_lines() {
    begin
    lines 0 'unbreak before@build\nbreak pack\nbreak-on output~3 wrong\nbreaks\ncontinue\nunbreak output~3 wrong\ncontinue\ncontinue\n' --break build
    assert_out '^  before@pack$'
    assert_out '^test is held: it passed .*output~3 wrong'
    assert_out '^pack is held before it starts \(before@pack\)$'
}

# At the end of input all goes on, and nothing is held any more.
test_end_of_input() {
    begin
    touch bad
    kiln 1 debug --break build --break-on failure
    assert_out '^build is held'
    assert_out '^end of input: all goes on without more pauses$'
    assert_no_out 'test is held'
    assert_out 'failed: 1 failed'
    rm bad
    local code=0
    "$KILN" debug --break test <&- > "$T/out" 2> "$T/err" || code=$?
    assert_eq "$code" 0 "its exit code"
    assert_out '^end of input'
}

# Of two that failed, one runs again, and the other is still held.
test_two_held() {
    project '{"version": 1, "jobs": 2, "defaults": {"runner": "host"}, "steps": {
        "p": {"run": "test -e mended", "inputs": []}, "q": {"run": "exit 3", "inputs": []}}}'
    mkfifo "$T/fifo"
    : > "$T/out"
    "$KILN" debug < "$T/fifo" > "$T/out" 2> "$T/err" &
    local pid=$! code=0
    exec 9> "$T/fifo"
    wait_for grep -q 'q is held' "$T/out"
    wait_for grep -q 'p is held' "$T/out"
    touch mended
    echo 'retry p' >&9
    wait_for grep -q '^p: passed' "$T/out"
    assert_no_out '^q: FAILED'
    exec 9>&-
    wait "$pid" || code=$?
    assert_eq "$code" 1 "its exit code"
    assert_out '^q: FAILED with exit code 3'
}

# What a step has written already counts for a rule that comes while it runs.
test_a_rule_for_what_runs() {
    project '{"version": 1, "jobs": 2, "defaults": {"runner": "host"}, "steps": {
        "p": {"run": "exit 3", "inputs": []},
        "q": {"run": "echo needle; touch written; until [ -e go ]; do sleep .05; done", "inputs": []}}}'
    mkfifo "$T/fifo"
    : > "$T/out"
    "$KILN" debug < "$T/fifo" > "$T/out" 2> "$T/err" &
    local pid=$! code=0
    exec 9> "$T/fifo"
    wait_for grep -q 'p is held' "$T/out"
    wait_for test -e written
    printf 'break-on output~^needle$\nbreaks\n' >&9
    wait_for grep -q '^  output~^needle\$$' "$T/out"
    touch go
    wait_for grep -q '^q is held: .*it wrote: needle' "$T/out"
    exec 9>&-
    wait "$pid" || code=$?
    assert_eq "$code" 1 "its exit code"
}

test_nothing_to_hold() {
    begin
    kiln 0 run
    lines 0 '' --break test
    assert_err 'test was up to date and did not run, so nothing held it; --force=test runs it all the same'
    lines 0 '' --break 'pack' --break-on failure test
    assert_no_out 'is held'
    # What is not part of the run.
    assert_err '^kiln: before@pack: no such step was asked for or needed, so nothing was held$'
    assert_eq "$(wc -l < "$T/err")" 1 "remarks"
}

test_a_command_there() {
    begin
    kiln 0 debug --break test --command 'echo there; pwd -P; cat mid; exit 3'
    assert_out '^there$'
    assert_out "^$(pwd -P)\$"
    assert_out '^1$'
    assert_out '^it ended with exit code 3$'
    assert_out '^test: passed'
    touch bad
    kiln 1 debug --command 'rm bad'
    assert_out '^test: FAILED'
    assert_no_out 'it ended'
    [ ! -e bad ] || fail "the command was not run"
}

a_command_in_the_box() {
    project '{"version": 1, "steps": {"s": {"runner": "sandbox", "run": "echo trace > trace; exit 4", "inputs": []}}}'
    mine
    kiln 1 debug --command 'cat trace; pwd'
    assert_out '^s is held: it failed after .*, exit 4'
    assert_out '^trace$'
    assert_out '^/src$'
}

test_a_command_in_the_box() { as_both a_command_in_the_box; }

# Secrets are shown by their names alone, wherever their values are.
test_secrets() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"s": {"inputs": [], "run": "echo $TOKEN $COPY",
        "secrets": {"TOKEN": {"env": "THE_TOKEN"}}, "pass_env": ["COPY"], "env": {"CC": "gcc"}}}}'
    THE_TOKEN=hidden-value COPY=x-hidden-value lines 0 'show\nlog\ncontinue\n' --break s
    assert_out '^ +TOKEN=\*\*\*$'
    assert_out '^ +COPY=x-\*\*\*$'
    assert_out '^ +(env +)?CC=gcc$'
    assert_no_out 'hidden-value'
}

test_json() {
    begin
    touch bad
    lines 1 'show\ncontinue\n' --json --break test:after
    jq -e -n '[inputs | select(.type == "step.paused")] | length == 1 and .[0].rule == "after@test" and .[0].failed and
        (.[0].key | length) == 64 and .[0].reason == "it has ended"' "$T/out" > /dev/null || fail "step.paused: $(cat "$T/out")"
    jq -e -n '[inputs | select(.type == "breakpoint")] | .[0].set and .[0].rule == "after@test"' "$T/out" > /dev/null || fail "breakpoint"
    assert_err '^test is held: it failed'
    assert_err '^  runs '
    # The record has it as well, and it can be replayed.
    kiln 0 replay
    kiln 0 replay --json
    jq -e -n '[inputs | select(.type == "step.paused")] | length == 1' "$T/out" > /dev/null || fail "not on record"
}

# A signal ends it while something is held, a command runs there, or nothing is read.
test_ended_while_held() {
    begin
    mkfifo "$T/fifo"
    : > "$T/out"
    "$KILN" debug --break test < "$T/fifo" > "$T/out" 2> "$T/err" &
    local pid=$!
    exec 9> "$T/fifo"
    wait_for grep -q 'test is held' "$T/out"
    kill -TERM "$pid"
    local code=0
    wait "$pid" || code=$?
    exec 9>&-
    assert_eq "$code" 143 "its exit code"
    ran 0
}

# With a person it asks, and opens a shell.
test_on_a_terminal() {
    begin
    TERM=vt100 timeout -k 5 $((3 * DEADLINE)) "$TERMINAL" 31 97 "$KILN" debug --screen-reader --break test > "$T/out" << 'EOF'
wait test is held before it starts (before@test)
wait help lists the commands
wait (test) 
type help\n
wait leave it out of this run
wait (test) 
type shell\n
wait project
type echo in''side\n
wait inside
type exit\n
wait (test) 
type continue\n
wait 3 passed
end
EOF
    assert_match "$(tail -n 1 "$T/out")" "ended 0 sane"
}

# The panes, with what was asked for; what is left to read comes when they are gone.
test_in_the_panes() {
    begin
    env -u CI TERM=xterm LC_ALL=C.UTF-8 timeout -k 5 $((3 * DEADLINE)) "$TERMINAL" 40 120 "$KILN" debug --break test > "$T/out" << 'EOF'
wait at test
wait before@test
type c
end
EOF
    assert_match "$(tail -n 1 "$T/out")" "ended 0 sane"
    assert_out 'pack.*: .*passed'
}

run_tests
