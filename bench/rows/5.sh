# 10,000 steps of /bin/true, then again with all results there
# shellcheck shell=bash

row_5() {
    local dir=$work/steps steps i case_name hits fresh spec=()
    steps=$(pick 50 10000)
    case_name="$(thousands "$steps") × /bin/true"
    hits="$case_name, again"
    own_cache
    mkdir -p "$dir"
    git -C "$dir" init -q
    # Each has an argument of its own: equal steps would be one.
    {
        printf '{"version": 1, "defaults": {"runner": "host"}, "name": "bench", "steps": {\n'
        for ((i = 0; i < steps; i++)); do
            printf '  "s%05d": {"run": ["/bin/true", "%d"], "inputs": []}%s\n' "$i" "$i" "$( ((i == steps - 1)) || printf ,)"
        done
        printf '}}\n'
    } >"$dir/kiln.json"
    {
        printf 'MAKEFLAGS += --no-builtin-rules\n.SUFFIXES:\nall:'
        printf ' s%05d' $(seq 0 $((steps - 1)))
        printf '\n.PHONY: all'
        printf ' s%05d' $(seq 0 $((steps - 1)))
        printf '\n'
        printf 's%05d:\n\t@/bin/true %d\n' $(for ((i = 0; i < steps; i++)); do printf '%d %d ' "$i" "$i"; done)
    } >"$dir/Makefile"
    {
        printf 'rule true\n  command = /bin/true $n\n'
        printf 'build s%05d: true\n  n = %d\n' $(for ((i = 0; i < steps; i++)); do printf '%d %d ' "$i" "$i"; done)
    } >"$dir/build.ninja"
    cd "$dir"
    # Moved away and not removed: for minutes ext4 does not take the inodes of removed files again, and looks at each of them whenever
    # a file is made beside. A first run on a machine where nobody just removed thousands of files has nothing of that.
    fresh="[ ! -e '$work/own' ] || mv '$work/own' \"\$(mktemp -d '$work/before.XXXXXX')\""
    ! have make || spec+=(-- 'make -j2' make -j2)
    ! have ninja || spec+=(-- 'ninja -j2' -n 3 ninja -j2)
    measure "$case_name" "$runs" 'kiln run -j 2' -p "$fresh" "$kiln" run -j 2 --plain \
        "${spec[@]}" -- 'floor: posix_spawn, 2 at a time' "$work/bin/spawn" "$steps" 2 /bin/true
    expect_hits "$dir" "$steps"
    measure "$hits" "$runs" 'kiln run -j 2' "$kiln" run -j 2 --plain
    cd "$work"
    bound_ratio "$case_name" 'kiln run -j 2' 1.0 'make -j2'
    bound "kiln run -j 2, $hits" "$(ratio "$(value "$hits" 'kiln run -j 2')" "$(value "$case_name" 'kiln run -j 2')")" '<=' 0.1 '× the first time'
    rm -rf "$dir"
}
