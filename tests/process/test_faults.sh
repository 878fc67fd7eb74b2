#!/usr/bin/env bash
# Calls of kiln's that go wrong: what the next run makes of it. A sample; scripts/fault-sweep does all of them.
. "$(dirname "$0")/lib.sh"

sample() { # KIND N
    command -v cc > /dev/null || { echo "(not tried: there is no C compiler)"; return 0; }
    timeout 1000 "$SOURCE_DIR/scripts/fault-sweep" --kiln "$KILN" --sample "$2" "$1" > "$T/out" 2> "$T/err" || fail "after a fault: $1"
}

test_killed_at_a_call() { sample kill 6; }
test_a_full_disk() { sample ENOSPC 3; }
test_a_broken_disk() { sample EIO 2; }
test_short_writes() { sample short 2; }
test_writes_that_lie() {
    sample lie 2
    sample zeros 2
}
test_reads_that_fail() { sample read 3; }

# A power cut: kiln waits for no disk, so what it wrote last may be there by name and without its bytes.
test_power_cut() {
    if [ "$(id -u)" -ne 0 ] || ! command -v mkfs.ext4 > /dev/null; then
        echo "(not tried: needs root and mkfs.ext4)"
        return 0
    fi
    with_mounts power_cuts
}

# The disk as it is at this moment, by its bytes on the other side of the file system, mounted and run on.
power_cuts() {
    local mode
    for mode in data=ordered data=writeback; do
        rm -f "$T/disk" "$T/copy"
        truncate -s 64M "$T/disk"
        mkfs.ext4 -q -F "$T/disk"
        mkdir -p "$T/mnt"
        if ! mount -o "loop,$mode,commit=1" "$T/disk" "$T/mnt" 2> /dev/null; then
            echo "(not tried: no loop devices here)"
            return 0
        fi
        cut_while_running "$mode"
        umount "$T/mnt"
    done
}

cut_while_running() { # MODE
    local i in
    mkdir -p "$T/mnt/p" "$T/back"
    cat > "$T/mnt/p/kiln.json" << 'JSON'
{"version": 1, "defaults": {"runner": "host"}, "name": "power", "steps": {
    "make": {"run": "mkdir -p dir; for i in 1 2 3 4 5 6 7 8; do cat in > dir/$i; done; cat in > file; cat in",
             "inputs": ["in"], "outputs": ["dir", "file"]},
    "use": {"run": "cat dir/1 file > all", "inputs": [], "outputs": ["all"], "needs": ["make"]}}}
JSON
    for i in 1 2 3; do
        printf 'text %s\n' "$i" > "$T/mnt/p/in"
        sync -f "$T/mnt/p/in" # the user's own files are there
        (cd "$T/mnt/p" && XDG_CACHE_HOME=$T/mnt/cache XDG_STATE_HOME=$T/mnt/state timeout 60 "$KILN" run --plain) > "$T/out" 2> "$T/err"
        # Some get to the disk: the journal's last commit may lie anywhere between the first file and the last.
        [ $((i % 3)) -ne 0 ] || sync -f "$T/mnt/p/in"
        [ $((i % 3)) -ne 1 ] || sync "$T/mnt/state" # one commit, whose data need not be there
        cp --sparse=always "$T/disk" "$T/copy"
        mount -o "loop,$1" "$T/copy" "$T/back" || fail "the copy cannot be mounted ($1)"
        in=$(cat "$T/back/p/in")
        (cd "$T/back/p" && XDG_CACHE_HOME=$T/back/cache XDG_STATE_HOME=$T/back/state timeout 60 "$KILN" run --plain) > "$T/out" 2> "$T/err" ||
            fail "after a power cut ($1, $i): the run failed"
        assert_file "$T/back/p/all" "$in"$'\n'"$in" "($1, $i)"
        assert_file "$T/back/p/dir/8" "$in"
        assert_file "$T/back/p/file" "$in"
        rm -r "$T/back/p/dir" "$T/back/p/file" "$T/back/p/all"
        (cd "$T/back/p" && XDG_CACHE_HOME=$T/back/cache XDG_STATE_HOME=$T/back/state timeout 60 "$KILN" run --plain) > "$T/out" 2> "$T/err" ||
            fail "after a power cut ($1, $i): the second run failed"
        assert_file "$T/back/p/all" "$in"$'\n'"$in"
        umount "$T/back"
    done
}

# Files that a power cut left empty, or full of zeros: the cache's, and kiln's own records of the project.
test_emptied_files() {
    local what file size
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "make": {"run": "mkdir -p dir; cat in > dir/f; cat in > file; echo said", "inputs": ["in"], "outputs": ["dir", "file"]},
        "use": {"run": "cat dir/f file > all", "inputs": [], "outputs": ["all"], "needs": ["make"]}}}'
    echo text > in
    kiln 0 run
    cp -a "$HOME" "$T/kept"
    for what in cache/kiln/v1/cas cache/kiln/v1/ac cache/kiln/v1/stat local/state; do
        for how in empty zeros half; do
            rm -rf "$HOME"
            cp -a "$T/kept" "$HOME"
            while IFS= read -r -d '' file; do
                chmod u+w "$file"
                size=$(stat -c %s "$file")
                case $how in
                empty) : > "$file" ;;
                zeros) head -c "$size" /dev/zero > "$T/zeros" && cat "$T/zeros" > "$file" ;;
                half) truncate -s $((size / 2)) "$file" ;;
                esac
            done < <(find "$HOME/.$what" -type f -print0)
            rm -rf dir file all
            kiln 0 run
            assert_file all $'text\ntext'
            assert_file dir/f text
            echo "other" > in
            kiln 0 run
            assert_file all $'other\nother'
            echo "text" > in
            rm -rf dir file all
            kiln 0 run
            assert_file all $'text\ntext'
            kiln 0 run --json
            assert_eq "$(ran)" "" "after $what: $how"
        done
    done
}

run_tests
