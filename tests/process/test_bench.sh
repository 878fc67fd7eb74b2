#!/usr/bin/env bash
# The benchmarks as a tool: they run, and make a table. What they find is nobody's business here.
. "$(dirname "$0")/lib.sh"

bench() { # EXIT ARGUMENT...
    local want=$1
    shift
    RC=0
    TMPDIR=$T KILN=$KILN timeout -k 5 120 "$SOURCE_DIR/bench/run" "$@" > "$T/out" 2> "$T/err" < /dev/null || RC=$?
    [ "$RC" -eq "$want" ] || fail "bench/run $*: exit $RC, not $want"
}

test_a_table() {
    # ninja and make alone: what else is installed here must not matter.
    bench 0 --quick --no-install --runs 1 --peers ninja,make --only 1,5
    assert_out '^\| 1 \| kiln run, nothing to do, 200 files, 10 steps ≤ 0.5 × ninja -j2 \| [0-9.]+ × ninja -j2 \| (PASS|\*\*MISSED\*\*) \|$'
    assert_out '^\| 50 × /bin/true \| kiln run -j 2 \| 1 \| [0-9.]+ ms \|'
    assert_out '^\| 50 × /bin/true, again \| kiln run -j 2 \|'
    assert_out '^Absent: turbo \(left out by --peers\)\.$'
    [ -z "$(ls -d "$T"/kiln-bench.* 2> /dev/null)" ] || fail "its trees are still there"
}

test_what_it_does_not_know() {
    bench 2 --only 99
    assert_err 'there is no row 99'
    bench 2 --frobnicate
    bench 2 --quick --write
    bench 0 --list
    assert_out '^8  Growth'
    bench 0 --help
    assert_out '^bench/run|^  bench/run'
}

# Every row has its section and its place in the page, and the page no place without a row.
test_places_in_the_page() {
    local row
    for row in "$SOURCE_DIR"/bench/rows/*.sh; do
        row=$(basename "$row" .sh)
        grep -qxF "<!-- bench: row $row -->" "$SOURCE_DIR/docs/benchmarks.md" || fail "docs/benchmarks.md has no place for row $row"
    done
    assert_eq "$(grep -c '^<!-- bench: row' "$SOURCE_DIR/docs/benchmarks.md")" "$(ls "$SOURCE_DIR"/bench/rows/*.sh | wc -l)"
    assert_eq "$(grep -cx '<!-- bench: end -->' "$SOURCE_DIR/docs/benchmarks.md")" \
        "$(grep -c '^<!-- bench: [^e]' "$SOURCE_DIR/docs/benchmarks.md")"
}

run_tests
