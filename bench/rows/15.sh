# Hooks beside one another: the same command on the same commit
# shellcheck shell=bash

# Each is told of one command, and called as its hook calls it.
row_15() {
    local dir=$work/hooks n i k change command='! grep -rq NOT-ALLOWED src' case_name
    own_cache
    n=$(pick 200 10000)
    mkdir -p "$dir/src"
    cd "$dir"
    for ((i = 0; i < n / 100; i++)); do
        mkdir "src/d$i"
        for ((k = 0; k < 100; k++)); do
            printf 'int f%d_%d;\n%2000s\n' "$i" "$k" '' >"src/d$i/f$k.c"
        done
    done
    printf '{"version": 1, "defaults": {"runner": "host"}, "steps": {"lint": {"run": "%s", "inputs": ["src"]}}}\n' "$command" >kiln.json
    printf 'no_auto_install: true\npre-commit:\n  commands:\n    lint:\n      run: "%s"\n' "$command" >lefthook.yml
    cat >.pre-commit-config.yaml <<YAML
repos:
  - repo: local
    hooks:
      - {id: lint, name: lint, entry: "sh -c '$command'", language: system, always_run: true, pass_filenames: false}
YAML
    git init -q .
    git add -A
    git -c user.name=bench -c user.email=bench commit -q -m first
    local tools=()
    ! have lefthook || tools+=(-- 'lefthook run' -p 'CHANGE' "$(peer lefthook)" run pre-commit)
    ! have pre-commit || tools+=(-- 'pre-commit run' -p 'CHANGE' "$(peer pre-commit)" run)
    # Another file is edited and staged each time, and git makes its tree as it does before it calls a hook.
    change='echo "/* $(date +%N) */" >>src/d0/f1.c; git add src/d0/f1.c; git write-tree >/dev/null'
    case_name="one file of $(thousands "$n") changed"
    measure "$case_name" "$runs" 'kiln hook run' -p "$change" "$kiln" hook run "${tools[@]/CHANGE/$change}" -- 'the command itself' -p "$change" sh -c "$command"
    case_name="$(thousands "$n") files, as at the last hook"
    measure "$case_name" "$runs" 'kiln hook run' "$kiln" hook run "${tools[@]/CHANGE/:}" -- 'the command itself' sh -c "$command"
    bound_ratio "$case_name" 'kiln hook run' 1 'lefthook run'
    bound_ratio "$case_name" 'kiln hook run' 0.2 'pre-commit run'
    cd "$work"
    rm -rf "$dir" "$work/own"
}
