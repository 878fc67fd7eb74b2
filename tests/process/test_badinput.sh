#!/usr/bin/env bash
# Bad input: a clear message, the right exit code, nothing hung, nothing stored that is not true.
. "$(dirname "$0")/lib.sh"

# rejected MESSAGE: this kiln.json (on standard input) ends kiln with 2 and exactly one line that matches.
rejected() {
    cat > "$P/kiln.json"
    kiln 2 run
    assert_err "$1"
    assert_eq "$(wc -l < "$T/err")" 1 "lines of the message"
    [ ! -s "$T/out" ] || fail "something was written to standard output"
}

test_malformed() {
    rejected '^kiln: kiln.json:1:1: the file is empty' <<< ''
    rejected '^kiln: kiln.json:1:1: .*must be an object' <<< '[]'
    rejected '^kiln: kiln.json:2:1: .*cut off' <<< '{"version": 1, "steps": {"a": {"run": "x"}}'
    rejected '^kiln: kiln.json:1:' <<< '{"version": 1, "steps": {"a": {"run": "x}}}'
    rejected '^kiln: kiln.json:1:' <<< '{"version": 1, "steps": {"a": {"run": "x"}}} more'
    rejected '^kiln: kiln.json:1:' <<< '{"version": 1 "steps": {"a": {"run": "x"}}}'
    rejected '^kiln: kiln.json:3:12: ' <<< $'{"version": 1,\n"steps":\n {"a": {"x"}}}'
    rejected 'version 2 .*not known' <<< '{"version": 2, "steps": {}}'
    rejected 'no "steps"' <<< '{"version": 1}'
    rejected '^kiln: kiln.json:1:[0-9]+: .*0xFF is not valid UTF-8' <<< $'{"version": 1, "name": "\xff"}'
    rejected 'u0000' <<< '{"version": 1, "steps": {"a": {"run": "a\u0000b"}}}'
}

# Cut anywhere, it is never taken for whole, and the message has a place.
test_truncated() {
    local whole='{"version": 1, "steps": {"a": {"run": "true", "inputs": ["src/**", "!x"], "env": {"A": "\u00e4"}}}} // end' n
    for ((n = 0; n < ${#whole} - 8; n += 3)); do
        printf '%s' "${whole:0:n}" > kiln.json
        kiln 2 plan
        assert_err '^kiln: kiln.json:[0-9]+:[0-9]+: '
    done
}

test_huge() {
    head -c 20000000 /dev/zero | tr '\0' ' ' > kiln.json
    kiln 2 run
    assert_err 'larger than 16 MiB'
    { printf '{"version": 1, "steps": {"a": {"run": "true", "inputs": [], "description": "'; head -c 20000000 /dev/zero | tr '\0' x; printf '"}}}'; } > kiln.json
    kiln 2 run
    assert_err 'larger than 16 MiB'
    { printf '{"version": 1, "steps": {"a": {"run": "true", "inputs": [], "description": "'; head -c 15000000 /dev/zero | tr '\0' x; printf '"}}}'; } > kiln.json
    kiln 0 run
    head -c 15000000 /dev/urandom > kiln.json
    kiln 2 run
    jq -n '{version: 1, steps: ([range(5000) | {key: "s\(.)", value: {run: "echo \(.)", inputs: [], needs: (if . > 0 then ["s\(. - 1)"] else [] end)}}] | from_entries)}' > kiln.json
    kiln 0 plan
    assert_out '^1 of 5000 would run'
}

test_deeply_nested() {
    { printf '{"version": 1, "name": '; head -c 200000 /dev/zero | tr '\0' '['; } > kiln.json
    kiln 2 run
    assert_err '^kiln: kiln.json:1:[0-9]+: .*nested more than'
    yes '{"a":' | head -n 100000 > kiln.json
    kiln 2 run
    assert_err '^kiln: kiln.json:'
}

test_keys() {
    rejected '1:48: the key "a" is given twice, first at 1:26' <<< '{"version": 1, "steps": {"a": {"run": "true"}, "a": {"run": "false"}}}'
    rejected 'unknown key "stepz"; did you mean "steps"' <<< '{"version": 1, "stepz": {}}'
    rejected '^kiln: kiln.json:1:47: step "a": unknown key "input"; did you mean "inputs"' <<< '{"version": 1, "steps": {"a": {"run": "true", "input": []}}}'
    rejected 'step "a": "needs" names the unknown step "bee"; did you mean "be"' <<< '{"version": 1, "steps": {"a": {"run": "true", "needs": ["bee"]}, "be": {"run": "true"}}}'
    rejected 'a → b → c → a' <<< '{"version": 1, "steps": {"a": {"run": "true", "needs": ["b"]}, "b": {"run": "true", "needs": ["c"]}, "c": {"run": "true", "needs": ["a"]}}}'
    rejected 'step "b": output "o/x" lies inside "o", an output of step "a"' <<< '{"version": 1, "steps": {"a": {"run": "true", "outputs": ["o"]}, "b": {"run": "true", "outputs": ["o/x"]}}}'
}

test_paths_that_lead_out() {
    local key
    for key in inputs outputs; do
        for path in ../x a/../../x /etc/passwd ..; do
            rejected "^kiln: kiln.json:1:[0-9]+: step \"a\": .*(leads out of the project|absolute)" <<< "{\"version\": 1, \"steps\": {\"a\": {\"run\": \"true\", \"$key\": [\"$path\"]}}}"
        done
    done
    rejected 'leads out of the project' <<< '{"version": 1, "steps": {"a": {"run": "true", "cwd": "../x"}}}'
    rejected "git's own folder" <<< '{"version": 1, "steps": {"a": {"run": "true", "outputs": [".git/x"]}}}'
    rejected "pipeline's own file" <<< '{"version": 1, "steps": {"a": {"run": "true", "outputs": ["kiln.json"]}}}'
    # By a link: nothing beyond it is read or written.
    mkdir "$T/outside"
    echo secret > "$T/outside/x"
    ln -s "$T/outside" link
    project '{"version": 1, "steps": {"a": {"run": "true", "inputs": ["link/x"]}}}'
    kiln 2 run
    assert_out 'step "a": "link/x" is reached through a symbolic link'
    project '{"version": 1, "steps": {"a": {"run": "true", "inputs": ["link"]}}}'
    kiln 0 run
    echo changed > "$T/outside/x"
    kiln 0 run --json
    assert_eq "$(ran)" ""
}

test_what_kiln_json_may_be() {
    mkfifo kiln.json
    kiln 2 run
    assert_err 'kiln.json is a FIFO'
    rm kiln.json
    mkdir kiln.json
    kiln 2 run
    assert_err 'kiln.json is a directory'
    rmdir kiln.json
    ln -s kiln.json kiln.json
    kiln 2 run
    assert_err 'leads in a circle'
    ln -sfn /dev/zero kiln.json
    kiln 2 run
    assert_err 'kiln.json is a device'
    ln -sfn nowhere kiln.json
    kiln 2 run
    rm kiln.json
    kiln 2 run
    assert_err 'no kiln.json in '
    echo '{"version": 1, "steps": {"a": {"run": "true", "inputs": []}}}' > "$T/real.json"
    ln -s "$T/real.json" kiln.json
    kiln 0 run
    mkdir gone
    cd gone
    rmdir ../gone
    kiln 3 run
    assert_err 'the current directory'
}

a_socket() {
    if command -v python3 > /dev/null; then
        python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$1"
    fi
}

inputs() { # JSON
    project "{\"version\": 1, \"steps\": {\"a\": {\"run\": \"true\", \"inputs\": $1}}}"
}

test_inputs_that_are_no_files() {
    mkdir src
    mkfifo src/fifo
    (cd src && a_socket sock)
    ln -s /dev/null src/null
    ln -s loop2 src/loop1
    ln -s loop1 src/loop2
    ln -s .. src/up
    echo 1 > src/x
    mknod src/dev c 1 3 2> /dev/null || true
    # In a directory they are passed over; links count as links.
    inputs '["src"]'
    kiln 0 run
    kiln 0 run --json
    assert_eq "$(ran)" ""
    inputs '["src/**/*", "src/*"]'
    kiln 0 run
    project '{"version": 1, "steps": {"a": {"run": "true"}}}'
    kiln 0 run
    local name
    for name in fifo sock dev; do
        [ -e "src/$name" ] || continue
        inputs "[\"src/$name\"]"
        kiln 2 run
        assert_out "step \"a\": \"src/$name\" is a FIFO, a socket or a device"
        kiln 2 plan
        assert_out "src/$name"
        kiln 2 explain a
        assert_out "src/$name"
    done
    for name in null loop1 up; do
        inputs "[\"src/$name\"]"
        kiln 0 run
        kiln 0 run --json
        assert_eq "$(ran)" ""
    done
    inputs '["src/missing"]'
    kiln 2 run
    assert_out 'kiln.json:1:[0-9]+: step "a": "src/missing" is named in "inputs" and is not there'
    inputs '["src/no*such"]'
    kiln 0 run
}

test_unreadable_inputs() {
    mkdir -p src/closed
    echo 1 > src/secret
    echo 1 > src/closed/x
    inputs '["src"]'
    chmod 0 src/secret
    unprivileged || return 0
    kiln any run --json
    [ "$RC" -eq 2 ] || [ "$RC" -eq 3 ] || fail "exit $RC"
    assert_match "$(events 'select(.type == "step.finished") | .error')" 'src/secret.*Permission denied'
    chmod 644 src/secret
    chmod 0 src/closed
    kiln any run --json
    [ "$RC" -eq 2 ] || [ "$RC" -eq 3 ] || fail "exit $RC"
    assert_match "$(events 'select(.type == "step.finished") | .error')" 'src/closed.*Permission denied'
    inputs '["src", "!src/closed"]'
    kiln 0 run
    chmod 755 src/closed
    inputs '["src"]'
    kiln 0 run
    chmod 0 kiln.json
    kiln any run
    [ "$RC" -eq 2 ] || [ "$RC" -eq 3 ] || fail "exit $RC"
    assert_err 'kiln.json may not be read'
}

test_strange_names() {
    mkdir src
    echo 1 > $'src/new\nline'
    echo 1 > $'src/\x1b[31mred'
    echo 1 > 'src/-rf * "quoted" \back'
    echo 1 > $'src/\u202egnp'
    inputs '["src"]'
    kiln 0 run
    kiln 0 run --json
    assert_eq "$(ran)" ""
    echo 2 > $'src/new\nline'
    echo 2 > $'src/\x1b[31mred'
    kiln 0 explain a
    ! grep -q $'\x1b' "$T/out" || fail "a name reached the terminal as it is"
    assert_out 'file +src/new.nline '
    kiln 0 run --json
    assert_eq "$(events 'select(.type == "step.started") | .reasons[].subject' | wc -l)" 3
    # No name that is not UTF-8 can be in a digest.
    echo 1 > $'src/bad\xff'
    kiln 2 run
    assert_out 'src/bad.xff" has a name that is not UTF-8; rename it, or exclude it'
    kiln 2 plan
    inputs '["src", "!src/bad*"]'
    kiln 0 run
    rm $'src/bad\xff'
    ln -s $'to\xff' src/link
    inputs '["src"]'
    kiln 2 run
    assert_out 'src/link" is a symbolic link to a name that is not UTF-8'
}

test_a_very_deep_tree() {
    local deep
    inputs '["src"]'
    deep=src/$(printf 'd/%.0s' {1..900})
    mkdir -p "$deep"
    echo 1 > "$deep/leaf"
    kiln 0 run
    echo 2 > "$deep/leaf"
    kiln 0 run --json
    assert_eq "$(ran)" a
    assert_match "$(reasons a)" '^file src/d/d/.*/leaf$'
    # Deeper than anybody's sources: refused in words.
    deep=src/$(printf 'd/%.0s' {1..1100})
    mkdir -p "$deep"
    echo 1 > "$deep/leaf"
    kiln 2 run
    assert_out 'nested deeper than 1024 directories'
    echo 2 > "$deep/leaf"
    kiln 2 run
    kiln 2 explain a
}

# An input that is being written to all the time: said, not read for ever.
test_an_input_that_grows() {
    inputs '["in"]'
    head -c 20000000 /dev/zero > in
    (while [ ! -e "$T/stop" ]; do echo more >> in; done) &
    local pid=$!
    kiln any run --json
    touch "$T/stop"
    wait "$pid"
    case $RC in
    0) ;; # it got through between two writes; then it must be tainted or right
    2) assert_match "$(events 'select(.type == "step.finished") | .error')" '"in" changes faster than it can be read' ;;
    *) fail "exit $RC" ;;
    esac
    kiln 0 run
    kiln 0 run --json
    assert_eq "$(ran)" ""
}

test_variables_that_are_no_text() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "printf %s \"$X\" > o", "inputs": [], "outputs": ["o"], "pass_env": ["X"]}}}'
    X=$'\xff' kiln 0 run
    assert_eq "$(od -An -tx1 o)" " ff"
    X=$'\xfe' kiln 0 run --json
    assert_eq "$(ran)" a
    jq -e . "$T/out" > /dev/null
    iconv -f UTF-8 -t UTF-8 < "$T/out" > /dev/null || fail "not UTF-8"
    X=$'\x1b[31m\n' kiln 0 explain a
    ! grep -q $'\x1b' "$T/out" || fail "a value reached the terminal as it is"
    sed -i 's/"host"/"sandbox"/' kiln.json
    X=$'\xff' kiln 2 run
    assert_out 'is not UTF-8'
}

test_strange_places() {
    local place
    for place in "with space" $'new\nline' $'bad\xff' '*"$(x)' "$(printf 'a%.0s' {1..200})/$(printf 'b%.0s' {1..200})"; do
        mkdir -p "$T/$place"
        cd "$T/$place"
        echo '{"version": 1, "steps": {"a": {"run": "cat in > o", "outputs": ["o"]}}}' > kiln.json
        echo 1 > in
        kiln 0 run
        assert_file o 1
        kiln 0 run --json
        assert_eq "$(ran)" "" "in $place"
        jq -e . "$T/out" > /dev/null
        iconv -f UTF-8 -t UTF-8 < "$T/out" > /dev/null || fail "not UTF-8"
        kiln 0 runs
        assert_out '^ +2 '
    done
}

test_long_names() {
    rejected 'longer than 200 bytes' < <(jq -n '{version: 1, steps: {("x" * 5000): {run: "true"}}}')
    jq -n '{version: 1, steps: {a: {run: "true", inputs: [], outputs: [("o" * 300)]}}}' > kiln.json
    kiln 1 run
    jq -n '{version: 1, steps: {a: {run: "true", inputs: [("a/" * 3000)]}}}' > kiln.json
    kiln 2 run
    jq -n '{version: 1, steps: {a: {run: ("true " + "x" * 200000), inputs: []}, b: {run: "true", inputs: [], env: {X: ("x" * 200000)}}}}' > kiln.json
    kiln 2 run -k
    assert_eq "$(grep -c "^[ab]: FAILED.*Argument list too long" "$T/out")" 2
    rejected 'reads as a path' <<< '{"version": 1, "steps": {"..": {"run": "true"}}}'
    rejected 'reads as a path' <<< '{"version": 1, "steps": {"a/../b": {"run": "true"}}}'
    project '{"version": 1, "steps": {"-x": {"run": "echo dash", "inputs": []}, "a/b": {"run": "echo slash", "inputs": []}, "run": {"run": "echo run", "inputs": []}}}'
    kiln any run
    if [ "$RC" -eq 0 ]; then
        kiln 0 logs -- -x
        assert_out '^dash$'
        kiln 0 logs a/b
        assert_out '^slash$'
        kiln 0 logs run
        assert_out '^run$'
    fi
}

# words EXIT COMMAND...: with the redirections that the caller made; no sanitizer, no hang.
words() {
    local want=$1
    shift
    RC=0
    timeout -k 5 "$DEADLINE" "$KILN" "$@" || RC=$?
    [ "$RC" -eq "$want" ] || fail "kiln $*: exit $RC, not $want"
}

test_standard_output_that_fails() {
    local arguments
    inputs '[]'
    kiln 0 run
    for arguments in "run" "run --json" "run --force" "plan" "plan --json" "explain a" "runs" "runs --json" "logs" "version" "help" "schema" "cache stats" "completion bash"; do
        # shellcheck disable=SC2086
        words 3 $arguments > /dev/full 2> "$T/err"
        assert_err '^kiln: standard output could not be written'
        assert_eq "$(wc -l < "$T/err")" 1 "lines of the message"
        # shellcheck disable=SC2086
        words 3 $arguments >&- 2> "$T/err"
        assert_err '^kiln: standard output could not be written'
    done
    project '{"version": 1, "steps": {"a": {"run": "echo x; exit 1", "inputs": []}}}'
    words 3 run > /dev/full 2> "$T/err"
}

# Closed descriptors must not become those of files that kiln opens.
test_closed_descriptors() {
    project '{"version": 1, "steps": {"a": {"run": "cat; echo to-out; echo to-err >&2; cat in > o", "inputs": ["in"], "outputs": ["o"]}}}'
    echo 1 > in
    words 0 run <&- > "$T/out" 2> "$T/err"
    words 0 run --force --json 2>&- > "$T/out" < /dev/null
    assert_eq "$(step_log a | sort | paste -sd ' ')" "to-err to-out"
    echo 2 > in
    words 3 run --force <&- >&- 2>&-
    assert_file o 2
    kiln 0 run --json
    assert_eq "$(ran)" ""
    assert_file o 2
    for file in $(find "$XDG_CACHE_HOME/kiln/v1/cas" -type f); do
        assert_eq "$(sha256sum < "$file" | cut -c 1-64)" "${file##*/}" "content of a blob"
    done
}

# A reader that goes away ends nothing but the talking.
test_a_pipe_nobody_reads() {
    project '{"version": 1, "steps": {"a": {"run": "seq 100000; cat in > o", "inputs": ["in"], "outputs": ["o"]}}}'
    echo 1 > in
    RC=$({ { timeout "$DEADLINE" "$KILN" run --json 2> "$T/err" && echo 0 >&3 || echo $? >&3; } | head -n 1 > /dev/null; } 3>&1)
    assert_eq "$RC" 3
    kiln 0 run
    assert_file o 1
}

test_usage() {
    local arguments
    inputs '[]'
    for arguments in "rnu" "run --josn" "run -z" "run --plain --json" "plan -j2" "run --run 3" "logs --run x" "explain" "cache" "cache gc2" "run --force=" "run --color=maybe" "-C" "runs extra"; do
        # shellcheck disable=SC2086
        kiln 2 $arguments
        assert_err '^kiln: '
    done
    kiln 2 run --josn
    assert_err '"--josn"; did you mean "--json"'
    kiln 2 rnu
    assert_err 'did you mean "run"'
}

test_a_cwd_that_is_a_link_out() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "pwd", "inputs": [], "cwd": "away"}}}'
    mkdir "$T/elsewhere"
    ln -s "$T/elsewhere" away
    kiln 2 run
    assert_out 'kiln.json:1:.*step "a": "cwd": "away" leads out of the project'
    rm away
    mkdir real
    ln -s real away
    kiln 0 run --json
    assert_match "$(step_log a)" '/real$'
    sed -i 's/"host"/"sandbox"/' kiln.json
    kiln 2 run
    assert_out 'kiln.json:1:.*step "a": "cwd": "away" is no directory of what the step sees; add it'
}

run_tests
