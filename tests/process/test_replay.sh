#!/usr/bin/env bash
# kiln replay: a run of the past says again what it said, on every view.
. "$(dirname "$0")/lib.sh"

TERMINAL=${TERMINAL:-$(dirname "$KILN")/tests/terminal}

PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "steps": {
    "build": {"run": "cat in > out; echo built; echo oops >&2", "inputs": ["in"], "outputs": ["out"]},
    "test": {"run": "cat out; grep -q good out || exit 3", "inputs": [], "needs": ["build"]}}}'

test_plain_lines_are_the_same() {
    project "$PIPELINE"
    echo good > in
    kiln 0 run
    cp "$T/out" "$T/first"
    echo bad > in
    kiln 1 run
    cp "$T/out" "$T/second"
    kiln 0 run --force=build build
    cp "$T/out" "$T/third"
    kiln 0 replay 1
    cmp "$T/out" "$T/first"
    kiln 0 replay 002
    cmp "$T/out" "$T/second"
    kiln 0 replay # the newest
    cmp "$T/out" "$T/third"
    assert_no_err
}

# But for the pipeline, of which a record has the run's steps.
same_events() {
    jq -c 'select(.type != "pipeline.loaded") | del(.seq, .schema)' "$1"
}

test_events_are_the_same() {
    project "$PIPELINE"
    echo bad > in
    kiln 1 run --json
    same_events "$T/out" > "$T/live"
    kiln 0 replay --json
    same_events "$T/out" > "$T/again"
    diff "$T/live" "$T/again"
    assert_eq "$(jq -c 'select(.type == "pipeline.loaded") | .steps | map(.step)' "$T/out")" '["build","test"]'
    assert_eq "$(step_log build | sort)" $'built\noops'
}

test_what_steps_used() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "dd if=/dev/zero of=/dev/null bs=400M count=1", "inputs": []},
        "b": {"run": "true", "inputs": []}}}'
    kiln 0 run --json
    kiln 0 replay --json
    used='select(.type == "step.finished") | .step + " \(.cpu_ms > 0) \(.memory_bytes > 4e8)"'
    assert_eq "$(jq -r "$used" "$T/out" | sort | head -n 1)" "a true true"
    assert_eq "$(jq -r 'select(.type == "step.finished" and .step == "b") | .memory_bytes' "$T/out")" null
    kiln 0 run --json # nothing ran
    assert_eq "$(jq -r "$used" "$T/out" | sort | uniq)" $'a false false\nb false false'
}

test_what_is_not_there() {
    project "$PIPELINE"
    kiln 2 replay
    assert_err 'nothing has run here yet'
    kiln 2 replay 7
    assert_err 'there is no run 7 on record; "kiln runs" lists them'
    kiln 2 replay ../1
    assert_err 'there is no run ../1 on record'
    kiln 2 replay --speed 0
    assert_err '--speed wants a number from 1 to 1000'
    echo good > in
    kiln 0 run
    project '{"version": 1'
    kiln 0 replay 1
    assert_out '^kiln: passed: 2 passed'
    assert_err 'kiln.json:2'
}

test_on_a_terminal() {
    project "$PIPELINE"
    echo bad > in
    kiln 1 run
    local speed
    for speed in "" "--speed=1000"; do
        # shellcheck disable=SC2086
        LANG=C.UTF-8 TERM=xterm-256color timeout -k 5 "$DEADLINE" "$TERMINAL" 24 80 "$KILN" replay $speed > "$T/out" 2> "$T/err" << 'EOF'
wait failed
type r
type q
end
EOF
        assert_eq "$(tail -n 1 "$T/out")" "ended 0 sane"
        grep -q REPLAY "$T/out"
    done
    kiln 0 runs --json
    assert_eq "$(jq length "$T/out")" 1
}

run_tests
