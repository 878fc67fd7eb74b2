#!/usr/bin/env bash
# A pipeline in images of a real system: Debian as debootstrap makes it, in a registry on loopback, and busybox in one that
# wants a password. It fetches packages inside of a container, then, without a network, installs compilers from what was
# fetched, builds kiln itself and tests it, and has Python test a part of its own; online, then with the registries gone; as
# root and as a user who has subordinate ids.
#
# Takes ten minutes, the network, and 2 GB in TMPDIR: only with KILN_DEBIAN=1. The mirror is the one that apt uses here; images
# are made by root.
export KILN_TEST_DEADLINE=900
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/registry.sh"

have_all() {
    [ -n "${KILN_DEBIAN:-}" ] || {
        echo "(not tried: KILN_DEBIAN=1 has images made with debootstrap, which takes ten minutes and the network)"
        return 1
    }
    have_registry || return 1
    [ "$(id -u)" -eq 0 ] && command -v debootstrap apt-get > /dev/null || {
        echo "(not tried: it needs root, debootstrap and apt)"
        return 1
    }
    # shellcheck disable=SC1091
    CODENAME=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    # shellcheck disable=SC2016
    MIRROR=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
        awk -v name="$CODENAME" '$2 == name { print $1; exit }')
    case $MIRROR in
    http://* | https://*) ;;
    *)
        echo "(not tried: apt has no mirror of \"$CODENAME\" here)"
        return 1
        ;;
    esac
    boxes
}

debian_layer() {
    mkdir -p "$T/root"
    debootstrap --variant=minbase "$CODENAME" "$T/root/debian" "$MIRROR" > "$T/debootstrap" 2>&1 || {
        echo "(not tried: debootstrap cannot make it: $(tail -n 1 "$T/debootstrap"))"
        return 1
    }
    echo "deb $MIRROR $CODENAME main" > "$T/root/debian/etc/apt/sources.list"
    rm -rf "$T/root/debian/var/cache/apt/archives"/*.deb
    mkdir -p "$T/layers"
    tar -C "$T/root/debian" --sort=name --numeric-owner -cf "$T/layers/debian.tar" .
    rm -rf "${T:?}/root/debian"
}

make_images() {
    debian_layer || return 1
    busybox_layer busybox
    ln -sf busybox "$T/root/busybox/bin/sha256sum"
    layer busybox
    image "$T/oci" debian '{"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"]}' debian.zst
    image "$T/oci" busybox '{"Env": ["PATH=/bin"]}' busybox
    rm "$T/layers/debian.tar"
    registry_start
    OPEN=$REGISTRY OPEN_PID=$REGISTRY_PID
    push "$T/oci:debian" library/debian:12
    registry_start ci s3cret
    PRIVATE=$REGISTRY PRIVATE_PID=$REGISTRY_PID
    push "$T/oci:busybox" tools/busybox:1 --dest-creds ci:s3cret
    log_in ci s3cret
    chmod 644 "$REGISTRY_AUTH_FILE"
    chmod 755 "$T"
}

pipeline() {
    rm -rf "${P:?}"
    mkdir "$P"
    cd "$P"
    mkdir kiln
    (cd "$SOURCE_DIR" && tar -cf - CMakeLists.txt base cache cli config engine runners tests tui watch) | tar -C kiln -xf -
    echo g++ make cmake pkgconf protobuf-c-compiler lib{protobuf-c,uv1,git2,jansson,ncurses,ssl,seccomp,archive,cmocka,vterm}-dev > packages
    echo 'python3 ^libpython3.+-testsuite$' > python-packages # of whichever version there is
    local apt='"/var/cache/apt": {"name": "apt", "sharing": "locked"}, "/var/lib/apt/lists": {"name": "lists", "sharing": "locked"}'
    local targets='kiln test_base_digest test_base_glob test_cache_tree'
    local install='apt-get install -y --no-install-recommends'
    cat > kiln.json <<EOF
{
  "version": 1,
  "defaults": {"image": "$OPEN/library/debian:12", "timeout": "15m"},
  "steps": {
    "fetch": {
      "network": "host", "caches": {$apt}, "inputs": ["*packages"],
      "run": "apt-get update && $install --download-only \$(cat *packages)"
    },
    "build": {
      "needs": ["fetch"], "caches": {$apt}, "inputs": ["packages", "kiln"], "outputs": ["build/kiln"],
      "run": "$install --no-download \$(cat packages) && cmake -S kiln -B obj -DCMAKE_BUILD_TYPE=Debug -DKILN_TESTS=ON && make -C obj -j2 $targets && (cd obj && ctest --output-on-failure -R 'unit.(base_digest|base_glob|cache_tree)\$') && mkdir -p build && cp obj/kiln build"
    },
    "test-python": {
      "needs": ["fetch"], "caches": {$apt}, "inputs": ["python-packages"],
      "run": "$install --no-download \$(cat python-packages) && python3 -m test test_json test_decimal test_heapq"
    },
    "package": {
      "image": "$PRIVATE/tools/busybox:1", "needs": ["build", "test-python"], "inputs": [], "outputs": ["build/sums"],
      "run": "sha256sum build/kiln > build/sums"
    }
  }
}
EOF
    chmod -R a+rwX "$P"
}

passed() {
    assert_eq "$(events 'select(.type == "run.finished") | "\(.status) \(.passed) \(.cached)"')" "$1" "$2"
    sha256sum --quiet -c build/sums || fail "$2: the sum is not right"
}

# The registries are there, then gone; then what was installed is installed again, from what was kept.
online_then_offline() {
    pipeline
    kiln 0 run --json
    passed "passed 4 0" "online, $1"
    kiln 0 run --json
    passed "passed 0 4" "again, $1"
    kill -STOP "$OPEN_PID" "$PRIVATE_PID"
    jq '.steps |= map_values(if .network then . else .env = {"AGAIN": "1"} end)' kiln.json > "$T/again"
    cat "$T/again" > kiln.json
    rm -rf build
    kiln 0 run --json
    passed "passed 3 1" "offline, $1"
    kill -CONT "$OPEN_PID" "$PRIVATE_PID"
}

# somebody: from here on kiln is a user who has subordinate ids, in a home of their own.
somebody() {
    local name
    name=$(cut -d : -f 1 /etc/subuid | grep -vx root | head -n 1)
    getent passwd "$name" > /dev/null || {
        echo "(not tried as a user: nobody has subordinate ids here)"
        return 1
    }
    mkdir -p "$T/theirs"
    export HOME=$T/theirs XDG_CACHE_HOME=$T/theirs/cache XDG_STATE_HOME=$T/theirs/state XDG_RUNTIME_DIR=$T/theirs/run
    export XDG_CONFIG_HOME=$T/theirs/config
    mkdir -p -m 700 "$XDG_RUNTIME_DIR"
    chown -R "$name:" "$T/theirs"
    AS=(setpriv --reuid="$name" --regid="$(id -g "$name")" --init-groups)
    "${AS[@]}" test -x "$KILN"
}

test_debian() {
    have_all || return 0
    make_images || return 0
    online_then_offline "as root"
    somebody || return 0
    online_then_offline "as a user"
}

run_tests
