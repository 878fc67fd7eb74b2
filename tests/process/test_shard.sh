#!/usr/bin/env bash
# A pipeline divided among machines.
. "$(dirname "$0")/lib.sh"

# Twelve tests of very different length, of which three share what they need.
pipeline() {
    python3 - << 'EOF' > kiln.json
import json
steps = {"lib": {"run": "true", "inputs": ["t"]}, "gen": {"run": "true", "inputs": ["t"], "needs": ["lib"]}}
for i in range(12):
    steps["t%02d" % i] = {"run": "true", "inputs": ["t"], "needs": ["gen"] if i < 3 else []}
print(json.dumps({"version": 1, "defaults": {"runner": "host"}, "steps": steps}))
EOF
    mkdir -p t
}

# shards N [ARGUMENT...]: runs all, each from nothing; their steps are in $T/1, $T/2 ...
shards() {
    local i n=$1
    shift
    for ((i = 1; i <= n; i++)); do
        kiln 0 run --no-cache --json --shard "$i/$n" "$@"
        events 'select(.type == "step.finished" and .status == "passed") | .step' | sort > "$T/$i"
        events 'select(.type == "notice") | .text' > "$T/notice.$i"
    done
}

all() {
    cat "$@" | sort -u | paste -sd " "
}

test_all_shards_are_the_whole() {
    local n i
    pipeline
    for n in 1 2 5; do
        shards "$n"
        assert_eq "$(for ((i = 1; i <= n; i++)); do cat "$T/$i"; done | sort -u | wc -l)" 14 "steps of $n shards"
        # What nobody needs is in one shard alone.
        assert_eq "$(for ((i = 1; i <= n; i++)); do cat "$T/$i"; done | grep -c '^t')" 12 "tests of $n shards"
        for ((i = 1; i <= n; i++)); do # every step has what it needs
            if grep -q 't0[012]' "$T/$i"; then assert_eq "$(grep -c 'lib\|gen' "$T/$i")" 2; fi
        done
        assert_eq "$(sed 's/.*division //' "$T"/notice.* | sort -u | wc -l)" 1 "divisions"
        rm "$T"/notice.*
    done
}

# durations STEP MS...: a file as an earlier run would have left it.
durations() {
    printf '{"type":"run.started","seq":1,"time":"2026-01-01T00:00:00.000000000Z","run":"1","version":"0","pipeline":"p","root":"/","steps":[],"jobs":1,"trigger":"command"}\n'
    while [ $# -gt 0 ]; do
        printf '{"type":"step.finished","seq":2,"time":"2026-01-01T00:00:00.000000000Z","run":"1","step":"%s","status":"cached","exit_code":0,"signal":null,"timed_out":false,"tainted":false,"duration_ms":0,"key":null,"source":null,"outputs":[],"error":null,"saved_ms":%d}\n' "$1" "$2"
        shift 2
    done
}

test_by_durations() {
    pipeline
    durations lib 10 gen 10 t00 10 t01 10 t02 10 t03 5000 t04 10 t05 10 t06 10 t07 10 t08 10 t09 10 t10 10 t11 10 > "$T/times"
    shards 2 --durations "$T/times"
    assert_eq "$(all "$T/1")" "t03"
    assert_eq "$(all "$T/1" "$T/2" | wc -w)" 14
    # One that nothing is known of counts as the others do on average; only what is there counts.
    durations gone 999999 t03 1 > "$T/times"
    shards 3 --durations "$T/times"
    assert_eq "$(all "$T/1" "$T/2" "$T/3" | wc -w)" 14
}

test_what_an_earlier_run_wrote() {
    pipeline
    kiln 0 run --json
    cp "$T/out" "$T/times"
    kiln 0 run --json t05 # cached now
    cat "$T/out" >> "$T/times"
    shards 4 --durations "$T/times"
    assert_eq "$(all "$T/1" "$T/2" "$T/3" "$T/4" | wc -w)" 14
    rm -rf "$XDG_STATE_HOME" "$XDG_CACHE_HOME" # another machine
    cp "$T/2" "$T/two"
    shards 4 --durations "$T/times"
    cmp "$T/2" "$T/two"
}

test_of_some_steps() {
    pipeline
    shards 2 t00 t05 t06
    assert_eq "$(all "$T/1" "$T/2")" "gen lib t00 t05 t06"
    kiln 2 run --shard 1/2 t99
    assert_err 'there is no step "t99"|no step'
}

test_more_shards_than_steps() {
    pipeline
    kiln 0 run --shard 1000/1000
    assert_out 'shard 1000 of 1000: 0 of 14 steps'
    kiln 0 run --json --shard 1000/1000
    assert_eq "$(events .type | paste -sd " ")" notice
    kiln 0 plan --shard 1000/1000
    assert_out '^0 of 0 would run'
    kiln 0 plan --json --shard 1000/1000
    assert_eq "$(jq -c .steps "$T/out")" '[]'
}

test_plan_and_dry_run() {
    pipeline
    kiln 0 plan --json --shard 1/2
    jq -r '.steps[].step' "$T/out" | sort > "$T/planned"
    kiln 0 run --dry-run --shard 1/2
    shards 2
    cmp "$T/planned" "$T/1"
}

test_bad_values() {
    local bad
    pipeline
    for bad in 0/2 3/2 2 /2 2/ a/b 1/1001 -1/2 1/2/3; do
        kiln 2 run --shard "$bad"
        assert_err 'which of how many'
    done
    kiln 2 run --durations x
    assert_err 'goes with --shard'
    kiln any run --shard 1/2 --durations "$T/nothing"
    assert_err "cannot open"
    kiln 2 run --shard 1/2 --durations kiln.json
}

run_tests
