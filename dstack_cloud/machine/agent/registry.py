"""How the machine signs in at the registry of the job's image: as the workflow says, else with the
machine's own role at a registry of its own cloud, else not at all.

https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html
https://cloud.google.com/artifact-registry/docs/docker/authentication (access token)
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .errors import Failure, StoreError
from .paths import Paths, read_json

HUB = "docker.io"
_ECR = re.compile(
    r"[0-9]{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\."
    r"(?:amazonaws\.(?:com|com\.cn|eu)|on\.aws|on\.amazonwebservices\.com\.cn)"
)
_GOOGLE = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io")


class Login(NamedTuple):
    """``role``: it is the machine's own, else the workflow's."""

    username: str
    password: str
    role: bool


def host_of(image: str) -> str:
    """The registry in an image's name; Docker Hub where none is written."""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return HUB if first == "index.docker.io" else first
    return HUB


def ecr_region(host: str) -> str | None:
    """The region of an Elastic Container Registry, None for another one."""
    found = _ECR.fullmatch(host)
    return found.group(1) if found else None


def is_google(host: str) -> bool:
    """Whether it is an Artifact Registry, or the older Container Registry."""
    return _GOOGLE.fullmatch(host) is not None


def login_of(image: str, job: Mapping[str, Any], paths: Paths) -> Login | None:
    """Raises Failure where the machine's role gives none at a registry that wants one, StoreError
    where it does not answer."""
    given = read_json(paths.registry)
    if given:
        return Login(given["username"], given["password"], role=False)
    host = host_of(image)
    region = ecr_region(host)
    if region is not None and job["cloud"] == "aws":
        return _at_ecr(image, host, region, job)
    if is_google(host) and job["cloud"] == "gcp":
        return _at_google()
    return None


def forget_login(paths: Paths) -> None:
    """The image is there: nobody needs the login any more."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(paths.registry)


def _at_ecr(image: str, host: str, region: str, job: Mapping[str, Any]) -> Login:
    from .aws_call import Refused, post

    headers = {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
    }
    try:
        answer = post("ecr", job, region, "GetAuthorizationToken", headers, b"{}")
    except Refused as error:
        if error.passing:
            raise
        raise Failure(
            "denied",
            f"the machine's role gets no login for {host}: {error}",
            "dstack-cloud init gives the role what it needs to pull images",
        ) from error
    try:
        token = json.loads(answer)["authorizationData"][0]["authorizationToken"]
        name, _, password = base64.b64decode(token).decode().partition(":")
    except (ValueError, KeyError, IndexError) as error:
        raise StoreError(f"ECR gives no login for {image}: {error}") from error
    return Login(name, password, role=True)


def _at_google() -> Login | None:
    from .google_metadata import GoogleMetadata

    try:
        token = GoogleMetadata().token()
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        # A public image needs none.
        return None
    return Login("oauth2accesstoken", token, role=True)
