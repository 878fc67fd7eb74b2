# shellcheck shell=bash
# What the rows about isolated steps share: an image, podman, and crun in the very place and with the very bundle that kiln
# runs it with. Sourced by bench/run.

. "$root/tests/process/hostile/image.sh"

# box_image MIB: an image of busybox, and as much beside it in files of 50 KiB: $image, $image_root.
box_image() {
    image=$work/image
    image_root=$work/image-root
    rm -rf "$image" "$image_root"
    busybox_root "$image_root" || return 1
    (($1 == 0)) || (cd "$image_root" && mkdir data && head -c "$1M" /dev/urandom | split -b 50K -a 4 - data/f)
    oci_image "$image" "$image_root"
}

# hold_box DIRECTORY: "kiln run" of its step "hold", which sleeps; $holder is its runtime's process, $bundle its bundle, and
# $bundle/true the same with /bin/true as its command. Until drop_box.
hold_box() {
    local i
    (cd "$1" && exec "$kiln" run hold --plain >"$work/hold.out" 2>&1 </dev/null) &
    box_kiln=$!
    background+=("$box_kiln")
    holder='' bundle=''
    for ((i = 0; i < 200; i++)); do
        holder=$(for pid in $(descendants "$box_kiln"); do
            [[ $(cat "/proc/$pid/comm" 2>/dev/null) != *crun ]] || echo "$pid"
        done | head -n 1)
        [[ -z $holder || -z $(cat "/proc/$holder/task/$holder/children" 2>/dev/null) ]] || break
        sleep 0.05
    done
    [[ -n $holder ]] || die "the step hold does not run: $(tail -n 3 "$work/hold.out")"
    bundle=$(tr '\0' '\n' <"/proc/$holder/cmdline" | grep -A 1 -x -- --bundle | tail -n 1)
    "$work/bin/enter" "$holder" /bin/sh -ec "cd '$bundle'; mkdir true
        sed 's|\"/bin/sleep\",\"600\"|\"/bin/true\"|' config.json >true/config.json
        ln -s ../rootfs true/rootfs"
    box_crun=("$work/bin/enter" "$holder")
    crun_run=(crun --root "$bundle/state" --cgroup-manager disabled run --bundle "$bundle/true" bench)
}

drop_box() {
    stop "$box_kiln"
}

# podman_ready: podman with a store of its own and the image in it; $podman_run, $podman_pull run it. False, and told, if not.
podman_ready() {
    local words how=(env -C "$work")
    have podman || return 1
    # crun refuses a mixed hierarchy of control groups: then where only one is to be seen.
    if [[ -d /sys/fs/cgroup/unified && $EUID == 0 ]]; then
        unshare -m /bin/sh -c 'umount /sys/fs/cgroup/unified; exec sleep 3600' &
        background+=($!)
        how=(nsenter -m -t $! /bin/sh -c 'cd "$0" && exec "$@"' "$work")
        until ! grep -q ' /sys/fs/cgroup/unified ' "/proc/$!/mounts"; do sleep 0.05; done
    fi
    podman=("${how[@]}" podman --root "$work/podman/store" --runroot "$work/podman/run")
    podman_run=("${podman[@]}" run --rm --pull=never --network none --cgroups=disabled
        --ulimit nofile=1024:1024 --ulimit nproc=4096:4096)
    if ! words=$("${podman[@]}" pull -q oci:image 2>&1); then
        absent podman "it does not take the image: $(tail -n 1 <<<"$words" | cut -c 1-120)"
        return 1
    fi
    podman_image=$(tail -n 1 <<<"$words")
    if ! words=$("${podman_run[@]}" "$podman_image" /bin/true 2>&1); then
        absent podman "it runs nothing here: $(tail -n 1 <<<"$words" | cut -c 1-120)"
        return 1
    fi
}

podman_end() {
    [[ ! -d $work/podman ]] || "${podman[@]}" system reset --force >/dev/null 2>&1 || true
    rm -rf "$work/podman"
    podman_image=
}
