#!/usr/bin/env bash
# Whatever clocks and stamps say, a step gives what its input holds: same sizes, restored times, edits within one tick,
# clocks that are wrong, files that are written while they are hashed, while the step reads them, and through mappings.
. "$(dirname "$0")/lib.sh"

ROUNDS=${KILN_TIME_ROUNDS:-8}
PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "steps": {
    "copy": {"run": "cat in > out", "inputs": ["in"], "outputs": ["out"]}}}'

need_python() {
    command -v python3 > /dev/null && return
    echo "(not tried: there is no python3)"
    exit 0
}

# same: kiln runs, and out is what in is.
same() {
    kiln 0 run "$@"
    cmp in out || fail "${WHAT:-} a stale result"
}

test_same_size_and_time_restored() {
    project "$PIPELINE"
    echo 0000 > in
    touch -d '2020-01-01 00:00:00' in
    touch -r in reference
    for ((i = 1; i <= ROUNDS; i++)); do
        same
        printf '%04d\n' "$i" > in
        touch -r reference in
    done
    same
    # Through a rename of a file that is as old.
    for ((i = 1; i <= ROUNDS; i++)); do
        printf '%04d\n' "$((i + 5000))" > ../new
        touch -r reference ../new
        mv ../new in
        same
    done
}

test_files_dated_anywhere() {
    project "$PIPELINE"
    for date in '1970-01-01 00:00:00' '1969-12-31 12:00:00' '2100-01-01' '2038-01-19 03:14:08' 'now + 10 years' 'now'; do
        for ((i = 1; i <= 3; i++)); do
            printf '%04d\n' "$i" > in
            touch -d "$date" in
            WHAT="a file of $date:" same
        done
    done
}

# Right behind a run, and behind each other, as fast as can be: most of these share a tick of the clock.
test_edits_in_one_tick() {
    need_python
    project "$PIPELINE"
    cat > "$T/racer" <<'E'
import os, subprocess, sys
kiln, rounds = sys.argv[1], int(sys.argv[2])
fd = os.open("in", os.O_WRONLY | os.O_CREAT, 0o644)
for i in range(rounds):
    os.pwrite(fd, b"%04d\n" % i, 0)
    run = subprocess.run([kiln, "run"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    os.pwrite(fd, b"%04d\n" % (i + 4000), 0)
    os.pwrite(fd, b"%04d\n" % (i + 8000), 0)
    run = subprocess.run([kiln, "run"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    if run.returncode or open("out").read() != "%04d\n" % (i + 8000):
        sys.exit("round %d: exit %d, out is %s" % (i, run.returncode, open("out").read()))
E
    timeout 300 python3 "$T/racer" "$KILN" "$ROUNDS" || fail "a stale result"
}

is_same() {
    cmp -s in out
}

test_edits_in_one_tick_while_watching() {
    project "$PIPELINE"
    echo 0000 > in
    watch_start
    for ((i = 1; i <= ROUNDS * 3; i++)); do
        printf '%04d\n' "$i" > in
        printf '%04d\n' $((i + 3000)) 1<> in
        touch -d '2020-01-01' in
        printf '%04d\n' $((i + 6000)) 1<> in
        wait_for is_same
    done
    watch_stop
}

# A file that is written all the time: its content is one letter, at any moment of two. With "bursts" it is left alone
# now and then, for long enough or not, so that it can be read, and is written again while it is read or its step runs.
WRITER='
import os, random, sys, time
letters, size = sys.argv[1], int(sys.argv[2])
blocks = [c.encode() * size for c in letters]
fd = os.open("in", os.O_WRONLY | os.O_CREAT, 0o644)
i = 0
open("../writing", "w").close()
while os.path.exists("../writing"):
    os.pwrite(fd, blocks[i % len(blocks)], 0)
    if "utime" in sys.argv: os.utime("in", (1e9, 1e9))
    i += 1
    if "bursts" in sys.argv and random.random() < 0.05: time.sleep(random.uniform(0, 0.1))
'

# Afterwards no result may be found that belongs to another content.
look_for_lies() { # LETTERS SIZE
    local letter
    for letter in $(fold -w 1 <<< "$1"); do
        head -c "$2" /dev/zero | tr '\0' "$letter" > in
        WHAT="letter $letter:" same
    done
}

test_written_while_hashed_and_read() {
    local size options
    need_python
    project "$PIPELINE"
    for size in 10 2000000; do
        for options in "" utime; do
            # shellcheck disable=SC2086
            python3 -c "$WRITER" abcd $size $options &
            wait_for test -e ../writing
            for ((i = 1; i <= 3; i++)); do
                kiln any run
                [ "$RC" -le 2 ] || fail "exit $RC"
            done
            rm ../writing
            wait $!
            look_for_lies abcd $size
        done
    done
}

test_written_while_watching() {
    need_python
    project "$PIPELINE"
    echo start > in
    watch_start
    for size in 10 300000; do
        begun=$(grep -c '"type":"step.started"' "$T/watch.out")
        python3 -c "$WRITER" abcd $size bursts &
        wait_for test -e ../writing
        wait_for has_lines "$T/watch.out" '"type":"step.started"' $((begun + 2))
        rm ../writing
        wait $!
        wait_for is_same
        put ../settled settled # something of another length
        cp ../settled in
        wait_for is_same
    done
    watch_stop
    look_for_lies abcd 10
    look_for_lies abcd 300000
}

# While the step runs its input becomes another and what it was again, with all that can be restored of its stamp.
test_there_and_back_while_the_step_reads() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"copy": {"run": "cat '"$T/fifo"' in > out", "inputs": ["in"], "outputs": ["out"]}}}'
    mkfifo "$T/fifo"
    for ((i = 1; i <= 5; i++)); do
        printf 'a%03d\n' "$i" > in
        touch -d '2020-01-01' in
        "$KILN" run --json > "$T/slow.out" 2>&1 &
        exec 7> "$T/fifo" # the step has begun
        touch -r in reference
        printf 'b%03d\n' "$i" 1<> in
        touch -r reference in
        exec 7>&-
        wait_for gone $!
        printf 'a%03d\n' "$i" 1<> in
        touch -r reference in
        assert_eq "$(events 'select(.type == "step.finished") | .tainted' "$T/slow.out")" true
        (: > "$T/fifo") &
        same
    done
}

MAPPER='
import mmap, os, sys
fd = os.open("in", os.O_RDWR)
m = mmap.mmap(fd, 0)
os.close(fd)
n = 0
for line in sys.stdin:
    word = line.split()
    m[0:4] = word[1].encode()
    if word[0] == "sync": m.flush()
    open("../mapped", "w").write(word[1])
'

map_write() { # HOW TEXT
    echo "$1 $2" >&8
    wait_for grep -qx "$2" ../mapped
}

begin_mapping() {
    mkfifo ../orders
    python3 -c "$MAPPER" < ../orders &
    MAPPER_PID=$!
    exec 8> ../orders
}

end_mapping() {
    exec 8>&-
    wait "$MAPPER_PID"
    rm ../orders
}

# A page once written can be written again without any change of the file's times.
test_written_through_a_mapping() {
    need_python
    project "$PIPELINE"
    echo 0000 > in
    begin_mapping
    map_write dirty 0001
    for ((i = 2; i <= ROUNDS; i++)); do
        same
        same
        map_write "$([ $((i % 4)) -eq 0 ] && echo sync || echo dirty)" "$(printf '%04d' "$i")"
    done
    same
    map_write dirty 9999
    end_mapping
    same
    same
    kiln 0 run --json
    assert_eq "$(ran)" ""
}

test_written_through_a_mapping_while_watching() {
    need_python
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"copy": {"run": "cat in other > out", "inputs": ["in", "other"], "outputs": ["out"]}}}'
    echo 0000 > in
    echo 0 > other
    is_both() { cat in other | cmp -s - out; }
    begin_mapping
    map_write dirty 0001
    watch_start 8>&- # the mapping ends when nobody has its orders open
    wait_for is_both
    for ((i = 2; i <= ROUNDS; i++)); do
        map_write dirty "$(printf '%04d' "$i")"
        put other "$i" # nothing tells of the mapping: it is looked at when there is something to do
        wait_for is_both
    done
    map_write dirty 9999
    end_mapping # this is told
    wait_for is_both
    watch_stop
}

# A clock that is wrong: what kiln takes for now lies OFFSET seconds off what the file system takes for it.
with_clock() { # OFFSET COMMAND...
    local offset=$1
    shift
    if [ ! -e "$T/clock.so" ]; then
        cat > "$T/clock.c" <<'E'
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long offset(void)
{
    const char *text = getenv("CLOCK_OFFSET");
    return text ? atol(text) : 0;
}
int clock_gettime(clockid_t id, struct timespec *ts)
{
    int rc = (int)syscall(SYS_clock_gettime, id, ts);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
        ts->tv_sec += offset();
    return rc;
}
int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *out)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return out ? *out = ts.tv_sec : ts.tv_sec;
}
E
        cc -shared -fPIC -O1 -o "$T/clock.so" "$T/clock.c" -ldl
    fi
    ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 CLOCK_OFFSET=$offset LD_PRELOAD=$T/clock.so "$@"
}

clock_run() { # OFFSET
    with_clock "$1" timeout 60 "$KILN" run --json > "$T/out" 2> "$T/err" < /dev/null || fail "exit $?"
    cmp in out || fail "a clock $1 s off: a stale result"
}

YEAR=31557600

test_clocks_that_are_wrong() {
    command -v cc > /dev/null || { echo "(not tried: there is no compiler)"; return; }
    project "$PIPELINE"
    echo 0000 > in
    local n=0 offset
    clock_run -$YEAR
    [ "$(events 'select(.type == "run.started") | .time[:19] + "Z" | fromdate')" -le $(($(date +%s) - YEAR)) ] ||
        fail "the clock is right"
    touch -r in reference
    for offset in 0 -$YEAR $((10 * YEAR)) -3 3 0 $((10 * YEAR)) -$YEAR 0; do
        for ((i = 1; i <= 3; i++)); do
            n=$((n + 1))
            printf '%04d\n' "$n" > in
            touch -r reference in
            clock_run "$offset"
        done
    done
    # Contents that are known under one clock, met under another.
    for offset in -$YEAR 0 $((10 * YEAR)); do
        for ((i = 1; i <= n; i += 5)); do
            printf '%04d\n' "$i" > in
            touch -r reference in
            clock_run "$offset"
            assert_eq "$(ran)" "" "a result that is there"
        done
    done
}

test_a_wrong_clock_while_watching() {
    command -v cc > /dev/null || { echo "(not tried: there is no compiler)"; return; }
    project "$PIPELINE"
    for offset in -$YEAR $((10 * YEAR)); do
        echo 0000 > in
        touch -d '2020-01-01' reference
        with_clock "$offset" true # makes it
        ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 CLOCK_OFFSET=$offset LD_PRELOAD=$T/clock.so watch_start
        for ((i = 1; i <= 5; i++)); do
            printf '%04d\n' "$i" > in
            touch -r reference in
            wait_for is_same
        done
        watch_stop
    done
}

run_tests
