#!/usr/bin/env bash
# Which folder may include what: reads every #include of the sources and fails on an arrow that the table
# below (the one in CONTRIBUTING.md) does not have. Then compiles each header alone.
set -euo pipefail
cd "${SOURCE_DIR:-$(dirname "${BASH_SOURCE[0]}")/../..}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

folders=(base config cache watch runners engine tui cli)

# What a folder may include of others': shell patterns over "folder/header.h". Its own it may always.
declare -A may=(
    [base]=''
    [config]='base/*'
    [cache]='base/* reapi.pb-c.h'
    [watch]='base/*'
    [runners]='base/*'
    [engine]='base/* config/config.h config/lock.h
        cache/cache.h cache/tree.h cache/action.h cache/outputs.h cache/worktree.h cache/snapshot.h cache/box_dir.h cache/mounts.h cache/cache_gc.h cache/changes.h cache/take.h cache/box_changes.h cache/kept_inputs.h
        watch/watch.h runners/runner.h runners/usage.h runners/box.h runners/image.h runners/tar.h'
    [tui]='base/* engine/event.h engine/command.h'
    [cli]='base/* config/config.h config/settings.h cache/cache.h cache/box_dir.h cache/kept_inputs.h cache/cache_gc.h cache/cache_verify.h cache/git_state.h cache/git_source.h cache/git_tree.h cache/git_checkout.h cache/git_fixes.h cache/git_hooks.h cache/mirror.h cache/tree.h cache/worktree.h watch/watch.h
        runners/runner.h runners/box.h runners/probe.h runners/image.h runners/unpack.h config/lock.h engine/engine.h engine/event.h engine/command.h engine/graph.h
        engine/from_config.h engine/record.h engine/history.h engine/reasons.h engine/trace.h engine/answers.h engine/kept_box.h engine/failure.h engine/bundle.h tui/tui.h tui/settings.h tui/guard.h'
)
# Which libraries' headers a folder may include, as the first part of their names.
declare -A library=(
    [base]='openssl'
    [config]='jansson.h'
    [cache]='git2.h'
    [watch]='uv.h'
    [runners]='uv.h jansson.h archive.h archive_entry.h'
    [engine]='uv.h jansson.h'
    [tui]='uv.h curses.h term.h'
    [cli]='uv.h jansson.h'
)
libraries='openssl archive.h archive_entry.h jansson.h git2.h uv.h curses.h ncurses.h term.h protobuf-c vterm.h cmocka.h'

wrong=0 arrows=0
complain() {
    printf '%s\n' "$*"
    wrong=$((wrong + 1))
}

matches() { # WORD PATTERN...
    local word=$1 pattern
    shift
    for pattern; do
        # shellcheck disable=SC2053
        [[ $word == $pattern ]] && return 0
    done
    return 1
}

set -f # patterns stay patterns
for folder in "${folders[@]}"; do
    [[ -d $folder ]] || {
        complain "there is no folder $folder"
        continue
    }
    while IFS=: read -r file line text; do
        if [[ $text =~ ^[[:space:]]*\#[[:space:]]*include[[:space:]]*\"([^\"]*)\" ]]; then
            name=${BASH_REMATCH[1]}
            arrows=$((arrows + 1))
            if [[ $name == "$folder"/* || $name == reapi.pb-c.h ]]; then
                [[ $name != "$folder"/* || -f $name ]] || complain "$file:$line: there is no $name"
                [[ $name != reapi.pb-c.h || $folder == cache ]] ||
                    complain "$file:$line: only cache/ knows the encoded messages"
                continue
            fi
            # shellcheck disable=SC2086
            matches "$name" ${may[$folder]} ||
                complain "$file:$line: $folder/ may not include \"$name\"; it may: ${may[$folder]//$'\n'/ }"
        elif [[ $text =~ ^[[:space:]]*\#[[:space:]]*include[[:space:]]*\<([^/\>]*) ]]; then
            name=${BASH_REMATCH[1]}
            # shellcheck disable=SC2086
            matches "$name" $libraries || continue
            # shellcheck disable=SC2086
            matches "$name" ${library[$folder]} ||
                complain "$file:$line: $folder/ does not know the library of <$name>"
        fi
    done < <(grep -rnE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include' "$folder" || true)
done
set +f
((arrows > 100)) || complain "only $arrows includes were found: this test no longer reads the sources"

# A header must bring what it needs. The generated one is made as the build makes it.
protoc-c --c_out="$work" --proto_path=cache cache/reapi.proto
read -ra flags < <(pkg-config --cflags libuv libgit2 jansson libprotobuf-c libcrypto tinfo)
headers=0
for folder in "${folders[@]}"; do
    for header in "$folder"/*.h; do
        [[ -f $header ]] || continue
        headers=$((headers + 1))
        # Twice, so that a header without a guard shows as well.
        printf '#include "%s"\n#include "%s"\nextern int nothing;\n' "$header" "$header" >"$work/alone.c"
        "${CC:-cc}" -std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror -I. -isystem "$work" "${flags[@]}" \
            -fsyntax-only "$work/alone.c" || complain "$header: does not compile alone"
    done
done

printf '%d includes and %d headers looked at, %d wrong\n' "$arrows" "$headers" "$wrong"
((wrong == 0))
