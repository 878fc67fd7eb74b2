#!/usr/bin/env bash
# Watching a pipeline that changes: kiln.json edited, broken, mended, gone; what a generator reads.
. "$(dirname "$0")/lib.sh"

A='"a": {"run": "cat in > out; cat out", "inputs": ["in"], "outputs": ["out"]}'
B='"b": {"run": "cat out; echo b", "inputs": [], "needs": ["a"]}'

pipeline() { # STEPS
    printf '{"version": 1, "defaults": {"runner": "host"}, "steps": {%s,\n%s}}' "$1" "$SYNC_STEP"
}

begin() {
    project "$(pipeline "$A, $B")"
    echo 1 > in
    echo 0 > .sync
    watch_start "$@"
}

steps() { # of the pipeline that was loaded last
    events 'select(.type == "pipeline.loaded") | [.steps[].step] | sort | join(" ")' "$T/watch.out" | tail -n 1
}

errors() {
    events 'select(.type == "notice" and .level == "error") | .text' "$T/round"
}

test_a_new_pipeline() {
    begin
    put kiln.json "$(pipeline "$A, ${B/echo b/echo bb}")"
    watch_settle
    assert_eq "$(others)" "b" "steps that ran"
    assert_match "$(reasons b "$T/round")" "^command"
    assert_eq "$(step_log b "$T/round")" $'1\nbb'
    put kiln.json "$(pipeline "$A, $B")"
    watch_settle
    assert_eq "$(others)" "" "steps that ran" # as before
    put kiln.json "$(pipeline "$A, $B, \"c\": {\"run\": \"echo c\", \"inputs\": [\"in\"]}")"
    watch_settle
    assert_eq "$(others)" "c" "steps that ran"
    assert_eq "$(steps)" "a b c sync"
    put in 2
    watch_settle
    assert_eq "$(others)" "a b c" "steps that ran"
    put kiln.json "$(pipeline "$A")"
    watch_settle
    assert_eq "$(others)" "" "steps that ran"
    assert_eq "$(steps)" "a sync"
    put in 3
    watch_settle
    assert_eq "$(others)" "a" "steps that ran"
    assert_file out 3
    watch_stop
    assert_eq "$RC" 130
}

test_layout_and_comments_run_nothing() {
    begin
    put kiln.json "// a comment
$(pipeline "$A,   $B")"
    watch_settle
    assert_eq "$(others)" "" "steps that ran"
    touch kiln.json
    watch_settle
    assert_eq "$(others)" "" "steps that ran"
    assert_eq "$(rounds)" 0 "rounds"
    watch_stop
}

test_a_broken_pipeline_and_a_mended_one() {
    begin
    for broken in '{"version": 1, "defaults": {"runner": "host"}, "steps": {' '{"version": 1, "defaults": {"runner": "host"},
"steps": {"a": {"run": ":", "inptus": []}}}' '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": ":", "needs": ["a"]}}}' '' 'nonsense'; do
        put kiln.json "$broken"
        watch_settle
        assert_match "$(errors)" "kiln\.json:[0-9]+:[0-9]+" "what is said about $broken"
        assert_eq "$(others)" "" "steps that ran"
        put in "$RANDOM$RANDOM" # the last good one still stands
        watch_settle
        assert_eq "$(others)" "a b" "steps that ran"
        assert_eq "$(errors)" "" "it says it again"
    done
    put kiln.json "$(pipeline "$A, ${B/echo b/echo mended}")"
    watch_settle
    assert_eq "$(errors)" ""
    assert_eq "$(others)" "b" "steps that ran"
    watch_stop
}

test_a_pipeline_that_goes_and_comes() {
    begin
    mv kiln.json "$T/kiln.json"
    watch_settle
    assert_match "$(errors)" "kiln\.json"
    put in 2
    watch_settle
    assert_eq "$(others)" "a b" "steps that ran"
    mv "$T/kiln.json" kiln.json
    watch_settle
    assert_eq "$(others)" "" "steps that ran"
    assert_eq "$(errors)" ""
    rm kiln.json
    watch_settle
    put kiln.json "$(pipeline "$A")"
    watch_settle
    assert_eq "$(steps)" "a sync"
    put in 3
    watch_settle
    assert_eq "$(others)" "a" "steps that ran"
    watch_stop
}

test_a_chosen_step_that_goes() {
    begin b sync
    put kiln.json "$(pipeline "$A")"
    watch_settle
    assert_match "$(errors)" "no step \"b\""
    put in 2
    watch_settle
    assert_eq "$(others)" "a b" "steps that ran"
    put kiln.json "$(pipeline "$A, $B")"
    watch_settle
    put in 3
    watch_settle
    assert_eq "$(others)" "a b" "steps that ran"
    watch_stop
}

# What runs is ended, and its processes are gone, before the new one begins.
test_a_new_pipeline_in_mid_run() {
    begin
    put kiln.json "$(pipeline "$A, \"long\": {\"run\": \"echo pid \$\$; exec sleep 1000\", \"inputs\": []}")"
    wait_event '.type == "step.log" and .step == "long"'
    pid=$(since 'select(.type == "step.log" and .step == "long") | .data' | sed 's/pid //')
    kill -0 "$pid"
    put kiln.json "$(pipeline "$A, $B")"
    wait_event '.type == "step.finished" and .step == "long" and .status == "cancelled"'
    gone "$pid" || fail "process $pid of the old pipeline is alive"
    watch_settle
    assert_eq "$(steps)" "a b sync"
    put in 2
    watch_settle
    assert_eq "$(others)" "a b" "steps that ran"
    watch_stop
}

# A newer pipeline still, while what runs is being ended for a new one.
test_an_edit_while_the_pipeline_changes() {
    begin
    put kiln.json "$(pipeline "$A, \"long\": {\"run\": \"trap 'echo ends; while [ ! -e $T/go ]; do sleep 0.05; done; exit' TERM; echo begun; while :; do sleep 0.05; done\", \"inputs\": []}")"
    wait_event '.type == "step.log" and .data == "begun\n"'
    put kiln.json "$(pipeline "$A, ${B/echo b/echo second}")"
    wait_event '.type == "step.log" and .data == "ends\n"'
    put kiln.json "$(pipeline "$A, ${B/echo b/echo third}")"
    : > "$T/go"
    wait_event '.type == "step.log" and .step == "b" and (.data | test("third"))'
    watch_settle
    assert_eq "$(status b "$T/round")" "passed"
    watch_stop
}

# What the generator reads changes while it runs: the last word counts, and nothing is idle before it is there.
test_an_edit_while_the_generator_runs() {
    mkdir ci
    cat > ci/make.sh << END
echo begun >> $T/begun
while [ ! -e $T/go ]; do sleep 0.02; done
printf '{"version": 1, "defaults": {"runner": "host"}, "steps": {%s, "a": {"run": "echo %s", "inputs": ["in"]}}}' '$SYNC_STEP' "\$(cat ci/word)"
END
    echo one > ci/word
    echo 1 > in
    echo 0 > .sync
    : > "$T/go"
    project '{"version": 1, "generate": {"run": "sh ci/make.sh", "inputs": ["ci"]}}'
    watch_start
    assert_eq "$(step_log a "$T/round")" "one"
    for word in two three four; do
        rm "$T/go"
        begun=$(wc -l < "$T/begun")
        put ci/word "not $word"
        wait_for has_lines "$T/begun" begun $((begun + 1))
        put ci/word "$word"
        put in "$word"
        wait_event '.type == "step.started" and .step == "a"' # the last pipeline still stands
        : > "$T/go"
        watch_idle
        assert_eq "$(step_log a "$T/watch.out" | tail -n 1)" "$word"
    done
    watch_stop
}

test_many_edits_of_the_pipeline() {
    local i
    begin
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        put kiln.json "$(pipeline "$A, ${B/echo b/echo b$i}")"
        [ $((i % 4)) != 0 ] || put kiln.json "{"
        put in "$i"
    done
    watch_settle
    watch_settle
    kiln 0 plan --json
    assert_eq "$(jq -r '.steps[] | .step + " " + .state' "$T/out" | paste -sd ,)" "a cached,sync cached,b cached"
    assert_file out 15
    kiln 0 logs b
    assert_eq "$(cat "$T/out")" $'15\nb15'
    watch_stop
}

test_what_a_generator_reads() {
    mkdir ci
    cat > ci/make.sh << 'END'
printf '{"version": 1, "defaults": {"runner": "host"}, "steps": {"sync": {"run": "cat .sync", "inputs": [".sync"]}'
while read -r name; do printf ', "%s": {"run": "echo %s", "inputs": ["in"]}' "$name" "$name"; done < ci/names
printf '}}'
END
    printf 'one\ntwo\n' > ci/names
    echo 1 > in
    echo 0 > .sync
    echo doc > doc
    project '{"version": 1, "generate": {"run": "sh ci/make.sh", "inputs": ["ci"]}}'
    watch_start
    assert_eq "$(steps)" "one sync two"
    put ci/names $'one\nthree'
    watch_settle
    assert_eq "$(steps)" "one sync three"
    assert_eq "$(others)" "three" "steps that ran"
    loads=$(grep -c pipeline.loaded "$T/watch.out")
    put doc "not read by it"
    put in 2
    watch_settle
    assert_eq "$(others)" "one three" "steps that ran"
    assert_eq "$(grep -c pipeline.loaded "$T/watch.out")" "$loads" "pipelines loaded"
    put ci/make.sh 'echo broken >&2; exit 3'
    watch_settle
    assert_match "$(errors)" "generator.*exit code 3.*broken"
    put in 3
    watch_settle
    assert_eq "$(others)" "one three" "steps that ran"
    put ci/make.sh 'echo "{"'
    watch_settle
    [ -n "$(errors)" ] || fail "nothing is said of a generator that makes no pipeline"
    put ci/make.sh "$(printf 'printf '"'"'{"version": 1, "defaults": {"runner": "host"}, "steps": {"last": {"run": "echo last", "inputs": ["in"]}, "sync": {"run": "cat .sync", "inputs": [".sync"]}}}'"'")"
    watch_settle
    assert_eq "$(steps)" "last sync"
    assert_eq "$(others)" "last" "steps that ran"
    watch_stop
}

# A pipeline outside of the tree that it is for.
test_config_named_outright() {
    mkdir sub
    echo 1 > in
    echo 0 > .sync
    pipeline "$A" > other.json
    cd "$P"
    watch_start --config other.json
    assert_eq "$(ran "$T/round")" "a sync"
    pipeline "${A/cat out/cat out; echo more}" > "$T/new"
    mv "$T/new" other.json
    watch_settle
    assert_eq "$(others)" "a" "steps that ran"
    watch_stop
}

# The generator takes long, and meanwhile the pipeline's file becomes another one: that counts, not what was read at first.
test_an_edit_before_the_first_round() {
    generating() {
        printf '%s' '{"version": 1, "generate": {"run": "echo x >> \"$T/begun\"; while [ ! -e \"$T/go\" ]; do sleep 0.02; done; echo {\\\"version\\\":1,\\\"steps\\\":{\\\"'"$1"'\\\":{\\\"run\\\":\\\"true\\\"}}}", "inputs": [], "pass_env": ["T"]}}'
    }
    project "$(generating old)"
    export T
    : > "$T/watch.out"
    "$KILN" watch --json > "$T/watch.out" 2> "$T/watch.err" < /dev/null &
    WATCH_PID=$!
    wait_for test -s "$T/begun"
    generating new > "$P/next"
    mv "$P/next" "$P/kiln.json"
    touch "$T/go"
    wait_for grep -q '"type":"step.finished".*"step":"new"' "$T/watch.out"
    kill -INT "$WATCH_PID"
    wait "$WATCH_PID" || true
}

run_tests
