# Images: the first and the second use of one of 100 MB
# shellcheck shell=bash

row_11() {
    local dir=$work/images mib case_name fresh
    if ! "$kiln" doctor >"$work/doctor" 2>&1; then
        note "This machine lets no step be isolated: $(grep missing "$work/doctor" | head -n 1)"
        return
    fi
    own_cache
    mib=$(pick 1 100)
    box_image "$mib" || {
        absent 'an image' 'there is no busybox'
        return
    }
    mkdir -p "$dir"
    printf '{"version": 1, "steps": {"x": {"run": ["/bin/true"], "image": "oci:%s", "inputs": []}}}\n' "$image" >"$dir/kiln.json"
    cd "$dir"
    case_name="an image of $mib MiB, the first use"
    fresh="[ ! -e '$work/own' ] || mv '$work/own' \"\$(mktemp -d '$work/before.XXXXXX')\""
    measure "$case_name" "$(pick 1 3)" 'kiln run' -p "$fresh; rm -f kiln.lock" "$kiln" run --plain
    if podman_ready; then
        local i
        for ((i = 0; i < $(pick 1 3); i++)); do
            "${podman[@]}" rmi -f "$podman_image" >/dev/null 2>&1
            "$work/bin/runs" 1 podman /bin/sh -c '"$@"' sh "${podman[@]}" pull -q oci:image | cut -f 3 >>"$work/pull"
        done
        spread "$case_name" 'podman pull' ms <"$work/pull"
        bound_ratio "$case_name" 'kiln run' 1.0 'podman pull'
    fi
    case_name="an image of $mib MiB, the second use"
    local spec=()
    [[ -z ${podman_image-} ]] || spec=(-- 'podman run' "${podman_run[@]}" "$podman_image" /bin/true)
    measure "$case_name" "$runs" 'kiln run --force' "$kiln" run --force --plain "${spec[@]}"
    [[ -z ${podman_image-} ]] || bound_ratio "$case_name" 'kiln run --force' 0.5 'podman run'
    podman_end
    cd "$work"
    rm -rf "$dir" "$work/own"
}
