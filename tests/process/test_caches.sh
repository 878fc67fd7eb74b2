#!/usr/bin/env bash
# Cache directories of isolated steps: kept from run to run, in no key, for one or several steps at a time; and
# secrets as files there.
. "$(dirname "$0")/lib.sh"

kept() {
    project '{"version": 1, "steps": {"a": {"runner": "sandbox", "inputs": ["in"],
        "run": "echo x >> /var/cache/mine/log; wc -l < /var/cache/mine/log; touch /var/cache/mine/$(cat in)",
        "caches": {"/var/cache/mine": "mine"}}}}'
    echo 1 > in
    mine
    kiln 0 run
    kiln 0 logs a
    assert_out '^1$'
    kiln 0 run
    assert_out "a: cached"
    echo 2 > in
    mine
    kiln 0 run
    kiln 0 logs a
    assert_out '^2$'
    # It is in no key: another name is not another step.
    sed -i 's/"mine"}/"other"}/' kiln.json
    mine
    kiln 0 run
    assert_out "a: cached"
    assert_eq "$(find "$XDG_CACHE_HOME/kiln/v1/mounts" -name 2 | wc -l)" 1
}
test_kept() { as_both kept; }

# What cannot be made in the sandbox is refused where it is written; all else is there, one in the other too.
places() {
    local place
    for place in /usr /etc /bin /sbin /lib /lib64 /opt /nix; do
        project "$(jq -n --arg p "$place/x/y" '{version: 1, steps: {a: {run: "true", inputs: [], caches: {($p): "x"}}}}')"
        mine
        kiln 2 run
        assert_err "^kiln: kiln.json:8:9: step \"a\": the path of cache \"$place/x/y\" lies in $place, which in the sandbox"
    done
    echo in > in
    export GIVEN=a-secret-value
    project '{"version": 1, "steps": {
        "all": {"inputs": ["in"], "outputs": ["out"], "secrets": {"/c/d/key": {"env": "GIVEN"}, "/root/.npmrc": {"env": "GIVEN"}, "/new": {"env": "GIVEN"}, "/tmp/home/.k/k": {"env": "GIVEN"}},
            "caches": {"/c": "c", "/c/d": "d", "/src/node_modules": "m", "/var/cache/x/y": "y", "/run/z": "z", "/var/tmp/t": "t", "/tmp/home/.cache": "h"},
            "run": "for i in /c /c/d /src/node_modules /var/cache/x/y /run/z /tmp/t /tmp/home/.cache; do echo x >> $i/n; wc -l < $i/n; done > out; cat /c/d/key /root/.npmrc /new /tmp/home/.k/k | wc -c >> out; touch /tmp/home/.k/x; mkdir -p /tmp/home/.config"},
        "other": {"needs": ["all"], "inputs": ["in"], "caches": {"/c/d/e": "c"}, "run": "cat /c/d/e/n"}}}'
    mine
    kiln 0 run
    assert_file out "1
1
1
1
1
1
1
56"
    [ ! -e node_modules ] || fail "a cache directory came into the project"
    kiln 0 run --force
    assert_eq "$(head -n 1 out)" 2
    # An input stands there, which only the run can tell.
    project '{"version": 1, "steps": {"a": {"inputs": ["in"], "run": "true", "caches": {"/run/z": "z", "/src/in/x": "x"}}}}'
    mine
    kiln 3 run
    assert_out "^a: FAILED.*: its cache directory /src/in/x cannot be put there: .*Not a directory; choose another place"
}
test_places() { as_both places; }

# Two steps that add to a file by reading it first: only one at a time does no harm.
locked() {
    project "$(jq -n '{version: 1, steps: ([range(4)] | map({key: "s\(.)", value: {runner: "sandbox", inputs: [], env: {ME: "\(.)"},
        run: "cd /c; n=$(cat n 2>/dev/null || echo 0); sleep 0.1; echo $((n + 1)) > n", caches: {"/c": {name: "c", sharing: "locked"}}}})
        | from_entries)}')"
    mine
    kiln 0 run -j4
    assert_file "$(find "$XDG_CACHE_HOME/kiln/v1/mounts" -name n)" 4
    assert_out "waits for the cache directory \"c\", which is in use"
}
test_locked() { as_both locked; }

# Steps that wait for each other run at once: both see the shared directory, each has a private one.
together() {
    local meet='touch /s/$ME /p/$ME; until [ -e /s/a ] && [ -e /s/b ]; do sleep 0.05; done; ls /p | wc -l'
    project "$(jq -n --arg run "$meet" '{version: 1, steps: (["a", "b"] | map({key: ., value: {runner: "sandbox", inputs: [],
        run: $run, timeout: "60s", env: {ME: .}, caches: {"/s": {name: "s"}, "/p": {name: "p", sharing: "private"}}}}) | from_entries)}')"
    mine
    kiln 0 run -j2
    for step in a b; do
        kiln 0 logs $step
        assert_out '^1$'
    done
}
test_together() { as_both together; }

# A failure of the past has those of its project, and leaves none of its own.
past() {
    project '{"version": 1, "steps": {"a": {"runner": "sandbox", "inputs": [], "run": "echo before > /c/x; false",
        "caches": {"/c": "mine"}}}}'
    mine
    kiln 1 run
    kiln 0 debug --run 1 a --command 'cat /c/x'
    assert_file "$T/out" before
    assert_eq "$(find "$XDG_CACHE_HOME/kiln/v1/mounts" -name data | wc -l)" 1
}
test_past() { as_both past; }

stats_and_clear() {
    project '{"version": 1, "steps": {"a": {"runner": "sandbox", "inputs": [], "run": "head -c 100000 /dev/zero > /c/x; touch /d/y",
        "caches": {"/c": "big", "/d": "small"}}}}'
    mine
    kiln 0 run
    kiln 0 cache stats
    assert_out "^  and cache directories of steps: "
    assert_out "^    big +[0-9.]+ KiB, used .* ago, of .*project"
    assert_out "^    small "
    kiln 0 cache stats --json
    assert_eq "$(jq -r '.mounts | map(.name) | sort | join(" ")' "$T/out")" "big small"
    assert_eq "$(jq -r '.mounts | map(.project) | unique | .[0]' "$T/out")" "$(realpath "$P")"
    kiln 0 cache clear --yes
    assert_eq "$(find "$XDG_CACHE_HOME/kiln/v1/mounts" -name x -o -name y | wc -l)" 2
    kiln 2 cache clear --caches=bog --yes
    assert_err "there is no cache directory \"bog\"; did you mean \"big\"\?"
    kiln 0 cache clear --caches=big --yes
    assert_out "removed the cache directory \"big\""
    assert_eq "$(find "$XDG_CACHE_HOME/kiln/v1/mounts" -name x -o -name y | wc -l)" 1
    kiln 0 cache clear --caches --yes
    assert_eq "$(find "$XDG_CACHE_HOME/kiln/v1/mounts" -name x -o -name y | wc -l)" 0
    kiln 2 cache stats --caches
}
test_stats_and_clear() { as_both stats_and_clear; }

secret_file() {
    project '{"version": 1, "steps": {"a": {"runner": "sandbox", "inputs": [], "outputs": ["out"],
        "run": "stat -c %a /run/secrets/key; wc -c < /run/secrets/key; cat /run/secrets/key; echo $TOKEN; ! echo x >> /run/secrets/key; echo ok > out",
        "secrets": {"/run/secrets/key": {"file": "key"}, "TOKEN": {"env": "GIVEN"}}}}}'
    printf 'key-in-a-file\nof two lines\n' > key
    mine
    GIVEN=in-a-variable kiln 0 run
    kiln 0 logs a
    assert_out '^444$'
    assert_out '^27$'
    assert_eq "$(grep -c '\*\*\*' "$T/out")" 2
    if grep -rsF -e key-in-a-file -e "of two lines" -e in-a-variable "$HOME" "$T/out" "$T/err"; then
        fail "a secret is there"
    fi
    GIVEN=in-a-variable kiln 0 run
    assert_out "a: cached"
    echo another-key > key
    GIVEN=in-a-variable kiln 0 explain a
    assert_out "^  env +/run/secrets/key +changed +\(the secret is another one\)"
}
test_secret_file() { as_both secret_file; }

run_tests "$@"
