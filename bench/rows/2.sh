# Nothing to do, while kiln watch of that tree is alive
# shellcheck shell=bash

row_2() {
    local monitor='' spec=()
    big_tree
    case_name="watched, $big_name"
    if ready ninja "$big"; then
        spec+=(-- 'ninja -j2' ninja -j2)
    fi
    if ready tup "$big"; then
        in_background "$big" tup monitor -f
        monitor=$!
        # It says nothing when it is up; once it is, this is quick.
        (cd "$big" && tup upd >/dev/null)
        spec+=(-- 'tup, tup monitor' tup upd)
    fi
    settle
    watch "$big"
    cd "$big"
    measure "$case_name" "$runs" 'kiln run' "$kiln" run --plain "${spec[@]}"
    cd "$work"
    stop "$watcher"
    [[ -z $monitor ]] || {
        (cd "$big" && tup stop >/dev/null 2>&1) || true
        stop "$monitor"
    }
    bound "kiln run, $case_name" "$(value "$case_name" 'kiln run')" '<=' 15 ms
    bound_ratio "$case_name" 'kiln run' 0.06 'ninja -j2'
}
