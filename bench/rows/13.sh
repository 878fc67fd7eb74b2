# The terminal with 10,000 steps: a key to its picture
# shellcheck shell=bash

row_13() {
    local dir=$work/steps n case_name
    own_cache
    n=$(pick 200 10000)
    mkdir -p "$dir"
    awk -v n="$n" 'BEGIN {
        printf "{\"version\": 1, \"defaults\": {\"runner\": \"host\"}, \"steps\": {"
        for (i = 0; i < n; i++)
            printf "%s\"step-%05d\": {\"run\": \"true\", \"inputs\": []}", i ? ", " : "", i
        print "}}" }' >"$dir/kiln.json"
    cd "$dir"
    "$kiln" run --plain >"$work/steps.out"
    case_name="from the first of $(thousands "$n") steps to the last, 200 × 60"
    "$work/bin/frames" -c 200 -r 60 -u passed -d "$(pick 500 3000)" "$(pick 10 200)" G " $n" g "$kiln" watch >"$work/frames" 2>"$work/frames.err" ||
        die "$(cat "$work/frames.err")"
    spread "$case_name" 'kiln' ms <"$work/frames"
    bound "kiln, $case_name, p99" "$(value "$case_name" kiln 10)" '<=' 16 ms
    cd "$work"
    rm -rf "$dir" "$work/own"
}
