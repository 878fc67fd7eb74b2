#!/usr/bin/env bash
# Watching what editors do when they save: one round a save, with the content's key, and nothing for what they
# leave lying about.
. "$(dirname "$0")/lib.sh"

PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "steps": {
    "a": {"run": "cat src/f", "inputs": ["src"]},
    '$SYNC_STEP'}}'

begin() {
    project "$PIPELINE"
    mkdir src
    echo 0 > src/f
    echo 0 > .sync
    echo other > src/other
    watch_start
}

# save: begins one. Every other one happens while kiln stands still, so that it is one burst of events however slow
# the machine is: then one round it must be. The others kiln may see in the middle.
save() {
    SAVES=$((${SAVES:-0} + 1))
    [ $((SAVES % 2)) = 0 ] || kill -STOP "$WATCH_PID"
}

# saved TEXT: "a" ran, saw this, and nothing else was taken for an input.
saved() {
    local seen
    if [ $((SAVES % 2)) = 1 ]; then
        kill -CONT "$WATCH_PID"
        watch_settle
        assert_eq "$(events 'select(.type == "step.started" and .step == "a") | .step' "$T/round" | wc -l)" 1 \
            "times that the step ran"
        assert_eq "$(rounds)" 1 "rounds"
        assert_eq "$(step_log a "$T/round")" "$1" "what the step saw"
        assert_eq "$(events 'select(.type == "step.finished" and .step == "a" and .tainted)' "$T/round")" "" "tainted"
    else
        watch_settle
        seen=$(step_log a "$T/round" | tail -n 1)
        assert_eq "$seen" "$1" "what the step saw in the end"
    fi
    assert_eq "$(events 'select(.type == "step.started") | .reasons[] | select(.kind == "file") | .subject' "$T/round" |
        grep -v -e '^.sync$' -e "${PASSING:-^$}" | sort -u)" "src/f" "reasons"
    # The key is that of the content and of nothing else.
    key=$(events 'select(.type == "step.finished" and .step == "a") | .key' "$T/round" | tail -n 1)
    kiln 0 plan --json
    assert_eq "$(jq -r '.steps[] | select(.step == "a") | .state + " " + .key' "$T/out")" "cached $key"
}

nothing() {
    watch_settle
    assert_eq "$(others)" "" "steps that ran"
    assert_eq "$(rounds)" 0 "rounds"
}

have_vim() {
    command -v vim > /dev/null || { echo "no vim: passed over"; return 1; }
}

# edit TEXT OPTION...: a vim that opens the file, changes it and writes it, with its swap file beside it.
edit_with_vim() {
    local text=$1
    shift
    timeout "$DEADLINE" vim -N -u NONE -i NONE -n -es "$@" -c "call setline(1, '$text')" -c 'wq' src/f < /dev/null \
        > "$T/vim" 2>&1 || fail "vim: $(cat "$T/vim")"
}

test_vim() {
    have_vim || return 0
    begin
    for copy in yes no auto; do
        for backup in backup nobackup; do
            save
            edit_with_vim "$copy $backup" -c "set backupcopy=$copy $backup writebackup swapfile updatecount=1 directory=. backupdir=."
            saved "$copy $backup"
        done
    done
    watch_stop
}

# An editor that is kept open: its swap file comes, is written, and goes.
test_vim_kept_open() {
    have_vim || return 0
    begin
    mkfifo "$T/keys"
    timeout "$DEADLINE" vim -N -u NONE -i NONE -e -s -c 'set swapfile updatecount=1 directory=. writebackup' src/f \
        < "$T/keys" > "$T/vim" 2>&1 &
    vim=$!
    exec 7> "$T/keys"
    echo "set swapfile | call setline(1, 'unsaved') | preserve" >&7
    wait_for test -e src/.f.swp
    nothing
    save
    echo "write" >&7
    wait_for grep -q unsaved src/f
    saved "unsaved"
    save
    echo "call setline(1, 'again') | write" >&7
    wait_for grep -q again src/f
    saved "again"
    echo "quit!" >&7
    exec 7>&-
    wait_for gone "$vim"
    assert_no_file src/.f.swp
    nothing
    watch_stop
}

# What vim does, step by step, for machines without it: the test of the directory, the backup, the new file.
test_like_vim() {
    begin
    for i in 1 2 3; do
        save
        : > src/.f.swp
        echo swap >> src/.f.swp
        : > src/4913
        rm src/4913
        mv src/f src/f~
        echo "$i" > src/f
        chmod 644 src/f
        rm src/f~
        rm src/.f.swp
        saved "$i"
    done
    watch_stop
}

test_like_emacs() {
    begin
    ln -s "someone@host.1234:1700000000" "src/.#f"
    echo draft > "src/#f#"
    nothing
    echo "draft 2" > "src/#f#"
    nothing
    save
    cp src/f src/f~ # backup by copying, then in place
    put src/f 1
    rm "src/.#f" "src/#f#"
    saved 1
    save
    ln -s "someone@host.1234:1700000000" "src/.#f"
    mv src/f src/f~ # backup by renaming
    put src/f 2
    rm "src/.#f"
    saved 2
    rm src/f~
    nothing
    watch_stop
}

test_like_vs_code() {
    begin
    for i in 1 2 3; do
        save
        echo "$i" > src/f # truncated and written in place, in two calls of one process
        saved "$i"
    done
    for i in 4 5 6; do # as others do: a temporary name beside it, renamed over it
        save
        # No known dropping: a kiln that looks in that very moment takes it for the file that it is.
        PASSING=$([ $((SAVES % 2)) = 1 ] || echo '^src/\.f\.tmp-')
        echo "$i" > "src/.f.tmp-$i"
        mv "src/.f.tmp-$i" src/f
        saved "$i"
    done
    watch_stop
}

test_like_jetbrains() {
    begin
    for i in 1 2 3; do
        save
        echo "$i" > src/f___jb_tmp___
        mv src/f src/f___jb_old___
        mv src/f___jb_tmp___ src/f
        rm src/f___jb_old___
        saved "$i"
    done
    watch_stop
}

test_like_gedit_and_kate() {
    begin
    save
    echo 1 > src/.goutputstream-A1B2C3
    cp src/f src/f~
    mv src/.goutputstream-A1B2C3 src/f
    saved 1
    echo x > src/.f.kate-swp
    nothing
    save
    put src/f 2
    rm src/.f.kate-swp
    saved 2
    watch_stop
}

# Saved without a change: nobody has to run.
test_saved_as_it_was() {
    begin
    echo 0 > "$T/same"
    kill -STOP "$WATCH_PID" # not to be seen half-way
    cp "$T/same" src/new
    mv src/new src/f
    kill -CONT "$WATCH_PID"
    watch_settle
    assert_eq "$(others)" "" "steps that ran"
    watch_stop
}

# A file of such a name that git tracks is an input like any other.
test_tracked_droppings_count() {
    project "$PIPELINE"
    mkdir src
    echo 0 > src/f
    echo 1 > src/4913
    echo 0 > .sync
    git_project
    watch_start
    put src/4913 2
    watch_settle
    assert_eq "$(others)" "a"
    assert_eq "$(reasons a "$T/round")" "file src/4913"
    watch_stop
}

run_tests
