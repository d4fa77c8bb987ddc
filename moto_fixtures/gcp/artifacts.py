"""Artifact Registry: who may pull from the project's repositories.

https://cloud.google.com/artifact-registry/docs/docker/authentication, and for permissions
https://cloud.google.com/artifact-registry/docs/access-control; gcr.io is served by it.
"""

from __future__ import annotations

from collections.abc import Callable

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.iam.principals import Caller
from moto_fixtures.gcp.project import PROJECT
from moto_fixtures.machine.registries import Refusal

PERMISSION = "artifactregistry.repositories.downloadArtifacts"
_SERVICE = "artifactregistry.googleapis.com"
_OLDER = {"gcr.io": "us", "us.gcr.io": "us", "eu.gcr.io": "europe"}
_PLACES = ("us-central1", "us-east1", "europe-west1", "europe-west4", "us", "europe")


class Artifacts:
    """``identify`` is the emulator's: who an Authorization header is."""

    def __init__(self, identify: Callable[[str | None, str], Caller]) -> None:
        self._identify = identify

    @property
    def hosts(self) -> list[str]:
        return [*(f"{place}-docker.pkg.dev" for place in _PLACES), *_OLDER]

    def admit(self, host: str, username: str, password: str) -> Caller | None:
        if username != "oauth2accesstoken":
            return None
        try:
            return self._identify(f"Bearer {password}", _SERVICE)
        except GcpError:
            return None

    def require(self, who: Caller, host: str, repository: str, kind: str, peer: str) -> None:
        project, _, rest = repository.partition("/")
        place = _OLDER.get(host) or host.removesuffix("-docker.pkg.dev")
        name = host if host in _OLDER else rest.partition("/")[0]
        resource = f"projects/{project}/locations/{place}/repositories/{name}"
        if project != PROJECT or not who.may(PERMISSION, resource):
            words = f'Permission "{PERMISSION}" denied on resource "{resource}"'
            raise Refusal(403, "DENIED", f"{words} (or it may not exist)")
