# The hook: 1,000 steps over 100,000 files, all of them passed
# shellcheck shell=bash

row_14() {
    local case_name
    big_tree
    case_name="what is committed has passed, $big_name"
    cd "$big"
    # As git commit prepares the index.
    git add -A
    git write-tree >/dev/null
    expect_hits "$big" "$big_steps"
    "$kiln" hook run >"$work/hook" || die "kiln hook run: $(cat "$work/hook")"
    measure "$case_name" "$runs" 'kiln hook run' "$kiln" hook run -- 'git status' git status -- 'git write-tree' git write-tree
    bound "kiln hook run, $case_name" "$(value "$case_name" 'kiln hook run')" '<=' "$(pick 1000 60)" ms
    watch "$big"
    case_name="what is committed has passed, watched, $big_name"
    measure "$case_name" "$runs" 'kiln hook run' "$kiln" hook run
    bound "kiln hook run, $case_name" "$(value "$case_name" 'kiln hook run')" '<=' "$(pick 1000 20)" ms
    stop "$watcher"
    cd "$work"
}
