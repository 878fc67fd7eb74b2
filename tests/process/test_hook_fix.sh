#!/usr/bin/env bash
# Fixers in the hook: what they change is committed, whatever form git commit has; index and working tree get it apart
# from each other, or neither is touched.
. "$(dirname "$0")/lib.sh"

# The fixer makes every "bad" a "good"; the test wants to see none.
PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "steps": {
    "format": {"run": "sed -i s/bad/good/ $(grep -rl bad src) /dev/null 2>/dev/null || :", "inputs": ["src"], "fix": true},
    "test": {"run": "! grep -rn \"bad\\|WRONG\" src", "inputs": ["src"]}}}'

a_project() { # [PIPELINE]
    git config --global user.name a
    git config --global user.email a
    git config --global init.defaultBranch main
    project "${1-$PIPELINE}"
    git init -q .
    mkdir -p src/deep .git/hooks
    printf '%s\n' 1 2 3 4 5 6 7 8 9 >src/a
    printf '%s\n' 1 2 3 >src/deep/b
    ln -s a src/link
    git add .
    git commit -q -m first
    kiln 0 hook install
}

# All of the working tree by bytes, and the index: by bytes too where no git writes it.
BYTES=false
state() {
    find . -path ./.git -prune -o -type d -print -o -printf '%p %y %m %s %T@ %i %l\n' | sort
    ! $BYTES || sha256sum .git/index
    git ls-files -s
    git --no-optional-locks status --porcelain
    git --no-optional-locks diff | sha256sum
}

commit() { # EXIT ARGUMENT...: stopped, nothing has changed
    local want=$1 rc=0
    shift
    state >"$T/before"
    timeout -k 5 "$DEADLINE" git commit -q -m message "$@" >"$T/out" 2>&1 </dev/null || rc=$?
    if grep -q "ERROR: AddressSanitizer\|runtime error:\|LeakSanitizer" "$T/out"; then fail "a sanitizer spoke"; fi
    [ "$rc" = "$want" ] || fail "git commit $*: exit $rc, not $want"
    if [ "$rc" != 0 ]; then
        state >"$T/after"
        cmp "$T/before" "$T/after" || fail "git commit $*: stopped, and something is touched"
    fi
    clean_git
}

clean_git() { # nothing of kiln's is left in git's directory
    local dir
    dir=$(git rev-parse --git-dir)
    [ -z "$(find "$dir" -maxdepth 1 -name '*kiln*' -o -maxdepth 1 -name '*.lock')" ] || fail "left in $dir: $(ls "$dir")"
}

in_head() { assert_eq "$(git show "HEAD:$1")" "$2" "$1 in HEAD"; }
porcelain() { assert_eq "$(git status --porcelain | tr '\n' ';')" "$1" "git status"; }

test_fixed_and_committed() {
    a_project
    echo bad >src/new
    chmod 750 src/new
    git add src/new
    commit 0
    assert_out '^hook: fixed 1 file: src/new$'
    assert_out 'test: passed'
    in_head src/new good
    assert_file src/new good
    assert_eq "$(stat -c %a src/new)" 750
    porcelain ""
    git diff-files --quiet || fail "stamps in the index are old"
    # All of it is known: the same tree is answered at once.
    commit 0 --allow-empty
    assert_out 'all 2 steps cached'
    if grep -q fixed "$T/out"; then fail "there was nothing to fix"; fi
}

test_nothing_to_fix() {
    a_project
    echo fine >src/new
    git add src/new
    commit 0
    assert_out '2 passed|format: passed'
    if grep -q fixed "$T/out"; then fail "there was nothing to fix"; fi
}

test_partial_staging() {
    a_project
    sed -i s/2/bad/ src/a
    git add src/a
    sed -i 's/8/eight/; s/9/bad nine/' src/a
    commit 0
    assert_out 'fixed 1 file: src/a; what is not staged is kept in src/a'
    in_head src/a "$(printf '%s\n' 1 good 3 4 5 6 7 8 9)"
    assert_eq "$(xargs <src/a)" "1 good 3 4 5 6 7 eight bad nine"
    porcelain " M src/a;"
    # Edits where the fix is: nothing is touched, anywhere.
    sed -i 's/good/bad/' src/a
    echo bad >src/new
    git add src
    sed -i 's/bad$/ugly/' src/a
    commit 1
    assert_out 'src/a:2: edits that are not staged are where it is fixed'
    git add src
    commit 0
    assert_file src/new good
}

# A working tree that has the fix already, or nothing at that place, or something else.
test_other_working_trees() {
    a_project
    for f in fixed gone lnk dir; do echo bad >src/$f; done
    git add src
    echo good >src/fixed
    rm src/gone src/lnk src/dir
    ln -s deep/b src/lnk
    mkdir src/dir
    commit 0
    for f in fixed gone lnk dir; do in_head "src/$f" good; done
    assert_file src/fixed good
    assert_no_file src/gone
    [ -L src/lnk ] && [ -d src/dir ]
    assert_eq "$(xargs <src/deep/b)" "1 2 3"
}

test_forms_of_commit() {
    a_project
    # -a
    sed -i s/1/bad/ src/a
    commit 0 -a
    in_head src/a "$(printf '%s\n' good 2 3 4 5 6 7 8 9)"
    porcelain ""
    # -i, with something staged
    echo bad >src/staged
    git add src/staged
    sed -i s/2/bad/ src/a
    commit 0 -i src/a
    in_head src/staged good
    porcelain ""
    # commit path: what else is staged stays so, and is no part of it
    echo bad >src/staged
    git add src/staged
    sed -i s/3/bad/ src/a
    commit 0 src/a
    assert_out 'fixed 1 file: src/a$'
    in_head src/a "$(printf '%s\n' good good good 4 5 6 7 8 9)"
    in_head src/staged good
    assert_eq "$(git show :src/staged)" bad
    porcelain "M  src/staged;"
    git diff --quiet || fail "working tree and index differ"
    commit 0
    in_head src/staged good
    # --amend
    sed -i s/4/bad/ src/a
    commit 0 -a --amend
    in_head src/a "$(printf '%s\n' good good good good 5 6 7 8 9)"
    git add src && porcelain ""
    # a patch, chosen piece by piece
    sed -i 's/5/bad/; s/9/WRONG/' src/a
    printf 's\ny\nn\n' | git commit -q -p -m pieces >"$T/out" 2>&1 || fail "git commit -p"
    assert_out 'what is not staged is kept in src/a'
    in_head src/a "$(printf '%s\n' good good good good good 6 7 8 9)"
    assert_eq "$(xargs <src/a)" "good good good good good 6 7 8 WRONG"
    porcelain " M src/a;"
    git checkout -q src/a
    # intended to be added
    echo bad >src/intended
    git add -N src/intended
    echo bad >src/x
    git add src/x
    commit 0
    porcelain " A src/intended;"
    assert_file src/intended bad
    git rm -q --cached src/intended
    rm src/intended
    # a merge
    git checkout -q -b other
    git commit -q --allow-empty --no-verify -m e
    echo bad >src/other
    git add src/other
    commit 0 --no-verify
    git checkout -q main
    echo main >src/main
    git add src/main
    commit 0
    git merge -q --no-commit --no-ff other >"$T/out" 2>&1 || fail "git merge"
    commit 0
    in_head src/other good
    assert_eq "$(git log -1 --format=%P | wc -w)" 2
    porcelain ""
    # a linked working tree
    git worktree add -q -b linked "$T/linked"
    cd "$T/linked"
    sed -i s/6/bad/ src/a
    git commit -q -a -m linked >"$T/out" 2>&1 || fail "in a linked working tree"
    in_head src/a "$(printf '%s\n' good good good good good good 7 8 9)"
    sed -i s/7/bad/ src/a
    git commit -q -m linked src/a >"$T/out" 2>&1 || fail "a path, in a linked working tree"
    in_head src/a "$(printf '%s\n' good good good good good good good 8 9)"
    porcelain ""
    clean_git
    # by hand, below the top
    cd src
    echo bad >z
    git add z
    kiln 0 hook run
    assert_file z good
    assert_eq "$(git show :./z)" good
}

# What is committed of a file is fixed, what else is staged of it stays staged.
test_a_path_beside_staged_changes() {
    a_project
    printf '%s\n' bad 2 3 4 5 6 7 8 9 >src/a
    git commit -q --no-verify -m bad src/a
    sed -i s/9/staged/ src/a
    git add src/a
    echo x >src/x
    git add src/x
    commit 0 src/x
    assert_out 'fixed 1 file: src/a; what is not staged is kept in src/a'
    in_head src/a "$(printf '%s\n' good 2 3 4 5 6 7 8 9)"
    porcelain "M  src/a;"
    assert_eq "$(xargs <src/a)" "good 2 3 4 5 6 7 8 staged"
    # Where the two meet there is no way.
    git reset -q --hard
    printf '%s\n' bad 2 3 4 5 6 7 8 9 >src/a
    git commit -q --no-verify -m bad src/a
    sed -i s/bad/better/ src/a
    git add src/a
    echo y >src/x
    commit 1 src/x
    assert_out 'src/a:1: edits that are not staged'
}

# Names that want quoting; directories on another file system than git's.
test_odd_places() {
    local odd=$'src/a "b" \\c \t\303\244*'
    a_project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "format": {"run": "find src -type f -exec sed -i s/bad/good/ {} +", "inputs": ["src"], "fix": true}}}'
    printf '%s\n' 1 bad 3 4 5 6 >"$odd"
    git add src
    sed -i 's/6/edited/' "$odd"
    commit 0
    assert_eq "$(xargs <"$odd")" "1 good 3 4 5 edited"
    assert_eq "$(git show HEAD:"$odd" | xargs)" "1 good 3 4 5 6"
    if [ ! -d /dev/shm ] || [ ! -w /dev/shm ] || [ "$(stat -c %d /dev/shm)" = "$(stat -c %d .)" ]; then return 0; fi
    FAR=$(mktemp -d /dev/shm/kiln-test.XXXXXX)
    git worktree add -q -b far "$FAR/far"
    cd "$FAR/far"
    echo bad >src/new
    git add src/new
    git commit -q -m far >"$T/out" 2>&1 || fail "on another file system"
    in_head src/new good
    assert_file src/new good
    porcelain ""
    assert_no_file .kiln-fix
    cd "$P"
    rm -rf "$FAR"
}

# A fixer that writes its files anew though nothing is to be fixed is not cached, and others do not see it at work.
test_a_fixer_that_always_writes() {
    a_project "$(jq -c '.steps.format.run = "sed -i s/bad/good/ src/a"' <<<"$PIPELINE")"
    commit 0 --allow-empty
    assert_out '^test: passed'
    if grep -q '^test: .*tainted' "$T/out"; then fail "test saw the fixer at work"; fi
    sed -i s/2/bad/ src/a
    commit 0 -a
    assert_out 'fixed 1 file: src/a'
    if grep -q '^test: .*tainted' "$T/out"; then fail "test saw the fixer at work"; fi
    in_head src/a "$(printf '%s\n' 1 good 3 4 5 6 7 8 9)"
    # Alone, too.
    jq 'del(.steps.test)' kiln.json >"$T/k"
    cp "$T/k" kiln.json
    commit 0 -a
}

# A fixer that changes what it does not say that it reads has not passed on it, whoever asks.
test_a_fixer_beside_its_inputs() {
    a_project "$(jq -c '.steps.format.inputs = ["*.txt"]' <<<"$PIPELINE")"
    kiln 0 hook uninstall
    kiln 0 hook install commit-msg
    echo bad >src/new
    git add src/new
    for _ in 1 2; do
        commit 1
        assert_out 'it is too late to change what is committed'
    done
    kiln 0 hook run
    commit 0
    in_head src/new good
}

test_steps_fail() {
    a_project
    printf 'bad\nWRONG\n' >src/new
    git add src/new
    commit 1
    assert_out 'src/new:2:WRONG'
    assert_out '^hook: not fixed, since steps failed: src/new'
}

test_a_fixer_fails() {
    a_project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "format": {"run": "echo x >>src/a; exit 3", "inputs": ["src"], "fix": true}, "test": {"run": "touch '"$T"'/ran"}}}'
    echo 1 >src/new
    git add src/new
    commit 1
    assert_out '^format: FAILED'
    assert_no_file "$T/ran"
}

test_stop() {
    a_project "${PIPELINE/\"steps\"/\"hook\": {\"fix\": \"stop\"\}, \"steps\"}"
    sed -i s/2/bad/ src/a
    git add src/a
    sed -i s/8/eight/ src/a
    git ls-files -s >"$T/index"
    ! git commit -q -m x >"$T/out" 2>&1 || fail "it was to stop"
    git ls-files -s | cmp - "$T/index"
    assert_out 'fixed in the working tree: src/a'
    assert_eq "$(xargs <src/a)" "1 good 3 4 5 6 7 eight 9"
    commit 1
    assert_out 'fixed already in the working tree: src/a'
    git add src/a
    commit 0
    assert_eq "$(git show HEAD:src/a | xargs)" "1 good 3 4 5 6 7 eight 9"
    echo bad >src/a
    ! git commit -q -a -m x >"$T/out" 2>&1 || fail "it was to stop"
    assert_file src/a good
}

test_what_is_no_fix() {
    a_project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "format": {"run": "sh ./fix", "inputs": ["src", "fix"], "fix": true}}}'
    local fix
    for fix in 'rm src/a' 'ln -sf b src/link' 'rm src/a; ln -s link src/a' 'rm src/a; mkdir src/a; touch src/a/b'; do
        echo "$fix" >fix
        git add fix
        commit 1
        assert_out "can't be taken over: src/"
    done
    # New files are not added; where they lie does not matter.
    echo 'echo new >src/new; echo bad >src/deep/b' >fix
    git add fix
    commit 0
    assert_no_file src/new
    assert_file src/deep/b bad
    # Modes.
    echo 'chmod +x src/a; chmod -x src/deep/b' >fix
    chmod +x src/deep/b
    git add fix src
    commit 0
    assert_eq "$(git ls-files -s src/a src/deep/b | cut -c1-6 | xargs)" "100755 100644"
    [ -x src/a ] && [ ! -x src/deep/b ]
    porcelain ""
    # Two that disagree.
    echo 'date +%s%N >src/a' >fix
    git add fix
    commit 1
    assert_out 'the fixers find something to fix each time anew, in 5 rounds, in src/a'
}

test_filters() {
    a_project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "format": {"run": "find src -type f | xargs sed -i s/bad/good/", "inputs": ["src"], "fix": true}}}'
    printf '*.crlf eol=crlf\n*.id ident\n*.up filter=up\n' >.gitattributes
    printf '1\r\nbad\r\n3\r\n4\r\n5\r\n6\r\n' >src/x.crlf
    printf '$Id$\nbad\n' >src/x.id
    git add .
    sed -i 's/6/six/' src/x.crlf
    commit 0
    assert_eq "$(tr '\r' R <src/x.crlf | xargs)" "1R goodR 3R 4R 5R sixR"
    assert_eq "$(git show HEAD:src/x.crlf | tr '\r' R | xargs)" "1 good 3 4 5 6"
    assert_eq "$(git show HEAD:src/x.id | xargs)" '$Id$ good'
    git checkout -q src/x.crlf
    grep -q '^\$Id: [0-9a-f]* \$$' src/x.id
    porcelain ""
    # Written with other line ends than git would.
    printf 'new\r\nbad\r\n' >src/y.crlf
    git add src/y.crlf
    printf 'new\nbad\n' >src/y.crlf
    git -c core.safecrlf=false diff --quiet
    commit 0
    assert_eq "$(tr '\r' R <src/y.crlf | xargs)" "newR goodR"
    # A filter's program knows best what is stored.
    git config filter.up.smudge 'tr a-z A-Z'
    git config filter.up.clean 'tr A-Z a-z'
    sed -i s/bad/BAD/ kiln.json
    echo BAD >src/x.up
    git add .
    commit 1
    assert_out 'src/x.up \(filter=up\)'
}

test_indexes() {
    a_project
    mkdir other
    echo bad >other/o
    git add other
    git commit -q -m other --no-verify
    # split
    git update-index --split-index
    echo bad >src/new
    git add src/new
    commit 0
    in_head src/new good
    porcelain ""
    git update-index --no-split-index
    # version 4, untracked cache
    git update-index --index-version 4 --untracked-cache
    echo bad >src/new
    commit 0 -a
    in_head src/new good
    porcelain ""
    assert_eq "$(od -An -tu1 -j7 -N1 .git/index | tr -d ' ')" 4
    grep -qa UNTR .git/index
    # taken for unchanged, or not there
    echo bad >src/new
    git add src/new
    git update-index --assume-unchanged src/new
    commit 1
    assert_out 'src/new: taken for unchanged'
    git update-index --no-assume-unchanged src/new
    git sparse-checkout set other
    echo bad >other/p
    git add other/p
    sed -i 's/"src"/"src", "other"/; s/ src/ src other/' kiln.json
    git add kiln.json
    assert_no_file src/new
    commit 1
    assert_out 'src/new: not in this sparse working tree'
    git sparse-checkout disable
    commit 0
    assert_file other/p good
    assert_file src/new good
    porcelain ""
    # one that somebody else names
    cp .git/index "$T/mine"
    echo bad >src/mine
    GIT_INDEX_FILE=$T/mine git add src/mine
    GIT_INDEX_FILE=$T/mine git commit -q -m mine >"$T/out" 2>&1 || fail "an index of one's own"
    in_head src/mine good
    assert_eq "$(GIT_INDEX_FILE=$T/mine git show :src/mine)" good
}

test_a_locked_index() {
    BYTES=true
    a_project
    echo bad >src/new
    git add src/new
    state >"$T/before"
    : >.git/index.lock
    kiln 2 hook run
    assert_err 'index is locked by another git'
    rm .git/index.lock
    state >"$T/after"
    cmp "$T/before" "$T/after"
    # Staged meanwhile.
    sed -i 's/! grep/git -C '"${P//\//\\/}"' --git-dir='"${P//\//\\/}"'\/.git add later; ! grep/' kiln.json
    git add kiln.json
    echo later >later
    kiln 2 hook run
    assert_err 'the index has changed since the hook began'
    assert_file src/new bad
    clean_git
}

# Asked to end while names are exchanged, kiln finishes that; before, it does nothing.
test_a_signal_meanwhile() {
    a_project
    mkdir "$T/bin"
    cat >"$T/bin/git" <<SCRIPT
#!/bin/sh
case "\$GIT_INDEX_FILE \$*" in *.kiln\ *\ "\$ON"*) kill -INT \$PPID ;; esac
exec $(command -v git) "\$@"
SCRIPT
    chmod +x "$T/bin/git"
    local on
    for on in "ls-files" "update-index -q --refresh"; do
        export ON=$on
        sed -i s/2/bad/ src/a
        git add src/a
        sed -i s/8/eight/ src/a
        state >"$T/before"
        PATH=$T/bin:$PATH kiln any hook run
        [ "$RC" = 130 ] || fail "exit $RC, not by the signal"
        clean_git
        if [ "$on" = ls-files ]; then
            state >"$T/after"
            cmp "$T/before" "$T/after" || fail "something is touched"
        else
            assert_eq "$(git show :src/a | xargs)" "1 good 3 4 5 6 7 8 9"
            assert_eq "$(xargs <src/a)" "1 good 3 4 5 6 7 eight 9"
        fi
        git reset -q --hard
    done
}

# Edited while steps ran: by the time of the fix, that is what stands there.
test_edited_meanwhile() {
    a_project
    sed -i s/2/bad/ src/a
    sed -i 's/! grep/sed -i s,9,nine, '"${P//\//\\/}"'\/src\/a; ! grep/' kiln.json
    git add .
    commit 0
    assert_out 'what is not staged is kept in src/a'
    assert_eq "$(xargs <src/a)" "1 good 3 4 5 6 7 8 nine"
    in_head src/a "$(printf '%s\n' 1 good 3 4 5 6 7 8 9)"
}

# Who comes too late for fixing says so.
test_other_hooks() {
    a_project
    kiln 0 hook uninstall
    kiln 0 hook install commit-msg pre-push
    echo bad >src/new
    git add src/new
    commit 1
    assert_out 'it is too late to change what is committed'
    git commit -q --no-verify -m x
    git init -q --bare "$T/remote"
    ! git push -q "$T/remote" main >"$T/out" 2>&1 || fail "what is to be fixed was pushed"
    assert_out 'too late to change what is pushed'
    # Both: the second one sees what the first has fixed.
    git reset -q --soft HEAD~1
    kiln 0 hook install pre-commit
    commit 0
    in_head src/new good
}

# git merge commits by itself; what it would have committed is staged when the hook says no.
test_a_merge_by_itself() {
    a_project
    kiln 0 hook install pre-merge-commit
    git checkout -q -b other
    echo bad >src/other
    git add src/other
    git commit -q --no-verify -m other
    git checkout -q main
    echo main >src/main
    git add src/main
    commit 0
    ! git merge -q --no-edit other >"$T/out" 2>&1 || fail "what is to be fixed was merged"
    assert_out 'too late to change what is committed.*git merge --no-verify'
    porcelain "A  src/other;"
    commit 0
    in_head src/other good
    assert_eq "$(git log -1 --format=%P | wc -w)" 2
    git checkout -q -b third HEAD~1
    echo third >src/third
    git add src/third
    commit 0
    git merge -q --no-edit main >"$T/out" 2>&1 || fail "git merge: $(cat "$T/out")"
    assert_out 'test: passed|cached'
    in_head src/other good
    kiln 0 hook uninstall
    assert_no_file .git/hooks/pre-merge-commit
}

test_dry_run_and_status() {
    BYTES=true
    a_project
    echo bad >src/new
    git add src/new
    state >"$T/before"
    kiln 1 hook run --dry-run
    assert_err '^hook: format: it has not passed'
    kiln 0 hook status
    state >"$T/after"
    cmp "$T/before" "$T/after"
}

# Elsewhere a fixer runs where it is named.
test_elsewhere() {
    a_project
    echo bad >src/new
    kiln 1 run --json
    assert_eq "$(ran)" test
    kiln 0 plan --json
    assert_eq "$(jq -r '.steps[].step' "$T/out")" test
    kiln 0 run format --json
    assert_eq "$(ran)" format
    assert_file src/new good
    kiln 0 run format
    kiln 0 run format --json
    assert_eq "$(ran)" ""
    kiln 0 run
    git add src
    commit 0
    assert_out 'all 2 steps cached'
}

test_watching() {
    a_project
    watch_start
    assert_eq "$(ran "$T/round")" test
    put src/new bad
    watch_idle
    assert_eq "$(ran "$T/round")" test
    assert_file src/new bad
    watch_stop
    # Named, it runs again after it has fixed something, and then rests.
    watch_start format
    watch_stop
    assert_file src/new good
    watch_start format
    assert_eq "$(ran "$T/round")" ""
    put src/new bad
    wait_event '.type == "step.finished" and .step == "format" and .tainted'
    wait_event '.type == "step.finished" and .step == "format" and (.tainted | not)'
    assert_file src/new good
    watch_stop
    # There may be nothing else.
    jq 'del(.steps.test)' kiln.json >"$T/k"
    cp "$T/k" kiln.json
    kiln 0 run
    assert_out 'all steps are fixers, which run in the hook and where they are named'
    kiln 0 run format
}

answered() {
    kiln 0 hook run
    grep -q '^hook: all steps passed, as the kiln that watches has seen$' "$T/out"
}

# A watcher knows of the others what it has seen, and of a fixer what the cache has.
test_a_watcher_answers() {
    a_project "${PIPELINE/bad\\\\|/}"
    watch_start
    echo fine >src/new
    git add src/new
    watch_idle
    kiln 0 hook run
    assert_out '^format: passed'
    wait_for answered
    # Nobody has looked at this one for fixes, though the test has passed.
    echo bad >src/new
    git add src/new
    watch_idle
    commit 0
    assert_out '^hook: fixed 1 file: src/new'
    watch_idle
    wait_for answered
    # One that needs what others make is not told of here.
    jq '.steps.make = {"run": "echo >made", "inputs": [], "outputs": ["made"]} | .steps.format.needs = ["make"]' kiln.json >"$T/k"
    put kiln.json "$(cat "$T/k")"
    git add kiln.json
    watch_idle
    kiln 0 hook run
    kiln 0 hook run
    assert_out '^hook: all 3 steps cached'
    watch_stop
}

test_a_generated_pipeline() {
    a_project '{"version": 1, "generate": {"run": "cat pipeline.json", "inputs": ["pipeline.json"]}}'
    echo "$PIPELINE" >pipeline.json
    echo bad >src/new
    git add .
    commit 0
    in_head src/new good
    jq 'del(.steps.format)' pipeline.json >"$T/p"
    cp "$T/p" pipeline.json
    echo fine >src/new
    git add .
    commit 0
}

run_tests
