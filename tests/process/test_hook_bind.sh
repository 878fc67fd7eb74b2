#!/usr/bin/env bash
# What is not committed and steps of the hook get all the same: bound directories, and the message of the commit.
. "$(dirname "$0")/lib.sh"

# a_project STEPS: that binds node_modules, which git ignores.
a_project() {
    git config --global user.name a
    git config --global user.email a
    git config --global init.defaultBranch main
    project '{"version": 1, "defaults": {"runner": "host"}, "hook": {"bind": ["node_modules", "none", "src", "vendor/kept"]}, "steps": {'"$1"'}}'
    git init -q .
    mkdir -p src node_modules/m/bin node_modules/.bin
    echo one >src/a
    echo module >node_modules/m/index
    echo '#!/bin/sh' >node_modules/m/bin/run
    chmod 755 node_modules/m/bin/run
    ln -s ../m/bin/run node_modules/.bin/run
    ln -s ../src node_modules/self
    echo node_modules >.gitignore
    git add .
    mkdir -p .git/hooks
}

# What nobody may touch: the times of change tell, also where something was written back.
state() {
    find . -path ./.git -prune -o -printf '%p %y %m %s %T@ %C@ %i %l\n' | sort
    sha256sum .git/index
}

hook() { # EXIT ARGUMENT...
    local want=$1
    shift
    state >"$T/before"
    kiln "$want" hook run "$@"
    state >"$T/after"
    cmp "$T/before" "$T/after" || fail "the hook touched something"
}

checkout() {
    echo "$XDG_CACHE_HOME"/kiln/v1/hook/*/project
}

# -- bound directories -------------------------------------------------------------------------------

# Steps have all of it, and write to a copy; what others wrote there is gone the next time.
test_a_copy() {
    local there
    a_project '"use": {"run": "cat node_modules/m/index src/a node_modules/self/a; node_modules/.bin/run; test ! -L node_modules; test ! -e none; ls node_modules/m >&2; rm node_modules/m/index; echo spoiled >node_modules/m/bin/run; mkdir node_modules/.cache; cat node_modules/now 2>/dev/null || :", "cache": false}'
    hook 0
    kiln 0 logs use
    assert_out '^module'
    assert_file node_modules/m/index module
    there=$(checkout)
    assert_file "$there/node_modules/m/bin/run" spoiled
    hook 0
    # Files that came, went, became another kind; with the times they had.
    touch -r node_modules/m/index "$T/stamp"
    echo MODULE >node_modules/m/index
    touch -r "$T/stamp" node_modules/m/index
    rm node_modules/.bin/run
    mkdir node_modules/.bin/run
    echo now >node_modules/now
    chmod 500 node_modules/m/bin
    mkfifo node_modules/fifo
    sed -i 's/node_modules\/.bin\/run; //; s/rm node.*.cache; //' kiln.json
    git add kiln.json
    hook 0
    kiln 0 logs use
    assert_out '^MODULE'
    assert_out '^now'
    assert_no_file "$there/node_modules/fifo"
    [ -d "$there/node_modules/.bin/run" ] || fail "it is no directory"
    [ ! -e "$there/node_modules/.cache" ] || fail "what a step made is still there"
    # No longer bound, no longer there.
    sed -i 's/"node_modules", //; s/cat node_modules[^"]*/ls/' kiln.json
    git add kiln.json
    hook 0
    [ ! -e "$there/node_modules" ] || fail "it is still there"
}

# The links in it lead to what is committed, not to the working tree.
test_links_lead_to_what_is_tested() {
    a_project '"use": {"run": "! grep BAD node_modules/self/a", "inputs": ["src"]}'
    echo BAD >src/a
    hook 0
    git add src/a
    echo good >src/a
    hook 1
}

# What is committed at that place is what is tested.
test_what_is_committed_counts() {
    a_project '"use": {"run": "cat src/a; ls src", "inputs": ["src"]}'
    echo extra >src/untracked
    hook 0
    kiln 0 logs use
    if grep untracked "$T/out"; then fail "the working tree's was tested"; fi
    git rm -q --cached -r src
    hook 0
    kiln 0 logs use
    assert_out untracked
    git add src
    hook 0
    kiln 0 logs use
    assert_out untracked
}

# Named in "inputs" it is in the key, as in the working tree: the same bytes are the same key, and others are not.
test_as_an_input() { # [RUNNER]
    a_project '"use": {"run": "cat node_modules/m/index src/a; if grep BAD node_modules/m/index; then exit 1; fi; '"${1+echo x >node_modules/m/index}"'", "inputs": ["src", "node_modules"]}'
    [ $# = 0 ] || sed -i "s/\"host\"/\"$1\"/" kiln.json
    git add kiln.json
    hook 1 --dry-run
    assert_err '^hook: use: .*node_modules'
    hook 0
    assert_out '^use: passed'
    hook 0
    assert_out '1 cached'
    if [ $# != 0 ]; then
        kiln 0 run --json
        assert_eq "$(ran)" "" # it passed in the hook
    fi
    echo BAD >node_modules/m/index
    hook 1
    assert_out '^use: FAILED'
    echo good >node_modules/m/index
    if [ $# != 0 ]; then
        kiln 0 run
        hook 0
        assert_out '1 cached'
    fi
    hook 0
}

test_as_an_input_of_isolated_steps() {
    project '{"version": 1, "steps": {"a": {"run": "true"}}}'
    boxes || return 0
    cd "$T"
    rm -rf "$P"
    mkdir "$P"
    test_as_an_input sandbox
}

copying() {
    ls "$XDG_CACHE_HOME"/kiln/v1/hook/*/bound.begin >/dev/null 2>&1
}

# A run of the hook that is killed while it copies is mended by the next.
test_killed_while_copying() {
    local i there
    a_project '"use": {"run": "find node_modules -type f | sort | xargs cat | sha256sum", "cache": false}'
    for i in $(seq 200); do echo "$i" >"node_modules/m/$i"; done
    for i in 1 2 3; do
        date +%N >"node_modules/m/$i"
        "$KILN" hook run >"$T/said" 2>&1 </dev/null &
        wait_for copying
        kill -KILL $! 2>/dev/null || : # it may have been quicker
        wait $! 2>/dev/null || :
        hook 0
        there=$(checkout)
        diff -r node_modules "$there/node_modules" || fail "the copy is another"
        rm "$XDG_CACHE_HOME"/kiln/v1/hook/*/bound.begin
    done
}

# -- the message -------------------------------------------------------------------------------------

MESSAGE='"message": {"run": "[ -z \"${KILN_COMMIT_MSG+x}\" ] || { echo \"[$KILN_COMMIT_MSG]\"; printf %s \"$KILN_COMMIT_MSG\" | head -1 | grep -q \"^[A-Z]\"; }",
    "inputs": [], "pass_env": ["KILN_COMMIT_MSG"]}, "lint": {"run": "true", "inputs": ["src"]}'

test_a_message() {
    a_project "$MESSAGE"
    kiln 0 hook install pre-commit commit-msg
    ! git commit -q -m 'not so' >"$T/out" 2>&1 || fail "that message was taken"
    assert_out '^message: FAILED'
    assert_out 'not so'
    assert_out '^to run it again: git commit$'
    git commit -q -m 'This is fine' >"$T/out" 2>&1 || fail "that message was not taken"
    # The same message is the same input, and without one there is none.
    git commit -q --amend -m 'This is fine' >"$T/out" 2>&1 || fail "that message was not taken"
    assert_eq "$(grep -c 'all 2 steps cached' "$T/out")" 2
    KILN_COMMIT_MSG=bad kiln 0 hook run
    assert_out 'all 2 steps cached'
    # What stands below the scissors is not git's.
    printf '#!/bin/sh\nsed -i "1s/^/Edited/" "$1"\n' >"$T/editor"
    chmod +x "$T/editor"
    GIT_EDITOR=$T/editor git commit -q -v --allow-empty >"$T/out" 2>&1 || fail "with an editor"
    kiln 0 logs message
    assert_out '\[Edited'
    if grep '>8' "$T/out"; then fail "the change is in the message"; fi
    # Where it can't be one.
    kiln 3 hook run commit-msg "$T/none"
    head -c 200000 /dev/zero | tr '\0' x >"$T/long"
    kiln 2 hook run commit-msg "$T/long"
    assert_err 'longer than 100 kB'
    printf 'A\0b' >"$T/zero"
    kiln 2 hook run commit-msg "$T/zero"
    assert_err 'zero byte'
    kiln 2 hook run pre-commit "$T/long"
}

test_a_message_below_the_top() {
    a_project "$MESSAGE"
    mkdir sub
    mv src kiln.json sub
    git add -A
    (cd sub && kiln 0 hook install commit-msg)
    ! git commit -q -m 'not so' >"$T/out" 2>&1 || fail "that message was taken"
    git commit -q -m 'Fine' >"$T/out" 2>&1 || fail "that message was not taken"
    git worktree add -q -b linked "$T/linked"
    cd "$T/linked"
    ! git commit -q --allow-empty -m 'not so' >"$T/out" 2>&1 || fail "that message was taken"
    assert_out '^message: FAILED'
}

# What a kiln that watches knows is without a message.
test_a_message_and_a_watcher() {
    a_project "$MESSAGE"
    watch_start
    printf bad >"$T/message"
    hook 1 commit-msg "$T/message"
    watch_stop
}

run_tests
