"""Secrets in Google's Secret Manager, as ``dstack-cloud-NAME`` in the project.

By plain REST. A secret is kept in the store's region alone, so that a policy of the organization
on places that lets the bucket be made lets the secret be made, too. Of its versions the latest is
the value; what it replaces is destroyed. docs.cloud.google.com/secret-manager/docs/reference/rest
"""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dstack_cloud.clouds.gcp.errors import translated
from dstack_cloud.clouds.gcp.names import OWNER, PREFIX, STORE, label, last
from dstack_cloud.clouds.gcp.sessions import Sessions
from dstack_cloud.secret_manager import Secret
from dstack_cloud.units import format_time, parse_time

_LATEST = "versions/latest"
_TRIES, _PAUSE_S = 4, 0.5


class GcpSecrets:
    """The secrets of a project; new ones are kept in ``region``."""

    def __init__(self, sessions: Sessions, region: str, owner: str, store: str) -> None:
        self._sessions = sessions
        self._region = region
        self._labels = {OWNER: label(owner), STORE: label(store)}

    def set(self, name: str, value: str) -> None:
        """Keep a value, in place of a former one."""
        from google.api_core import exceptions

        wanted = {
            "labels": self._labels,
            "replication": {"userManaged": {"replicas": [{"location": self._region}]}},
        }
        with translated("keeping the secret"):
            try:
                self._call("POST", "", wanted, secretId=PREFIX + name)
                new = True
            except exceptions.Conflict:
                new = False
            payload = {"data": base64.b64encode(value.encode()).decode()}
            made = self._call("POST", f"/{PREFIX}{name}:addVersion", {"payload": payload})
            if not new:
                self._destroy_before(name, int(last(made["name"])))

    def _destroy_before(self, name: str, version: int) -> None:
        """Only what came before: of two who set it at once, the latter's stays."""
        from google.api_core import exceptions

        path = f"/{PREFIX}{name}/versions"
        for one in self._listed(path, "versions"):
            number = last(one["name"])
            if int(number) < version and one["state"] != "DESTROYED":
                # Refused for what the other of the two has destroyed meanwhile.
                with contextlib.suppress(exceptions.BadRequest):
                    self._call("POST", f"{path}/{number}:destroy", {})

    def listing(self) -> list[Secret]:
        """All that are kept, by name."""
        found = []
        with translated("listing the secrets"):
            for one in self._listed("", "secrets", filter=f"name:{PREFIX}"):
                name = last(one["name"])
                latest = self._latest(name) if name.startswith(PREFIX) else None
                if latest is not None and latest["state"] == "ENABLED":
                    made, changed = (_time(each["createTime"]) for each in (one, latest))
                    found.append(Secret(name.removeprefix(PREFIX), made, changed))
        return sorted(found, key=lambda secret: secret.name)

    def values(self, names: Sequence[str]) -> Mapping[str, str]:
        """The values of those among ``names`` that are kept."""
        found = {}
        with translated("reading the secrets"):
            for name in names:
                value = self._value(name)
                if value is not None:
                    found[name] = value
        return found

    def delete(self, name: str) -> None:
        """Keep it no longer: all its versions are gone at once."""
        from google.api_core import exceptions

        with translated("deleting the secret"), contextlib.suppress(exceptions.NotFound):
            self._call("DELETE", f"/{PREFIX}{name}")

    def usable(self) -> str:
        """How many are kept, in words, after a look whether they may be used: for `check`.

        Raises PermissionDeniedError where they may not. Nobody can ask about one that is not there.
        """
        from dstack_cloud.clouds.gcp.policies import permissions
        from dstack_cloud.errors import PermissionDeniedError

        with translated("looking at the secrets"):
            names = [
                last(one["name"]) for one in self._listed("", "secrets", filter=f"name:{PREFIX}")
            ]
            names = [name for name in names if name.startswith(PREFIX)]
            if not names:
                return "none kept"
            asked = permissions("secrets")
            answer = self._call("POST", f"/{names[0]}:testIamPermissions", {"permissions": asked})
        missing = sorted(set(asked) - set(answer.get("permissions", ())))
        if missing:
            raise PermissionDeniedError(
                f"missing on {names[0]}: {', '.join(missing)}",
                "dstack-cloud init --cloud gcp --member user:YOU, run by an administrator, "
                "grants it",
            )
        return f"{len(names)} kept"

    def _latest(self, name: str) -> dict[str, Any] | None:
        """What the latest version is; None for a secret that has none, or was deleted just now."""
        from google.api_core import exceptions

        try:
            found: dict[str, Any] = self._call("GET", f"/{name}/{_LATEST}")
        except exceptions.NotFound:
            return None
        return found

    def _value(self, name: str) -> str | None:
        from google.api_core import exceptions

        try:
            answer = self._call("GET", f"/{PREFIX}{name}/{_LATEST}:access")
        except (exceptions.NotFound, exceptions.BadRequest):
            # The latter where somebody has disabled or destroyed the latest version.
            return None
        try:
            value = base64.b64decode(answer["payload"].get("data", "")).decode()
        except ValueError:
            return None
        return value if value and "\0" not in value else None

    def _listed(self, path: str, key: str, **query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = self._call("GET", path, **query)
            found += page.get(key, ())
            if not page.get("nextPageToken"):
                return found
            query["pageToken"] = page["nextPageToken"]

    def _call(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """A call of Secret Manager. What passes is tried again: every call here may be repeated."""
        from google.api_core import exceptions

        whole = f"v1/projects/{self._sessions.project()}/secrets{path}"
        for attempt in range(_TRIES):
            try:
                return self._sessions.call("secretmanager", method, whole, body, **query)
            except (exceptions.TooManyRequests, exceptions.ServerError):
                if attempt == _TRIES - 1:
                    raise
                time.sleep(_PAUSE_S * 2**attempt)
        raise AssertionError("unreachable")


def _time(text: str) -> str:
    return format_time(parse_time(text))
