# What both scripts share: marks on stderr, and from an address to a container's output. Sourced.
# Environment: KEY_FILE CONTAINER COMMAND.
mark() { printf 'mark %s %s %s\n' "$EPOCHREALTIME" "$1" "${2-}" >&2; }

# Wait for ssh, then run (the engine's socket is there before sshd: a command waits for it).
run_at() {
    local options=(-i "$KEY_FILE" -o StrictHostKeyChecking=accept-new
        -o UserKnownHostsFile=/dev/null -o ConnectTimeout=2 -o LogLevel=ERROR)
    until ssh "${options[@]}" "ubuntu@$1" true 2>/dev/null; do sleep 0.1; done
    mark connected
    ssh "${options[@]}" "ubuntu@$1" sudo docker run --rm "$CONTAINER" sh -c "'$COMMAND'"
    mark ended
}
