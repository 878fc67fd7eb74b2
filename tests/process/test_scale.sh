#!/usr/bin/env bash
# Big inputs: bounded memory and time, or a limit that is told; and what takes long can be ended at once.
#
# KILN_SCALE=full: at full size, several minutes and some GB in TMPDIR.
. "$(dirname "$0")/lib.sh"

# size SMALL FULL
size() {
    if [ "${KILN_SCALE:-}" = full ]; then
        echo "$2"
    else
        echo "$1"
    fi
}

# The most memory that the last kiln had, in MiB, when it has no sanitizer; 0 otherwise.
peak_is() { # MIB COMMAND...: kiln with these arguments stays below that
    local most=$1 pid high now=0
    shift
    "$KILN" "$@" > "$T/out" 2> "$T/err" < /dev/null &
    pid=$!
    while now=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status" 2> /dev/null) && [ -n "$now" ]; do
        high=$now
    done
    wait "$pid"
    if grep -q __asan_init "$KILN" || grep -q __tsan_init "$KILN"; then return; fi
    [ "${high:-0}" -le $((most * 1024)) ] || fail "kiln $*: $high KiB, which is more than $most MiB"
}

reads() {
    [ "$(sed -n 's/^rchar: //p' "/proc/$1/io")" -gt 100000000 ]
}

# ended_at_once PID: ^C, and it is gone.
ended_at_once() {
    local began=$SECONDS
    kill -INT "$1"
    wait_for gone "$1"
    [ $((SECONDS - began)) -le 30 ] || fail "it took $((SECONDS - began)) s to end"
    RC=0
    wait "$1" || RC=$?
    assert_eq "$RC" 130
}

# Hashing a file of a tebibyte takes ten minutes and more: kiln says so, and ^C does not wait for it.
test_a_huge_file_is_left_at_once() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": ["big"]}}}'
    truncate -s 1T big 2> /dev/null || { echo "(not tried: no file of that size here)"; return; }
    : > "$T/out"
    "$KILN" run --json > "$T/out" 2> "$T/err" < /dev/null &
    local pid=$!
    wait_for reads "$pid"
    wait_for grep -q '"type":"notice".*"reading inputs: .* of 1.0 TiB so far; most of it is big"' "$T/out"
    ended_at_once "$pid"
}

test_a_huge_output_is_left_at_once() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "truncate -s 1T big", "inputs": [], "outputs": ["big"]}}}'
    truncate -s 1T big 2> /dev/null || { echo "(not tried: no file of that size here)"; return; }
    rm big
    "$KILN" run --json > "$T/out" 2> "$T/err" < /dev/null &
    local pid=$!
    wait_for reads "$pid"
    ended_at_once "$pid"
    assert_eq "$(status a)" cancelled
    assert_eq "$(find "$XDG_CACHE_HOME" -size +1M)" "" "what is left of it in the cache"
}

test_big_files() {
    local n
    n=$(size 200M 10G)
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cp --sparse=always big out", "inputs": ["big"], "outputs": ["out"]}}}'
    truncate -s "$n" big
    echo end >> big
    peak_is 64 run
    rm out
    peak_is 64 run
    cmp big out
    rm big out
}

# nest DIRECTORY N: N directories, a multiple of 1,000, one in the other, in a directory.
nest() {
    local deep n
    deep=$(printf 'd/%.0s' {1..1000})
    mkdir -p "$1/$deep"
    for ((n = 1000; n < $2; n += 1000)); do
        mkdir -p "above/$deep"
        mv "$1/d" "above/$deep"
        mv above/d "$1/"
        rmdir above
    done
}

# Each level costs as much as the one above: what can't be taken is refused before it takes minutes.
test_a_bottomless_tree_is_refused() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": ["in"]}, "b": {"run": "true", "inputs": ["in", "!in/d/d"]}, '"$SYNC_STEP"'}}'
    nest in 3000
    : > .sync
    kiln 2 run a
    assert_out 'a: FAILED.*"in/d/d/.*/…" is nested deeper than 1024 directories, .*exclude it'
    kiln 2 plan a
    kiln 2 explain a
    kiln 0 run b
    watch_start
    assert_eq "$(status a "$T/round")" failed
    watch_settle
    watch_stop
    assert_eq "$RC" 130
}

# What lies deep in an output is seen as well.
test_deep_outputs() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "mkdir -p \"out/$D\" && echo 1 > \"out/$D/f\"", "inputs": [], "outputs": ["out"], "env": {"D": "'"$(printf 'd/%.0s' {1..900})"'"}},
        "b": {"run": "echo 2 > \"out/$D/f\"; cat in", "inputs": ["in"], "needs": ["a"], "env": {"D": "'"$(printf 'd/%.0s' {1..900})"'"}}}}'
    echo 1 > in
    # b writes what a made, far down: that result is of inputs that are not so any more.
    kiln any run --json
    assert_eq "$(events 'select(.type == "step.finished" and .step == "b") | .tainted')" true
}

test_long_chains() {
    local n
    n=$(size 1000 10000)
    cd "$P"
    jq -nc --argjson n "$n" '{version: 1, defaults: {runner: "host"}, steps: (reduce range($n) as $i ({};
        .["s\($i)"] = {run: ["true"], inputs: [], needs: (if $i > 0 then ["s\($i - 1)"] else [] end)}))}' > kiln.json
    ulimit -S -s 2048
    kiln 0 run
    assert_out ": passed: [0-9]+ passed"
    kiln 0 plan
    assert_out "^0 of $n would run"
    kiln 0 explain "s$((n - 1))"
    jq -c '.steps.s0.needs = ["s'$((n - 1))'"]' kiln.json > "$T/put"
    mv "$T/put" kiln.json
    kiln 2 plan
    assert_err 'need each other in a circle: .*\([0-9]+ more\)'
    [ "$(wc -c < "$T/err")" -lt 2000 ] || fail "the message has $(wc -c < "$T/err") bytes"
}

# Each of n steps needs each of n others.
test_many_needs() {
    local n
    n=$(size 100 900)
    cd "$P"
    jq -nc --argjson n "$n" '{version: 1, defaults: {runner: "host"}, steps: (reduce range($n) as $i ({};
        .["a\($i)"] = {run: ["touch", "a\($i)"], inputs: [], outputs: ["a\($i)"]} |
        .["b\($i)"] = {run: ["true"], inputs: [], env: {N: "\($i)"}, needs: [range($n) | "a\(.)"]}))}' > kiln.json
    kiln 0 run
    kiln 0 run
    assert_out "nothing to do, $((2 * n)) cached"
}

test_many_patterns() {
    local n
    n=$(size 2000 10000)
    mkdir -p "$P/src"
    cd "$P"
    (cd src && seq -f 'f%.0f.c' "$n" | xargs touch)
    jq -nc --argjson n "$n" '{version: 1, defaults: {runner: "host"}, steps: {
        a: {run: "true", inputs: [range($n) | "src/f\(. + 1).c"]},
        b: {run: "true", inputs: [range($n) | "src/**/f\(. + 1)*.c"]},
        c: {run: "true", inputs: (["src"] + [range($n) | "!src/**/x\(.)*.c"])}}}' > kiln.json
    kiln 0 run
    kiln 0 run
    assert_out 'nothing to do, 3 cached'
}

test_a_large_directory() {
    local n
    n=$(size 20000 1000000)
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": ["src"]}}}'
    mkdir src
    (cd src && seq -f 'file-%.0f' "$n" | xargs touch)
    DEADLINE=300
    peak_is $(size 64 1200) run
    echo 1 > src/file-1
    kiln 0 run --json
    assert_eq "$(reasons a)" "file src/file-1"
    rm -r src
}

# Hashing begins while the tree is still being looked at: that takes no descriptor for each portion of it.
test_many_files_with_few_descriptors() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": ["src"]}}}'
    mkdir -p src/{1..100}
    seq -f "src/%.0f" 100 | while read -r dir; do seq -f "$dir/%.0f" 130; done | xargs touch
    ulimit -n 80
    kiln 0 run
}

# What kiln.json may not have is said in a line, and so is what the system can't run.
test_limits_are_told() {
    cd "$P"
    jq -nc '{version: 1, defaults: {runner: "host"}, steps: {a: {run: "true", inputs: [range(1000001) | "x"]}}}' > kiln.json
    kiln 2 run
    assert_err 'more than 1000000 values; split the pipeline up'
    truncate -s 17M kiln.json
    kiln 2 run
    assert_err 'larger than 16 MiB; split the pipeline up'
    jq -nc '{version: 1, defaults: {runner: "host"}, steps: {a: {run: ("true " + ("x" * 3000000)), inputs: []}}}' > kiln.json
    kiln 1 run
    assert_out 'Argument list too long \(.*put what is long into a file'
    [ "$(wc -c < "$T/out")" -lt 10000 ] || fail "it shows $(wc -c < "$T/out") bytes"
    sed -i 's/"host"/"sandbox"/' kiln.json
    kiln 2 run
    assert_out 'Argument list too long \(.*put what is long into a file'
    [ "$(wc -c < "$T/out")" -lt 10000 ] || fail "it shows $(wc -c < "$T/out") bytes"
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": []}}}'
    if ! grep -q __asan_init "$KILN"; then
        (
            ulimit -v 65536
            kiln 3 run
            assert_err 'limit of memory .* is 65536 KiB, and kiln needs'
        )
    fi
    (
        ulimit -s 512
        kiln 3 run
        assert_err 'limit of the stack .* is 512 KiB, and kiln needs'
    )
}

# Many at a time need many descriptors; steps have the limit that kiln was started with.
test_many_at_a_time() {
    [ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 1024 ] || return 0
    cd "$P"
    jq -nc '{version: 1, defaults: {runner: "host"}, steps: (reduce range(100) as $i ({}; .["s\($i)"] = {run: "ulimit -Sn; echo \($i)", inputs: []}))}' > kiln.json
    ulimit -S -n 64
    kiln 0 run --json -j 100
    assert_eq "$(step_log s7)" "64
7"
}

# A line without an end, and more lines than anybody reads.
test_floods() {
    local n
    n=$(size 30000000 1400000000)
    cd "$P"
    jq -nc --argjson n "$n" '{version: 1, defaults: {runner: "host"}, steps: {line: {run: "head -c \($n / 14 | floor) /dev/zero | tr \"\\\\0\" x", inputs: []}, lines: {run: "yes | head -c \($n)", inputs: []}}}' > kiln.json
    DEADLINE=300
    peak_is 64 run
    peak_is 64 run --force --json
    if [ "${KILN_SCALE:-}" = full ]; then
        assert_eq "$(events 'select(.type == "notice") | .text')" \
            "step lines wrote more than 1.0 GiB: what is over is not in its log"
    fi
    kiln 0 logs line
    assert_eq "$(wc -c < "$T/out")" $((n / 14))
}

run_tests
