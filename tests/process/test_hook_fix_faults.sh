#!/usr/bin/env bash
# Fixers of the hook, when calls go wrong: each file and the index is as it was or wholly fixed, the index last; no edit is
# lost, nothing is locked, and the next hook finishes it.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wrong.sh"

PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "steps": {
    "format": {"run": "sed -i s/bad/good/ $(grep -rl bad src) /dev/null 2>/dev/null || :", "inputs": ["src"], "fix": true},
    "test": {"run": "! grep -rn bad src", "inputs": ["src"]}}}'

# src/a is staged as it is, src/b has an edit that is not, src/c is fixed in the working tree already.
a_project() {
    git config --global user.name a
    git config --global user.email a
    git config --global init.defaultBranch main
    project "$PIPELINE"
    git init -q .
    mkdir src
    for f in a b c; do printf '%s\n' 1 2 3 4 5 6 >src/$f; done
    git add .
    git commit -q -m first
    kiln 0 hook run
    sed -i 's/1/bad/' src/?
    git add .
    sed -i 's/6/edited/' src/b
    sed -i 's/bad/good/' src/c
    cp -a . "$T/before"
    cp -a "$XDG_CACHE_HOME" "$T/cache"
}

# The project as it was before. What git goes by in an index are times and inodes, too.
again() {
    find . -mindepth 1 -maxdepth 1 -exec rm -rf {} +
    cp -a "$T/before/." .
    rm -rf "$XDG_CACHE_HOME" "$T/rc"
    cp -a "$T/cache" "$XDG_CACHE_HOME"
}

fixed_index() {
    local f
    for f in a b c; do
        [ "$(git show ":src/$f" | xargs)" = "good 2 3 4 5 6" ] || return 1
    done
}

fixed_files() {
    [ "$(xargs <src/a)" = "good 2 3 4 5 6" ] && [ "$(xargs <src/b)" = "good 2 3 4 5 edited" ]
}

# Of what may be there after a fault, and nothing else.
look() { # POINT
    assert_no_file .git/index.lock
    [ "$(xargs <src/a)" = "good 2 3 4 5 6" ] || cmp src/a "$T/before/src/a" || fail "$1: src/a is neither"
    [ "$(xargs <src/b)" = "good 2 3 4 5 edited" ] || cmp src/b "$T/before/src/b" || fail "$1: src/b is neither"
    cmp src/c "$T/before/src/c" || fail "$1: src/c was touched"
    if ! cmp -s .git/index "$T/before/.git/index"; then
        fixed_index || fail "$1: the index is neither"
        fixed_files || fail "$1: the index came before the files"
    fi
    git fsck --no-progress --no-dangling >"$T/fsck" 2>&1 || fail "$1: $(cat "$T/fsck")"
}

# Most points in the last part of all calls, where what was fixed is taken over.
all_points() { # N TOTAL
    points "$(($1 / 4))" "$2"
    points "$(($1 - $1 / 4))" "$(($2 * 15 / 100))" | while read -r at; do echo $(($2 * 85 / 100 + at)); done
}

goes_wrong() { # KIND N
    local at
    a_project
    what_goes_wrong || return 0
    wrong "$1" 0 hook run
    fixed_index && fixed_files || fail "without a fault"
    for at in $(all_points "$2" "$(counted "$1")"); do
        again
        wrong "$1" "$at" hook run
        look "$1 at $at"
        if [ -s "$T/rc" ] && [ "$1" != kill ] && { fixed_files || ! cmp -s .git/index "$T/before/.git/index"; }; then
            fail "$1 at $at: the hook said no, and something is fixed: $(cat "$T/out")"
        fi
        if ! [ -s "$T/rc" ]; then fixed_index && fixed_files || fail "$1 at $at: the hook said yes"; fi
        kiln 0 hook run
        fixed_index && fixed_files || fail "$1 at $at: the next one does not finish it"
        [ -z "$(find .git -maxdepth 1 -name '*kiln*' ! -name kiln-fix.left)" ] || fail "$1 at $at: something is left"
    done
}

test_killed() { goes_wrong kill "${KILN_POINTS:-16}"; }
test_a_full_disk() { goes_wrong ENOSPC "${KILN_POINTS:-10}"; }
test_reads_that_fail() { goes_wrong read "${KILN_POINTS:-8}"; }

run_tests
