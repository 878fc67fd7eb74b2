# Snapshots: 50,000 files presented to a sandbox step, unchanged and with one changed
# shellcheck shell=bash

row_10() {
    local dir=$work/snapshot files i case_name
    if ! "$kiln" doctor >"$work/doctor" 2>&1; then
        note "This machine lets no step be isolated: $(grep missing "$work/doctor" | head -n 1)"
        return
    fi
    own_cache
    files=$(pick 50 50000)
    case_name="$(thousands "$files") files as inputs"
    mkdir -p "$dir"
    cd "$dir"
    "$work/bin/tree" . "$((files / 50))" 1 50 2048
    git init -q
    # The process tells when it is there.
    printf '{"version": 1, "steps": {"x": {"run": ["/bin/date", "+%%s%%N"], "runner": "sandbox", "inputs": ["d*"]}}}\n' >kiln.json
    settle
    "$kiln" run --plain >/dev/null
    for ((i = 0; i < runs; i++)); do
        row_10_start >>"$work/unchanged"
        printf '/* %d */\n' "$i" >>d00000/f0.c
        row_10_start >>"$work/changed"
    done
    spread "$case_name, none changed" 'kiln, inputs known to process start' ms <"$work/unchanged"
    spread "$case_name, one changed" 'kiln, inputs known to process start' ms <"$work/changed"
    bound "kiln, inputs known to process start, $case_name, none changed" \
        "$(value "$case_name, none changed" 'kiln, inputs known to process start')" '<=' 30 ms
    # What would have to be done without.
    rm -rf "$work/copy"
    measure "$case_name, presented anew" "$(pick 1 3)" 'floor: cp -rl' -p "rm -rf '$work/copy'" cp -rl . "$work/copy" \
        -- 'cp -r' -p "rm -rf '$work/copy'" cp -r . "$work/copy"
    cd "$work"
    rm -rf "$dir" "$work/copy" "$work/own"
}

# From the event that the run has begun, its inputs' digests known, to the process, in ms.
row_10_start() {
    "$kiln" run --force --json | jq -rs 'def ns: (.time | .[0:19] + "Z" | fromdate) * 1e9 + (.time[20:29] | tonumber);
        (map(select(.type == "step.log"))[0].data | tonumber) - (map(select(.type == "run.started"))[0] | ns) | . / 1e6'
}
