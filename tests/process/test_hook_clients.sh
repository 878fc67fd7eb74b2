#!/usr/bin/env bash
# The hook under git clients with windows, other managers of hooks, and in repositories that are not laid out as usual.
. "$(dirname "$0")/lib.sh"

a_project() {
    git config --global user.name a
    git config --global user.email a
    git config --global init.defaultBranch main
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"lint": {"run": "! grep -rn BAD src", "inputs": ["src"]}}}'
    git init -q .
    mkdir -p src
    echo one >src/a
    git add .
    mkdir -p .git/hooks
}

# With next to nothing in the environment the same user has the same cache and the same keys.
test_no_home() {
    local home
    a_project
    home=$(getent passwd "$(id -u)" | cut -d: -f6)
    KILN_CACHE_DIR=$T/cache XDG_STATE_HOME=$T/state HOME=$home kiln 0 hook run
    RC=0
    env -i PATH=/usr/bin:/bin KILN_CACHE_DIR="$T/cache" XDG_STATE_HOME="$T/state" "$KILN" hook run >"$T/out" 2>"$T/err" </dev/null || RC=$?
    assert_eq "$RC" 0
    assert_out 'hook: 1 step cached'
}

test_what_the_environment_says() {
    a_project
    GIT_DIR=/nonsense kiln 2 hook run
    assert_err 'as the environment says: GIT_DIR is "/nonsense"'
    assert_err '^hook: stopped; to go on without it: git commit --no-verify'
    GIT_INDEX_FILE=$PWD/src kiln 3 hook run
    assert_err 'src: Is a directory'
    GIT_CEILING_DIRECTORIES=$PWD GIT_PREFIX=src/ GIT_LITERAL_PATHSPECS=1 GIT_NAMESPACE=x GIT_INDEX_FILE='' kiln 0 hook run
    (cd src && kiln 0 hook run)
    assert_out 'hook: 1 step cached'
}

# A repository whose files lie elsewhere, by its configuration or by what git is told each time.
test_files_elsewhere() {
    local git
    a_project
    mkdir "$T/there"
    mv kiln.json src "$T/there"
    git config core.worktree "$T/there"
    (cd "$T/there" && GIT_DIR=$P/.git kiln 0 hook install)
    git commit -q -m first >"$T/out" 2>&1 || fail "core.worktree"
    assert_out '1 passed'
    echo BAD >>"$T/there/src/a"
    ! git commit -q -a -m second >"$T/out" 2>&1 || fail "what fails was committed"
    git init -q --bare "$T/bare"
    git="git --git-dir=$T/bare --work-tree=$T/there"
    cd "$T/there"
    GIT_DIR=$T/bare GIT_WORK_TREE=$PWD kiln 0 hook install
    $git add .
    cd /
    ! $git commit -q -m first >"$T/out" 2>&1 || fail "what fails was committed"
    assert_out '^lint: FAILED'
    echo one >"$T/there/src/a"
    $git commit -q -a -m first >"$T/out" 2>&1 || fail "with --work-tree"
}

# Lines of git's standard input, as many as there are refs: with another hook that reads them, and without.
test_very_many_refs() {
    local id code=0
    a_project
    git commit -q -m first
    id=$(git rev-parse HEAD)
    yes "refs/heads/b $id refs/heads/b 0000000000000000000000000000000000000000" | head -n 100000 >"$T/refs" || :
    kiln 0 hook install pre-push
    timeout "$DEADLINE" .git/hooks/pre-push origin url <"$T/refs" >"$T/out" 2>&1 || fail "pre-push"
    assert_out '1 passed'
    kiln 0 hook uninstall pre-push
    printf '#!/bin/sh\nwc -l >%s/lines\nexit $(cat %s/code)\n' "$T" "$T" >.git/hooks/pre-push
    chmod +x .git/hooks/pre-push
    echo 0 >"$T/code"
    kiln 0 hook install pre-push
    timeout "$DEADLINE" .git/hooks/pre-push origin url <"$T/refs" >"$T/out" 2>&1 || fail "pre-push"
    assert_file "$T/lines" 100000
    assert_out 'hook: 1 step cached'
    echo 5 >"$T/code"
    .git/hooks/pre-push origin url <"$T/refs" >"$T/out" 2>&1 || code=$?
    assert_eq "$code" 5
    # No program in PATH: the shell reads by itself.
    printf '#!/bin/sh\nread -r line && read -r line && echo "$line" >%s/lines\n' "$T" >.git/hooks/pre-push.before-kiln
    head -n 300 "$T/refs" | PATH=/nonsense /bin/sh .git/hooks/pre-push origin url >"$T/out" 2>&1 || :
    assert_file "$T/lines" "$(head -n 1 "$T/refs")"
}

# What is said to be pushed, and what is not.
test_strange_refs() {
    a_project
    git commit -q -m first
    kiln 0 hook run pre-push
    assert_err 'nothing was tested: standard input names no commit'
    PRE_COMMIT_TO_REF=HEAD kiln 0 hook run pre-push
    assert_out '1 passed'
    for line in 'a --all c d' 'a nothing c d' "a $(printf '\001')x c d"; do
        RC=0
        echo "$line" | "$KILN" hook run pre-push >"$T/out" 2>"$T/err" || RC=$?
        assert_eq "$RC" 2
        assert_err 'said to be a commit that is pushed'
        assert_err 'git push --no-verify'
    done
}

run_tests
