"""An HTTP request as the emulator reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from moto_fixtures.gcp.call import GcpError


@dataclass(frozen=True)
class Received:
    """``raw_path`` is as it was sent, percent signs and all; header names are lower-case."""

    method: str
    path: str
    raw_path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    peer: str
    host: str

    def json(self) -> Any:
        """None where there is no body; GcpError 400 where it is no JSON."""
        if not self.body.strip():
            return None
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise GcpError(400, "parseError", f"Parse Error: {error}") from error


def received(environ: Mapping[str, Any]) -> Received:
    """Read a request whole."""
    headers = {
        name[5:].replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    return Received(
        method=str(environ["REQUEST_METHOD"]),
        path=str(environ["PATH_INFO"]).encode("latin-1").decode("utf-8", "replace"),
        raw_path=str(environ["RAW_URI"]).partition("?")[0],
        query=dict(parse_qsl(str(environ["QUERY_STRING"]), keep_blank_values=True)),
        headers=headers,
        body=environ["wsgi.input"].read(),
        peer=str(environ["REMOTE_ADDR"]),
        host=headers.get("host", ""),
    )
