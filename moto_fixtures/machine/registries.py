"""The registries that machines find by name on their gateway: some want a login first.

What they serve is what the mirror has. A manifest is passed on; for a blob the client is sent to
the mirror, as real registries send it to the storage behind them.
"""

from __future__ import annotations

import base64
import http.client
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from moto_fixtures.machine.network import Network
from moto_fixtures.shared.faults import Faults
from moto_fixtures.shared.http import DropConnection, Server
from moto_fixtures.shared.log import CallLog

OPEN, CLOSED = "public.test", "private.test"
_ACCEPT = ", ".join(
    [
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
    ]
)


@dataclass(frozen=True)
class Refusal(Exception):
    """An answer in the registries' own form of an error."""

    status: int
    code: str
    message: str


class Gate(Protocol):
    """A cloud's own registries: ``hosts`` are their names."""

    @property
    def hosts(self) -> Sequence[str]: ...

    def admit(self, host: str, username: str, password: str) -> Any:
        """Who signs in with that; None for nobody."""
        ...

    def require(self, who: Any, host: str, repository: str, kind: str, peer: str) -> None:
        """Raise Refusal unless that one may read ``manifests`` or ``blobs`` there."""
        ...


class Registries:
    """``logins`` are names and passwords for `CLOSED`; `OPEN` wants none, a cloud's own its own."""

    def __init__(self, log: CallLog, faults: Faults, gate: Gate, logins: Mapping[str, str]) -> None:
        self._logins = logins
        self._log = log
        self._faults = faults
        self._gate = gate
        self._network: Network | None = None

    @property
    def hosts(self) -> list[str]:
        """The names that machines know."""
        return [OPEN, CLOSED, *self._gate.hosts]

    def serve(self, network: Network) -> None:
        """Answer on the machines' gateway, until the process ends."""
        self._network = network
        server = Server((network.gateway, network.private_port), self, "registry")
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        host = str(environ.get("HTTP_HOST", "")).partition(":")[0]
        status, headers, body = self._answer(host, environ)
        version = {"Docker-Distribution-Api-Version": "registry/2.0"}
        start_response(f"{status} Registry", [*{**version, **headers}.items()])
        return [body]

    def _answer(self, host: str, environ: Mapping[str, Any]) -> tuple[int, dict[str, str], bytes]:
        name, kind, reference = asked_for(str(environ["PATH_INFO"]))
        parameters = {"host": host, "repository": name, "reference": reference}
        peer = str(environ.get("REMOTE_ADDR", ""))
        entry = self._log.begin("registry", kind, "", parameters, None, None, peer)
        try:
            self._struck(kind, parameters)
            self._admitted(host, environ.get("HTTP_AUTHORIZATION", ""), name, kind, peer)
            status, headers, body = self._content(name, kind, reference)
            entry.outcome = "ok"
        except Refusal as refusal:
            entry.outcome = refusal.code
            status, headers, body = refused(host, refusal)
        except DropConnection:
            entry.outcome = "dropped"
            raise
        entry.status = status
        return status, headers, body

    def _struck(self, kind: str, parameters: Mapping[str, str]) -> None:
        fault = self._faults.strike(kind, {"service": "registry", **parameters}, "before")
        if fault is None:
            return
        if fault.drop:
            raise DropConnection
        if fault.error:
            message = fault.message or "asked of the emulator by a fault"
            raise Refusal(fault.http or 400, fault.error, message)

    def _admitted(self, host: str, header: str, name: str, kind: str, peer: str) -> None:
        if host == OPEN:
            return
        username, password = basic(header)
        if host == CLOSED:
            if not username or self._logins.get(username) != password:
                raise Refusal(401, "UNAUTHORIZED", "authentication required")
            return
        if host not in self._gate.hosts:
            raise Refusal(404, "NAME_UNKNOWN", f"there is no registry called {host}")
        who = self._gate.admit(host, username, password)
        if who is None:
            raise Refusal(401, "UNAUTHORIZED", "authentication required")
        if kind in ("manifests", "blobs"):
            self._gate.require(who, host, name, kind, peer)

    def _content(self, name: str, kind: str, reference: str) -> tuple[int, dict[str, str], bytes]:
        if kind == "ping":
            return 200, {"Content-Type": "application/json"}, b"{}"
        assert self._network is not None
        for upstream in candidates(name):
            target = f"/v2/{upstream}/{kind}/{reference}"
            status, headers, body = self._ask(
                "HEAD" if kind == "blobs" else "GET", target, self._network
            )
            if status == http.client.OK:
                if kind == "blobs":
                    return 307, {"Location": f"{self._network.registry}{target}"}, b""
                return status, headers, body
        code = "BLOB_UNKNOWN" if kind == "blobs" else "MANIFEST_UNKNOWN"
        raise Refusal(404, code, f"{name} has no {reference}")

    @staticmethod
    def _ask(method: str, target: str, network: Network) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(network.gateway, network.registry_port, timeout=30)
        try:
            connection.request(method, target, headers={"Accept": _ACCEPT})
            answer = connection.getresponse()
            body = answer.read()
            kept = ("Content-Type", "Docker-Content-Digest")
            headers = {key: value for key in kept if (value := answer.getheader(key))}
            return answer.status, headers, body
        finally:
            connection.close()


def asked_for(path: str) -> tuple[str, str, str]:
    """Repository, ``manifests``, ``blobs`` or ``ping``, and reference. Pure."""
    words = path.strip("/").split("/")
    if len(words) >= 4 and words[0] == "v2" and words[-2] in ("manifests", "blobs"):
        return "/".join(words[1:-2]), words[-2], words[-1]
    return "", "ping", ""


def candidates(name: str) -> list[str]:
    """What a repository may be called in the mirror, whoever's it is here. Pure."""
    words = name.split("/")
    return ["/".join(words[-2:]), f"library/{words[-1]}"]


def basic(header: str) -> tuple[str, str]:
    """Name and password of an Authorization header, empty without one. Pure."""
    scheme, _, coded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(coded).decode().partition(":")
    except ValueError:
        return "", ""
    return name, password


def refused(host: str, refusal: Refusal) -> tuple[int, dict[str, str], bytes]:
    """The answer that a refusal is. Pure."""
    headers = {"Content-Type": "application/json"}
    if refusal.status == http.client.UNAUTHORIZED:
        headers["WWW-Authenticate"] = f'Basic realm="http://{host}/",service="{host}"'
    body = {"errors": [{"code": refusal.code, "message": refusal.message}]}
    return refusal.status, headers, json.dumps(body).encode()
