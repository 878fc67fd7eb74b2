#!/usr/bin/env bash
# Outputs: kept and given back byte for byte, and what is refused.
. "$(dirname "$0")/lib.sh"

# Everything an output can be comes back as it was made.
test_outputs_byte_for_byte() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"make": {"inputs": ["in"], "outputs": ["tree", "one"], "run":
        "rm -rf tree; mkdir -p tree/empty tree/sub/deep; cat in > tree/sub/file; printf \"#!/bin/sh\\n\" > tree/tool; chmod 755 tree/tool; ln -s sub/file tree/link; ln -s nowhere tree/dangling; ln -s /etc tree/abs; ln -s sub tree/dirlink; : > tree/zero; head -c 300000 /dev/zero > tree/sub/deep/big; printf \"\\377\\000x\" > tree/bin; : > \"tree/with space\"; : > \"tree/ü\"; printf one > one"}}}'
    listing() { (cd "$1" && find . ! -name . -printf '%P %y %l ' \( -type f -perm -u+x -printf x -o -printf - \) -printf '\n' | sort; find . -type f -exec sha256sum {} + | sort -k 2); }
    echo 1 > in
    kiln 0 run
    listing tree > "$T/first"
    echo 2 > in
    kiln 0 run
    echo leftover > tree/left
    mkdir -p tree/empty/not
    echo 1 > in
    kiln 0 run --json
    assert_eq "$(ran)" ""
    listing tree > "$T/second"
    diff "$T/first" "$T/second" || fail "restored otherwise"
    rm -rf tree one
    kiln 0 run --json
    assert_eq "$(ran)" ""
    listing tree > "$T/second"
    diff "$T/first" "$T/second" || fail "restored otherwise, from nothing"
    # What stands in the way gives way, and what a link points to is not written through.
    rm -rf tree one
    mkdir one "$T/outside"
    echo x > one/file
    echo mine > "$T/outside/sub"
    ln -s "$T/outside" tree
    kiln 0 run --json
    assert_eq "$(ran)" ""
    listing tree > "$T/second"
    diff "$T/first" "$T/second" || fail "restored otherwise, over a link"
    assert_file one one
    assert_file "$T/outside/sub" mine
    chmod -x tree/tool
    kiln 0 run --json
    assert_eq "$(ran)" ""
    [ -x tree/tool ] || fail "the executable bit did not come back"
}


a_step() { # RUN OUTPUTS
    jq -n --arg run "$1" --argjson outputs "$2" '{version: 1, defaults: {runner: "host"}, steps: {a: {run: $run, inputs: [], outputs: $outputs}}}' > "$P/kiln.json"
    cd "$P"
}

# refused RUN OUTPUTS MESSAGE: the step fails with it, and nothing is stored.
refused() {
    rm -rf o
    a_step "$1" "$2"
    kiln 1 run --json
    assert_eq "$(status a)" failed "$1"
    assert_match "$(events 'select(.type == "step.finished") | .error')" "$3"
    assert_eq "$(results)" 0 "stored results"
    kiln 1 run
    assert_out "^a: started \(failed: it failed the last time, in run [0-9]+, with the same inputs\)"
    assert_out "$3"
}

test_what_is_no_output() {
    refused 'true' '["o"]' 'output "o": the step did not make it'
    refused 'true' '["o/sub/x"]' 'output "o/sub/x": the step did not make it'
    refused 'rm -r o/sub' '["o/sub/x"]' 'output "o/sub/x": the directory "o/sub" is not there'
    refused 'rm -f o; mkfifo o' '["o"]' 'output "o": it is a FIFO'
    refused 'rm -rf o; mkdir -p o/d; mkfifo o/d/f' '["o"]' 'output "o/d/f": it is a FIFO'
    refused "mkdir -p o; touch \"o/\$(printf 'x\\377')\"" '["o"]' 'output "o/x.xff": its name is not valid UTF-8'
    refused "ln -sfn \"\$(printf 'x\\377')\" o" '["o"]' 'output "o": .*not valid UTF-8'
    refused 'mkdir -p real; rm -rf o; ln -sn real o; echo 1 > o/x' '["o/x"]' '"o" is a symbolic link'
}

# The directories that outputs are to lie in are there when the command begins, and count in no key.
test_the_way_to_outputs_is_made() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "all": {"run": "ls"},
        "a": {"run": "test ! -e build/deep/x; cat in > build/deep/x; ls -d build/*/ src/gen > src/gen/y", "outputs": ["build/deep/x", "src/gen/y"]},
        "again": {"run": "if [ -e .first ]; then echo > r/e/x; else touch .first; rmdir r/e r; exit 1; fi", "inputs": [], "outputs": ["r/e/x"], "retries": 1},
        "inside": {"run": "pwd > x", "cwd": "made", "inputs": [], "outputs": ["made/x"]}}}'
    echo 1 > in
    echo .first > .gitignore
    mkdir src
    echo s > src/s
    kiln 0 run all
    kiln 0 run a again inside
    assert_file build/deep/x 1
    assert_file src/gen/y "build/deep/
src/gen"
    assert_file made/x "$P/made"
    kiln 0 run --json
    assert_eq "$(ran)" ""
    rm -r build src/gen r made
    kiln 0 run --json
    assert_eq "$(ran)" ""
    assert_file build/deep/x 1
    # Empty ones that are left are nobody's input.
    find build src/gen r made -type f -delete
    kiln 0 run all --json
    assert_eq "$(ran)" ""
}

# No link is followed there, wherever it leads; what it means is the command's business.
test_no_way_through_links() {
    mkdir "$T/theirs" real
    ln -s "$T/theirs" out
    ln -s real within
    refused 'true' '["out/sub/x"]' '"out" is a symbolic link'
    refused 'true' '["within/sub/x"]' '"within" is a symbolic link'
    echo mine > file
    refused 'true' '["file/x"]' '"file" is not a directory'
    assert_eq "$(ls -A "$T/theirs")$(ls -A real)" ""
    assert_file file mine
}

# Watching, they begin no round of their own.
test_the_way_while_watching() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "cat in > build/deep/x", "inputs": ["**", "!.sync"], "outputs": ["build/deep/x"]},
        "b": {"run": "ls", "inputs": ["**", "!.sync"]}, '"$SYNC_STEP"'}}'
    echo 1 > in
    echo > .sync
    watch_start
    watch_settle
    assert_eq "$(events 'select(.type == "step.started" and .step != "sync") | .step' "$T/watch.out" | sort | paste -sd " ")" "a b"
    assert_eq "$(others)" ""
    mv build "$T/gone" # at once: kiln begins to put it back
    put in 2
    wait_event '.type == "step.finished" and .step == "b"'
    watch_settle
    assert_eq "$(events 'select(.type == "step.started" and .step != "sync") | .step' "$T/round" | sort | paste -sd " ")" "a b"
    assert_eq "$(events 'select(.type == "step.finished" and .tainted) | .step' "$T/watch.out")" ""
    assert_file build/deep/x 2
    watch_stop
}

test_odd_outputs() {
    a_step 'rm -rf o; mkdir o; ln -s /dev/null o/null; ln -s loop o/loop; : > "o/new
line"; echo 1 > o/unreadable; chmod 0 o/unreadable; chmod 555 o' '["o"]'
    kiln any run --json
    # A file that its owner can't read is an error for most, and no obstacle for root.
    if [ "$(id -u)" -ne 0 ]; then
        assert_eq "$RC" 1
        assert_match "$(events 'select(.type == "step.finished") | .error')" 'o/unreadable.*Permission denied'
        return
    fi
    assert_eq "$RC" 0
    rm -rf o
    kiln 0 run --json
    assert_eq "$(ran)" ""
    assert_eq "$(readlink o/null)" /dev/null
    assert_eq "$(readlink o/loop)" loop
    [ -e $'o/new\nline' ] || fail "a name with a newline did not come back"
}

# An older result's files must not stay in a directory that is an output.
test_nothing_of_another_result_stays() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "rm -rf o; mkdir -p o; for i in $(cat in); do mkdir -p o/$i; echo $i > o/$i/f; done", "inputs": ["in"], "outputs": ["o"]}}}'
    echo "1 2 3" > in
    kiln 0 run
    echo "3 4" > in
    kiln 0 run
    echo "1 2 3" > in
    kiln 0 run --json
    assert_eq "$(ran)" ""
    assert_eq "$(ls o | paste -sd ' ')" "1 2 3"
}

# A dependent sees what its need made, also when that came from the cache.
test_outputs_through_needs() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "mkdir -p gen; cat in > gen/x", "inputs": ["in"], "outputs": ["gen"]},
        "b": {"run": "cat gen/x > b", "needs": ["a"], "inputs": ["src"], "outputs": ["b"]},
        "c": {"run": "cat b > c", "needs": ["b"], "inputs": [], "outputs": ["c"]}}}'
    mkdir src
    echo 1 > in
    kiln 0 run
    rm -rf gen b c
    echo 2 > src/new
    kiln 0 run --json
    assert_eq "$(ran)" b
    assert_file c 1
    assert_file gen/x 1
}

# A restored output is a copy: writing to it does not reach the cache.
test_the_cache_is_not_linked() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "echo good > o", "inputs": [], "outputs": ["o"]}}}'
    kiln 0 run
    echo bad >> o
    kiln 0 run
    assert_file o good
    rm o
    kiln 0 run
    echo bad >> o
    kiln 0 run --json
    assert_eq "$(ran)" ""
    assert_file o good
}

# What a person put where an output's directory was is not written through, nor over.
test_what_is_in_the_way() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "mkdir -p sub; echo 1 > sub/o", "inputs": [], "outputs": ["sub/o"]}}}'
    kiln 0 run
    rm -r sub
    mkdir "$T/theirs"
    ln -s "$T/theirs" sub
    kiln 3 run
    assert_out '"sub" is a symbolic link'
    assert_eq "$(ls "$T/theirs")" ""
    rm sub
    echo mine > sub
    kiln 3 run
    assert_out '"sub" is not a directory'
    assert_file sub mine
    rm sub
    kiln 0 run --json
    assert_eq "$(ran)" ""
    assert_file sub/o 1
}

test_the_project_goes_away_meanwhile() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "echo 1 > o; cd /; rm -rf \"$P\"", "inputs": ["in"], "outputs": ["o"], "pass_env": ["P"]}}}'
    export P
    echo 1 > in
    kiln 1 run --json
    assert_eq "$(status a)" failed
    mkdir "$P"
}

# What a step needs is its input too: touched by a hand before it ends, the result is not kept, wherever the output came from.
test_a_needed_output_is_touched_meanwhile() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "gen": {"run": "mkdir -p out; cp a out/v", "inputs": ["a"], "outputs": ["out"]},
        "slow": {"run": "touch \"$T/begun\"; while [ ! -e \"$T/go\" ]; do sleep 0.02; done", "inputs": ["in"], "needs": ["gen"], "pass_env": ["T"]},
        "use": {"needs": ["gen", "slow"], "run": "cat out/v > used", "inputs": ["in"], "outputs": ["used"]}}}'
    export T
    meddle() {
        rm -f "$T/begun" "$T/go"
        "$KILN" run --json > "$T/out" 2> "$T/err" < /dev/null &
        wait_for test -e "$T/begun"
        echo meddled > out/v
        touch "$T/go"
        wait $!
        assert_eq "$(events 'select(.type == "step.finished" and .step == "use") | .tainted')" true "$1"
        kiln 0 run --json
        assert_file used "$(cat a)"
        assert_file out/v "$(cat a)"
    }
    echo 1 > a
    echo 1 > in
    meddle "just made"
    echo 2 > in
    meddle "in place"
    echo 3 > in
    rm -r out
    meddle "restored"
}

# Whatever the step that needs it does to an output, and be it within the tick of the clock in which that was made.
touched_within_a_tick() {
    local i
    mkdir -p "$T/coarse"
    mount -t ramfs none "$T/coarse" || { echo "(not tried: there is no ramfs)"; return 0; }
    cd "$T/coarse"
    echo '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "read x < in; echo $x > o", "inputs": ["in"], "outputs": ["o"]},
        "b": {"run": "[ ! -e '"$T/bad"' ] || echo bad 1<> o; read x < o; echo $x > p", "inputs": [], "outputs": ["p"], "needs": ["a"]}}}' > kiln.json
    for ((i = 100; i < 140; i++)); do
        echo $i > in
        touch "$T/bad"
        kiln any run
        rm -f o p "$T/bad"
        kiln 0 run
        assert_file p $i "round $i"
    done
}

test_touched_within_a_tick() {
    if [ "$(id -u)" -ne 0 ]; then
        echo "(not tried: needs root)"
        return 0
    fi
    with_mounts touched_within_a_tick
}

run_tests
