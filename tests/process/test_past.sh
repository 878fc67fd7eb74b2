#!/usr/bin/env bash
# What commands tell about the past and about kiln itself: logs, runs, cache, help, schema, completion.
. "$(dirname "$0")/lib.sh"

PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "steps": {
    "build": {"run": "cat in > out; echo built; echo oops >&2", "inputs": ["in"], "outputs": ["out"]},
    "test": {"run": "grep -q good out || exit 3", "inputs": [], "needs": ["build"]}}}'

test_logs_of_steps() {
    project "$PIPELINE"
    kiln 0 logs
    assert_out "nothing has run here yet"
    echo good > in
    kiln 0 run
    kiln 0 logs build
    assert_eq "$(sort "$T/out")" $'built\noops'
    kiln 0 run
    kiln 0 logs build # cached now: its newest execution
    assert_eq "$(sort "$T/out")" $'built\noops'
    kiln 2 logs build --run 2
    assert_err 'cached in run 2; it last ran in run 1: kiln logs --run 1 -- build'
    kiln 2 logs biuld
    assert_err 'no step "biuld"; did you mean "build"'
    kiln 2 logs build --run 77
    assert_err 'no run 77'
    kiln 0 logs --json --run 1
    assert_eq "$(jq -r '.steps[] | .step + " " + .status' "$T/out")" $'build passed\ntest passed'
    assert_eq "$(grep -c built "$(jq -r '.steps[0].log' "$T/out")")" 1
}

test_failing_log_is_shown() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "seq 3000; exit 4", "inputs": []}}}'
    kiln 1 run
    assert_out '^a: FAILED with exit code 4 after '
    assert_out '^---- a: FAILED with exit code 4 after '
    assert_eq "$(grep -cE '^[0-9]+$' "$T/out")" 3000
    assert_out '^kiln: failed: 1 failed in '
    assert_no_err
}

test_runs() {
    project "$PIPELINE"
    kiln 0 runs --json
    assert_eq "$(jq length "$T/out")" 0
    echo good > in
    kiln 0 run
    echo bad > in
    kiln 1 run
    kiln 0 runs --json
    assert_eq "$(jq -r '.[] | "\(.run) \(.status) \(.passed) \(.failed)"' "$T/out")" \
        $'2 failed 1 1\n1 passed 2 0'
    kiln 0 runs
    assert_out '^ +2 .* failed +.* 1 failed, 1 passed$'
}

test_the_past_of_a_broken_pipeline() {
    project "$PIPELINE"
    echo good > in
    kiln 0 run
    project '{"version": 1'
    kiln 0 logs build
    assert_out '^built$'
    assert_err 'kiln.json'
    kiln 0 runs
    assert_out '^ +1 '
}

test_cache() {
    project "$PIPELINE"
    echo good > in
    kiln 0 run
    kiln 0 cache stats --json
    assert_eq "$(jq -r .path "$T/out")" "$XDG_CACHE_HOME/kiln"
    assert_eq "$(jq -r .actions "$T/out")" 2
    kiln 2 cache clear
    assert_err '\-\-yes'
    kiln 0 cache stats --json
    assert_eq "$(jq -r .actions "$T/out")" 2
    kiln 0 cache clear --yes
    kiln 0 cache stats --json
    assert_eq "$(jq -rc '[.blobs, .bytes, .actions]' "$T/out")" "[0,0,0]"
    kiln 0 run --json
    assert_eq "$(ran)" "build test"
    assert_match "$(reasons build)" "^evicted"
}

test_about_kiln() {
    kiln 0 version
    assert_out '^kiln [0-9]+\.[0-9]+\.[0-9]+$'
    kiln 0 --version
    assert_out '^kiln [0-9]'
    kiln 0 schema
    assert_match "$(jq -r '."$schema"' "$T/out")" "2020-12"
    kiln 0 schema --settings
    assert_eq "$(jq -c '.properties.theme.enum' "$T/out")" '["auto","dark","light","high-contrast","mono"]'
    assert_match "$(jq -r '.properties.keys.properties.retry.description' "$T/out")" 'again'
    assert_eq "$(jq -c '.properties.keys.properties["next-pane"]["$ref"]' "$T/out")" '"#/$defs/keys"'
    kiln 0 help
    assert_out '^  cache stats\|gc\|verify\|clear$'
    kiln 0 run --help
    assert_out '^  kiln run '
    kiln 2 rnu
    assert_err '^kiln: .*did you mean "run"'
    [ ! -s "$T/out" ] || fail "standard output is for what was asked"
}

# The example in the documents is what the schema describes, and what kiln takes.
test_documented_settings() {
    sed -n '/^## Settings/,$p' "$SOURCE_DIR/docs/tui.md" | sed -n '/^```json/,/^```/p' | sed '/^```/d' > "$T/config.json"
    assert_match "$(jq -r .theme "$T/config.json")" .
    kiln 0 schema --settings
    assert_eq "$(jq -c --slurpfile schema "$T/out" 'keys - ($schema[0].properties | keys)' "$T/config.json")" '[]'
    assert_eq "$(jq -c --slurpfile schema "$T/out" '(.keys | keys) - ($schema[0].properties.keys.properties | keys)' "$T/config.json")" '[]'
    if python3 -c 'import jsonschema' 2> /dev/null; then
        python3 -c '
import json, sys, jsonschema
schema, example = json.load(open(sys.argv[1])), json.load(open(sys.argv[2]))
jsonschema.Draft202012Validator.check_schema(schema)
check = jsonschema.Draft202012Validator(schema)
check.validate(example)
for wrong in {"theme": "ligth"}, {"mose": True}, {"keys": {"quit": ["Taab"]}}, {"keys": {"quit": list("abcdef")}}:
    assert not check.is_valid(wrong), wrong
' "$T/out" "$T/config.json" || fail "the schema does not hold for the documented example"
    fi
}

test_completion() {
    project "$PIPELINE"
    kiln 0 completion steps
    assert_eq "$(cat "$T/out")" $'build\ntest'
    kiln 0 completion bash
    bash -n "$T/out"
    mkdir "$T/path" # where it is called so, whatever this one is
    ln -s "$(realpath "$KILN")" "$T/path/kiln"
    PATH=$T/path:$PATH
    # shellcheck disable=SC2034
    got=$(bash -c '. "$0"; COMP_WORDS=(kiln run b); COMP_CWORD=2; _kiln; echo "${COMPREPLY[@]}"' "$T/out")
    assert_eq "$got" build
    kiln 0 completion fish
    assert_out "^complete -c kiln "
}

test_output_that_cannot_be_written() {
    RC=0
    "$KILN" schema > /dev/full 2> "$T/err" || RC=$?
    assert_eq "$RC" 3 "exit code"
    assert_err 'standard output could not be written'
    project "$PIPELINE"
    echo good > in
    kiln 0 run
    RC=0
    "$KILN" runs > /dev/full 2> "$T/err" || RC=$?
    assert_eq "$RC" 3 "exit code"
}

test_watch_rounds() {
    project "$PIPELINE"
    echo good > in
    watch_start
    assert_eq "$(ran "$T/round")" "build test"
    echo "good too" > in
    watch_idle
    assert_eq "$(ran "$T/round")" "build test"
    watch_stop
    assert_eq "$RC" 130 "exit code"
}

run_tests
