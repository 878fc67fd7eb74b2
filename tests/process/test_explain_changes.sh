#!/usr/bin/env bash
# Every kind of change, each told by its name, old and new: by kiln explain in words and as JSON, by kiln plan, and by
# the events of the run that follows, all the same.
. "$(dirname "$0")/lib.sh"

PIPELINE='{"version": 1, "defaults": {"runner": "host"}, "name": "demo", "steps": {
    "gen": {"run": "mkdir -p made; cat g > made/g; echo fixed > made/f", "inputs": ["g"], "outputs": ["made"]},
    "a": {"run": "cat src/file made/g", "inputs": ["src", "!src/*.md"], "needs": ["gen"], "env": {"SET": "one"}, "pass_env": ["PASSED"], "timeout": "1m"}}}'

a_project() {
    project "$PIPELINE"
    mkdir -p src/dir
    echo 1 > g
    echo 1 > src/file
    echo 1 > src/other
    echo x > src/run.sh
    echo md > src/notes.md
    ln -s old src/link
    echo deep > src/dir/deep
    git init -q .
    export PASSED=first
    kiln 0 run
}

sha() {
    printf '%s\n' "$1" | sha256sum | cut -c 1-6
}

# As "kind subject old new note", one a line, sorted; digests cut.
of_reasons() {
    jq -r "$1"' | .[] | [.kind, (if .step then .step + ":" else "" end) + (.subject // "-"), .old // "-", .new // "-", .note // "-"]
        | map(gsub("(?<a>[0-9a-f]{6})[0-9a-f]{58}"; .a)) | join("|")' "$T/out" | LC_ALL=C sort
}

# tells STEP WANT [TEXT]: all four tell WANT, and a line of kiln explain's text matches TEXT.
tells() {
    local step=$1 want got
    want=$(printf '%s\n' "$2" | LC_ALL=C sort)
    kiln 0 explain --json "$step"
    got=$(of_reasons .reasons)
    assert_eq "$got" "$want" "explain --json"
    assert_eq "$(jq .reasons_total "$T/out")" "$(printf '%s' "$want" | grep -c '')" "reasons_total"
    kiln 0 plan --json "$step"
    assert_eq "$(of_reasons ".steps[] | select(.step == \"$step\") | .reasons")" "$want" "plan --json"
    kiln 0 explain "$step"
    if [ $# -gt 2 ]; then assert_out "$3"; fi
    assert_no_out $'\033'
    kiln any run --json "$step"
    assert_eq "$(of_reasons "select(.type == \"step.started\" and .step == \"$step\") | .reasons")" "$want" "step.started"
}

test_files() {
    a_project
    echo 2 > src/file
    tells a "file|src/file|$(sha 1)|$(sha 2)|-" "^  file        src/file  $(sha 1) -> $(sha 2)\$"
    echo 3 > src/more
    tells a "file|src/more|-|$(sha 3)|-" "^  file        src/more  added $(sha 3)\$"
    rm src/more src/other
    tells a "file|src/more|$(sha 3)|-|-
file|src/other|$(sha 1)|-|-" "^  file        src/other  removed, was $(sha 1)\$"
    chmod +x src/run.sh
    tells a "file|src/run.sh|$(sha x)|$(sha x) +x|executable now" "^  file        src/run.sh  $(sha x) -> $(sha x) \\+x  \\(executable now\\)\$"
    chmod -x src/run.sh
    kiln 0 explain a
    assert_out "^a is up to date|^a would run"
    ln -sfn new src/link
    tells a "$(printf '%s\n' 'file|src/link|-> old|-> new|-' "file|src/run.sh|$(sha x) +x|$(sha x)|not executable any more")" \
        "^  file        src/link    link to old -> link to new\$"
    rm -r src/dir src/link
    echo now a file > src/dir
    mkdir src/link
    echo below > src/link/below
    tells a "$(printf '%s\n' "file|src/dir|-|$(sha "now a file")|-" "file|src/dir/deep|$(sha deep)|-|-" 'file|src/link|-> new|-|-' \
        "file|src/link/below|-|$(sha below)|-")" "^  file        src/link        removed, was link to new\$"
    touch src/file
    kiln 0 explain a
    assert_out "^a is up to date"
}

test_a_renamed_file() {
    a_project
    mv src/other src/else
    mv src/dir src/folder
    tells a "$(printf '%s\n' "file|src/dir/deep|$(sha deep)|-|-" "file|src/else|-|$(sha 1)|-" "file|src/folder/deep|-|$(sha deep)|-" \
        "file|src/other|$(sha 1)|-|-")" "^  file        src/else         added $(sha 1)\$"
}

# What the cache has no more, or not as it was; said before anything runs.
test_damage() {
    local v1=$XDG_CACHE_HOME/kiln/v1 blob result
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat in > o; mkdir -p d; echo within > d/f; echo in d > d/g", "inputs": ["in"], "outputs": ["o", "d"]}}}'
    echo 1 > in
    kiln 0 run
    blob=$(sha256sum d/f | cut -c 1-64)
    blob=$v1/cas/${blob:0:2}/$blob
    chmod u+w "$blob"
    echo Within > "$blob"
    rm d/g
    kiln 0 explain a
    assert_out '^a is up to date' # nobody needs it
    rm -r d
    tells a 'evicted|-|-|-|an output of it is gone or damaged' '^  evicted     its result is not in the cache, an output of it is gone or damaged$'
    rm -r d "$blob"
    tells a 'evicted|-|-|-|an output of it is gone or damaged'
    result=$(echo "$v1"/ac/*/*)
    chmod u+w "$result"
    echo garbage > "$result"
    tells a 'evicted|-|-|-|-' '^  evicted     its result is not in the cache$'
    kiln 0 cache gc --size 0
    tells a 'evicted|-|-|-|-'
}

test_variables() {
    a_project
    sed -i 's/"SET": "one"/"SET": "two", "MORE": ""/' kiln.json
    tells a "$(printf '%s\n' 'env|MORE|-||-' 'env|SET|one|two|-')" '^  env         MORE  added ""$'
    sed -i 's/, "MORE": ""//' kiln.json
    tells a 'env|MORE||-|-' '^  env         MORE  removed, was ""$'
    PASSED=second
    tells a 'env|PASSED|first|second|-' '^  env         PASSED  first -> second$'
    unset PASSED
    tells a 'env|PASSED|second|-|-' '^  env         PASSED  removed, was second$'
    export HOME=$T/elsewhere
    kiln 0 run gen
    tells a "env|HOME|$T/home|$T/elsewhere|-"
}

test_command_and_settings() {
    a_project
    sed -i 's/cat src\/file made/cat -u src\/file made/' kiln.json
    tells a 'command|-|cat src/file made/g|cat -u src/file made/g|-' '^  command     cat src/file made/g -> cat -u src/file made/g$'
    sed -i 's/"cat -u src\/file made\/g"/["cat", "src\/file"]/' kiln.json
    tells a 'command|-|cat -u src/file made/g|cat src/file|-'
    sed -i 's/"timeout": "1m"/"timeout": "2m", "retries": 3, "description": "other"/' kiln.json
    kiln 0 explain a
    assert_out "^a is up to date"
    sed -i 's/"retries": 3/"outputs": ["o"]/; s/\["cat", "src\/file"\]/"touch o"/' kiln.json
    tells a "$(printf '%s\n' 'command|-|cat src/file|touch o|-' 'settings|outputs||o|-')" '^  settings    outputs  "" -> o$'
    sed -i 's/"touch o"/"touch ..\/o"/; s/"outputs": \["o"\]/"outputs": ["o"], "cwd": "src"/' kiln.json
    tells a "$(printf '%s\n' 'command|-|touch o|touch ../o|-' 'settings|cwd|.|src|-')" '^  settings    cwd  \. -> src$'
    sed -i 's/"cwd": "src"/"cwd": "src", "cache": false/' kiln.json
    tells a 'uncacheable|-|-|-|-' '^  uncacheable its results are never cached$'
}

test_upstream() {
    a_project
    echo 2 > g
    kiln 0 explain a
    assert_out '^a waits'
    assert_out '^  gen$'
    kiln 0 run gen
    tells a "upstream|gen:made/g|$(sha 1)|$(sha 2)|-" "^  upstream    gen: made/g  $(sha 1) -> $(sha 2)\$"
    sed -i 's/"needs": \["gen"\],//; s/cat src\/file made\/g/cat src\/file/' kiln.json
    tells a "$(printf '%s\n' 'command|-|cat src/file made/g|cat src/file|-' \
        "file|made/f|$(sha fixed)|-|an output of gen, which is not among its needs" \
        "file|made/g|$(sha 2)|-|an output of gen, which is not among its needs")" \
        "^  file        made/g  removed, was $(sha 2)  \\(an output of gen, which is not among its needs\\)\$"
}

# What somebody edited comes before what steps made of it, however much that is and wherever it lies.
test_files_before_upstream() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "gen": {"run": "mkdir -p gen; for i in $(seq 30); do cat n > gen/$i; done", "inputs": ["n"], "outputs": ["gen"]},
        "use": {"run": "true", "inputs": ["src"], "needs": ["gen"]}}}'
    mkdir src
    echo 1 | tee src/a > n
    kiln 0 run
    echo 2 | tee src/a > n
    kiln 0 run gen
    kiln 0 explain --json use
    assert_eq "$(jq -r '.reasons[0] | .kind + " " + .subject' "$T/out")" "file src/a"
    assert_eq "$(jq -r '.reasons[1].kind' "$T/out")" upstream
    assert_eq "$(jq -r '.reasons_total' "$T/out")" 31
}

test_what_is_selected() {
    echo late > .gitignore
    mkdir src
    echo late > src/late
    a_project
    echo other > .gitignore
    tells a "$(printf '%s\n' "file|src/late|-|$(sha late)|not new: \"inputs\" or the ignore rules left it out before" \
        "file|src/other|$(sha 1)|-|still there, ignored now")" "\\(still there, ignored now\\)\$"
    sed -i 's/, "!src\/\*\.md"//' kiln.json
    tells a "file|src/notes.md|-|$(sha md)|not new: \"inputs\" or the ignore rules left it out before"
    sed -i 's/\["src"/["src", "!src\/dir"/' kiln.json
    tells a "file|src/dir/deep|$(sha deep)|-|still there, \"inputs\" leave it out now"
    # What has been moved here is new, however old it is.
    mkdir -p elsewhere
    mv src/dir elsewhere/
    kiln 0 run
    mv elsewhere/dir src/moved
    tells a "file|src/moved/deep|-|$(sha deep)|-"
}

test_a_renamed_step() {
    a_project
    sed -i 's/"a":/"b":/' kiln.json
    kiln 0 explain b
    assert_out "^b is up to date"
    assert_out "by run 1, step a$"
    echo 2 > src/file
    tells b "$(printf '%s\n' "file|src/file|$(sha 1)|$(sha 2)|-" 'new|-|-|-|compared with a, which is gone and ran the same')" \
        '^  new         there is no earlier result, compared with a, which is gone and ran the same$'
    sed -i 's/"b":/"c":/; s/cat src/cat -u src/' kiln.json
    tells c 'new|-|-|-|-' '^  new         there is no earlier result$'
}

test_failures() {
    a_project
    sed -i 's/cat src\/file made\/g/! grep bad src\/file/' kiln.json
    tells a 'command|-|cat src/file made/g|! grep bad src/file|-'
    echo bad > src/file
    kiln 1 run
    tells a "$(printf '%s\n' 'failed|-|-|-|in run 3, with the same inputs' "file|src/file|$(sha 1)|$(sha bad)|-")" \
        '^  failed      it failed the last time, in run 3, with the same inputs$'
    assert_eq "$RC" 1
    kiln 0 explain a
    assert_out '^a would run\. Since run 2, where it passed, .* ago:$'
    kiln 0 explain --json a
    assert_eq "$(jq -r '.since | "\(.run) \(.status)"' "$T/out")" "2 passed"
    echo worse, not bad > src/file
    echo 9 > src/other
    tells a "$(printf '%s\n' 'failed|-|-|-|in run 4' "file|src/file|$(sha 1)|$(sha 'worse, not bad')|-" "file|src/other|$(sha 1)|$(sha 9)|-")"
    echo 1 > src/file
    echo 1 > src/other
    kiln 0 explain a
    assert_out '^a is up to date'
    rm -r "$XDG_CACHE_HOME/kiln/v1/ac"
    kiln 0 run gen
    tells a 'evicted|-|-|-|-' '^  evicted     its result is not in the cache$'
}

test_failed_and_never_passed() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat in; exit 3", "inputs": ["in"]}}}'
    echo 1 > in
    tells a 'new|-|-|-|-'
    tells a 'failed|-|-|-|in run 1, with the same inputs'
    echo 2 > in
    tells a "$(printf '%s\n' 'failed|-|-|-|in run 2' "file|in|$(sha 1)|$(sha 2)|-")"
    kiln 0 explain a
    assert_out '^a would run\. Since run 3, where it failed, .* ago:$'
}

test_retries_and_force() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat in; exit 1", "inputs": ["in"], "retries": 1}}}'
    echo 1 > in
    kiln 1 run --json
    assert_eq "$(events 'select(.type == "step.started" and .attempt == 2) | .reasons[] | "\(.kind) \(.note)"')" $'failed attempt 1 of 2\nnew null'
    kiln 1 run --plain
    assert_out 'attempt 2 \(failed: it failed the last time, attempt 1 of 2; \+1 more\)'
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat in", "inputs": ["in"]}}}'
    kiln 0 run
    for how in --force --no-cache; do
        kiln 0 run --json $how
        assert_eq "$(of_reasons 'select(.type == "step.started") | .reasons')" "forced|-|-|-|by $how"
    done
    kiln 0 run --json --force=a
    assert_eq "$(of_reasons 'select(.type == "step.started") | .reasons')" "forced|-|-|-|-"
}

test_tainted() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "cat in; if [ -e once ]; then rm once; echo more >> in; fi", "inputs": ["in"]}}}'
    echo 1 > in
    kiln 0 run
    touch once
    echo 2 > in
    kiln any run
    echo 2 > in
    tells a "$(printf '%s\n' "file|in|$(sha 1)|$(sha 2)|-" 'tainted|-|-|-|-')" '^  tainted     an input changed while it last ran$'
}

# What a hit is based on.
test_hits() {
    a_project
    kiln 0 explain --json a
    jq -e '.state == "cached" and .reasons == [] and .reasons_total == 0 and .result.by == "run 1, step a" and (.result.duration_ms | type == "number")
        and (.result.time | test("^[0-9-]{10}T"))' "$T/out" > /dev/null || fail "the result: $(cat "$T/out")"
    kiln 0 explain a
    assert_out '^  made        .* ago, at 20[0-9-]*T[0-9:]*Z, by run 1, step a$'
    echo 2 > src/file
    kiln 0 run
    echo 1 > src/file
    kiln 0 run
    kiln 0 explain a
    assert_out 'by run 1, step a$' # not the run that had the hit
}

# Values as long as they come: whole in JSON, a piece around what differs in words.
test_long_values() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": [], "pass_env": ["LONG"]}}}'
    export LONG
    LONG=$(head -c 60000 /dev/zero | tr '\0' x)end
    kiln 0 run
    LONG=${LONG%end}$(printf 'other%.0s' $(seq 50))
    kiln 0 explain --json a
    assert_eq "$(jq -r '.reasons[0].new' "$T/out")" "$LONG"
    kiln 0 explain a
    assert_out '^ *- \.\.\.xxxxxxxxxxxxend$'
    assert_out '^ *\+ \.\.\.xxxxxxxxxxxx(other){50}$'
    kiln 0 run --plain
    assert_out '\(env LONG \.\.\.x{12}end -> \.\.\.x{12}(other)+othe?\.\.\.\)'
}

# Many changes: some and a count in words, many in JSON, never without bound.
test_many_changes() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": ["src"]}}}'
    mkdir src
    kiln 0 run
    (cd src && seq -f f%g 10500 | xargs touch)
    kiln 0 explain a
    assert_eq "$(grep -c '^  file ' "$T/out")" 40
    assert_out '^  and 10460 more$'
    kiln 0 explain --json a
    assert_eq "$(jq '.reasons | length' "$T/out") $(jq .reasons_total "$T/out")" "10000 10500"
    kiln 0 plan
    assert_out '^ *and 10480 more$'
    kiln 0 run --json
    assert_eq "$(events 'select(.type == "step.started") | "\(.reasons | length) \(.reasons_total)"')" "20 10500"
}

test_colour() {
    a_project
    echo 2 > src/file
    kiln 0 explain --color=always a
    assert_out $'\033\\[31m'"$(sha 1)"$'\033\\[0m -> \033\\[32m'"$(sha 2)"$'\033\\[0m'
}

# What stands around a step; only the key is made for it, so no box is needed.
test_surroundings() {
    project '{"version": 1, "steps": {"a": {"runner": "host", "run": "true", "inputs": []}}}'
    kiln 0 run
    project '{"version": 1, "steps": {"a": {"runner": "sandbox", "run": "true", "inputs": []}}}'
    kiln 0 explain a
    assert_out '^  settings +runner +host -> sandbox'
    assert_out '^  settings +mount +added /src'
    assert_out '^  settings +network +added none'
    assert_out '^  settings +system packages +added [0-9a-f]{6}'
    assert_out "^  settings +project's folder +removed, was $(realpath "$P" | cut -c 1-20)"
    # Limits and cache directories shape no result.
    kiln 0 plan --json
    local key
    key=$(jq -r '.steps[0].key' "$T/out")
    project '{"version": 1, "steps": {"a": {"runner": "sandbox", "run": "true", "inputs": [],
        "limits": {"memory": "1GiB"}, "caches": {"/c": "c"}}}}'
    kiln 0 plan --json
    assert_eq "$(jq -r '.steps[0].key' "$T/out")" "$key"
    project '{"version": 1, "steps": {"a": {"runner": "sandbox", "run": "true", "inputs": [], "network": "host"}}}'
    kiln 0 plan --json
    [ "$(jq -r '.steps[0].key' "$T/out")" != "$key" ] || fail "the network is not in the key"
}

run_tests
