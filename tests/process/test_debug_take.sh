#!/usr/bin/env bash
# What was changed in the box that a failed step left: as a patch, and taken into the working tree, all of it or nothing.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wrong.sh"

STEP='"runner": "sandbox", "run": "echo scratch > scratch; mkdir -p out; echo half > out/part; grep -q good src/a.c", "inputs": ["src"], "outputs": ["out"]'

# A step that has failed, in a project of several kinds of files.
a_failure() {
    project '{"version": 1, "steps": {"test": {'"$STEP"'}, "here": {"runner": "host", "run": "false", "inputs": ["src"]}}}'
    mkdir -p src/d
    seq 9 > src/a.c
    echo bad >> src/a.c
    echo gone > src/gone.c
    echo '#!/bin/sh' > src/run.sh
    ln -s a.c src/link
    echo d > src/d/1
    echo "a name" > "src/a name"
    printf 'a\0b' > src/binary
    chmod 640 src/gone.c
    mine
    kiln 1 run test
}

inside() { # COMMAND: in the box that it left
    kiln 0 shell test --failed --command "$1"
}

mend() {
    inside 'sed -i s/bad/good/ src/a.c; rm -r src/gone.c src/d; chmod +x src/run.sh; ln -sfn run.sh src/link; echo more >> "src/a name"'
}

# Everything that lies in the project, and what it holds.
tree() {
    find . -not -path './.git*' -not -name . -printf '%p %y %#m %l\n' | sort
    find . -type f -not -path './.git*' | sort | xargs -d '\n' sha256sum
}

debug() { kiln "$1" debug test "${@:2}"; }

as_a_patch() {
    local before
    a_failure
    debug 0 --diff
    assert_eq "$(cat "$T/out")" "" "patch"
    assert_err 'none of its inputs was changed'
    assert_err 'made inside, and taken only where it is named: scratch$'
    mend
    inside 'echo new > src/new.h; printf "a\0c" > src/binary'
    debug 0 --diff
    cp "$T/out" "$T/patch"
    assert_out '^-bad$'
    assert_out '^\+good$'
    assert_out '^new mode 100755$'
    assert_no_out 'scratch|new\.h|out/part|binary'
    assert_err 'src/binary: no text$'
    assert_err 'is named: scratch, src/new\.h$'
    # git makes of it what kiln makes.
    rm -rf "$T/copy"
    cp -a "$P" "$T/copy"
    (cd "$T/copy" && git init -q && git apply "$T/patch")
    debug 0 --take src/a.c src/gone.c src/d src/run.sh src/link "src/a name"
    tree > "$T/ours"
    before=$(cd "$T/copy" && tree)
    assert_eq "$(cat "$T/ours")" "$before" "what git makes of the patch"
}

test_as_a_patch() { as_both as_a_patch; }

taken_back() {
    a_failure
    mend
    sed -i s/^1$/one/ src/a.c # edited here meanwhile
    mine
    debug 0 --take
    assert_out '^src/a\.c  merged with what was edited here$'
    assert_out '^src/gone\.c  removed$'
    assert_out '^src/run\.sh  is executable now$'
    assert_out '^6 files taken; kiln run test tries them$'
    assert_eq "$(head -n 1 src/a.c; tail -n 1 src/a.c)" $'one\ngood'
    assert_eq "$(readlink src/link)" run.sh
    [ -x src/run.sh ] || fail "it is not executable"
    assert_no_file src/gone.c
    assert_no_file src/d
    assert_no_file scratch
    # Again, and named as it is called inside.
    debug 0 --take
    assert_out '^nothing to take$'
    inside 'mkdir src/sub; echo new > src/sub/new.h'
    debug 0 --take /src/src/sub
    assert_out '^src/sub/new\.h  added$'
    assert_file src/sub/new.h new
    # What was mended passes; then there is nothing to take from.
    sed -i 's/"run": "[^"]*"/"run": "mkdir -p out; grep -q good src\/a.c"/' kiln.json
    kiln 0 run test
    debug 2 --take
    assert_err '"test" passed when it last ran'
}

test_taken_back() { as_both taken_back; }

# A file that became a directory, and a directory that became a file: in two goes, and again.
other_kinds() {
    a_failure
    inside 'rm -r src/gone.c src/d; mkdir src/gone.c; echo f > src/gone.c/f; echo file > src/d'
    debug 0 --take
    assert_out '^2 files taken; '
    debug 0 --take src/gone.c src/d
    assert_out '^src/gone\.c/f  added$'
    assert_out '^src/d  added$'
    assert_file src/d file
    debug 0 --take
    assert_out '^nothing to take$'
    debug 0 --take src/gone.c src/d
    assert_out '^nothing to take$'
    # Behind a link it may be anything.
    rm src/d
    ln -s gone.c src/d
    debug 1 --take src/d/1
    assert_err '^kiln: src/d/1: is out of reach'
}

test_other_kinds() { as_both other_kinds; }

conflicts() {
    a_failure
    mend
    sed -i s/bad/worse/ src/a.c
    mine
    tree > "$T/before"
    debug 1 --take
    assert_err '^kiln: src/a\.c:10: was changed in both, in the same lines$'
    assert_err 'nothing was taken: 1 conflict'
    tree | cmp - "$T/before"
    # The rest can be named.
    debug 0 --take src/gone.c
    assert_no_file src/gone.c
    # Removed there and edited here; gone here and edited there; a directory behind a link.
    echo more >> src/d/1
    rm src/run.sh
    mkdir src/elsewhere
    mv src/a.c "src/a name" src/elsewhere
    mine
    tree > "$T/before"
    debug 1 --take
    assert_err 'src/d/1: was removed there, and changed'
    assert_err 'src/run\.sh: is gone from the working tree'
    tree | cmp - "$T/before"
    mv src real
    ln -s real src
    mine
    tree > "$T/before"
    debug 1 --take
    assert_err 'src/a\.c: is out of reach: .*"src" is a symbolic link'
    tree | cmp - "$T/before"
}

test_conflicts() { as_both conflicts; }

# The step is given what the working tree does not hold any more, and git never had.
merged_without_git() {
    a_failure
    mend
    sed -i s/^1$/one/ src/a.c
    sed -i s/^3$/three/ src/a.c
    mine
    debug 0 --take src/a.c
    assert_eq "$(sed -n '1p;3p;10p' src/a.c | tr '\n' ' ')" "one three good "
}

test_merged_without_git() { as_both merged_without_git; }

# While the first failure ever is held, for its lines, and for another kiln, whatever the tree holds by then.
while_held() {
    project '{"version": 1, "steps": {"test": {"runner": "sandbox", "run": "grep -q good src/a.c", "inputs": ["src"]}}}'
    mkdir src
    echo bad > src/a.c
    echo b > src/b.c
    mine
    rm -f "$T/lines" "$T/held"
    mkfifo "$T/lines"
    "${AS[@]}" "$KILN" debug < "$T/lines" > "$T/held" 2>&1 &
    local pid=$! code=0
    exec 9> "$T/lines"
    wait_for grep -q 'test is held' "$T/held"
    echo edited > src/b.c
    inside 'sed -i s/bad/good/ src/a.c; cat src/b.c; echo new > src/new'
    assert_out '^b$'
    debug 0 --diff
    assert_out '^\+good$'
    printf 'diff\ntake nowhere\ntake test src/new\ntake src/a.c\nretry\n' >&9
    wait "$pid" || code=$?
    exec 9>&-
    assert_eq "$code" 0 "its exit code"
    cp "$T/held" "$T/out"
    assert_out '^\+good$'
    assert_out 'nothing was changed, made or removed at "nowhere"'
    assert_out '^src/new  added$'
    assert_out '^src/a\.c  replaced$'
    assert_file src/b.c edited
    assert_out '^test: passed'
}

test_while_held() { as_both while_held; }

test_wrong_use() {
    boxes || return 0
    project '{"version": 1, "steps": {"test": {'"$STEP"'}, "here": {"runner": "host", "run": "false", "inputs": ["src"]}}}'
    mkdir src
    echo bad > src/a.c
    kiln 2 debug --take
    assert_err 'no failure is on record'
    debug 2 --take
    assert_err '"test" has not run here yet'
    kiln 2 debug tset --diff
    assert_err 'no step "tset"; did you mean "test"\?'
    kiln 1 run here
    kiln 2 debug here --diff
    assert_err '"here" runs on the host, in the working tree itself: there is no box'
    kiln 1 run test
    debug 2 --take nothing
    assert_err 'nothing was changed, made or removed at "nothing"'
    debug 2 --take ../..
    # Without a name it is the one that failed last.
    inside 'echo good > src/a.c'
    kiln 0 debug --diff
    assert_out '^\+good$'
    chmod -R u+rwX "$XDG_CACHE_HOME" # what overlayfs leaves nobody may enter
    rm -rf "$XDG_CACHE_HOME"/kiln/v1/box/*
    debug 2 --diff
    assert_err 'what the last failure of "test" left was collected'
}

# A shell that is open in it is no hindrance, and what the step is told is shown to nobody.
test_secrets_are_not_shown() {
    boxes || return 0
    project '{"version": 1, "steps": {"test": {"runner": "sandbox", "run": "echo $KEY > src/a.c; echo b >> src/b.c; false", "inputs": ["src"],
        "secrets": {"KEY": {"env": "A_KEY"}}}}}'
    mkdir src
    touch src/a.c src/b.c
    A_KEY=very-secret-word kiln 1 run test
    A_KEY=very-secret-word kiln 0 debug test --diff
    assert_out '^\+b$'
    assert_err 'src/a\.c: may hold a secret'
    ! grep -q very-secret "$T/out" "$T/err" || fail "the secret is shown"
    # Nobody knows the value: all may hold it.
    kiln 0 debug test --diff
    assert_eq "$(cat "$T/out")" ""
    A_KEY=very-secret-word kiln 0 debug test --take
    assert_out '^1 file taken'
    assert_err '1 file may hold a secret'
    assert_file src/a.c ""
    assert_file src/b.c b
}

# -- calls that go wrong -------------------------------------------------------------------------------

# Every file is whole, old or new; where kiln says that it went wrong, all of them are old; the same again takes the rest.
while_it_goes_wrong() { # KIND N
    local at old new is
    boxes || return 0
    what_goes_wrong || return 0
    a_failure
    mend
    rm -rf "$T/old" "$T/new"
    cp -a "$P" "$T/old"
    old=$(tree)
    wrong "$1" 0 debug test --take
    new=$(tree)
    for at in $(points "$2" "$(counted "$1")"); do
        find "$P" -mindepth 1 -delete
        cp -a "$T/old/." "$P"
        rm -f "$T/rc"
        wrong "$1" "$at" debug test --take
        is=$(tree | grep -v '\.kiln-' || :)
        if [ "$1" != kill ] && [ -s "$T/rc" ]; then assert_eq "$is" "$old" "$1 at $at: the tree"; fi
        [ -s "$T/rc" ] || grep -q 'could not be removed' "$T/out" || assert_eq "$is" "$new" "$1 at $at: the tree, as it says that all is well"
        # Each file is one of both.
        while IFS= read -r line; do
            grep -qxF -- "$line" <<< "$old"$'\n'"$new" || fail "$1 at $at: neither old nor new: $line"
        done <<< "$is"
        # Of one that lives, what it could not remove is said; of one that was killed it goes.
        if [ "$1" != kill ] && [ -n "$(find . -name '.kiln-*')" ]; then
            [ -s "$T/rc" ] || assert_out 'could not be removed'
            find . -name '.kiln-*' -delete
        fi
        kiln 0 debug test --take
        assert_eq "$(tree)" "$new" "$1 at $at: after it was done again"
    done
}

test_killed() { while_it_goes_wrong kill 25; }
test_a_full_disk() { while_it_goes_wrong ENOSPC 12; }
test_reads_that_fail() { while_it_goes_wrong read 8; }

run_tests
