# Restoring outputs: 1 GiB in 10,000 files, and in big ones
# shellcheck shell=bash

row_6() {
    own_cache
    row_6_with $(pick '2 5 200000' '100 100 107374')
    row_6_with $(pick '2 1 500000' '8 1 134217728')
}

row_6_with() { # DIRECTORIES FILES BYTES
    local dir=$work/restore case_name
    case_name="restoring $(thousands $(($1 * $2))) files of $(thousands $((($3 + 512) / 1024))) KiB"
    mkdir -p "$dir"
    git -C "$dir" init -q
    printf '{"version": 1, "defaults": {"runner": "host"}, "name": "bench", "steps": {"make": {"run": "%s/bin/tree out %d 1 %d %d", "inputs": [], "outputs": ["out"]}}}\n' \
        "$work" "$1" "$2" "$3" >"$dir/kiln.json"
    cd "$dir"
    say '    making the outputs'
    "$kiln" run --plain >/dev/null
    cp -r out original
    # What was removed and written by the one before is on the disk before the next begins.
    measure "$case_name" "$runs" 'kiln run' -p 'rm -rf out; sync' "$kiln" run --plain \
        -- 'cp -r' -p 'rm -rf copy; sync' cp -r original copy
    diff -r original out >/dev/null || die 'kiln restored something else'
    cd "$work"
    bound_ratio "$case_name" 'kiln run' 1.5 'cp -r'
    rm -rf "$dir" "$work/own"
}
