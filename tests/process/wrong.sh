# wrong.sh - calls of kiln's that go wrong, for process tests: to be read after lib.sh.

# what_goes_wrong: a kiln (and the gits it runs) of which a call goes wrong, as $T/wrong KIND AT ARGUMENT...
what_goes_wrong() {
    command -v cc >/dev/null || { echo "(not tried: there is no C compiler)"; return 1; }
    local sanitized=
    ! grep -qa __asan_init "$KILN" || sanitized=-DFAULT_NO_MALLOC
    # shellcheck disable=SC2086
    cc -std=gnu17 -D_GNU_SOURCE -O1 -shared -fPIC -w $sanitized -o "$T/fault.so" "$SOURCE_DIR/tests/process/fault.c" -ldl
    cc -std=gnu17 -D_GNU_SOURCE -O1 -w -o "$T/kill_at" "$SOURCE_DIR/tests/process/kill_at.c"
    export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}:verify_asan_link_order=0:detect_leaks=0
}

wrong() { # KIND AT ARGUMENT...
    local kind=$1 at=$2 how
    shift 2
    how=(env LD_PRELOAD="$T/fault.so" FAULT_KIND="$kind" FAULT_AT="$at" FAULT_COUNT="$T/count")
    [ "$kind" != kill ] || how=("$T/kill_at" "$at" "$T/count")
    : >"$T/count"
    RC=0
    # Standard output and error are pipes, so that writing to them is not what goes wrong.
    { timeout "$DEADLINE" "${how[@]}" "$KILN" "$@" 2>&1 </dev/null || echo "$?" >"$T/rc"; } | cat >"$T/out"
}

counted() { # KIND
    if [ "$1" = kill ]; then cat "$T/count"; else od -An -t u8 "$T/count" | tr -d ' '; fi
}

# One point in each of N equal parts of all calls.
points() { # N TOTAL
    local i
    for ((i = 0; i < $1; i++)); do echo $((i * $2 / $1 + RANDOM % ($2 / $1 + 1) + 1)); done
}
