#!/usr/bin/env bash
# The full screen within GNU screen, which lies in a terminal that can be asked (tmux): what is switched on and off again
# there, pasted text, and the clipboard. Skipped where there is no screen.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tmux.sh"

command -v screen > /dev/null || {
    echo "skipped: there is no screen here (scripts/deps test installs it)"
    exit 0
}
GNU_SCREEN=$(type -P screen) # tmux.sh has a function of that name

test_in_gnu_screen() {
    project '{"version": 1, "name": "demo", "defaults": {"runner": "host"}, "steps": {
        "build": {"run": "echo first; echo second", "inputs": []}}}'
    pane 80 24
    mkdir -m 700 "$T/screens"
    # The clipboard comes through screen alone: nothing may go around it.
    types "unset TMUX; SCREENDIR='$T/screens' '$GNU_SCREEN' -U -c /dev/null bash --rcfile '$T/bashrc' -i"
    tm send-keys Enter
    wait_for flag alternate_on 1
    types 'echo in $TERM'
    tm send-keys Enter
    wait_for shows 'in screen'
    types 'stty -a > $T/before; "$KILN" 2> $T/err; echo ended $?; stty -a > $T/after'
    tm send-keys Enter
    wait_for shows '1 Steps'
    wait_for shows 'passed in'
    wait_for flag mouse_any_flag 1
    flag cursor_flag 0
    tm set-buffer q
    tm paste-buffer -p
    wait_for shows 'What is pasted is text'
    tm set-buffer nothing
    tm send-keys Enter
    wait_for shows 'second'
    types vky
    wait_for shows 'Copied 2 lines'
    wait_for copied $'first\nsecond'
    types q
    wait_for shows 'ended 0'
    wait_for flag mouse_any_flag 0
    wait_for flag cursor_flag 1
    wait_for test -s "$T/after"
    cmp "$T/before" "$T/after"
    if grep -q "ERROR: AddressSanitizer\|runtime error:\|LeakSanitizer" "$T/err"; then fail "$(cat "$T/err")"; fi
    types exit
    tm send-keys Enter
    wait_for flag alternate_on 0
}

copied() { # TEXT
    [ "$(tm show-buffer)" = "$1" ]
}

run_tests
