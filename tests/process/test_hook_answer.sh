#!/usr/bin/env bash
# kiln hook run, as far as it answers without running anything: whatever git commits, the steps have the keys that they
# have in a fresh clone of it, and neither index nor working tree is touched.
. "$(dirname "$0")/lib.sh"

PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "steps": {
    "a": {"run": "cat a/* >/dev/null", "inputs": ["a", "*.txt"]},
    "b": {"run": "mkdir -p made; cp b/x made/x", "inputs": ["b/**", "!b/*.md"], "outputs": ["made"]},
    "all": {"run": "true", "needs": ["b"]}}}'

# What a hook must leave alone.
state() {
    find . -path ./.git -prune -o -printf '%p %y %m %s %T@ %l\n' | sort
    sha256sum .git/index
    git --no-optional-locks status --porcelain
}

# hook EXIT: what kiln hook run would answer, which touches nothing.
hook() {
    state >"$T/before"
    kiln "$1" hook run --dry-run
    state >"$T/after"
    cmp "$T/before" "$T/after" || fail "the hook touched something"
}

# Runs everything (of the folder SUB) in a fresh clone of what the index holds, at the same place: where a step of the
# host runs is in its key.
pass_elsewhere() { # [SUB]
    local here=$PWD
    rm -rf "$T/mirror" "$T/kept"
    cp .git/index "$T/index"
    git update-ref refs/heads/elsewhere "$(git commit-tree -m x "$(GIT_INDEX_FILE=$T/index git write-tree)")"
    git clone -q --bare . "$T/mirror"
    mv "$here" "$T/kept"
    (cd "$T" && git clone -q -b elsewhere "$T/mirror" "$here" && cd "$here/${1-}" && kiln 0 run)
    rm -rf "$here"
    mv "$T/kept" "$here"
    cd "$here"
}

a_project() {
    git config --global user.name a
    git config --global user.email a
    git config --global init.defaultBranch main
    project "$PIPELINE"
    git init -q .
    mkdir -p a b
    echo 1 >a/one
    ln -s one a/link
    echo '#!/bin/sh' >a/run
    chmod +x a/run
    echo x >b/x
    echo doc >b/doc.md
    echo t >t.txt
    printf 'made\n*.o\nb/ignored\n' >.gitignore
    echo tracked >b/ignored
    echo o >a/x.o
    git add . && git add -f b/ignored
}

test_what_passed_in_a_clone() {
    a_project
    hook 1
    pass_elsewhere
    hook 0
    assert_out 'all 3 steps cached'
    # What is not committed does not matter, nor does what is gone.
    echo new >a/untracked
    echo 2 >a/one
    rm b/x
    hook 0
    git add a/one
    hook 1
    pass_elsewhere
    hook 0
}

test_filters() {
    a_project
    printf '*.txt eol=crlf\na/one ident\n*.up filter=up\n' >.gitattributes
    git config --global filter.up.smudge 'tr a-z A-Z'
    git config --global filter.up.clean 'tr A-Z a-z'
    printf 'l\nm\n' >t.txt
    echo '$Id$' >a/one
    echo UP >a/x.up
    git add .
    pass_elsewhere
    hook 0
    # Settings of drivers, and the variables that LFS goes by, make other files of the same objects.
    GIT_LFS_SKIP_SMUDGE=1 hook 0
    git config --global filter.up.smudge 'tr a-t A-T'
    hook 1
    pass_elsewhere
    hook 0
    git config --global core.autocrlf true
    hook 1
    pass_elsewhere
    hook 0
}

# Each form of git commit: the hook sees the tree that is committed, and tells it by its exit code.
test_forms_of_commit() {
    a_project
    pass_elsewhere
    printf '#!/bin/sh\n"%s" hook run --dry-run >>"%s/said" 2>&1\n' "$KILN" "$T" >.git/hooks/pre-commit
    chmod +x .git/hooks/pre-commit
    git commit -q -m first
    echo 2 >a/one
    ! git commit -q -a -m second || fail "nobody passed that"
    git add a/one
    pass_elsewhere
    git reset -q
    git commit -q -a -m second
    echo 3 >a/one
    echo 3 >t.txt
    git add t.txt
    ! git commit -q -m third || fail "nobody passed that"
    pass_elsewhere
    git commit -q -m third
    assert_eq "$(git show HEAD:a/one)" 2
    echo y >>b/x
    git add a/one
    # Only b/x is committed; a/one is staged and stays so.
    cp .git/index "$T/staged"
    git reset -q
    git add b/x
    pass_elsewhere
    cp "$T/staged" .git/index
    git commit -q -m fourth b/x
    assert_eq "$(git show HEAD:a/one)" 2
    echo n >a/n
    git add -N a/n
    git reset -q a/one
    git commit -q --amend -m fifth
    git worktree add -q -b linked "$T/linked"
    cd "$T/linked"
    ! git commit -q --allow-empty -m sixth || fail "nobody passed that here"
    kiln 0 run
    git commit -q --allow-empty -m sixth
}

test_the_committed_pipeline_counts() {
    a_project
    pass_elsewhere
    sed -i 's/"true"/"false"/' kiln.json
    hook 0
    git add kiln.json
    hook 1
    printf 'broken' >kiln.json
    hook 1
    git rm -q -f --cached kiln.json
    hook 2
    assert_err 'not part of what is committed'
}

test_steps_of_the_hook() {
    a_project
    sed -i 's/"all": {/"all": {"cache": false, /' kiln.json
    git add kiln.json
    pass_elsewhere
    hook 1
    assert_err '^hook: all: '
    sed -i 's/"a": {/"a": {"hook": true, /' kiln.json
    git add kiln.json
    pass_elsewhere
    hook 0
    assert_out 'hook: 1 step cached'
}

test_conflicts() {
    a_project
    git commit -q -m x
    git checkout -q -b other
    echo o >a/one
    git commit -q -a -m o
    git checkout -q main
    echo m >a/one
    git commit -q -a -m m
    ! git merge -q other >/dev/null 2>&1 || fail "no conflict"
    hook 2
    assert_err '"a/one" is not merged yet'
}

test_a_damaged_memo() {
    local memo
    a_project
    pass_elsewhere
    hook 0
    memo=$(echo "$XDG_CACHE_HOME"/kiln/v1/git/*)
    printf junk >"$memo"
    hook 0
    truncate -s 100 "$memo"
    hook 0
    rm "$memo"
    hook 0
    dd if=/dev/urandom of="$memo" bs=64 seek=1 count=10 conv=notrunc 2>/dev/null
    hook 0
}

# Whether the watcher answered; on a busy machine it may be given up too early.
answered() {
    kiln any hook run --dry-run
    [ "$RC" = 0 ] && grep -q 'as the kiln that watches has seen' "$T/out"
}

# A kiln that watches knows what passed; for what it has not seen it says no, and the hook looks itself.
test_a_watcher_knows() {
    a_project
    git commit -q -m first
    watch_start
    state >"$T/before"
    wait_for answered
    state >"$T/after"
    cmp "$T/before" "$T/after"
    echo 2 >a/one
    watch_idle
    # The index still has what passed before: the cache knows that.
    hook 0
    assert_out 'all 3 steps cached'
    git add a/one
    wait_for answered
    # Settings that reach the hook alone make other files of what is committed.
    GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.autocrlf GIT_CONFIG_VALUE_0=true hook 1
    # What stands in the index alone has not passed.
    git update-index --cacheinfo "100644,$(echo 3 | git hash-object -w --stdin),a/one"
    hook 1
    # Another pipeline is committed than the one that is watched.
    git add a/one
    git update-index --cacheinfo "100644,$(sed 's/"true"/"false"/' kiln.json | git hash-object -w --stdin),kiln.json"
    hook 1
    watch_stop
}

test_no_repository() {
    project "$PIPELINE"
    kiln 2 hook run
    assert_err 'lies in no working tree'
}

test_below_the_top() {
    a_project
    mkdir -p sub/dir
    cp -r a b t.txt kiln.json sub
    git add -f sub
    pass_elsewhere sub
    state >"$T/before"
    (cd sub/dir && kiln 0 hook run --dry-run)
    state >"$T/after"
    cmp "$T/before" "$T/after"
}

run_tests
