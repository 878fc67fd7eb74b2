#!/usr/bin/env bash
# Secrets of steps: where they come from, that they count as inputs, and that nobody else sees them.
. "$(dirname "$0")/lib.sh"

step() { # RUN SECRETS [MORE]: a pipeline with one step
    local more=${3-}
    [ -n "$more" ] || more='{}'
    project "$(jq -n --arg run "$1" --argjson secrets "$2" --argjson more "$more" \
        '{version: 1, defaults: {runner: "host"}, steps: {a: ({run: $run, inputs: [], secrets: $secrets} + $more)}}')"
}

log() { # STEP: what kiln shows of it
    kiln 0 logs "$1"
    cat "$T/out"
}

# hidden TEXT...: nothing that kiln wrote has it.
hidden() {
    local text
    for text in "$@"; do
        if grep -rlsF -- "$text" "$HOME" "$T/out" "$T/err" > "$T/found"; then
            fail "\"$text\" is in $(tr '\n' ' ' < "$T/found")"
        fi
    done
}

test_each_source() {
    step 'test "${#A} ${#B} ${#C} ${#D}" = "8 9 12 9"; echo "<$A> <$B> <$C>"; echo "$A$B" >&2' \
        '{"A": {"env": "GIVEN"}, "B": {"file": "b"}, "C": {"command": ["sh", "-c", "echo no >&2; cat c"]},
          "D": {"command": "printf \"two\\nlines\""}}'
    echo "from file" > b
    echo "from command" > c
    export GIVEN="from env"
    kiln 0 run
    assert_eq "$(log a)" "<***> <***> <***>"$'\n'"***"
    kiln 0 run
    assert_out "a: cached"
    hidden "from env" "from file" "from command"
}

test_files_below_home() {
    step 'test "$A" = x123' '{"A": {"file": "~/a"}}'
    echo x123 > "$HOME/a"
    kiln 0 run
}

test_another_value_is_another_key() {
    step 'echo ran' '{"TOKEN": {"env": "GIVEN"}, "OTHER": {"command": "cat other"}}'
    echo o1234 > other
    GIVEN=first-value kiln 0 run
    GIVEN=first-value kiln 0 run
    assert_out "a: cached"
    GIVEN=second-value kiln 0 explain a
    assert_out "^  env +TOKEN +changed +\(the secret is another one\)"
    GIVEN=second-value kiln 0 run --json
    assert_eq "$(ran)" a
    GIVEN=first-value kiln 0 run --json
    assert_eq "$(ran)" ""
    echo o5678 > other
    GIVEN=first-value kiln 0 plan --json
    assert_eq "$(jq -c '[.steps[0].reasons[] | [.kind, .subject, .old, .new]]' "$T/out")" '[["env","OTHER",null,null]]'
    GIVEN=first-value kiln 0 run --json
    assert_eq "$(ran)" a
    hidden first-value second-value o1234 o5678
}

# Each user's hashes are his own.
test_another_user_has_another_key() {
    step 'echo ran' '{"TOKEN": {"env": "GIVEN"}}'
    export GIVEN=the-value
    kiln 0 run
    local key=$XDG_CONFIG_HOME/kiln/secret-key
    assert_eq "$(stat -c '%a %s' "$key")" "600 32"
    mv "$key" "$T/kept"
    kiln 0 run --json
    assert_eq "$(ran)" a
    mv "$T/kept" "$key"
    kiln 0 run --json
    assert_eq "$(ran)" ""
    chmod 644 "$key"
    kiln 3 run
    assert_out "a: FAILED: kiln.json:.*: step \"a\": the secret \"TOKEN\": the key of secrets .* is open to others \(mode 0644"
}

test_what_cannot_be_had_is_said() {
    step 'true' '{"TOKEN": {"env": "NOT_GIVEN"}}'
    kiln 2 run
    assert_out "a: FAILED: kiln.json:[0-9]+:[0-9]+: step \"a\": the secret \"TOKEN\": the variable NOT_GIVEN is not set"
    step 'true' '{"TOKEN": {"file": "none"}}'
    kiln 2 run
    assert_out "the secret \"TOKEN\": the file .*/none cannot be read \(No such file or directory\)"
    step 'true' '{"TOKEN": {"command": "echo half-a-secret; exit 3"}}'
    kiln 2 run
    assert_out "the secret \"TOKEN\": its command failed with exit code 3; run it by hand to see why"
    step 'true' '{"TOKEN": {"command": ["no-such-program"]}}'
    kiln 2 run
    assert_out "its command failed with exit code 12[67]"
    step 'true' '{"TOKEN": {"command": "kill -KILL $$"}}'
    kiln 2 run
    assert_out "its command was ended by signal 9"
    step 'true' '{"TOKEN": {"command": "printf a\\\\0bcd"}}'
    kiln 2 run
    assert_out "its value has a NUL, which no variable can hold"
    step 'true' '{"TOKEN": {"command": "head -c 70000 /dev/zero"}}'
    kiln 2 run
    assert_out "its command prints more than 64 KiB"
    kiln 2 plan
    hidden half-a-secret
}

# Whatever a step does with it: split over writes, encoded, in a failing command's output.
test_output_is_masked() {
    local value='s3cr=t/v"l e'
    step 'printf "%s\n" "$S"; printf %s "$S" | head -c 5; sleep 0.2; printf %s "$S" | tail -c +6; echo
          printf "%s" "x$S" | base64; printf "%s" "$S" | base64 >&2; printf "%s" "$S" | jq -Rr @uri
          printf "%s" "$S" | jq -Rs .; (set -x; : "$S"); exit 1' '{"S": {"env": "GIVEN"}}'
    GIVEN=$value kiln 1 run
    hidden "$value" 's3cr=t' 'v"l e' 's3cr%3Dt' 'v\\"l e' "$(printf %s "$value" | base64)"
    assert_out '\*\*\*'
    GIVEN=$value kiln 1 run --json
    hidden "$value" 's3cr=t' 's3cr%3Dt' 'v\\"l e'
    local begin
    begin=$(printf x | base64 | head -c 1)
    assert_eq "$(jq -rj 'select(.type == "step.log" and .stream == "stdout").data' "$T/out" | head -n 3)" \
        "***"$'\n'"***"$'\n'"$begin$(printf 'x%s' "$value" | base64 | cut -c 2)***"
}

test_lines_are_masked() {
    step 'echo "$S" | sed -n 2p; echo "$S"' '{"S": {"file": "key"}}'
    printf '%s\n' "-----BEGIN KEY-----" "abcdefgh12345678" "ijkl" "-----END KEY-----" > key
    kiln 0 run
    assert_eq "$(log a)" "***"$'\n'"***"
    hidden abcdefgh12345678 BEGIN
}

# An output with a secret is kept as it is, and told.
test_an_output_with_a_secret_is_told() {
    step 'mkdir -p out/a/b; echo fine > out/x; echo "$S" | base64 > out/a/b/y; echo fine > z' '{"S": {"env": "GIVEN"}}' \
        '{"outputs": ["out", "z"]}'
    GIVEN=told-of-this kiln 0 run
    assert_out "warning: step a wrote one of its secrets to its output out/a/b/y, which is kept as it is"
    step 'echo fine > z' '{"S": {"env": "GIVEN"}}' '{"outputs": ["z"]}'
    GIVEN=told-of-this kiln 0 run
    assert_no_out "secrets to its output"
}

# What is only nearly a secret comes out at the end.
test_what_is_held_back_comes() {
    step 'printf almost-a-secr' '{"S": {"env": "GIVEN"}}'
    GIVEN=almost-a-secret kiln 0 run
    assert_eq "$(log a)" "almost-a-secr"
}

test_a_command_runs_once() {
    project '{"version": 1, "steps": {
        "a": {"run": "test \"$A\" = value1", "inputs": [], "secrets": {"A": {"command": "echo x >> count; echo value1"}}},
        "b": {"run": "test \"$B\" = value1", "inputs": [], "secrets": {"B": {"command": "echo x >> count; echo value1"}}},
        "c": {"run": "test \"$C\" = value2", "inputs": [], "secrets": {"C": {"command": "echo value2"}}}}}'
    kiln 0 run
    assert_file count x
    kiln 0 run -j1 --force
    assert_file count "x"$'\n'"x"
}

# Retried, it is masked as before, and has the value that its key is of.
test_a_retry_is_masked() {
    step 'printf "$S$S" | cut -c 1-12; test -e done || { touch done; exit 1; }' '{"S": {"env": "GIVEN"}}' '{"retries": 1}'
    GIVEN=retry-me kiln 0 run
    assert_eq "$(log a)" "***retr"$'\n'"***retr"
    hidden retry-me
}

test_a_hanging_command_ends_with_kiln() {
    step 'true' '{"S": {"command": "echo $$ > pid; exec sleep 1000"}}'
    "$KILN" run > "$T/out" 2> "$T/err" &
    local kiln=$!
    wait_for test -s pid
    kill -INT $kiln
    local rc=0
    wait $kiln || rc=$?
    assert_eq "$rc" 130
    wait_for sh -c '! kill -0 $(cat pid) 2> /dev/null'
}

# kiln has copies of them here and there while it hands them on; steps' cores are their own.
test_no_core() {
    [ "$(ulimit -H -c)" = unlimited ] || return 0
    step 'ulimit -c > limit; touch "$P/began"; until [ -e "$P/go" ]; do sleep 0.05; done' '{"S": {"env": "GIVEN"}}' \
        "{\"outputs\": [\"limit\"], \"env\": {\"P\": \"$T\"}}"
    (ulimit -S -c unlimited; GIVEN=some-value exec "$KILN" run > "$T/out" 2> "$T/err") &
    local kiln=$!
    wait_for test -e "$T/began"
    assert_eq "$(sed -n 's/^Max core file size *//p' /proc/$kiln/limits | cut -d ' ' -f 1)" 1
    touch "$T/go"
    wait $kiln
    [ "$(cat limit)" != 1 ] || fail "the step has kiln's limit"
}

# A pipe is waited for, and not longer than anybody wants.
test_a_pipe() {
    step 'test "$S" = from-a-pipe' '{"S": {"file": "pipe"}}'
    mkfifo pipe
    echo from-a-pipe > pipe &
    kiln 0 run
    : > "$T/out"
    "$KILN" run --json > "$T/out" 2> "$T/err" &
    local kiln=$! rc=0
    wait_for grep -q run.started "$T/out"
    kill -INT $kiln
    wait $kiln || rc=$?
    assert_eq "$rc" 130
}

# Watching, a step that runs again has what there is then.
test_watching() {
    step 'echo "$(cat in): $S" > out; echo "$S"' '{"S": {"file": "key"}}' '{"inputs": ["in"], "outputs": ["out"]}'
    echo key1234 > key
    echo 1 > in
    watch_start
    assert_file out "1: key1234"
    put key key5678
    put in 2
    watch_idle
    assert_file out "2: key5678"
    watch_stop
    cp "$T/watch.out" "$T/out"
    hidden key1234 key5678
}

run_tests "$@"
