#!/usr/bin/env bash
# kiln doctor: each check with a verdict, the whole as text and as JSON, as whoever runs it; nothing left behind.
. "$(dirname "$0")/lib.sh"

verdict() { # CHECK
    jq -r ".checks[] | select(.name == \"$1\") | .verdict" "$T/out"
}

# Which namespaces a test machine allows differs: what must hold is that exit code and words agree.
agrees() {
    kiln any doctor --json
    [ "$(wc -l < "$T/out")" -eq 1 ] || fail "not one line"
    jq -e '(.checks | length) >= 12 and all(.checks[]; .verdict == "ok" or .remedy != "" or (.found | startswith("not tried")))' \
        "$T/out" > /dev/null || fail "a check lacks its remedy"
    if jq -e .works "$T/out" > /dev/null; then
        assert_eq "$RC" 0 "exit"
        assert_eq "$(jq -r '.checks[] | select(.name == "sandbox") | .found' "$T/out")" "runs /bin/true"
        assert_eq "$(jq -r '[.checks[] | select(.verdict == "missing")] | length' "$T/out")" 0
    else
        assert_eq "$RC" 1 "exit"
    fi
}

test_as_it_is() {
    project '{"version": 1, "steps": {"a": {"run": "true"}}}'
    agrees
    assert_match "$(jq -r '.checks[] | select(.name == "inotify") | .found' "$T/out")" "this project takes 1 at most"
    kiln any doctor
    assert_out "^. (ok|limited|missing) +user namespaces +[^ ]"
    # Everything but commands fits a terminal of 80 columns.
    if grep -v '^               ' "$T/out" | grep -vE "$T" | grep -E '^.{81}'; then fail "a line is too long"; fi
    assert_eq "$(ls -A "$XDG_CACHE_HOME/kiln/v1/box")" "" "what is left"
}

test_as_an_ordinary_user() {
    unprivileged || return 0
    project '{"version": 1, "steps": {"a": {"run": "true"}}}'
    chown -R 65534:65534 "$T" 2> /dev/null || :
    agrees
    assert_eq "$(ls -A "$XDG_CACHE_HOME/kiln/v1/box")" "" "what is left"
}

test_without_a_project() {
    cd "$T"
    kiln any doctor --json
    assert_match "$(jq -r '.checks[] | select(.name == "inotify") | .found' "$T/out")" "may be had$"
}

test_what_is_missing() {
    KILN_RUNTIME=no-such-runtime kiln 1 doctor --json
    assert_eq "$(verdict runtime)" missing
    assert_eq "$(jq .works "$T/out")" false
    KILN_RUNTIME=no-such-runtime kiln 1 doctor
    assert_out "missing +runtime +no-such-runtime"
    # A program that is no runtime.
    printf '#!/bin/sh\nexit 1\n' > "$T/fake-runtime"
    chmod 755 "$T/fake-runtime"
    KILN_RUNTIME=$T/fake-runtime kiln 1 doctor --json
    assert_eq "$(verdict runtime)" missing
    # A place that can't be.
    : > "$T/file"
    KILN_CACHE_DIR=$T/file/cache kiln 1 doctor --json
    assert_eq "$(verdict cache)" missing
}

test_bare_path() {
    # Without crun, newuidmap and skopeo, kiln itself works: they are looked for when they are needed.
    mkdir "$T/bin"
    ln -s "$(command -v sh)" "$(command -v true)" "$T/bin/"
    project '{"version": 1, "steps": {"a": {"run": "true", "runner": "host"}}}'
    PATH=$T/bin /usr/bin/env -u KILN_RUNTIME "$KILN" run --plain > "$T/out" 2> "$T/err" || fail "the host runner needs them"
    # An isolated step is refused in words, each time with what is still missing.
    project '{"version": 1, "steps": {"a": {"run": "true", "inputs": []}}}'
    bare() { # STATUS ARGUMENT...: kiln with none but the programs in $T/bin
        local rc=0 want=$1
        shift
        PATH=$T/bin /usr/bin/timeout 60 /usr/bin/env -u KILN_RUNTIME "$KILN" "$@" > "$T/out" 2> "$T/err" < /dev/null || rc=$?
        [ "$rc" = "$want" ] || fail "kiln $*: exit $rc"
        cat "$T/err" >> "$T/out"
    }
    bare 3 run --plain
    assert_out "isolated steps are run by crun, which is not installed"
    ln -s "$(command -v crun || command -v true)" "$T/bin/crun"
    bare 3 run --plain
    assert_out "isolated steps need an init .*apt-get install tini"
    bare 1 doctor
    assert_out "missing +init +neither tini-static nor docker-init is there"
}

test_help() {
    kiln 0 doctor --help
    assert_out "what this machine allows|Tries what isolated steps need"
    kiln 0 completion bash
    assert_out "doctor"
}

run_tests
