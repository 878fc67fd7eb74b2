# Save to start: from saving a file until the step's process runs
# shellcheck shell=bash

row_3() {
    local small=$work/small
    big_tree
    make_tree "$small" 10 1 "$(pick 10 100)"
    tree_node "$small"
    commit_tree "$small"
    (cd "$small" && "$kiln" run --plain >/dev/null)
    settle
    row_3_at "$small" "watching $(thousands $((10 * tree_files))) files"
    row_3_at "$big" "watching $big_name"
    rm -rf "$small"
}

row_3_at() { # DIRECTORY CASE
    local few quick_ones
    few=$(pick 2 10) quick_ones=$(pick 3 30)
    watch "$1"
    saves "$2" 'kiln watch' "$1" "$(pick 5 100)" 150
    stop "$watcher"
    bound "kiln watch, $2, p50" "$(value "$2" 'kiln watch')" '<=' 5 ms
    bound "kiln watch, $2, p99" "$(value "$2" 'kiln watch' 10)" '<=' 20 ms

    if have entr; then
        row_3_peer "$2" entr "$1" "$quick_ones" 150 entr_here
    fi
    if have watchexec; then
        row_3_peer "$2" watchexec "$1" "$quick_ones" 250 "$(peer watchexec)" --quiet -w . --shell=none -- "$work/bin/stamp" "$stamp"
    fi
    if have turbo; then
        row_3_peer "$2" 'turbo watch' "$1" "$few" 1000 "$(peer turbo)" watch step --output-logs=none
    fi
}

row_3_peer() { # CASE NAME DIRECTORY N PAUSE-MS COMMAND...
    local what=$1 name=$2 dir=$3 n=$4 pause=$5
    shift 5
    in_background "$dir" "$@"
    local pid=$!
    saves "$what" "$name" "$dir" "$n" "$pause"
    stop "$pid"
}
