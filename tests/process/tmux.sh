# shellcheck shell=bash
# What tests in tmux share: a terminal that people use, with a shell beneath kiln. Sourced after lib.sh; ends the
# script where there is no tmux.

command -v tmux > /dev/null || {
    echo "skipped: there is no tmux here (scripts/deps test installs it)"
    exit 0
}

tm() {
    tmux -S "$T/tmux" "$@"
}

# pane COLUMNS ROWS: a terminal with a shell in the project.
pane() {
    trap 'tm kill-server 2> /dev/null || :; clean_up' EXIT
    export KILN T
    echo "PS1='shell> ' HISTFILE=" > "$T/bashrc"
    ulimit -c 0
    printf '%s\n' 'set -g status off' 'set -g default-terminal tmux-256color' 'set -s escape-time 0' \
        'set -g monitor-bell on' 'set -g set-clipboard on' > "$T/tmux.conf"
    tm -f "$T/tmux.conf" new-session -d -x "$1" -y "$2" "exec bash --rcfile '$T/bashrc' -i"
    tm resize-window -x "$1" -y "$2"
    wait_for shows 'shell>'
}

screen() {
    tm capture-pane -p
}

shows() {
    screen | grep -qF -- "$1"
}

hides() {
    ! shows "$1"
}

# last_row REGEX: the last row that has something.
last_row() {
    screen | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' | tail -n 1 | grep -Eq -- "$1"
}

types() {
    tm send-keys -l -- "$1"
}

flag() { # NAME VALUE: what tmux knows of the terminal
    [ "$(tm display-message -p "#{$1}")" = "$2" ]
}

# open_kiln [WORDS]: kiln in the pane's shell, once it shows its panes and all is done.
open_kiln() {
    types "${1:-} \"\$KILN\" 2> \$T/err; echo ended \$?"
    tm send-keys Enter
    wait_for shows '1 Steps'
    wait_for shows 'WATCH'
    wait_for shows 'passed in'
}

kiln_pid() {
    pgrep -P "$(tm display-message -p '#{pane_pid}')" | head -n 1
}

# The terminal is as a shell wants it.
usable() {
    wait_for flag alternate_on 0
    wait_for flag cursor_flag 1
    wait_for flag mouse_any_flag 0
    wait_for shows 'shell>'
    types 'stty -a > $T/stty; echo us$((40 + 2))able'
    tm send-keys Enter
    wait_for shows us42able
    grep -qw -- 'echo' "$T/stty" && grep -qw 'icanon' "$T/stty" && grep -qw 'opost' "$T/stty" ||
        fail "the modes are $(cat "$T/stty")"
    if grep -q "ERROR: AddressSanitizer\|runtime error:\|LeakSanitizer" "$T/err"; then fail "$(cat "$T/err")"; fi
}
