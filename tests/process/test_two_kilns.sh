#!/usr/bin/env bash
# test_two_kilns.sh - several kilns on one project: they take turns at a step, and nobody stores a mixture.
. "$(dirname "$0")/lib.sh"

# The step says that it has begun, then waits for the go-ahead, so that the other kiln surely meets it half-way.
slow_project() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "rm -f o; echo one >> o; echo x >> \"$T/begun\"; while [ ! -e \"$T/go\" ]; do sleep 0.02; done; echo two >> o",
              "inputs": [], "outputs": ["o"], "pass_env": ["T"]},
        "b": {"needs": ["a"], "run": "cat o > p", "inputs": [], "outputs": ["p"]}}}'
    export T
}

test_the_second_takes_the_result_of_the_first() {
    slow_project
    "$KILN" run --json > "$T/first" 2>&1 &
    wait_for test -s "$T/begun"
    : > "$T/second"
    "$KILN" run --plain > "$T/second" 2>&1 &
    wait_for grep -q 'another kiln is at work on step a' "$T/second"
    touch "$T/go"
    wait
    grep -q '^a: cached' "$T/second" || fail "the second kiln did not take the first one's result"
    assert_eq "$(wc -l < "$T/begun")" 1
    assert_eq "$(tr '\n' ' ' < o)" "one two "
    rm o p
    kiln 0 run --json
    assert_eq "$(ran)" ""
    assert_eq "$(tr '\n' ' ' < p)" "one two "
}

test_forced_ones_take_turns() {
    slow_project
    touch "$T/go"
    local i
    for i in 1 2 3; do
        "$KILN" run --force --plain > "$T/out.$i" 2>&1 &
    done
    wait
    for i in 1 2 3; do
        grep -q '^kiln: passed: 2 passed' "$T/out.$i" || fail "kiln $i: $(cat "$T/out.$i")"
    done
    assert_eq "$(wc -l < "$T/begun")" 3
    rm o
    kiln 0 run
    assert_eq "$(tr '\n' ' ' < o)" "one two "
}

test_a_killed_kiln_leaves_no_turn_taken() {
    slow_project
    "$KILN" run > "$T/first" 2>&1 &
    wait_for test -s "$T/begun"
    kill -KILL $!
    wait || true
    touch "$T/go"
    kiln 0 run --json
    assert_eq "$(status a)" passed
    assert_eq "$(tr '\n' ' ' < o)" "one two "
}

run_tests
