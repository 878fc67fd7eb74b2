#!/usr/bin/env bash
# kiln shell: on terminals, whose size and signals it follows and whose modes it puts back whatever ends it; in both kinds of
# box, by each runtime, as whoever runs this and, where that is root, as an ordinary user too.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/registry.sh"

TERMINAL=${TERMINAL:-$(dirname "$KILN")/tests/terminal}

# on_terminal ARGUMENT... < SCRIPT: kiln on a terminal of 31 rows and 97 columns (terminal.c has the script's words). All that
# it showed is in $T/out, with how kiln ended in the last line.
on_terminal() {
    RC=0
    TERM=vt100 timeout -k 5 $((3 * DEADLINE)) "$TERMINAL" 31 97 "${AS[@]}" "$KILN" "$@" > "$T/screen" || RC=$?
    sed $'s/\033\\[[?0-9;]*[A-Za-z]//g; s/\r//g' "$T/screen" | tr -d '\000' > "$T/out"
    if grep -q "ERROR: AddressSanitizer\|runtime error:\|LeakSanitizer" "$T/out"; then fail "kiln $*: a sanitizer spoke"; fi
    [ "$RC" -eq 0 ] || fail "kiln $*: $(grep -a '^not done:' "$T/out")"
}

assert_end() { # HOW
    assert_eq "$(tail -n 1 "$T/out")" "$1" "the end"
}

# A shell at /src, in a terminal of its own.
use_it() {
    on_terminal shell s << 'EOF'
wait this is where s runs; changes go with it; exit leaves it
wait /src
type stty size; tty; echo TERM is $TERM, own is $(stat -c %d /dev/pts/0)\n
wait 31 97
wait /dev/pts/0
wait TERM is vt100
size 40 120
type until stty size | grep ' 120$'; do sleep .1; done\n
wait 40 120
type sh -c 'echo be''gun; exec sleep 1000'\n
wait begun
type \x03
wait /src
type echo code $?\n
wait code 130
type sh -c 'echo be''gun; exec sleep 1000'\n
wait begun
type \x1a
wait topped
type while kill -9 %1; do jobs; done 2> /dev/null; echo no''ne left\n
wait none left
type for fd in /proc/[1-9]*/fd/*; do readlink $fd; done | grep pts | sort -u; cat in; exit 7\n
end
EOF
    assert_end "ended 7 sane"
    assert_eq "$(grep '^/dev/pts/' "$T/out" | sort -u)" /dev/pts/0 "terminals"
    assert_out '^as it is$'
    # What its devices lie on is not what those of the machine do.
    assert_out 'own is [0-9]+$'
    assert_no_out "own is $(stat -c %d /dev/pts/ptmx)\$"
}

both_kinds() {
    busybox_layer base
    image "$P/oci" base '{"Env": ["PATH=/bin"]}' base
    echo as it is > in
    local kind
    for kind in '"runner": "sandbox"' '"image": "oci:oci:base"'; do
        project '{"version": 1, "steps": {"s": {'"$kind"', "run": "true", "inputs": ["in"]}}}'
        mine
        use_it
    done
}

test_both_kinds() { as_both both_kinds; }

test_both_kinds_by_runc() {
    command -v runc > /dev/null || { echo "(not tried: there is no runc)"; return 0; }
    export KILN_RUNTIME=runc
    as_both both_kinds
}

# What the step runs is the last line of the shell's history, as text and exactly; nobody's own history is read or written.
history_in_a_box() {
    project '{"version": 1, "steps": {"s": {"runner": "sandbox", "run": "echo \u0027its\u0027 $((6 * 7))\nfalse", "inputs": []}}}'
    mine
    on_terminal shell s << 'EOF'
wait /src
type \x10\x10\n
wait /bin/sh -ec 'echo
wait its 42
type \x10\x10\n
wait its 42
type echo file:$HISTFILE. code:$?; exit 0\n
wait file:. code:1
end
EOF
    assert_end "ended 0 sane"
}

test_history_in_a_box() { as_both history_in_a_box; }

test_history_of_a_program() {
    local sign='$'
    [ "$(id -u)" -ne 0 ] || sign='#'
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"s": {"run": ["printf", "%s-", "a b", "c"], "inputs": []}}}'
    on_terminal shell s << EOF
wait project$sign
type \x10\n
wait a b-c-
type exit\n
end
EOF
    assert_out "printf '?%s-'? 'a b' c"
}

# Where there is no bash, the command is told.
test_no_history() {
    busybox_layer base
    image "$P/oci" base '{"Env": ["PATH=/bin"]}' base
    project '{"version": 1, "steps": {"s": {"image": "oci:oci:base", "run": "echo hi", "inputs": []}}}'
    on_terminal shell s << 'EOF'
wait put the step's command into:
wait echo hi
type exit 6\n
end
EOF
    assert_end "ended 6 sane"
}

failed() {
    project '{"version": 1, "steps": {"s": {"runner": "sandbox", "run": "echo trace > trace; exit 4", "inputs": []}}}'
    mine
    kiln 1 run
    on_terminal shell s --failed << 'EOF'
wait this is where s failed, as it left things; changes stay until it runs again
wait /src
type ls; exit 5\n
wait trace
end
EOF
    assert_end "ended 5 sane"
    on_terminal shell s --command 'stty size; cat; exit 3' << 'EOF'
wait 31 97
type typed\n\x04
end
EOF
    assert_end "ended 3 sane"
    assert_no_out 'this is where'
    assert_eq "$(grep -c '^typed' "$T/out")" 2 "what was typed, and came back"
    on_terminal shell s --command /no/such << 'EOF'
end
EOF
    assert_end "ended 127 sane"
}

test_failed() { as_both failed; }

nobody() { # COMMAND
    ! pgrep -f "^$1\$"
}

# Whatever ends kiln, the terminal is as it was, and nothing runs on.
ended_by() { # ACT HOW [COMMAND;]
    local token=$((RANDOM + 100000))
    on_terminal shell s << EOF
wait $PROMPT
type sh -c 'echo be''gun; ${3:-}exec sleep $token'\n
wait begun
$1
end
EOF
    assert_end "$2"
    wait_for nobody "sleep $token"
}

endings() {
    ended_by "kill 15" "ended 143 sane"
    ended_by "kill 15" "ended 143 sane" "yes & "
    ended_by "kill 1" "ended 129 sane"
    ended_by "signal 2" "ended 130 sane"
    ended_by "kill 3" "killed 3 sane"
    ended_by "kill 9" "killed 9 sane"
    ended_by "hangup" "ended 129 closed"
}

endings_in_a_box() {
    project '{"version": 1, "steps": {"s": {"runner": "sandbox", "run": "true", "inputs": []}}}'
    mine
    PROMPT=/src
    endings
}

test_endings_in_a_box() { as_both endings_in_a_box; }

test_endings_on_the_host() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"s": {"run": "echo $$; true", "inputs": []}}}'
    PROMPT=${P##*/}
    endings
}

# On the host it is the project itself, after what is needed, with the step's variables.
test_a_shell_on_the_host() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "first": {"run": "echo made > made", "inputs": [], "outputs": ["made"]},
        "s": {"needs": ["first"], "run": "touch never", "inputs": [], "env": {"A": "set"}, "cwd": "sub"},
        "bad": {"run": "exit 9", "inputs": []},
        "after": {"needs": ["bad"], "run": "true", "inputs": []}}}'
    mkdir sub
    kiln 3 shell s --command 'echo $A; cat ../made; echo here > here; exit 3'
    assert_file "$T/out" "set
made"
    assert_file sub/here here
    assert_no_file sub/never
    kiln 0 run s --json
    assert_eq "$(ran)" s "a shell gives no result"
    kiln 1 shell after --command 'echo never'
    assert_no_out never
    assert_err '^bad: FAILED with exit code 9'
    kiln 2 shell no-such --command true
    assert_err 'no step "no-such"'
}

# More than a terminal holds, while the command writes nothing that would have kiln look there again; and kiln ends although
# nobody reads what its command floods the terminal with.
test_what_is_not_taken_at_once() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"s": {"run": "echo $$; true", "inputs": []}}}'
    local line script=$T/script
    line=$(printf '%3800s' '' | tr ' ' x)
    {
        echo "wait ${P##*/}"
        echo "type stty raw -echo; echo re''ady; sleep .5; head -c 228000 | wc -c; stty sane; exit 4\\n"
        echo "wait ready"
        for _ in {1..60}; do echo "type $line"; done
        echo "wait 228000"
        echo "end"
    } > "$script"
    on_terminal shell s < "$script"
    assert_end "ended 4 sane"
    on_terminal shell s << EOF
wait ${P##*/}
type echo be''gun; yes\n
wait begun
wait y
stall
kill 15
end
EOF
    assert_end "ended 143 sane"
}

# What a shell wrote in a step's place is on record, and not the step's log; what it needed did run.
test_logs_are_the_steps_own() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "first": {"run": "echo \"first says $(cat in)\"", "inputs": ["in"]},
        "s": {"needs": ["first"], "run": "echo s says $(cat in)", "inputs": ["in"]}}}'
    echo one > in
    kiln 0 run
    echo two > in
    kiln 7 shell s --command 'echo said in the shell; exit 7'
    kiln 0 logs s
    assert_file "$T/out" "s says one"
    kiln 0 logs first
    assert_file "$T/out" "first says two"
    kiln 0 logs s --run 2
    assert_file "$T/out" "said in the shell"
    kiln 0 run
    kiln 0 run
    kiln 2 logs s --run 4
    assert_err 'it last ran in run 3:'
    kiln 0 shell s --command true
    kiln 2 logs s --run 4
    assert_err 'it last ran in run 3:'
    # It is no failure of the step that could be opened.
    kiln any replay 2
    assert_out '^kiln: run 2: 2 steps, .*, of which the last was left to a shell$'
    assert_no_out 'to look into it'
}

test_the_last_failure() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "first": {"run": "grep yes fine", "inputs": ["fine"]},
        "second": {"run": "grep yes fine", "inputs": ["fine"]},
        "other": {"run": "true", "inputs": []}}}'
    echo no > fine
    kiln 2 shell --command true
    assert_err 'wants STEP'
    kiln 2 shell --failed --command true
    assert_err 'no failure is on record'
    kiln 1 run second
    kiln 1 run first
    kiln 0 run other
    kiln 5 shell other --command 'exit 5' # is no failure of it
    kiln 0 shell --failed --command 'echo here'
    assert_file "$T/out" here
    assert_err '^kiln: first failed last, in run 2$'
    kiln 0 runs --json
    assert_eq "$(jq -r '.[0].trigger' "$T/out")" shell
    sed -i 's/"first"/"renamed"/' kiln.json
    kiln 0 shell --failed --command true
    assert_err '^kiln: second failed last, in run 1$'
    echo yes > fine
    kiln 0 run
    kiln 2 shell --failed --command true
    assert_err 'no failure is on record'
}

run_tests
