#!/usr/bin/env bash
# What kiln run executes: nothing that is up to date, exactly what reads a change, and what its options say.
. "$(dirname "$0")/lib.sh"

# A small C project in two layers: objects, then a program; and a step that reads neither.
c_project() {
    project '{"version": 1, "defaults": {"runner": "host"}, "jobs": 2, "steps": {
        "obj-a": {"run": "sed -e s,//.*,, src/a.c > a.o", "inputs": ["src/a.c", "src/a.h"], "outputs": ["a.o"]},
        "obj-b": {"run": "sed -e s,//.*,, src/b.c > b.o", "inputs": ["src/b.c"], "outputs": ["b.o"]},
        "link": {"run": "cat a.o b.o > prog", "needs": ["obj-a", "obj-b"], "inputs": [], "outputs": ["prog"]},
        "test": {"run": ["grep", "-q", "main", "prog"], "needs": ["link"], "inputs": []},
        "doc": {"run": "wc -c < README", "inputs": ["README"]}}}'
    mkdir src
    echo "int main" > src/a.c
    echo "int x" > src/a.h
    echo "int b" > src/b.c
    echo hello > README
}

test_only_what_changed() {
    c_project
    kiln 0 run --json
    assert_eq "$(ran)" "doc link obj-a obj-b test"
    kiln 0 run --json
    assert_eq "$(ran)" ""
    assert_eq "$(events 'select(.type == "step.finished") | .status' | sort -u)" cached
    touch src/* README
    touch -d 2001-01-01 src/a.c
    kiln 0 run --json
    assert_eq "$(ran)" "" "after touch"
    echo "int b2" > src/b.c
    kiln 0 run --json
    assert_eq "$(ran)" "link obj-b test"
    assert_file prog $'int main\nint b2'
    echo "int b2// only a comment" > src/b.c
    kiln 0 run --json
    assert_eq "$(ran)" "obj-b" "early cutoff"
    assert_eq "$(status link)" cached
    echo "int b" > src/b.c
    kiln 0 run --json
    assert_eq "$(ran)" "" "a revert"
    assert_file prog $'int main\nint b'
    assert_file b.o "int b"
    rm a.o prog
    kiln 0 run --json
    assert_eq "$(ran)" "" "outputs removed by hand"
    assert_file prog $'int main\nint b'
    echo meddled > b.o
    kiln 0 run --json
    assert_eq "$(ran)" "" "an output meddled with"
    assert_file b.o "int b"
}

test_only_the_chosen() {
    c_project
    kiln 0 run --json obj-a
    assert_eq "$(ran)" "obj-a"
    assert_eq "$(events 'select(.type == "run.started") | .steps | join(" ")')" "obj-a"
    kiln 0 run --json link doc
    assert_eq "$(ran)" "doc link obj-b"
    kiln 2 run lnk
    assert_err 'no step "lnk".*"link"'
    kiln 2 run ""
    kiln 0 run -- link
}

test_executable_bit_and_names_are_inputs() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "find src | sort", "inputs": ["src"]}, "b": {"run": "true", "inputs": ["lib/*.c"]}}}'
    mkdir src lib
    echo 1 > src/one
    echo 1 > lib/x.c
    kiln 0 run
    chmod +x src/one
    kiln 0 run --json
    assert_eq "$(ran)" a
    assert_match "$(reasons a)" '^file src/one$'
    chmod 600 src/one
    chmod 644 src/one
    kiln 0 run --json
    assert_eq "$(ran)" "" "other bits of the mode"
    mv src/one src/two
    kiln 0 run --json
    assert_eq "$(ran)" a
    assert_eq "$(reasons a | sort)" $'file src/one\nfile src/two'
    rm src/two
    echo 2 > src/keep
    kiln 0 run --json
    assert_eq "$(reasons a | sort)" $'file src/keep\nfile src/two'
    rm src/keep
    kiln 0 run --json
    assert_eq "$(ran)" a
    assert_eq "$(reasons a)" 'file src/keep'
    echo 2 > lib/new.c
    echo 2 > lib/new.h
    mkdir lib/sub
    echo 2 > lib/sub/not.c
    kiln 0 run --json
    assert_eq "$(ran)" b
    assert_eq "$(reasons b)" 'file lib/new.c'
    ln -s nowhere src/link
    kiln 0 run --json
    assert_eq "$(ran)" a
    ln -sfn elsewhere src/link
    kiln 0 run --json
    assert_eq "$(reasons a)" 'file src/link'
}

test_glob_and_exclusion() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": ["src", "**/*.cfg", "!src/**/*.md", "!src/gen"]}}}'
    mkdir -p src/gen src/deep other/deep
    kiln 0 run
    for file in src/x.md src/deep/y.md src/gen/z.c other/deep/a.txt; do
        echo 1 > $file
        kiln 0 run --json
        assert_eq "$(ran)" "" "$file"
    done
    for file in src/x.c src/deep/y.c other/deep/a.cfg top.cfg; do
        echo 1 > $file
        kiln 0 run --json
        assert_eq "$(ran)" "a" "$file"
    done
}

WHOLE='{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "date > out.txt; mkdir -p made; date > made/x", "outputs": ["out.txt", "made"]}, "b": {"run": "cat out.txt", "needs": ["a"]}}}'

# ran_after FILE EXPECTED: a new file there makes these run.
ran_after() {
    mkdir -p "$(dirname "$1")"
    date +%N%s >> "$1"
    kiln 0 run --json
    assert_eq "$(ran)" "$2" "after a change of $1"
}

test_whole_project_is_the_default() {
    project "$WHOLE"
    echo 1 > file
    kiln 0 run
    kiln 0 run --json
    assert_eq "$(ran)" "" "its own outputs are no inputs"
    ran_after file "a b"
    ran_after deep/er/new "a b"
    ran_after kiln.json.bak "a b"
    kiln 0 run --json
    assert_eq "$(ran)" ""
}

test_ignored_by_git() {
    project "$WHOLE"
    printf '%s\n' '*.log' '/top' > .gitignore
    mkdir -p sub/top
    printf '%s\n' '!keep.log' '*.tmp' > sub/.gitignore
    echo 1 > tracked.log
    git -C "$P" init -q
    git add .
    git add -f tracked.log
    git commit -qm first
    printf '%s\n' '*.mine' > .git/info/exclude
    mkdir -p "$XDG_CONFIG_HOME/git"
    echo '*.user' > "$XDG_CONFIG_HOME/git/ignore"
    kiln 0 run
    ran_after a.log ""
    ran_after sub/deep/b.log ""
    ran_after sub/keep.log "a b"
    ran_after sub/x.tmp ""
    ran_after x.tmp "a b"
    ran_after top/x ""
    ran_after sub/top/x "a b"
    ran_after y.mine ""
    ran_after y.user ""
    ran_after tracked.log "a b"
    git config core.excludesFile "$T/excludes"
    echo '*.other' > "$T/excludes"
    kiln 0 run --json
    ran_after z.other ""
    ran_after .git/COMMIT_EDITMSG ""
    # A rule that comes or goes decides anew.
    echo '*.txt2' >> .gitignore
    kiln 0 run --json
    ran_after z.txt2 ""
    sed -i '/txt2/d' .gitignore
    kiln 0 run --json
    assert_eq "$(ran)" "a b"
    ran_after z.txt2 "a b"
    # Adding to the index makes it count; a commit or a branch changes nothing.
    git add -f a.log
    kiln 0 run --json
    assert_eq "$(ran)" "a b" "git add -f"
    git commit -qm second
    git branch other
    kiln 0 run --json
    assert_eq "$(ran)" ""
    git checkout -q other
    kiln 0 run --json
    assert_eq "$(ran)" ""
}

test_ignored_but_named() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": ["secret.cfg", "*.log"]}}}'
    printf 'secret.cfg\n*.log\n' > .gitignore
    echo 1 > secret.cfg
    git_project
    kiln 0 run
    ran_after secret.cfg a
    ran_after x.log ""
}

test_without_git() {
    project "$WHOLE"
    printf '*.log\n' > .gitignore
    kiln 0 run
    ran_after a.log ""
    ran_after a.txt "a b"
}

test_below_the_top_of_a_repository() {
    printf '*.log\n' > "$P/.gitignore"
    mkdir -p "$P/pkg/one/src"
    git_project
    cd "$P/pkg/one"
    printf '%s\n' "$WHOLE" > kiln.json
    kiln 0 run
    ran_after a.log ""
    ran_after src/x "a b"
    ran_after ../../outside ""
    cd src
    kiln 0 run --json # found upwards
    assert_eq "$(ran)" ""
    assert_eq "$(events 'select(.type == "run.started") | .root')" "$(realpath ..)"
}

test_no_pipeline_above_the_repository() {
    project "$WHOLE"
    mkdir -p inner/deep
    git -C inner init -q
    cd inner/deep
    kiln 2 run
    assert_err 'no kiln.json in .*/inner/deep, nor above it up to the git root'
}

test_linked_worktree() {
    project "$WHOLE"
    printf '*.log\nout.txt\nmade\n' > .gitignore
    git_project
    kiln 0 run
    git worktree add -q "$T/linked"
    cd "$T/linked"
    echo '*.mine' >> "$P/.git/info/exclude"
    kiln 0 run --json
    assert_eq "$(ran)" "a b"
    ran_after x.log ""
    ran_after x.mine ""
    ran_after x "a b"
    cd "$P"
    kiln 0 run --json
    assert_eq "$(ran)" ""
}

test_force() {
    c_project
    kiln 0 run
    kiln 0 run --json --force
    assert_eq "$(ran)" "doc link obj-a obj-b test"
    assert_eq "$(reasons doc)" forced
    kiln 0 run --json --force=obj-a --force=doc
    assert_eq "$(ran)" "doc obj-a"
    kiln 2 run --force=obj-c
    assert_err 'obj-c.*obj-'
    kiln 0 run --json --force=obj-a doc
}

test_keep_going() {
    project '{"version": 1, "defaults": {"runner": "host"}, "jobs": 1, "steps": {
        "bad": {"run": "exit 7", "inputs": []},
        "after": {"run": "true", "inputs": [], "needs": ["bad"]},
        "good": {"run": "true", "inputs": []}, "good2": {"run": "true too", "inputs": [], "needs": ["good"]}}}'
    kiln 1 run --json
    assert_eq "$(status bad)" failed
    assert_eq "$(status after)" skipped
    assert_eq "$(events 'select(.type == "step.finished" and .step == "bad") | .exit_code')" 7
    kiln 1 run --json -k
    assert_eq "$(ran)" "bad good good2"
    assert_eq "$(reasons bad)" failed
    assert_eq "$(status after)" skipped
    assert_eq "$(status good2)" passed
    assert_eq "$(events 'select(.type == "run.finished") | "\(.status) \(.passed) \(.failed) \(.skipped)"')" "failed 2 1 1"
}

# Steps that wait for one another show how many may run at once.
test_jobs() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "mkfifo f || true; echo x > f", "inputs": [], "timeout": "20s", "cache": false},
        "b": {"run": "mkfifo f || true; cat f", "inputs": [], "timeout": "20s", "cache": false}}}'
    kiln 0 run --json -j2
    assert_eq "$(events 'select(.type == "run.started") | .jobs')" 2
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "mkdir d && rmdir d", "inputs": []}, "b": {"run": "mkdir d && rmdir d", "inputs": []},
        "c": {"run": "mkdir d && rmdir d", "inputs": []}, "e": {"run": "mkdir d && rmdir d", "inputs": []}}}'
    for _ in 1 2 3; do
        kiln 0 run --json --force -j 1
    done
    for bad in 0 x -1 99999999999999999999 1025; do
        kiln 2 run -j "$bad"
        assert_err '\-\-jobs wants a number from 1 to 1024'
    done
}

# What takes long starts first, with all that waits for it; the first time that is not known.
test_order_by_durations() {
    started() { events 'select(.type == "step.started") | .step' | paste -sd " "; }
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "quick": {"run": "true", "inputs": []},
        "long": {"run": "sleep 1", "inputs": []},
        "first": {"run": "sleep 0.2", "inputs": []},
        "second": {"run": "sleep 2", "inputs": [], "needs": ["first"]}}}'
    kiln 0 run --json -j1
    assert_eq "$(started)" "first quick long second"
    for _ in 1 2; do
        kiln 0 run --json --force -j1
        assert_eq "$(started)" "first long second quick" # "second" is ready when "long" has begun
    done
    kiln 0 run --json --force -j1 quick first long # what would come of a step that is not wanted counts for nothing
    assert_eq "$(started)" "long first quick"
}

test_no_cache() {
    c_project
    kiln 0 run --no-cache --json
    assert_eq "$(ran)" "doc link obj-a obj-b test"
    assert_file prog $'int main\nint b'
    kiln 0 run --no-cache --json
    assert_eq "$(ran)" "doc link obj-a obj-b test"
    kiln 0 cache stats --json
    assert_eq "$(jq .actions "$T/out")" 0
    kiln 0 run --json
    assert_eq "$(ran)" "doc link obj-a obj-b test"
    kiln 0 run --json
    assert_eq "$(ran)" ""
    kiln 0 run --no-cache --json doc
    assert_eq "$(ran)" doc
}

test_dry_run() {
    c_project
    kiln 0 run --dry-run
    assert_out '^run +obj-a'
    assert_out '^pending +link'
    assert_no_file a.o
    kiln 0 runs --json
    assert_eq "$(jq length "$T/out")" 0 "a dry run leaves no record"
    kiln 0 run
    kiln 0 run -n
    assert_out '^cached +link'
    kiln 0 run -n --force=doc
    assert_out '^run +doc'
    assert_out '^0 of|^1 of 5 would run'
}

# A change that leaves every stamp as it was is what --rehash is for.
test_rehash() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat in", "inputs": ["in"]}}}'
    echo 1 > in
    kiln 0 run
    kiln 0 run --rehash --json
    assert_eq "$(ran)" ""
    echo 2 > in
    kiln 0 run --rehash --json
    assert_eq "$(ran)" a
}

test_config_outside_of_the_tree() {
    mkdir "$T/elsewhere"
    printf '%s\n' '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat in > out", "inputs": ["in"], "outputs": ["out"]}}}' > "$T/elsewhere/my.json"
    echo 1 > in
    kiln 0 run --json --config "$T/elsewhere/my.json"
    assert_eq "$(ran)" a
    assert_file out 1
    kiln 0 run --json --config ../elsewhere/my.json
    assert_eq "$(ran)" ""
    cd /
    kiln 0 run --json -C "$P" --config "$T/elsewhere/my.json"
    assert_eq "$(ran)" ""
    kiln 0 run --json -C "$P" --config ../elsewhere/my.json
    assert_eq "$(ran)" ""
    kiln 2 run --config "$T/elsewhere/not.json"
    assert_err 'not.json: No such file'
    kiln 2 run -C "$T/not"
    assert_err 'not.*No such file'
}

test_directory_option() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "pwd", "inputs": []}}}'
    cd /
    kiln 0 run --json -C "$P"
    assert_eq "$(step_log a)" "$(realpath "$P")"
    ln -s "$P" "$T/link"
    kiln 0 run --json -C "$T/link"
    assert_eq "$(ran)" "" "through a link it is the same project"
}

test_generate() {
    project '{"version": 1, "generate": {"run": ["sh", "ci/gen.sh"], "inputs": ["ci"]}}'
    mkdir ci
    cat > ci/gen.sh <<'S'
echo called >> "$HOME/calls"
echo '{"version": 1, "defaults": {"runner": "host"}, "steps": {"one": {"run": "echo 1", "inputs": []}, "two": {"run": "echo 2", "inputs": [], "needs": ["one"]}}}'
S
    kiln 0 run --json
    assert_eq "$(ran)" "one two"
    kiln 0 run --json
    assert_eq "$(ran)" ""
    kiln 0 plan --json
    assert_eq "$(jq -r '.steps[].step' "$T/out" | paste -sd ' ')" "one two"
    assert_eq "$(wc -l < "$HOME/calls")" 1 "the generator is cached"
    sed -i 's/echo 2/echo 3/' ci/gen.sh
    kiln 0 run --json
    assert_eq "$(ran)" two
    assert_eq "$(wc -l < "$HOME/calls")" 2
    echo 'echo oh no >&2; exit 3' > ci/gen.sh
    kiln 2 run
    assert_err 'generator of the pipeline failed with exit code 3'
    assert_err '^oh no$'
    kiln 2 plan
    echo 'echo not json' > ci/gen.sh
    kiln 2 run --json
    assert_err 'kiln.json'
    [ ! -s "$T/out" ] || fail "something was written to standard output"
    echo 'head -c 20000000 /dev/zero' > ci/gen.sh
    kiln 2 run
    assert_err 'the generator printed more than 16 MiB'
    kiln 2 run # and again
    assert_err 'the generator printed more than 16 MiB'
    echo 'kill -KILL $$' > ci/gen.sh
    kiln 2 run
    assert_err 'generator of the pipeline failed: Killed'
    echo ':' > ci/gen.sh
    kiln 2 run
    echo 'echo "{\"version\": 1, \"generate\": {\"run\": \"x\"}}"' > ci/gen.sh
    kiln 2 run
    assert_err 'generate'
}

# What the generator printed is gone from the cache, or damaged there: it is called again.
test_generate_again() {
    local cas=$XDG_CACHE_HOME/kiln/v1/cas blob
    project '{"version": 1, "generate": {"run": "echo called >> \"$HOME/calls\"; [ ! -e \"$HOME/broken\" ] && cat made.json", "inputs": ["made.json"]}}'
    echo '{"version": 1, "defaults": {"runner": "host"}, "steps": {"one": {"run": "true", "inputs": []}}}' > made.json
    blob=$(sha256sum < made.json | cut -c 1-64)
    kiln 0 run --json
    assert_eq "$(ran)" one
    rm "$cas/${blob:0:2}/$blob"
    kiln 0 run --json
    assert_eq "$(ran)" ""
    assert_eq "$(wc -l < "$HOME/calls")" 2
    cmp made.json "$cas/${blob:0:2}/$blob" || fail "it was not stored again"
    chmod u+w "$cas/${blob:0:2}/$blob"
    tr o x < made.json > "$cas/${blob:0:2}/$blob"
    kiln 0 plan
    kiln 0 plan
    assert_eq "$(wc -l < "$HOME/calls")" 3
    cmp made.json "$cas/${blob:0:2}/$blob" || fail "it was not stored again"
    rm "$cas/${blob:0:2}/$blob"
    touch "$HOME/broken"
    kiln 2 run
    assert_err 'generator of the pipeline failed with exit code 1'
    assert_eq "$(wc -l < "$HOME/calls")" 4
}

# Same size, and within the clock's grain: every edit counts all the same.
test_quick_edits() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat src/* > o", "inputs": ["src"], "outputs": ["o"]}}}'
    mkdir src
    local i
    for i in {10..40}; do
        echo "$i" > src/a
        kiln 0 run
        assert_file o "$i"
    done
    for i in {10..20}; do
        echo "$i" > src/new
        mv src/new src/a
        touch -d 2020-01-01 src/a
        kiln 0 run
        assert_file o "$i"
    done
    echo 99 > src/a
    touch -d '1 year' src/a # in the future
    kiln 0 run
    echo 98 > src/a
    touch -d '1 year' src/a
    kiln 0 run
    assert_file o 98
}

test_an_input_that_changes_meanwhile() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat in > o; echo more >> in", "inputs": ["in"], "outputs": ["o"]}}}'
    echo 1 > in
    kiln 0 run --json
    assert_eq "$(events 'select(.type == "step.finished") | "\(.status) \(.tainted)"')" "passed true"
    assert_match "$(events 'select(.type == "step.finished") | .error')" 'in changed while it ran'
    kiln 0 cache stats --json
    assert_eq "$(jq .actions "$T/out")" 0 "stored results"
    echo 1 > in
    kiln 0 run --json
    assert_eq "$(ran)" a
    assert_match "$(reasons a)" tainted
    # Also when all that changes is what a directory holds, or when it comes back before the end.
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"b": {"run": "[ -e src/new ] || touch src/new", "inputs": ["src"]}, "c": {"run": "cp lib/x lib/y; echo 2 > lib/x; mv lib/y lib/x", "inputs": ["lib"]}}}'
    mkdir src lib
    echo 1 > lib/x
    kiln 0 run --json
    assert_eq "$(events 'select(.type == "step.finished") | "\(.step) \(.tainted)"' | sort | paste -sd ' ')" "b true c true"
    kiln 0 run --json b
    assert_eq "$(ran)" b
    assert_eq "$(events 'select(.type == "step.finished" and .step == "b") | .tainted')" false
    kiln 0 run --json b
    assert_eq "$(ran)" ""
}

# Limits, words for people and the file's layout are no inputs (decision 0003).
test_what_is_not_in_the_key() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": []}}}'
    kiln 0 run
    project '{"version": 1, "name": "other", "jobs": 3, "defaults": {"runner": "host", "timeout": "1m"}, // words
        "steps": {"a": {"description": "words", "run": "true", "inputs": [], "retries": 2, "timeout": "5m"}}}'
    kiln 0 run --json
    assert_eq "$(ran)" ""
    # A step by another name has the same result.
    sed -i 's/"a"/"b"/' kiln.json
    kiln 0 run --json
    assert_eq "$(ran)" ""
}

test_equal_steps_run_once() {
    project '{"version": 1, "defaults": {"runner": "host"}, "jobs": 4, "steps": {
        "a": {"run": "echo x >> count", "inputs": []}, "b": {"run": "echo x >> count", "inputs": []}, "c": {"run": "echo x >> count", "inputs": []}}}'
    kiln 0 run --json
    assert_eq "$(wc -l < count)" 1
    assert_eq "$(events 'select(.type == "step.finished") | .status' | sort | paste -sd ' ')" "cached cached passed"
}

run_tests
