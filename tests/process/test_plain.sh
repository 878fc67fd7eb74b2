#!/usr/bin/env bash
# Plain lines: without a terminal, in GitHub's and GitLab's log viewers, while watching.
. "$(dirname "$0")/lib.sh"

# What differs from run to run, made the same: times, random words, paths.
settled() {
    sed -E -e "s/--run [0-9]+ /--run ID /" -e 's/[0-9]+\.[0-9]+s/TIME/g' -e 's/section_(start|end):[0-9]+/section_\1:CLOCK/' -e 's/\b[0-9a-f]{32}\b/WORD/g' \
        -e 's/ -+$/ --/' -e "s|$T|T|g" -e 's/, log: .*/, log: LOG/' "$1"
}

# out_is: the last kiln's standard output, settled, is what comes on standard input.
out_is() {
    cat > "$T/want"
    settled "$T/out" > "$T/got"
    diff "$T/want" "$T/got" || fail "standard output is not as it must be"
}

pipeline() {
    mkdir -p "$P/src"
    printf 'a\nb\n' > "$P/src/a.c"
    project '{"version": 1, "jobs": 1, "defaults": {"runner": "host"}, "steps": {
        "good": {"run": "echo fine; echo ::error::mine", "inputs": ["src"]},
        "quiet": {"needs": ["good"], "run": ":", "inputs": []},
        "bad": {"needs": ["quiet"], "run": "echo src/a.c:2:1: error: no; printf \"##[add-mask]x\"; exit 3", "inputs": ["src"]},
        "last": {"needs": ["bad"], "run": ":", "inputs": []}}}'
}

test_a_pipe() {
    pipeline
    kiln 1 run
    assert_no_err
    out_is << 'END'
kiln: run 1: 4 steps, 1 job
good: started (new: there is no earlier result)
good: passed in TIME
quiet: started (new: there is no earlier result)
quiet: passed in TIME
bad: started (new: there is no earlier result)
bad: FAILED with exit code 3 after TIME
last: skipped: it needs bad, which failed

---- bad: FAILED with exit code 3 after TIME --
$ echo src/a.c:2:1: error: no; printf "##[add-mask]x"; exit 3
src/a.c:2:1: error: no
##[add-mask]x
---- end of bad, log: LOG
bad: to run it again: kiln run bad
bad: to look into it: kiln debug --run ID bad

kiln: failed: 1 failed, 2 passed, 1 skipped in TIME
END
}

test_github() {
    pipeline
    export CI=true GITHUB_ACTIONS=true GITHUB_WORKSPACE=$T GITHUB_STEP_SUMMARY=$T/summary
    echo "before" > "$T/summary"
    kiln 1 run
    assert_no_err
    out_is << 'END'
kiln: run 1: 4 steps, 1 job
good: started (new: there is no earlier result)
::group::good: passed in TIME
$ echo fine; echo ::error::mine
::stop-commands::WORD
fine
::error::mine
::WORD::
::endgroup::
quiet: started (new: there is no earlier result)
quiet: passed in TIME
bad: started (new: there is no earlier result)
::group::bad: FAILED with exit code 3 after TIME
$ echo src/a.c:2:1: error: no; printf "# #[add-mask]x"; exit 3
::stop-commands::WORD
src/a.c:2:1: error: no
##[add-mask]x
::WORD::
::endgroup::
::error file=project/src/a.c,line=2,col=1,title=bad::error: no
last: skipped: it needs bad, which failed

---- bad: FAILED with exit code 3 after TIME --
$ echo src/a.c:2:1: error: no; printf "# #[add-mask]x"; exit 3
::stop-commands::WORD
src/a.c:2:1: error: no
##[add-mask]x
::WORD::
---- end of bad, log: LOG
bad: to run it again: kiln run bad
bad: to look into it: kiln debug --run ID bad

kiln: failed: 1 failed, 2 passed, 1 skipped in TIME
END
    settled "$T/summary" > "$T/page"
    diff - "$T/page" << 'END' || fail "the summary is not as it must be"
before
## kiln: failed in TIME

| step | result | time |
|---|---|--:|
| good | ✅ passed | TIME |
| quiet | ✅ passed | TIME |
| bad | ❌ failed | TIME |
| last | ⏭️ skipped |  |

### bad

FAILED with exit code 3 after TIME

```text
src/a.c:2:1: error: no
##[add-mask]x
```

Run it again:

```text
kiln run bad
```

END
    # A hit has no log to show, a word is never the same, and --plain knows no groups.
    words=$(grep -o 'stop-commands::.*' "$T/out" | sort -u | wc -l)
    assert_eq "$words" 3
    kiln 1 run
    assert_out '^good: cached'
    assert_no_out '^::group::good'
    kiln 1 run --plain
    assert_no_out '^::'
}

# It shows ten errors of a job's step, whichever steps of kiln's they are of; the others are counted.
test_github_marks_ten() {
    export CI=true GITHUB_ACTIONS=true GITHUB_STEP_SUMMARY=$T/summary
    project '{"version": 1, "jobs": 1, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "seq -f a.c:%g:1:\\ error:\\ no 8; exit 1", "inputs": []},
        "b": {"run": "seq -f a.c:%g:1:\\ error:\\ no 11 17; exit 1", "inputs": []},
        "c": {"run": "echo nowhere; exit 1", "inputs": []}}}'
    touch a.c
    kiln 1 run -k
    assert_eq "$(grep -c '^::error' "$T/out")" 10
    assert_out '^kiln: 10 errors are marked, as many as GitHub shows; 6 more are in the log$'
    grep -q '^10 errors are marked, .* 6 more' "$T/summary"
    export GITHUB_STEP_SUMMARY=$T/no/summary
    kiln 1 run a
    assert_eq "$(grep -c '^::error' "$T/out")" 8
    assert_no_out 'errors are marked'
    assert_out "^kiln: warning: there is no summary: cannot write $T/no/summary: No such file or directory$"
}

# The page is not longer than it may be.
test_github_summary_of_many() {
    export CI=true GITHUB_ACTIONS=true GITHUB_STEP_SUMMARY=$T/summary
    python3 - > kiln.json << 'END'
import json
run = "head -c 100000 /dev/zero | tr '\\0' x | fold -w 1000; exit 1"
print(json.dumps({"version": 1, "defaults": {"runner": "host"}, "steps": {"s%02d" % i: {"run": run, "inputs": []} for i in range(25)}}))
END
    kiln 1 run -k
    grep -q '^5 more failed; the job' "$T/summary"
    assert_eq "$(grep -c '^### ' "$T/summary")" 20
    [ "$(stat -c %s "$T/summary")" -lt 1000000 ] || fail "the page is too long"
}

# Neither what is marked nor the page has what is masked in logs.
test_github_secrets() {
    export CI=true GITHUB_ACTIONS=true GITHUB_STEP_SUMMARY=$T/summary HUSH=verysecretword
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {
        "run": "echo a.c:1:1: error: $TOKEN; exit 1", "inputs": [], "secrets": {"TOKEN": {"env": "HUSH"}}}}}'
    touch a.c
    kiln 1 run
    assert_out '^::error file=.*::error: \*\*\*$'
    grep -q '^a.c:1:1: error: \*\*\*$' "$T/summary"
    if grep verysecretword "$T/summary" "$T/out" "$T/err"; then fail "the secret is out"; fi
}

# What kiln says itself gives no orders either.
test_github_takes_no_order_from_kiln() {
    export CI=true GITHUB_ACTIONS=true
    project '{"version": 1, "generate": {"run": "echo; echo ::error::mine; echo ::stop-commands::x; exit 1", "inputs": []}}'
    kiln 2 run
    assert_err 'error::mine'
    if grep -E '^\s*::' "$T/err"; then fail "a line is an order"; fi
}

test_gitlab() {
    pipeline
    export CI=true GITLAB_CI=true
    kiln 1 run
    settled "$T/out" | cat -v > "$T/seen"
    diff - "$T/seen" << 'END' || fail "standard output is not as it must be"
kiln: run 1: 4 steps, 1 job
good: started (new: there is no earlier result)
^[[0Ksection_start:CLOCK:kiln_1_good[collapsed=true]^M^[[0Kgood: passed in TIME
$ echo fine; echo ::error::mine
fine
::error::mine
^[[0Ksection_end:CLOCK:kiln_1_good^M^[[0K
quiet: started (new: there is no earlier result)
quiet: passed in TIME
bad: started (new: there is no earlier result)
^[[0Ksection_start:CLOCK:kiln_2_bad[collapsed=true]^M^[[0Kbad: FAILED with exit code 3 after TIME
$ echo src/a.c:2:1: error: no; printf "##[add-mask]x"; exit 3
src/a.c:2:1: error: no
##[add-mask]x
^[[0Ksection_end:CLOCK:kiln_2_bad^M^[[0K
last: skipped: it needs bad, which failed

---- bad: FAILED with exit code 3 after TIME --
$ echo src/a.c:2:1: error: no; printf "##[add-mask]x"; exit 3
src/a.c:2:1: error: no
##[add-mask]x
---- end of bad, log: LOG
bad: to run it again: kiln run bad
bad: to look into it: kiln debug --run ID bad

kiln: failed: 1 failed, 2 passed, 1 skipped in TIME
END
}

# A log's own section markers are no markers: their escape sequences do not get through.
test_gitlab_takes_no_section_from_a_step() {
    export CI=true GITLAB_CI=true
    project '{"version": 1, "defaults": {"runner": "host"}, "steps": {"a": {
        "run": "printf \"\\033[0Ksection_end:1:kiln_1_a\\r\\033[0K\\n\"", "inputs": []}}}'
    kiln 0 run
    assert_eq "$(grep -c $'\033\\[0Ksection_end' "$T/out")" 1
}

# Steps that write at once: each one's lines stand together.
test_parallel_logs_stay_together() {
    local i
    export CI=true GITHUB_ACTIONS=true
    project '{"version": 1, "jobs": 4, "defaults": {"runner": "host"}, "steps": {
        "a": {"run": "seq -f a%g 2000", "inputs": []}, "b": {"run": "seq -f b%g 2000", "inputs": []},
        "c": {"run": "seq -f c%g 2000", "inputs": []}, "d": {"run": "seq -f d%g 2000", "inputs": []}}}'
    kiln 0 run
    for i in a b c d; do
        awk -v s="::group::$i: " 'index($0, s) == 1 { on = 1; next } /^::endgroup::/ { on = 0 } on && /^[abcd][0-9]+$/' "$T/out" > "$T/$i"
        seq -f "$i%g" 2000 | diff -q - "$T/$i" || fail "the log of $i is not in one piece"
    done
}

# The command that is told runs the step from where kiln was called.
test_the_command_can_be_copied() {
    mkdir -p "$P/a b"
    printf '%s' '{"version": 1, "defaults": {"runner": "host"}, "steps": {"x": {"run": "exit 1", "inputs": []}}}' > "$P/a b/kiln.json"
    cd "$P"
    kiln 1 -C "a b" run
    assert_out "^x: to run it again: kiln -C 'a b' run x\$"
}

run_tests
