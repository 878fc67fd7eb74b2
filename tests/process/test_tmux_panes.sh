#!/usr/bin/env bash
# What the panes tell of a tree that is really edited: what changed in it, what a step reads, whether results of the
# past still hold. Skipped where there is no tmux.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tmux.sh"

steps() {
    mkdir -p src t
    printf 'one\ntwo\nthree\n' > src/a
    echo 1 > t/t
    project '{"version": 1, "name": "demo", "defaults": {"runner": "host"}, "steps": {
        "build": {"run": "cat src/a", "inputs": ["src"]},
        "check": {"run": "grep 1 t/t", "inputs": ["t"]}}}'
    git_project
}

save() { # TEXT: as src/a, at once
    # shellcheck disable=SC2059
    printf "$1" > "$T/new"
    mv "$T/new" src/a
}

test_what_changed_and_what_still_holds() {
    steps
    kiln 0 run
    pane 120 40
    open_kiln
    wait_for shows 'cached'
    types 1gg3+ # build; what it was is in git
    save 'one\n2\nthree\n'
    wait_for shows '− two'
    wait_for shows '+ 2'
    save 'one\nzwei\nthree\n'
    wait_for shows '− 2' # and that was kept
    wait_for shows '+ zwei'
    types +4
    wait_for shows '1 file, 15 B'
    wait_for shows 'src/a'
    types 6
    wait_for shows '4 on record'
    types G
    wait_for shows '▌    1 '
    tm send-keys Enter
    wait_for shows PAST
    types 1k3+
    wait_for shows 'Why: build'
    wait_for shows 'stale: what it reads is not what it was then'
    save 'one\ntwo\nthree\n' # as it was
    wait_for shows 'current: all that it reads is as it was then'
    types +1j3+
    wait_for shows 'Why: check'
    wait_for shows 'current: all that it reads is as it was then'
    types +6
    tm send-keys Escape
    wait_for hides PAST
    types q
    wait_for shows 'ended 0'
    usable
}

# While watching is paused nothing runs, and what has changed is told all the same.
test_paused() {
    steps
    pane 120 40
    open_kiln
    wait_for shows '✓2'
    wait_for hides ' file' # of git's: all is committed
    types 1gg4+
    wait_for shows '1 file, 14 B'
    types p
    wait_for shows PAUSED
    save 'one\n2\nthree\n'
    echo new > src/b
    wait_for shows '2 changed, 2 files'
    wait_for shows 'added    src/b'
    wait_for shows 'changed  src/a'
    wait_for shows '* 2 files' # not committed
    shows PAUSED || fail "no longer paused: $(screen)"
    shows 'run 1' || fail "something ran: $(screen)"
    rm src/b
    wait_for shows '1 changed, 1 file'
    types p
    wait_for shows 'run 2'
    wait_for shows 'passed in'
    wait_for shows '1 file, 12 B'
    types +1
    wait_for shows 'passed'
    # An edit that is taken back: nothing is run.
    types p
    wait_for shows PAUSED
    save 'one\n'
    types 4+
    wait_for shows '1 changed, 1 file'
    save 'one\n2\nthree\n'
    wait_for hides 'changed, 1 file'
    types p
    wait_for hides PAUSED
    types q
    wait_for shows 'ended 0'
    usable
}

test_the_cache() {
    steps
    pane 120 40
    open_kiln
    wait_for shows '✓2'
    types 7
    wait_for shows 'holds      2 results'
    wait_for shows 'nothing to remove'
    wait_for shows '0% from the cache: 0 of 2 results'
    types q
    wait_for shows 'ended 0'
}

run_tests
