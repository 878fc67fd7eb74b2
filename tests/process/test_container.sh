#!/usr/bin/env bash
# Steps in containers, on images from a registry on loopback, as whoever runs this and, where that is root, as an
# ordinary user too.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/registry.sh"

have_registry || exit 0

boxes() {
    kiln any doctor --json
    if jq -e .works "$T/out" > /dev/null; then return 0; fi
    echo "(not tried: $(jq -r '[.checks[] | select(.verdict == "missing") | .name + ": " + .found] | join("; ")' "$T/out"))"
    return 1
}

as_both() {
    boxes || return 0
    "$1"
    [ "$(id -u)" -eq 0 ] || return 0
    chmod -R u+rwX "$T" 2> /dev/null || :
    rm -rf "$P" "$T/home" "$T/root" "$T/layers" "$T/oci"
    mkdir -p "$P" "$HOME"
    cd "$P"
    unprivileged || return 0
    boxes || return 0
    "$1"
}

mine() {
    if [ ${#AS[@]} -gt 0 ]; then chown -R 65534:65534 "$P" "$HOME"; fi
}

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

run_tests
