# shellcheck shell=bash
# What the rows share: projects to measure on, timing, figures, bounds, the report. Sourced by bench/run.
#
# A row only measures and tells: figures, bounds and notes are lines of $work/{figures,bounds,notes},
# fields separated by tabs, the row's number first; report.awk makes Markdown of them.

say() {
    printf 'bench: %4d s: %s\n' "$SECONDS" "$*" >&2
}

die() {
    say "$*"
    exit 1
}

# pick SMALL FULL: the size for --quick, and the one of the real thing.
pick() {
    [[ -n $quick ]] && printf '%s' "$1" || printf '%s' "$2"
}

thousands() { # 100000 -> 100,000
    sed -e :a -e 's/^\([0-9]\{1,\}\)\([0-9]\{3\}\)/\1,\2/' -e ta <<<"$1"
}

# -- what was found --------------------------------------------------------------------------------

tabbed() { # FILE FIELD...
    local file=$work/$1 line
    shift
    printf -v line '%s\t' "$row" "$@"
    printf '%s\n' "${line%$'\t'}" >>"$file"
}

# figure CASE TOOL UNIT N MEDIAN MIN MAX [CPU-MS [P99]]
figure() {
    tabbed figures "$@"
    say "    $2: $5 $3 ($6 to $7, ${9:+p99 $9, }n = $4)"
}

single() { # CASE TOOL UNIT VALUE: a figure that is had once
    figure "$1" "$2" "$3" 1 "$4" "$4" "$4"
}

note() {
    tabbed notes "$*"
    say "    note: $*"
}

# absent TOOL WHY: a peer that cannot be compared with is told, not left out.
absent() {
    ! grep -qsF "$row"$'\t'"Absent: $1 (" "$work/notes" || return 0
    tabbed notes "Absent: $1 ($2)."
    say "    $1 is absent: $2"
}

# value CASE TOOL [FIELD]: the median of a figure, or its field 10, p99; nothing if there is none.
value() {
    awk -F '\t' -v row="$row" -v what="$1" -v tool="$2" -v field="${3:-6}" \
        '$1 == row && $2 == what && $3 == tool { found = $field } END { print found }' "$work/figures"
}

# bound TEXT VALUE RELATION LIMIT UNIT: RELATION is <= or >=; an empty VALUE is one that was not to be had.
bound() {
    local verdict
    verdict=$(awk -v value="$2" -v relation="$3" -v limit="$4" 'BEGIN {
        if (value == "") print "not measured"
        else print (relation == "<=" ? value <= limit : value >= limit) ? "PASS" : "MISSED" }')
    tabbed bounds "$1" "$2" "$3" "$4" "$5" "$verdict"
    say "    $verdict: $1: ${2:-?} (to be $3 $4 $5)"
}

# bound_ratio CASE TOOL LIMIT PEER [PEER-CASE]
bound_ratio() {
    local ours theirs
    ours=$(value "$1" "$2") theirs=$(value "${5-$1}" "$4")
    bound "$2, $1" "$(ratio "$ours" "$theirs")" '<=' "$3" "× $4"
}

ratio() {
    [[ -z $1 || -z $2 ]] || awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a / b }'
}

# -- measuring -------------------------------------------------------------------------------------

# measure CASE N SPEC...: bench/runs.c; a figure for each command. kiln must do what it is asked to.
measure() {
    local what=$1 n=$2 name count median min max cpu rss
    shift 2
    "$work/bin/runs" "$n" "$@" >"$work/runs.out" 2>"$work/runs.err" </dev/null || die "bench/runs.c failed: $(tail -n 3 "$work/runs.err")"
    while IFS=$'\t' read -r name count median min max cpu rss; do
        if [[ $count == failed ]]; then
            [[ $name != kiln* ]] || die "$name: $median; the last words: $(tail -n 5 "$work/runs.err")"
            absent "$name" "it failed: $median"
        else
            figure "$what" "$name" ms "$count" "$median" "$min" "$max" "$cpu"
        fi
    done <"$work/runs.out"
}

# spread CASE TOOL UNIT: a figure from the numbers on standard input, with their p99.
spread() {
    local numbers n p50 p99 min max
    numbers=$(sort -g)
    [[ -n $numbers ]] || return 1
    # The nearest rank: of 30, p99 is the longest.
    read -r n p50 p99 min max < <(awk '{ v[NR] = $1 } END {
        print NR, v[int((NR * 50 + 99) / 100)], v[int((NR * 99 + 99) / 100)], v[1], v[NR] }' <<<"$numbers")
    figure "$1" "$2" "$3" "$n" "$p50" "$min" "$max" '' "$p99"
}

# descendants PID: it and all below it.
descendants() {
    local child
    printf '%s\n' "$1"
    for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do
        descendants "$child"
    done
}

mib() {
    awk -v kib="$1" 'BEGIN { printf "%.1f", kib / 1024 }'
}

# resident PID [FIELD]: KiB; VmHWM is the most that it ever was.
resident() {
    sed -n "s/^${2:-VmRSS}:[[:space:]]*\([0-9]*\) kB/\1/p" "/proc/$1/status" 2>/dev/null || true
}

# sum_of FILE FIELD PID...: adds up that field (a number: of the one line; a name: of "name: value") over all
# threads of the processes.
sum_of() {
    local file=$1 field=$2 pid
    shift 2
    for pid; do
        cat "/proc/$pid/task/"*/"$file" 2>/dev/null || true
    done | awk -v field="$field" '
        field ~ /^[0-9]+$/ { sum += $field; next }
        $1 ~ "^(" field "):$" { sum += $2 }
        END { printf "%d\n", sum }'
}

# settle: waits until nothing that was just written has a time stamp of "now". ctime cannot be set back, and kiln, like
# git, does not trust the stamp of a file that may have been changed again within the same tick. A tree that
# somebody works on is in this state but for the files of the last second or two.
settle() {
    sync
    sleep "$(pick 2.1 3)"
}

# -- projects --------------------------------------------------------------------------------------

# A project is a directory with steps d00000 ..., each with its files. tree_* in peers.sh describe it to each tool.

# make_tree DIRECTORY STEPS FOLDERS FILES: FILES of 2 KiB in each of FOLDERS of each step; kiln.json.
make_tree() {
    local dir=$1
    tree_steps=$2 tree_folders=$3 tree_files=$4
    say "    making $(thousands $(($2 * $3 * $4))) files in $(thousands "$2") steps"
    "$work/bin/tree" "$dir" "$2" "$3" "$4" 2048
    git -C "$dir" init -q
    tree_kiln "$dir"
}

commit_tree() {
    # The objects are in no order and not compressed: nothing here reads them.
    git -C "$1" -c core.looseCompression=0 -c core.fsync=none add -A
    git -C "$1" -c user.name=bench -c user.email=bench@localhost -c gc.auto=0 commit -q -m tree
}

# big_tree: the project of rows 1 to 4 and 7, made when it is first asked for: $big. 100 files and a package.json a step.
big_tree() {
    [[ -z ${big-} ]] || return 0
    big=$work/big
    big_steps=$(pick 10 1000)
    big_files=$(pick 20 100)
    big_name="$(thousands $((big_steps * big_files))) files, $(thousands "$big_steps") steps"
    make_tree "$big" "$big_steps" 1 "$big_files"
    local tool
    for tool in ninja make tup node moon mise; do
        "tree_$tool" "$big"
    done
    say '    committing them'
    commit_tree "$big"
    (cd "$big" && "$kiln" run --plain >/dev/null && git status >/dev/null)
    settle
    (cd "$big" && "$kiln" run --plain >/dev/null)
}

# A cache and records of this row alone, gone when it ends.
own_cache() {
    export KILN_CACHE_DIR=$work/own/cache XDG_STATE_HOME=$work/own/state
}

shared_cache() {
    rm -rf "$work/own"
    export KILN_CACHE_DIR=$work/cache XDG_STATE_HOME=$work/state
}

# expect_hits DIRECTORY N: kiln is to find all of the steps done.
expect_hits() {
    local summary
    summary=$(cd "$1" && "$kiln" run --json | jq -r 'select(.type == "run.finished") | "\(.status) \(.cached)"')
    [[ $summary == "passed $2" ]] || die "kiln was expected to have nothing to do, but: $summary of $2"
}

forget_big() {
    [[ -z ${big-} ]] || {
        peers_end
        rm -rf "$big" "$KILN_CACHE_DIR" "$XDG_STATE_HOME"
        big=
    }
}

# watch DIRECTORY: "kiln watch" there; returns when it has nothing left to do. Its pid is $watcher.
watch() {
    (cd "$1" && exec "$kiln" watch --json >"$work/watch.out" 2>"$work/watch.err" </dev/null) &
    watcher=$!
    background+=("$watcher")
    until grep -q '"type":"watch.idle"' "$work/watch.out" 2>/dev/null; do
        kill -0 "$watcher" 2>/dev/null || die "kiln watch ended by itself: $(tail -n 5 "$work/watch.err")"
        sleep 0.05
    done
}

# in_background DIRECTORY COMMAND...: its pid is $!, and it is ended in any case. A function has to exec.
in_background() {
    local dir=$1
    shift
    (
        cd "$dir"
        exec >"$work/background.out" 2>&1 </dev/null
        if declare -F "$1" >/dev/null; then "$@"; else exec "$@"; fi
    ) &
    background+=($!)
}

# stop PID: asks it to end, and ends what is still there then of it and of what it started.
stop() {
    local all pid kept=() i
    mapfile -t all < <(descendants "$1")
    kill "$1" 2>/dev/null || true
    for ((i = 0; i < 100; i++)); do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.05
    done
    for pid in "${all[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
    done
    wait "$1" 2>/dev/null || true
    for pid in "${background[@]}"; do
        [[ $pid == "$1" ]] || kept+=("$pid")
    done
    background=("${kept[@]}")
}

# entr on the tree that it stands in.
entr_here() {
    find . -type f -not -path '*/.*' >"$work/list"
    exec entr -n "$work/bin/stamp" "$stamp" <"$work/list"
}

# saves CASE TOOL DIRECTORY N PAUSE-MS: bench/saves.c on the first file of the first step, whose command is the stamp.
saves() {
    local file=$3/d00000/f0.c
    [[ -e $file ]] || file=$3/d00000/s00/f0.c
    if "$work/bin/saves" "$4" "$5" "$file" "$stamp" >"$work/saves.out" 2>"$work/saves.err"; then
        spread "$1" "$2" ms <"$work/saves.out"
    else
        [[ $2 != kiln* ]] || die "$2: $(cat "$work/saves.err")"
        absent "$2" "$(tail -n 1 "$work/saves.err")"
    fi
}

# -- the page --------------------------------------------------------------------------------------

page=$root/docs/benchmarks.md

# put_block NAME FILE: between the lines "<!-- bench: NAME -->" and "<!-- bench: end -->" of the page.
put_block() {
    grep -qxF "<!-- bench: $1 -->" "$page" || die "$page has no place for $1"
    awk -v begin="<!-- bench: $1 -->" -v file="$2" '
        !inside { print }
        $0 == begin {
            inside = 1
            print ""
            while ((getline line < file) > 0)
                print line
            print ""
        }
        inside && $0 == "<!-- bench: end -->" {
            inside = 0
            print
        }' "$page" >"$work/page"
    cat "$work/page" >"$page"
}
