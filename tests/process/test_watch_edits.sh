#!/usr/bin/env bash
# Watching: edits while steps run, steps that disturb themselves or each other, and what comes of many edits.
. "$(dirname "$0")/lib.sh"

# Steps wait for a file outside of the project: "hold NAME" makes them wait, "let_go NAME" ends that.
hold() { rm -f "$T/go.$1"; }
let_go() { : > "$T/go.$1"; }
until_go() { echo "while [ ! -e $T/go.$1 ]; do sleep 0.02; done"; }

# finished STEP [FILE]: status and taint of each time that it ended.
finished() {
    events "select(.type == \"step.finished\" and .step == \"$1\") | .status + (if .tainted then \" tainted\" else \"\" end)" \
        "${2:-$T/round}" | paste -sd ,
}

# settled_truth [STEP]: nothing runs any more; the cache has no result that an honest run would not give. STEP: it
# writes what others read, and nothing tells kiln to run it before them.
settled_truth() {
    kiln 0 plan --json
    cp "$T/out" "$T/plan"
    rm -rf "$T/home2"
    [ -z "${1:-}" ] || XDG_CACHE_HOME=$T/home2 XDG_STATE_HOME=$T/home2 kiln 0 run "$1"
    XDG_CACHE_HOME=$T/home2 XDG_STATE_HOME=$T/home2 kiln 0 run --json
    jq -r '.steps[] | select(.state == "cached") | .step + " " + .key' "$T/plan" | sort > "$T/cached"
    events 'select(.type == "step.finished") | .step + " " + .key' | sort > "$T/honest"
    [ -z "$(comm -23 "$T/cached" "$T/honest")" ] || fail "keys differ from an honest run's: $(comm -23 "$T/cached" "$T/honest")"
}

test_an_edit_cancels_only_what_reads_it() {
    project '{"version": 1, "defaults": {"runner": "host"}, "jobs": 8, "steps": {
        "a": {"run": "cat a.in; '"$(until_go a)"'; cat a.in > a.out", "inputs": ["a.in"], "outputs": ["a.out"]},
        "b": {"run": "cat b.in; '"$(until_go b)"'; cat b.in > b.out", "inputs": ["b.in"], "outputs": ["b.out"]},
        "c": {"run": "cat a.out b.out > c.out", "inputs": [], "needs": ["a", "b"], "outputs": ["c.out"]},
        '"$SYNC_STEP"'}}'
    echo 0 > .sync
    echo a1 > a.in
    echo b1 > b.in
    let_go a
    let_go b
    watch_start
    hold a
    hold b
    put a.in a2
    put b.in b2
    wait_event '.type == "step.log" and .step == "a" and .data == "a2\n"'
    wait_event '.type == "step.log" and .step == "b" and .data == "b2\n"'
    old=$(since 'select(.type == "step.started" and .step == "a") | .pid' | tail -n 1)
    b=$(since 'select(.type == "step.started" and .step == "b") | .pid' | tail -n 1)
    put a.in a3
    wait_event '.type == "step.finished" and .step == "a" and .status == "cancelled"'
    gone "$old" || fail "the cancelled step's process is alive"
    wait_event '.type == "step.log" and .step == "a" and .data == "a3\n"'
    if gone "$b"; then fail "b was disturbed"; fi
    let_go b
    wait_event '.type == "step.finished" and .step == "b" and .status == "passed"'
    let_go a
    watch_settle
    assert_eq "$(finished a)" "cancelled tainted,passed"
    assert_eq "$(finished b)" "passed"
    assert_file c.out $'a3\nb2'
    settled_truth
    watch_stop
}

test_a_cancelled_step_leaves_no_process() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "sh -c '"'trap : TERM; echo child \$\$; while :; do sleep 0.05; done'"' & setsid sleep 1000 & echo bg $!; cat in; wait; '"$(until_go a)"'",
              "inputs": ["in"]}, '"$SYNC_STEP"'}}'
    echo 0 > .sync
    echo 1 > in
    let_go a
    : > "$T/watch.out"
    "$KILN" watch --json > "$T/watch.out" 2> "$T/watch.err" < /dev/null &
    WATCH_PID=$! MARK=0 IDLE=0 SYNC=0
    wait_for has_lines "$T/watch.out" 'child [0-9]' 1
    wait_for has_lines "$T/watch.out" 'bg [0-9]' 1
    pids=$(step_log a "$T/watch.out" | sed -n 's/^\(child\|bg\) //p')
    assert_eq "$(echo "$pids" | wc -l)" 2 "processes"
    put kiln.json '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat in", "inputs": ["in"]}, '"$SYNC_STEP"'}}'
    wait_event '.type == "step.finished" and .step == "a" and .status == "cancelled"'
    for pid in $pids; do
        gone "$pid" || fail "process $pid of the cancelled step is alive"
    done
    watch_settle
    assert_eq "$(finished a)" "cancelled tainted,passed"
    watch_stop
}

test_back_and_forth_in_mid_run() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "'"$(until_go 1)"'; cat in; '"$(until_go 2)"'; cat in > out", "inputs": ["in"], "outputs": ["out"]},
        '"$SYNC_STEP"'}}'
    echo 0 > .sync
    echo A > in
    : > "$T/watch.out"
    "$KILN" watch --json > "$T/watch.out" 2> "$T/watch.err" < /dev/null &
    WATCH_PID=$! MARK=0 IDLE=0 SYNC=0
    wait_started a
    put in B # seen by the watch or not before it is put back
    put in A
    let_go 1
    let_go 2
    watch_settle
    assert_file out A
    settled_truth
    for i in 1 2 3 4 5; do
        hold 1
        hold 2
        put in "A$i"
        wait_started a
        put in "B$i"
        let_go 1
        wait_event '.type == "step.log" and .step == "a"' # it may have read B
        put in "A$i"
        let_go 2
        watch_settle
        assert_file out "A$i"
        assert_eq "$(status a "$T/round")" "passed"
        settled_truth
        # What was kept is of a run that saw A alone.
        rm out
        watch_settle
        assert_file out "A$i"
        assert_eq "$(events 'select(.type == "step.started" and .step == "a") | .step' "$T/round")" ""
        kiln 0 logs a
        assert_eq "$(cat "$T/out")" "A$i" "log of what was kept"
    done
    kiln 0 run --json
    assert_eq "$(ran)" "" "steps that ran"
    watch_stop
}

# The same length, the same times: only ctime tells.
test_an_edit_that_hides() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "cat in > out; '"$(until_go a)"'", "inputs": ["in"], "outputs": ["out"]}, '"$SYNC_STEP"'}}'
    echo 0 > .sync
    echo A > in
    touch -d 2020-01-01 in
    : > "$T/watch.out"
    "$KILN" watch --json > "$T/watch.out" 2> "$T/watch.err" < /dev/null &
    WATCH_PID=$! MARK=0 IDLE=0 SYNC=0
    wait_started a
    printf B 1<> in
    touch -d 2020-01-01 in
    let_go a
    watch_settle
    assert_file out B
    assert_match "$(finished a)" "tainted.*passed$"
    settled_truth
    watch_stop
}

a_ended_twice() {
    [ "$(since 'select(.type == "step.finished" and .step == "a") | .type' | wc -l)" -ge 2 ]
}

test_an_edit_while_a_dependent_runs() {
    project '{"version": 1, "defaults": {"runner": "host"}, "jobs": 4, "steps": {
        "a": {"run": "grep -v ^# in > mid || :", "inputs": ["in"], "outputs": ["mid"]},
        "b": {"run": "echo begun; '"$(until_go b)"'; cat mid > out", "inputs": [], "needs": ["a"], "outputs": ["out"]},
        '"$SYNC_STEP"'}}'
    echo 0 > .sync
    echo 1 > in
    let_go b
    watch_start
    hold b
    put in 2
    wait_event '.type == "step.log" and .step == "b"'
    put in 3 # what it reads is made anew, with other content
    wait_event '.type == "step.finished" and .step == "b" and .status == "cancelled"'
    let_go b
    watch_settle
    assert_file out 3
    assert_match "$(finished b)" "cancelled tainted,.*passed$"
    settled_truth
    hold b
    put in 4
    wait_event '.type == "step.log" and .step == "b"'
    put in $'# more\n4' # made anew, with the same content
    wait_for a_ended_twice
    let_go b
    watch_settle
    assert_file out 4
    assert_match "$(finished b)" "passed$|cached$"
    settled_truth
    watch_stop
}

test_a_step_that_changes_its_input() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "once": {"run": "grep -q done x || echo done >> x", "inputs": ["x"]},
        "a": {"run": "date +%N >> in", "inputs": ["in"]},
        '"$SYNC_STEP"'}}'
    echo 0 > .sync
    echo 1 > in
    echo 1 > x
    watch_start
    assert_match "$(finished once)" "^(passed|cancelled) tainted,passed$" # the second time it has nothing to do
    runs=$(finished a | tr , '\n' | wc -l)
    [ "$runs" -ge 2 ] && [ "$runs" -le 12 ] || fail "a step that disturbs itself ran $runs times"
    assert_match "$(finished a)" "^(passed|cancelled) tainted(,(passed|cancelled) tainted)*$"
    assert_match "$(events 'select(.step == "a" and .error) | .error' "$T/round" | tail -n 1)" "in changed while it ran.*output"
    watch_settle
    assert_eq "$(others)" "" "it runs without an edit"
    put x 2
    watch_settle
    assert_eq "$(others)" "once" "steps that ran"
    put in new # an edit makes it run again, and not for ever
    watch_settle
    watch_settle
    runs=$(grep -c '"type":"step.started".*"step":"a"' "$T/watch.out")
    [ "$runs" -le 24 ] || fail "a step that disturbs itself ran $runs times"
    assert_eq "$(others)" "" "steps that ran"
    # Nothing was stored: what it saw is not what is there.
    kiln 0 plan --json a
    assert_eq "$(jq -r '.steps[] | select(.step == "a") | .state' "$T/out")" "run"
    watch_stop
}

# One that goes on for a while after it wrote: the watch sees that in mid-run.
test_a_slow_step_that_changes_its_input() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "date +%N >> in; sleep 0.2; echo end", "inputs": ["in"]}, '"$SYNC_STEP"'}}'
    echo 0 > .sync
    echo 1 > in
    watch_start
    watch_settle
    watch_settle
    runs=$(grep -c '"type":"step.started".*"step":"a"' "$T/watch.out")
    [ "$runs" -le 12 ] || fail "a step that disturbs itself ran $runs times"
    assert_eq "$(others)" "" "it runs without an edit"
    grep -q 'declare it as an output' "$T/watch.out" || fail "nothing is said of what to do"
    kiln 0 plan --json a
    assert_eq "$(jq -r '.steps[] | select(.step == "a") | .state' "$T/out")" "run"
    watch_stop
}

test_a_step_that_makes_inputs_of_another() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "gen": {"run": "mkdir -p src/gen; cat tmpl > src/gen/f", "inputs": ["tmpl"]},
        "use": {"run": "cat src/*/f > out", "inputs": ["src"], "outputs": ["out"]}, '"$SYNC_STEP"'}}'
    mkdir -p src/own
    echo own > src/own/f
    echo 1 > tmpl
    echo 0 > .sync
    watch_start
    watch_settle
    assert_file out $'1\nown'
    put tmpl 2
    watch_settle
    watch_settle
    assert_file out $'2\nown'
    settled_truth gen
    watch_stop
}

holds() { # FILE TEXT
    [ "$(cat "$1")" = "$2" ]
}

started_times() { # COUNT
    [ "$(events 'select(.type == "step.started" and .step == "a") | .step' "$T/watch.out" | wc -l)" -ge "$1" ]
}

# Somebody saves each time that the step has begun: to kiln it looks like a step that changes its input, until it stops.
test_saving_faster_than_it_runs() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat in; sleep 0.2; cat in > out", "inputs": ["in"], "outputs": ["out"]},
        '"$SYNC_STEP"'}}'
    put in 0
    put .sync 0
    : > "$T/watch.out"
    "$KILN" watch --json > "$T/watch.out" 2> "$T/watch.err" < /dev/null &
    WATCH_PID=$! IDLE=0 MARK=0 SYNC=0
    for i in 1 2 3 4 5 6 7 8; do
        wait_for started_times "$i"
        put in "$i"
    done
    wait_for holds out 8
    watch_settle
    assert_file out 8
    assert_eq "$(status a "$T/watch.out")" "passed"
    kiln 0 plan --json
    assert_eq "$(jq -r '.steps[] | select(.step == "a") | .state' "$T/out")" cached
    watch_stop
}

# Two hundred small changes, one after another or at once; then the watcher's last word on each step is what a new kiln
# finds.
test_soak() {
    local i n file
    project '{"version": 1, "defaults": {"runner": "host"}, "jobs": 4, "steps": {
        "a": {"run": "find a -type f | sort | xargs -r cat > a.out", "inputs": ["a"], "outputs": ["a.out"]},
        "b": {"run": "find b -type f | sort | xargs -r cat | tr -d x > b.out", "inputs": ["b"], "outputs": ["b.out"]},
        "d": {"run": "rm -rf d.out; mkdir -p d.out/k; cp -a a d.out/k/; sleep 0.05", "inputs": ["a", "!a/**/*.no"], "outputs": ["d.out"]},
        "c": {"run": "cat a.out b.out > c.out; find d.out -type f | sort | xargs -r cat >> c.out", "inputs": ["top"],
              "needs": ["a", "b", "d"], "outputs": ["c.out"]},
        '"$SYNC_STEP"'}}'
    mkdir -p a b spare
    echo 1 > a/1
    echo 1 > b/1
    echo 1 > top
    echo 0 > .sync
    # The outputs are ignored, or git would find them put back when it brings back what it had stashed.
    printf '*.ign\nspare/\n/*.out\n' > .gitignore
    git_project
    RANDOM=${KILN_TEST_SEED:-$((BASHPID))}
    echo "seed $RANDOM" > "$T/seed"
    RANDOM=$(cut -d ' ' -f 2 "$T/seed")
    watch_start
    for ((i = 0; i < 200; i++)); do
        n=$((RANDOM % 4))
        file=$((RANDOM % 2 ? 0 : 1))
        file=$([ "$file" = 0 ] && echo a || echo b)
        case $((RANDOM % 20)) in
        0 | 1 | 2) echo "$i" > "$file/$n" ;;
        3 | 4) put "$file/$n" "$i" ;;
        5) rm -f "$file/$n" ;;
        6) mkdir -p "$file/s$n/t" && echo "$i" > "$file/s$n/t/f" ;;
        7) rm -rf "$file/s$n" ;;
        8) mv -T "$file/s$n" "$file/s$((RANDOM % 4))" 2> "$T/null" || : ;;
        9) rm -rf spare && { mv "$file/s$n" spare 2> "$T/null" || mkdir spare; } ;;
        10) mv spare "$file/m$n" 2> "$T/null" || : ;;
        11) echo x >> "$file/$n" ;;
        12) touch "$file"/* 2> "$T/null" || : ;;
        13) echo "$i" > "$file/$n.ign" ;;
        14) echo "$i" > top ;;
        15) rm -rf a.out c.out d.out 2> "$T/null" || : ;; # something may be writing there
        16) echo harm > "$file.out" ;;
        17) echo "$i" > "$file/$n.no" ;;
        18) [ -e a/.gitignore ] && rm a/.gitignore || echo '[0-2]' > a/.gitignore ;;
        19)
            git stash -q -u > "$T/null" 2>&1 && git stash pop -q > "$T/null" 2>&1 || :
            mkdir -p a b # git forgets empty ones
            ;;
        esac
        if [ $((RANDOM % 12)) = 0 ]; then watch_settle; fi
    done
    # A step whose output was taken from under it has failed, truly so, and waits for an edit.
    for file in a/end b/end top; do put "$file" end; done
    watch_settle
    watch_settle # what the last one put back has settled, too
    kiln 0 plan --json
    for step in a b c d; do
        assert_eq "$(jq -r ".steps[] | select(.step == \"$step\") | .state + \" \" + .key" "$T/out")" \
            "cached $(events "select(.type == \"step.finished\" and .step == \"$step\" and .key) | .key" "$T/watch.out" | tail -n 1)" \
            "$step ($(cat "$T/seed"))"
    done
    cp c.out "$T/c.out"
    kiln 0 run --json
    assert_eq "$(ran)" "" "steps that ran"
    cmp c.out "$T/c.out" || fail "c.out was not in place ($(cat "$T/seed"))"
    watch_stop
}

run_tests
