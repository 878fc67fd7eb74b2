#!/usr/bin/env bash
# Steps that try to get out of their box, to harm what is outside or to leave something of themselves: in the sandbox and in
# a container, as root and as an ordinary user. hostile/hostile.c does the trying.
#
# HOSTILE_KIND (sandbox, container) and HOSTILE_AS (root, user) choose; unset: each that can be had. HOSTILE names the
# program; unset: it is compiled.
if [ -z "${HOSTILE_KIND:-}" ] || [ -z "${HOSTILE_AS:-}" ]; then
    failed=0
    for kind in ${HOSTILE_KIND:-sandbox container}; do
        for as in ${HOSTILE_AS:-root user}; do
            echo "-- $kind, $as"
            HOSTILE_KIND=$kind HOSTILE_AS=$as bash "$0" "$@" || [ $? -eq 77 ] || failed=1
        done
    done
    exit "$failed"
fi
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/hostile/image.sh"

# In a test: it ends well, having told. Before them: all is skipped.
skip() {
    echo "(not tried: $*)"
    [ -n "${T:-}" ] && exit 0 || exit 77
}

if [ "$HOSTILE_AS" = root ] && [ "$(id -u)" -ne 0 ]; then
    skip "this is not root"
fi
if [ "$HOSTILE_KIND" = container ] && ! command -v busybox > /dev/null; then
    skip "there is no busybox to make an image of"
fi
WORK=$(mktemp -d "${TMPDIR:-/tmp}/kiln-hostile.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
chmod 755 "$WORK"
if [ -z "${HOSTILE:-}" ]; then
    HOSTILE=$WORK/hostile
    ${CC:-cc} -static -std=c17 -D_GNU_SOURCE -O1 -w -o "$HOSTILE" "$(dirname "$0")"/hostile/*.c
fi
KILN_CACHE_DIR=$WORK/cache "$KILN" doctor > "$WORK/doctor" 2>&1 || {
    cat "$WORK/doctor"
    skip "this machine lets no step be isolated"
}
if [ "$HOSTILE_KIND" = container ]; then
    busybox_root "$WORK/root"
    cp "$HOSTILE" "$WORK/root/setuid"
    chmod 4755 "$WORK/root/setuid"
    oci_image "$WORK/image" "$WORK/root"
fi

# -- what all of them begin with -------------------------------------------------------------------

# begin: the project gets the program, and kiln is run as it is to be.
begin() {
    cp "$HOSTILE" "$P/hostile"
    echo "as it was" > "$P/in"
    if [ "$HOSTILE_AS" = user ]; then
        unprivileged || skip "root cannot become an ordinary user here"
    fi
    mkdir -p "$T/victim"
    echo "secret of the host" > "$T/victim/secret"
}

# step KEYS: kiln.json with one step "x" that has these keys, besides its runner and the program as its input.
step() {
    local runner
    case $HOSTILE_KIND in
    sandbox) runner='"runner": "sandbox"' ;;
    container) runner="\"image\": \"oci:$WORK/image\"" ;;
    esac
    printf '{"version": 1, "steps": {"x": {%s, "inputs": ["hostile", "in"], %s}}}\n' "$runner" "$1" > "$P/kiln.json"
    cd "$P"
    if [ "$HOSTILE_AS" = user ] && [ "$(id -u)" -eq 0 ]; then
        chown -R 65534:65534 "$P"
    fi
}

# attempts GROUP ARGUMENT...: none of them may reach anything, and there were some.
attempts() {
    local words
    words=$(printf '"%s", ' ./hostile "$@")
    step "\"run\": [${words%, }]"
    kiln any run --json
    if step_log x | grep '^REACHED'; then fail "$1: something was reached"; fi
    assert_eq "$(status x)" passed "$1"
    step_log x | grep -q '^\(denied\|tried\)' || fail "$1 tried nothing"
}

# The processes that have the marker in their words.
marked() {
    pgrep -f "$1" > "$T/marked"
}

none_marked() {
    ! marked "$1"
}

# -- from inside -----------------------------------------------------------------------------------

test_system_calls() {
    begin
    attempts kernel
}

test_proc_and_devices() {
    begin
    attempts proc
}

test_privileges() {
    begin
    attempts identity /setuid
    if [ "$HOSTILE_KIND" = container ]; then
        printf '{"version": 1, "steps": {"x": {"image": "oci:%s", "user": "web", "inputs": ["hostile"], "run": ["./hostile", "identity", "/setuid"]}}}\n' \
            "$WORK/image" > "$P/kiln.json"
        kiln any run --json
        if step_log x | grep '^REACHED'; then fail "something was reached"; fi
        assert_eq "$(status x)" passed
    fi
}

test_terminal() {
    begin
    attempts terminal
}

test_other_processes() {
    local pid pids=()
    begin
    # Small numbers are those of the box's own.
    for pid in $$ "$BASHPID" "$PPID"; do
        [ "$pid" -lt 400 ] || pids+=("$pid")
    done
    attempts processes "${pids[@]}"
}

test_descriptors() {
    begin
    # What kiln itself was started with, and what it opens.
    exec 7< "$T/victim/secret" 8< "$T" 9<> "$T/victim/secret"
    attempts descriptors
}

test_out_of_a_chroot() {
    begin
    attempts root "$T/victim/secret"
}

test_system_is_read_only() {
    [ "$HOSTILE_KIND" = sandbox ] || return 0
    begin
    attempts readonly /usr /etc /bin /sbin /lib /lib64 /proc /sys /usr/bin /opt
}

test_reads() {
    begin
    echo "undeclared" > "$P/undeclared"
    mkdir -p "$T/other" "$HOME/.ssh"
    echo "other project" > "$T/other/file"
    echo "key" > "$HOME/.ssh/id"
    attempts read /src/undeclared "$P/undeclared" "$P/kiln.json" "$P/hostile" /src/kiln.json "$T/other/file" "$T/victim/secret" \
        "$HOME/.ssh/id" "$HOME" "$T" /etc/shadow /etc/ssh /root/.bashrc /home/kiln "$XDG_CACHE_HOME/kiln" \
        "$XDG_STATE_HOME/kiln" /var/run/docker.sock /run/user /run/secrets
}

test_environment() {
    begin
    step '"run": ["/bin/sh", "-c", "env; cat /proc/1/environ"]'
    SSH_AUTH_SOCK=$T/agent DOCKER_HOST=unix://$T/docker AWS_SECRET_ACCESS_KEY=hush kiln 0 run --json
    if step_log x | grep -aE 'hush|SSH_AUTH_SOCK|DOCKER_HOST|KILN_|XDG_RUNTIME'; then fail "a variable got through"; fi
}

test_writes() {
    begin
    attempts write "$T/victim/new" "$T/victim/secret" "$P/new" "$P/kiln.json" /etc/hostile /usr/bin/hostile "$HOME/.profile"
    assert_eq "$(ls "$T/victim")" secret
    assert_file "$T/victim/secret" "secret of the host"
    for file in "$P/new" /etc/hostile /usr/bin/hostile "$HOME/.profile" "$P/link-0" "$P/link-1"; do
        assert_no_file "$file"
    done
    jq -e .version "$P/kiln.json" > /dev/null || fail "kiln.json was changed"
}

test_network() {
    local port
    begin
    mkfifo "$T/hold"
    "$HOSTILE" listen "$T/listener" "kiln-hostile-$$" < "$T/hold" &
    exec 6> "$T/hold"
    wait_for test -s "$T/listener"
    port=$(cat "$T/listener")
    chmod 777 "$T/listener.socket"
    # That it can be reached where nothing keeps it from.
    "$HOSTILE" network "$port" "kiln-hostile-$$" > "$T/control" || :
    grep -q "REACHED: TCP to 127.0.0.1" "$T/control" || fail "the control reaches nothing"
    grep -q "REACHED: abstract" "$T/control" || fail "the control reaches no abstract socket"
    rm "$T/listener.log"
    attempts network "$port" "kiln-hostile-$$"
    [ "$(step_log x | grep "own loopback")" = "own loopback: works" ] || fail "there is no loopback"
    attempts sockets "$T/listener.socket" /var/run/docker.sock /run/docker.sock /run/dbus/system_bus_socket "$T/agent"
    assert_no_file "$T/listener.log"
    exec 6>&-
}

test_socket_of_kiln() {
    local socket
    begin
    step '"run": "true"'
    # A watcher of another tree, of the same user.
    mkdir "$T/watched"
    echo '{"version": 1, "steps": {"a": {"run": "true", "runner": "host"}}}' > "$T/watched/kiln.json"
    [ -z "${AS[*]}" ] || chown -R 65534:65534 "$T/watched" "$XDG_RUNTIME_DIR"
    : > "$T/watch.out"
    (cd "$T/watched" && exec "${AS[@]}" "$KILN" watch --json > "$T/watch.out" 2> "$T/watch.err" < /dev/null) &
    WATCH_PID=$!
    wait_for has_lines "$T/watch.out" '"type":"watch.idle"' 1
    socket=$(find "$XDG_RUNTIME_DIR/kiln" -type s | head -n 1)
    [ -n "$socket" ] || fail "the watcher has no socket"
    attempts sockets "$socket"
    kill -INT "$WATCH_PID"
    wait "$WATCH_PID" || :
    WATCH_PID=
}

# -- by what it gives ------------------------------------------------------------------------------

# Where an output, or a directory on the way to one, leads out of the project: nothing of the host's is taken for what the
# step made, nothing is written there when it is put into the tree.
test_outputs_that_lead_out() {
    local script
    begin
    for script in \
        "ln -s $T/victim out" \
        "mkdir out && ln -s $T/victim out/dir && ln -s $T/victim/secret out/file" \
        "mkdir -p $T/victim && echo hostile > $T/victim/secret && ln -s $T/victim out" \
        "mkdir out && ln -s ../../../../../../../../..$T/victim/secret out/secret" \
        "ln -s /proc/self/cwd/../../../..$T/victim out"; do
        step "\"run\": \"$script\", \"outputs\": [\"out\"]"
        rm -rf out
        kiln any run --json
        assert_eq "$(ran)" x "$script"
        assert_eq "$(ls "$T/victim")" secret
        assert_file "$T/victim/secret" "secret of the host"
        # Again, from the cache, into a tree where the link is there already.
        kiln any run --json
        assert_file "$T/victim/secret" "secret of the host"
        if grep -rl "secret of the host" "$XDG_CACHE_HOME/kiln" 2> /dev/null; then fail "the cache has what is the host's: $script"; fi
        [ -L out ] || rm -rf out
        rm -f out
    done
}

test_outputs_by_a_link_on_the_way() {
    begin
    # Inside there is a directory of that name, too; the output's own path is led there.
    step "\"run\": \"mkdir -p $T/victim && echo hostile > $T/victim/secret && ln -s $T/victim a\", \"outputs\": [\"a/secret\"]"
    kiln any run --json
    assert_eq "$(ran)" x
    if grep -rl "secret of the host" "$XDG_CACHE_HOME/kiln" 2> /dev/null; then fail "the cache has what is the host's"; fi
    assert_file "$T/victim/secret" "secret of the host"
    # And where the tree has the link before: nothing is written through it.
    rm -rf a
    ln -s "$T/victim" a
    step '"run": "mkdir -p a && echo hostile > a/secret", "outputs": ["a/secret"]'
    kiln any run --json
    assert_eq "$(ran)" x
    assert_file "$T/victim/secret" "secret of the host"
    assert_eq "$(ls "$T/victim")" secret
}

test_outputs_that_are_no_files() {
    local script
    begin
    for script in "mkfifo out" "mkdir out && mkfifo out/pipe" "mkdir out && touch out/f && chmod 0 out/f" \
        "mkdir -p out/d && touch out/d/f && chmod 0 out/d" "mkdir out && cp hostile out/s && chmod 6755 out/s"; do
        step "\"run\": \"$script\", \"outputs\": [\"out\"]"
        kiln any run --json
        # What nobody may read can't be taken: kiln says so.
        [ "$RC" -le 1 ] || grep -Eq "cannot (read|open)" "$T/out" || fail "$script: exit $RC"
        assert_eq "$(ran)" x "$script"
        if find out -perm /6000 2> /dev/null | grep .; then fail "a setuid file came out"; fi
        chmod -R u+rwx out 2> /dev/null || :
        rm -rf out
    done
}

# Inputs are the step's to change, and nobody else's change by that.
test_inputs_by_links() {
    begin
    step '"run": "ln in out; echo changed >> out; ln -f hostile h; echo x >> h; rm in; echo other > in; cat out", "outputs": ["out"]'
    kiln any run --json
    assert_file in "as it was"
    cmp -s "$HOSTILE" hostile || fail "the program was changed"
    kiln 0 cache verify
    assert_file out $'as it was\nchanged'
    rm out
    kiln 0 run --json
    assert_eq "$(status x)" cached
    assert_file out $'as it was\nchanged'
    # The same input, presented again.
    step '"run": "cat in > out", "outputs": ["out"]'
    kiln 0 run --json
    assert_file out "as it was"
}

test_survivors() {
    local group
    begin
    for group in daemon mapping; do
        step "\"run\": [\"./hostile\", \"$group\", \"out\", \"marker-$T\"], \"outputs\": [\"out\"]"
        kiln 0 run --json
        none_marked "marker-$T" || fail "a process is left: $(cat "$T/marked")"
        sha256sum < out > "$T/sum"
        kiln 0 cache verify
        rm out
        kiln 0 run --json
        assert_eq "$(status x)" cached
        sha256sum < out | cmp -s - "$T/sum" || fail "$group: the result changed"
        rm out
    done
}

# -- by force --------------------------------------------------------------------------------------

# limited KEYS LIMIT WORDS: the limit ends it, and is named; or kiln says that it can't be had here.
limited() {
    step "$1, \"limits\": $2"
    kiln any run --json
    if [ "$(status x)" = passed ]; then fail "it passed within $2"; fi
    grep -Eq "met its limit of .*$3|limits" "$T/out" "$T/err" || fail "the cause is not named"
}

test_many_processes() {
    begin
    limited "\"run\": [\"./hostile\", \"forks\", \"300\", \"marker-$T\"]" '{"pids": 40}' "processes"
    none_marked "marker-$T" || fail "processes are left"
    # Without a limit they are gone with the step all the same.
    step "\"run\": [\"./hostile\", \"forks\", \"300\", \"marker-$T\"]"
    kiln any run --json
    none_marked "marker-$T" || fail "processes are left"
}

test_swarm() {
    begin
    step "\"run\": [\"./hostile\", \"swarm\", \"8\", \"marker-$T\"], \"timeout\": \"1s\""
    kiln 1 run --json
    assert_eq "$(events 'select(.type == "step.finished") | .timed_out')" true
    none_marked "marker-$T" || fail "processes are left"
}

test_memory() {
    begin
    limited '"run": ["./hostile", "memory", "200"]' '{"memory": "64MiB"}' "memory"
}

test_file_size() {
    begin
    limited '"run": ["./hostile", "file-size", "big", "20"]' '{"file_size": "2MiB"}' "file"
}

# -- by kiln's own end -----------------------------------------------------------------------------

own_mounts() {
    # What other tests mount meanwhile is theirs.
    grep -F "$T" /proc/self/mountinfo || :
}

# The processes below one, by what they run; the last of that name.
below() { # PID NAME
    local child
    for child in $(cat "/proc/$1/task/"*/children 2> /dev/null || :); do
        [ "$(cat "/proc/$child/comm" 2> /dev/null)" != "$2" ] || echo "$child"
        below "$child" "$2" || :
    done
}

# Kills whom $1 says while the step is at work; nothing of it may be left, and the next kiln takes the box away.
killed() {
    local pid victim
    begin
    step "\"run\": [\"./hostile\", \"swarm\", \"3\", \"marker-$T\"], \"outputs\": [\"out\"]"
    : > "$T/killed.out"
    "${AS[@]}" "$KILN" run --json > "$T/killed.out" 2> "$T/killed.err" < /dev/null &
    pid=$!
    wait_for grep -q "swarm: 3" "$T/killed.out"
    marked "marker-$T" || fail "the step is not to be seen"
    case $1 in
    kiln) victim=$pid ;;
    warden) victim=$(below "$pid" kiln-warden | tail -n 1) ;;
    runtime) victim=$(below "$pid" crun | head -n 1) ;;
    esac
    [ -n "$victim" ] || skip "there is no $1 process"
    kill -KILL "$victim"
    [ "$1" = kiln ] || wait_for gone "$pid"
    wait_for none_marked "marker-$T"
    wait_for none_marked "$T/home/.cache/kiln"
    wait "$pid" || :
    assert_eq "$(own_mounts)" ""
    step '"run": "true"'
    kiln 0 run --json
    assert_eq "$(find /sys/fs/cgroup -type d -name "kiln-$pid-*" 2> /dev/null)" "" "cgroups"
    kiln 0 cache gc
    assert_eq "$(ls -A "$XDG_CACHE_HOME/kiln/v1/box")" "" "boxes"
}

test_kill_kiln() {
    killed kiln
}

test_kill_warden() {
    killed warden
}

test_kill_runtime() {
    killed runtime
}

# At moments that nobody chose.
test_kill_at_any_moment() {
    local pid i
    begin
    step "\"run\": \"echo \$\$ > out; ./hostile forks 5 marker-$T; sleep 0.05\", \"outputs\": [\"out\"], \"cache\": false"
    for ((i = 0; i < 12; i++)); do
        "${AS[@]}" "$KILN" run --json > "$T/killed.out" 2>&1 < /dev/null &
        pid=$!
        sleep "0.$(printf '%03d' $((i * 37)))"
        kill -KILL "$pid" 2> /dev/null || :
        wait "$pid" 2> /dev/null || :
        wait_for none_marked "marker-$T"
        wait_for none_marked "$T/home/.cache/kiln"
    done
    assert_eq "$(own_mounts)" ""
    kiln 0 run --json
    # One that was killed between making a directory and taking its lock left an empty one, which goes when it is old.
    kiln 0 cache gc
    assert_eq "$(find "$XDG_CACHE_HOME/kiln/v1/box" -mindepth 2 -name lock)" "" "boxes"
    kiln 0 cache verify
}

(run_tests)
