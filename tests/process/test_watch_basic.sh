#!/usr/bin/env bash
# Watching: what a change of the tree runs, and what it does not.
. "$(dirname "$0")/lib.sh"

# "a" drops comments, "b" reads what "a" made and a directory.
PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "steps": {
    "a": {"run": "grep -v ^# a.in > a.out || :", "inputs": ["a.in"], "outputs": ["a.out"]},
    "b": {"run": "{ cat a.out; find src -type f | sort | xargs cat; } > b.out", "inputs": ["src"],
          "needs": ["a"], "outputs": ["b.out"]},
    '$SYNC_STEP'}}'

begin() {
    project "$PIPELINE"
    put a.in 1
    mkdir src
    echo s > src/s
    put .sync 0
}

# expect STEPS CONTENT: when all is taken up, these were executed and b.out holds this.
expect() {
    watch_settle
    assert_eq "$(others)" "$1" "steps that ran"
    assert_file b.out "$2"
}

test_a_save_runs_the_readers() {
    begin
    watch_start
    assert_eq "$(ran "$T/round")" "a b sync"
    put a.in 2
    expect "a b" $'2\ns'
    assert_eq "$(reasons a "$T/round")" "file a.in"
    assert_eq "$(reasons b "$T/round")" "upstream a.out"
    put src/s t
    expect "b" $'2\nt'
    assert_eq "$(reasons b "$T/round")" "file src/s"
    assert_eq "$(events 'select(.type == "watch.changed") | .paths[]' "$T/round" | grep -v sync)" "src/s"
    chmod +x src/s
    expect "b" $'2\nt'
    watch_stop
    assert_eq "$RC" 130 "exit code"
}

test_touch_runs_nothing() {
    begin
    watch_start
    for time in now yesterday "2001-01-01" "next year"; do
        touch -d "$time" a.in src/s
        watch_settle
        assert_eq "$(others)" "" "steps that ran"
        assert_eq "$(rounds)" 0 "rounds"
    done
    cp a.in new
    mv new a.in # another inode of the same content
    watch_settle
    assert_eq "$(others)" "" "steps that ran"
    touch a.in
    watch_idle # it is told, too
    assert_eq "$(ran "$T/round")" ""
    watch_stop
}

test_early_cutoff_and_reverting() {
    begin
    watch_start
    put a.in $'1\n# a comment'
    watch_settle
    assert_eq "$(others)" "a" "steps that ran"
    assert_eq "$(status b "$T/round")" "cached"
    put a.in 1
    expect "" $'1\ns'
    assert_eq "$(status a "$T/round")" "cached"
    put a.in 2
    expect "a b" $'2\ns'
    put a.in 1
    expect "" $'1\ns'
    assert_file a.out 1
    watch_stop
}

test_files_come_and_go() {
    begin
    watch_start
    put src/t t
    expect "b" $'1\ns\nt'
    mv src/t src/a
    expect "b" $'1\nt\ns'
    assert_eq "$(reasons b "$T/round" | sort)" $'file src/a\nfile src/t'
    rm src/a
    expect "" $'1\ns'
    mkfifo src/fifo # no input
    mkdir src/empty
    ln -s nowhere src/link
    expect "b" $'1\ns'
    rm src/link src/fifo
    rmdir src/empty
    expect "" $'1\ns'
    echo x > "src/a name
with a line's end"
    watch_settle
    assert_eq "$(others)" "b"
    rm src/a*
    watch_settle
    rm a.in # named outright: it must be there
    watch_settle
    assert_eq "$(status a "$T/round") $(status b "$T/round")" "failed skipped"
    assert_match "$(events 'select(.step == "a").error' "$T/round")" "a\.in"
    put a.in 1
    expect "" $'1\ns'
    watch_stop
}

test_directories_come_and_go() {
    begin
    watch_start
    for i in 1 2 3; do
        mkdir -p src/a/b/c && echo "$i" > src/a/b/c/f # before anybody could have watched c
        watch_settle
        assert_file b.out "1
$i
s"
        echo "$i$i" > src/a/b/c/f
        watch_settle
        assert_file b.out "1
$i$i
s"
        rm -r src/a
        watch_settle
        assert_file b.out $'1\ns'
    done
    mkdir -p "$T/away/deep/er"
    echo away > "$T/away/deep/er/f"
    mv "$T/away" src/in
    watch_settle
    assert_file b.out $'1\naway\ns'
    echo again > src/in/deep/er/f # moved in, and watched
    watch_settle
    assert_file b.out $'1\nagain\ns'
    mv src/in src/to
    watch_settle
    echo renamed > src/to/deep/er/f
    watch_settle
    assert_file b.out $'1\ns\nrenamed'
    mv src/to "$T/away"
    watch_settle
    assert_file b.out $'1\ns'
    echo "not ours" > "$T/away/deep/er/f" # moved out: nobody's business
    echo "not ours" > "$T/away/deep/er/g"
    watch_settle
    assert_eq "$(others)" "" "steps that ran"
    mv src "$T/src" # the whole input directory, and back
    watch_settle
    mv "$T/src" src
    watch_settle
    assert_file b.out $'1\ns'
    put src/s 2
    watch_settle
    assert_file b.out $'1\n2'
    mkdir other
    echo o > other/o
    mv src old && mv other src # another directory in its place
    watch_settle
    assert_file b.out $'1\no'
    echo o2 > src/o
    watch_settle
    assert_file b.out $'1\no2'
    watch_stop
}

test_outputs_are_put_back() {
    begin
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "mkdir -p d/sub && cat in > d/sub/f && chmod +x d/sub/f && ln -s sub/f d/l && mkdir -p d/empty",
              "inputs": ["in"], "outputs": ["d"]},
        "b": {"run": "cat d/l > o", "inputs": [], "needs": ["a"], "outputs": ["o"]}, '"$SYNC_STEP"'}}'
    put in 1
    watch_start
    for harm in 'rm o' 'echo x > o' 'rm o; mkdir o || :' 'ln -s in x; mv -T x o' 'chmod +x o' \
        'rm -r d || :' 'rm d/sub/f' 'echo x >> d/sub/f' 'rm d/l' 'rmdir d/empty' 'chmod -x d/sub/f' 'echo more > d/more' \
        'mkdir -p "$T/x/y/z" && echo z > "$T/x/y/z/f" && mv "$T/x" d' 'mv d e' 'rm -rf e d o || :'; do
        eval "$harm"
        watch_settle
        assert_eq "$(others)" "" "steps that ran after $harm"
        assert_file o 1
        assert_file d/sub/f 1
        assert_eq "$(find d | LC_ALL=C sort | paste -sd " ")" "d d/empty d/l d/sub d/sub/f" "after $harm"
        [ -x d/sub/f ] || fail "$harm: the executable bit is lost"
        [ ! -x o ] || fail "$harm: o is executable"
        assert_eq "$(readlink d/l)" sub/f
    done
    watch_stop
}

test_own_outputs_cause_no_round() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "mkdir -p d; for i in 1 2 3 4 5 6 7 8; do echo $i > d/$i; sleep 0.02; done; rm d/3; cat src/in > out",
              "inputs": ["src"], "outputs": ["d", "out"]},
        "all": {"run": "cat src/in out", "needs": ["a"]}, '"$SYNC_STEP"'}}'
    mkdir src
    put .sync 0
    put src/in 1
    watch_start
    assert_eq "$(rounds)" 1 "rounds at the start"
    watch_settle
    assert_eq "$(events 'select(.type == "step.started" and .step == "a") | .step' "$T/round")" "" "a ran"
    for i in 2 3; do
        put src/in $i # in one go: a file that is empty for a moment may well be a round of its own
        watch_idle
        assert_eq "$(ran "$T/round")" "a all" "steps that ran"
        assert_eq "$(rounds)" 1 "rounds"
        watch_settle
        assert_eq "$(events 'select(.type == "step.started" and .step == "a") | .step' "$T/round")" "" "a ran"
    done
    watch_stop
}

test_ignored_files_cause_nothing() {
    begin
    printf '*.o\n/target/\n' > .gitignore
    git_project
    watch_start
    put src/x.o x
    mkdir -p target/deep src/obj.o
    put target/deep/f x
    put src/obj.o/f x
    mv src/x.o src/y.o
    rm -r src/obj.o
    watch_settle
    assert_eq "$(others)" "" "steps that ran"
    assert_eq "$(rounds)" 0 "rounds"
    assert_eq "$(events 'select(.type == "watch.changed") | .paths[]' "$T/round")" ".sync"
    git add -f src/y.o # tracked: counts though ignored
    put src/y.o y
    watch_settle
    assert_eq "$(others)" "b" "steps that ran"
    assert_file b.out $'1\ns\ny'
    watch_stop
}

test_edits_of_gitignore_take_effect() {
    begin
    mkdir src/sub
    echo tmp > src/t.tmp
    echo sub > src/sub/t.tmp
    watch_start
    assert_file b.out $'1\ns\nsub\ntmp' # ignored or not, the step reads the tree itself
    before=$(events 'select(.type == "step.finished" and .step == "b") | .key' "$T/round")
    echo '*.tmp' > .gitignore
    watch_settle
    assert_eq "$(reasons b "$T/round" | sort)" $'file src/sub/t.tmp\nfile src/t.tmp'
    echo more > src/t.tmp
    watch_settle
    assert_eq "$(others)" "" "steps that ran"
    echo '!t.tmp' > src/sub/.gitignore
    watch_settle
    assert_match "$(reasons b "$T/round")" "file src/sub/t\.tmp"
    echo deep > src/sub/t.tmp
    watch_settle
    assert_eq "$(others)" "b" "steps that ran"
    rm src/sub/.gitignore .gitignore
    echo tmp > src/t.tmp
    echo sub > src/sub/t.tmp
    watch_settle
    assert_eq "$(events 'select(.type == "step.finished" and .step == "b") | .key' "$T/round" | tail -n 1)" "$before" "key"
    watch_stop
}

test_chosen_steps_only() {
    begin
    watch_start a sync
    assert_eq "$(ran "$T/round")" "a sync"
    put src/s t
    put a.in 2
    watch_settle
    assert_eq "$(others)" "a"
    assert_no_file b.out
    watch_stop
}

run_tests
