# The first digest: 100,000 small files, and 4 GiB in big ones
# shellcheck shell=bash

row_4() {
    local case_name fresh each files
    big_tree
    case_name="first digest, $big_name"
    (cd "$big" && git ls-files -z 'd*' >"$work/list")
    # An empty cache and no records: no digest is known. kiln plan has to find all of them, and runs nothing.
    fresh="rm -rf $work/fresh"
    cd "$big"
    (
        export KILN_CACHE_DIR=$work/fresh/cache XDG_STATE_HOME=$work/fresh/state
        measure "$case_name" "$runs" 'kiln plan' -p "$fresh" "$kiln" plan \
            -- 'openssl dgst, xargs -P2' xargs -0 -P2 -a "$work/list" openssl dgst -sha256 \
            -- 'sha256sum, xargs -P2' xargs -0 -P2 -a "$work/list" sha256sum
    )
    cd "$work"
    bound_ratio "$case_name" 'kiln plan' 0.7 'openssl dgst, xargs -P2'

    files=$(pick 4 16) each=$((256 << 20))
    [[ -z $quick ]] || each=$((1 << 20))
    if ((files * each / 1024 > $(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo) * 2 / 3)); then
        note "Big files: not measured, as they would not stay in memory."
        return 0
    fi
    case_name="first digest, $((files * each >> 20)) MiB in $files files"
    say '    making big files'
    "$work/bin/tree" "$work/bigfiles" "$files" 1 1 "$each"
    tree_steps=$files tree_files=1
    tree_kiln "$work/bigfiles"
    settle
    (
        export KILN_CACHE_DIR=$work/fresh/cache XDG_STATE_HOME=$work/fresh/state
        cd "$work/bigfiles"
        measure "$case_name" "$runs" 'kiln plan' -p "$fresh" "$kiln" plan
    )
    for ((i = 0; i < $(pick 1 5); i++)); do
        openssl speed -evp sha256 -bytes 65536 -seconds "$(pick 1 2)" -multi 2 2>/dev/null | awk 'END { printf "%.0f\n", $NF / 1000 }'
    done | spread "$case_name" 'openssl speed, 2 cores' MB/s
    bound "kiln plan, $case_name, of openssl speed's throughput" "$(awk -v bytes=$((files * each)) \
        -v ms="$(value "$case_name" 'kiln plan')" -v speed="$(value "$case_name" 'openssl speed, 2 cores')" \
        'BEGIN { printf "%.3f", bytes / 1e3 / ms / speed }')" '>=' 0.9 '× openssl speed'
    rm -rf "$work/bigfiles" "$work/fresh"
}
