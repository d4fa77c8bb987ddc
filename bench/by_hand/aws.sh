#!/usr/bin/env bash
# What somebody who knows AWS writes to run one container on one new machine: launch, wait for the
# address, wait for ssh, run. Looks every 100 ms. Marks its steps on stderr.
# Environment: IMAGE TYPE KEY KEY_FILE GROUP CONTAINER COMMAND, and the AWS SDK's own.
set -euo pipefail
. "${0%/*}/over-ssh.sh"

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
run_at "$address"
