# shellcheck shell=bash
# The tools that kiln is compared with: where they come from, how each is told of a tree, and how it is brought to
# the state of having nothing to do. Sourced by bench/run.
#
# Each gets what its manual recommends: an edge, rule, package or task a step, with exactly the step's files as its input.

peers_dir=${XDG_CACHE_HOME:-$HOME/.cache}/kiln-bench/peers

# Fixed, so that a table can be made again. Those of mise and lefthook for a platform are the program itself.
npm_peers=(turbo@2.11.11 nx@24.0.6 @moonrepo/cli@2.5.5 "@jdxcode/mise-linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')@2026.9.15"
    "lefthook-linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')@2.2.2")
watchexec_version=2.8.0
pre_commit_version=4.7.0

peers_install() {
    "$root/scripts/deps" bench
    mkdir -p "$peers_dir"
    local missing=() package
    if command -v npm >/dev/null; then
        for package in "${npm_peers[@]}"; do
            grep -qsF "\"version\": \"${package##*@}\"" "$peers_dir/node_modules/${package%@*}/package.json" || missing+=("$package")
        done
        if ((${#missing[@]})); then
            say "installing into $peers_dir with npm: ${missing[*]}"
            # All of them: npm removes what it was not told of. No scripts: these would download, and nothing here needs them.
            npm install --prefix "$peers_dir" --ignore-scripts --no-audit --no-fund --no-save "${npm_peers[@]}" >"$work/npm.log" 2>&1 ||
                say "npm could not: $(tail -n 3 "$work/npm.log")"
        fi
    fi
    if ! peer watchexec >/dev/null && command -v cargo >/dev/null; then
        say "installing into $peers_dir with cargo, which takes minutes: watchexec-cli $watchexec_version"
        # Link-time optimisation would take several times as long, for a program that mostly waits.
        CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_TARGET_DIR=$work/cargo \
            cargo install --locked --root "$peers_dir/cargo" "watchexec-cli@$watchexec_version" >"$work/cargo.log" 2>&1 ||
            say "cargo could not: $(tail -n 3 "$work/cargo.log")"
        rm -rf "$work/cargo"
    fi
    if ! peer pre-commit >/dev/null && python3 -m venv "$peers_dir/python" >"$work/pip.log" 2>&1; then
        say "installing into $peers_dir with pip: pre-commit $pre_commit_version"
        "$peers_dir/python/bin/pip" install -q "pre-commit==$pre_commit_version" >"$work/pip.log" 2>&1 || say "pip could not: $(tail -n 3 "$work/pip.log")"
    fi
}

# peer NAME: its program's path; false when it is not here.
peer() {
    local path
    for path in "$peers_dir/node_modules/.bin/$1" "$peers_dir/node_modules/@jdxcode/"*"/bin/$1" "$peers_dir/node_modules/lefthook-"*"/bin/$1" "$peers_dir/cargo/bin/$1" "$peers_dir/python/bin/$1"; do
        if [[ -x $path ]]; then
            printf '%s' "$path"
            return 0
        fi
    done
    command -v "$1"
}

# have NAME: is it to be compared with? If not, that is told.
have() {
    if [[ -n ${only_peers-} && ",$only_peers," != *",$1,"* ]]; then
        absent "$1" 'left out by --peers'
        return 1
    fi
    peer "$1" >/dev/null || {
        absent "$1" 'not installed'
        return 1
    }
}

peer_version() {
    local path
    path=$(peer "$1") || {
        printf 'not here'
        return 0
    }
    case $1 in
    entr) { timeout 20 "$path" 2>&1 || true; } | sed -n 's/^release: //p' ;;
    lefthook) "$path" version ;;
    openssl) "$path" version | cut -d ' ' -f 2 ;;
    nx) sed -n 's/^ *"version": "\(.*\)".*/\1/p' "$peers_dir/node_modules/nx/package.json" 2>/dev/null | head -n 1 ;;
    *) { timeout 20 "$path" --version 2>/dev/null || true; } | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1 ;;
    esac
}

# Nothing is reported anywhere, nothing asked of anybody, nothing of the user's own read or written.
peers_environment() {
    export TURBO_TELEMETRY_DISABLED=1 TURBO_NO_UPDATE_NOTIFIER=1 DO_NOT_TRACK=1 NX_NO_CLOUD=true
    export MISE_DATA_DIR=$work/mise MISE_CACHE_DIR=$work/mise MISE_STATE_DIR=$work/mise MISE_CONFIG_DIR=$work/mise
    export PRE_COMMIT_HOME=$work/pre-commit
    export MISE_OFFLINE=1 MISE_TRUSTED_CONFIG_PATHS=$work
    export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
}

# -- a tree, told to each --------------------------------------------------------------------------

# The files of step $1, each after a space.
tree_inputs() {
    local i
    for ((i = 0; i < tree_files; i++)); do
        printf ' %s/f%d.c' "$1" "$i"
    done
}

# The first step's command tells when it was started (bench/stamp.c), for row 3; all others are /bin/true.
tree_kiln() {
    local step name comma=''
    {
        printf '{"version": 1, "defaults": {"runner": "host"}, "name": "bench", "steps": {'
        for ((step = 0; step < tree_steps; step++)); do
            printf -v name 'd%05d' "$step"
            printf '%s\n  "%s": {"run": ' "$comma" "$name"
            ((step)) && printf '["/bin/true"]' || printf '["%s/bin/stamp", "%s"]' "$work" "$stamp"
            printf ', "inputs": ["%s"]}' "$name"
            comma=,
        done
        printf '\n}}\n'
    } >"$1/kiln.json"
    printf '%s\n' '/*stamps/' '/.ninja_*' /.tup/ .turbo/ /.nx/ /node_modules /.moon/cache/ >"$1/.gitignore"
}

tree_ninja() { # an edge a step, its files as implicit inputs
    local step name
    mkdir -p "$1/stamps"
    {
        printf 'rule stamp\n  command = touch $out\n'
        for ((step = 0; step < tree_steps; step++)); do
            printf -v name 'd%05d' "$step"
            printf 'build stamps/%s: stamp |' "$name"
            tree_inputs "$name"
            printf '\n'
        done
    } >"$1/build.ninja"
}

tree_make() { # the built-in rules off, as makefiles of that size have them: with them it looks for dozens of names a file
    local step name
    {
        printf 'MAKEFLAGS += --no-builtin-rules\n.SUFFIXES:\nall:\n.PHONY: all\n'
        for ((step = 0; step < tree_steps; step++)); do
            printf -v name 'd%05d' "$step"
            printf 'all: stamps/%s\nstamps/%s:' "$name" "$name"
            tree_inputs "$name"
            printf '\n\t@touch $@\n'
        done
    } >"$1/Makefile"
}

tree_tup() {
    local step
    for ((step = 0; step < tree_steps; step++)); do
        printf ': d%05d/*.c |> touch %%o |> tup-stamps/d%05d\n' "$step" "$step"
    done >"$1/Tupfile"
}

tree_node() { # npm workspaces, a package a step: for turbo and nx
    local step name command
    ln -sfn "$peers_dir/node_modules" "$1/node_modules"
    printf '{"name": "bench", "private": true, "packageManager": "npm@10.0.0", "workspaces": ["d*"]}\n' >"$1/package.json"
    printf '{"name": "bench", "lockfileVersion": 3, "requires": true, "packages": {}}\n' >"$1/package-lock.json"
    for ((step = 0; step < tree_steps; step++)); do
        printf -v name 'd%05d' "$step"
        # nx has this script run by npm in a process of its own, or, as here, the command without any of it.
        ((step)) && command=/bin/true || command="$work/bin/stamp $stamp"
        printf '{"name": "%s", "version": "1.0.0", "scripts": {"step": "%s"}, "nx": {"targets": {"step": %s}}}\n' "$name" "$command" \
            "{\"executor\": \"nx:run-commands\", \"options\": {\"command\": \"$command\"}}" >"$1/$name/package.json"
    done
    find "$1" -maxdepth 2 -name 'package*.json' -exec touch -d '1 hour ago' {} +
    printf '{"tasks": {"step": {"inputs": ["**"], "outputs": []}}}\n' >"$1/turbo.json"
    printf '{"targetDefaults": {"step": {"cache": true, "inputs": ["{projectRoot}/**/*"], "outputs": []}}, "analytics": false}\n' >"$1/nx.json"
}

tree_moon() {
    mkdir -p "$1/.moon/tasks"
    printf 'projects: ["d*"]\nvcs: {client: "git", defaultBranch: "master"}\ntelemetry: false\n' >"$1/.moon/workspace.yml"
    printf 'tasks:\n  step:\n    command: "/bin/true"\n    inputs: ["**/*"]\n' >"$1/.moon/tasks/all.yml"
}

tree_mise() {
    local step name
    {
        for ((step = 0; step < tree_steps; step++)); do
            printf -v name 'd%05d' "$step"
            printf '[tasks.%s]\nrun = "touch mise-stamps/%s"\nsources = ["%s/*.c"]\noutputs = ["mise-stamps/%s"]\n' "$name" "$name" "$name" "$name"
        done
        printf '[tasks.all]\ndepends = ["d*"]\n'
    } >"$1/mise.toml"
    mkdir -p "$1/mise-stamps"
}

# -- nothing left to do ----------------------------------------------------------------------------

# No "grep -q" behind a pipe: it would be gone before the tool has said all, and the tool fail by that.

# ready NAME DIRECTORY: lets it do all that there is, and makes sure that it then finds nothing. False, and told, if not.
ready() {
    local name=$1
    have "$name" || return 1
    say "    $name does all once"
    if ! (cd "$2" && "ready_$name") >"$work/ready.out" 2>&1 </dev/null; then
        absent "$name" "it does not come to having nothing to do here: $(tail -n 1 "$work/ready.out" | cut -c 1-120)"
        return 1
    fi
}

ready_ninja() {
    timeout 300 ninja -j2 && ninja -j2 && ninja -n | grep 'no work to do' >/dev/null
}

ready_make() {
    timeout 600 make -j2 && timeout 600 make -q
}

# Its file system stays mounted when it cannot unmount it.
ready_tup() {
    { [[ -d .tup ]] || tup init --force; } && timeout 300 tup upd -j2
    ! mountpoint -q .tup/mnt || umount .tup/mnt
    tup upd -j2 | grep 'No commands to execute' >/dev/null
}

# The run that fills its cache is not measured: npm, which takes a quarter of a second to start a script, has a stand-in for it.
without_npm() {
    mkdir -p "$work/stand-in"
    printf '#!/bin/sh\nexit 0\n' >"$work/stand-in/npm"
    chmod +x "$work/stand-in/npm"
    PATH=$work/stand-in:$PATH timeout 300 "$@"
}

ready_turbo() { # it keeps no results of files that are only seconds old
    local turbo try
    turbo=$(peer turbo)
    for try in 1 2 3 4; do
        without_npm "$turbo" run step --output-logs=none | grep 'FULL TURBO' >/dev/null && return 0
        settle
    done
    printf 'after %d runs it still runs steps\n' "$try"
    return 1
}

ready_nx() { # its daemon stays, as it does by default
    local nx
    nx=$(peer nx)
    timeout 300 "$nx" run-many -t step && "$nx" run-many -t step | grep "for $big_steps out of $big_steps" >/dev/null
}

ready_moon() {
    local moon
    moon=$(peer moon)
    timeout 300 "$moon" run :step && "$moon" run :step | grep "($big_steps cached)" >/dev/null
}

ready_mise() {
    local mise
    mise=$(peer mise)
    timeout 300 "$mise" run --quiet all && "$mise" run all 2>&1 | grep 'up-to-date' >/dev/null
}

ready_git() {
    git status --porcelain && git status --porcelain
}

# What is left running or mounted by them.
peers_end() {
    local nx
    if [[ -d ${big-}/.nx ]] && nx=$(peer nx); then
        (cd "$big" && timeout 20 "$nx" daemon --stop >/dev/null 2>&1) || true
    fi
    ! mountpoint -q "${big-}/.tup/mnt" 2>/dev/null || umount "$big/.tup/mnt" || true
}
