"""Compute Engine, as a machine of its own asks it: its end, its notices, its credentials kept.

https://cloud.google.com/compute/docs/reference/rest/v1/instances/delete
https://cloud.google.com/compute/docs/instances/spot (preemption)
https://cloud.google.com/compute/docs/metadata/getting-live-migration-notice
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from .cloud import Cloud, Look, Notice
from .errors import Failure, StoreError
from .firewall import ask
from .google_metadata import GoogleMetadata
from .web import Web

_COMPUTE = "https://compute.googleapis.com/compute/v1"
# From the power button to the cut (skipGuestOsShutdown in the reference of `scheduling`).
_SPOT, _STANDARD = 30.0, 120.0
# Where the launch asked for an earlier word of it (preemptionNoticeDuration), it says here how
# many seconds before the power button that comes: the machine is not told otherwise.
_EARLIER = "instance/attributes/dstack-cloud-preemption-notice"
# Before maintenance there is an hour with GPUs, else a minute. Nobody needs the whole hour.
_MAINTENANCE_GPU, _MAINTENANCE = 600.0, 60.0
_WAIT = 60.0

# Everything at that address but the network's name server, which containers need.
_RULE = ["-d", "169.254.169.254/32", "-p", "tcp", "!", "--dport", "53"]
_RULE += ["-m", "comment", "--comment", "dstack: the credentials are the machine's alone"]
_RULE += ["-j", "REJECT", "--reject-with", "tcp-reset"]


class Gce(Cloud):
    # A machine that only powers itself off is stopped, and its disk costs on: ask longer.
    pauses: Sequence[float] = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)

    def __init__(self, job: Mapping[str, Any]) -> None:
        super().__init__(job)
        self._metadata = GoogleMetadata()
        if job["machine_record"].get("spot"):
            self.shutdown = _SPOT
        else:
            self.shutdown = _STANDARD

    def end(self) -> None:
        """instances.delete, with the machine's own service account."""
        try:
            project = self._metadata.need("project/project-id")
            zone = self._metadata.need("instance/zone").rpartition("/")[2]
            name = self._metadata.need("instance/name")
            token = self._metadata.token()
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            raise StoreError(f"the metadata server does not say what this is: {error}") from error
        base = (self._job["endpoints"].get("compute") or _COMPUTE).rstrip("/")
        target = f"{urlsplit(base).path}/projects/{project}/zones/{zone}/instances/{name}"
        try:
            web = Web(base)
            answer = web.request("DELETE", target, {"Authorization": f"Bearer {token}"})
        except (OSError, http.client.HTTPException) as error:
            raise StoreError(f"Compute Engine does not answer: {error}") from error
        # Nothing there: somebody else has deleted it already.
        if answer.status not in (200, 404):
            text = answer.body.decode("utf-8", "replace")
            raise StoreError(f"instances.delete: {answer.status} {text[:300]}")

    def looks(self) -> list[Look]:
        return [
            _Key(self._metadata, "instance/preempted", self._preempted).look,
            _Key(self._metadata, "instance/maintenance-event", self._maintenance).look,
        ]

    def guard(self) -> None:
        """Containers on a bridge are as near to the metadata server as the machine itself: the
        machine's own firewall must refuse them. Those on the machine's network: see `shield`."""
        chain = "DOCKER-USER"
        if ask("iptables", "-n", "-L", chain) is not None:
            chain = "FORWARD"
        if ask("iptables", "-C", chain, *_RULE) is None:
            return
        problem = ask("iptables", "-I", chain, *_RULE)
        if problem is not None:
            raise Failure(
                "setup",
                f"containers cannot be kept from the machine's credentials: {problem}",
                "the machine's image must have a working iptables",
            )

    def _preempted(self, text: str) -> Notice | None:
        if text != "TRUE":
            return None
        return Notice("terminate", _SPOT + float(self._metadata.get(_EARLIER) or 0.0))

    def _maintenance(self, text: str) -> Notice | None:
        if text != "TERMINATE_ON_HOST_MAINTENANCE":
            return None
        gpus = "--gpus" in self._job["container"]["run"]
        return Notice("maintenance", _MAINTENANCE_GPU if gpus else _MAINTENANCE)


class _Key:
    """One key of the metadata, followed: each look waits for another text than the last one."""

    def __init__(self, metadata: GoogleMetadata, path: str, read: Any) -> None:
        self._metadata = metadata
        self._path = path
        self._read = read
        self._etag = ""

    def look(self) -> Notice | None:
        text, self._etag = self._metadata.wait(self._path, self._etag, _WAIT)
        found: Notice | None = self._read((text or "").strip())
        return found
