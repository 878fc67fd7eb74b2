#!/usr/bin/env bash
# The full screen in a terminal that people use, with a shell beneath it: what it does to the terminal, and that
# the terminal is as it was whatever ends it. Skipped where there is no tmux.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tmux.sh"

steps() {
    mkdir -p src
    echo 1 > src/a
    project '{"version": 1, "name": "demo", "defaults": {"runner": "host"}, "steps": {
        "build": {"run": "cat src/a; echo it is built", "inputs": ["src"]},
        "test": {"needs": ["build"], "run": "sleep 0.2; echo tested", "inputs": ["src"]}}}'
}

test_opens_and_gives_back() {
    steps
    pane 80 24
    types 'echo what was there'
    tm send-keys Enter
    wait_for shows 'what was there'
    open_kiln
    flag alternate_on 1
    flag cursor_flag 0
    flag mouse_any_flag 1
    hides 'what was there'
    types q
    wait_for shows 'ended 0'
    shows 'what was there'
    usable
}

# What the screen said last is there to be read when kiln ends by itself.
test_says_why_it_ends() {
    steps
    mkdir "$T/other"
    cp -r . "$T/other"
    pane 80 24
    open_kiln "cd $T/other;"
    rm -rf "$T/other"
    wait_for shows 'ended 3'
    flag alternate_on 0
    assert_match "$(cat "$T/err")" 'is gone: there is nothing left to watch'
}

ended_by() { # SIGNAL
    open_kiln
    kill -s "$1" "$(kiln_pid)"
    wait_for shows "ended "
    usable
    types clear
    tm send-keys Enter
    wait_for hides 'ended '
}

test_signals() {
    steps
    pane 80 24
    ended_by TERM
    ended_by HUP
    ended_by ABRT
    ended_by KILL
}

test_suspend_resize_foreground() {
    local i
    steps
    pane 80 24
    open_kiln
    for i in 1 2; do
        tm send-keys C-z
        wait_for shows Stopped
        usable
        tm resize-window -x $((90 + i)) -y $((28 + i))
        types 'clear; fg'
        tm send-keys Enter
        wait_for shows '1 Steps'
        wait_for last_row 'quit'
        flag alternate_on 1
        flag mouse_any_flag 1
        [ "$(screen | wc -l)" -eq $((28 + i)) ]
    done
    types q
    usable
}

test_resize_storm() {
    local i
    steps
    pane 80 24
    open_kiln
    for i in $(seq 60); do
        tm resize-window -x $((1 + i * 37 % 300)) -y $((1 + i * 13 % 100))
    done
    tm resize-window -x 20 -y 5
    wait_for hides '1 Steps'
    wait_for shows '✓'
    tm resize-window -x 400 -y 120
    wait_for shows '5 Timeline'
    tm resize-window -x 80 -y 24
    wait_for shows '1 Steps'
    wait_for last_row quit
    # One whole screen, nothing of the others left.
    assert_eq "$(screen | grep -c '1 Steps')" 1
    types q
    wait_for shows 'ended 0'
    usable
}

at() { # TEXT: the row it is in, from 1
    screen | grep -nF -- "$1" | head -n 1 | cut -d : -f 1
}

test_mouse() {
    steps
    pane 80 24
    open_kiln
    types "$(printf '\033[<0;10;%dM\033[<0;10;%dm' "$(at ' build')" "$(at ' build')")"
    wait_for shows '2 Log: build'
    types "$(printf '\033[<0;10;%dM\033[<0;10;%dm' "$(at ' test')" "$(at ' test')")"
    wait_for shows '2 Log: test'
    types M
    wait_for flag mouse_any_flag 0
    types M
    wait_for flag mouse_any_flag 1
    types q
    wait_for shows 'ended 0'
    usable
}

test_paste() {
    steps
    pane 80 24
    open_kiln
    tm set-buffer "$(printf 'q\nq')"
    tm paste-buffer -p
    wait_for shows 'What is pasted is text'
    types ':'
    wait_for shows 'Palette'
    tm set-buffer 'zoo'
    tm paste-buffer -p
    wait_for last_row ':zoo'
    tm send-keys Escape
    wait_for hides Palette
    types q
    wait_for shows 'ended 0'
    usable
}

# tmux's own copy mode holds the picture; what came meanwhile is there when it ends.
test_copy_mode() {
    steps
    pane 80 24
    open_kiln
    tm copy-mode
    wait_for flag pane_in_mode 1
    put src/a 'a new line'
    wait_for cached_now
    tm send-keys -X cancel
    wait_for flag pane_in_mode 0
    types 1
    wait_for shows 'a changed'
    types q
    wait_for shows 'ended 0'
    usable
}

cached_now() {
    kiln any plan --json
    [ "$(jq -r '[.steps[].state] | unique | join(" ")' "$T/out")" = cached ]
}

test_plain_places() {
    steps
    pane 80 24
    open_kiln 'LC_ALL=C'
    hides '✓'
    shows '+ build'
    shows -- '-1 Steps'
    types q
    wait_for shows 'ended 0'
    usable
    open_kiln 'clear; NO_COLOR=1'
    if tm capture-pane -pe | grep -q "$(printf '\033')\\[[0-9;]*3[0-7]m"; then fail "there are colours"; fi
    types q
    wait_for shows 'ended 0'
    usable
    types 'clear; TERM=dumb $KILN; echo ended $?'
    tm send-keys Enter
    wait_for shows 'waiting for changes'
    flag alternate_on 0
    tm send-keys C-c
    wait_for shows 'ended 130'
    usable
}

test_screen_reader() {
    steps
    pane 80 24
    types 'KILN_SCREEN_READER=1 $KILN 2> $T/err; echo ended $?'
    tm send-keys Enter
    wait_for shows 'Question mark lists the keys.'
    wait_for shows 'Run 1 passed in'
    flag alternate_on 0
    flag cursor_flag 1
    flag mouse_any_flag 0
    types g
    wait_for shows 'Step 1 of 2, build: passed'
    tm send-keys Enter
    wait_for shows 'it is built'
    tm send-keys C-z
    wait_for shows Stopped
    usable
    types fg
    tm send-keys Enter
    put src/a other
    wait_for shows 'Run 2 passed in'
    types q
    wait_for shows 'Quitting.'
    shows 'demo: 2 steps.'
    usable
}

test_settings() {
    steps
    mkdir -p "$XDG_CONFIG_HOME/kiln"
    printf '%s\n' '{"theme": "high-contrast", "mouse": false, // mine' \
        ' "keys": {"quit": "Q", "zoom": ["z", "]z"]}}' > "$XDG_CONFIG_HOME/kiln/config.json"
    pane 80 24
    open_kiln
    flag mouse_any_flag 0
    tm capture-pane -pe | grep -q '48;5;16' || fail "there is no black ground"
    shows 'Q quit'
    types ']z'
    wait_for hides '2 Log'
    types z
    wait_for shows '2 Log'
    types q
    types Q
    wait_for shows 'ended 0'
    usable
    printf '%s\n' '{"theme": "drak"}' > "$XDG_CONFIG_HOME/kiln/config.json"
    open_kiln clear\;
    wait_for shows 'config.json:1:11: unknown theme "drak"; did you mean "dark"?'
    types q
    wait_for shows 'ended 0'
    usable
}

choose() { # THEME
    types ':'
    wait_for shows Palette
    types "theme $1"
    wait_for last_row ":theme $1"
    tm send-keys Enter
}

test_steps_are_kept() {
    local config=$XDG_CONFIG_HOME/kiln/config.json
    steps
    pane 100 24
    open_kiln
    types T
    wait_for shows 'Steps: by level'
    types '>'
    wait_for shows 'Steps: by level, by state'
    types ':'
    wait_for shows Palette
    types 'keep-steps'
    wait_for last_row ':keep-steps'
    tm send-keys Enter
    wait_for shows 'steps levels, sort state, from now on (~/.config/kiln/config.json)'
    assert_eq "$(jq -c '[.steps, .sort]' "$config")" '["levels","state"]'
    types T
    wait_for shows 'Steps: flat, by state'
    types q
    wait_for shows 'ended 0'
    open_kiln clear\;
    wait_for shows 'Steps: by level, by state'
    types q
    wait_for shows 'ended 0'
    usable
}

test_theme_is_kept() {
    local config=$XDG_CONFIG_HOME/kiln/config.json
    steps
    pane 100 24
    open_kiln
    choose high
    wait_for shows 'theme high-contrast, from now on (~/.config/kiln/config.json)'
    assert_eq "$(cat "$config")" $'{\n  "theme": "high-contrast"\n}'
    types q
    wait_for shows 'ended 0'
    open_kiln clear\;
    tm capture-pane -pe | grep -q '48;5;16' || fail "there is no black ground"
    # A person's own file, where a link leads to it, keeps all else.
    mkdir "$T/dotfiles"
    printf '%s\n' '// mine' '{"mouse": false, /* no */ "theme": "mono",}' > "$T/dotfiles/kiln"
    chmod 640 "$T/dotfiles/kiln"
    ln -sf "$T/dotfiles/kiln" "$config"
    choose light
    wait_for shows 'theme light, from now on'
    assert_eq "$(cat "$T/dotfiles/kiln")" $'// mine\n{"mouse": false, /* no */ "theme": "light",}'
    assert_eq "$(stat -c %a "$T/dotfiles/kiln")" 640
    [ -L "$config" ] || fail "the link is gone"
    # One that cannot be read is left alone.
    echo '{"theme": "light"' > "$T/dotfiles/kiln"
    choose dark
    wait_for shows 'theme dark, but only for now: ~/.config/kiln/config.json:2:1: '
    assert_eq "$(cat "$T/dotfiles/kiln")" '{"theme": "light"'
    assert_eq "$(ls "$T/dotfiles")" kiln
    types q
    wait_for shows 'ended 0'
    usable
}

test_bell() {
    steps
    mkdir -p "$XDG_CONFIG_HOME/kiln"
    echo '{"notify_after": "100ms"}' > "$XDG_CONFIG_HOME/kiln/config.json"
    pane 80 24
    open_kiln
    wait_for flag window_bell_flag 1
    types q
    wait_for shows 'ended 0'
    usable
}

run_tests
