# shellcheck shell=bash
# image.sh - makes images of what is on this machine, without any tool but tar, sha256sum and jq.

# oci_image DIRECTORY ROOT [CONFIG]: an OCI layout of one layer, with all that is in ROOT, owned by root; CONFIG: the
# image's "config" as JSON.
oci_image() {
    local dir=$1 root=$2 config=${3:-"{}"} layer size digest
    mkdir -p "$dir/blobs/sha256"
    layer=$dir/blobs/layer
    tar -C "$root" --sort=name --numeric-owner --owner=0 --group=0 --mtime=@0 -cf "$layer" .
    digest=$(oci_blob "$dir" "$layer")
    size=$(stat -c %s "$dir/blobs/sha256/$digest")
    jq -cn --argjson config "$config" --arg diff "sha256:$digest" --arg arch "$(oci_architecture)" \
        '{architecture: $arch, os: "linux", config: $config, rootfs: {type: "layers", diff_ids: [$diff]}}' > "$dir/blobs/config"
    config=$(oci_blob "$dir" "$dir/blobs/config")
    jq -cn --arg config "sha256:$config" --argjson config_size "$(stat -c %s "$dir/blobs/sha256/$config")" \
        --arg layer "sha256:$digest" --argjson layer_size "$size" \
        '{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
          config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $config, size: $config_size},
          layers: [{mediaType: "application/vnd.oci.image.layer.v1.tar", digest: $layer, size: $layer_size}]}' > "$dir/blobs/manifest"
    digest=$(oci_blob "$dir" "$dir/blobs/manifest")
    jq -cn --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$dir/blobs/sha256/$digest")" --arg arch "$(oci_architecture)" \
        '{schemaVersion: 2, manifests: [{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $digest, size: $size,
          platform: {architecture: $arch, os: "linux"}}]}' > "$dir/index.json"
    echo '{"imageLayoutVersion": "1.0.0"}' > "$dir/oci-layout"
}

oci_blob() { # DIRECTORY FILE: moves it to where its digest says, which is printed
    local digest
    digest=$(sha256sum "$2" | cut -d ' ' -f 1)
    mv "$2" "$1/blobs/sha256/$digest"
    echo "$digest"
}

oci_architecture() {
    case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) uname -m ;;
    esac
}

# busybox_root DIRECTORY: a root with busybox and its names; false where there is no busybox without libraries.
busybox_root() {
    local busybox name
    busybox=$(command -v busybox) || return 1
    mkdir -p "$1"/{bin,etc,tmp,root,var,home}
    cp -L "$busybox" "$1/bin/busybox"
    for name in $("$busybox" --list); do
        [ "$name" = busybox ] || ln -s busybox "$1/bin/$name"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/tmp:/bin/sh\n' > "$1/etc/passwd"
    printf 'root:x:0:\nweb:x:33:\n' > "$1/etc/group"
}
