#!/usr/bin/env bash
# A person's way from a red step to a commit: held where it failed, mended inside, taken back, tried again, and the half
# of the work that was meant committed through the hook. Skipped where there is no tmux.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tmux.sh"

# A C project whose test fails, for the sum of nothing counts one too many.
a_project() {
    project '{"version": 1, "name": "sums", "steps": {
        "test": {"run": "cc -Wall -Werror -o sums src/*.c && ./sums", "inputs": ["src"]},
        "lint": {"run": "! grep -n TODO src/*.c", "inputs": ["src"]}}}'
    mkdir -p src
    printf '%s\n' '#include "sum.h"' '' 'int sum(const int *v, int n)' '{' '    int total = 0;' \
        '    for (int i = 0; i <= n; i++)' '        total += v[i];' '    return total;' '}' > src/sum.c
    echo 'int sum(const int *v, int n);' > src/sum.h
    printf '%s\n' '#include "sum.h"' '#include <stdio.h>' 'int main(void)' '{' '    const int v[] = {2, 3, 5, 100};' \
        '    int got = sum(v, 3);' '    if (got != 10)' '        printf("src/sum.c:6: error: %d, not 10\n", got);' \
        '    return got != 10;' '}' > src/test.c
    printf '%s\n' 'Adds' 'up' 'numbers,' 'and' 'that' 'is' 'all' 'that' 'it' 'does' > NOTES
    git_project
}

shell_says() { # TEXT COMMAND: in the pane's shell, which says TEXT some time
    types "$2"
    tm send-keys Enter
    wait_for shows "$1"
}

test_from_red_to_a_commit() {
    boxes || return 0
    a_project
    kiln 0 hook install
    pane 200 60
    types '"$KILN" 2> $T/err; echo ended $?'
    tm send-keys Enter
    wait_for shows 'error: 110, not 10'
    wait_for shows '✗1 failed'

    # Held where it fails, from now on.
    types B
    types 1ggr
    wait_for shows 'PAUSED at test'
    wait_for shows 'it failed'

    # Exactly there, with its command in the history.
    types s
    wait_for shows ':/src$'
    tm send-keys Up
    wait_for shows 'cc -Wall -Werror -o sums src/*.c && ./sums'
    tm send-keys C-u
    shell_says 'mended 0' "sed -i 's/<= n/< n/' src/sum.c; cc -o sums src/*.c && ./sums; echo mended \$?"
    types exit
    tm send-keys Enter
    wait_for shows 'PAUSED at test'
    grep -q '<= n' src/sum.c || fail "the project was written to"

    # What was changed there, and back with it.
    types d
    wait_for shows '+     for (int i = 0; i < n; i++)'
    types D
    wait_for shows '1 file taken into the working tree'
    grep -q '< n' src/sum.c || fail "nothing was taken: $(cat src/sum.c)"
    types r
    wait_for hides 'PAUSED at test'
    wait_for shows 'passed in'
    wait_for shows '✓2 passed'
    types q
    wait_for shows 'ended 0'

    # Two changes, of which one is meant.
    sed -i -e 's/^Adds/Sums/' -e 's/^does/does, I think/' NOTES
    echo '// TODO' >> src/test.c
    git add src/sum.c
    printf 'y\nn\n' | git add -p NOTES > "$T/add"
    git diff > "$T/left"
    cp NOTES "$T/notes"
    shell_says 'committed 0' 'clear; git commit -qm Count; echo committed $?'
    shows 'cached' || shows 'passed' || fail "$(screen)"
    assert_eq "$(git show --format= -U0 | grep '^[+-][^+-]')" "-Adds
+Sums
-    for (int i = 0; i <= n; i++)
+    for (int i = 0; i < n; i++)"
    git diff | cmp - "$T/left"
    cmp NOTES "$T/notes"

    # And what does not pass is not committed.
    shell_says 'committed 1' 'clear; git commit -qam All; echo committed $?'
    wait_for shows 'kiln debug --run'
    assert_eq "$(git log -1 --format=%s)" Count
    usable
}

run_tests
