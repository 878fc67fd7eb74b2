#!/usr/bin/env bash
# What CIs get: the files of kiln ci init, and lines in Buildkite's groups.
. "$(dirname "$0")/lib.sh"

begin() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": ["t"]}}}'
    mkdir t
    git -C "$P" init -q
}

# lint NAME FILE: by whatever knows that form and is installed.
lint() {
    case $1 in
    github)
        if type actionlint > /dev/null 2>&1; then actionlint "$2" > "$T/lint" 2>&1 || fail "actionlint: $(cat "$T/lint")"; fi
        if type check-jsonschema > /dev/null 2>&1; then
            check-jsonschema --builtin-schema vendor.github-workflows "$2" > "$T/lint" 2>&1 || fail "$(cat "$T/lint")"
        fi
        ;;
    gitlab)
        if type check-jsonschema > /dev/null 2>&1; then
            check-jsonschema --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci "$2" > "$T/lint" 2>&1 || fail "$(cat "$T/lint")"
        fi
        ;;
    esac
    if grep -n "@C@" "$2"; then fail "a mark is left in $2"; fi
}

path_of() {
    case $1 in
    github) echo .github/workflows/kiln.yml ;;
    gitlab) echo .gitlab-ci.yml ;;
    jenkins) echo Jenkinsfile ;;
    esac
}

test_files() {
    local name file
    begin
    for name in github gitlab jenkins; do
        file=$(path_of "$name")
        kiln 0 ci init --dry-run "$name"
        assert_no_file "$file"
        cp "$T/out" "$T/dry"
        kiln 0 ci init "$name"
        assert_out "^wrote  .*/$file$"
        cmp "$file" "$T/dry"
        lint "$name" "$file"
        grep -q 'kiln run --keep-going' "$file"
        echo mine > "$file"
        kiln 2 ci init "$name"
        assert_err "is there already"
        assert_file "$file" mine
        kiln 0 ci init --overwrite "$name"
        cmp "$file" "$T/dry"
    done
    kiln 2 ci init
    kiln 2 ci init travis
    kiln 2 ci github
}

test_project_below_the_repository() {
    begin
    mkdir -p sub/deep
    git mv kiln.json sub 2> /dev/null || mv kiln.json sub
    cd sub/deep
    kiln 0 ci init github
    grep -q 'kiln -C sub run' "$P/.github/workflows/kiln.yml"
    grep -q 'kiln -C sub bundle export' "$P/.github/workflows/kiln.yml"
    assert_no_file "$P/sub/.github"
    lint github "$P/.github/workflows/kiln.yml"
    mv "$P/sub" "$P/a b"
    cd "$P/a b"
    kiln 2 ci init gitlab
    assert_err 'has a name that would have to be quoted'
    assert_no_file "$P/.gitlab-ci.yml"
}

# What the files have a shell do works, where kiln is there.
test_their_commands_run() {
    begin
    mkdir "$T/bin"
    ln -s "$KILN" "$T/bin/kiln"
    export PATH=$T/bin:$PATH
    kiln 0 ci init gitlab
    python3 - > "$T/script" << 'EOF' || return 0
try:
    import yaml
except ImportError:
    raise SystemExit(1)
job = yaml.safe_load(open(".gitlab-ci.yml"))["kiln"]
for line in job["before_script"] + job["script"]:
    print(line)
EOF
    bash -eu "$T/script"
    [ -s .kiln/junit.xml ]
    # Also what is there to be asked for.
    sed -n "s/^  #   - '\(.*\)'/\1/p" .gitlab-ci.yml > "$T/after"
    CI_JOB_STATUS=failed bash -eu "$T/after"
    tar -tf .kiln/run.bundle | grep -qx manifest.json
    jq -e .traceEvents .kiln/trace.json > /dev/null
    kiln 0 run --json
    assert_eq "$(status a)" cached
}

# Who has not said where kiln is to come from is told what to say.
test_without_a_repository_named() {
    local tool
    begin
    kiln 0 ci init gitlab
    mkdir "$T/bin"
    for tool in git mkdir; do ln -s "$(type -P "$tool")" "$T/bin"; done # there is no kiln to be found
    sed -n '/^    - mkdir/,/^  script:/ { /^  script:/d; s/^    - |$//; s/^    - //; s/^      //; p }' .gitlab-ci.yml > "$T/script"
    if KILN_REPOSITORY='' PATH=$T/bin "$BASH" -e "$T/script" > "$T/out" 2>&1; then fail "installed from nowhere"; fi
    assert_out 'KILN_REPOSITORY: where are its sources'
}

test_github_is_told_of_what_wrote_nothing() {
    begin
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "quiet": {"run": "exit 4", "inputs": []},
        "never": {"run": "true", "inputs": [], "secrets": {"S": {"env": "NOT_SET_HERE"}}}}}'
    GITHUB_ACTIONS=true kiln any run --keep-going
    assert_out '^::error title=quiet::FAILED with exit code 4'
    assert_out '^::error title=never::FAILED: .*the variable NOT_SET_HERE is not set'
    assert_eq "$(grep -c '^::error' "$T/out")" 2
}

test_buildkite() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "good": {"run": "echo fine", "inputs": ["t"]}, "bad": {"run": "echo wrong; exit 1", "inputs": ["t"]}}}'
    mkdir t
    BUILDKITE=true kiln 1 run -k
    assert_out '^--- good'
    assert_out '^\+\+\+ bad'
    assert_eq "$(grep -m 1 -A 1 '^wrong' "$T/out" | tail -n 1)" "+++ kiln"
    BUILDKITE=true kiln 1 run -k --plain
    assert_no_out '^(---|\+\+\+) (good|kiln)'
}

# agent [COMMAND]: a program as Buildkite's, which keeps what it is told in $T/told and $T/page, and then does that.
agent() {
    mkdir -p "$T/bin"
    printf '#!/bin/sh\necho "$*" > "%s/told"\ncat > "%s/page"\necho annotated\n%s\n' "$T" "$T" "${1-}" > "$T/bin/buildkite-agent"
    chmod +x "$T/bin/buildkite-agent"
    export PATH=$T/bin:$PATH BUILDKITE=true
}

test_buildkite_annotation() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"good": {"run": "echo fine", "inputs": ["t"]},
        "bad": {"run": "echo \"<$TOKEN>\"; echo wrong; exit 3", "inputs": ["t"], "secrets": {"TOKEN": {"env": "HUSH"}}}}}'
    mkdir t
    agent
    export HUSH=verysecretword
    BUILDKITE_JOB_ID=0190-a BUILDKITE_LABEL='tests *1*' kiln 1 run -k
    assert_no_out '^annotated'
    assert_file "$T/told" 'annotate --style=error --context=kiln-0190-a'
    assert_match "$(head -n 1 "$T/page")" '^## kiln: failed in .*: tests &#42;1&#42;$'
    assert_match "$(cat "$T/page")" '❌ failed'
    assert_match "$(cat "$T/page")" $'\n''<\*\*\*>'$'\n''wrong'
    assert_match "$(cat "$T/page")" 'kiln run bad'
    if grep verysecretword "$T/page" "$T/out"; then fail "the secret is out"; fi
    # Neither where all is well, nor where nothing is to be in groups.
    rm "$T/told" "$T/page"
    kiln 0 run good
    kiln 1 run --plain
    kiln 1 run --json
    assert_no_file "$T/told"
}

# Whatever becomes of it, the run is what it is.
test_buildkite_annotation_fails() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"bad": {"run": "exit 3", "inputs": []}}}'
    agent 'echo "no server" >&2; exit 9'
    kiln 1 run
    assert_err '^no server'
    assert_out '^kiln: failed: 1 failed'
    printf '#!/bin/sh\necho $$ > "%s/pid"\nexec sleep 1000\n' "$T" > "$T/bin/buildkite-agent"
    kiln 1 run
    assert_out '^kiln: buildkite-agent was not done with the annotation'
    assert_out '^kiln: failed: 1 failed'
    if kill -0 "$(cat "$T/pid")" 2> /dev/null; then fail "the program is left behind"; fi
}

run_tests
