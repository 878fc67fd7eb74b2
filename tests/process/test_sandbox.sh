#!/usr/bin/env bash
# Steps in the sandbox, for real: a C project built and tested there, as whoever runs this and, where that is root, as
# an ordinary user too.
. "$(dirname "$0")/lib.sh"

c_project() {
    mkdir -p src tests
    cat > src/greet.h << 'C'
const char *greet(void);
C
    cat > src/greet.c << 'C'
#include "greet.h"
const char *greet(void) { return "hello"; }
C
    cat > src/main.c << 'C'
#include "greet.h"
#include <stdio.h>
int main(void) { puts(greet()); return 0; }
C
    echo hello > tests/expected
    project '{"version": 1, "defaults": {"runner": "sandbox"}, "steps": {
        "build": {"run": "mkdir -p build/obj; for f in src/*.c; do cc -c -o build/obj/$(basename $f).o $f; done; cc -o build/app build/obj/*.o",
                  "inputs": ["src"], "outputs": ["build"]},
        "test": {"needs": ["build"], "run": "./build/app | diff - tests/expected", "inputs": ["tests"]}}}'
    mine
}

build_and_test() {
    c_project
    kiln 0 run --json
    assert_eq "$(ran)" "build test"
    assert_eq "$(events 'select(.type == "step.started") | .runner' | sort -u)" sandbox
    assert_eq "$(build/app)" hello
    kiln 0 run --json
    assert_eq "$(ran)" ""
    # An edit that changes what is built, and one that does not.
    sed -i 's/"hello"/"goodbye"/' src/greet.c
    mine
    kiln 1 run --json
    assert_eq "$(ran)" "build test"
    assert_eq "$(status test)" failed
    sed -i 's/"goodbye"/"hello"/' src/greet.c
    echo '// nothing' >> src/main.c
    mine
    kiln 0 run --json
    assert_eq "$(ran)" build
    assert_eq "$(status test)" cached
    # Outputs that are gone come back, in another clone at another path too.
    rm -rf build
    kiln 0 run --json
    assert_eq "$(ran)" ""
    [ -x build/app ] || fail "build/app is not there"
    mkdir -p "$T/elsewhere/deep"
    cp -r src tests kiln.json "$T/elsewhere/deep"
    cd "$T/elsewhere/deep"
    mine
    kiln 0 run --json
    assert_eq "$(ran)" "" "what ran in a clone"
    assert_eq "$(build/app)" hello
    cd "$P"
    assert_eq "$(ls "$XDG_CACHE_HOME/kiln/v1/box" | wc -l)" 1 "boxes: the one failure's"
}

test_build_and_test() { as_both build_and_test; }

what_it_sees() {
    mkdir -p sub "$HOME/private"
    echo mine > "$HOME/private/key"
    echo declared > sub/in
    echo undeclared > other
    project '{"version": 1, "steps": {"look": {"runner": "sandbox", "inputs": ["sub"], "outputs": ["seen"], "run":
        "pwd > seen; find . -type f | sort >> seen; id -un >> seen; cat '"$HOME"'/private/key >> seen 2> /dev/null || echo no home >> seen; ls '"$P"' >> seen 2> /dev/null || echo no project >> seen; sed -n \"s/:.*//p\" /proc/net/dev | tr -d \" \" >> seen; touch /usr/x 2> /dev/null || echo read-only >> seen; echo dropped > sub/in"}}}'
    mine
    kiln 0 run --json
    assert_file seen "/src
./seen
./sub/in
kiln
no home
no project
lo
read-only"
    assert_file sub/in declared
}

test_what_it_sees() { as_both what_it_sees; }

# Programs take two names of one inode for one file: cp refuses to copy it, mv to move it, tar stores a link.
equal_files() {
    mkdir -p in/a in/b
    touch in/a/x in/b/x
    echo same > in/c
    echo same > in/d
    project '{"version": 1, "steps": {"copy": {"runner": "sandbox", "inputs": ["in"], "run":
        "tar cf /tmp/t in && ! tar tvf /tmp/t | grep link; cp in/a/x in/b/x && cp in/c in/d && mv in/c in/d"}}}'
    mine
    kiln 0 run
    # One that comes later, as what differs from the others.
    echo same > in/e
    mine
    kiln 0 run
    ln -f in/c in/d
    mine
    kiln 0 run
}

test_equal_files() { as_both equal_files; }

# What is installed while a step runs is not what its key tells of.
test_a_system_that_changes() {
    [ "$(id -u)" = 0 ] && unshare -m true 2> /dev/null || return 0
    project '{"version": 1, "steps": {"a": {"runner": "sandbox", "inputs": [], "outputs": ["out"], "run":
        "echo ready; while [ ! -e /usr/local/bin/another ]; do sleep 0.05; done; echo made > out"}}}'
    export KILN T
    cat > "$T/inside" << 'S'
mount -t tmpfs none /usr/local/bin || exit 99
"$KILN" run > "$T/out" 2> "$T/err" &
end=$((SECONDS + 60))
until grep -qs ready "$XDG_STATE_HOME"/kiln/projects/*/runs/1/logs/* || [ $SECONDS -ge $end ]; do sleep 0.05; done
touch /usr/local/bin/another
wait $! || exit 1
rm /usr/local/bin/another
"$KILN" plan --json > "$T/plan" 2>> "$T/err" || exit 2
S
    unshare -m --propagation private timeout 120 bash "$T/inside" || { cat "$T/out" "$T/err"; fail "exit code $?"; }
    assert_out "warning: the system's packages changed while step a ran: its result is not kept"
    assert_file out made
    assert_eq "$(jq -r '.steps[0].state' "$T/plan")" run
}

a_cache_named_from_here() {
    project '{"version": 1, "steps": {"a": {"runner": "sandbox", "inputs": ["in"], "outputs": ["out"], "run": "cat in > out"}}}'
    echo 1 > in
    mkdir -p ../cache
    mine
    [ "$(id -u)" -ne 0 ] || chmod 700 ..
    KILN_CACHE_DIR=../cache kiln 0 run
    assert_file out 1
}

test_a_cache_named_from_here() { as_both a_cache_named_from_here; }

# Root's nest is somebody else, who cannot get there.
test_a_cache_of_another_user() {
    [ "$(id -u)" = 0 ] || return 0
    project '{"version": 1, "steps": {"a": {"runner": "sandbox", "inputs": [], "run": "true"}}}'
    mkdir -p "$XDG_CACHE_HOME/kiln/v1"
    chown 12345 "$XDG_CACHE_HOME/kiln/v1"
    chmod 700 "$XDG_CACHE_HOME/kiln/v1"
    kiln 3 run
    assert_out "a: FAILED.*: the cache \(.*/v1\) is that of another user \(12345\), where isolated steps of root cannot get"
    [ ! -e "$XDG_CACHE_HOME/kiln/v1/layers" ] || fail "something was made there"
}

# What a step misses is told, also where the words of its program only lead there.
what_it_misses() {
    mkdir -p app/pkg lib cm/sub tools
    echo 'import pkg.mod' > app/main.py
    touch app/pkg/__init__.py app/pkg/mod.py
    printf 'cmake_minimum_required(VERSION 3.10)\nproject(x NONE)\nadd_subdirectory(cm)\n' > CMakeLists.txt
    printf 'add_subdirectory(sub)\nadd_library(y OBJECT y.txt)\n' > cm/CMakeLists.txt
    touch cm/y.txt cm/sub/CMakeLists.txt lib/a
    printf '#!/bin/sh\n' > tools/kiln-test-tool
    chmod 755 tools/kiln-test-tool
    project '{"version": 1, "steps": {
        "python": {"inputs": ["app/main.py"], "run": "echo \"  File \\\"/src/app/main.py\\\", line 1\"; echo \"    import pkg.mod\"; echo \"ModuleNotFoundError: No module named '"'pkg'"'\"; exit 1"},
        "module": {"inputs": ["app/main.py", "app/pkg/__init__.py"], "run": "echo \"File /src/app/main.py\"; echo \"No module named '"'pkg.mod'"'\"; exit 1"},
        "cmake": {"inputs": ["cm/CMakeLists.txt"], "run": "printf \"CMake Error at cm/CMakeLists.txt:2 (add_library):\\n  Cannot find source file:\\n\\n    y.txt\\n\"; exit 1"},
        "cd": {"inputs": ["app"], "run": "cd lib && ls"},
        "folder": {"inputs": [], "outputs": ["made/here"], "run": "echo x > made/here/out"},
        "program": {"inputs": [], "run": "kiln-test-tool"},
        "place": {"inputs": [], "run": "cat '"$P"'/lib/a"},
        "none": {"inputs": ["lib"], "run": "cat lib/a; cat nowhere; exit 1"}}}'
    mine
    PATH=$P/tools:$PATH kiln 1 run -k --json
    hints() { events "select(.type == \"step.finished\" and .step == \"$1\") | .hints[]?"; }
    assert_eq "$(hints python)" 'app/pkg exists in the project, but is not among the inputs of "python"; add "app/pkg" to its "inputs"'
    assert_eq "$(hints module)" 'app/pkg/mod.py exists in the project, but is not among the inputs of "module"; add "app/pkg/mod.py" to its "inputs"'
    assert_eq "$(hints cmake)" 'cm/y.txt exists in the project, but is not among the inputs of "cmake"; add "cm/y.txt" to its "inputs"'
    assert_eq "$(hints cd)" 'lib exists in the project, but is not among the inputs of "cd"; add "lib" to its "inputs"'
    assert_eq "$(hints folder)" 'made/here is not there when "folder" begins, only its inputs are; let its command make it first: mkdir -p made/here'
    assert_eq "$(hints program)" "kiln-test-tool is $P/tools/kiln-test-tool here, which is not in the sandbox; install it below /usr or /opt, or set \"runner\": \"host\" for \"program\""
    assert_eq "$(hints place)" "\"place\" has the project at /src, not at $P; use paths from the project's folder, or set \"mount\": \"same\""
    assert_eq "$(hints none)" ""
    # A step that wrote nothing has no log to point at.
    project '{"version": 1, "steps": {"silent": {"inputs": [], "run": "exit 1"}}}'
    mine
    kiln 1 run
    assert_out '^---- end of silent -*$'
}

test_what_it_misses() { as_both what_it_misses; }

# The way to its outputs is made, as if it had been among its inputs; no link is taken for a part of it.
the_way_to_outputs() {
    mkdir -p src
    echo s > src/s
    ln -s src lnk
    project '{"version": 1, "steps": {
        "a": {"inputs": ["src"], "outputs": ["build/deep/x", "build/deep/z", "src/gen/y"], "run":
            "s=$(for i in . build build/deep src src/gen; do stat -c \"%U %a %Y\" $i; done | uniq); echo \"$s\" > build/deep/x; ls build src > build/deep/z; ls -A build/deep > src/gen/y"},
        "inside": {"inputs": [], "cwd": "made/here", "outputs": ["made/here/x"], "run": "pwd > x"},
        "again": {"inputs": [], "outputs": ["r/e/x"], "retries": 1, "caches": {"/c": "c"}, "run": "if [ -e /c/1 ]; then echo > r/e/x; else touch /c/1; rmdir r/e r; exit 1; fi"}}}'
    mine
    kiln 0 run
    assert_file build/deep/x "kiln 755 946684800"
    assert_file build/deep/z "build:
deep

src:
gen
s"
    assert_file src/gen/y "x
z"
    assert_file made/here/x /src/made/here
    assert_file r/e/x ""
    project '{"version": 1, "steps": {
        "link": {"inputs": ["lnk", "src/s"], "outputs": ["lnk/new/x"], "run": "readlink lnk; ls src"},
        "file": {"inputs": ["src/s"], "outputs": ["src/s/x"], "run": "cat src/s"}}}'
    mine
    kiln 1 run -k --json
    assert_eq "$(step_log link | paste -sd " ")" "src s"
    assert_eq "$(step_log file)" s
    kiln 0 shell link --command 'ls src'
    assert_file "$T/out" s
}

test_the_way_to_outputs() { as_both the_way_to_outputs; }

# The step waits for a signal, which comes when its input has been changed.
mid_run() {
    local token=mid-run-$$-${#AS[@]}
    echo old > in
    project '{"version": 1, "steps": {"s": {"runner": "sandbox", "inputs": ["in"], "outputs": ["out"], "run":
        ": '$token'; go=; trap go=1 USR1; echo ready; until [ \"$go\" ]; do sleep 0.05; done; cat in > out"}}}'
    mine
    : > "$T/out"
    "${AS[@]}" "$KILN" run --json > "$T/out" 2> "$T/err" &
    local pid=$!
    wait_for grep -q '"data":"ready' "$T/out"
    echo new > in
    wait_for pkill -o -USR1 -f "^/bin/sh -ec : $token"
    wait "$pid"
    assert_eq "$(status s)" passed
    assert_eq "$(events 'select(.type == "step.finished") | .tainted')" false
    assert_file out old
    echo old > in
    mine
    kiln 0 run --json
    assert_eq "$(status s)" cached
    # Killed in mid-run it leaves nobody, and what it was in goes when somebody looks.
    echo third > in
    mine
    : > "$T/out"
    "${AS[@]}" "$KILN" run --json > "$T/out" 2> "$T/err" &
    pid=$!
    wait_for grep -q '"data":"ready' "$T/out"
    local inside
    inside=$(pgrep -o -f "^/bin/sh -ec : $token")
    kill -KILL "$pid"
    wait "$pid" 2> /dev/null || :
    wait_for gone "$inside"
    kiln 0 cache gc
    assert_eq "$(ls "$XDG_CACHE_HOME/kiln/v1/box")" "" "boxes left"
}

test_mid_run() { as_both mid_run; }

# What failed steps left goes with a clear, also while another kiln runs one; what that one writes stays.
clearing() {
    local token=kiln-clearing-$$-$RANDOM pid
    project '{"version": 1, "steps": {
        "fails": {"runner": "sandbox", "inputs": ["in"], "run": "head -c 300000 /dev/zero > trace; exit 1"},
        "runs": {"runner": "sandbox", "inputs": ["in"], "outputs": ["out"],
            "run": ": '"$token"'; trap go=1 USR1; head -c 5000 /dev/zero > out; echo ready; until [ ${go:-} ]; do sleep 0.02; done"}}}'
    echo 1 > in
    mine
    kiln 1 run fails
    assert_eq "$(ls "$XDG_CACHE_HOME/kiln/v1/box" | wc -l)" 1 "boxes kept"
    kiln 0 cache clear --yes
    assert_out 'removed .*, and [0-9.]+ KiB that isolated steps wrote$'
    assert_no_out left
    [ -z "$(ls "$XDG_CACHE_HOME/kiln/v1/box" 2> /dev/null)" ] || fail "a box is left"
    kiln 1 run fails
    rm -f "$T/runs" # what the shell in the background empties may be read before that
    "${AS[@]}" "$KILN" run --json runs > "$T/runs" 2> "$T/err" &
    pid=$!
    wait_for grep -q '"data":"ready' "$T/runs"
    assert_eq "$(ls "$XDG_CACHE_HOME/kiln/v1/box" | wc -l)" 2 "boxes"
    kiln 0 cache clear --yes --json
    [ "$(jq .box_bytes "$T/out")" -ge 300000 ] || fail "removed: $(cat "$T/out")"
    assert_eq "$(ls "$XDG_CACHE_HOME/kiln/v1/box" | wc -l)" 1 "boxes while one runs"
    kiln 0 cache clear --yes
    assert_out 'removed .* [0-9]+ B$'
    assert_out 'left: .*, and [0-9.]+ KiB that isolated steps wrote$'
    wait_for pkill -o -USR1 -f "^/bin/sh -ec : $token"
    wait "$pid"
    assert_eq "$(status runs "$T/runs")" passed
    assert_eq "$(wc -c < out)" 5000
}

test_clearing() { as_both clearing; }

failure() {
    mkdir -p src lib
    echo '#include "../lib/gen.h"' > src/a.c
    echo 'int x;' > lib/gen.h
    project '{"version": 1, "steps": {"cc": {"runner": "sandbox", "inputs": ["src"], "outputs": ["a.o"],
        "run": "echo trace > trace; cc -c src/a.c"}}}'
    mine
    kiln 1 run --json
    assert_eq "$(events 'select(.type == "step.finished") | .hints[]')" \
        'lib/gen.h exists in the project, but is not among the inputs of "cc"; add "lib/gen.h" to its "inputs"'
    kiln 1 run
    assert_out '^cc: hint: lib/gen.h exists in the project'
    assert_out '^cc: to look into it: kiln shell --failed cc$'
    assert_eq "$(ls "$XDG_CACHE_HOME/kiln/v1/box" | wc -l)" 1 "boxes kept"
    # A look at it, and at where it would run; neither changes anything.
    kiln 4 shell cc --failed --command 'cat trace; echo more > more; exit 4'
    assert_file "$T/out" trace
    kiln 0 shell cc --command 'pwd; ls; echo told >&2'
    assert_file "$T/out" "/src
src"
    assert_err '^told$'
    assert_no_file more
    kiln 2 shell cc
    assert_err "needs a terminal"
    sed -i 's/"src"\]/"src", "lib"]/' kiln.json
    mine
    kiln 0 run
    assert_no_out hint
    assert_eq "$(ls "$XDG_CACHE_HOME/kiln/v1/box")" "" "boxes kept"
    kiln 3 shell cc --failed --command true
    assert_err 'no failure of "cc" is kept'
}

test_failure() { as_both failure; }

# Containers have mounts in /etc: the box's is the same then.
mounts_in_etc() {
    local see='set +e; find /etc -printf \"%p %y %s %m %l\\\\n\" 2> /dev/null | grep -v \"^/etc d\" | sort; cat /etc/hosts /etc/passwd; cat /etc/shadow; ls /etc/ssl/private; touch /etc/new; echo'
    project '{"version": 1, "defaults": {"runner": "sandbox"}, "steps": {"a": {"run": "('"$see"') > o 2>&1", "outputs": ["o"]}}}'
    mine
    kiln 0 run --json
    mv o "$T/plain"
    [ "$(wc -l < "$T/plain")" -gt 20 ] || fail "little of /etc is seen"
    project '{"version": 1, "defaults": {"runner": "sandbox"}, "steps": {"a": {"run": "( '"$see"') > o 2>&1", "outputs": ["o"]}}}'
    mine
    AS=(unshare --mount sh -c 'mount --bind /etc/hosts /etc/hosts && exec "$@"' sh "${AS[@]}")
    kiln 0 run --json
    assert_eq "$(ran)" a
    diff "$T/plain" o || fail "another /etc is seen"
    AS=()
}
test_mounts_in_etc() {
    if [ "$(id -u)" -eq 0 ]; then as_both mounts_in_etc; fi
}

test_watching() {
    boxes || return 0
    echo 1 > in
    project '{"version": 1, "steps": {
        "copy": {"runner": "sandbox", "run": "cp in out", "inputs": ["in"], "outputs": ["out"]},
        "host": {"needs": ["copy"], "run": "cp out last", "inputs": [], "outputs": ["last"]}}}'
    watch_start
    assert_file last 1
    put in 2
    watch_idle
    assert_eq "$(ran "$T/round")" "copy host"
    assert_file last 2
    # Somebody's hand on an output: it is put back.
    put out wrong
    watch_idle
    assert_eq "$(ran "$T/round")" ""
    assert_file out 2
    watch_stop
}

# Where there is no runtime it is said, and nothing runs on the host instead.
test_without_a_runtime() {
    project '{"version": 1, "steps": {"s": {"runner": "sandbox", "run": "touch '"$T"'/ran", "inputs": []}}}'
    KILN_RUNTIME=no-such-runtime kiln 3 run
    assert_out 'no-such-runtime'
    assert_no_file "$T/ran"
}

# Where the kernel makes no user namespace it is said what to do, and nothing runs on the host instead.
without_namespaces() {
    local inside=(unshare --user --map-root-user sh -c 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"' sh)
    "${AS[@]}" "${inside[@]}" true 2> /dev/null || return 0
    project '{"version": 1, "steps": {"s": {"runner": "sandbox", "run": "touch '"$T"'/ran", "inputs": []}}}'
    mine
    AS+=("${inside[@]}")
    kiln 3 run
    assert_out 'user.max_user_namespaces is 0'
    assert_no_file "$T/ran"
}

test_without_namespaces() {
    [ "$(id -u)" -ne 0 ] || unprivileged || return 0
    without_namespaces
}

run_tests
