#!/usr/bin/env bash
# Breakpoints and forced runs, ordered from the terminal of a kiln that watches; what a second kiln beside it gets.
. "$(dirname "$0")/lib.sh"

TERMINAL=${TERMINAL:-$(dirname "$KILN")/tests/terminal}
TYPIST=

# on_screen: a kiln that watches on a terminal; "type_keys" reaches it.
on_screen() {
    mkfifo "$T/keys"
    env -u CI TERM=xterm LC_ALL=C.UTF-8 timeout -k 5 $((3 * DEADLINE)) "$TERMINAL" 40 120 "$KILN" watch \
        < "$T/keys" > "$T/screen" 2> "$T/err" &
    TYPIST=$!
    exec 9> "$T/keys"
}

type_keys() {
    printf 'type %s\n' "$1" >&9
}

# seen TEXT: the screen has shown it.
seen() {
    echo "wait $1" >&9
    wait_for grep -qF "$1" "$T/screen"
}

quit_screen() {
    type_keys q
    echo end >&9
    exec 9>&-
    wait "$TYPIST" || fail "the terminal's script: $(tail -n 1 "$T/screen")"
    assert_match "$(tail -n 1 "$T/screen")" "ended 0 sane"
}

# told N JQ: run N has told that.
told() {
    local file
    for file in "$XDG_STATE_HOME"/kiln/projects/*/runs/"$1"/events.ndjson; do
        [ -e "$file" ] && jq -e -n "[inputs | select($2)] | length > 0" "$file" > /dev/null && return
    done
    return 1
}

begin() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "first": {"run": "cp in mid", "inputs": ["in"], "outputs": ["mid"]},
        "second": {"needs": ["first"], "run": "echo ran >> /tmp/x; cat mid > out; test ! -e bad", "inputs": ["bad*"], "outputs": ["out"]},
        "third": {"needs": ["second"], "run": "cat out > end", "inputs": [], "outputs": ["end"]}}}'
    sed -i "s|/tmp/x|$T/count|" kiln.json
    echo 1 > in
    on_screen
    wait_for told 1 '.type == "run.finished"'
}

runs_of_second() {
    [ "$(wc -l < "$T/count")" -eq "$1" ]
}

# Keys are taken in their order: what r begins meets the breakpoint that b has set.
test_held_before_it_starts() {
    begin
    assert_file end 1
    type_keys ':second\x0dbr'
    wait_for told 2 '.type == "step.paused" and .step == "second" and .failed == false'
    runs_of_second 1 || fail "it has started"
    # An edit takes the place of what is held.
    put in 2
    wait_for told 2 '.type == "step.finished" and .step == "second" and .status == "cancelled"'
    wait_for told 3 '.type == "step.paused" and .step == "second"'
    assert_file mid 2
    assert_file end 1
    # Nobody else is held up by it: what a second kiln is asked for it does.
    kiln 0 run
    assert_file end 2
    runs_of_second 2 || fail "the second kiln has not run it"
    type_keys c
    wait_for told 3 '.type == "run.finished" and .status == "passed"'
    told 3 '.type == "step.resumed" and .step == "second"' || fail "not resumed"
    type_keys r # run 5: the fourth was the second kiln's
    wait_for told 5 '.type == "step.paused"'
    # Without the breakpoint it goes on when it is told to, and is not held again.
    type_keys bc
    wait_for told 5 '.type == "run.finished" and .status == "passed"'
    put in 4
    wait_for grep -q 4 end
    quit_screen
}

paused_times() { # RUN COUNT
    [ "$(cat "$XDG_STATE_HOME"/kiln/projects/*/runs/"$1"/events.ndjson | grep -c '"step.paused"')" -eq "$2" ]
}

test_held_after_it_failed() {
    begin
    put bad ''
    wait_for told 2 '.type == "run.finished" and .status == "failed"'
    type_keys ':second\x0dBr'
    wait_for told 3 '.type == "step.paused" and .failed == true and .exit_code == 1'
    if told 3 '.type == "step.finished" and .step == "third"'; then fail "it is not waited for"; fi
    # Run again as it is, it fails again and is held again; then its failure stands.
    type_keys r
    wait_for paused_times 3 2
    runs_of_second 4 || fail "it was not run again"
    type_keys c
    wait_for told 3 '.type == "run.finished" and .status == "failed"'
    # Mended while it is held: a new run takes its place, and the old one has failed.
    type_keys r
    wait_for told 4 '.type == "step.paused"'
    rm bad
    wait_for told 4 '.type == "run.finished" and .status == "failed"'
    wait_for told 5 '.type == "run.finished" and .status == "passed"'
    quit_screen
}

test_aborted_and_quit() {
    begin
    type_keys ':second\x0dbr'
    wait_for told 2 '.type == "step.paused"'
    type_keys a
    wait_for told 2 '.type == "run.finished" and .status == "cancelled"'
    runs_of_second 1 || fail "it has started"
    type_keys r
    wait_for told 3 '.type == "step.paused"'
    quit_screen
    runs_of_second 1 || fail "it has started"
}

# One after the other, after it has ended, skipped once; an edit ends what is held as it had ended.
test_stepping() {
    begin
    type_keys ':second\x0dA:first\x0db'
    seen ◇
    put in 2
    wait_for told 2 '.type == "step.paused" and .step == "first" and .rule == "before@first"'
    type_keys C
    wait_for told 2 '.type == "step.paused" and .step == "second" and .rule == null'
    type_keys C
    wait_for told 2 '.type == "step.paused" and .step == "second" and .rule == "after@second" and .passed'
    if told 2 '.type == "step.queued" and .step == "third"'; then fail "it is not waited for"; fi
    type_keys c
    wait_for told 2 '.type == "run.finished" and .status == "passed"'
    assert_file end 2
    # Stepping has ended with the run: only the two are held.
    put in 3
    wait_for told 3 '.type == "step.paused" and .step == "first"'
    type_keys c
    wait_for told 3 '.type == "step.paused" and .step == "second" and .passed'
    put in 4
    wait_for told 3 '.type == "step.finished" and .step == "second" and .status == "passed"'
    wait_for told 4 '.type == "step.paused" and .step == "first"'
    type_keys ':first\x0dX'
    wait_for told 4 '.type == "run.finished" and .status == "cancelled" and .skipped == 3'
    assert_file mid 3
    type_keys ':first\x0db:second\x0dAR'
    wait_for told 5 '.type == "run.finished" and .status == "passed"'
    assert_file end 4
    quit_screen
}

test_forced() {
    begin
    type_keys ':first\x0dff'
    wait_for told 2 '.type == "run.finished"'
    runs_of_second 2 || fail "what depends on it was not forced"
    type_keys ':third\x0dff'
    wait_for told 3 '.type == "run.finished"'
    runs_of_second 2 || fail "what it needs was forced"
    type_keys fa
    wait_for told 4 '.type == "run.finished"'
    runs_of_second 3 || fail "not all was forced"
    quit_screen
}

# One that is held before others, with places left, keeps neither them waiting nor kiln busy.
test_held_before_others() {
    project '{"version": 1, "jobs": 4, "defaults": {"runner": "host", "inputs": []}, "steps": {
        "a": {"run": "true"}, "b": {"run": "true", "needs": []}, "c": {"run": "true"}}}'
    sed -i 's/, "inputs": \[\]}/}/; s/"run": "true"/"run": "true", "inputs": []/g' kiln.json
    on_screen
    wait_for told 1 '.type == "run.finished"'
    type_keys ':a\x0dbfa'
    wait_for told 2 '.type == "step.paused" and .step == "a"'
    wait_for told 2 '.type == "step.finished" and .step == "c"'
    type_keys c
    wait_for told 2 '.type == "run.finished"'
    quit_screen
}

run_tests
