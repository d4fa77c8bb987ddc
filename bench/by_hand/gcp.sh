#!/usr/bin/env bash
# What somebody who knows Google Cloud writes to run one container on one new machine, with curl
# and jq: a token, launch, wait for the address, wait for ssh, run. Looks every 100 ms. Marks its
# steps on stderr.
# Environment: API (the instances of a zone) BODY (a file, what to insert) NAME KEY_FILE CONTAINER
# COMMAND, and GOOGLE_APPLICATION_CREDENTIALS, a service account's key file.
set -euo pipefail
. "${0%/*}/over-ssh.sh"
encode() { base64 -w0 | tr '+/' '-_' | tr -d '='; }

# A token: developers.google.com/identity/protocols/oauth2/service-account, by HTTP and openssl.
token() {
    local key=$GOOGLE_APPLICATION_CREDENTIALS now=${EPOCHSECONDS} head claim signed uri
    uri=$(jq -r .token_uri "$key")
    head=$(jq -c '{alg: "RS256", typ: "JWT", kid: .private_key_id}' "$key" | tr -d '\n' | encode)
    claim=$(jq -c --argjson now "$now" '{iss: .client_email, aud: .token_uri, iat: $now,
        exp: ($now + 3600), scope: "https://www.googleapis.com/auth/cloud-platform"}' "$key" |
        tr -d '\n' | encode)
    signed=$(printf '%s.%s' "$head" "$claim" |
        openssl dgst -sha256 -sign <(jq -r .private_key "$key") -binary | encode)
    curl -sS --fail-with-body \
        --data-urlencode grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer --data "assertion=$head.$claim.$signed" "$uri" | jq -r .access_token
}

mark begun
authorization="Authorization: Bearer $(token)"
mark token
jq --arg name "$NAME" '.name = $name' "$BODY" |
    curl -sS --fail-with-body -o /dev/null -H "$authorization" \
        -H 'Content-Type: application/json' -d @- "$API"
mark launched "$NAME"
while :; do
    # Not found until the operation that makes it has begun.
    address=$(curl -sS -H "$authorization" "$API/$NAME" |
        jq -r '.networkInterfaces[0].accessConfigs[0].natIP // empty')
    mark asked
    [ -z "$address" ] || break
    sleep 0.1
done
mark address "$address"
run_at "$address"
