#!/usr/bin/env bash
# The cache and the state when they are full, read-only, missing, damaged or in use: runs stay right, and nothing untrue is kept.
. "$(dirname "$0")/lib.sh"

PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "steps": {
    "a": {"run": "cat in big > o; echo made", "inputs": ["in", "big"], "outputs": ["o"]},
    "b": {"run": "wc -c < o", "inputs": [], "needs": ["a"]}}}'
export PIPELINE

small_project() {
    project "$PIPELINE"
    echo 1 > in
    : > big
}

# A run that must be right whatever state the cache is in.
right() { # STEPS...: these are executed
    kiln 0 run --json
    assert_eq "$(ran)" "$*"
    cat in big | cmp - o || fail "o is wrong"
}

is_unwritable() {
    local where=$1
    right a b
    assert_err "warning: the cache at $where can only be read.*KILN_CACHE_DIR"
    right a b
}

test_full_cache() {
    with_mounts full_cache
}

full_cache() {
    export KILN_CACHE_DIR=$T/small
    small_disk "$KILN_CACHE_DIR" 128
    small_project
    head -c 300000 /dev/urandom > big
    right a b
    assert_eq "$(events 'select(.type == "notice") | "\(.level) \(.text)"' | grep -c 'warning results are not being cached: .*No space left on device')" 1
    # What did not fit was not stored, and no half of it either.
    right a
    kiln 0 cache stats --json
    assert_eq "$(jq .actions "$T/out")" 1
    find "$KILN_CACHE_DIR/v1/tmp" -type f | grep . && fail "left in tmp"
    : > big
    right a b
    right
    fill_disk "$KILN_CACHE_DIR"
    echo 2 > in
    right a b
    rm "$KILN_CACHE_DIR/fill"
    echo 1 > in
    right
}

# A full disk whose room old results take: they go, and the new one is kept.
test_full_of_old_results() {
    with_mounts full_of_old_results
}

full_of_old_results() {
    local n
    export KILN_CACHE_DIR=$T/small
    small_disk "$KILN_CACHE_DIR" 1024
    small_project
    for n in 1 2 3; do
        head -c 200000 /dev/urandom > big
        right a b
    done
    find "$KILN_CACHE_DIR/v1/cas" "$KILN_CACHE_DIR/v1/ac" -type f -exec touch -d '2 days ago' {} +
    fill_disk "$KILN_CACHE_DIR"
    truncate -s -40000 "$KILN_CACHE_DIR/fill"
    head -c 100000 /dev/urandom > big
    right a b
    assert_eq "$(events 'select(.type == "notice") | .text')" ""
    right
    rm o
    right
    kiln 0 cache verify
    [ "$(find "$KILN_CACHE_DIR/v1/cas" -type f -size +150k | wc -l)" -lt 3 ] || fail "nothing was collected"
}

# A limit is kept without anybody asking, and what the last run needs is not what goes.
test_limit_by_itself() {
    local n
    export KILN_CACHE_SIZE=1MiB
    small_project
    for n in 1 2 3 4 5 6 7 8; do
        head -c 300000 /dev/urandom > big
        right a b
        # What was stored before is not in use any more, nor is it taken for having been just now.
        find "$XDG_CACHE_HOME/kiln/v1/cas" "$XDG_CACHE_HOME/kiln/v1/ac" -type f -exec touch -d "$((9 - n)) hours ago" {} +
        touch -d '1 hour ago' "$XDG_CACHE_HOME/kiln/v1/gc" # it does not pause
    done
    head -c 300000 /dev/urandom > big
    right a b
    kiln 0 cache stats --json
    jq -e '.disk_bytes <= 1048576 and .disk_bytes > 300000' "$T/out" > /dev/null || fail "the limit"
    rm o
    right
    kiln 0 cache verify
}

test_cache_full_from_the_start() {
    with_mounts cache_full_from_the_start
}

cache_full_from_the_start() {
    export KILN_CACHE_DIR=$T/small
    small_disk "$KILN_CACHE_DIR" 64
    fill_disk "$KILN_CACHE_DIR"
    small_project
    right a b
    right a b
}

test_full_state() {
    with_mounts full_state
}

full_state() {
    export XDG_STATE_HOME=$T/small
    small_disk "$XDG_STATE_HOME" 64
    fill_disk "$XDG_STATE_HOME"
    small_project
    right a b
    assert_err 'warning: no run records are kept: .*No space left on device'
    right
    kiln 3 runs
    # Room for the beginning of a log.
    head -c 20000 /dev/zero > "$XDG_STATE_HOME/fill"
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "head -c 100000 /dev/zero", "inputs": []}}}'
    kiln 3 run --json
    assert_eq "$(status a)" failed
    assert_match "$(events 'select(.type == "step.finished") | .error')" 'output could not be written.*No space left'
    kiln 0 cache stats --json
    assert_eq "$(jq .actions "$T/out")" 2
}

test_full_working_tree() {
    with_mounts full_working_tree
}

full_working_tree() {
    mkdir "$T/tree"
    P=$T/tree
    small_disk "$P" 200
    small_project
    head -c 90000 /dev/urandom > big
    right a b
    rm o
    fill_disk "$P"
    kiln 3 run --json
    assert_eq "$(status a)" failed
    assert_eq "$(status b)" skipped
    assert_match "$(events 'select(.step == "a" and .type == "step.finished") | .error')" 'could not be restored: .*"o".*No space left on device'
    assert_eq "$(find . ! -name . | sort | paste -sd ' ')" "./big ./fill ./in ./kiln.json"
    rm fill
    right
}

test_read_only_cache() {
    with_mounts read_only_cache
}

read_only_cache() {
    export KILN_CACHE_DIR=$T/cache
    small_project
    mkdir "$KILN_CACHE_DIR"
    right a b
    mount --bind "$KILN_CACHE_DIR" "$KILN_CACHE_DIR"
    mount -o remount,ro,bind "$KILN_CACHE_DIR"
    rm o
    right # still serves
    echo 2 > in
    is_unwritable "$KILN_CACHE_DIR"
    kiln 0 plan
    kiln 0 explain a
    kiln 0 cache stats
    kiln 3 cache clear --yes
    echo 1 > in
    right
    # A pipeline made by a program needs no cache either.
    echo '{"version": 1, "generate": {"run": ["cat", "made.json"], "inputs": ["made.json"]}}' > kiln.json
    printf '%s\n' "$PIPELINE" > made.json
    right
}

test_cache_of_somebody_else() {
    small_project
    mkdir "$T/theirs"
    unprivileged || return 0
    chmod 555 "$T/theirs"
    export KILN_CACHE_DIR=$T/theirs
    is_unwritable "$T/theirs"
    chmod 000 "$T/theirs"
    [ "$(id -u)" -ne 0 ] || chown 0:0 "$T/theirs"
    kiln any run --json
    case $RC in
    0) right a b ;;
    3) assert_err 'cache' ;;
    *) fail "exit $RC" ;;
    esac
}

test_cache_is_a_file() {
    small_project
    touch "$T/file"
    export KILN_CACHE_DIR=$T/file
    is_unwritable "$T/file"
    export KILN_CACHE_DIR=$T/file/below
    is_unwritable "$T/file/below"
}

test_without_a_home() {
    small_project
    unset HOME XDG_CACHE_HOME XDG_STATE_HOME
    kiln 3 run
    assert_err 'no place for the cache: set HOME, XDG_CACHE_HOME or KILN_CACHE_DIR'
    export HOME=
    kiln 3 run
    export HOME=not/absolute
    kiln 3 run
    assert_no_file not
    unset HOME
    export KILN_CACHE_DIR=$T/cache
    right a b
    assert_err 'no run records are kept: set HOME or XDG_STATE_HOME'
    right
    unset KILN_CACHE_DIR
    export HOME=/dev/null
    right a b # neither a cache nor records
    export HOME=$T/home
    right a b
}

# spoil HOW FILE...
spoil() {
    local how=$1 file
    shift
    for file in "$@"; do
        case $how in
        short) chmod u+w "$file"; truncate -s -1 "$file" ;;
        empty) chmod u+w "$file"; : > "$file" ;;
        garbage)
            head -c "$(stat -c %s "$file")" /dev/urandom > "$file.new"
            mv -f "$file.new" "$file"
            ;;
        flipped)
            chmod u+w "$file"
            tr '\0-\377' '\1-\377\0' < "$file" > "$file.new"
            mv -f "$file.new" "$file"
            ;;
        fifo) rm "$file"; mkfifo "$file" ;;
        directory) rm "$file"; mkdir "$file" ;;
        link) rm "$file"; ln -s /dev/zero "$file" ;;
        esac
    done
}

damage() { # WHAT
    local how cache=$XDG_CACHE_HOME/kiln/v1
    small_project
    right a b
    # shellcheck disable=SC2046
    for how in short empty garbage flipped fifo directory link; do
        case $1 in
        cas) spoil $how $(find "$cache/cas" -type f) ;;
        ac) spoil $how $(find "$cache/ac" -type f) ;;
        stat) spoil $how $(find "$cache/stat" -type f) ;;
        log) spoil $how "$XDG_STATE_HOME"/kiln/projects/*/steps.log ;;
        esac
        rm o
        case $1 in
        cas) right a ;;
        ac) right a b ;;
        *) right ;;
        esac
        kiln 0 explain a
        kiln 0 plan
        kiln 0 runs
        right
        # Only what is empty and in its place can be a file again.
        rmdir "$cache"/stat/* "$XDG_STATE_HOME"/kiln/projects/*/steps.log 2> /dev/null || true
        right
    done
}

test_damaged_content() {
    damage cas
}

test_damaged_results() {
    damage ac
    ls "$XDG_CACHE_HOME"/kiln/v1/bad/*.ac-* > /dev/null || fail "nothing was set aside"
}

test_damaged_stat_cache() {
    damage stat
}

test_damaged_history() {
    damage log
}

# A result under another's key, and one whose outputs are another's, are not believed.
test_a_result_in_the_wrong_place() {
    local ac=$XDG_CACHE_HOME/kiln/v1/ac
    small_project
    right a b
    kiln 0 plan --json
    one=$(jq -r '.steps[0].key' "$T/out")
    echo 2 > in
    right a b
    kiln 0 plan --json
    two=$(jq -r '.steps[0].key' "$T/out")
    cp -f "$ac/${one:0:2}/$one" "$ac/${two:0:2}/$two"
    right a
    assert_file o 2
}

test_damaged_records() {
    small_project
    right a b
    for how in short garbage empty fifo directory link; do
        # shellcheck disable=SC2046
        spoil $how $(find "$XDG_STATE_HOME"/kiln/projects/*/runs -name events.ndjson -type f)
        kiln 0 runs
        kiln any logs a
        [ "$RC" -eq 0 ] || [ -s "$T/err" ] || fail "exit $RC without a word"
        kiln 0 run
    done
    rm -r "$XDG_STATE_HOME"/kiln/projects/*/runs
    : > "$(echo "$XDG_STATE_HOME"/kiln/projects/*)/runs"
    kiln 0 run
    rm -r "$XDG_STATE_HOME"
    right
}

# waits_in_flock PID: the child of that process sits in flock(2) (its number: x86-64, then the generic table's).
waits_in_flock() {
    local child
    child=$(pgrep -P "$1") && grep -qE '^(73|32) ' "/proc/$child/syscall"
}

test_the_lock() {
    local lock=$XDG_CACHE_HOME/kiln/v1/lock
    small_project
    right a b
    # One that a dead process left means nothing.
    : > "$lock"
    chmod 400 "$lock"
    right
    chmod 600 "$lock"
    # While somebody has it open, what nobody uses just now is removed all the same; while it is cleared, one waits.
    exec 9< "$lock"
    flock -s 9
    kiln 0 cache clear --yes
    kiln 0 cache stats --json
    assert_eq "$(jq -c '[.blobs, .actions]' "$T/out")" '[0,0]'
    right a b
    flock -x 9
    timeout "$DEADLINE" "$KILN" run --json > "$T/out" 2> "$T/err" < /dev/null 9<&- &
    pid=$!
    wait_for waits_in_flock "$pid"
    ! gone "$pid" || fail "it did not wait"
    flock -u 9
    wait "$pid"
    assert_eq "$(ran)" ""
}

test_old_temporary_files_are_swept() {
    small_project
    right a b
    touch -d '3 days ago' "$XDG_CACHE_HOME/kiln/v1/tmp/orphan"
    touch "$XDG_CACHE_HOME/kiln/v1/tmp/fresh"
    right
    assert_no_file "$XDG_CACHE_HOME/kiln/v1/tmp/orphan"
    [ -e "$XDG_CACHE_HOME/kiln/v1/tmp/fresh" ] || fail "what may be in use was swept"
}

test_a_cache_inside_of_the_project() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true"}}}'
    export KILN_CACHE_DIR=$P/.cache
    echo .cache > .gitignore
    kiln 0 run
    kiln 0 run --json
    assert_eq "$(ran)" ""
}

test_projects_share_content_not_results() {
    small_project
    right a b
    cp -r "$P" "$T/other"
    cd "$T/other"
    rm o
    right a b
    right
    cd "$P"
    right
}

# What it says of gc is said about the cache, and removes nothing.
test_gc_says_what_it_would_do() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat in > out", "inputs": ["in"], "outputs": ["out"]}}}'
    echo 1 > in
    kiln 0 run
    kiln 0 cache gc --dry-run --size 0
    assert_out 'would remove'
    assert_no_out 'would run'
    kiln 0 cache gc --dry-run --size 0 --json
    assert_eq "$(jq .dry_run "$T/out")" true
    kiln 0 cache stats --json
    assert_eq "$(jq .actions "$T/out")" 1 "results"
    kiln 0 cache gc --size 0
    kiln 0 cache stats --json
    assert_eq "$(jq .actions "$T/out")" 0 "results"
}

run_tests
