# Growth: 1,000 to 1,000,000 files, 10 to 10,000 steps, one edit
# shellcheck shell=bash

row_8() {
    local files steps base last large few=$(pick '100 files, 10 steps' '1,000 files, 10 steps') many=$(pick '200 files, 20 steps' '1,000,000 files, 10,000 steps')
    forget_big
    own_cache
    # Each step has as many files, in a directory of its own: when a step ends its inputs are compared, so an edit costs
    # a look at those of the step, however many others there are.
    for files in $(pick '100 200' '1000 10000 100000 1000000'); do
        steps=$((files / $(pick 10 100)))
        row_8_at "$(thousands "$files") files, $(thousands "$steps") steps" "$steps" "$files"
    done
    # As many in steps a hundred times as large, so that what an edit of those costs is seen too.
    large="$(pick '200 files, 2 steps' '1,000,000 files, 100 steps')"
    row_8_at "$large" "$(pick 2 100)" "$(pick 200 1000000)"
    # 10,000 files.
    for steps in $(pick '5 20' '10 100 1000 10000'); do
        row_8_at "$(thousands "$steps") steps, $(pick 200 10,000) files" "$steps" "$(pick 200 10000)"
    done

    base=$(pick "$few" '100,000 files, 1,000 steps') last=$many
    bound "kiln run, time a file, $last" "$(row_8_growth "$last" "$base" 'kiln run' "$(pick 2 10)")" '<=' 1.5 "× that of $base"
    base="$(pick '5 steps, 200 files' '1,000 steps, 10,000 files')" last="$(pick '20 steps, 200 files' '10,000 steps, 10,000 files')"
    bound "kiln run, time a step, $last" "$(row_8_growth "$last" "$base" 'kiln run' "$(pick 4 10)")" '<=' 1.5 "× that of $base"
    base=$few last=$many
    bound "save to start, $last" "$(row_8_growth "$last" "$base" 'save to start' 1)" '<=' 1.5 "× that of $base"
    bound "CPU an edit, $last" "$(row_8_growth "$last" "$base" 'CPU an edit' 1)" '<=' 1.5 "× that of $base"
    bound "CPU an edit, $large" "$(row_8_growth "$large" "$base" 'CPU an edit' 1)" '<=' 1.5 "× that of $base"
    base="$(pick '5 steps, 200 files' '10 steps, 10,000 files')" last="$(pick '20 steps, 200 files' '10,000 steps, 10,000 files')"
    bound "save to start, $last" "$(row_8_growth "$last" "$base" 'save to start' 1)" '<=' 1.5 "× that of $base"
    bound "CPU an edit, $last" "$(row_8_growth "$last" "$base" 'CPU an edit' 1)" '<=' 1.5 "× that of $base"
}

row_8_growth() { # CASE BASE-CASE TOOL TIMES-AS-MUCH
    ratio "$(ratio "$(value "$1" "$3")" "$4")" "$(value "$2" "$3")"
}

row_8_at() { # CASE STEPS FILES
    local dir=$work/growth each=$(($3 / $2)) folders=1 n all kib
    if ((each > 100)); then
        folders=$((each / 100)) each=100
    fi
    make_tree "$dir" "$2" "$folders" "$each"
    cd "$dir"
    "$kiln" run --plain >/dev/null
    settle
    "$kiln" run --plain >/dev/null
    expect_hits "$dir" "$2"
    measure "$1" "$runs" 'kiln run' "$kiln" run --plain
    watch "$dir"
    n=$(pick 3 50)
    # The CPU of the watcher and all that it starts, but for the steps' own commands, which end.
    mapfile -t all < <(descendants "$watcher")
    local before after
    before=$(sum_of schedstat 1 "${all[@]}")
    saves "$1" 'save to start' "$dir" "$n" 60
    after=$(sum_of schedstat 1 "${all[@]}")
    # One more: the save that told that it was up.
    after=$(awk -v a="$before" -v b="$after" -v n=$((n + 1)) 'BEGIN { printf "%.3f", (b - a) / n / 1e6 }')
    single "$1" 'CPU an edit' ms "$after"
    kib=$(resident "$watcher")
    single "$1" 'kiln watch, resident' MiB "$(mib "$kib")"
    stop "$watcher"
    cd "$work"
    rm -rf "$dir" "$work/own"
}
