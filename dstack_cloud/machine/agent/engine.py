"""The Docker Engine's API over its unix socket.

https://docs.docker.com/reference/api/engine/
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import select
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from .times import engine_since

DEFAULT_SOCKET = "/var/run/docker.sock"
NEVER = "0001-01-01T00:00:00Z"


class EngineError(Exception):
    """The engine's answer was an error; ``status`` 0 when there was no answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def socket_path() -> str:
    """``$DOCKER_HOST`` where it names a unix socket, else the usual one."""
    host = os.environ.get("DOCKER_HOST", "")
    return host[len("unix://") :] if host.startswith("unix://") else DEFAULT_SOCKET


def split_image(image: str) -> tuple[str, str]:
    """Name and tag for a pull. No tag at all would pull every tag there is."""
    if "@" in image or ":" in image.rpartition("/")[2]:
        return image, ""
    return image, "latest"


class Engine:
    """Short requests, each on a connection of its own; the two streams at the end."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path or socket_path()

    def _call(self, method: str, target: str, timeout: float = 60.0) -> tuple[int, bytes]:
        connection = _Connection(self._path, timeout)
        try:
            connection.request(method, target)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(0, f"the Docker engine does not answer: {error}") from error
        finally:
            connection.close()

    def alive(self) -> bool:
        try:
            return self._call("GET", "/_ping", 5.0)[0] == 200
        except EngineError:
            return False

    def inspect(self, name: str) -> Any:
        """The container's description, or None."""
        return self._describe(f"/containers/{quote(name)}/json")

    def image(self, name: str) -> Any:
        """The image's description, or None when it is not on the machine."""
        return self._describe(f"/images/{quote(name)}/json")

    def _describe(self, target: str) -> Any:
        status, body = self._call("GET", target)
        if status == 404:
            return None
        if status != 200:
            raise EngineError(status, _message(body))
        return json.loads(body)

    def kill(self, name: str, signal: str) -> None:
        """Harmless when the container does not run."""
        status, body = self._call("POST", f"/containers/{quote(name)}/kill?signal={signal}")
        if status not in (204, 404, 409):
            raise EngineError(status, _message(body))

    def remove(self, name: str) -> None:
        """Remove the container with its anonymous volumes; harmless when it is gone."""
        status, body = self._call("DELETE", f"/containers/{quote(name)}?force=1&v=1")
        if status not in (204, 404, 409):
            raise EngineError(status, _message(body))

    def pull(
        self, image: str, patience: float, login: tuple[str, str] | None = None
    ) -> Iterator[Any]:
        """The pull's events; None each time that ``patience`` seconds passed without one.

        ``login`` is name and password for the image's registry: the engine does not keep them.
        """
        name, tag = split_image(image)
        query = urlencode({"fromImage": name, "tag": tag} if tag else {"fromImage": name})
        # https://docs.docker.com/reference/api/engine/ (Authentication)
        header = b""
        if login is not None:
            words = json.dumps({"username": login[0], "password": login[1]}).encode()
            header = b"X-Registry-Auth: %s\r\n" % base64.urlsafe_b64encode(words)
        stream = self._open("POST", "/images/create?" + query, header)
        try:
            # The engine answers only when it has the image's manifest: that may take long.
            while not _readable(stream, patience):
                yield None
            status = _head(stream)
            if status != 200:
                raise EngineError(status, _message(_rest(stream)))
            pending = b""
            while True:
                if not _readable(stream, patience):
                    yield None
                    continue
                part = stream.recv(1 << 16)
                if not part:
                    return
                *lines, pending = (pending + part).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield json.loads(line)
        except OSError as error:
            raise EngineError(0, f"the Docker engine does not answer: {error}") from error
        finally:
            stream.close()

    def logs(self, name: str, since: bytes, follow: bool, tail: int = 0) -> socket.socket:
        """The container's output as multiplexed frames, raw, from ``since`` on (inclusive), or
        the last ``tail`` records."""
        query = f"stdout=1&stderr=1&timestamps=1&follow={int(follow)}"
        if tail:
            query += f"&tail={tail}"
        if since:
            query += "&since=" + engine_since(since)
        stream = self._open("GET", f"/containers/{quote(name)}/logs?{query}")
        try:
            if not _readable(stream, 60.0):
                raise EngineError(0, "the Docker engine gives no log")
            status = _head(stream)
            if status != 200:
                raise EngineError(status, _message(_rest(stream)))
            return stream
        except OSError as error:
            stream.close()
            raise EngineError(0, f"the Docker engine does not answer: {error}") from error
        except EngineError:
            stream.close()
            raise

    def _open(self, method: str, target: str, header: bytes = b"") -> socket.socket:
        """Send a request by hand, HTTP/1.0, so that the answer's body comes without chunks in
        between: it is copied, not parsed."""
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            stream.connect(self._path)
            stream.sendall(
                b"%s %s HTTP/1.0\r\nHost: docker\r\n%s\r\n"
                % (method.encode(), target.encode(), header)
            )
        except OSError as error:
            stream.close()
            raise EngineError(0, f"the Docker engine does not answer: {error}") from error
        return stream


def _readable(stream: socket.socket, seconds: float) -> bool:
    return bool(select.select([stream], [], [], seconds)[0])


def _head(stream: socket.socket) -> int:
    """Take the headers off the stream, and nothing of what follows; returns the status."""
    while True:
        seen = stream.recv(1 << 16, socket.MSG_PEEK)
        end = seen.find(b"\r\n\r\n")
        if end >= 0:
            return int(stream.recv(end + 4).split(None, 2)[1])
        if not seen or len(seen) > 1 << 15:
            raise EngineError(0, "the Docker engine closed the connection")


def _rest(stream: socket.socket) -> bytes:
    data = b""
    while len(data) < 1 << 16:
        part = stream.recv(1 << 16)
        if not part:
            break
        data += part
    return data


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace").strip() or "no reason given"
