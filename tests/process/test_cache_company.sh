#!/usr/bin/env bash
# Many kilns on one cache that is collected all the time, and damaged at random: every run ends well with the right outputs.
# KILN_ROUNDS=1000 makes it thorough.
. "$(dirname "$0")/lib.sh"

ROUNDS=${KILN_ROUNDS:-12}

PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "steps": {
    "a": {"run": "cat in > o; mkdir -p d/e; cp in d/e/f; echo made", "inputs": ["in"], "outputs": ["o", "d"]},
    "b": {"run": "cat o d/e/f > p", "inputs": [], "needs": ["a"], "outputs": ["p"]}}}'

# right PROJECT TEXT: whatever the cache holds, a run there makes what it should. Its words go to files of its own.
right() {
    rm -rf "$1/o" "$1/d" "$1/p"
    edited "$1" "$2"
}

# The same, without taking the outputs away.
edited() { # PROJECT TEXT
    echo "$2" > "$1/in"
    timeout -k 5 "$DEADLINE" "$KILN" -C "$1" run --json > "$1.out" 2> "$1.err" < /dev/null ||
        fail "kiln in $1: exit $?: $(tail -n 5 "$1.err" "$1.out")"
    [ "$(cat "$1/p")" = "$2"$'\n'"$2" ] || fail "$1/p holds \"$(cat "$1/p")\", not \"$2\" twice"
    [ "$(cat "$1/d/e/f")" = "$2" ] || fail "$1/d/e/f is wrong"
}

worker() { # PROJECT
    local round
    for ((round = 0; round < ROUNDS; round++)); do
        right "$1" "text $((round % 3))"
    done
    touch "$1.done"
}

all_done() {
    [ -e "$T/w1.done" ] && [ -e "$T/w2.done" ] && [ -e "$T/w3.done" ]
}

test_company() {
    local pids=() project status=0
    for project in w1 w2 w3; do
        mkdir "$T/$project"
        printf '%s\n' "$PIPELINE" > "$T/$project/kiln.json"
        worker "$T/$project" &
        pids+=($!)
    done
    while ! all_done; do
        kiln 0 cache gc --size 8KiB --json
        kiln 0 cache verify
        for project in "${pids[@]}"; do
            kill -0 "$project" 2> /dev/null || wait "$project" || status=1
        done
        [ "$status" -eq 0 ] || fail "a worker failed"
    done
    wait "${pids[@]}"
    kiln any cache verify
    kiln 0 cache verify
}

# One tree is watched and run at the same time, another worktree of it is at work on the same steps; all of them edit.
test_two_worktrees_and_a_watcher() {
    local round pid
    printf '%s\n' "$PIPELINE" > "$P/kiln.json"
    printf '%s\n' in o d p '*.out' '*.err' > "$P/.gitignore"
    echo "text" > "$P/in"
    git_project
    git -C "$P" worktree add -q "$T/w1"
    watch_start
    worker "$T/w1" &
    pid=$!
    for ((round = 0; round < ROUNDS; round++)); do
        edited "$P" "text $((round % 4))" # what the watcher is about to make must be left alone
        kiln 0 cache gc --size 8KiB
    done
    wait "$pid" || fail "the worker failed"
    if gone "$WATCH_PID"; then fail "kiln watch ended by itself"; fi
    watch_stop
    kiln any cache verify
    kiln 0 cache verify
}

# A random byte of a random file of the cache, again and again.
test_random_damage() {
    local round file size
    RANDOM=${KILN_SEED:-7}
    printf '%s\n' "$PIPELINE" > "$P/kiln.json"
    for ((round = 0; round < ROUNDS * 2; round++)); do
        right "$P" "text $((round % 3))"
        mapfile -t files < <(find "$XDG_CACHE_HOME/kiln/v1/cas" "$XDG_CACHE_HOME/kiln/v1/ac" "$XDG_CACHE_HOME/kiln/v1/stat" -type f -size +0 | sort)
        file=${files[RANDOM % ${#files[@]}]}
        size=$(stat -c %s "$file")
        chmod u+w "$file"
        printf "\\x$(printf %02x $((RANDOM % 256)))" | dd of="$file" bs=1 seek=$((RANDOM % size)) conv=notrunc status=none
    done
    kiln any cache verify
    kiln 0 cache verify
    assert_out 'all is right'
    right "$P" "text 0"
}

run_tests
