# Nothing to do: 1,000 steps over 100,000 files
# shellcheck shell=bash

row_1() {
    local spec=() slow=() tool turbo
    big_tree
    case_name="nothing to do, $big_name"
    for tool in ninja git tup turbo; do
        ready "$tool" "$big" || continue
        case $tool in
        ninja) spec+=(-- 'ninja -j2' ninja -j2) ;;
        git) spec+=(-- 'git status' git status) ;;
        tup) spec+=(-- tup tup upd) ;;
        turbo)
            turbo=$(peer turbo)
            spec+=(-- 'turbo run' "$turbo" run step --output-logs=none)
            ;;
        esac
    done
    # Those that take seconds are asked less often; moon asks git once a task.
    for tool in make nx moon mise; do
        ready "$tool" "$big" || continue
        case $tool in
        make) slow+=(-- 'make -j2' -n 3 make -j2) ;;
        nx) slow+=(-- 'nx run-many' -n 3 "$(peer nx)" run-many -t step) ;;
        moon) slow+=(-- 'moon run' -n 1 "$(peer moon)" run :step) ;;
        mise) slow+=(-- 'mise run' -n 3 "$(peer mise)" run --quiet all) ;;
        esac
    done
    settle
    (cd "$big" && "$kiln" run --plain >/dev/null && git status >/dev/null)
    expect_hits "$big" "$big_steps"
    cd "$big"
    measure "$case_name" "$runs" 'kiln run' "$kiln" run --plain "${spec[@]}" \
        -- 'floor: readdir + statx, 2 threads' "$work/bin/walk" "${slow[@]}"
    cd "$work"
    bound_ratio "$case_name" 'kiln run' 0.5 'ninja -j2'
    bound_ratio "$case_name" 'kiln run' 0.7 'git status'
    bound_ratio "$case_name" 'kiln run' 0.06 'turbo run'
}
