# At rest: memory while watching 100,000 files, wake-ups and CPU when idle
# shellcheck shell=bash

row_7() {
    local pid all=() seconds now=0 peak=0 name kib high cpu
    big_tree
    case_name="watching $big_name"
    watch "$big"
    seconds=$(pick 1 10)
    # What the last event set off (timers, records being written) has an end; rest begins with the first second in which
    # nothing happens.
    local before after waited
    mapfile -t all < <(descendants "$watcher")
    for ((waited = 0; waited < 60; waited++)); do
        before=$(switches "${all[@]}")
        sleep 1
        after=$(switches "${all[@]}")
        ((after > before)) || break
    done
    before=$(switches "${all[@]}") cpu=$(sum_of schedstat 1 "${all[@]}")
    sleep "$seconds"
    after=$(switches "${all[@]}")
    single "$case_name, idle for $seconds s" 'kiln watch, wake-ups' '' $((after - before))
    cpu=$(awk -v a="$cpu" -v b="$(sum_of schedstat 1 "${all[@]}")" 'BEGIN { printf "%.3f", (b - a) / 1e6 }')
    single "$case_name, idle for $seconds s" 'kiln watch, CPU' ms "$cpu"
    ((waited == 0)) || note "It came to rest $waited s after it had said that there was nothing left to do."

    for pid in "${all[@]}"; do
        kib=$(resident "$pid")
        high=$(resident "$pid" VmHWM)
        [[ $pid == "$watcher" ]] && name='kiln watch' || name="kiln watch's warden"
        single "$case_name" "$name, resident" MiB "$(mib "$kib")"
        single "$case_name" "$name, resident at most" MiB "$(mib "$high")"
        now=$((now + kib)) peak=$((peak + high))
    done
    stop "$watcher"
    bound "kiln watch and its warden, $case_name, resident" "$(mib "$now")" '<=' 64 MiB
    bound "the same, at most, since their start" "$(mib "$peak")" '<=' 64 MiB
    bound "kiln watch, idle for $seconds s, wake-ups" "$((after - before))" '<=' 0 ''

    if have entr; then
        row_7_peer entr entr_here
    fi
    if have watchexec; then
        row_7_peer watchexec "$(peer watchexec)" --quiet -w . --shell=none -- "$work/bin/stamp" "$stamp"
    fi
    if have turbo; then
        row_7_peer 'turbo watch' "$(peer turbo)" watch step --output-logs=none
    fi
}

# Each time that a thread gives up the processor or is taken off it. A thread that sleeps on has none.
switches() {
    sum_of status '(non)?voluntary_ctxt_switches' "$@"
}

row_7_peer() { # NAME COMMAND...
    local name=$1 kib
    shift
    in_background "$big" "$@"
    local pid=$!
    # It is up when it has answered.
    if "$work/bin/saves" 1 100 "$big/d00000/f0.c" "$stamp" >/dev/null 2>"$work/saves.err"; then
        kib=$(for pid in $(descendants "$pid"); do
            resident "$pid"
        done | awk '{ sum += $1 } END { print sum }')
        single "$case_name" "$name, resident" MiB "$(mib "$kib")"
    else
        absent "$name" "$(tail -n 1 "$work/saves.err")"
    fi
    stop "$pid"
}
