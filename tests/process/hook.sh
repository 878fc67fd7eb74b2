# hook.sh - a project with a hook, for process tests: to be read after lib.sh.

PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "steps": {
    "build": {"run": "mkdir -p made; find src -type f | sort | xargs cat > made/all; pwd > made/where", "inputs": ["src"], "outputs": ["made"]},
    "test": {"run": "! grep -n BAD made/all", "needs": ["build"], "inputs": []},
    "lint": {"run": "! grep -rn UGLY src *.txt", "inputs": ["src", "*.txt"]}}}'

a_project() {
    git config --global user.name a
    git config --global user.email a
    git config --global init.defaultBranch main
    project "${1-$PIPELINE}"
    git init -q .
    mkdir -p src/deep
    echo one >src/a
    echo two >src/deep/b
    echo text >t.txt
    printf 'made\nsrc/ignored\n' >.gitignore
    echo tracked >src/ignored
    git add .
    git add -f src/ignored
    mkdir -p .git/hooks
}

# What nobody but git may change; the index by its bytes.
files() {
    find "${1-.}" -path '*/.git' -prune -o -path '*/made' -prune -o -printf '%p %y %m %s %T@ %i %l\n' | sort
}

state() {
    files
    sha256sum .git/index
    git --no-optional-locks status --porcelain
    git --no-optional-locks diff | sha256sum
}

# hook EXIT: kiln hook run, which touches nothing.
hook() {
    state >"$T/before"
    kiln "$1" hook run
    state >"$T/after"
    cmp "$T/before" "$T/after" || fail "the hook touched something"
}

# commit EXIT ARGUMENT...: git's words are in $T/out. When it is stopped, nothing at all has changed.
commit() {
    local want=$1 rc=0
    shift
    state >"$T/before"
    files >"$T/files"
    timeout -k 5 "$DEADLINE" git commit -q -m message "$@" >"$T/out" 2>&1 </dev/null || rc=$?
    if grep -q "ERROR: AddressSanitizer\|runtime error:\|LeakSanitizer" "$T/out"; then fail "a sanitizer spoke"; fi
    [ "$rc" = "$want" ] || fail "git commit $*: exit $rc, not $want"
    files | cmp - "$T/files" || fail "git commit $*: the working tree is another"
    if [ "$rc" != 0 ]; then
        state >"$T/after"
        cmp "$T/before" "$T/after" || fail "git commit $*: stopped, and something is touched"
    fi
    assert_no_file .git/index.lock
}
