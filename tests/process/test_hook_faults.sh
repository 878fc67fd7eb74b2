#!/usr/bin/env bash
# The hook when it is killed, or when calls go wrong: index and working tree are as they were, what fails does not pass,
# and the next hook is right.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wrong.sh"
. "$(dirname "$0")/hook.sh"

# killed: a hook that is ended outright while its second step runs, and has nothing left of it.
killed() {
    rm -f "$T/pid"
    "$KILN" hook run >"$T/out" 2>"$T/err" </dev/null &
    wait_for test -s "$T/pid"
    kill -KILL $!
    wait $! 2>/dev/null || :
    wait_for gone "$(cat "$T/pid")"
    [ -s "$(passed)" ] || fail "nothing was noted"
}

passed() { echo "$XDG_CACHE_HOME"/kiln/v1/hook/*/passed; }

# What passed in a hook that was killed counts if no step had changed a file that is committed.
test_killed_after_a_pass() {
    a_project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "first": {"run": "cat src/a", "inputs": ["src"]},
        "second": {"run": "sh t.txt", "inputs": ["*.txt"], "needs": ["first"]}}}'
    local stay="echo \$\$ > '$T/pid'; exec sleep 1000"
    echo "$stay" >t.txt
    git add t.txt
    killed
    # Whatever is committed next.
    echo true >t.txt
    git add t.txt
    hook 0
    assert_out 'first: cached'
    assert_out 'second: passed'
    assert_no_file "$(passed)"
    # Who knows what the first had seen?
    echo "echo other > src/a; $stay" >t.txt
    echo two >src/a
    git add src/a t.txt
    killed
    echo true >t.txt
    git add t.txt
    hook 0
    assert_out 'first: passed'
    # Nor does it count after the machine went down, or cut short, or damaged.
    local harm n=0
    for harm in 'sed -i "1s/.*/another/"' 'truncate -s -1' 'truncate -s 50' 'sed -i s/first/worst/' 'truncate -s 0'; do
        echo "$stay" >t.txt
        echo $((n += 1)) >src/a
        git add src/a t.txt
        killed
        eval "$harm" '"$(passed)"'
        echo true >t.txt
        git add t.txt
        hook 0
        assert_out 'first: passed'
        assert_no_file "$(passed)"
    done
}

# Whatever goes wrong: index and working tree are as they were, no failure passes, and the next hook is right.
wrong_in_a_run() { # KIND N
    local at checkout
    a_project
    what_goes_wrong || return 0
    git commit -q -m first
    hook 0
    cp -a .git/index "$T/good"
    git update-index --add --cacheinfo "100644,$(echo BAD | git hash-object -w --stdin),src/new"
    cp -a .git/index "$T/bad"
    cp -a "$XDG_CACHE_HOME" "$T/cache"
    wrong "$1" 0 hook run
    for at in $(points "$2" "$(counted "$1")"); do
        rm -rf "$XDG_CACHE_HOME" "$T/rc"
        cp -a "$T/cache" "$XDG_CACHE_HOME"
        cp -a "$T/bad" .git/index
        state >"$T/before"
        wrong "$1" "$at" hook run
        [ -s "$T/rc" ] || fail "$1 at $at: what fails has passed"
        state | cmp - "$T/before" || fail "$1 at $at: something is touched"
        assert_no_file .git/index.lock
        kiln 1 hook run
        assert_out '^test: FAILED'
        checkout=$(echo "$XDG_CACHE_HOME"/kiln/v1/hook/*/project)
        git -C "$checkout" diff --quiet || fail "$1 at $at: the checkout is another tree"
        grep -q BAD "$checkout/src/new"
        cp -a "$T/good" .git/index
        hook 0
    done
}

test_killed_in_a_run() { wrong_in_a_run kill 10; }
test_a_full_disk_in_a_run() { wrong_in_a_run ENOSPC 6; }
test_reads_that_fail_in_a_run() { wrong_in_a_run read 6; }

# Whoever takes up what a killed hook had noted, and is killed at that: what passed on changed files never counts.
wrong_in_a_recovery() { # KIND N
    local at
    a_project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "change": {"run": "sh t.txt", "inputs": ["t.txt"]},
        "first": {"run": "grep other src/a", "inputs": ["*.txt", "!t.txt"], "needs": ["change"]},
        "second": {"run": "sh n", "inputs": ["n"], "needs": ["first"]}}}'
    what_goes_wrong || return 0
    echo true | tee t.txt >n
    git add t.txt n
    hook 1
    assert_out '^first: FAILED'
    cp .git/index "$T/clean"
    echo 'echo other > src/a' >t.txt
    echo "echo \$\$ > '$T/pid'; exec sleep 1000" >n
    git add t.txt n
    killed
    cp "$T/clean" .git/index
    cp -a "$XDG_CACHE_HOME" "$T/cache"
    wrong "$1" 0 hook run
    [ -s "$T/rc" ] || fail "what fails has passed"
    for at in $(points "$2" "$(counted "$1")"); do
        rm -rf "$XDG_CACHE_HOME" "$T/rc"
        cp -a "$T/cache" "$XDG_CACHE_HOME"
        wrong "$1" "$at" hook run
        [ -s "$T/rc" ] || fail "$1 at $at: what fails has passed"
        hook 1
        assert_out '^first: FAILED'
        assert_no_file "$(passed)"
    done
}

test_killed_in_a_recovery() { wrong_in_a_recovery kill 8; }
test_a_full_disk_in_a_recovery() { wrong_in_a_recovery ENOSPC 4; }

# git finds one whole hook at every moment: what was there, or kiln's.
test_killed_while_installing() {
    local at ours other
    a_project
    what_goes_wrong || return 0
    printf '#!/bin/sh\nexit 0\n' >.git/hooks/pre-commit
    chmod +x .git/hooks/pre-commit
    other=$(sha256sum <.git/hooks/pre-commit)
    kiln 0 hook install
    ours=$(sha256sum <.git/hooks/pre-commit)
    kiln 0 hook uninstall
    wrong kill 0 hook install
    kiln 0 hook uninstall
    for at in $(points 12 "$(counted kill)"); do
        wrong kill "$at" hook install
        case $(sha256sum <.git/hooks/pre-commit) in "$ours" | "$other") ;; *) fail "killed at $at: neither hook is there" ;; esac
        kiln 0 hook install
        assert_eq "$(sha256sum <.git/hooks/pre-commit)" "$ours"
        assert_eq "$(sha256sum <.git/hooks/pre-commit.before-kiln)" "$other"
        wrong kill "$at" hook uninstall
        kiln 0 hook uninstall
        assert_eq "$(sha256sum <.git/hooks/pre-commit)" "$other"
        assert_no_file .git/hooks/pre-commit.before-kiln
    done
}

run_tests
