#!/usr/bin/env bash
# What a run leaves for other programs: JUnit XML and traces.
. "$(dirname "$0")/lib.sh"

DATA=$(cd "$(dirname "$0")" && pwd)

# valid FILE: by the schema; where there is no xmllint, at least as XML.
valid() {
    if type xmllint > /dev/null 2>&1; then
        xmllint --noout --schema "$DATA/junit.xsd" "$1" 2> "$T/lint" || fail "not JUnit XML: $(cat "$T/lint")"
    else
        python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$1"
    fi
}

# junit FILE EXPRESSION: what Python makes of it, over the suite and its cases by name.
junit() {
    python3 - "$1" "$2" << 'EOF'
import sys, xml.etree.ElementTree as tree
suite = tree.parse(sys.argv[1]).getroot()[0]
cases = {case.get("name"): case for case in suite}
print(eval(sys.argv[2]))
EOF
}

PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "name": "demo <&\"", "steps": {
    "good": {"run": "true", "inputs": ["t"], "outputs": []},
    "bad": {"run": "sh t/bad.sh; exit 3", "inputs": ["t"]},
    "after": {"run": "true", "needs": ["bad"], "inputs": ["t"]},
    "late": {"run": "sleep 100", "timeout": "100ms", "inputs": ["t"]},
    "gone": {"run": ["/no/such/program"], "inputs": ["t"]},
    "killed": {"run": "kill -9 $$", "inputs": ["t"]}}}'

demo() {
    project "$PIPELINE"
    mkdir t
    printf '%s\n' "printf 'a <b> & \"c\" ]]> \\001 \\033[31mred\\033[0m \\377\\n'" > t/bad.sh
}

test_junit() {
    demo
    kiln any run good
    kiln 1 run -k --junit out/of/junit.xml
    valid out/of/junit.xml
    assert_eq "$(junit out/of/junit.xml '[suite.get(k) for k in ("name", "tests", "failures", "skipped")]')" \
        "['demo <&\"', '6', '4', '1']"
    assert_eq "$(junit out/of/junit.xml 'cases["good"].find("system-out").text[:6], cases["good"].get("time")')" "('cached', '0.000')"
    assert_eq "$(junit out/of/junit.xml 'cases["bad"].find("failure").get("message")')" "failed with exit code 3"
    assert_match "$(junit out/of/junit.xml 'ascii(cases["bad"].find("failure").text)')" 'a <b> & "c" \]\]> .ufffd red .ufffd.n'
    assert_eq "$(junit out/of/junit.xml 'cases["late"].find("failure").get("type")')" "timeout"
    assert_eq "$(junit out/of/junit.xml 'cases["killed"].find("failure").get("type")')" "signal"
    assert_match "$(junit out/of/junit.xml 'cases["after"].find("skipped").get("message")')" bad
    assert_match "$(junit out/of/junit.xml '[x.text for x in cases["gone"]]')" 'no/such/program'
}

test_trace() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "echo x > a.txt", "inputs": ["t"], "outputs": ["a.txt"]},
        "b": {"run": "test -e '"$T/again"' || { touch '"$T/again"'; exit 1; }", "inputs": ["t"], "needs": ["a"], "retries": 2},
        "c": {"run": "exit 7", "inputs": ["t"]}}}'
    mkdir t
    kiln 1 run -k --trace trace.json
    jq -e '.displayTimeUnit == "ms" and .otherData.status == "failed" and all(.traceEvents[]; (.ph | IN("M", "X", "s", "f", "i")) and .pid == 1)' trace.json > /dev/null
    jq -e '[.traceEvents[] | select(.ph == "X") | .ts >= 0 and .dur > 0 and .tid > 0] | all and length == 4' trace.json > /dev/null
    assert_eq "$(jq -r '[.traceEvents[] | select(.ph == "X" and .name == "b") | .args.status] | join(",")' trace.json)" "tried again,passed"
    jq -e '.traceEvents[] | select(.name == "c" and .ph == "X") | .args.exit_code == 7 and .args.status == "failed"' trace.json > /dev/null
    # No two spans of a lane overlap; the arrow from a to b begins and ends within them.
    jq -e '[.traceEvents[] | select(.ph == "X")] | group_by(.tid) | all(.[]; sort_by(.ts) | [., .[1:]] | transpose | all(.[]; .[1] == null or .[0].ts + .[0].dur <= .[1].ts))' trace.json > /dev/null
    jq -e '([.traceEvents[] | select(.ph == "X" and .name == "a")][0]) as $a | ([.traceEvents[] | select(.ph == "s")] | length == 1 and .[0].ts >= $a.ts and .[0].ts < $a.ts + $a.dur and .[0].tid == $a.tid)' trace.json > /dev/null
    kiln 1 run -k --trace trace.json
    assert_eq "$(jq -r '[.traceEvents[] | select(.ph == "i") | .name] | sort | join(",")' trace.json)" "a,b"
}

# kiln's own files are no inputs, and change nothing.
test_reports_are_no_inputs() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"all": {"run": "true"}}}'
    kiln 0 run --junit sub/../j.xml --trace ./t.json
    kiln 0 run --json --junit j.xml --trace t.json
    assert_eq "$(status all)" cached
    kiln 3 run --junit /proc/none/j.xml
    assert_err "/proc/none"
    kiln 2 run --dry-run --junit j.xml
    rm j.xml
    echo '{' > kiln.json
    kiln 2 run --junit j.xml
    assert_no_file j.xml
}

# What is no file is written to, and stays what it is.
test_reports_into_what_is_there() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": []}}}'
    mkfifo "$T/pipe"
    ln -s there.xml j.xml
    exec 7<> "$T/pipe"
    kiln 0 run --junit j.xml --trace "$T/pipe"
    [ -L j.xml ] && [ -p "$T/pipe" ]
    valid there.xml
    assert_eq "$(head -c 1 <&7)" "{"
    exec 7>&-
    kiln 3 run --junit "$T/pipe" # nobody reads it
    assert_err "cannot write $T/pipe"
    kiln 3 run --junit .
    assert_err 'cannot write \.: Is a directory'
    # Nothing that is in the file is lost where standard output is one.
    # Not all machines have /dev/stdout: this is what it is.
    echo before > "$T/all"
    ln -s /proc/self/fd/1 "$T/stdout"
    timeout -k 5 "$DEADLINE" "$KILN" run --junit "$T/stdout" >> "$T/all" 2> "$T/err" || fail "it has failed"
    assert_eq "$(head -n 1 "$T/all")" before
    sed '/^<?xml/,$d' "$T/all" | grep -q '^kiln: passed: ' || fail "the lines before the report are gone"
    sed -n '/^<?xml/,$p' "$T/all" > "$T/part.xml"
    valid "$T/part.xml"
}

test_of_the_past() {
    demo
    kiln 1 run -k --junit a.xml --trace a.json
    kiln 0 replay --junit b.xml --trace b.json
    assert_no_err
    cmp a.xml b.xml
    cmp a.json b.json
    kiln 2 replay 9 --junit c.xml
    assert_err "no run 9"
    assert_no_file c.xml
}

# A part of a pipeline without steps is a run without cases.
test_of_an_empty_shard() {
    project '{"version": 1, "name": "demo", "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": ["t"]}}}'
    mkdir t
    kiln 0 run --shard 9/9 --junit j.xml --trace t.json
    valid j.xml
    assert_eq "$(junit j.xml 'suite.get("name"), suite.get("tests"), suite.get("timestamp")[:2], len(cases)')" "('demo', '0', '20', 0)"
    jq -e '.otherData.status == "passed" and all(.traceEvents[]; .ph == "M")' t.json > /dev/null
}

answered() {
    kiln 1 run --json --junit "$T/j.xml" --trace "$T/t.json"
    [ "$(events 'select(.type == "run.started") | .watcher')" = true ]
}

# The same where a kiln that watches does it, which on a busy machine may not be at the first try.
test_of_a_watcher() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"bad": {"run": "echo oh; exit 1", "inputs": ["t"]}}}'
    mkdir t
    watch_start
    wait_for answered
    valid "$T/j.xml"
    assert_match "$(junit "$T/j.xml" 'cases["bad"].find("failure").text')" 'oh'
    jq -e '[.traceEvents[] | select(.name == "bad")] | length == 1' "$T/t.json" > /dev/null
    watch_stop
}

test_secrets_are_masked() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "leak": {"run": "echo \"<$TOKEN>\"; exit 1", "inputs": ["t"], "secrets": {"TOKEN": {"env": "HUSH"}}}}}'
    mkdir t
    HUSH=verysecretword kiln 1 run --junit j.xml --trace t.json
    assert_match "$(cat j.xml)" '&lt;\*\*\*&gt;'
    if grep -r verysecretword j.xml t.json "$T/out" "$T/err"; then fail "the secret is out"; fi
}

run_tests
