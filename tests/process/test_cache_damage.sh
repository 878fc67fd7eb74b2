#!/usr/bin/env bash
# Whatever is damaged in the cache is set aside and counts as missing; the step runs again and stores what is right. "kiln cache verify" names it.
. "$(dirname "$0")/lib.sh"

V1=
ac_file= # of step a, with "1" in its input

setup_project() {
    V1=$XDG_CACHE_HOME/kiln/v1
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "echo said; cp in o; mkdir -p d/e; echo within | cat - in > d/e/f", "inputs": ["in"], "outputs": ["o", "d"]}}}'
    echo 1 > in
    runs a
    ac_file=$(echo "$V1"/ac/*/*)
}

# runs STEPS: after the outputs were removed exactly these are executed, and everything is right.
runs() {
    rm -rf o d
    kiln 0 run --json
    assert_eq "$(ran)" "$1" "executed ($CASE)"
    cmp in o || fail "o is wrong ($CASE)"
    assert_file d/e/f "within"$'\n'"$(cat in)"
}
CASE=

path_of() { # DIGEST
    echo "$V1/cas/${1:0:2}/$1"
}

digest_of() {
    sha256sum | cut -c 1-64
}

# names FILE PROBLEM WHAT_WAS_DONE: so says the verify that ran.
names() {
    assert_out "^${1#"$V1/"}: .*($2).*: $3\$"
}

all_right() {
    kiln 0 cache verify
    assert_out 'all is right'
}

# damage HOW FILE [OTHER]
damage() {
    chmod u+w "$2"
    case $1 in
    flipped) head -c 1 "$2" | tr '\0-\377' '\1-\377\0' | dd of="$2" conv=notrunc status=none ;;
    middle) printf 'kiln' | dd of="$2" bs=1 seek=$(($(stat -c %s "$2") / 2)) conv=notrunc status=none ;;
    short) truncate -s -1 "$2" ;;
    empty) : > "$2" ;;
    garbage) head -c "$(stat -c %s "$2")" /dev/urandom > "$T/garbage"; cat "$T/garbage" > "$2" ;;
    unsealed) truncate -s -35 "$2" ;; # as another version, or Bazel, would write it
    swapped) cat "$3" > "$2" ;;
    gone) rm -f "$2" ;;
    esac
    [ ! -e "$2" ] || chmod 444 "$2"
}

test_content() {
    local how file within log listing blob
    setup_project
    file=$(path_of "$(digest_of < o)")
    within=$(path_of "$(digest_of < d/e/f)")
    log=$(path_of "$(echo said | digest_of)")
    listing=$(find "$V1/cas" -type f ! -path "$file" ! -path "$within" ! -path "$log")
    echo other > "$T/swap"
    for how in flipped short empty swapped; do
        for blob in "$file" "$within" "$listing"; do
            CASE="$how $blob"
            damage $how "$blob" "$T/swap"
            runs a
            ls "$V1/bad/${blob##*/}".cas-* > /dev/null || fail "it was not set aside ($CASE)"
            rm -r "$V1/bad"
        done
        for blob in "$file" "$within" "$listing" "$log"; do
            damage $how "$blob" "$T/swap"
        done
        kiln 1 cache verify
        for blob in "$file" "$within" "$listing" "$log"; do
            names "$blob" 'its content has another digest|it is empty' 'set aside'
        done
        names "$ac_file" 'not all of its output "d" is there' 'set aside'
        all_right
        CASE="$how, after verify"
        runs a
    done
    all_right
    runs ""
}

test_results() {
    local how other
    setup_project
    echo 2 > in
    runs a
    other=$(find "$V1/ac" -type f ! -path "$ac_file")
    echo 1 > in
    for how in flipped short empty garbage unsealed swapped; do
        CASE=$how
        damage $how "$ac_file" "$other"
        runs a
        ls "$V1/bad/${ac_file##*/}".ac-* > /dev/null || fail "it was not set aside ($CASE)"
        damage $how "$ac_file" "$other"
        kiln 1 cache verify
        names "$ac_file" 'it is damaged, or the result of another action|it is empty' 'set aside'
        runs a
        rm -r "$V1/bad"
    done
    all_right
}

# A result whose content is gone.
test_dangling_results() {
    local blob
    setup_project
    for blob in "$(digest_of < o)" "$(digest_of < d/e/f)"; do
        CASE=$blob
        damage gone "$(path_of "$blob")"
        runs a
        damage gone "$(path_of "$blob")"
        kiln 1 cache verify
        names "$ac_file" 'its output' 'set aside'
        all_right
        runs a
    done
    damage gone "$(path_of "$(echo said | digest_of)")"
    runs "" # the log is all it lacks
    kiln 1 cache verify
    names "$ac_file" 'its log is not there' 'set aside'
    runs a
    all_right
}

# Damage to what is known of the files makes them be read again; an edit counts all the same.
test_stat_caches() {
    local how stat other n=1
    setup_project
    stat=$(echo "$V1"/stat/*)
    cp -r "$P" "$T/other"
    kiln 0 run -C "$T/other"
    other=$(find "$V1/stat" -type f ! -path "$stat")
    for how in middle short empty garbage swapped; do
        CASE=$how
        damage $how "$stat" "$other"
        n=$((n + 1))
        echo $n > in
        runs a
        damage $how "$stat" "$other"
        kiln 1 cache verify
        names "$stat" 'it is damaged, or of another version|it is of another project' 'removed'
        runs ""
        damage $how "$stat" "$other"
        kiln 0 run --rehash --json
        assert_eq "$(ran)" ""
        all_right
        assert_out ' 2 stat caches '
    done
}

# The same folder, by name, with other files in it: of the same names, sizes and times, as a copy has them.
test_a_stat_cache_of_another_machine() {
    local stat
    setup_project
    touch -d '2020-01-01' in
    runs ""
    stat=$(echo "$V1"/stat/*)
    cp "$stat" "$T/stat"
    cp -a "$P" "$T/copy"
    mv "$P" "$T/before"
    mv "$T/copy" "$P"
    cd "$P"
    echo 2 > in
    touch -d '2020-01-01' in
    cp "$T/stat" "$stat"
    runs a
    echo 1 > in
    touch -d '2020-01-01' in
    runs ""
    all_right
}

run_tests
