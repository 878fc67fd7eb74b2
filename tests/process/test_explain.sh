#!/usr/bin/env bash
# Why a step runs, as kiln explain, kiln plan and the events tell it; and the shapes of what --json prints.
. "$(dirname "$0")/lib.sh"

# why STEP: its reasons as kiln explain tells them, "kind subject old new", one a line; hashes cut to six.
why() {
    kiln 0 explain --json "$1"
    jq -r '.reasons[] | [.kind, .subject, .old, .new] | map(. // "-") | map(gsub("(?<a>[0-9a-f]{6})[0-9a-f]{58}"; .a)) | join(" ")' "$T/out"
}

sha() {
    printf '%s\n' "$1" | sha256sum | cut -c 1-6
}

# check FILTER [FILE]: every object of the output must answer true.
check() {
    jq -e -s "all(.[]; $1)" "${2:-$T/out}" > /dev/null || fail "not true of all: $1"
}

PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "name": "demo", "steps": {
    "build": {"run": "cat src/* > out", "inputs": ["src"], "outputs": ["out"], "env": {"CC": "gcc"}, "pass_env": ["MODE"]},
    "test": {"run": "grep -q . out", "inputs": ["t"], "needs": ["build"]}}}'

test_each_reason() {
    project "$PIPELINE"
    mkdir src t
    echo 1 > src/a
    echo 1 > t/x
    assert_eq "$(why build)" "new - - -"
    kiln 0 run
    assert_eq "$(why build)" ""
    assert_eq "$(jq -r .state "$T/out")" cached
    echo 2 > src/a
    echo 3 > src/b
    assert_eq "$(why build)" "file src/a $(sha 1) $(sha 2)"$'\n'"file src/b - $(sha 3)"
    kiln 0 explain build
    assert_out "^build would run\. Since run 1, where it passed, .* ago:$"
    assert_out "^  file        src/a  $(sha 1) -> $(sha 2)$"
    assert_out "^  file        src/b  added $(sha 3)$"
    echo 4 > src/ü
    kiln 0 explain build
    assert_out "^  file        src/ü  added $(sha 4)$"
    rm src/ü
    assert_eq "$(why test)" ""
    assert_eq "$(jq -r .state "$T/out")" pending
    kiln 0 explain test
    assert_out "^test waits"
    rm src/b
    echo 1 > src/a
    assert_eq "$(why build)" "" "a revert"
    chmod +x src/a
    assert_eq "$(why build)" "file src/a $(sha 1) $(sha 1) +x"
    chmod -x src/a
    sed -i 's/cat src/sort src/; s/gcc/clang/' kiln.json
    assert_eq "$(MODE=fast why build)" $'command - cat src/* > out sort src/* > out\nenv CC gcc clang\nenv MODE - fast'
    MODE=fast kiln 0 explain build
    assert_out "^  command     cat src/\* > out -> sort src/\* > out$"
    assert_out "^  env         CC    gcc -> clang$"
    assert_out "^  env         MODE  added fast$"
    project "${PIPELINE/'["out"]'/'["out", "out2"], "cwd": "src"'}"
    assert_eq "$(why build | sort)" $'settings cwd . src\nsettings outputs out out out2'
    project "${PIPELINE/\"env\"/\"cache\": false, \"env\"}"
    assert_eq "$(why build)" "uncacheable - - -"
    project "$PIPELINE"
    kiln 0 cache clear --yes
    assert_eq "$(why build)" "evicted - - -"
    kiln 0 run
    rm -r src
    mkdir src
    echo other > src/c
    kiln 0 run --json build
    assert_eq "$(reasons build | sort)" $'file src/a\nfile src/c'
    kiln 0 run --json test
    assert_eq "$(events 'select(.type == "step.started" and .step == "test") | .reasons[] | "\(.kind) \(.step) \(.subject)"')" "upstream build out"
    kiln 0 run --json --force=test
    assert_eq "$(reasons test)" forced
}

test_upstream_reason_has_old_and_new() {
    project "$PIPELINE"
    mkdir src t
    echo 1 > src/a
    kiln 0 run
    echo 2 > src/a
    kiln 0 run build
    kiln 0 explain --json test
    check '.state == "run"'
    assert_eq "$(jq -r '.reasons[] | "\(.kind) \(.step) \(.subject) \(.old[:6]) \(.new[:6])"' "$T/out")" "upstream build out $(sha 1) $(sha 2)"
    kiln 0 explain test
    assert_out "^  upstream    build: out  $(sha 1) -> $(sha 2)$"
}

test_failed_reason() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "exit 1", "inputs": ["in"]}}}'
    echo 1 > in
    kiln 1 run
    assert_eq "$(why a)" "failed - - -"
    echo 2 > in
    assert_eq "$(why a)" "file in $(sha 1) $(sha 2)"$'\n'"failed - - -"
}

test_links_and_kinds() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": ["src"]}}}'
    mkdir src
    ln -s old src/link
    echo 1 > src/thing
    kiln 0 run
    ln -sfn new src/link
    rm src/thing
    mkdir src/thing
    echo 2 > src/thing/deep
    assert_eq "$(why a | sort)" "$(printf '%s\n' "file src/link -> old -> new" "file src/thing $(sha 1) -" "file src/thing/deep - $(sha 2)" | sort)"
}

test_what_explain_refuses() {
    project "$PIPELINE"
    mkdir src t
    kiln 2 explain
    kiln 2 explain bild
    assert_err 'no step "bild".*"build"'
    kiln 2 explain build test
    kiln 2 explain --wrong build
}

test_plan_json() {
    project "$PIPELINE"
    mkdir src t
    echo 1 > src/a
    PLAN='(keys == ["pipeline", "steps"]) and (.pipeline == "demo") and ([.steps[] |
        (.step | type == "string") and (.state | IN("cached", "run", "pending")) and
        (if .state == "pending" then .key == null else (.key | test("^[0-9a-f]{64}$")) end) and
        (.needs | type == "array") and (.reasons | type == "array") and
        ([.reasons[] | (.kind | IN("new", "file", "command", "env", "upstream", "settings", "forced", "evicted", "failed", "tainted", "uncacheable")) and
            has("subject") and has("old") and has("new")] | all)] | all)'
    states() { kiln 0 plan --json "$@"; check "$PLAN"; jq -r '.steps[] | "\(.step)=\(.state)"' "$T/out" | paste -sd ' '; }
    assert_eq "$(states)" "build=run test=pending"
    assert_eq "$(jq -r '.steps[1].needs[0]' "$T/out")" build
    kiln 0 run build
    assert_eq "$(states)" "build=cached test=run"
    kiln 0 run
    assert_eq "$(states)" "build=cached test=cached"
    assert_eq "$(states build)" "build=cached"
    echo 2 > src/a
    assert_eq "$(states)" "build=run test=pending"
    [ ! -e "$P/out2" ] || fail "a plan made something"
    kiln 0 plan
    assert_out '^run +build$'
    assert_out '^ +file +src/a '
    assert_out '^pending +test$'
    assert_out '^1 of 2 would run, 1 wait'
    kiln 0 plan --dot
    assert_out '"build" -> "test";'
    kiln 0 plan --mermaid
    assert_out '^flowchart LR$'
    kiln 2 plan nosuch
    kiln 2 plan --json --dot
}

# The key that a plan tells is the one that the run has.
test_plan_and_run_agree() {
    project "$PIPELINE"
    mkdir src t
    echo 1 > src/a
    kiln 0 plan --json build
    key=$(jq -r '.steps[0].key' "$T/out")
    kiln 0 run --json build
    assert_eq "$(events 'select(.type == "step.started") | .key')" "$key"
    assert_eq "$(events 'select(.type == "step.finished") | .key')" "$key"
    [ -s "$XDG_CACHE_HOME/kiln/v1/ac/${key:0:2}/$key" ] || fail "no action result of that key"
}

test_a_plan_leaves_no_trace_in_the_project() {
    project "$PIPELINE"
    mkdir src t
    echo 1 > src/a
    find . | sort > "$T/before"
    kiln 0 plan
    kiln 0 explain build
    find . | sort > "$T/after"
    diff "$T/before" "$T/after" || fail "the project changed"
}

HEAD='(.type | type == "string") and (.seq | type == "number") and (.time | test("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[.][0-9]{9}Z$")) and has("run")'

# shape TYPE FILTER: all events of the type answer true, and there are some.
shape() {
    jq -s -e "[.[] | select(.type == \"$1\")] | length > 0 and all(.[]; $2)" "$T/out" > /dev/null || fail "$1: $2"
}

test_events() {
    project '{"version": 1, "defaults": {"runner": "host"}, "name": "demo", "jobs": 2, "steps": {
        "hit": {"run": "echo hit > o; printf out; printf err >&2; printf \"\\377\\n\"", "inputs": [], "outputs": ["o"]},
        "good": {"run": "true", "inputs": [], "needs": ["hit"]},
        "bad": {"run": "kill -9 $$", "inputs": [], "needs": ["good"]},
        "slow": {"run": "sleep 100", "inputs": [], "timeout": "1s"},
        "never": {"run": "true", "inputs": [], "needs": ["bad"]}}}'
    kiln 0 run hit
    rm o
    kiln 1 run --json -k
    check "$HEAD"
    assert_eq "$(jq .seq "$T/out")" "$(seq "$(wc -l < "$T/out")")" "numbers"
    assert_eq "$(jq .schema "$T/out" | head -n 1)" 1
    assert_eq "$(jq -s '[.[].schema | select(. != null)] | length' "$T/out")" 1
    shape run.started '(.run == "2") and (.version | test("^[0-9]+[.]")) and .pipeline == "demo" and (.root | startswith("/")) and .steps == ["hit", "good", "bad", "slow", "never"] and .jobs == 2 and .trigger == "command"'
    shape step.queued '.step | type == "string"'
    shape step.started '(.step | type == "string") and (.key | test("^[0-9a-f]{64}$")) and .runner == "host" and .attempt == 1 and (.pid > 1) and (.reasons | length > 0)'
    shape step.finished '(.status | IN("passed", "cached", "failed", "skipped", "cancelled")) and (.exit_code | type | IN("number", "null")) and (.signal | type | IN("string", "null")) and (.timed_out | type == "boolean") and (.tainted | type == "boolean") and (.duration_ms | type == "number") and has("key") and (if .status == "cached" then .source == "local" else .source == null end) and (.outputs | type == "array") and ([.outputs[] | (.path | type == "string") and (.digest | test("^[0-9a-f]{64}$")) and (.bytes | type == "number")] | all)'
    shape run.finished '.status == "failed" and (.duration_ms >= 1000) and .passed == 1 and .cached == 1 and .failed == 2 and .skipped == 1 and .cancelled == 0'
    assert_eq "$(events 'select(.type == "step.finished") | .step' | sort | paste -sd ' ')" "bad good hit never slow"
    assert_eq "$(events 'select(.step == "hit" and .type == "step.finished") | .outputs[] | "\(.path) \(.bytes)"')" "o 4"
    assert_eq "$(events 'select(.step == "bad" and .type == "step.finished") | "\(.status) \(.signal) \(.exit_code) \(.timed_out)"')" "failed SIGKILL null false"
    assert_eq "$(events 'select(.step == "slow" and .type == "step.finished") | "\(.status) \(.timed_out)"')" "failed true"
    assert_eq "$(events 'select(.step == "never" and .type == "step.finished") | "\(.status) \(.key)"')" "skipped null"
    kiln 0 run --json --force=hit hit
    shape step.log '(.stream | IN("stdout", "stderr")) and (.data | type == "string") and (.offset | type == "number")'
    assert_eq "$(jq -rj 'select(.type == "step.log" and .stream == "stdout") | .data' "$T/out")" $'out\uFFFD'
    assert_eq "$(jq -rj 'select(.type == "step.log" and .stream == "stderr") | .data' "$T/out")" err
    iconv -f UTF-8 -t UTF-8 < "$T/out" > /dev/null || fail "not UTF-8"
}

test_cache_stats_json() {
    project "$PIPELINE"
    kiln 0 cache stats --json
    check 'keys == ["actions", "blobs", "box_bytes", "bytes", "disk_bytes", "image_bytes", "images", "limit_bytes", "mount_bytes", "mounts", "path", "snapshot_bytes", "snapshots"]'
    check '.blobs == 0 and .actions == 0 and .bytes == 0'
    mkdir src t
    echo 1 > src/a
    kiln 0 run
    kiln 0 cache stats --json
    check '.actions == 2 and .blobs > 0 and .bytes > 0'
}

test_nothing_else_on_standard_output() {
    project "${PIPELINE/cat/echo hello; echo there >&2; cat}"
    mkdir src t
    echo 1 > src/a
    for arguments in "run" "run --no-cache" "plan" "explain build" "runs" "logs" "cache stats"; do
        # shellcheck disable=SC2086
        kiln 0 $arguments --json
        jq -e . "$T/out" > /dev/null || fail "not JSON"
        assert_no_err
    done
}

# Nobody is asked what an image is, just to tell.
test_an_image_that_nobody_knows_yet() {
    project '{"version": 1, "steps": {"a": {"image": "registry.invalid/x:1", "inputs": [], "run": "true"}}}'
    kiln 0 explain a
    assert_out "^a waits: kiln.lock does not say yet what its image registry.invalid/x:1 is; kiln run looks that up\.$"
}

run_tests
