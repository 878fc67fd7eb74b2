# Isolated steps: /bin/true in a box, start to end, and 200 in a row
# shellcheck shell=bash

row_9() {
    local dir=$work/boxes n=$(pick 3 200) case_name i spec=() sandbox container
    if ! "$kiln" doctor >"$work/doctor" 2>&1; then
        note "This machine lets no step be isolated: $(grep missing "$work/doctor" | head -n 1)"
        return
    fi
    own_cache
    mkdir -p "$dir"
    box_image 0 || absent 'an image' 'there is no busybox'
    {
        printf '{"version": 1, "steps": {\n'
        printf '  "hold": {"run": ["/bin/sleep", "600"], "runner": "sandbox", "inputs": []}, "one": {"run": ["/bin/true"], "runner": "sandbox", "inputs": []},\n'
        printf '  "image": {"run": ["/bin/true"], "image": "oci:%s", "inputs": []}' "$image"
        # Each has an argument of its own: equal steps would be one.
        for ((i = 0; i < n; i++)); do
            printf ',\n  "s%d": {"run": ["/bin/true", "%d"], "runner": "sandbox", "inputs": []}, "c%d": {"run": ["/bin/true", "%d"], "image": "oci:%s", "inputs": []}' \
                "$i" "$i" "$i" "$i" "$image"
        done
        printf '\n}}\n'
    } >"$dir/kiln.json"
    cd "$dir"
    mapfile -t sandbox < <(for ((i = 0; i < n; i++)); do echo "s$i"; done)
    mapfile -t container < <(for ((i = 0; i < n; i++)); do echo "c$i"; done)
    "$kiln" run one image --plain >/dev/null
    hold_box "$dir"

    case_name='/bin/true, start to end'
    ! have bwrap || spec+=(-- bwrap bwrap --unshare-all --die-with-parent --ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64
        --symlink usr/bin /bin --proc /proc --dev /dev --tmpfs /tmp --tmpfs /src /bin/true)
    ! podman_ready || spec+=(-- 'podman run' "${podman_run[@]}" "$podman_image" /bin/true)
    measure "$case_name" "$((runs * 2))" 'kiln run, a sandbox step' "$kiln" run one --force=one --plain \
        -- 'kiln run, its result is there' "$kiln" run one --plain -- 'kiln run, a container step' "$kiln" run image --force=image --plain \
        -- 'crun run, the same bundle' "${box_crun[@]}" "${crun_run[@]}" "${spec[@]}"
    # What executing it costs, with the box, its result and its end; what kiln does in any case is in both.
    single "$case_name" 'kiln, the sandbox step alone' ms "$(awk -v a="$(value "$case_name" 'kiln run, a sandbox step')" \
        -v b="$(value "$case_name" 'kiln run, its result is there')" 'BEGIN { printf "%.3f", a - b }')"
    bound_ratio "$case_name" 'kiln, the sandbox step alone' 1.3 'crun run, the same bundle'
    [[ -z $(value "$case_name" 'podman run') ]] || bound_ratio "$case_name" 'kiln run, a container step' 0.3 'podman run'

    case_name="$n × /bin/true, one after the other" spec=()
    [[ -z $(value '/bin/true, start to end' 'podman run') ]] ||
        spec+=(-- 'podman run' -n 1 "$work/bin/spawn" "$n" 1 "${podman_run[@]}" "$podman_image" /bin/true)
    measure "$case_name" "$(pick 1 3)" 'kiln run -j 1, sandbox' "$kiln" run -j 1 --no-cache --plain "${sandbox[@]}" \
        -- 'kiln run -j 1, container' "$kiln" run -j 1 --no-cache --plain "${container[@]}" \
        -- 'crun run, the same bundle' "${box_crun[@]}" "$work/bin/spawn" "$n" 1 "${crun_run[@]}" "${spec[@]}"
    bound_ratio "$case_name" 'kiln run -j 1, sandbox' 1.3 'crun run, the same bundle'
    [[ -z $(value "$case_name" 'podman run') ]] || bound_ratio "$case_name" 'kiln run -j 1, container' 0.3 'podman run'
    drop_box
    podman_end
    note 'BuildKit is not compared: Debian has no package of its daemon.'
    cd "$work"
    rm -rf "$dir" "$work/own"
}
