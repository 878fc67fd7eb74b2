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
    jq -e .traceEvents .kiln/trace.json > /dev/null
    kiln 0 run --json
    assert_eq "$(status a)" cached
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

run_tests
