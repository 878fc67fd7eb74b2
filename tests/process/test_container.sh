#!/usr/bin/env bash
# Steps in containers, on images from a registry on loopback, as whoever runs this and, where that is root, as an
# ordinary user too.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/registry.sh"

have_registry || exit 0

pipeline() {
    busybox_layer base
    image "$T/oci" one '{"Env": ["GREETING=hello", "PATH=/bin"]}' base
    registry_start
    push "$T/oci:one" team/base:1
    echo text > in
    project '{"version": 1, "steps": {
        "see": {"image": "'"$REGISTRY"'/team/base:1", "inputs": ["in"], "outputs": ["out"],
                "run": "echo $GREETING $HOME $LANG > out; pwd >> out; id -u >> out; ls >> out; cat in >> out; echo $PATH >> out"},
        "use": {"needs": ["see"], "run": "cat out > last", "inputs": [], "outputs": ["last"]}}}'
    mine
    kiln 0 run --json
    assert_eq "$(ran)" "see use"
    assert_eq "$(events 'select(.type == "step.started" and .step == "see") | .runner')" container
    assert_file last "hello /root C.UTF-8
/src
0
in
out
text
/bin"
    assert_match "$(cat kiln.lock)" "team/base:1"
    mv kiln.lock "$T/lock"
    kiln 0 plan
    assert_out '^0 of 2 would run, 2 wait for images that kiln.lock does not have yet$'
    mv "$T/lock" kiln.lock
    # kiln.lock is no input; nobody is asked again, and a cached step needs no image.
    kiln 0 run --json
    assert_eq "$(ran)" ""
    rm -rf "$XDG_CACHE_HOME/kiln/v1/layers" "$XDG_CACHE_HOME/kiln/v1/images"
    KILN_SKOPEO=no-such-skopeo kiln 0 run --json
    assert_eq "$(ran)" ""
    kiln 0 plan --json
    assert_eq "$(jq -r '.steps[0].state' "$T/out")" cached
    # The tag moves: nothing happens until somebody wants it to.
    image "$T/oci" two '{"Env": ["GREETING=good day", "PATH=/bin"]}' base
    push "$T/oci:two" team/base:1
    mine
    kiln 0 run --json
    assert_eq "$(ran)" ""
    kiln 0 run --json --update-images
    assert_eq "$(ran)" "see use"
    assert_match "$(cat last)" "^good day "
    assert_eq "$(reasons see)" "settings image"
    # With all there it works without a network, in a clone too.
    mkdir -p "$P/clone"
    cp in kiln.json kiln.lock clone
    echo other > clone/in
    mine
    cd clone
    KILN_SKOPEO=no-such-skopeo kiln 0 run --json
    assert_eq "$(ran)" "see use"
    cd "$P"
}

test_pipeline() { as_both pipeline; }

what_an_image_says() {
    busybox_layer base
    mkdir -p "$T/root/base/bin"
    printf '#!/bin/sh\necho entry "$@" > out\n' > "$T/root/base/bin/entry"
    chmod 755 "$T/root/base/bin/entry"
    layer base
    image "$P/oci" entry '{"Entrypoint": ["/bin/entry", "always"], "Env": ["PATH=/bin"]}' base
    project '{"version": 1, "steps": {
        "array": {"image": "oci:oci:entry", "inputs": [], "outputs": ["out"], "run": ["a", "b c"]},
        "text": {"image": "oci:oci:entry", "inputs": [], "outputs": ["text"], "run": "echo $A > text", "env": {"A": "set"}}}}'
    mine
    kiln 0 run --json
    assert_file out "entry always a b c"
    assert_file text set
    assert_no_file kiln.lock
    kiln 3 shell text --command 'echo $A; cat /etc/passwd; exit 3'
    assert_out '^set$'
    assert_out '^root:x:0'
}

# The image is the one of then, whatever its tag, and kiln.lock, say now.
a_failure_of_the_past() {
    busybox_layer base
    image "$T/oci" one '{"Env": ["GREETING=hello", "PATH=/bin"]}' base
    registry_start
    push "$T/oci:one" team/past:1
    echo text > in
    project '{"version": 1, "steps": {"s": {"image": "'"$REGISTRY"'/team/past:1", "inputs": ["in"], "env": {"A": "set"},
        "run": "cat in; exit 3"}}}'
    mine
    kiln 1 run
    image "$T/oci" two '{"Env": ["GREETING=good day", "PATH=/bin"]}' base
    push "$T/oci:two" team/past:1
    echo other > in
    mine
    kiln 1 run --update-images
    cp kiln.lock "$T/lock"
    kiln 4 debug --run 1 s --command 'echo "$GREETING $A"; cat in; pwd; id -u; exit 4'
    assert_eq "$(paste -sd " " "$T/out")" "hello set text /src 0"
    kiln 0 debug --run 2 s --command 'echo "$GREETING $A"; cat in'
    assert_eq "$(paste -sd " " "$T/out")" "good day set other"
    cmp kiln.lock "$T/lock"
}

test_a_failure_of_the_past() { as_both a_failure_of_the_past; }

test_what_an_image_says() { as_both what_an_image_says; }

test_an_image_that_is_not_there() {
    boxes || return 0
    registry_start
    project '{"version": 1, "steps": {
        "s": {"image": "'"$REGISTRY"'/no/such:1", "inputs": [], "run": "true"},
        "fine": {"run": "true", "inputs": []}}}'
    kiln 2 run --keep-going --json
    assert_eq "$(status s)" failed
    assert_eq "$(status fine)" passed
    assert_match "$(events 'select(.type == "step.finished" and .step == "s") | .error')" 'no/such:1'
    kiln 0 plan --json
    assert_eq "$(jq -r '.steps[] | select(.step == "s") | .state' "$T/out")" pending
    printf 'nonsense\n' > kiln.lock
    kiln 2 run --keep-going --json
    assert_match "$(events 'select(.type == "step.finished" and .step == "s") | .error')" 'kiln.lock:1'
}

test_ending_while_an_image_is_fetched() {
    boxes || return 0
    busybox_layer base
    image "$T/oci" one '{"Env": ["PATH=/bin"]}' base
    registry_start
    push "$T/oci:one" team/base:1
    project '{"version": 1, "steps": {"s": {"image": "'"$REGISTRY"'/team/base:1", "inputs": [], "run": "true"}}}'
    # While it is found out what the image is, and, with that known, while it is fetched.
    printf '#!/bin/sh\necho $$ > %s/skopeo\nexec sleep 1000\n' "$T" > "$T/slow"
    chmod 755 "$T/slow"
    local round pid
    for round in resolving fetching; do
        rm -f "$T/skopeo"
        KILN_SKOPEO=$T/slow "$KILN" run --json > "$T/out" 2> "$T/err" &
        pid=$!
        wait_for test -s "$T/skopeo"
        kill -INT "$pid"
        RC=0
        wait "$pid" || RC=$?
        assert_eq "$RC" 130 "$round: exit"
        assert_eq "$(status s)" cancelled "$round"
        wait_for gone "$(cat "$T/skopeo")"
        assert_eq "$(ls "$XDG_CACHE_HOME/kiln/v1/box" 2> /dev/null || :)" "" "boxes left"
        kiln 0 run
        rm -rf "$XDG_CACHE_HOME/kiln"
    done
}

both_taken_up() {
    [ "$(cat out)" = "3
two" ]
}

test_watching() {
    boxes || return 0
    busybox_layer base
    image "$T/oci" one '{"Env": ["A=one", "PATH=/bin"]}' base
    image "$T/oci" two '{"Env": ["A=two", "PATH=/bin"]}' base
    registry_start
    echo 1 > in
    project '{"version": 1, "steps": {"s": {"image": "'"$REGISTRY"'/team/base:1", "inputs": ["in"], "outputs": ["out"], "run": "cat in > out; echo $A >> out"}}}'
    watch_start
    assert_eq "$(status s "$T/round")" failed
    # What was not there is asked for again with the next run.
    push "$T/oci:one" team/base:1
    put in 2
    watch_idle
    assert_file out "2
one"
    # Somebody brings another kiln.lock, as a checkout does.
    push "$T/oci:two" team/base:1
    mkdir "$T/other"
    cp kiln.json in "$T/other"
    (cd "$T/other" && kiln 0 run)
    cp "$T/other/kiln.lock" "$T/lock"
    mv "$T/lock" kiln.lock
    put in 3
    wait_for both_taken_up # in one round, or in two
    watch_stop
}

# What a step gives to another user inside, and hides from everybody else, is its output all the same.
whose() {
    busybox_layer base
    image "$P/oci" one '{"Env": ["PATH=/bin"]}' base
    project '{"version": 1, "steps": {
        "own": {"image": "oci:oci:one", "inputs": [], "outputs": ["own"], "run": "id -u > own; busybox chmod 400 own"},
        "given": {"image": "oci:oci:one", "inputs": [], "outputs": ["given"],
            "run": "mkdir given; id -u > given/file; busybox chown -R 5:5 given; busybox chmod 600 given/file; busybox chmod 700 given"},
        "other": {"image": "oci:oci:one", "user": "1000:1000", "inputs": [], "outputs": ["other"], "run": "id -u > other"}}}'
    chown -R --reference="$T" "$P" "$HOME" 2> /dev/null || :
    # With a single id there is nobody to give anything to.
    if ! grep -q "^$1:" /etc/subuid 2> /dev/null && [ "$1" != root ]; then
        sed -i '/"given"/,+1d' kiln.json
    fi
    kiln 0 run
    assert_file own 0
    assert_file other 1000
    assert_eq "$(cat given/file 2> /dev/null || echo 0)" 0
    assert_eq "$(ls "$XDG_CACHE_HOME/kiln/v1/box")" "" "boxes left"
}

# An image whose steps are somebody with a home of their own in it: theirs is the home, the project and what kiln puts
# into it, root's is the rest. With a single id everything is theirs.
somebody() {
    local many=$1
    mkdir -p "$T/layers" "$T/root/user"/{bin,etc,home/web,opt}
    cp "$(command -v busybox)" "$T/root/user/bin/busybox"
    ln -s busybox "$T/root/user/bin/sh"
    printf 'root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/home/web:/bin/sh\n' > "$T/root/user/etc/passwd"
    printf 'root:x:0:\nweb:x:1001:\nmore:x:1002:web\n' > "$T/root/user/etc/group"
    echo config > "$T/root/user/home/web/.rc"
    tar --numeric-owner --owner=0 --group=0 -C "$T/root/user" --exclude=./home -cf "$T/layers/user.tar" .
    tar --numeric-owner --owner=1000 --group=1001 -C "$T/root/user" -rf "$T/layers/user.tar" ./home/web
    image "$P/oci" one '{"User": "web", "Env": ["PATH=/bin"]}' user
    mkdir -p src
    echo text > src/in
    project '{"version": 1, "steps": {
        "web": {"image": "oci:oci:one", "inputs": ["src"], "outputs": ["out", "src/made", "way/to/it"], "caches": {"/var/cache/x": "x"},
            "run": "for i in busybox; do $i id -u; $i id -g; $i stat -c %u:%g /home/web/.rc src/in /src /var/cache/x; done > out; echo $HOME >> out; busybox touch /home/web/new /var/cache/x/new; echo more >> src/in; echo x > src/made; echo x > way/to/it; busybox chmod 600 src/made; busybox stat -c %u /opt >> out; busybox rm -f /opt/x && ! busybox touch /opt/x 2> /dev/null && echo kept >> out; true"},
        "root": {"image": "oci:oci:one", "user": "root", "inputs": ["src"], "outputs": ["root"], "run": "busybox id -u > root; busybox stat -c %u /home/web/.rc src/in >> root; busybox touch /opt/x"}}}'
    chown -R --reference="$T" "$P" "$HOME" 2> /dev/null || :
    kiln 0 run
    if $many; then
        assert_file out '1000
1001
1000:1001
1000:1001
1000:1001
1000:1001
/home/web
0
kept'
        assert_file root '0
1000
0'
    else
        assert_eq "$(sed -n 1p out)" 1000
        assert_eq "$(sed -n 1p root)" 0
    fi
    assert_file src/made x
    assert_file way/to/it x
    assert_file src/in text
    kiln 0 run --json
    assert_eq "$(ran)" ""
    assert_eq "$(ls "$XDG_CACHE_HOME/kiln/v1/box")" "" "boxes left"
}

test_an_image_with_a_user() {
    boxes || return 0
    # Root has a range of ids in any case.
    if [ "$(id -u)" -eq 0 ]; then somebody true; else somebody false; fi
}

as_one_with_many_ids() {
    local name
    [ "$(id -u)" -eq 0 ] || return 1
    for name in $(cut -d: -f1 /etc/subuid 2> /dev/null); do
        if [ "$name" != root ] && id "$name" > /dev/null 2>&1; then break; fi
        name=
    done
    [ -n "${name:-}" ] || return 1
    chmod 755 "$T"
    chown -R "$name:$(id -g "$name")" "$T"
    AS=(setpriv --reuid="$name" --regid="$(id -g "$name")" --init-groups)
    "${AS[@]}" test -x "$KILN" -a -w "$P" || return 1
    boxes
}

test_an_image_with_a_user_as_somebody() {
    as_one_with_many_ids || return 0
    somebody true
}

test_whose_outputs_are() {
    boxes || return 0
    whose "$(id -un)"
}

# As somebody who has subordinate ids, where there is one.
test_whose_outputs_are_with_many_ids() {
    as_one_with_many_ids || return 0
    whose "${AS[1]#--reuid=}"
}

# An image's own files can be written to, so a cache directory or a secret may be anywhere in it, whoever the step is.
places() {
    busybox_layer base
    mkdir -p "$T/root/more/etc" "$T/root/more/usr/share"
    printf 'root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/home/web:/bin/sh\n' > "$T/root/more/etc/passwd"
    echo old > "$T/root/more/etc/npmrc"
    tar --numeric-owner --owner=0 --group=0 -C "$T/root/more" -cf "$T/layers/more.tar" .
    image "$P/oci" one '{"Env": ["PATH=/bin"]}' base more
    echo in > in
    export GIVEN=a-secret-value
    local common='"image": "oci:oci:one", "inputs": ["in"], "secrets": {"/usr/share/key": {"env": "GIVEN"}, "/etc/npmrc": {"env": "GIVEN"}, "/opt/c/key": {"env": "GIVEN"}, "/new/key": {"env": "GIVEN"}},
        "caches": {"/usr/x/y": "x", "/etc/conf": "e", "/opt/c": "c", "/opt/c/d": "d", "/var/tmp": "t", "/src/modules": "m"},'
    local run='for i in /usr/x/y /etc/conf /opt/c /opt/c/d /var/tmp /src/modules; do echo x >> $i/n; cat $i/n; done > OUT; cat /usr/share/key /etc/npmrc /opt/c/key /new/key >> OUT; touch /tmp/x'
    project '{"version": 1, "steps": {
        "root": {'"$common"' "outputs": ["root"], "run": "'"${run//OUT/root}"'"},
        "web": {'"$common"' "user": "web", "outputs": ["web"], "run": "'"${run//OUT/web}"'"},
        "dir": {"image": "oci:oci:one", "inputs": [], "secrets": {"/bin": {"env": "GIVEN"}}, "run": "true"},
        "file": {"image": "oci:oci:one", "inputs": [], "caches": {"/etc/passwd/x": "x"}, "run": "true"}}}'
    chown -R --reference="$T" "$P" "$HOME" 2> /dev/null || :
    kiln 0 run root
    kiln 0 run web
    # What is fetched is read by who is nobody outside, and is kiln's alone with this mask.
    umask 077
    XDG_CACHE_HOME=$T/narrow kiln 0 run --force root
    umask 022
    local each='a-secret-valuea-secret-valuea-secret-valuea-secret-value'
    assert_eq "$(tr -d '\n' < root)" "xxxxxx$each"
    assert_eq "$(tr -d '\n' < web)" "xxxxxxxxxxxx$each"
    kiln 3 run -k dir file
    assert_out '^dir: FAILED.*: its secret /bin cannot be put there: .*; choose another place'
    assert_out '^file: FAILED.*: its cache directory /etc/passwd/x cannot be put there: .*; choose another place'
}

test_places() {
    boxes || return 0
    places
}

test_places_as_somebody() {
    as_one_with_many_ids || return 0
    places
}

run_tests
