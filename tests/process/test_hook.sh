#!/usr/bin/env bash
# The hook as people meet it: installed, it runs on the tree that is being committed, whatever form git commit has, and
# leaves index and working tree as they are.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/hook.sh"

# -- installing --------------------------------------------------------------------------------------

test_install_and_uninstall() {
    a_project
    kiln 1 hook status
    assert_out '^pre-commit: there is none'
    assert_out 'a commit now: 3 of 3 steps would run'
    kiln 0 hook install
    [ -x .git/hooks/pre-commit ]
    kiln 0 hook status
    assert_out "^pre-commit: kiln, as $KILN"
    assert_out '^pre-push: there is none'
    kiln 0 hook install
    commit 0
    kiln 0 hook status
    assert_out 'a commit now: all 3 steps are cached'
    kiln 0 hook install pre-push commit-msg
    kiln 0 hook uninstall pre-push
    assert_no_file .git/hooks/pre-push
    kiln 0 hook uninstall
    assert_no_file .git/hooks/pre-commit
    assert_no_file .git/hooks/commit-msg
    kiln 1 hook status
    kiln 2 hook install post-commit
    assert_err 'there is no hook "post-commit"'
}

test_another_hook_is_kept() {
    a_project
    printf '#!/bin/sh\necho "other: $1" >>%s/said\nexit $(cat %s/code)\n' "$T" "$T" >.git/hooks/pre-commit
    chmod 750 .git/hooks/pre-commit
    touch -d 2001-01-01 .git/hooks/pre-commit
    stat -c '%a %Y %s' .git/hooks/pre-commit >"$T/was"
    sha256sum <.git/hooks/pre-commit >>"$T/was"
    kiln 0 hook install
    assert_out 'after pre-commit.before-kiln'
    kiln 0 hook install
    kiln 0 hook status
    assert_out '^pre-commit: kiln, as .*, after pre-commit.before-kiln'
    echo 0 >"$T/code"
    commit 0
    assert_file "$T/said" 'other: '
    echo 3 >"$T/code"
    commit 1 --allow-empty
    kiln 0 hook uninstall
    stat -c '%a %Y %s' .git/hooks/pre-commit >"$T/is"
    sha256sum <.git/hooks/pre-commit >>"$T/is"
    cmp "$T/was" "$T/is"
    assert_no_file .git/hooks/pre-commit.before-kiln
    # Not to be executed: git did not run it, nor is it now.
    chmod 644 .git/hooks/pre-commit
    kiln 0 hook install
    commit 0 --allow-empty
    # One that somebody wrote into is nobody's to throw away.
    echo 'echo mine' >>.git/hooks/pre-commit
    kiln 2 hook uninstall
    assert_err 'was changed after kiln wrote it'
    kiln 2 hook install
    grep -q 'echo mine' .git/hooks/pre-commit
}

test_where_git_looks() {
    a_project
    git config core.hooksPath tools/hooks
    kiln 0 hook install
    assert_out '^hooks: .*/tools/hooks, as core.hooksPath in '
    [ -x tools/hooks/pre-commit ]
    rm -r tools
    git config --unset core.hooksPath
    git config --global core.hooksPath '~/hooks'
    kiln 0 hook install
    assert_out "^hooks: $HOME/hooks is set in $HOME/.gitconfig, for other repositories too"
    commit 0
    grep -q '3 passed' "$T/out" || fail "the hook was not run"
    # A repository without kiln.json is left alone.
    git init -q "$T/other"
    (cd "$T/other" && git commit -q --allow-empty -m x)
    git config --global --unset core.hooksPath
    git worktree add -q -b linked "$T/linked"
    (cd "$T/linked" && kiln 0 hook install)
    assert_out '/.git/hooks, which all working trees of the repository share'
    [ -x .git/hooks/pre-commit ]
}

# Clients with windows start git with next to nothing in the environment.
test_kiln_is_found() {
    local code=0
    a_project
    mkdir "$T/bin"
    cp "$KILN" "$T/bin/kiln"
    KILN=$T/bin/kiln kiln 0 hook install
    env -i HOME="$HOME" PATH="$(git --exec-path)" "$(command -v git)" commit -q -m first >"$T/out" 2>&1 || fail "no PATH"
    assert_out '3 passed'
    mv "$T/bin/kiln" "$T/bin/moved"
    env -i HOME="$HOME" PATH=/usr/bin:/bin git commit -q --allow-empty -m second >"$T/out" 2>&1 || code=$?
    assert_eq "$code" 1
    assert_out "kiln is no longer at $T/bin/kiln"
    assert_out 'git commit --no-verify'
    mkdir -p "$HOME/.local/bin"
    mv "$T/bin/moved" "$HOME/.local/bin/kiln"
    env -i HOME="$HOME" PATH=/usr/bin:/bin git commit -q --allow-empty -m third >"$T/out" 2>&1 || fail "not found in ~/.local/bin"
}

# -- running -----------------------------------------------------------------------------------------

test_the_run() {
    a_project
    hook 0
    assert_out 'build: passed'
    assert_no_file made
    hook 0
    assert_out 'all 3 steps cached'
    # What stands in the working tree alone does not matter.
    echo BAD >src/a
    echo UGLY >t.txt
    hook 0
    assert_out 'all 3 steps cached'
    git add src/a
    hook 1
    assert_out '^test: FAILED'
    assert_out 'BAD'
    assert_out '^to run it again: kiln hook run$'
    assert_err '^hook: what test wrote: kiln logs --run 2 test'
    assert_err 'git commit --no-verify'
    kiln 0 logs --run 2 test
    assert_out 'BAD'
    kiln 0 runs --json
    assert_eq "$(jq -r '.[0].trigger' "$T/out")" hook
    # Incremental: what passed before is not run again.
    git checkout -q -- . 2>/dev/null || :
    git reset -q src/a
    echo more >>src/deep/b
    git add src/deep/b
    hook 0
}

# Steps of the host without outputs passed, wherever that was.
test_a_pass_is_a_pass() {
    a_project
    hook 0
    kiln 0 run --json
    assert_eq "$(ran)" "build test" # outputs may name the folder that they were made in; lint has none
    assert_file made/where "$P"
    echo more >>t.txt
    git add t.txt
    kiln 0 run
    hook 0
    assert_out 'all 3 steps cached'
    # Outputs that were made in the project's folder are not those of the checkout.
    echo three >src/c
    git add src/c
    kiln 0 run
    hook 0
    assert_out 'all 3 steps cached'
    echo four >src/c
    kiln 0 run
    git add src/c
    echo UGLY >>t.txt
    git add t.txt
    hook 1
    sed -i '/UGLY/d' t.txt
    git add t.txt
    hook 0
}

test_the_environment_of_git() {
    a_project '{"version": 1, "defaults": {"runner": "host", "pass_env": ["PATH", "GIT_DIR", "GIT_INDEX_FILE"]}, "steps": {
        "env": {"run": "env | sort | grep -v ^PWD; git ls-files; git rev-parse --git-dir --show-toplevel; git add -A; git commit -qm spoiled || :",
                "inputs": ["src"]},
        "quiet": {"run": "true", "inputs": ["*.txt"]}}}'
    kiln 0 run quiet
    kiln 0 hook install
    git commit -q -m first >"$T/out" 2>&1 || fail "git commit"
    assert_out '^quiet: cached|1 cached'
    echo new >src/new
    git add src/new
    commit 0
    kiln 0 logs env
    if grep '^GIT_\|git-core' "$T/out"; then fail "git's environment reached a step"; fi
    assert_out '^src/ignored$'
    assert_eq "$(git log --format=%s | sort | uniq -c | xargs)" "1 first 1 message"
}

# Steps that change committed files have tested something else.
test_steps_that_change_files() {
    a_project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "format": {"run": "echo formatted > src/a", "inputs": ["*.txt"]}}}'
    # However often it is asked, and though the step itself has passed.
    hook 1
    assert_err '^hook: steps changed files that are committed: src/a'
    hook 1
    assert_err '^hook: steps changed files that are committed: src/a'
    # Also where it adds them to the index of the checkout; new files are its own affair.
    sed -i 's/formatted > src.a/& \&\& echo > src\/new \&\& git add -A/' kiln.json
    git add kiln.json
    hook 1
    assert_err '^hook: steps changed files that are committed: src/a$'
    hook 1
    # Or tells git not to look.
    echo '{"version": 1, "defaults": {"runner": "host"}, "steps": {"format": {"run": "echo formatted > src/a; git update-index --assume-unchanged src/a", "inputs": ["*.txt"]}}}' >kiln.json
    git add kiln.json
    hook 1
    assert_err '^hook: steps changed files that are committed: src/a$'
    # It is mended then; and stamps alone are no change.
    echo '{"version": 1, "defaults": {"runner": "host"}, "steps": {"look": {"run": "cat src/a; touch src/a", "inputs": ["*.txt"]}}}' >kiln.json
    git add kiln.json
    hook 0
    assert_no_out formatted
    git rm -q --cached src/a
    rm src/a
    git add kiln.json
    hook 0
}

# Files that are the same in both trees are written anew where their attributes are not.
test_attributes_that_change() {
    a_project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"look": {"run": "! grep -q $(printf \\\\r) t.txt", "inputs": ["t.txt"]}}}'
    hook 0
    local time
    for time in 1 2; do
        echo '*.txt eol=crlf' >.gitattributes
        git add .gitattributes
        hook 1
        git rm -qf .gitattributes
        hook 0
        assert_out 'hook: 1 step cached'
    done
}

# changed_by SET UNSET: the first makes git write carriage returns, the second takes that back.
changed_by() {
    echo "$1" >n.txt
    git add n.txt
    hook 0
    assert_out 'look: passed'
    eval "$1"
    hook 1
    assert_out 'look: FAILED'
    eval "$2"
    hook 0
    assert_out 'hook: 1 step cached'
    echo again >>n.txt
    git add n.txt
    hook 0
    assert_out 'look: passed'
}

# Nor do they stay where something outside of the tree changes what git writes.
test_settings_that_change() {
    a_project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"look": {"run": "! grep -q $(printf \\\\r) t.txt", "inputs": ["*.txt"]}}}'
    changed_by 'git config core.autocrlf true' 'git config --unset core.autocrlf'
    changed_by 'echo "*.txt eol=crlf" >.git/info/attributes' 'rm .git/info/attributes'
    echo '*.txt eol=crlf' >"$T/attributes"
    changed_by 'git config --global core.attributesFile "$T/attributes"' 'git config --global --unset core.attributesFile'
    changed_by 'export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.autocrlf GIT_CONFIG_VALUE_0=true' 'unset GIT_CONFIG_COUNT'
    echo '*.txt filter=cr' >.git/info/attributes
    git config filter.cr.clean 'tr -d "\r"'
    changed_by 'git config filter.cr.smudge "sed s/$/\\\\r/"' 'git config --unset filter.cr.smudge'
}

# Whatever a step tells the checkout's index, the next hook has what is committed.
test_steps_that_hide_changes() {
    local hide more
    git init -q "$T/sub"
    git -C "$T/sub" -c user.name=a -c user.email=a commit -q --allow-empty -m first
    for hide in --skip-worktree --assume-unchanged; do
        for more in true "git -c protocol.file.allow=always submodule --quiet add $T/sub sub"; do
            cd /
            rm -rf "$P"
            mkdir "$P"
            cd "$P"
            a_project "$(jq -nc --arg hide "$hide" '{version: 1, defaults: {runner: "host"}, steps: {
                hide: {run: ("git update-index " + $hide + " src/a; echo changed >src/a"), inputs: ["*.txt"]}}}')"
            $more >"$T/out" 2>&1 || fail "$more"
            hook 1
            assert_err '^hook: steps changed files that are committed: src/a'
            jq '.steps = {"test": {"run": "! grep changed src/a"}}' kiln.json >"$T/k"
            cp "$T/k" kiln.json
            git add kiln.json
            hook 0
        done
    done
}

is_over() { [ "$(date +%s)" -gt "$1" ]; }

# Nor does a step pass on changes that git was told not to look at, or is anything of them there for the next.
test_settings_that_hide_changes() {
    local setting change checkout
    a_project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "change": {"run": "sh t.txt", "inputs": ["*.txt"]},
        "test": {"run": "grep two src/a || test -x src/a", "inputs": ["src"], "needs": ["change"]}}}'
    for setting in core.trustctime=false core.checkStat=minimal core.fileMode=false; do
        git config "${setting%=*}" "${setting#*=}"
        change="touch -r src/a '$T/time'; echo two >src/a; touch -r '$T/time' src/a"
        [ "${setting%=*}" != core.fileMode ] || change='chmod +x src/a'
        echo "true $setting" >t.txt
        git add t.txt
        hook 1
        assert_out 'test: FAILED'
        # Of files that were written in the second of its index git believes no stamps at all.
        checkout=$(echo "$XDG_CACHE_HOME"/kiln/v1/hook/*/project)
        wait_for is_over "$(stat -c %Z "$checkout/src/a")"
        echo "$change # $setting" >t.txt
        git add t.txt
        hook 1
        assert_err '^hook: steps changed files that are committed: src/a$'
        echo "true again $setting" >t.txt
        git add t.txt
        hook 1
        assert_out 'test: FAILED'
        git config --unset "${setting%=*}"
    done
}

test_isolated_steps() {
    a_project "${PIPELINE/host/sandbox}"
    boxes || return 0
    hook 0
    assert_out 'build: passed'
    kiln 0 run --json
    assert_eq "$(ran)" "" # they do not know where they are
    echo BAD >src/a
    git add src/a
    hook 1
    assert_out 'to look into it: kiln shell --failed test'
    kiln 0 shell --failed test --command 'grep BAD made/all'
}

test_a_generated_pipeline() {
    a_project '{"version": 1, "generate": {"run": "cat pipeline.json", "inputs": ["pipeline.json"]}}'
    echo "$PIPELINE" >pipeline.json
    git add pipeline.json
    hook 0
    echo UGLY >>t.txt
    hook 0
    git add t.txt
    hook 1
    # Only what it says.
    sed -i 's/"build": {/"build": {"hook": true, /' pipeline.json
    git add pipeline.json
    hook 0
}

test_below_the_top() {
    a_project
    mkdir "sub dir"
    mv src t.txt kiln.json "sub dir"
    git add -A
    git add -f "sub dir/src/ignored"
    (cd "sub dir" && kiln 0 hook install)
    commit 0
    grep -q '3 passed' "$T/out" || fail "the hook was not run"
    git --git-dir=.git --work-tree=. commit -q --allow-empty -m named >"$T/out" 2>&1 || fail "with --git-dir"
    assert_out 'all 3 steps cached'
    (cd "sub dir/src" && git commit -q --allow-empty -m within) >"$T/out" 2>&1 || fail "from within"
    assert_out 'all 3 steps cached'
    echo UGLY >>"sub dir/t.txt"
    commit 1 -a
}

# A repository within another one, whose git directory lies elsewhere.
test_a_submodule() {
    a_project
    git commit -q -m first
    git init -q "$T/outer"
    cd "$T/outer"
    git -c protocol.file.allow=always submodule --quiet add "$P" inner
    cd inner
    kiln 0 hook install
    assert_out '/outer/.git/modules/inner/hooks'
    git commit -q --allow-empty -m second >"$T/out" 2>&1 || fail "git commit"
    assert_out '3 passed'
    echo BAD >src/a
    ! git commit -q -a -m third >"$T/out" 2>&1 || fail "what fails was committed"
    assert_out 'BAD'
}

# -- each form of git commit -------------------------------------------------------------------------

in_head() { # FILE TEXT
    assert_eq "$(git show "HEAD:$1")" "$2" "$1 in HEAD"
}

forms() {
    a_project "$1"
    kiln 0 hook install
    commit 0
    # plain, with another change in the working tree
    echo 2 >src/a
    git add src/a
    echo BAD >src/a
    commit 0
    in_head src/a 2
    # -a
    commit 1 -a
    echo 3 >src/a
    commit 0 -a
    in_head src/a 3
    # commit path: other things that are staged stay so, good or bad
    echo BAD >src/deep/b
    git add src/deep/b
    echo 4 >src/a
    commit 0 src/a
    in_head src/a 4
    in_head src/deep/b two
    assert_eq "$(git diff --cached --name-only)" src/deep/b
    commit 1
    # -i: with what is staged
    echo 5 >src/a
    commit 1 -i src/a
    echo good >src/deep/b
    git add src/deep/b
    commit 0 -i src/a
    in_head src/a 5
    in_head src/deep/b good
    # only a part of a file
    printf '5\n6\n' >src/a
    git add src/a
    printf '5\n6\nBAD\n' >src/a
    commit 0
    in_head src/a $'5\n6'
    git checkout -q src/a
    # --amend
    echo BAD >src/deep/b
    commit 1 -a --amend
    echo amended >src/deep/b
    commit 0 -a --amend
    in_head src/deep/b amended
    # intent to add
    echo BAD >src/n
    git add -N src/n
    commit 1 -a
    commit 0 --allow-empty
    git rm -q --cached src/n
    rm src/n
    # removed, renamed, made executable
    git mv src/a src/moved
    chmod +x src/moved
    commit 0 -a
    # a merge
    git checkout -q -b other
    echo BA >src/o
    git add src/o
    commit 0
    git checkout -q main
    echo m >src/m
    git add src/m
    commit 0
    git merge -q --no-commit --no-ff other >"$T/out" 2>&1 || fail "git merge"
    commit 0
    assert_eq "$(git log -1 --format=%P | wc -w)" 2
    # a linked working tree, and the first again
    git worktree add -q -b linked "$T/linked"
    cd "$T/linked"
    echo BAD >src/moved
    ! git commit -q -a -m bad >"$T/out" 2>&1 || fail "in a linked working tree"
    echo linked >src/moved
    git commit -q -a -m good >"$T/out" 2>&1 || fail "in a linked working tree"
    assert_eq "$(git show HEAD:src/moved)" linked
    cd "$P"
    # a patch, chosen piece by piece
    printf '1\n2\n3\n4\n5\n6\n7\n8\n9\n' >src/moved
    commit 0 -a
    printf '0\n1\n2\n3\n4\n5\n6\n7\n8\n9\nBAD\n' >src/moved
    printf 'y\nn\n' | git commit -q -p -m pieces >"$T/out" 2>&1 || fail "git commit -p"
    in_head src/moved $'0\n1\n2\n3\n4\n5\n6\n7\n8\n9'
    grep -q BAD src/moved
    # without the hook
    commit 0 -a --no-verify
    in_head src/moved "$(cat src/moved)"
}

test_forms_of_commit() { forms "$PIPELINE"; }

test_a_locked_index() {
    a_project
    kiln 0 hook install
    : >.git/index.lock
    state >"$T/before"
    ! git commit -q -m x 2>/dev/null || fail "the index is locked"
    kiln 0 hook run # it needs no lock
    state >"$T/after"
    cmp "$T/before" "$T/after"
}

test_push() {
    a_project
    git init -q --bare "$T/remote"
    git remote add origin "$T/remote"
    commit 0
    printf '#!/bin/sh\ncat >%s/pushed\n' "$T" >.git/hooks/pre-push
    chmod +x .git/hooks/pre-push
    kiln 0 hook install pre-push
    git push -q origin main >"$T/out" 2>&1 || fail "git push"
    assert_out '3 passed'
    grep -q '^refs/heads/main ' "$T/pushed"
    echo BAD >src/a
    commit 0 -a
    ! git push -q origin main >"$T/out" 2>&1 || fail "what fails was pushed"
    assert_out 'git push --no-verify'
    assert_out '^to run it again: git push$'
    git push -q --no-verify origin main
    git push -q origin HEAD~1:refs/heads/y >"$T/out" 2>&1 || fail "git push"
    assert_out 'all 3 steps cached'
    git push -q origin :refs/heads/y >"$T/out" 2>&1 || fail "git push"
    [ ! -s "$T/out" ]
}

test_what_kiln_json_says() {
    a_project '{"version": 1, "defaults": {"runner": "host"}, "hook": {"stages": ["pre-push", "commit-msg"], "budget": "10ms"}, "steps": {
        "use": {"run": "test -e go || until [ -e '"$T/go"' ]; do sleep 0.05; done", "inputs": ["src", "*.txt"]},
        "all": {"run": "ls"}}}'
    kiln 0 hook install
    assert_no_file .git/hooks/pre-commit
    [ -x .git/hooks/pre-push ] && [ -x .git/hooks/commit-msg ]
    : > "$T/said"
    "$KILN" hook run >"$T/said" 2>&1 </dev/null &
    wait_for grep 'the hook takes longer than the 0.01s that it may; still at work: .*use' "$T/said"
    touch "$T/go"
    wait $! || fail "kiln hook run"
    git commit -q -m first >"$T/out" 2>&1 || fail "commit-msg"
    assert_out 'all 2 steps cached'
}

test_interrupted() {
    a_project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"wait": {"run": "echo $$ > '"$T/pid"'; exec sleep 1000"}}}'
    local pid second step
    state >"$T/before"
    "$KILN" hook run >"$T/out" 2>"$T/err" </dev/null &
    pid=$!
    wait_for test -s "$T/pid"
    # Another one waits for its turn.
    : > "$T/err2"
    "$KILN" hook run >"$T/out2" 2>"$T/err2" </dev/null &
    second=$!
    wait_for grep 'another hook tests this working tree' "$T/err2"
    step=$(cat "$T/pid")
    rm "$T/pid"
    kill -INT "$pid"
    RC=0
    wait "$pid" || RC=$?
    assert_eq "$RC" 130
    wait_for gone "$step"
    wait_for test -s "$T/pid"
    # Killed outright, it leaves nothing behind, and nothing locked.
    kill -KILL "$second"
    wait "$second" 2>/dev/null || :
    wait_for gone "$(cat "$T/pid")"
    state >"$T/after"
    cmp "$T/before" "$T/after"
    sed -i 's/exec sleep 1000/true/' kiln.json
    git add kiln.json
    hook 0
}

run_tests
