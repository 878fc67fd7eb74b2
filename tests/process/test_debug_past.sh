#!/usr/bin/env bash
# kiln debug --run: a failure of the past with the inputs that it had.
. "$(dirname "$0")/lib.sh"

PIPELINE='{"version": 1, "name": "past", "defaults": {"runner": "host"}, "steps": {
    "build": {"run": "cat in > gen/out", "inputs": ["in"], "outputs": ["gen/out"]},
    "test": {"run": "grep -q good gen/out src/a", "inputs": ["src"], "needs": ["build"], "cwd": ".",
             "env": {"WORD": "two words"}}}}'

a_failure() {
    project "$PIPELINE"
    mkdir -p src
    echo first > in
    echo old > src/a
    ln -s a src/link
    printf '#!/bin/sh\necho run\n' > src/tool
    chmod +x src/tool
    kiln 1 run
}

# The record of a step's failure in run ID.
record() { # ID STEP
    echo "$XDG_STATE_HOME"/kiln/projects/*/runs/"$1"/failed/"$(printf %s "$2" | sha256sum | cut -d ' ' -f 1)".json
}

state() { # ID STEP
    jq -r .inputs.state "$(record "$1" "$2")"
}

boxes_left() {
    find "$XDG_CACHE_HOME/kiln/v1/box" -mindepth 1 -maxdepth 1 2> /dev/null | wc -l
}

test_a_step_of_the_host() {
    a_failure
    assert_out '^test: to look into it: kiln debug --run 1 test$'
    assert_eq "$(state 1 test)" kept
    # The project goes on.
    echo second > in
    echo good > src/a
    rm src/link src/tool
    kiln 0 run
    tar -cf "$T/before.tar" --mtime=@0 --sort=name .
    kiln 5 debug --run 1 test --command 'cat gen/out src/a src/link; src/tool; echo "$WORD"; pwd; ls; echo gone > src/a; exit 5'
    assert_eq "$(sed -n '1,5p' "$T/out" | paste -sd " ")" "first old old run two words"
    assert_match "$(sed -n 6p "$T/out")" "^$XDG_CACHE_HOME/kiln/v1/box/.*/upper$"
    assert_eq "$(sed -n '7,$p' "$T/out" | paste -sd " ")" "gen src"
    assert_err 'a copy of what it read, gone when you leave'
    assert_err 'its command: grep -q good gen/out src/a'
    tar -cf "$T/after.tar" --mtime=@0 --sort=name .
    cmp "$T/before.tar" "$T/after.tar"
    assert_eq "$(boxes_left)" 0
    # As often as one likes, and without a name where it is the only one; kiln.json may be wrong meanwhile.
    project '{"version": 1'
    kiln 0 debug --run 1 --command 'cat src/a'
    assert_eq "$(cat "$T/out")" old
    kiln 0 runs --json
    assert_eq "$(jq length "$T/out")" 2
}

test_which_one() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "exit 1", "inputs": []}, "b": {"run": "exit 1", "inputs": []}, "c": {"run": "true", "inputs": []}}}'
    kiln 1 run --keep-going
    kiln 2 debug --run 1 --command true
    assert_err '2 steps failed in run 1: a, b; name one: kiln debug --run 1 STEP'
    kiln 2 debug --run 1 c --command true
    assert_err 'no failure of "c" on record, but of a, b'
    kiln 2 debug --run 7 a --command true
    assert_err 'no run 7 \("kiln runs" lists them\)'
    kiln 2 debug --run 1 a b --command true
    kiln 2 debug --run 1 a
    assert_err 'a shell needs a terminal.*--command CMD'
    kiln 0 debug --run 1 b --command true
    # An older kiln left nothing of it.
    file=$(record 1 a)
    rm "$file" "$(record 1 b)"
    kiln 2 debug --run 1 a --command true
    assert_err 'run 1 has no failure on record'
    # What is damaged is none.
    echo '{"version":1' > "$file"
    kiln 2 debug --run 1 a --command true
}

test_inputs_that_changed_are_not_kept() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "echo other > in; exit 1", "inputs": ["in", "more"]}}}'
    echo some > in
    echo more > more
    kiln 1 run
    assert_eq "$(state 1 a)" changed
    kiln 2 debug --run 1 a --command true
    assert_err 'was not kept: in changed while it ran; "kiln explain --last-pass a"'
    # What it read is known to the cache from another time: then that is what it had.
    echo other > in
    kiln 1 run
    assert_eq "$(state 2 a)" kept
}

test_what_the_cache_lost() {
    a_failure
    kiln 0 cache verify
    kiln 0 cache gc --size 0 --dry-run
    assert_out 'test, the inputs of a failure'
    kiln 0 cache gc --size 0
    kiln 2 debug --run 1 test --command true
    assert_err 'what "test" read in run 1 is no longer in the cache'
    assert_eq "$(boxes_left)" 0
    # A blob that is not what it was is not handed out.
    kiln 1 run
    assert_eq "$(state 2 test)" kept
    sum=$(sha256sum < src/a | cut -d ' ' -f 1)
    blob="$XDG_CACHE_HOME/kiln/v1/cas/${sum:0:2}/$sum"
    chmod u+w "$blob"
    echo bad > "$blob"
    kiln 2 debug --run 2 test --command 'cat src/a'
    assert_err 'no longer in the cache'
    assert_eq "$(cat "$T/out")" ""
}

test_gc_keeps_what_a_kept_failure_names() {
    a_failure
    echo good > src/a
    kiln 0 run
    # All of one result or nothing of it: whatever is left, no half of the inputs.
    for size in 60000 40000 30000 20000 10000; do
        kiln 0 cache gc --size "$size"
        kiln any debug --run 1 test --command 'cat gen/out src/a src/link src/tool'
        [ "$RC" -eq 0 ] || assert_err 'no longer in the cache'
        kiln 0 cache verify
    done
}

test_secrets_are_named_and_nothing_more() {
    export TOKEN=s3cr3t-value
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "echo $TOKEN; exit 1", "inputs": [], "secrets": {"TOKEN": {"env": "TOKEN"}}}}}'
    kiln 1 run
    assert_eq "$(jq -r '.secrets[]' "$(record 1 a)")" TOKEN
    if grep -rlsF s3cr3t-value "$XDG_STATE_HOME" "$XDG_CACHE_HOME"; then fail "the value is there"; fi
    kiln 0 debug --run 1 a --command 'echo "<$TOKEN>"'
    assert_eq "$(cat "$T/out")" "<>"
    assert_err 'secrets are not on record; not set here: TOKEN'
}

test_a_read_only_cache_is_said() {
    a_failure
    unprivileged || return 0
    chmod -R a-w "$XDG_CACHE_HOME"
    kiln any debug --run 1 test --command true
    chmod -R u+w "$XDG_CACHE_HOME"
    [ "$RC" -ne 0 ] || fail "it had no directory to be in"
}

an_isolated_step() {
    project '{"version": 1, "name": "past", "defaults": {"runner": "sandbox"}, "steps": {
        "build": {"run": "cat in > out", "inputs": ["in"], "outputs": ["out"]},
        "test": {"run": "cat out sub/a; echo made > sub/made; exit 3", "inputs": ["sub"], "needs": ["build"],
                 "cwd": "sub", "env": {"WORD": "two words"}}}}'
    mkdir -p sub
    echo first > in
    echo old > sub/a
    mine
    kiln 1 run
    id=$(find "$XDG_STATE_HOME"/kiln/projects/*/runs -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -n | tail -n 1)
    assert_eq "$(state "$id" test)" kept
    echo good > sub/a
    echo second > in
    mine
    kiln 4 debug --run "$id" test --command 'pwd; cat ../out a; ls; echo "$WORD"; id -un; echo x > a; ls /sys/class/net; exit 4'
    assert_eq "$(paste -sd " " "$T/out")" "/src/sub first old a two words kiln lo"
    assert_file sub/a good
    assert_no_file sub/made
    # Not even a snapshot is needed.
    rm -rf "$XDG_CACHE_HOME/kiln/v1/snap"
    kiln 0 debug --run "$id" test --command 'cat ../out a'
    assert_eq "$(paste -sd " " "$T/out")" "first old"
}

# As a bundle may have it: what the step read has a link that leads out, behind which it is to run.
test_a_working_directory_outside() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "exit 3", "inputs": ["d"]}}}'
    mkdir -p d "$T/outside"
    ln -s "$T/outside" d/link
    kiln 1 run
    path=$(record 1 a)
    for cwd in d/link/deep/er d/link; do
        jq -c --arg cwd "$cwd" '.cwd = $cwd' "$path" > "$T/new"
        cat "$T/new" > "$path"
        kiln any debug --run 1 a --command 'pwd > here'
        [ "$RC" != 0 ] || fail 'it ran there'
        assert_eq "$(ls "$T/outside")" ''
    done
    # One that outputs lie in, and nothing else, is made.
    jq -c '.cwd = "x/y"' "$path" > "$T/new"
    cat "$T/new" > "$path"
    kiln 0 debug --run 1 a --command 'pwd'
    assert_match "$(cat "$T/out")" '/upper/x/y$'
}

test_an_isolated_step_of_which_a_file_is_lost() {
    project '{"version": 1, "defaults": {"runner": "sandbox"}, "steps": {"a": {"run": "exit 3", "inputs": ["sub"]}}}'
    mkdir -p sub
    echo text > sub/in
    kiln 1 run
    echo other > sub/in
    sum=$(echo text | sha256sum | cut -d ' ' -f 1)
    rm -f "$XDG_CACHE_HOME/kiln/v1/cas/${sum:0:2}/$sum"
    chmod -R u+w "$XDG_CACHE_HOME/kiln/v1/snap"
    rm -rf "$XDG_CACHE_HOME/kiln/v1/snap"
    kiln 2 debug --run 1 a --command true
    assert_err 'what "a" read in run 1 is no longer in the cache'
}

test_an_isolated_step() {
    as_both an_isolated_step
}

test_with_a_terminal() {
    a_failure
    rm -r src
    printf 'cat src/a; exit 9\n' | timeout -k 5 "$DEADLINE" script -qec "stty -echo; $KILN debug --run 1 test" /dev/null > "$T/tty" || RC=$?
    assert_match "$(cat "$T/tty")" "old"
}

test_the_hook_names_it() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "grep -q good f", "inputs": ["f"]}}}'
    echo bad > f
    git_project
    echo worse > f
    git add f
    kiln 1 hook run
    assert_err '^hook: to look into it: kiln debug --run 1 a$'
    echo good > f
    kiln 0 debug --run 1 a --command 'cat f'
    assert_eq "$(cat "$T/out")" worse
}

on_record() {
    ls "$XDG_STATE_HOME"/kiln/projects/*/runs/1/failed/*.json
}

test_ended_while_it_is_kept() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "exit 1", "inputs": ["big"]}}}'
    mkdir big
    for i in $(seq 200); do head -c 20000 /dev/urandom > "big/$i"; done
    "$KILN" run > /dev/null 2>&1 &
    pid=$!
    wait_for on_record
    kill -KILL "$pid" 2> /dev/null || : # it may have been quicker
    wait "$pid" || :
    kiln any debug --run 1 a --command 'cat big/* | wc -c'
    case $RC in
    0) assert_eq "$(cat "$T/out")" 4000000 ;;
    2) assert_err 'was not kept: kiln ended before it was' ;;
    *) fail "exit $RC" ;;
    esac
}

# Somebody who waits at a terminal does so for a moment at most; the rest is done when it is wanted.
test_many_at_a_terminal() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "exit 1", "inputs": ["many"]}}}'
    mkdir -p many/{1..40}
    for d in many/*; do
        for i in {1..50}; do echo "$d $i" > "$d/$i"; done
    done
    timeout -k 5 "$DEADLINE" script -qec "$KILN run" /dev/null > "$T/tty" < /dev/null || :
    case $(state 1 a) in
    kept) ;;
    unfinished) [[ -e $(record 1 a | sed 's/json$/tree/') ]] || fail 'nothing was left to go on with' ;;
    *) fail "state $(state 1 a)" ;;
    esac
    kiln 0 debug --run 1 a --command 'find many -type f | wc -l; cat many/7/9'
    assert_eq "$(paste -sd, "$T/out")" '2000,many/7 9'
}

# As a run leaves the failure of "test" in run 1 that had no time for its inputs.
as_left() {
    kiln 0 bundle export 1 --output "$T/b"
    mkdir "$T/b.d"
    tar -xf "$T/b" -C "$T/b.d"
    path=$(record 1 test)
    jq -c '.inputs.state = "unfinished"' "$path" > "$T/new"
    cat "$T/new" > "$path"
    { printf '%s\0\0' "$PWD" && cat "$T"/b.d/inputs/*; } > "${path%.json}.tree"
    kiln 0 cache clear --yes
}

test_what_was_left_is_stored_by_the_next_run() {
    a_failure
    as_left
    # Beside what that run does, which here waits for it.
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "other": {"run": "until [ ! -e $LEFT ]; do sleep 0.05; done", "inputs": [], "pass_env": ["LEFT"], "timeout": "60s"}}}'
    LEFT=${path%.json}.tree kiln 0 run
    assert_eq "$(state 1 test)" kept
    kiln 0 debug --run 1 test --command 'cat src/a'
    assert_eq "$(cat "$T/out")" old
}

test_what_was_left_is_stored_when_it_is_wanted() {
    a_failure
    as_left
    kiln 0 debug --run 1 test --command 'cat src/a gen/out'
    assert_eq "$(paste -sd ' ' "$T/out")" 'old first'
    assert_eq "$(state 1 test)" kept
    rm -rf "$T/b.d"
    as_left
    kiln 0 bundle export 1 --output "$T/again"
    assert_out 'with the inputs of its failure'
    # What it says is checked like everything.
    rm -rf "$T/b.d"
    as_left
    echo other > src/a
    kiln 2 debug --run 1 test --command :
    assert_err 'src/a changed'
    [[ ! -e ${path%.json}.tree ]] || fail 'what was left is still there'
    rm -rf "$T/b.d"
    for bytes in '' '\0' '/\0' '/x' 'x\0\0y' '/\0\0no tree'; do
        jq -c '.inputs.state = "unfinished"' "$path" > "$T/new"
        cat "$T/new" > "$path"
        printf "$bytes" > "${path%.json}.tree"
        kiln 2 debug --run 1 test --command :
        kiln 1 run
    done
}

run_tests "$@"
