#!/usr/bin/env bash
# Interactive steps: what is typed reaches them, on a terminal without panes, in the panes, and where nobody types.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/registry.sh"

TERMINAL=${TERMINAL:-$(dirname "$KILN")/tests/terminal}

# on_terminal ARGUMENT... < SCRIPT: kiln on a terminal of 24 rows and 80 columns (terminal.c has the script's words).
on_terminal() {
    env -u CI NO_COLOR=1 TERM="${TERM_IS-xterm}" LC_ALL=C.UTF-8 timeout -k 5 $((3 * DEADLINE)) "$TERMINAL" 24 80 "${AS[@]}" "$KILN" "$@" \
        > "$T/out" 2> "$T/err" || fail "the terminal's script: $(tail -n 1 "$T/out")"
}

ended() { # CODE
    assert_match "$(tail -n 1 "$T/out")" "^ended $1 sane"
}

greeter() {
    project '{"version": 1, "defaults": {"runner": "'"${1-host}"'"}, "steps": {
        "before": {"run": "echo made > mid", "inputs": [], "outputs": ["mid"]},
        "ask": {"needs": ["before"], "interactive": true, "inputs": [], "outputs": ["name"],
                "run": "printf \"name? \"; read name; echo \"hello $name\"; echo \"$name\" > name"},
        "after": {"needs": ["ask"], "inputs": [], "run": "cat name > end", "outputs": ["end"]}}}'
}

test_typed_on_a_terminal() {
    greeter
    on_terminal run << 'END'
wait name? 
type Ada\n
wait hello Ada
wait after: passed
end
END
    ended 0
    assert_file end Ada
    # It is asked each time; what another answer changes runs again, what it does not is a hit.
    on_terminal run << 'END'
wait name? 
type Ada\n
wait 2 cached
end
END
    ended 0
    on_terminal run << 'END'
wait name? 
type Bob\n
wait after: passed
end
END
    ended 0
    assert_file end Bob
}

in_boxes() {
    busybox_layer base
    image "$P/oci" base '{"Env": ["PATH=/bin"]}' base
    local kind
    for kind in '"runner": "sandbox"' '"image": "oci:oci:base"'; do
        project '{"version": 1, "steps": {"ask": {'"$kind"', "interactive": true, "inputs": [], "outputs": ["name"],
            "run": "tty; stty size; printf \"TERM $TERM, name? \"; read name; echo \"hello $name\"; echo \"$name\" > name"}}}'
        rm -f name
        mine
        on_terminal run << 'END'
wait /dev/pts/0
wait 24 80
wait TERM xterm, name? 
type Ada\n
wait hello Ada
wait passed
end
END
        ended 0
        assert_file name Ada
        mine
        kiln 1 run # nobody types: read fails
    done
}

test_in_boxes() { as_both in_boxes; }

# What is not echoed by the step is shown nowhere, and kept nowhere.
test_password() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"login": {"interactive": true, "inputs": [],
        "run": "stty -echo; printf \"password: \"; read p; stty echo; echo; test \"$p\" = \"$(cat '"$T"'/word)\" && echo welcome"}}}'
    echo sesame > "$T/word"
    on_terminal run << 'END'
wait password: 
type sesame\n
wait welcome
end
END
    ended 0
    ! grep -q sesame "$T/out" || fail "it was shown"
    ! grep -rq sesame "$XDG_STATE_HOME" "$XDG_CACHE_HOME" || fail "it was kept"
}

# ^C is for the step, and kiln goes on.
test_interrupt() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"interactive": true, "inputs": [], "run": "trap \"echo caught it; exit 0\" INT; echo ready; while :; do sleep 60 & wait; done"},
        "b": {"needs": ["a"], "inputs": [], "run": "echo done > end"}}}'
    on_terminal run << 'END'
wait ready
type \x03
wait caught it
wait b: passed
end
END
    ended 0
    # One that does not catch it ends by it.
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"interactive": true, "inputs": [], "run": "printf \"%s%s\" no w; exec sleep 600"}}}'
    on_terminal run << 'END'
wait now
type \x03
wait FAILED
end
END
    ended 1
}

# A kiln that is stopped leaves the terminal as it was, and has it again when it goes on: nothing is echoed that the step does not echo.
test_stopped() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"login": {"interactive": true, "inputs": [],
        "run": "stty -echo; printf \"%s%s\" pass word; read p; stty echo; test \"$p\" = \"$(cat '"$T"'/word)\" && echo welcome"}}}'
    echo sesame > "$T/word"
    local number
    for number in 20 19; do # TSTP, STOP
        on_terminal run << END
wait password
stop $number
kill 18
raw
type sesame\n
wait welcome
end
END
        ended 0
        ! grep -q sesame "$T/out" || fail "it was shown"
    done
}

# On a terminal that knows no escape sequences there are none, and none of kiln's own in what a log is printed as.
test_dumb() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"ask": {"interactive": true, "inputs": [],
        "run": "printf \"\\033[1mname? \"; read x; echo hello $x"}}}'
    TERM_IS=dumb on_terminal run << 'END'
wait name? 
type Ada\n
wait hello Ada
end
END
    ended 0
    ! grep -q $'\e' "$T/out" || fail "escape sequences: $(cat -v "$T/out")"
    kiln 0 logs ask
    assert_eq "$(head -n 1 "$T/out" | cat -v)" '^[[1mname? Ada^M'
}

# One has the terminal at a time, and lines of others wait.
test_one_at_a_time() {
    project '{"version": 1, "jobs": 4, "defaults": {"runner": "host"}, "steps": {
        "one": {"interactive": true, "run": "mkdir lock; printf \"first? \"; read x; rmdir lock", "inputs": []},
        "two": {"interactive": true, "run": "mkdir lock; printf \"second? \"; read x; rmdir lock", "inputs": []},
        "side": {"run": "true", "inputs": []}}}'
    on_terminal run << 'END'
wait ? 
type a\n
wait ? 
type b\n
wait 3 passed
end
END
    ended 0
}

# Where nobody can type, the input is empty, which is said once, and nothing hangs.
test_without_a_terminal() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"interactive": true, "inputs": [], "run": "test ! -t 0 && test ! -t 1 && ! read x && echo empty > a", "outputs": ["a"]},
        "b": {"interactive": true, "inputs": [], "run": "! read x"}}}'
    kiln 0 run
    assert_file a empty
    assert_eq "$(cat "$T/out" "$T/err" | grep -c 'is interactive, and there is no terminal')" 1
    kiln 0 run --json
    assert_eq "$(jq -r 'select(.type == "notice") | .text' "$T/out" | grep -c 'no terminal')" 1
    assert_eq "$(jq -c 'select(.type == "pipeline.loaded") | [.steps[].interactive]' "$T/out")" '[true,true]'
    # The same with one, for who wants plain lines.
    on_terminal run --plain << 'END'
wait is interactive
wait passed
end
END
    ended 0
}

test_never_cached() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"interactive": true, "cache": true, "inputs": [], "run": "true"}}}'
    kiln 0 run --json
    assert_eq "$(ran)" a
    kiln 0 run --json
    assert_eq "$(ran)" a
    kiln 0 plan --json
    assert_eq "$(jq -r '.steps[0].state' "$T/out")" run
    assert_eq "$(jq -r '.steps[0].reasons[0].kind' "$T/out")" uncacheable
    kiln 0 explain a
    assert_out 'never cached'
}

# on_screen: a kiln that watches on a terminal; "say WORDS" reaches it (terminal.c has them).
on_screen() {
    mkfifo "$T/keys"
    env -u CI NO_COLOR=1 TERM=xterm LC_ALL=C.UTF-8 timeout -k 5 $((3 * DEADLINE)) "$TERMINAL" 24 80 "$KILN" watch \
        < "$T/keys" > "$T/screen" 2> "$T/err" &
    TYPIST=$!
    exec 9> "$T/keys"
}

say() {
    printf '%s\n' "$1" >&9
}

quit_screen() {
    say 'type q'
    say end
    exec 9>&-
    wait "$TYPIST" || fail "the terminal's script: $(tail -n 1 "$T/screen")"
    assert_match "$(tail -n 1 "$T/screen")" "ended 0 sane"
}

# In the panes: i hands the keys on, ^] takes them back; until then a "q" is no order to kiln.
test_in_the_panes() {
    greeter
    on_screen
    say 'wait name?'
    say 'type iAda\nq'
    wait_for test -s end
    assert_file end Ada
    say 'type \x1d'
    quit_screen
}

# Keys arrive as they are typed: arrows, ^C, ^D, what is pasted.
test_keys_in_the_panes() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "keys": {"interactive": true, "inputs": [], "outputs": ["keys"],
                 "run": "stty raw -echo; printf \"%s%s\" no w; head -c 22 | od -An -c -v > got; stty sane; tr -s \" \" < got > keys"}}}'
    on_screen
    say 'wait now'
    say 'type i\x1b[A\x1b[1;5C\x03\x04\x1bx\x1bOP\x1b[200~a\x1db\x1b[201~q'
    say 'type 12'
    wait_for test -s keys
    assert_eq "$(tr -d '\n' < keys)" ' 033 [ A 033 [ 1 ; 5 C 003 004 033 x 033 O P a 035 b q 1 2'
    say 'type \x1d'
    quit_screen
}

# A step that does not read makes nobody wait, and what it has no room for is told.
test_no_room() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "deaf": {"interactive": true, "inputs": [], "run": "stty raw -echo; printf \"%s%s\" no w; exec sleep 600"}}}'
    on_screen
    say 'wait now'
    say 'type i'
    local i text
    text=$(printf '%04000d' 0)
    for i in $(seq 60); do say "type $text"; done
    say 'wait room'
    say 'type \x1d'
    quit_screen
}

test_timeout() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"interactive": true, "inputs": [], "timeout": "1s", "run": "echo ready; read x"}}}'
    on_terminal run << 'END'
wait FAILED
end
END
    ended 1
}

# Ended from outside, the terminal is as it was.
test_ended_by_a_signal() {
    greeter
    on_terminal run << 'END'
wait name? 
kill 15
end
END
    ended 143
}

# A kiln that watches leaves a run with interactive steps to who has the terminal.
test_beside_a_watcher() {
    greeter
    watch_start
    on_terminal run << 'END'
wait name? 
type Eve\n
wait hello Eve
end
END
    ended 0
    assert_file name Eve
    watch_stop
}

run_tests
