"""What the engine's words for a failed pull mean, whichever of its image stores says them."""

from __future__ import annotations

import pytest

from dstack_cloud.lifecycle.ending import error_of
from dstack_cloud.machine.agent.pull_errors import meaning_of
from dstack_cloud.machine.agent.registry import Login, ecr_region, host_of, is_google

GIVEN = Login("me", "planted", role=False)
ROLE = Login("AWS", "planted", role=True)
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/model:3"
GAR = "europe-west4-docker.pkg.dev/project/team/model"
HUB_LIMIT = (
    "toomanyrequests: You have reached your unauthenticated pull rate limit. "
    "https://www.docker.com/increase-rate-limit"
)
HUB_ABSENT = (
    "pull access denied for nobody/nothing, repository does not exist or may require "
    "'docker login': denied: requested access to the resource is denied"
)
CONTAINERD = 'failed to resolve reference "docker.io/library/a:1": '


@pytest.mark.parametrize(
    ("image", "login", "said", "reason", "exit_code", "words", "tries"),
    [
        ("ubuntu", None, HUB_LIMIT, "rate-limit", 75, "this machine's address", 1),
        ("ubuntu", GIVEN, HUB_LIMIT, "rate-limit", 75, "the login's account", 1),
        (
            "a:1",
            None,
            CONTAINERD + "unexpected status from HEAD request: 429 Too Many Requests",
            "rate-limit",
            75,
            "Docker Hub",
            1,
        ),
        (ECR, ROLE, "toomanyrequests: Rate exceeded", "rate-limit", 75, "asked too often", 5),
        ("nobody/nothing", None, HUB_ABSENT, "image", 2, "does not exist, or it is private", 1),
        ("nobody/nothing", GIVEN, HUB_ABSENT, "denied", 77, "registry_auth may not pull", 1),
        (
            "a/b:1",
            None,
            CONTAINERD + "pull access denied, repository does not exist or may require "
            "authorization: server message: insufficient_scope: authorization failed",
            "image",
            2,
            "does not exist, or it is private",
            1,
        ),
        (
            "ghcr.io/a/b",
            None,
            'Head "https://ghcr.io/v2/a/b/manifests/1": denied',
            "image",
            2,
            "",
            1,
        ),
        (
            ECR,
            None,
            f'Head "https://{ECR}": no basic auth credentials',
            "login",
            77,
            "wants a login",
            1,
        ),
        (
            "docker.io/me/mine",
            GIVEN,
            "unauthorized: incorrect username or password",
            "login",
            77,
            "Docker Hub does not take the login of registry_auth",
            1,
        ),
        (
            ECR,
            ROLE,
            "pull access denied for x, repository does not exist or may require 'docker login': "
            "denied: User: arn:aws:sts::1:assumed-role/r/i is not authorized to perform: "
            "ecr:BatchGetImage",
            "denied",
            77,
            "the machine's role may not pull",
            1,
        ),
        ("a:1", None, "manifest for a:1 not found: manifest unknown", "image", 2, "not exist", 1),
        (
            ECR,
            ROLE,
            "name unknown: The repository with name 'team/model' does not exist in the registry",
            "image",
            2,
            "does not exist",
            1,
        ),
        (
            "a:1",
            None,
            "no matching manifest for linux/amd64 in the manifest list entries",
            "image",
            2,
            "architecture",
            1,
        ),
        (
            "a:1",
            None,
            "write /var/lib/docker/tmp/GetImageBlob1: no space left on device",
            "disk",
            2,
            "the disk is full",
            1,
        ),
        (
            "x.test/a:1",
            None,
            "dial tcp: lookup x.test on 1.1.1.1:53: no such host",
            "registry",
            75,
            "reached",
            3,
        ),
        ("x.test/a:1", None, "received unexpected HTTP status: 503 Busy", "registry", 75, "", 3),
        ("a:1", None, "something new", "image", 2, "cannot be pulled: something new", 3),
        # The user's own words are not the engine's, nor is a digest a status.
        (
            "x.test/toomanyrequests/denied:unauthorized",
            None,
            "manifest for x.test/toomanyrequests/denied:unauthorized not found",
            "image",
            2,
            "does not exist",
            1,
        ),
        (
            "x.test/eof@sha256:" + "503" * 21 + "4",
            None,
            "manifest for x.test/eof@sha256:" + "503" * 21 + "4 not found: manifest unknown",
            "image",
            2,
            "does not exist",
            1,
        ),
    ],
)
def test_what_a_failed_pull_means(
    image: str, login: Login | None, said: str, reason: str, exit_code: int, words: str, tries: int
) -> None:
    failure, pauses = meaning_of(image, said, login)
    error = error_of({"reason": failure.reason, "message": failure.message, "hint": failure.hint})
    assert error is not None
    assert (failure.reason, error.exit_code, len(pauses) + 1) == (reason, exit_code, tries)
    assert words in failure.message
    assert "planted" not in failure.message + (failure.hint or "")
    assert list(pauses) == sorted(pauses)


def test_what_to_do_where_there_is_no_login() -> None:
    assert "on AWS" in (meaning_of(ECR, "no basic auth credentials").failure.hint or "")
    assert "Google Cloud" in (meaning_of(GAR, "denied: Permission").failure.hint or "")
    hint = meaning_of("ubuntu", HUB_LIMIT).failure.hint or ""
    assert "registry_auth" in hint
    assert "ECR" in hint


@pytest.mark.parametrize(
    ("image", "host"),
    [
        ("ubuntu", "docker.io"),
        ("ubuntu:24.04", "docker.io"),
        ("owner/name", "docker.io"),
        ("docker.io/owner/name", "docker.io"),
        ("index.docker.io/owner/name", "docker.io"),
        ("localhost/a", "localhost"),
        ("host:5000/a/b@sha256:0", "host:5000"),
        (GAR, "europe-west4-docker.pkg.dev"),
    ],
)
def test_the_registry_in_a_name(image: str, host: str) -> None:
    assert host_of(image) == host


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("123456789012.dkr-ecr.us-east-1.on.aws", "us-east-1"),
        ("public.ecr.aws", None),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.test", None),
        ("evil.test", None),
    ],
)
def test_whose_registries_the_role_signs_in_at(host: str, region: str | None) -> None:
    assert ecr_region(host) == region


def test_googles_registries() -> None:
    assert all(map(is_google, ("gcr.io", "eu.gcr.io", "us-docker.pkg.dev")))
    assert not any(map(is_google, ("gcr.io.evil.test", "evil-gcr.io", "x.docker.pkg.dev")))
