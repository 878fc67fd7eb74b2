# Logs in the terminal: spooling, keys during a flood, memory
# shellcheck shell=bash

row_12() {
    local dir=$work/logs mib case_name
    own_cache
    mib=$(pick 10 1000)
    mkdir -p "$dir"
    yes 'src/some/file.c:12:34: a line of usual length that is written over and over again' | head -c "${mib}MB" >"$dir/big" || true
    head -c 10MB "$dir/big" >"$dir/burst"
    # 100 MB/s, in bursts: a step that writes as fast as it can would only show how fast pipes are.
    cat >"$dir/kiln.json" <<EOF
{"version": 1, "defaults": {"runner": "host"}, "steps": {
  "big": {"run": ["cat", "$dir/big"], "inputs": [], "cache": false},
  "flood": {"run": "while :; do cat $dir/burst; sleep 0.1; done", "inputs": [], "cache": false}
}}
EOF
    cd "$dir"
    case_name="cat of $mib MB"
    # Both find the memory that what they wrote before had: in a virtual machine a new page costs ten times as much.
    measure "$case_name" "$runs" 'kiln run' -p "rm -rf '$XDG_STATE_HOME'/kiln/projects/*/runs" "$kiln" run big --plain \
        -- 'cat into a file' -p "rm -f '$dir/copy'" /bin/sh -c "cat '$dir/big' >'$dir/copy'"
    bound_ratio "$case_name" 'kiln run' 1.5 'cat into a file'
    bound "kiln run, $case_name" "$(awk -v mb="$mib" -v ms="$(value "$case_name" 'kiln run')" 'BEGIN { printf "%.0f", mb / ms * 1000 }')" \
        '>=' 500 MB/s
    rm -f "$dir/copy"

    case_name='a key while a step writes 100 MB/s, to its picture'
    "$work/bin/frames" -u FOLLOW -d 1000 "$(pick 10 200)" '?' Help q "$kiln" watch flood >"$work/frames" 2>"$work/frames.err" ||
        die "$(cat "$work/frames.err")"
    spread "$case_name" 'kiln' ms <"$work/frames"
    bound "kiln, $case_name, p99" "$(value "$case_name" kiln 10)" '<=' 16 ms

    case_name="the log of $mib MB, read to its end"
    "$work/bin/frames" -u passed -d "$(pick 500 5000)" 20 '?' Help q "$kiln" watch big >"$work/frames" 2>"$work/frames.err" ||
        die "$(cat "$work/frames.err")"
    spread "$case_name" 'kiln, a key to its picture' ms <"$work/frames"
    single "$case_name" 'kiln, resident at most' MiB "$(mib "$(sed -n 's/^peak \([0-9]*\) KiB.*/\1/p' "$work/frames.err")")"
    bound "kiln, resident at most, $case_name" "$(value "$case_name" 'kiln, resident at most')" '<=' 20 MiB
    cd "$work"
    rm -rf "$dir" "$work/own"
}
