# lib.sh - what process tests are written with: real kiln processes in a project and a home of their own.
#
#     . "$(dirname "$0")/lib.sh"
#
#     test_a_hit() {
#         project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat in > out", "inputs": ["in"], "outputs": ["out"]}}}'
#         echo 1 > in
#         kiln 0 run --json        # the exit code it must have, then its arguments
#         assert_eq "$(ran)" "a"
#         kiln 0 run --json
#         assert_eq "$(ran)" ""
#     }
#
#     run_tests
#
# Every function test_* runs in a subshell with "set -eu", in a new project directory, with its own HOME and
# XDG directories; so a failing command, an assertion, or "fail" ends the test, not the script. Afterwards its
# processes are ended and its directory is removed (KILN_TEST_KEEP=1 keeps it). Arguments to the script choose
# tests by name. Nothing waits by sleeping for a time: wait_for asks until a deadline.
#
# KILN is the binary under test. Needs jq.

# Signals that whoever runs this ignores, as nohup does with one, a shell cannot get back.
if [ -z "${KILN_TEST_AGAIN:-}" ] && ! grep -q '^SigIgn:[[:space:]]*0*$' /proc/$$/status; then
    KILN_TEST_AGAIN=1 exec env --default-signal bash "$0" "$@"
fi
unset KILN_TEST_AGAIN

KILN=${KILN:?KILN names the kiln binary to test}
KILN=$(realpath "$KILN")
umask 022 # modes are compared
export LC_ALL=C.UTF-8 # before the tests are read: what "\u" stands for in them depends on it
SOURCE_DIR=${SOURCE_DIR:-$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")}
DEADLINE=${KILN_TEST_DEADLINE:-60} # seconds; generous: it only ends what hangs

command -v jq > /dev/null || { echo "process tests need jq" >&2; exit 1; }

# -- failing ---------------------------------------------------------------------------------------

# fail TEXT: ends the test; shows where, and the last kiln's words.
fail() {
    local i
    {
        echo "FAILED: $*"
        for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do
            case ${BASH_SOURCE[i]} in
            */lib.sh) ;;
            *) echo "  at ${BASH_SOURCE[i]##*/}:${BASH_LINENO[i - 1]} (${FUNCNAME[i]})" ;;
            esac
        done
        show_words
    } >&2
    trap - ERR
    exit 1
}

show_words() {
    local file
    for file in "$T/out" "$T/err" "$T/watch.out" "$T/watch.err"; do
        if [ -s "$file" ]; then
            echo "--- ${file##*/}"
            tail -n 40 "$file" | cut -c 1-400
        fi
    done
    echo "---"
}

assert_eq() { # GOT WANT [WHAT]
    [ "$1" = "$2" ] || fail "${3:-value}: \"$1\", not \"$2\""
}

assert_match() { # TEXT REGEX [WHAT]
    [[ $1 =~ $2 ]] || fail "${3:-text}: \"$1\" does not match /$2/"
}

assert_file() { # FILE TEXT: the file's content, but for the newlines at its end
    [ -e "$1" ] || fail "$1 is not there"
    [ "$(cat -- "$1")" = "$2" ] || fail "$1 holds \"$(head -c 400 -- "$1")\", not \"$2\""
}

assert_no_file() {
    if [ -e "$1" ] || [ -L "$1" ]; then fail "$1 is there"; fi
}

assert_out() { # REGEX: a line of the last kiln's standard output
    grep -Eq -- "$1" "$T/out" || fail "no line of standard output matches /$1/"
}

assert_no_out() {
    if grep -Eq -- "$1" "$T/out"; then fail "a line of standard output matches /$1/"; fi
}

assert_err() {
    grep -Eq -- "$1" "$T/err" || fail "no line of standard error matches /$1/"
}

assert_no_err() {
    if [ -s "$T/err" ]; then fail "something was written to standard error"; fi
}

# -- projects and kiln -----------------------------------------------------------------------------

# project JSON: the test's project directory (made already, and the current one) gets this kiln.json.
project() {
    printf '%s\n' "$1" > "$P/kiln.json"
    cd "$P"
}

# git_project: makes it a git repository with all files committed.
git_project() {
    git -C "$P" init -q
    git -C "$P" add -A
    git -C "$P" commit -q --allow-empty -m "first"
}

# kiln EXIT ARGUMENT...: runs it to its end; it must exit with EXIT ("any": $RC tells). Its words are in $T/out and $T/err.
# What is in the array AS comes before it: see unprivileged(). It reads INPUT.
AS=()
INPUT=/dev/null
kiln() {
    local want=$1
    shift
    RC=0
    timeout -k 5 "$DEADLINE" "${AS[@]}" "$KILN" "$@" > "$T/out" 2> "$T/err" < "$INPUT" || RC=$?
    if grep -q "ERROR: AddressSanitizer\|runtime error:\|LeakSanitizer\|WARNING: ThreadSanitizer" "$T/err"; then
        fail "kiln $*: a sanitizer spoke"
    fi
    [ "$want" = any ] || [ "$RC" -eq "$want" ] || fail "kiln $*: exit $RC, not $want"
}

# unprivileged: from here on kiln runs as somebody whom permissions stop. False when root cannot become such a one.
unprivileged() {
    [ "$(id -u)" -eq 0 ] || return 0
    local as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chmod 755 "$T"
    chown -R 65534:65534 "$T"
    "${as[@]}" test -x "$KILN" -a -w "$P" 2> /dev/null || return 1
    AS=("${as[@]}")
}

# Whether boxes can be had here; says why not. KILN_TEST_DOCTOR is a kiln to ask instead: ThreadSanitizer's own thread
# keeps what a kiln with that forks for the question from making a user namespace.
boxes() {
    KILN=${KILN_TEST_DOCTOR:-$KILN} kiln any doctor --json
    if jq -e .works "$T/out" > /dev/null; then return 0; fi
    echo "(not tried: $(jq -r '[.checks[] | select(.verdict == "missing") | .name + ": " + .found] | join("; ")' "$T/out"))"
    return 1
}

# as_both FUNCTION: calls it as it is, and again as an ordinary user, in a new project.
as_both() {
    boxes || return 0
    "$1"
    [ "$(id -u)" -eq 0 ] || return 0
    chmod -R u+rwX "$T" 2> /dev/null || :
    rm -rf "$P" "$T/home" "$T/root" "$T/layers" "$T/oci"
    mkdir -p "$P" "$HOME"
    cd "$P"
    unprivileged || return 0
    boxes || return 0
    "$1"
}

# What the test writes belongs to whom kiln runs as.
mine() {
    if [ ${#AS[@]} -gt 0 ]; then chown -R 65534:65534 "$T"; fi
}

# with_mounts FUNCTION: calls it, in a new shell, where it may mount file systems that nobody else sees; does nothing
# where that is not allowed. Functions are there, and variables that are exported.
with_mounts() {
    local how=(unshare -m)
    [ "$(id -u)" -eq 0 ] || how=(unshare -Urm)
    if ! "${how[@]}" mount -t tmpfs none "$T" 2> /dev/null; then
        echo "(not tried: mounting is not allowed here)"
        return 0
    fi
    # shellcheck disable=SC2046
    export -f $(compgen -A function)
    export T P KILN DEADLINE
    "${how[@]}" bash -c 'set -eEu; AS=(); INPUT=/dev/null; WATCH_PID=; trap "fail \"a command failed: \$BASH_COMMAND\"" ERR; cd "$P"; '"$1"
}

# A file system of that size, and one that has no byte left. Only in with_mounts().
small_disk() { # DIRECTORY KILOBYTES
    mkdir -p "$1"
    mount -t tmpfs -o "size=$2k" none "$1"
}

fill_disk() { # DIRECTORY
    head -c 100000000 /dev/zero > "$1/fill" 2> /dev/null || true
}

# -- events ("kiln run --json", or a watch) --------------------------------------------------------

# events FILTER [FILE]: jq, raw, on the last kiln's events, one a line.
events() {
    jq -r "$1" "${2:-$T/out}"
}

# ran [FILE]: the names of the steps that were executed, sorted, in one line.
ran() {
    events 'select(.type == "step.started") | .step' "${1:-}" | sort -u | paste -sd " "
}

# status STEP [FILE]: how it ended, the last time.
status() {
    events "select(.type == \"step.finished\" and .step == \"$1\") | .status" "${2:-}" | tail -n 1
}

# reasons STEP [FILE]: why it ran the last time: "file src/a.c", "env CC" ... one a line.
reasons() {
    events "select(.type == \"step.started\" and .step == \"$1\") | [.reasons[] | .kind + (if .subject then \" \" + .subject else \"\" end)] | join(\"\\u0001\")" \
        "${2:-}" | tail -n 1 | tr '\001' '\n'
}

# step_log STEP [FILE]: what it wrote, both streams as they came.
step_log() {
    jq -rj "select(.type == \"step.log\" and .step == \"$1\") | .data" "${2:-$T/out}"
}

# results: how many results of steps the cache has. What it keeps of failures, to be looked into, is none.
results() {
    { grep -rLa "the inputs of a failure" "$XDG_CACHE_HOME/kiln/v1/ac" 2> /dev/null || :; } | wc -l
}

# -- waiting ---------------------------------------------------------------------------------------

# wait_for COMMAND...: asks until it succeeds; fails at the deadline.
wait_for() {
    local end=$((SECONDS + DEADLINE))
    until "$@" > /dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "gave up waiting for: $*"
        sleep 0.02
    done
}

has_lines() { # FILE REGEX COUNT
    [ "$(grep -Ec -- "$2" "$1")" -ge "$3" ]
}

gone() { # PID: no process, or one that only waits to be reaped
    ! kill -0 "$1" 2> /dev/null || grep -q "^State:.[ZX]" "/proc/$1/status"
}

# -- watching --------------------------------------------------------------------------------------

# watch_start ARGUMENT...: "kiln watch --json" in the background; its events go to $T/watch.out. Returns when it is idle.
watch_start() {
    : > "$T/watch.out"
    "$KILN" watch --json "$@" > "$T/watch.out" 2> "$T/watch.err" < /dev/null &
    WATCH_PID=$!
    IDLE=0
    MARK=0
    SYNC=0
    watch_idle
}

idle_or_dead() {
    has_lines "$T/watch.out" '"type":"watch.idle"' "$1" || gone "$WATCH_PID"
}

# watch_idle: waits for the next "watch.idle"; the events since the one before are then in $T/round.
watch_idle() {
    wait_for idle_or_dead $((IDLE + 1))
    has_lines "$T/watch.out" '"type":"watch.idle"' $((IDLE + 1)) || fail "kiln watch ended by itself"
    awk -v from="$IDLE" '
        n == from { print }
        /"type":"watch.idle"/ { n++ }' "$T/watch.out" > "$T/round"
    IDLE=$((IDLE + 1))
    MARK=$(awk -v n="$IDLE" '/"type":"watch.idle"/ && ++seen == n { print NR; exit }' "$T/watch.out")
}

# watch_stop [SIGNAL]: ends it; its exit code is in $RC.
watch_stop() {
    kill -s "${1:-INT}" "$WATCH_PID"
    wait_for gone "$WATCH_PID"
    RC=0
    wait "$WATCH_PID" || RC=$?
    if grep -q "ERROR: AddressSanitizer\|runtime error:\|LeakSanitizer\|WARNING: ThreadSanitizer" "$T/watch.err"; then
        fail "kiln watch: a sanitizer spoke"
    fi
    WATCH_PID=
}

# put FILE TEXT: saves the file in one go, so that nobody sees it half-written.
put() {
    printf '%s\n' "$2" > "$T/put"
    mv "$T/put" "$1"
}

# since FILTER: jq, raw, on the events since the last watch_idle or watch_settle ($T/watch.out grows meanwhile).
since() {
    tail -n +$((MARK + 1)) "$T/watch.out" | jq -r "$1" 2> /dev/null || :
}

# wait_event FILTER: until an event since then passes jq's select(FILTER).
wait_event() {
    wait_for saw_event "$1"
    [ -n "$(since "select($1) | .type")" ] || fail "kiln watch ended by itself"
}

saw_event() {
    [ -n "$(since "select($1) | .type")" ] || gone "$WATCH_PID"
}

# wait_started STEP
wait_started() {
    wait_event ".type == \"step.started\" and .step == \"$1\""
}

# A step that watch_settle needs in the pipeline: nothing else reads its input.
SYNC_STEP='"sync": {"run": "cat .sync", "inputs": [".sync"]}'

# watch_settle: has the step "sync" run, so that all that was done before has been taken up for certain; waits
# until nothing is left to do. The events since the last time are then in $T/round. For what must cause nothing.
watch_settle() {
    SYNC=$((SYNC + 1))
    put "$P/.sync" "sync $BASHPID $SYNC" # never seen empty: it is one change
    wait_for settled_or_dead "sync $BASHPID $SYNC"
    if gone "$WATCH_PID"; then fail "kiln watch ended by itself"; fi
    tail -n +$((MARK + 1)) "$T/watch.out" > "$T/round"
    MARK=$((MARK + $(wc -l < "$T/round")))
    IDLE=$(grep -c '"type":"watch.idle"' "$T/watch.out" || :)
}

settled_or_dead() {
    gone "$WATCH_PID" || {
        tail -n +$((MARK + 1)) "$T/watch.out" | grep -q "\"type\":\"step.log\".*$1" &&
            tail -n 1 "$T/watch.out" | grep -q '"type":"watch.idle"'
    }
}

# others [FILE]: as "ran", without the step "sync".
others() {
    ran "${1:-$T/round}" | tr ' ' '\n' | grep -vx sync | paste -sd " " || :
}

# rounds [FILE]: how many runs had another step than "sync".
rounds() {
    events 'select(.type == "run.started") | .steps | map(select(. != "sync")) | select(length > 0) | "run"' \
        "${1:-$T/round}" | wc -l
}

# -- running the tests -----------------------------------------------------------------------------

clean_up() {
    local pid
    trap - ERR
    set +eu
    for pid in ${WATCH_PID:-} $(jobs -p); do
        kill -KILL "$pid" 2> /dev/null
        wait "$pid" 2> /dev/null
    done
    cd /
    if [ "${KILN_TEST_KEEP:-}" = 1 ]; then
        echo "kept: $T" >&2
    else
        chmod -R u+rwX "$T" 2> /dev/null
        rm -rf "$T"
    fi
}

one_test() {
    T=$(mktemp -d "${TMPDIR:-/tmp}/kiln-test.XXXXXX")
    P=$T/project
    WATCH_PID=
    trap clean_up EXIT
    # A session kiln was started from must not show through.
    # shellcheck disable=SC2086
    unset ${!GIT_*} ${!GITHUB_*} ${!GITLAB_*} ${!BUILDKITE*} ${!OTEL_*} ${!PRE_COMMIT_*} CI TRACEPARENT XDG_CONFIG_DIRS CDPATH LANGUAGE http_proxy HTTP_PROXY all_proxy ALL_PROXY \
        KILN_CACHE_DIR KILN_CACHE_SIZE KILN_SCREEN_READER KILN_COMMIT_MSG NO_COLOR COLORFGBG COLORTERM CLICOLOR_FORCE FORCE_COLOR \
        TMUX TMUX_PANE STY VTE_VERSION EDITOR VISUAL PAGER
    export HOME=$T/home XDG_CACHE_HOME=$T/home/.cache XDG_STATE_HOME=$T/home/.local/state
    export XDG_CONFIG_HOME=$T/home/.config XDG_RUNTIME_DIR=$T/runtime
    export TERM=dumb GIT_CONFIG_NOSYSTEM=1
    export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example.org GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.org
    mkdir -p "$P" "$HOME" "$XDG_RUNTIME_DIR"
    chmod 700 "$XDG_RUNTIME_DIR"
    cd "$P" || exit 1
    set -eEu
    trap 'fail "a command failed: $BASH_COMMAND"' ERR
    "$1"
}

run_tests() {
    local name failed=0 n=0 begin
    for name in $(compgen -A function | grep '^test_'); do
        if [ -n "${CHOSEN:-}" ] && [[ " $CHOSEN " != *" $name "* ]]; then continue; fi
        n=$((n + 1))
        begin=$SECONDS
        # Not in a condition: that would turn "set -e" off inside.
        (one_test "$name")
        if [ $? -eq 0 ]; then
            echo "[ PASS ] ${name#test_} ($((SECONDS - begin)) s)"
        else
            echo "[ FAIL ] ${name#test_}"
            failed=$((failed + 1))
        fi
    done
    if [ "$n" -eq 0 ]; then
        echo "no test of that name" >&2
        exit 1
    fi
    if [ "$failed" -gt 0 ]; then
        echo "$failed of $n failed"
        exit 1
    fi
    exit 0
}

CHOSEN=$*
