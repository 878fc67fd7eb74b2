#!/usr/bin/env bash
# Plain kiln on a terminal where there is no pipeline, or none that can be read; and a pipeline that is broken and mended
# while it is watched without one.
. "$(dirname "$0")/lib.sh"

TERMINAL=${TERMINAL:-$(dirname "$KILN")/tests/terminal}

# on_terminal ARGUMENT... < SCRIPT: kiln on a terminal of 30 rows and 100 columns (terminal.c has the script's words).
on_terminal() {
    RC=0
    LC_ALL=C.UTF-8 TERM=xterm-256color timeout -k 5 $((3 * DEADLINE)) "$TERMINAL" 30 100 "$KILN" "$@" > "$T/screen" || RC=$?
    sed $'s/\033\\[[?0-9;]*[A-Za-z]//g; s/\r//g' "$T/screen" | tr -d '\000' > "$T/out"
    if grep -q "ERROR: AddressSanitizer\|runtime error:\|LeakSanitizer" "$T/out"; then fail "kiln $*: a sanitizer spoke"; fi
    [ "$RC" -eq 0 ] || fail "kiln $*: $(grep -a '^not done:' "$T/out")"
}

assert_end() { # HOW
    assert_eq "$(tail -n 1 "$T/out")" "$1" "the end"
}

test_i_writes_and_runs() {
    cd "$P"
    printf 'all:\n\techo made\n' > Makefile
    on_terminal << 'END'
wait Welcome to kiln
wait make (Makefile): build
wait write kiln.json
type i
wait passed
type q
end
END
    assert_end "ended 0 sane"
    kiln 0 run --json
    assert_eq "$(ran)" ""
    assert_eq "$(status build)" cached
}

test_q_leaves_nothing() {
    cd "$P"
    on_terminal << 'END'
wait Welcome to kiln
wait example
type jk?:q
end
END
    assert_end "ended 0 sane"
    assert_no_file kiln.json
}

test_signals_end_it() {
    cd "$P"
    on_terminal << 'END'
wait Welcome to kiln
kill 15
end
END
    assert_end "ended 143 sane"
}

# A kiln.json that somebody else writes is taken at once.
test_one_that_comes() {
    cd "$P"
    echo '{"version": 1, "defaults": {"runner": "host"}, "steps": {"mine": {"run": "echo here", "inputs": []}}}' > "$T/new"
    on_terminal << END &
wait Welcome to kiln
wait mine
wait passed
type q
end
END
    local pid=$!
    wait_for grep -aq "Welcome to kiln" "$T/screen"
    mv "$T/new" kiln.json
    wait "$pid" || fail "the screen did not go on"
    assert_end "ended 0 sane"
}

test_a_broken_one() {
    project '{"version": 1, "steps": {"a": {"rum": "true"}}}'
    echo '{"version": 1, "defaults": {"runner": "host"}, "steps": {"mended": {"run": "true", "inputs": []}}}' > "$T/new"
    on_terminal << END &
wait cannot be read yet
wait kiln.json:1:32: step "a": unknown key "rum"; did you mean "run"?
wait mended
wait passed
type q
end
END
    local pid=$!
    wait_for grep -aq 'did you mean "run"' "$T/screen"
    mv "$T/new" kiln.json
    wait "$pid" || fail "the screen did not go on"
    assert_end "ended 0 sane"
    # Who leaves instead has it in words.
    project '{"version": 1, "steps": {"a": {"rum": "true"}}}'
    on_terminal << 'END'
wait did you mean
type q
end
END
    assert_end "ended 2 sane"
    assert_out 'kiln: kiln.json:1:32: step "a": unknown key "rum"; did you mean "run"\?$'
}

# So is one that a program makes: its words are shown, and what it reads is watched.
test_a_generator_that_fails() {
    local pid
    project '{"version": 1, "name": "made", "generate": {"run": "sh ci/make.sh", "inputs": ["ci"]}}'
    mkdir ci
    printf '%s\n' 'for i in $(seq 30); do echo "said-$i" >&2; done' 'echo no-such-thing >&2' 'exit 3' > ci/make.sh
    on_terminal << END &
wait cannot
wait generator
wait said-30
wait no-such-thing
wait QQQQQQ
wait 787878
wait mine
wait passed
type q
end
END
    pid=$!
    wait_for grep -aq 'no-such-thing' "$T/screen"
    # One that asks meanwhile is not told that all is well.
    kiln 2 run
    assert_err 'no-such-thing'
    put ci/make.sh $'echo QQQQQQ >&2\nexit 4'
    wait_for grep -aq 'QQQQQQ' "$T/screen"
    put kiln.json '{"version": 1, "generate": {"run": "echo 787878 >&2; exit 5", "inputs": ["ci"]}}'
    wait_for grep -aq '787878' "$T/screen"
    echo '{"version": 1, "defaults": {"runner": "host"}, "steps": {"mine": {"run": "echo here", "inputs": ["ci"]}}}' > made.json
    put kiln.json '{"version": 1, "generate": {"run": "cat made.json", "inputs": ["made.json"]}}'
    wait "$pid" || fail "the screen did not go on"
    assert_end "ended 0 sane"
    grep -q 'said-5$' "$T/out" && fail "the beginning is shown, not the end"
    # Whoever leaves instead has it in words.
    put kiln.json '{"version": 1, "generate": {"run": "echo never >&2; exit 5", "inputs": ["ci"]}}'
    on_terminal watch mine << 'END'
wait never
type q
end
END
    assert_end "ended 2 sane"
    assert_out 'kiln: kiln.json: the generator of the pipeline failed with exit code 5; it said:$'
}

# Without a terminal, and where CI is set, it is an error and the remedy.
test_no_terminal_no_screen() {
    cd "$P"
    kiln 2
    assert_err '"kiln init" writes one'
    export CI=true
    on_terminal << 'END'
wait "kiln init" writes one
end
END
    assert_end "ended 2 sane"
}

# Plain lines while the pipeline is edited: what is wrong and where, what stays, and that it was mended.
test_edits_in_plain_lines() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat in", "inputs": ["in"]}}}'
    echo 1 > in
    cp kiln.json "$T/good"
    : > "$T/watch.out"
    "$KILN" watch > "$T/watch.out" 2> "$T/watch.err" < /dev/null &
    WATCH_PID=$!
    wait_for has_lines "$T/watch.out" 'waiting for changes' 1
    put kiln.json '{"version": 1, "steps": {"a": {"rum": 1}}}'
    wait_for has_lines "$T/watch.out" 'waiting for changes' 2
    put in 2
    wait_for has_lines "$T/watch.out" 'waiting for changes' 3
    put kiln.json "$(cat "$T/good")"
    wait_for has_lines "$T/watch.out" 'waiting for changes' 4
    watch_stop
    sed -E -e 's/[0-9]+\.[0-9]+s/TIME/g' -e "s|$P|P|" -e 's/[0-9]+ jobs?/N jobs/' -e 's/file in .*/file in/' "$T/watch.out" > "$T/got"
    diff - "$T/got" << 'END' || fail "the lines are not as they must be"
kiln: watching P: 1 step
kiln: run 1: 1 step, N jobs
a: started (new: there is no earlier result)
a: passed in TIME
kiln: passed: 1 passed in TIME
kiln: waiting for changes

kiln: 1 file changed: kiln.json
kiln: error: kiln.json:1:32: step "a": unknown key "rum"; did you mean "run"?
  until that is mended, the pipeline that was read before stays
kiln: waiting for changes

kiln: 1 file changed: in
kiln: run 2: 1 step, N jobs
a: started (file in
a: passed in TIME
kiln: passed: 1 passed in TIME
kiln: waiting for changes

kiln: 1 file changed: kiln.json
kiln: loaded again: project: 1 step
kiln: run 3: 1 step, N jobs
a: cached (saved TIME)
kiln: passed: nothing to do, 1 cached in TIME
kiln: waiting for changes
END
}

run_tests
