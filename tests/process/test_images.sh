#!/usr/bin/env bash
# Images: from references to unpacked layers, by registries, layouts and archives; pins; what goes wrong.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/registry.sh"

IMAGES=${IMAGES:-$(dirname "$KILN")/tests/images}
export KILN
have_registry || exit 0

# ask EXIT ARGUMENT... REFERENCE: as the engine asks for an image; its words are in $T/out and $T/err.
# In $STORE, with the lock file of the project.
ask() {
    local want=$1 reference=${*: -1}
    shift
    mkdir -p "${STORE:=$T/store}"
    RC=0
    timeout -k 5 "$DEADLINE" "${AS[@]}" "$IMAGES" "${@:1:$#-1}" ${NO_NEST:---no-nest} "$STORE" "$P/kiln.lock" "$P" "$reference" \
        > "$T/out" 2> "$T/err" < /dev/null || RC=$?
    if grep -q "ERROR: AddressSanitizer\|runtime error:\|LeakSanitizer" "$T/err"; then fail "a sanitizer spoke"; fi
    [ "$RC" -eq "$want" ] || fail "images $*: exit $RC, not $want"
}

# no_network: from here on whoever asks skopeo fails.
no_network() {
    export KILN_SKOPEO=$T/no-skopeo
    printf '#!/bin/sh\necho "$@" >> %s/skopeo-was-asked\nexit 1\n' "$T" > "$KILN_SKOPEO"
    chmod +x "$KILN_SKOPEO"
}

layer_dir() { # N: the Nth from below
    sed -n 's/^layer //p' "$T/out" | sed -n "$1p"
}

two_layers() {
    busybox_layer base
    mkdir -p "$T/root/more/lib" "$T/root/more/bin"
    echo there > "$T/root/more/lib/file"
    touch "$T/root/more/bin/.wh.touch"
    layer more lib/file bin/.wh.touch
}

test_layout() {
    two_layers
    image "$P/oci" first '{"Env": ["A=b", "PATH=/bin"], "User": "1:2", "WorkingDir": "/w", "Entrypoint": ["/e", "x"], "Cmd": ["c"]}' base more.zst
    ask 0 oci:oci:first
    assert_out '^resolved '
    assert_out '^env A=b$'
    assert_out '^user 1:2$'
    assert_out '^workdir /w$'
    assert_out '^entrypoint /e x$'
    assert_out '^cmd c$'
    assert_file "$(layer_dir 2)/usr/lib/file" there # through the link of the layer below
    [ -c "$(layer_dir 2)/bin/touch" ] || fail "a whiteout is no device"
    assert_eq "$(stat -c %a "$STORE/layers")" 700
    assert_no_file kiln.lock
    # Nothing is left half-made, and nothing is unpacked again.
    assert_eq "$(find "$STORE/tmp" "$STORE/layers" -maxdepth 1 -name 'image-*' -o -maxdepth 1 -name '.new-*')" ""
    local before
    before=$(stat -c '%i %z' "$STORE/layers"/*/)
    ask 0 oci:oci:first
    assert_eq "$(stat -c '%i %z' "$STORE/layers"/*/)" "$before"
    ask 0 oci:oci # the only one
    image "$P/oci" second '{}' base
    ask 2 oci:oci
    assert_err 'several images.*first, second'
    ask 2 oci:oci:third
    assert_err 'no image "third" in it, but: first, second'
    ask 2 oci:none
    assert_err 'no OCI layout in .*/none'
}

test_layout_damaged() {
    two_layers
    image "$P/oci" a '{}' base more.plain
    local blob
    blob=$(jq -r '.layers[1].digest' "$T/manifest")
    printf x | dd of="$P/oci/blobs/sha256/${blob#sha256:}" bs=1 seek=700 conv=notrunc 2> /dev/null
    ask 2 oci:oci:a
    assert_err 'is not what its name says'
    rm "$P/oci/blobs/sha256/${blob#sha256:}"
    ask 2 oci:oci:a
    assert_err 'is not there; make the image again'
}

test_layer_with_another_diff_id() {
    two_layers
    image "$P/oci" a '{}' base
    cp "$T/config" "$T/config.good"
    jq -c '.rootfs.diff_ids[0] = "sha256:" + ("ab" * 32)' "$T/config.good" > "$T/config"
    printf '{"schemaVersion": 2, "config": %s, "layers": %s}' "$(descriptor "$P/oci" "$T/config" application/vnd.oci.image.config.v1+json)" \
        "$(jq -c .layers "$T/manifest")" > "$T/manifest"
    descriptor "$P/oci" "$T/manifest" application/vnd.oci.image.manifest.v1+json > "$T/descriptor"
    tag_image "$P/oci" bad
    ask 2 oci:oci:bad
    assert_err 'layer 1 of 1 cannot be unpacked: .*does not have the digest'
    assert_eq "$(ls -A "$STORE/layers")" ""
}

# What tar makes of holes, in both of its ways, comes out as it was.
test_sparse_files() {
    local format STORE=$T/store
    mkdir -p "$T/root/sparse"
    truncate -s 40M "$T/root/sparse/file"
    echo first | dd of="$T/root/sparse/file" bs=1 seek=5000000 conv=notrunc 2> /dev/null
    seq 1 20000 | dd of="$T/root/sparse/file" bs=1M seek=30 conv=notrunc 2> /dev/null
    truncate -s 1M "$T/root/sparse/hole"
    for format in gnu posix; do
        rm -rf "$STORE"
        mkdir -p "$T/layers"
        tar -C "$T/root/sparse" --sparse --format="$format" -cf "$T/layers/sparse.tar" .
        [ "$(stat -c %s "$T/layers/sparse.tar")" -lt 2000000 ] || return 0 # no holes here
        image "$P/oci" "$format" '{}' sparse
        ask 0 "oci:oci:$format"
        cmp "$T/root/sparse/file" "$(layer_dir 1)/file" || fail "it is another file"
        cmp "$T/root/sparse/hole" "$(layer_dir 1)/hole" || fail "it is another hole"
        [ "$(stat -c %b "$(layer_dir 1)/file")" -lt 4000 ] || fail "the hole has been filled"
    done
}

test_registry_pins() {
    two_layers
    image "$T/oci" a '{"Env": ["V=1"]}' base more
    registry_start
    push "$T/oci:a" team/app:1
    ask 0 "$REGISTRY/team/app:1"
    assert_out '^resolved '
    assert_out '^env V=1$'
    assert_file "$(layer_dir 2)/usr/lib/file" there
    assert_eq "$(jq -r '.images | length' kiln.lock)" 1
    assert_eq "$(jq -r '.images[0].image' kiln.lock)" "$REGISTRY/team/app:1"
    assert_eq "$(grep -c sha256 kiln.lock)" 1 "lines of kiln.lock"
    # The tag goes on; the pin does not.
    image "$T/oci" b '{"Env": ["V=2"]}' base
    push "$T/oci:b" team/app:1
    local lock
    lock=$(cat kiln.lock)
    ask 0 "$REGISTRY/team/app:1"
    assert_out '^env V=1$'
    assert_no_out '^resolved'
    assert_eq "$(cat kiln.lock)" "$lock"
    ask 0 --update "$REGISTRY/team/app:1"
    assert_out '^env V=2$'
    [ "$(cat kiln.lock)" != "$lock" ] || fail "kiln.lock has not been renewed"
    # By digest nothing has to be pinned.
    rm kiln.lock
    ask 0 "$REGISTRY/team/app@$(jq -r '.images[0].digest' <<< "$lock")"
    assert_out '^env V=1$'
    assert_no_file kiln.lock
}

test_offline() {
    two_layers
    image "$T/oci" a '{}' base more
    registry_start
    push "$T/oci:a" app:1
    ask 0 "$REGISTRY/app:1"
    registry_stop
    no_network
    ask 0 "$REGISTRY/app:1"
    assert_no_file "$T/skopeo-was-asked"
    # Layers come again from the blobs that are there.
    rm -rf "$STORE/layers"/*
    ask 0 "$REGISTRY/app:1"
    assert_no_file "$T/skopeo-was-asked"
    # What is not there is asked for, and the failure says so.
    unset KILN_SKOPEO
    rm -rf "$STORE/layers"/* "$STORE/images"
    ask 3 "$REGISTRY/app:1"
    assert_err 'does not answer'
}

test_password() {
    two_layers
    image "$T/oci" a '{}' base
    registry_start somebody secret-word
    log_in somebody secret-word
    push "$T/oci:a" app:1
    ask 0 "$REGISTRY/app:1"
    if grep -rq "secret-word\|$(printf 'somebody:secret-word' | base64)" "$STORE/images/archives" "$STORE/tmp" kiln.lock "$T/out" "$T/err"; then
        fail "the password can be read"
    fi
    rm -rf "$STORE" kiln.lock
    log_in somebody wrong-word
    ask 2 "$REGISTRY/app:1"
    assert_err 'log in'
    rm "$REGISTRY_AUTH_FILE"
    ask 2 "$REGISTRY/app:1"
    assert_err 'log in'
    assert_no_file kiln.lock
}

test_not_there() {
    registry_start
    ask 2 "$REGISTRY/app:1"
    assert_err 'does not have it'
    two_layers
    image "$T/oci" a '{}' base
    push "$T/oci:a" app:1
    ask 2 "$REGISTRY/app:2"
    assert_err "image $REGISTRY/app:2: .*does not have it"
    KILN_SKOPEO=$T/none ask 3 "$REGISTRY/app:1"
    assert_err 'install it'
}

test_platforms() {
    two_layers
    ARCH=amd64 image "$T/oci" amd '{"Env": ["ON=amd"]}' base
    cp "$T/descriptor" "$T/amd"
    ARCH=arm64 VARIANT=v8 image "$T/oci" arm '{"Env": ["ON=arm"]}' base more
    cp "$T/descriptor" "$T/arm"
    index "$T/oci" all amd64 "$T/amd" arm64 "$T/arm"
    registry_start
    push "$T/oci:all" app:1
    push "$T/oci:arm" arm:1
    ask 0 --platform linux/amd64 "$REGISTRY/app:1"
    assert_out '^env ON=amd$'
    # The other platform's comes from the same index, whatever the tag names by now.
    push "$T/oci:amd" app:1
    ask 0 --platform linux/arm64/v8 "$REGISTRY/app:1"
    assert_out '^env ON=arm$'
    assert_eq "$(jq -r '[.images[].digest] | unique | length' kiln.lock)" 1 "indexes"
    assert_eq "$(jq -r '[.images[].platform] | join(" ")' kiln.lock)" "linux/amd64 linux/arm64"
    ask 2 --platform linux/s390x "$REGISTRY/app:1"
    assert_err 'not there for linux/s390x, but for: linux/amd64, linux/arm64'
    ask 2 --platform linux/amd64 "$REGISTRY/arm:1"
    assert_err 'it is for linux/arm64/v8, not for linux/amd64'
}

test_damaged_blob_is_fetched_again() {
    two_layers
    image "$T/oci" a '{}' base more
    registry_start
    push "$T/oci:a" app:1
    ask 0 "$REGISTRY/app:1"
    local blob
    for blob in $(jq -r '.layers[].digest, .config.digest' "$T/manifest"); do
        printf x | dd of="$STORE/images/blobs/sha256/${blob#sha256:}" bs=1 seek=90 conv=notrunc 2> /dev/null
    done
    rm -rf "$STORE/layers"/*
    ask 0 "$REGISTRY/app:1"
    assert_file "$(layer_dir 2)/usr/lib/file" there
    for blob in $(jq -r '.layers[].digest, .config.digest' "$T/manifest"); do
        assert_eq "sha256:$(sha256sum < "$STORE/images/blobs/sha256/${blob#sha256:}" | cut -c 1-64)" "$blob"
    done
}

# The second layer is found damaged while the first is fetched anew, by a skopeo that has seen the second and left it.
test_damage_found_while_fetching() {
    two_layers
    image "$T/oci" a '{}' base more
    registry_start
    push "$T/oci:a" app:1
    ask 0 "$REGISTRY/app:1"
    local blob
    for blob in $(jq -r '.layers[].digest' "$T/manifest"); do
        export SECOND=$STORE/images/blobs/sha256/${blob#sha256:}
        printf x | dd of="$SECOND" bs=1 seek=90 conv=notrunc 2> /dev/null
    done
    rm -rf "$STORE/layers"/*
    export KILN_SKOPEO=$T/slow-skopeo ONCE=$T/once
    cat > "$KILN_SKOPEO" << 'SCRIPT'
#!/bin/sh
skopeo "$@" || exit
case " $* " in
*" copy "*)
    [ -e "$ONCE" ] || while [ -e "$SECOND" ]; do sleep 0.05; done
    : > "$ONCE"
    ;;
esac
SCRIPT
    chmod +x "$KILN_SKOPEO"
    ask 0 "$REGISTRY/app:1"
    assert_file "$(layer_dir 2)/usr/lib/file" there
    [ -e "$ONCE" ] || fail "nothing was fetched"
    unset KILN_SKOPEO
}

test_docker_media_types() {
    two_layers
    image "$T/oci" a '{"Env": ["D=1"]}' base more
    registry_start
    push "$T/oci:a" app:1 --format v2s2
    ask 0 "$REGISTRY/app:1"
    assert_out '^env D=1$'
    assert_file "$(layer_dir 2)/usr/lib/file" there
}

test_archive() {
    two_layers
    image "$T/oci" a '{"Env": ["E=1"]}' base more
    skopeo copy -q "oci:$T/oci:a" "docker-archive:$P/app.tar:team/app:1" 2> "$T/err" || fail "no archive"
    touch -d @1000000000 app.tar
    ask 0 docker-archive:app.tar
    assert_out '^env E=1$'
    assert_file "$(layer_dir 2)/usr/lib/file" there
    assert_no_file kiln.lock
    # Another file of the name is another image.
    image "$T/oci" b '{"Env": ["E=2"]}' base
    rm app.tar
    skopeo copy -q "oci:$T/oci:b" "docker-archive:$P/app.tar:team/app:1" 2> "$T/err" || fail "no archive"
    ask 0 docker-archive:app.tar:team/app:1
    assert_out '^env E=2$'
    # What has not changed for a while is not read again.
    wait_for settled app.tar
    ask 0 docker-archive:app.tar
    no_network
    ask 0 docker-archive:app.tar
    assert_out '^env E=2$'
    assert_no_file "$T/skopeo-was-asked"
    rm app.tar
    ask 2 docker-archive:app.tar
    assert_err 'there is no file'
}

settled() {
    [ $(($(date +%s) - $(stat -c %Z "$1"))) -gt 2 ]
}

# A skopeo that stops in the middle of fetching, once it has written what $T/stuck tells.
stuck_skopeo() {
    export KILN_SKOPEO=$T/stuck-skopeo
    cat > "$KILN_SKOPEO" <<'SCRIPT'
#!/bin/sh
case " $* " in
*" copy "*)
    mkdir -p layout && echo half > layout/oci-put-blob1
    echo $$ > "$STUCK"
    while :; do sleep 1000; done
    ;;
esac
exec skopeo "$@"
SCRIPT
    chmod +x "$KILN_SKOPEO"
    export STUCK=$T/stuck
}

# While a registry takes its time one sees what is waited for.
test_a_slow_look_up() {
    boxes || return 0
    two_layers
    image "$T/oci" a '{"Env": ["PATH=/bin"]}' base
    registry_start
    push "$T/oci:a" app:1
    project "{\"version\": 1, \"steps\": {\"a\": {\"image\": \"$REGISTRY/app:1\", \"inputs\": [], \"run\": \"true\"}}}"
    export KILN_SKOPEO=$T/slow-skopeo GO=$T/go
    printf '#!/bin/sh\nuntil [ -e "$GO" ]; do sleep 0.05; done\nexec skopeo "$@"\n' > "$KILN_SKOPEO"
    chmod +x "$KILN_SKOPEO"
    : > "$T/out"
    "$KILN" run --plain > "$T/out" 2> "$T/err" < /dev/null &
    wait_for grep -q '^a: looking up app:1$' "$T/out"
    touch "$GO"
    wait $! || fail "it did not pass"
    assert_eq "$(grep -c 'looking up' "$T/out")" 1 "lines of that"
    assert_out '^a: passed'
}

test_killed_in_mid_pull() {
    two_layers
    image "$T/oci" a '{}' base
    registry_start
    push "$T/oci:a" app:1
    stuck_skopeo
    local pid signal
    for signal in KILL INT; do
        rm -f "$STUCK"
        mkdir -p "$T/store"
        "$IMAGES" --no-nest "$T/store" kiln.lock "$P" "$REGISTRY/app:1" > "$T/out" 2> "$T/err" < /dev/null &
        pid=$!
        wait_for test -s "$STUCK"
        kill -s "$signal" "$pid"
        wait "$pid" 2> /dev/null || RC=$?
        wait_for gone "$(cat "$STUCK")"
    done
    assert_eq "$RC" 3 # cancelled by INT
    assert_err cancelled
    unset KILN_SKOPEO
    ask 0 "$REGISTRY/app:1"
    assert_eq "$(ls "$STORE/tmp")" "" "left in tmp"
    [ -x "$(layer_dir 1)/bin/busybox" ] || fail "the layer is not whole"
}

test_two_at_a_time() {
    two_layers
    image "$T/oci" a '{}' base more
    image "$T/oci" b '{"Env": ["B=1"]}' base
    registry_start
    push "$T/oci:a" app:1
    push "$T/oci:b" app:2
    mkdir -p "$T/store"
    local pids=() i
    for i in 1 2 1 2; do
        "$IMAGES" --no-nest "$T/store" "$T/lock$i" "$P" "$REGISTRY/app:$i" > "$T/out" 2>> "$T/errs" < /dev/null &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        wait "$i" || fail "one failed: $(cat "$T/errs")"
    done
    assert_eq "$(find "$T/store/layers" -mindepth 1 -maxdepth 1 -type d | wc -l)" 2
    each_fetched_once
    assert_eq "$(ls "$T/store/tmp")" "" "left in tmp"
}

# Of each layer in $T/oci, however many wanted it at a time.
each_fetched_once() {
    local blob
    for blob in $(grep -lr '^{"schemaVersion".*"layers"' "$T/oci/blobs/sha256" | xargs -n 1 jq -r '.layers[].digest' | sort -u); do
        assert_eq "$(grep 'response completed' "$REGISTRY_DIR/log" | grep http.request.method=GET | grep -c "/blobs/$blob")" 1 "times that $blob was fetched"
    done
}

# A skopeo that notes when it begins and ends.
counted_skopeo() {
    export KILN_SKOPEO=$T/counted-skopeo COUNTED=$T/counted
    cat > "$KILN_SKOPEO" <<'SCRIPT'
#!/bin/sh
echo 1 >> "$COUNTED"
skopeo "$@"
code=$?
echo -1 >> "$COUNTED"
exit $code
SCRIPT
    chmod +x "$KILN_SKOPEO"
}

test_many_images_at_once() {
    boxes || return 0
    local i steps=()
    busybox_layer base
    registry_start
    for i in 1 2 3 4 5 6 7 8; do
        mkdir -p "$T/root/own$i"
        echo "$i" > "$T/root/own$i/own"
        layer "own$i"
        image "$T/oci" "a$i" '{"Env": ["PATH=/bin"]}' base "own$i"
        push "$T/oci:a$i" "app:$i"
        steps+=("\"s$i\": {\"image\": \"$REGISTRY/app:$i\", \"inputs\": [], \"run\": \"cat /own\"}")
    done
    project "{\"version\": 1, \"steps\": {$(IFS=,; echo "${steps[*]}")}}"
    counted_skopeo
    kiln 0 run --jobs 8 --json
    assert_eq "$(ran | wc -w)" 8
    each_fetched_once
    assert_eq "$(awk '{ now += $1; if (now > most) most = now } END { print most <= 4, now }' "$COUNTED")" "1 0" "at most 4 at a time"
}

test_bad_references() {
    local reference
    for reference in Debian:12 debian: 'debian:a b' debian@sha256:12 'debian@md5:aa' 'docker-daemon:x' oci: 'oci:x:' '' '/x' 'a//b' 'host:99999999/x'; do
        ask 2 "$reference"
        assert_err 'is no image'
    done
}

test_lock_with_faults() {
    echo '{"version": 2, "images": []}' > kiln.lock
    ask 2 debian:12
    assert_err '^images: kiln.lock:1:13: this kiln knows version 1 only'
    printf '{\n<<<<<<< ours\n' > kiln.lock
    ask 2 debian:12
    assert_err 'kiln.lock:2:1: two branches'
}

test_in_the_nest() {
    "$KILN" doctor > "$T/doctor" 2>&1 || {
        echo "(not tried: $(tail -n 1 "$T/doctor"))"
        return 0
    }
    two_layers
    mkdir -p "$T/root/own"
    echo x > "$T/root/own/mine"
    tar -C "$T/root/own" --owner=33 --group=44 -cf "$T/layers/own.tar" mine
    image "$P/oci" a '{}' base more own
    chmod 755 "$T" "$P"
    NO_NEST=" " ask 0 oci:oci:a
    assert_file "$(layer_dir 2)/usr/lib/file" there
    [ -s "$(layer_dir 3)/mine" ] || fail "the file is not there"
    if [ "$(id -u)" -eq 0 ]; then
        [ "$(stat -c %u "$(layer_dir 3)/mine")" -gt 33 ] || fail "a file belongs to an id of the host"
    fi
}

owner_of_mine() {
    NO_NEST=" " ask 0 oci:oci:a
    stat -c %u "$(layer_dir 3)/mine"
}

# What /etc/subuid gives and newuidmap refuses is not there; another range is another layer.
in_nests_of_several_kinds() {
    local STORE=$T/store path=$PATH
    two_layers
    mkdir -p "$T/root/own" "$T/refuses" "$STORE"
    echo x > "$T/root/own/mine"
    tar -C "$T/root/own" --owner=33 --group=44 -cf "$T/layers/own.tar" mine
    image "$P/oci" a '{}' base more own
    printf '#!/bin/sh\nexit 1\n' > "$T/refuses/newuidmap"
    chmod +x "$T/refuses/newuidmap"
    echo "65534:300000:65536" > "$T/subids"
    chmod 755 "$T" "$T/refuses"
    chown -R 65534:65534 "$P" "$STORE"
    if ! mount --bind "$T/subids" /etc/subuid || ! mount --bind "$T/subids" /etc/subgid; then
        echo "(not tried: mounting is not allowed here)"
        return 0
    fi
    AS=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    "${AS[@]}" test -x "$IMAGES" || return 0
    PATH=$T/refuses:$path
    assert_eq "$(owner_of_mine)" 65534 "owner where newuidmap refuses"
    PATH=$path
    assert_eq "$(owner_of_mine)" 300032 "owner where it does not"
    echo "65534:400000:65536" > "$T/subids"
    assert_eq "$(owner_of_mine)" 400032 "owner in another range"
    assert_eq "$(find "$STORE/layers" -mindepth 1 -maxdepth 1 -name '*.used' | wc -l)" 9 "layers"
}

test_nests_that_are_not_what_subuid_says() {
    [ "$(id -u)" -eq 0 ] && command -v newuidmap > /dev/null && [ -e /etc/subuid ] && [ -e /etc/subgid ] || return 0
    "$KILN" doctor > "$T/doctor" 2>&1 || return 0
    export IMAGES SOURCE_DIR
    with_mounts in_nests_of_several_kinds
}

run_tests
