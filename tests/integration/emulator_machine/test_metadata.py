"""The metadata service as machines see it: tokens, hop limits, credentials, notices."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime

BASE = "http://169.254.169.254/latest"
TOKEN = f"curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {BASE}/api/token"
# Any client would do; bash's own sockets need nothing in the container's image.
IN_CONTAINER = (
    "exec 3<>/dev/tcp/169.254.169.254/80;"
    r"printf 'PUT /latest/api/token HTTP/1.1\r\nHost: x\r\n"
    r"X-aws-ec2-metadata-token-ttl-seconds: 60\r\nConnection: close\r\n\r\n' >&3;"
    "timeout 3 head -n 1 <&3"
)


def get(machine, path: str) -> str:
    return machine.ok(f'curl -sf -H "X-aws-ec2-metadata-token: $({TOKEN})" {BASE}/{path}')


def status(machine, words: str) -> str:
    return machine.ok(f"curl -s -o /dev/null -w '%{{http_code}}' {words}")


def test_identity_with_a_token(gpu_machine):
    assert get(gpu_machine, "meta-data/instance-id") == gpu_machine.id
    assert get(gpu_machine, "meta-data/placement/availability-zone") == "us-east-1a"
    assert get(gpu_machine, "meta-data/instance-life-cycle") == "spot"
    document = json.loads(get(gpu_machine, "dynamic/instance-identity/document"))
    assert document["instanceType"] == "p2.xlarge"
    assert document["privateIp"] == gpu_machine.address


def test_refused_without_a_token_or_with_a_wrong_one(gpu_machine):
    assert status(gpu_machine, f"{BASE}/meta-data/instance-id") == "401"
    wrong = f"-H 'X-aws-ec2-metadata-token: guessed' {BASE}/meta-data/instance-id"
    assert status(gpu_machine, wrong) == "401"
    assert status(gpu_machine, f"-X PUT {BASE}/api/token") == "400"
    forwarded = f"-X PUT -H 'X-Forwarded-For: 10.0.0.1' {BASE}/api/token"
    assert status(gpu_machine, forwarded) == "403"


def test_a_token_is_its_machines_alone(gpu_machine, plain_machine):
    token = gpu_machine.ok(TOKEN)
    words = f"-H 'X-aws-ec2-metadata-token: {token}' {BASE}/meta-data/instance-id"
    assert status(gpu_machine, words) == "200"
    assert status(plain_machine, words) == "401"


def test_tokens_may_be_optional(plain_machine):
    assert plain_machine.ok(f"curl -sf {BASE}/meta-data/instance-id") == plain_machine.id


def test_credentials_of_the_role(gpu_machine, plain_machine):
    role = get(gpu_machine, "meta-data/iam/security-credentials/")
    assert role == "test-role"
    given = json.loads(get(gpu_machine, f"meta-data/iam/security-credentials/{role}"))
    assert given["AccessKeyId"] == "ASIA-test-role"
    assert given["Code"] == "Success"
    no_role = f"{BASE}/meta-data/iam/security-credentials/"
    assert status(plain_machine, no_role) == "404"


def test_hop_limit_keeps_containers_out(gpu_machine, plain_machine):
    run = f"sudo docker run --rm ubuntu bash -c {shlex.quote(IN_CONTAINER)}"
    code, out = gpu_machine.run(run)
    assert code == 124
    assert "HTTP/1.1" not in out
    assert "HTTP/1.1 200 OK" in plain_machine.ok(run)


def test_a_container_on_the_hosts_network_is_no_further_away(gpu_machine):
    run = f"sudo docker run --rm --network=host ubuntu bash -c {shlex.quote(IN_CONTAINER)}"
    assert "HTTP/1.1 200 OK" in gpu_machine.ok(run)


def test_notices_appear_when_they_are_given(world, gpu_machine):
    token = gpu_machine.ok(TOKEN)
    ask = f"-H 'X-aws-ec2-metadata-token: {token}' {BASE}/meta-data"
    paths = ("spot/instance-action", "events/recommendations/rebalance")
    assert [status(gpu_machine, f"{ask}/{path}") for path in paths] == ["404", "404"]
    at = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    world.machines.notice(gpu_machine.id, "rebalance", at)
    assert [status(gpu_machine, f"{ask}/{path}") for path in paths] == ["404", "200"]
    world.machines.notice(gpu_machine.id, "terminate", at)
    action = json.loads(gpu_machine.ok(f"curl -sf {ask}/spot/instance-action"))
    assert action == {"action": "terminate", "time": "2031-05-06T07:08:09Z"}
    assert gpu_machine.ok(f"curl -sf {ask}/spot/termination-time") == "2031-05-06T07:08:09Z"
