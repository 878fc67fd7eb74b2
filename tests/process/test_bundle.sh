#!/usr/bin/env bash
# Runs that are carried elsewhere: kiln bundle export and import, between two homes.
. "$(dirname "$0")/lib.sh"

PIPELINE='{"version": 1, "name": "demo", "defaults": {"runner": "host"}, "steps": {
    "build": {"run": "cat in > gen/out; echo built", "inputs": ["in"], "outputs": ["gen/out"]},
    "test": {"run": "echo testing; ! grep -q bad gen/out src/a", "inputs": ["src"], "needs": ["build"], "env": {"WORD": "two words"}}}}'

# Run 1 passes, run 2 fails; it is in $T/b.
a_bundle() {
    project "$PIPELINE"
    mkdir -p src
    echo first > in
    echo good > src/a
    head -c 3000000 /dev/urandom > src/big
    ln -s a src/link
    kiln 0 run
    echo bad > src/a
    kiln 1 run
    kiln 0 bundle export 2 --output "$T/b"
}

# Another machine, as far as kiln can tell: nothing of the first is there.
elsewhere() {
    export HOME="$T/elsewhere"
    export XDG_CACHE_HOME="$HOME/.cache" XDG_STATE_HOME="$HOME/.local/state" XDG_CONFIG_HOME="$HOME/.config"
    mkdir -p "$HOME" "$T/there"
    mv "$T/home" "$T/gone"
    rm -rf "${P:?}"/*
    P="$T/there"
    project '{"version": 1, "name": "other", "defaults": {"runner": "host"}, "steps": {"x": {"run": "true", "inputs": []}}}'
}

test_there_and_back() {
    a_bundle
    assert_out 'run 2 is in .*/b \(2\.9 MiB\); with the inputs of its failure$'
    kiln 0 bundle export 2 --output "$T/again" --json
    cmp "$T/b" "$T/again"
    assert_eq "$(jq -c '[.run, .failures, .inputs, .content]' "$T/out")" '["2",1,1,3]'
    tar -tf "$T/b" > "$T/list"
    assert_eq "$(head -n 1 "$T/list")" manifest.json
    elsewhere
    kiln 0 run
    kiln 0 bundle import "$T/b"
    assert_out '^run 2 of demo is run 2 here; with the inputs of its failure$'
    # It is a run like another, where it is named.
    kiln 0 runs --json
    assert_eq "$(jq -rc '.[] | [.run, .trigger, .status]' "$T/out" | paste -sd " ")" '["2","imported","failed"] ["1","command","passed"]'
    assert_eq "$(jq -r '.[0].imported' "$T/out")" "run 2 of demo, from b"
    kiln 0 runs
    assert_out ' imported  failed .*; imported: run 2 of demo, from b$'
    kiln 0 replay 2
    assert_out '^test: FAILED with exit code 1'
    assert_out '^testing$'
    assert_out '^test: to look into it: kiln debug --run 2 test$'
    kiln 0 logs --run 2 test
    assert_eq "$(cat "$T/out")" testing
    kiln 0 explain --last-pass test --run 2
    assert_out '^test passed in run 1 \(elsewhere\) and failed in run 2'
    assert_out '^  file +src/a '
    kiln 0 debug --run 2 test --command 'cat gen/out src/link; stat -c %s src/big; echo "$WORD"'
    assert_eq "$(paste -sd " " "$T/out")" "first bad 3000000 two words"
    assert_err 'this run is from elsewhere \(run 2 of demo, from b\)'
    kiln 1 compare 1 2
    # Runs from elsewhere are nobody's newest.
    kiln 0 replay
    assert_out '^x: passed'
    kiln 2 logs test
    kiln 0 run
    assert_out '^x: cached'
    kiln 0 cache verify
    # Taken in twice it is two runs; and it can be carried on.
    kiln 0 bundle import "$T/b" --json
    assert_eq "$(jq -r .run "$T/out")" 4
    kiln 0 bundle export 2 --output "$T/on"
    kiln 0 bundle import "$T/on"
    kiln 0 debug --run 5 --command 'cat src/a'
    assert_eq "$(cat "$T/out")" bad
    assert_eq "$(find "$XDG_STATE_HOME" -name 'importing-*' -o -name 'exporting-*' | wc -l)" 0
}

# Of the same project: what differs from a run of one's own is told by file.
test_compared_with_ones_own() {
    a_bundle
    echo good > src/a
    kiln 0 bundle import "$T/b"
    kiln 1 compare 1 3
    assert_out 'part at test: its inputs are others'
    assert_out '^  file +src/a '
    # The history is as it was: the step passed there, and failed here.
    kiln 0 run
    assert_out '^test: cached'
}

test_what_is_not_there() {
    a_bundle
    kiln 2 bundle export 9 --output "$T/x"
    assert_err 'there is no run 9'
    kiln 2 bundle export 2
    assert_err 'wants a file: kiln bundle export 2 --output FILE'
    kiln 3 bundle export 2 --output "$T/no/such/folder"
    assert_err "cannot write $T/no/such/folder: No such file"
    assert_no_file "$T/x"
    # What is no file stays what it is: /dev/stdout is such a link.
    mkfifo "$T/pipe"
    ln -s pipe "$T/link"
    local there
    for there in "$T/pipe" "$T/link"; do
        kiln 2 bundle export 2 --output "$there"
        assert_err 'no file that could be replaced; name another place'
    done
    [ -p "$T/pipe" ] && [ -L "$T/link" ]
    kiln 2 bundle import "$T/nothing"
    assert_err "cannot read $T/nothing"
    kiln 2 bundle import "$T"
    assert_err 'is no file'
    kiln 2 bundle
    kiln 2 bundle imprt x
    assert_err 'did you mean "import"'
    # Inputs that the cache has lost stay behind, and that is told on both sides.
    kiln 0 cache clear --yes
    kiln 0 bundle export 2 --output "$T/x"
    assert_out 'with the inputs of 0 of its 1 failures'
    kiln 0 bundle import "$T/x"
    assert_out 'with the inputs of 0 of its 1 failures'
    kiln 2 debug --run 3 test --command true
    assert_err 'did not come with the bundle, or is no longer in the cache'
}

# refused FILE REASON: nothing of it stays.
refused() {
    kiln 2 bundle import "$1"
    assert_err "${1##*/} can't be imported: $2"
    kiln 0 runs --json
    assert_eq "$(jq length "$T/out")" 2 "runs after $2"
    assert_eq "$(find "$XDG_STATE_HOME" -name 'importing-*' | wc -l)" 0
    assert_eq "$(find "$XDG_STATE_HOME"/kiln/projects/*/runs -mindepth 1 -maxdepth 1 | wc -l)" 2
}

# repack NAME...: the tree $T/x as a bundle $T/y, these files in this order.
repack() {
    (cd "$T/x" && tar --format=ustar -cf "$T/y" --owner=0 --group=0 --mtime=@0 "$@")
}

unpack() {
    rm -rf "$T/x"
    mkdir "$T/x"
    tar -xf "$T/b" -C "$T/x"
    mapfile -t names < "$T/names"
}

# edit FILE SED: changes it, and what the manifest says of it.
edit() {
    sed -i "$2" "$T/x/$1"
    jq -c --arg path "$1" --arg sum "$(sha256sum < "$T/x/$1" | cut -d ' ' -f 1)" --argjson size "$(stat -c %s "$T/x/$1")" \
        '(.files[] | select(.[0] == $path)) |= [$path, $size, $sum]' "$T/x/manifest.json" > "$T/m"
    mv "$T/m" "$T/x/manifest.json"
}

test_a_hostile_file() {
    a_bundle
    tar -tf "$T/b" > "$T/names"
    unpack
    repack "${names[@]}"
    kiln 0 bundle import "$T/y"
    rm -r "$XDG_STATE_HOME"/kiln/projects/*/runs/3
    # No bundle at all.
    echo hello > "$T/y"
    refused "$T/y" '.'
    : > "$T/y"
    refused "$T/y" 'it is no bundle'
    gzip -c "$T/b" > "$T/y"
    refused "$T/y" 'it is compressed'
    repack "run/events.ndjson"
    refused "$T/y" 'it is no bundle'
    # Cut off anywhere.
    for n in 100 512 1000 1600 4000 6000 100000 2000000 3000000; do
        head -c "$n" "$T/b" > "$T/y"
        refused "$T/y" '.'
    done
    # Too little, too much, in another order.
    repack manifest.json "${names[@]:2}"
    refused "$T/y" 'a file that its manifest names is not there \(run/events.ndjson\)'
    repack "${names[@]:0:${#names[@]}-1}"
    refused "$T/y" 'it ends too early'
    echo more > "$T/x/more"
    repack "${names[@]}" more
    refused "$T/y" 'it holds more than its manifest says'
    # Links, and names that lead out.
    rm "$T/x/run/events.ndjson"
    ln -s /etc/passwd "$T/x/run/events.ndjson"
    repack "${names[@]}"
    refused "$T/y" 'it holds something that is no file'
    unpack
    sed -i 's|run/logs/1.log|run/logs/../../../1.log|' "$T/x/manifest.json"
    repack "${names[@]}"
    refused "$T/y" 'its manifest is not as kiln writes it: "files"'
    unpack
    sed -i 's|run/logs/1.log|/etc/1.log|' "$T/x/manifest.json"
    repack "${names[@]}"
    refused "$T/y" 'its manifest is not as kiln writes it: "files"'
    # Content that is not what it claims.
    unpack
    echo x >> "$T/x/run/logs/1.log"
    repack "${names[@]}"
    refused "$T/y" 'a file is not what its manifest says'
    unpack
    blob=$(grep '^cas/' "$T/names" | head -n 1)
    tr 'a-z' 'b-za' < "$T/x/$blob" > "$T/x/other"
    mv "$T/x/other" "$T/x/$blob"
    printf 'zz' | dd of="$T/x/$blob" conv=notrunc status=none
    repack "${names[@]}"
    refused "$T/y" 'content is not what its name says'
    unpack
    echo more >> "$T/x/$blob"
    repack "${names[@]}"
    refused "$T/y" 'it holds content that none of its inputs names'
    unpack
    tree=$(grep '^inputs/' "$T/names")
    printf '\001' >> "$T/x/$tree"
    repack "${names[@]}"
    refused "$T/y" 'an input tree is not what it is known as'
    # Events that are none, or point elsewhere.
    unpack
    edit run/events.ndjson '2s/.*/{"type":"nonsense"}/'
    repack "${names[@]}"
    refused "$T/y" 'line 2 of its events is no event'
    unpack
    edit run/events.ndjson 's|"log":"logs/1.log"|"log":"/etc/passwd"|'
    repack "${names[@]}"
    refused "$T/y" 'line [0-9]+ of its events names a log that is not in the run.s directory'
    unpack
    edit run/events.ndjson 's|"log":"logs/1.log"|"log":"logs/../../../../x"|'
    repack "${names[@]}"
    refused "$T/y" 'line [0-9]+ of its events names a log that is not in the run.s directory'
    unpack
    edit run/events.ndjson '$d'
    repack "${names[@]}"
    refused "$T/y" 'its events are not those of a run from begin to end'
    unpack
    edit "$(grep '^run/failed' "$T/names")" 's|"cwd":""|"cwd":"../.."|'
    repack "${names[@]}"
    refused "$T/y" 'a record of a failure in it is not as kiln writes it'
    unpack
    edit "$(grep '^run/failed' "$T/names")" 's|"step":"test"|"step":"other"|'
    repack "${names[@]}"
    refused "$T/y" "a record of a failure in it is another step's"
    # A hole of a gigabyte is no content.
    unpack
    truncate -s 1G "$T/x/$blob"
    (cd "$T/x" && tar --format=gnu --sparse -cf "$T/y" "${names[@]}")
    refused "$T/y" '.'
    unpack
    sed -i 's|"kiln_bundle":1|"kiln_bundle":2|' "$T/x/manifest.json"
    repack "${names[@]}"
    refused "$T/y" 'it is a bundle of version 2, and this kiln reads version 1'
    kiln 0 cache verify
}

test_the_newest_run() {
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {"run": "true", "inputs": []}}}'
    kiln 2 bundle export --output "$T/b"
    assert_err 'nothing has run here yet'
    kiln 2 bundle export
    assert_err 'the bundle wants a file'
    kiln 2 bundle import
    assert_err 'which bundle'
    kiln 0 run
    kiln 0 run
    kiln 0 bundle export --output "$T/b"
    assert_out '^run 2 is in '
    kiln 0 bundle import "$T/b"
    kiln 0 bundle export --output "$T/b"
    assert_out '^run 2 is in '
}

test_secrets_stay() {
    export TOKEN=s3cr3t-value
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "echo got $TOKEN; exit 1", "inputs": [], "secrets": {"TOKEN": {"env": "TOKEN"}}}}}'
    kiln 1 run
    kiln 0 bundle export 1 --output "$T/b"
    if grep -qaF s3cr3t-value "$T/b"; then fail "the value is in it"; fi
    grep -qaF 'got ***' "$T/b"
}

from_a_box() {
    project '{"version": 1, "defaults": {"runner": "sandbox"}, "steps": {
        "a": {"run": "cat sub/in; exit 3", "inputs": ["sub"]}}}'
    mkdir -p sub
    echo text > sub/in
    mine
    kiln 1 run
    kiln 0 bundle export 1 --output "$P/b"
    chmod -R u+rwX "$XDG_CACHE_HOME" # what overlayfs leaves nobody may enter
    rm -rf "$XDG_CACHE_HOME" "$XDG_STATE_HOME" sub
    kiln 0 bundle import "$P/b"
    kiln 0 debug --run 1 a --command 'cat sub/in; id -un'
    assert_eq "$(paste -sd " " "$T/out")" "text kiln"
}

test_from_a_box() {
    as_both from_a_box
}

test_killed_while_it_imports() {
    a_bundle
    for n in 1 2 3 4 5 6; do
        "$KILN" bundle import "$T/b" > /dev/null 2>&1 &
        pid=$!
        [ "$n" -gt 3 ] || wait_for importing
        kill -KILL "$pid" 2> /dev/null || :
        wait "$pid" 2> /dev/null || :
        rm -rf "$XDG_STATE_HOME"/kiln/projects/*/importing-*
    done
    kiln 0 runs
    kiln 0 bundle import "$T/b"
    run=$(sed -n 's/.* is run \([0-9]*\) here.*/\1/p' "$T/out")
    kiln 0 debug --run "$run" --command 'cat src/a'
    assert_eq "$(cat "$T/out")" bad
    kiln 0 cache verify
}

# Killed at whichever moment, an export leaves the whole bundle, or nothing.
test_killed_while_it_exports() {
    a_bundle
    mkdir "$T/to"
    for n in 0.001 0.005 0.01 0.02 0.03 0.05 60; do
        timeout -s KILL "$n" "$KILN" bundle export 2 --output "$T/to/b" > /dev/null 2>&1 || :
        for file in "$T"/to/*; do
            [ ! -e "$file" ] || cmp "$file" "$T/b"
        done
        rm -f "$T"/to/*
    done
    kiln 3 bundle export 2 --output "$T/nowhere/b"
    mkdir "$T/folder"
    kiln 3 bundle export 2 --output "$T/folder"
    assert_eq "$(find "$T" -name '*.part')" ''
}

importing() {
    compgen -G "$XDG_STATE_HOME/kiln/projects/*/importing-*" > /dev/null || ! kill -0 "$pid" 2> /dev/null
}

run_tests "$@"
