# shellcheck shell=bash
# What the benchmarks share: options, a project to measure on, the helpers' build. Sourced, not run.

bench_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
files=10000 steps=100
kiln=${KILN:-$bench_root/build/kiln}

bench_usage() {
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

bench_number() { # the value of option $1
    [[ ${2-} =~ ^[1-9][0-9]*$ ]] || {
        printf '%s: %s wants a number above 0\n' "$(basename "$0")" "$1" >&2
        exit 2
    }
    printf '%s' "$2"
}

bench_begin() {
    "$bench_root/scripts/deps" bench
    [[ -x $kiln ]] || "$bench_root/scripts/build-in" build -DCMAKE_BUILD_TYPE=Release -DKILN_WERROR=OFF
    work=$(mktemp -d "${TMPDIR:-/tmp}/kiln-bench.XXXXXX")
    bench_pids=()
    trap bench_end EXIT
    local helper
    for helper; do
        cc -std=c17 -D_GNU_SOURCE -O2 -o "$work/$helper" "$bench_root/bench/$helper.c"
    done
    # Nothing of the user's own: not the cache, nor the records, nor git's settings.
    export KILN_CACHE_DIR=$work/cache XDG_STATE_HOME=$work/state
    export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
    unset CI
}

bench_end() {
    local pid
    for pid in "${bench_pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}

# Makes $work/tree: a git repository with $steps directories of $files / $steps files of 2 KiB each; a
# step of kiln.json and an edge of build.ninja for each directory. $1: the first step's "run", as JSON.
bench_tree() {
    local tree=$work/tree each=$((files / steps)) step file name
    ((each > 0)) || {
        printf 'more steps than files\n' >&2
        exit 2
    }
    files=$((each * steps))
    mkdir -p "$tree/stamps"
    printf '/stamps/\n/.ninja_*\n' >"$tree/.gitignore"
    exec 3>"$tree/kiln.json" 4>"$tree/build.ninja"
    printf '{"version": 1, "name": "bench", "steps": {\n' >&3
    printf 'rule stamp\n  command = touch $out\n' >&4
    for ((step = 0; step < steps; step++)); do
        printf -v name 'd%05d' "$step"
        mkdir "$tree/$name"
        printf 'build stamps/%s: stamp |' "$name" >&4
        for ((file = 0; file < each; file++)); do
            printf '%-2047s\n' "$name, file $file" >"$tree/$name/f$file.c"
            printf ' %s/f%d.c' "$name" "$file" >&4
        done
        printf '\n' >&4
        printf '%s  "%s": {"run": %s, "inputs": ["%s"]}' \
            "$( ((step)) && printf ',\n')" "$name" "$( ((step)) && printf '["/bin/true"]' || printf '%s' "$1")" \
            "$name" >&3
    done
    printf '\n}}\n' >&3
    exec 3>&- 4>&-
    git -C "$tree" init -q
    git -C "$tree" add -A
    git -C "$tree" -c user.name=bench -c user.email=bench@localhost commit -q -m tree
    # Files as old as in real life: a stamp of this very moment would have to be distrusted.
    find "$tree" -type f -not -path '*/.git/*' -exec touch -d '1 hour ago' {} +
    git -C "$tree" status >/dev/null
}
