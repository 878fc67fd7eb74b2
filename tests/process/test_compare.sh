#!/usr/bin/env bash
# Where two runs begin to differ (kiln compare), and why a step failed that had passed (kiln explain --last-pass).
. "$(dirname "$0")/lib.sh"

PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "name": "demo", "steps": {
    "gen": {"run": "cat src/* > out.txt", "inputs": ["src"], "outputs": ["out.txt"], "env": {"CC": "gcc"}},
    "other": {"run": "true", "inputs": ["t"]},
    "test": {"run": "grep -q good out.txt", "inputs": ["t"], "needs": ["gen"]}}}'

begin() {
    project "$PIPELINE"
    mkdir -p src t
    echo good > src/a
    echo same > src/b
    echo 1 > t/x
    kiln 0 run
}

first() { # FILTER: of the first difference
    jq -r ".first | $1" "$T/out"
}

test_first_difference_with_its_files() {
    begin
    echo bad > src/a
    echo new > src/c
    kiln 1 run
    kiln 1 compare 1 2
    assert_out '^run 1 and run 2 part at gen: its inputs are others:$'
    assert_out '^  file        src/a  [0-9a-f]{6} -> [0-9a-f]{6}$'
    assert_out '^  file        src/c  added [0-9a-f]{6}$'
    assert_no_out 'src/b'
    assert_out '^Differs because of what it needs: test$'
    kiln 1 compare --json 1 2
    assert_eq "$(first '[.step, .what, .inputs_known] | join(" ")')" "gen key true"
    assert_eq "$(first '.reasons | map(.kind + " " + .subject) | join(",")')" "file src/a,file src/c"
    assert_eq "$(jq -r '.differs | map(.step + " " + .what + " " + (.follows | tostring)) | join(",")' "$T/out")" \
        "gen key false,test key true"
    kiln 0 compare 1 1
    assert_out '^run 1 and run 1 do not differ: 3 steps'
}

# Results that have been superseded since are still told apart file by file.
test_old_results_are_still_known() {
    local i
    begin
    for i in 2 3 4; do
        echo "good $i" > src/a
        kiln 0 run
    done
    kiln 1 compare --json 01 2
    assert_eq "$(first '[.step, .inputs_known, .reasons[0].subject] | join(" ")')" "gen true src/a"
}

test_command_and_variables() {
    begin
    sed -i 's/gcc/clang/; s/cat src/sort src/' kiln.json
    kiln 0 run
    kiln 1 compare 1 2
    assert_out '^  command     cat src/\* > out.txt -> sort src/\* > out.txt$'
    assert_out '^  env         CC +gcc -> clang$'
}

# A run of another machine is a file; what its files were is not known here, the rest is told.
test_run_of_elsewhere() {
    begin
    mkdir "$T/ci"
    cp -r src t kiln.json "$T/ci"
    cd "$T/ci"
    sed -i 's/cat src/sort src/' kiln.json
    export XDG_STATE_HOME=$T/ci-state XDG_CACHE_HOME=$T/ci-cache
    kiln 0 run --json
    cp "$T/out" "$T/ci.ndjson"
    export XDG_STATE_HOME=$HOME/.local/state XDG_CACHE_HOME=$HOME/.cache
    cd "$P"
    kiln 1 compare 1 "$T/ci.ndjson"
    assert_out "^run 1 and $T/ci.ndjson part at gen"
    assert_out '^  command     cat src/\* > out.txt -> sort src/\* > out.txt$'
    assert_out '^Which of its files and variables differ is not known'
    kiln 1 compare --json "$T/ci.ndjson" 1
    assert_eq "$(first '[.step, .inputs_known] | join(" ")')" "gen false"
    cd "$T" # two files need no project
    kiln 0 compare "$T/ci.ndjson" "$T/ci.ndjson"
}

test_same_inputs_other_outputs_or_other_end() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "stamp": {"run": "cat \"$HIDDEN\" > out.txt", "inputs": ["t"], "outputs": ["out.txt"], "env": {"HIDDEN": "'"$T/hidden"'"}},
        "flaky": {"run": "! grep -q bad '"$T/hidden"'", "inputs": ["t"], "needs": []}}}'
    mkdir t
    echo 1 > "$T/hidden"
    kiln 0 run
    echo 2 > "$T/hidden"
    kiln 0 run --force
    kiln 1 compare 1 2
    assert_out '^run 1 and run 2 part at stamp: it gave other outputs for the same inputs:$'
    assert_out '^  output      out.txt  [0-9a-f]{6} -> [0-9a-f]{6}$'
    kiln 1 compare --json 1 2
    assert_eq "$(first .what)" outputs
    echo bad > "$T/hidden"
    kiln 1 run --force=flaky flaky
    kiln 1 compare 2 3
    assert_out 'part at flaky: with the same inputs it passed in the one and failed in the other \(failed with exit code 1\)\.$'
    assert_out '^Only in the first: stamp$'
    kiln 0 explain --last-pass flaky
    assert_out '^flaky passed in run 1 and failed in run 3 with the same inputs:$'
    # A run that is named is what is told of, whatever came of the same inputs since.
    kiln 1 run --force=flaky flaky
    kiln 0 explain --last-pass flaky --run 3
    assert_out '^flaky passed in run 1 and failed in run 3 with the same inputs:$'
    echo good > "$T/hidden"
    kiln 0 run flaky --force=flaky
    kiln 0 explain --last-pass flaky --run 4
    assert_out '^flaky passed in run 5 and failed in run 4 with the same inputs:$'
    kiln 0 explain --last-pass --json flaky --run 4
    jq -e '.status == "failed" and .run == "4" and .since.run == "5"' "$T/out" > /dev/null
    kiln 0 explain --last-pass flaky --run 2
    assert_out '^flaky passed in run 2: nothing fails\.$'
}

# What was skipped or ended early is no difference, and not taken for being the same.
test_not_compared() {
    begin
    sed -i 's/cat src/false \&\& cat src/' kiln.json
    kiln 1 run
    kiln 1 compare --json 1 2
    assert_eq "$(jq -r '.not_compared | join(" ")' "$T/out")" "test"
    assert_eq "$(jq -r '.differs | map(.step) | join(" ")' "$T/out")" "gen"
}

test_nothing_in_common() {
    begin
    kiln 0 run other
    kiln 0 run gen
    kiln 1 compare 2 3
    assert_out 'run 2 and run 3 cannot be compared: there is no step that both got to\.$'
    kiln 1 compare --json 2 3
    jq -e '(.same | not) and .first == null and .only_a == ["other"] and .only_b == ["gen"]' "$T/out" > /dev/null
}

test_bad_arguments() {
    begin
    kiln 2 compare 1
    assert_err 'wants A B'
    kiln 2 compare 1 77
    assert_err 'there is no run 77 on record'
    kiln 2 compare 1 nofile
    assert_err 'cannot open nofile: No such file'
    kiln 2 compare . 1
    assert_err '\. is a directory'
    kiln 2 compare 1 kiln.json
    assert_err 'has no run of kiln in it'
    head -c 100000 /dev/urandom > "$T/noise"
    kiln 2 compare "$T/noise" 1
    cd "$T"
    kiln 2 compare 1 "$T/noise"
}

test_last_pass() {
    begin
    echo bad > src/a
    kiln 1 run
    kiln 0 explain --last-pass test
    assert_out '^test passed in run 1 and failed in run 2\. What differs:$'
    assert_out '^  upstream    gen: out.txt  [0-9a-f]{6} -> [0-9a-f]{6}$'
    kiln 0 explain --last-pass --json test
    jq -e '.status == "failed" and .run == "2" and .since.run == "1" and .reasons_total == 1 and .reasons[0].step == "gen"' "$T/out" > /dev/null
    echo worse > src/a # what is there now is not what failed
    kiln 0 explain --last-pass --json test
    jq -e '.reasons[0].subject == "out.txt"' "$T/out" > /dev/null
    kiln 0 explain --last-pass gen
    assert_out '^gen passed when it last ran, in run 2'
    kiln 2 explain --last-pass tset
    assert_err 'did you mean "test"'
    sed -i 's/"other"/"never"/' kiln.json
    kiln 2 explain --last-pass never
    assert_err 'has not run yet'
}

test_never_passed() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"x": {"run": "false"}}}'
    kiln 1 run
    kiln 0 explain --last-pass x
    assert_out '^x failed in run 1, and has not passed yet'
    kiln 0 explain --last-pass --json x
    jq -e '(has("since") | not) and .reasons_total == 0' "$T/out" > /dev/null
}

run_tests
