#!/usr/bin/env bash
# examples/containers, a pipeline in three images: they are made of this machine's own packages, pushed to registries on loopback
# (Python's wants a password), used online, then with the registries gone; as root and as an ordinary user; then the same in
# the sandbox.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/registry.sh"

# package_layer NAME PACKAGE...: a layer with the files of those packages and of all that they depend on.
package_layer() {
    local name=$1 package
    shift
    local -A seen=()
    local queue=("$@")
    while ((${#queue[@]})); do
        package=${queue[0]}
        queue=("${queue[@]:1}")
        [ -z "${seen[$package]:-}" ] || continue
        seen[$package]=1
        # Alternatives and versions aside; what is not installed is there by another name, or not needed to run.
        mapfile -t -O "${#queue[@]}" queue < <(dpkg-query -W -f '${Depends}, ${Pre-Depends}\n' "$package" 2> /dev/null |
            tr ',' '\n' | sed 's/|.*//; s/[ (:].*//2; s/^ *//; s/[ (:].*//' | grep . || :)
    done
    mkdir -p "$T/root/$name" "$T/layers"
    for package in "${!seen[@]}"; do
        dpkg -L "$package" 2> /dev/null || :
    done | grep -vE '^/usr/share/(doc|man|locale|info|lintian|perl)|/lto1$|lto-dump|/(gdb|valgrind)/|^/(var|etc)/' | sort -u |
        while IFS= read -r file; do
            # /bin and /lib are links on a merged system, and packages name their files by them.
            case $file in
            /bin/* | /sbin/* | /lib/* | /lib64/*) [ ! -e "/usr$file" ] || file=/usr$file ;;
            esac
            if [ -L "$file" ] || [ -f "$file" ]; then printf '%s\0' "${file#/}"; fi
        done | sort -zu > "$T/files"
    tar -C / --null -T "$T/files" -cf - | tar -C "$T/root/$name" -xf -
    for link in bin sbin lib lib64; do
        mkdir -p "$T/root/$name/usr/$link"
        rm -rf "${T:?}/root/$name/$link"
        ln -s "usr/$link" "$T/root/$name/$link"
    done
    # What alternatives and maintainer scripts would have made.
    [ -e "$T/root/$name/bin/sh" ] || ln -s dash "$T/root/$name/usr/bin/sh"
    mkdir -p "$T/root/$name"/{tmp,etc,root}
    echo 'root:x:0:0:root:/root:/bin/sh' > "$T/root/$name/etc/passwd"
    layer "$name"
}

have_all() {
    have_registry || return 1
    if ! KILN_CACHE_DIR=$T/doctor "${KILN_TEST_DOCTOR:-$KILN}" doctor > "$T/doctor.out"; then
        echo "(not tried: this machine lets no step be isolated)"
        return 1
    fi
    command -v dpkg-query gcc python3 > /dev/null || {
        echo "(not tried: this is no Debian with gcc and python3)"
        return 1
    }
}

make_images() {
    local python
    python=$(basename "$(readlink -f "$(command -v python3)")")
    package_layer gcc gcc libc6-dev dash coreutils
    package_layer python "$python" dash
    [ -e "$T/root/python/usr/bin/python3" ] || ln -s "$python" "$T/root/python/usr/bin/python3"
    layer python
    busybox_layer busybox
    ln -sf busybox "$T/root/busybox/bin/sha256sum"
    layer busybox
    image "$T/oci" gcc '{"Env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"]}' gcc.plain
    image "$T/oci" python '{"Env": ["PATH=/usr/bin:/bin"], "WorkingDir": "/tmp"}' python.plain
    image "$T/oci" busybox '{"Env": ["PATH=/bin"]}' busybox
    registry_start
    OPEN=$REGISTRY OPEN_PID=$REGISTRY_PID
    push "$T/oci:gcc" library/gcc:12
    push "$T/oci:busybox" library/busybox:1
    registry_start ci s3cret
    PRIVATE=$REGISTRY PRIVATE_PID=$REGISTRY_PID
    push "$T/oci:python" library/python:3.11 --dest-creds ci:s3cret
    log_in ci s3cret
}

# example: the project is the example, its images those made here.
example() {
    rm -rf "${P:?}"
    cp -r "$SOURCE_DIR/examples/containers" "$P"
    cd "$P"
    sed -i "s#docker.io/library/python#$PRIVATE/library/python#; s#docker.io/library#$OPEN/library#" kiln.json
    # An ordinary user has to be able to write where root made things.
    [ -z "${AS[*]}" ] || chown -R 65534:65534 "$P"
}

passed() {
    assert_eq "$(events 'select(.type == "run.finished") | "\(.status) \(.passed) \(.cached)"')" "$1" "${2:-the run}"
}

went_well() {
    [ -x build/package/rle ] || fail "there is no program"
    assert_file build/package/agreed.txt "100 texts"
    (cd build/package && sha256sum --quiet -c sums) || fail "the sums are not right"
    assert_eq "$(build/package/rle aaab)" 3a1b
}

online_then_offline() {
    example
    rm -rf "$XDG_CACHE_HOME/kiln"
    kiln 0 run --json
    passed "passed 5 0" "online"
    went_well
    jq -e . kiln.lock > /dev/null || fail "kiln.lock is not there"
    kiln 0 run --json
    passed "passed 0 5" "again"
}

offline() {
    # All images are here, all steps run again; then the outputs come back.
    kiln 0 run --force --json
    passed "passed 5 0" "offline"
    went_well
    sed -i 's/"3a1b"/"3a1b" /' c/test_rle.c
    kiln 0 run --json
    assert_eq "$(ran)" "test-c"
    rm -rf build
    kiln 0 run --json
    went_well
}

test_images_online_then_offline() {
    have_all || return 0
    make_images
    chmod 755 "$T"
    chmod 644 "$T/auth.json"
    online_then_offline
    if [ "$(id -u)" -eq 0 ]; then
        kill -STOP "$OPEN_PID" "$PRIVATE_PID" # as good as gone
        offline
        kill -CONT "$OPEN_PID" "$PRIVATE_PID"
        rm -rf "$XDG_CACHE_HOME" "$XDG_STATE_HOME"
        if unprivileged; then
            online_then_offline
        else
            return 0
        fi
    fi
    kill -KILL "$OPEN_PID" "$PRIVATE_PID"
    offline
}

test_the_same_in_the_sandbox() {
    OPEN=none PRIVATE=none
    have_all || return 0
    example
    jq '.steps |= map_values(del(.image) + {runner: "sandbox"})' kiln.json > "$T/sandboxed"
    mv "$T/sandboxed" kiln.json
    kiln 0 run --json
    passed "passed 5 0"
    went_well
    if [ "$(id -u)" -eq 0 ] && unprivileged; then
        rm -rf build "$XDG_CACHE_HOME" "$XDG_STATE_HOME"
        kiln 0 run --json
        passed "passed 5 0" "as a user"
        went_well
    fi
}

run_tests
