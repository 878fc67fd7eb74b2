#!/usr/bin/env bash
# kiln init: a project without a kiln.json gets one that works.
. "$(dirname "$0")/lib.sh"

test_a_written_pipeline_runs() {
    cd "$P"
    printf 'x: x.c\n\t$(CC) -o x x.c\ntest: x\n\t./x\n' > Makefile
    printf '#include <stdio.h>\nint main(void) { return puts("mine") < 0; }\n' > x.c
    kiln 0 init
    assert_no_err
    assert_out '^found  make \(Makefile\): test$'
    assert_out "^wrote  $P/kiln.json\$"
    assert_out '^next   kiln run '
    kiln 0 run --json
    assert_eq "$(ran)" test
    assert_match "$(step_log test)" 'mine'
    kiln 0 run --json
    assert_eq "$(ran)" ""
    # What a reader of the project may change without a step running.
    echo "// more" >> kiln.json
    kiln 0 run --json
    assert_eq "$(ran)" ""
    sed -i s/mine/yours/ x.c
    kiln 0 run --json
    assert_eq "$(ran)" test
    assert_match "$(step_log test)" 'yours'
}

# The runner that is chosen works here; where nothing can be isolated the reason stands beside it.
test_the_runner_is_one_that_works() {
    cd "$P"
    printf 'all:\n\techo here\n' > Makefile
    KILN_RUNTIME=/nowhere kiln 0 init
    assert_out '^       on the host: this machine does not allow isolated steps; "kiln doctor" says why'
    grep -q '"defaults": {"runner": "host"}' kiln.json || fail "the runner is not the host"
    grep -q '// make, by Makefile. On the host: this machine does not allow' kiln.json || fail "the reason is missing"
    KILN_RUNTIME=/nowhere kiln 0 run --json
    assert_eq "$(ran)" build
    boxes || return 0
    rm kiln.json
    kiln 0 init
    grep -q '"defaults": {"runner": "sandbox"}' kiln.json || fail "the runner is not the sandbox"
    kiln 0 run --json
    assert_eq "$(ran)" build
}

test_nothing_is_overwritten() {
    cd "$P"
    echo mine > kiln.json
    kiln 2 init
    assert_err 'kiln.json is there already, and is left as it is; "kiln init --dry-run" shows what would be written'
    assert_file kiln.json mine
    kiln 0 init --dry-run
    assert_no_err
    assert_file kiln.json mine
    rm kiln.json
    ln -s nowhere kiln.json
    kiln 2 init
    assert_no_file nowhere
}

test_dry_run_only_prints() {
    cd "$P"
    kiln 0 init --dry-run
    assert_no_err
    assert_no_file kiln.json
    cp "$T/out" kiln.json
    kiln 0 run --json
    assert_eq "$(ran)" hello
    assert_eq "$(step_log hello)" hello
    kiln 2 init --dry-run more
}

test_nothing_found() {
    cd "$P"
    kiln 0 init
    assert_out '^found  nothing that kiln knows how to build'
    kiln 0 run --json
    assert_eq "$(ran)" hello
}

test_where_it_goes() {
    mkdir -p "$P/sub"
    git -C "$P" init -q
    cd "$P"
    kiln 0 -C sub init
    assert_no_file kiln.json
    [ -f sub/kiln.json ] || fail "it is not in the directory that was named"
    assert_out "^note|^wrote  $P/sub/kiln.json"
}

test_a_directory_that_cannot_be_written() {
    unprivileged || return 0
    cd "$P"
    chmod 555 "$P"
    kiln 3 init
    assert_err 'cannot make .*/kiln.json: Permission denied'
}

# The command that is told where there is no pipeline.
test_the_remedy_is_told() {
    cd "$P"
    kiln 2 run
    assert_err 'no kiln.json in .*; "kiln init" writes one'
    kiln 2
    assert_err '"kiln init" writes one'
}

run_tests
