#!/usr/bin/env bash
# What is taken out of a log in a terminal that people use: lines into its clipboard, places into an editor, the log
# into a pager, a file, the plain screen.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tmux.sh"

# A program of that name in $T/bin that writes its words to $T/NAME, then says so and waits for a line.
fake() {
    mkdir -p "$T/bin"
    cat > "$T/bin/$1" << EOF
#!/bin/sh
printf '%s\n' "\$@" > "$T/$1.new"
mv "$T/$1.new" "$T/$1"
echo this is $1
read -r line
EOF
    chmod +x "$T/bin/$1"
}

failing() {
    mkdir -p src
    printf 'int x\n' > src/a.c
    project '{"version": 1, "name": "demo", "defaults": {"runner": "host"}, "steps": {
        "build": {"run": "seq 1 50; echo \"src/a.c:1:6: error: what is this?\"; echo \"the end\"; exit 1", "inputs": ["src"]}}}'
}

open_log() {
    types "$1 \"\$KILN\" 2> \$T/err; echo ended \$?"
    tm send-keys Enter
    wait_for shows 'failed in'
    types 2
    wait_for shows 'the end'
}

test_copy() {
    failing
    pane 100 30
    open_log ''
    types 'v'
    wait_for shows 'MARKED 1'
    types 'kk'
    wait_for shows 'MARKED 3'
    types 'y'
    wait_for shows 'Copied 3 lines'
    wait_for tm show-buffer
    [ "$(tm show-buffer)" = "50
src/a.c:1:6: error: what is this?
the end" ] || fail "the clipboard has: $(tm show-buffer)"
    types q
    wait_for shows 'ended 1'
    usable
}

# What was written to standard error, and when, is told of a result out of the cache as well.
test_cached_log() {
    project '{"version": 1, "name": "demo", "defaults": {"runner": "host"}, "steps": {
        "build": {"run": "echo first; until [ -e $GO ]; do sleep 0.05; done; echo second >&2", "env": {"GO": "'"$T/go"'"}, "inputs": []}}}'
    pane 100 30
    types "\"\$KILN\" 2> \$T/err; echo ended \$?"
    tm send-keys Enter
    wait_for shows 'first'
    touch "$T/go"
    wait_for shows 'passed in'
    types q
    wait_for shows 'ended 0'
    types 'clear'
    tm send-keys Enter
    wait_for hides 'ended 0'
    types "\"\$KILN\" 2> \$T/err; echo ended \$?"
    tm send-keys Enter
    wait_for shows 'cached'
    types '2T'
    wait_for shows '▌ second'
    screen | grep -qE '[0-9]\.[0-9]s +first' || fail "no times: $(screen)"
    types q
    wait_for shows 'ended 0'
    usable
}

test_editor() {
    failing
    fake nano
    pane 100 30
    open_log "VISUAL='$T/bin/nano -w'"
    types ']e'
    types 'e'
    wait_for shows 'this is nano'
    flag alternate_on 0
    flag mouse_any_flag 0
    [ "$(cat "$T/nano")" = "-w
+1,6
$PWD/src/a.c" ] || fail "the editor was told: $(cat "$T/nano")"
    tm send-keys Enter
    wait_for shows '2 Log'
    wait_for flag alternate_on 1
    types q
    wait_for shows 'ended 1'
    usable
}

# A command of the person's own, on a key and in the palette, with what is on the screen filled in.
test_own_command() {
    failing
    fake look
    fake other
    mkdir -p "$XDG_CONFIG_HOME/kiln"
    printf '%s\n' '{"commands": {' \
        "\"look\": {\"key\": \"^G\", \"run\": [\"$T/bin/look\", \"{file}:{line}\", \"{step} {x} {run}\", \"{root}\"]}," \
        "\"in-shell\": {\"run\": [\"sh\", \"-c\", \"$T/bin/other \\\"\$1\\\"\", \"sh\", \"{log}\"]}}}" > "$XDG_CONFIG_HOME/kiln/config.json"
    pane 100 30
    open_log ''
    types ']e'
    tm send-keys C-g
    wait_for test -e "$T/look"
    assert_eq "$(cat "$T/look")" "$PWD/src/a.c:1
build {x} 1
$PWD"
    tm send-keys Enter
    wait_for shows '2 Log'
    wait_for flag alternate_on 1
    types ':'
    wait_for shows Palette
    types 'in-shell'
    wait_for last_row ':in-shell'
    tm send-keys Enter
    wait_for test -e "$T/other"
    assert_eq "$(tail -n 1 "$(cat "$T/other")")" 'the end'
    tm send-keys Enter
    wait_for shows '2 Log'
    wait_for flag alternate_on 1
    types '?'
    wait_for shows Help
    types G
    wait_for shows 'Yours'
    types '?'
    types q
    wait_for shows 'ended 1'
    usable
}

# Where the selected step is defined: as the file is now, and in the program that makes the pipeline.
test_definition() {
    project '{"version": 1, "name": "demo", "defaults": {"runner": "host"}, "steps": {
    "build": {"run": "echo built", "inputs": []},
    "test": {"run": "echo tested", "inputs": [], "needs": ["build"]}}}'
    fake nano
    pane 100 30
    types "VISUAL=$T/bin/nano \"\$KILN\" 2> \$T/err; echo ended \$?"
    tm send-keys Enter
    wait_for shows 'passed in'
    types 'gE'
    wait_for test -e "$T/nano"
    assert_eq "$(cat "$T/nano")" "+3,5
$PWD/kiln.json"
    tm send-keys Enter
    wait_for shows '1 Steps'
    { echo; echo; cat kiln.json; } > "$T/moved"
    sed -i s/tested/retested/ "$T/moved"
    mv "$T/moved" kiln.json
    wait_for shows 'run 2'
    wait_for shows 'passed in'
    rm "$T/nano"
    types 'E'
    wait_for test -e "$T/nano"
    assert_eq "$(cat "$T/nano")" "+5,5
$PWD/kiln.json"
    tm send-keys Enter
    wait_for shows '1 Steps'
    mkdir ci
    echo "echo '{\"version\": 1, \"defaults\": {\"runner\": \"host\"}, \"steps\": {\"made\": {\"run\": \"true\", \"inputs\": []}}}'" > ci/make.sh
    project '{"version": 1, "generate": {"run": "sh ci/make.sh", "inputs": ["ci"]}}'
    wait_for shows 'made'
    rm "$T/nano"
    types 'E'
    wait_for test -e "$T/nano"
    assert_eq "$(cat "$T/nano")" "$PWD/ci/make.sh"
    tm send-keys Enter
    wait_for shows '1 Steps'
    types q
    wait_for shows 'ended 0'
    usable
}

test_pager_and_file() {
    failing
    fake less
    pane 100 30
    open_log "PAGER='$T/bin/less'"
    types 'g'
    wait_for shows ' 1/52'
    types 'jj'
    wait_for shows ' 3/52'
    types 'o'
    wait_for shows 'this is less'
    [ "$(sed -n 1,2p "$T/less")" = "-fR
+3g" ] || fail "the pager was told: $(cat "$T/less")"
    tail -n 1 "$(sed -n 3p "$T/less")" | grep -qx 'the end'
    tm send-keys Enter
    wait_for shows '2 Log'
    types 'S'
    wait_for shows 'save as: build.log'
    tm send-keys C-u
    types "$T/kept"
    tm send-keys Enter
    wait_for shows 'Saved '
    [ "$(wc -l < "$T/kept")" -eq 52 ]
    types q
    wait_for shows 'ended 1'
    usable
}

# The mouse's own selection takes the lines without what is beside them: they are on the plain screen, whole.
test_plain_screen() {
    failing
    pane 100 20
    open_log ''
    types 'O'
    wait_for shows 'Enter goes back to kiln'
    flag alternate_on 0
    flag mouse_any_flag 0
    screen | grep -qx 'src/a.c:1:6: error: what is this?'
    [ "$(tm capture-pane -p -S - | grep -cx '[0-9][0-9]*')" -eq 50 ]
    tm send-keys Enter
    wait_for shows '2 Log'
    types q
    wait_for shows 'ended 1'
    usable
}

run_tests
