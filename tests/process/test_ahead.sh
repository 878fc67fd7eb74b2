#!/usr/bin/env bash
# Quick steps are started ahead, each in the place of one that ends: what a failure, a cancel and a result that keeps
# one waiting make of those.
. "$(dirname "$0")/lib.sh"

# steps COMMAND NAME...: a step of that command each.
steps() {
    local command=$1 name
    shift
    for name; do printf '"%s": {"run": %s, "inputs": ["%s.in"]}, ' "$name" "$command" "$name"; done
}

HOLD='"hold": {"run": "while [ ! -e \"$T/go\" ]; do sleep 0.02; done", "inputs": [], "pass_env": ["T"]}'

test_nothing_begins_after_a_failure() {
    local i before after
    export T
    before=$(echo b{1..30}) after=$(echo l{1..30})
    for i in $before f $after; do touch "$P/$i.in"; done
    # One place is held; so what comes after the failure could only begin in its place.
    # shellcheck disable=SC2086
    project "{\"version\": 1, \"defaults\": {\"runner\": \"host\"}, \"steps\": {$HOLD, $(steps '["true"]' $before)$(steps '["false"]' f)$(steps '["true"]' $after)\"z\": {\"run\": [\"true\"], \"inputs\": []}}}"
    : > "$T/out"
    timeout -k 5 "$DEADLINE" "$KILN" run --json -j 2 > "$T/out" 2> "$T/err" < /dev/null &
    wait_for has_lines "$T/out" '"step":"f","status":"failed"' 1
    touch "$T/go"
    wait "$!" || assert_eq "$?" 1 "exit code"
    assert_eq "$(events '.type + " " + (.step // "") + " " + (.status // "")' | sed '1,/^step.finished f failed/d' | grep -c '^step.started' || :)" 0 "begun after the failure"
    assert_eq "$(events 'select(.type == "step.finished") | .step' | sort | uniq -d)" ""
    assert_eq "$(events 'select(.type == "step.finished")| .step' | wc -l)" 63
}

# So many results are on their way that the next steps wait for one of them; what the runner had begun by then fails.
test_failures_while_many_results_are_taken() {
    local i list=
    for i in {1..120}; do
        list+="\"b$i\": {\"run\": [\"truncate\", \"-s\", \"16M\", \"o$i\"], \"inputs\": [], \"outputs\": [\"o$i\"]}, "
        list+="\"f$i\": {\"run\": [\"false\", \"$i\"], \"inputs\": []}, "
    done
    project "{\"version\": 1, \"defaults\": {\"runner\": \"host\"}, \"steps\": {$list\"z\": {\"run\": [\"true\"], \"inputs\": []}}}"
    kiln 1 run --json -k -j 2
    assert_eq "$(events 'select(.type == "run.finished") | "\(.passed) \(.failed)"')" "121 120"
    assert_eq "$(events 'select(.type == "step.finished") | .step' | sort | uniq -d)" ""
}

run_tests "$@"
