# registry.sh - images made here, and registries on loopback to push them to. For process tests, besides lib.sh:
#
#     . "$(dirname "$0")/lib.sh"
#     . "$(dirname "$0")/registry.sh"
#
#     test_pull() {
#         layer base bin/sh < "$(command -v busybox)"       # $T/layers/base.tar with that file
#         image "$T/oci" one '{"Env": ["A=b"]}' base         # an OCI layout with a tag
#         registry_start                                    # $REGISTRY is host:port
#         push "$T/oci:one" team/base:1
#     }
#
# Registries end with the test (they are jobs of its shell), their files lie in $T. Needs skopeo, docker-registry,
# htpasswd, jq.

have_registry() {
    command -v skopeo docker-registry htpasswd busybox > /dev/null || {
        echo "(not tried: skopeo, docker-registry, htpasswd or busybox is not installed)"
        return 1
    }
}

# layer NAME PATH...: $T/layers/NAME.tar of what is below $T/root/NAME. Fill that first.
layer() {
    local name=$1
    shift
    mkdir -p "$T/layers"
    tar -C "$T/root/$name" --sort=name --mtime=@1000000000 --owner=0 --group=0 --numeric-owner -cf "$T/layers/$name.tar" "${@:-.}"
}

# busybox_layer NAME: a small system.
busybox_layer() {
    mkdir -p "$T/root/$1"/{bin,etc,tmp,usr/lib}
    cp "$(command -v busybox)" "$T/root/$1/bin/busybox"
    local applet
    for applet in sh cat echo id env ls mkdir pwd sleep test true false touch cp rm; do
        ln -s busybox "$T/root/$1/bin/$applet"
    done
    ln -s usr/lib "$T/root/$1/lib"
    echo "root:x:0:0:root:/root:/bin/sh" > "$T/root/$1/etc/passwd"
    layer "$1"
}

put_blob() { # LAYOUT FILE: prints its digest
    local hex
    hex=$(sha256sum < "$2")
    hex=${hex%% *}
    mkdir -p "$1/blobs/sha256"
    cp "$2" "$1/blobs/sha256/$hex"
    echo "sha256:$hex"
}

# descriptor LAYOUT FILE TYPE: puts the file there; prints its descriptor.
descriptor() {
    printf '{"mediaType": "%s", "digest": "%s", "size": %d}' "$3" "$(put_blob "$1" "$2")" "$(stat -c %s "$2")"
}

# image LAYOUT TAG CONFIG LAYER...: an image of those layers, gzip'd (LAYER.zst: zstd; LAYER.plain: as it is). CONFIG is
# the "config" of its configuration. ARCH and VARIANT may say what it is for. Its manifest's descriptor is in $T/descriptor.
image() {
    local layout=$1 tag=$2 config=$3 layers=() ids=() name tar file type
    shift 3
    for name; do
        tar=$T/layers/${name%.*}.tar
        type=application/vnd.oci.image.layer.v1.tar
        case $name in
        *.zst) zstd -qf "$tar" -o "$T/blob" && type+=+zstd ;;
        *.plain) cp "$tar" "$T/blob" ;;
        *)
            tar=$T/layers/$name.tar
            gzip -nc "$tar" > "$T/blob" && type+=+gzip
            ;;
        esac
        layers+=("$(descriptor "$layout" "$T/blob" "$type")")
        file=$(sha256sum < "$tar")
        ids+=("\"sha256:${file%% *}\"")
    done
    jq -cn --argjson config "$config" --arg arch "${ARCH:-$(machine_arch)}" --arg variant "${VARIANT:-}" --argjson ids "[$(IFS=,; echo "${ids[*]}")]" \
        '{architecture: $arch, os: "linux", config: $config, rootfs: {type: "layers", diff_ids: $ids}}
            + if $variant == "" then {} else {variant: $variant} end' > "$T/config"
    printf '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": %s, "layers": [%s]}' \
        "$(descriptor "$layout" "$T/config" application/vnd.oci.image.config.v1+json)" "$(IFS=,; echo "${layers[*]}")" > "$T/manifest"
    descriptor "$layout" "$T/manifest" application/vnd.oci.image.manifest.v1+json > "$T/descriptor"
    tag_image "$layout" "$tag"
}

# tag_image LAYOUT TAG: what $T/descriptor says, under that name.
tag_image() {
    echo '{"imageLayoutVersion": "1.0.0"}' > "$1/oci-layout"
    [ -e "$1/index.json" ] || echo '{"schemaVersion": 2, "manifests": []}' > "$1/index.json"
    jq -c --arg tag "$2" --slurpfile new "$T/descriptor" '.manifests = [.manifests[]
        | select(.annotations["org.opencontainers.image.ref.name"] != $tag)]
        + [$new[0] + {annotations: {"org.opencontainers.image.ref.name": $tag}}]' "$1/index.json" > "$T/index"
    mv "$T/index" "$1/index.json"
}

# index LAYOUT TAG ARCH DESCRIPTOR...: an index of manifests, an architecture and the file of a descriptor each.
index() {
    local layout=$1 tag=$2 list=()
    shift 2
    while (($#)); do
        list+=("$(jq -c --arg arch "$1" '. + {platform: {os: "linux", architecture: $arch}}' "$2")")
        shift 2
    done
    printf '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [%s]}' \
        "$(IFS=,; echo "${list[*]}")" > "$T/index-document"
    descriptor "$layout" "$T/index-document" application/vnd.oci.image.index.v1+json > "$T/descriptor"
    tag_image "$layout" "$tag"
}

machine_arch() {
    case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) uname -m ;;
    esac
}

# registry_start [USER PASSWORD]: a registry of its own; $REGISTRY is where it is, $REGISTRY_PID the process.
registry_start() {
    local dir
    dir=$(mktemp -d "$T/registry.XXXXXX")
    {
        echo "version: 0.1"
        echo "log: {level: info, formatter: text}"
        echo "storage: {filesystem: {rootdirectory: $dir/store}, delete: {enabled: true}}"
        echo "http: {addr: '127.0.0.1:0'}"
        if (($#)); then
            htpasswd -Bbn "$1" "$2" > "$dir/users"
            echo "auth: {htpasswd: {realm: test, path: $dir/users}}"
        fi
    } > "$dir/config.yml"
    OTEL_TRACES_EXPORTER=none docker-registry serve "$dir/config.yml" > "$dir/log" 2>&1 < /dev/null &
    REGISTRY_PID=$!
    wait_for listens "$dir/log"
    REGISTRY=$(sed -n 's/.*listening on \(127\.0\.0\.1:[0-9]*\).*/\1/p' "$dir/log" | head -n 1)
    REGISTRY_DIR=$dir
}

listens() {
    grep -q 'listening on 127\.0\.0\.1:[0-9]' "$1"
}

registry_stop() {
    kill -KILL "$REGISTRY_PID"
    wait "$REGISTRY_PID" 2> /dev/null || :
}

# push LAYOUT:TAG NAME:TAG [ARGUMENT...]: to $REGISTRY.
push() {
    local from=$1 to=$2
    shift 2
    skopeo copy --quiet --all --dest-tls-verify=false "$@" "oci:$from" "docker://$REGISTRY/$to" 2> "$T/push" ||
        fail "cannot push $from: $(tail -n 3 "$T/push")"
}

# log_in USER PASSWORD: to $REGISTRY, as people do.
log_in() {
    export REGISTRY_AUTH_FILE=$T/auth.json
    printf '{"auths": {"%s": {"auth": "%s"}}}' "$REGISTRY" "$(printf '%s:%s' "$1" "$2" | base64 -w0)" > "$REGISTRY_AUTH_FILE"
}
