#!/usr/bin/env bash
# What somebody who knows AWS writes to run one container on one new machine: launch, wait for the
# address, wait for ssh, run (the engine's socket is there before sshd: a command waits for it).
# Looks every 100 ms. Marks its steps on stderr.
# Environment: IMAGE TYPE KEY KEY_FILE GROUP CONTAINER COMMAND, and the AWS SDK's own.
set -euo pipefail
mark() { printf 'mark %s %s %s\n' "$EPOCHREALTIME" "$1" "${2-}" >&2; }
options=(-i "$KEY_FILE" -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=/dev/null
    -o ConnectTimeout=2 -o LogLevel=ERROR)

mark begun
id=$(aws ec2 run-instances --image-id "$IMAGE" --instance-type "$TYPE" --key-name "$KEY" \
    --security-group-ids "$GROUP" --instance-market-options MarketType=spot \
    --instance-initiated-shutdown-behavior terminate \
    --query 'Instances[0].InstanceId' --output text)
mark launched "$id"
while :; do
    address=$(aws ec2 describe-instances --instance-ids "$id" \
        --query 'Reservations[0].Instances[0].PublicIpAddress' --output text)
    mark asked
    [ "$address" = None ] || break
    sleep 0.1
done
mark address "$address"
until ssh "${options[@]}" "ubuntu@$address" true 2>/dev/null; do sleep 0.1; done
mark connected
ssh "${options[@]}" "ubuntu@$address" sudo docker run --rm "$CONTAINER" sh -c "'$COMMAND'"
mark ended
