#!/usr/bin/env bash
# Watching while git works in the tree.
. "$(dirname "$0")/lib.sh"

# "all" reads the sources, "few" three directories of many, "doc" something that git never touches here.
PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "steps": {
    "all": {"run": "find src -type f | sort | xargs cat | cksum", "inputs": ["src"]},
    "few": {"run": "cat src/1/* src/2/* src/3/* | cksum", "inputs": ["src/1", "src/2", "src/3"]},
    "doc": {"run": "cat doc", "inputs": ["doc"]},
    '$SYNC_STEP'}}'

# tree COUNT TEXT: COUNT files in ten directories.
tree() {
    awk -v n="$1" -v text="$2" 'BEGIN {
        for (i = 0; i < n; i++) {
            if (i % (n / 10) == 0) system("mkdir -p src/" i / (n / 10))
            file = "src/" int(i / (n / 10)) "/f" i
            print text, i > file
            close(file)
        }
    }'
}

# Two branches, "main" and "other", that differ in every one of COUNT files, and in which there are.
branches() {
    project "$PIPELINE"
    echo 0 > .sync
    echo doc > doc
    echo /.sync > .gitignore
    git init -q -b main
    git config gc.auto 0
    tree "$1" main
    git add -A
    git commit -q -m main
    git checkout -q -b other
    rm -rf src/5
    tree "$1" other
    mkdir -p src/new/deep
    echo new > src/new/deep/f
    git add -A
    git commit -q -m other
    git checkout -q main
}

sum() {
    find src -type f | sort | xargs cat | cksum
}

# in_one_round STEPS: all that was done became one round, in which these ran and saw the tree as it is.
in_one_round() {
    watch_settle
    assert_eq "$(rounds)" 1 "rounds"
    assert_eq "$(others)" "$1" "steps that ran"
    if [[ " $1 " == *" all "* ]]; then
        assert_eq "$(step_log all "$T/round")" "$(sum)" "what the step saw"
    fi
    assert_eq "$(events 'select(.tainted == true) | .step' "$T/round")" "" "tainted steps"
    assert_eq "$(events 'select(.status == "cancelled") | .type' "$T/round")" "" "cancelled steps"
}

test_checkout_of_thousands_is_one_round() {
    branches 3000
    watch_start
    assert_eq "$(step_log all "$T/round")" "$(sum)"
    git checkout -q other
    in_one_round "all few"
    git checkout -q main
    in_one_round "" # been there
    assert_eq "$(status all "$T/round") $(status few "$T/round")" "cached cached"
    git checkout -q other -- src/1 src/2 src/3
    in_one_round "all"
    assert_eq "$(status few "$T/round")" "cached" # it reads no more than these three
    watch_stop
}

test_what_touches_no_file_runs_nothing() {
    branches 100
    watch_start
    put src/0/f1 edited
    watch_settle
    assert_eq "$(others)" "all"
    git add -A
    git commit -q -m edited
    git tag here
    git branch elsewhere
    git reset -q --soft HEAD~1
    git reset -q
    git status > /dev/null
    git gc -q
    git commit -q -a -m again
    watch_settle
    assert_eq "$(others)" "" "steps that ran"
    assert_eq "$(rounds)" 0 "rounds"
    watch_stop
}

test_stash() {
    branches 100
    watch_start
    for file in src/0/f0 src/1/f10 src/2/f20; do put "$file" "edited"; done
    watch_settle
    git stash -q
    watch_settle
    assert_eq "$(others)" "" "steps that ran" # as at the start
    assert_eq "$(status all "$T/round")" "cached"
    git stash pop -q
    watch_settle
    assert_eq "$(others)" "" "steps that ran" # as before the stash
    assert_eq "$(status all "$T/round")" "cached"
    watch_stop
}

# At its end a rebase has left what it left; whatever was seen on the way, the last run tells the truth.
test_rebase() {
    branches 200
    for i in 1 2 3 4; do
        echo "topic $i" > "src/topic$i"
        echo "line $i" >> src/topic
        git add -A
        git commit -q -m "topic $i"
    done
    watch_start
    git rebase -q other > "$T/git" 2>&1 || git rebase --abort
    watch_settle
    sum=$(sum)
    kiln 0 plan --json
    assert_eq "$(jq -r '.steps[] | select(.step == "all") | .state' "$T/out")" "cached"
    assert_eq "$(events 'select(.type == "step.finished" and .step == "all") | .key' "$T/watch.out" | tail -n 1)" \
        "$(jq -r '.steps[] | select(.step == "all") | .key' "$T/out")" "key"
    kiln 0 logs all
    assert_eq "$(cat "$T/out")" "$sum"
    watch_stop
}

# While git holds its lock, many changes wait for it; a lock that somebody forgot does not stop a save.
test_index_lock() {
    branches 300
    watch_start
    : > .git/index.lock
    tree 300 locked
    put src/0/f1 "still locked"
    rm .git/index.lock
    in_one_round "all few"
    # One that is old is still git's while files go on changing.
    touch -d "20 seconds ago" .git/index.lock
    tree 300 "still locked"
    rm .git/index.lock
    in_one_round "all few"
    touch -d "1 hour ago" .git/index.lock
    put src/0/f1 edited
    watch_idle
    assert_eq "$(ran "$T/round")" "all" "steps that ran under a forgotten lock"
    rm .git/index.lock
    watch_stop
}

test_new_repository_and_new_rules() {
    project "$PIPELINE"
    mkdir -p src/1 src/2 src/3
    for i in 1 2 3; do echo $i > src/$i/f; done
    echo x > src/1/x.log
    echo doc > doc
    echo 0 > .sync
    watch_start
    git init -q
    echo '*.log' > .git/info/exclude
    put src/2/f 22 # what git keeps to itself counts from the next change on
    watch_settle
    assert_eq "$(others)" "all few"
    # In the round of the change, or in one of its own if git was heard of before it.
    assert_match "$(events 'select(.type == "step.started" and .step == "few") | .reasons[].subject' "$T/round")" "src/1/x.log"
    echo y > src/1/x.log
    watch_settle
    assert_eq "$(others)" ""
    watch_stop
}

test_nested_repository_and_worktree() {
    branches 100
    git worktree add -q "$T/tree" other
    cd "$T/tree"
    P=$T/tree
    echo 0 > .sync
    watch_start
    sum=$(sum)
    assert_eq "$(step_log all "$T/round")" "$sum"
    git checkout -q --detach main
    in_one_round "all few"
    git -C src init -q inner
    echo x > src/inner/f
    git -C src/inner add f
    git -C src/inner commit -q -m x
    watch_settle
    assert_eq "$(reasons all "$T/round")" "file src/inner/f"
    watch_stop
}

run_tests
