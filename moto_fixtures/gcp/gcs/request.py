"""One request to Cloud Storage, and its answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import parse_qsl

from moto_fixtures.gcp.gcs.errors import GcsError, invalid, not_met
from moto_fixtures.gcp.gcs.objects import Precondition, Stored


class Principal(Protocol):
    """Who calls."""

    @property
    def email(self) -> str: ...

    def may(self, permission: str, resource: str) -> bool:
        """``resource`` is ``projects/P``, ``projects/_/buckets/B`` or
        ``projects/_/buckets/B/objects/O``: what a condition sees as ``resource.name``."""
        ...


@dataclass(frozen=True)
class Request:
    """``path`` is as it was sent, encoded; header names are lowercase."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    peer: str
    host: str
    raw_query: str = ""

    def json(self) -> dict[str, Any]:
        try:
            found = json.loads(self.body or b"{}")
        except ValueError:
            raise GcsError(400, "parseError", "Parse Error") from None
        if not isinstance(found, dict):
            raise invalid("An object is expected.")
        return found

    def all(self, name: str) -> list[str]:
        """Every value of a parameter that may be told more than once."""
        pairs = parse_qsl(self.raw_query, keep_blank_values=True)
        return [value for key, value in pairs if key == name]

    def number(self, name: str) -> int | None:
        return _number(name, self.query.get(name))

    def precondition(self, prefix: str = "") -> Precondition:
        """From the query, as in the JSON API; ``prefix`` is ``Source`` where two are told."""
        words = ("GenerationMatch", "GenerationNotMatch")
        metas = ("MetagenerationMatch", "MetagenerationNotMatch")
        return Precondition(
            *(self.number(f"if{prefix}{word}") for word in words),
            *(self.number(f"if{prefix}{word}") for word in metas),
        )

    def header_precondition(self) -> Precondition:
        """From the headers, as in the XML API."""
        names = ("x-goog-if-generation-match", "x-goog-if-metageneration-match")
        generation, metageneration = (_number(n, self.headers.get(n)) for n in names)
        return Precondition(generation=generation, metageneration=metageneration)


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, value: Any, status: int = 200) -> Answer:
        return cls(
            status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=UTF-8"}
        )

    @classmethod
    def of_xml(cls, text: str, status: int = 200) -> Answer:
        declaration = "<?xml version='1.0' encoding='UTF-8'?>"
        return cls(
            status,
            (declaration + text).encode(),
            {"Content-Type": "application/xml; charset=UTF-8"},
        )


def read_request(environ: Mapping[str, Any]) -> Request:
    """The request that a WSGI server has read."""
    headers = {
        key[5:].replace("_", "-").lower(): str(value)
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(key):
            headers[key.replace("_", "-").lower()] = str(environ[key])
    raw = str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ["PATH_INFO"])
    return Request(
        method=str(environ["REQUEST_METHOD"]),
        path=raw.partition("?")[0],
        query=dict(parse_qsl(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)),
        headers=headers,
        body=environ["wsgi.input"].read(),
        peer=str(environ.get("REMOTE_ADDR", "")),
        host=headers.get("host", ""),
        raw_query=str(environ.get("QUERY_STRING", "")),
    )


def media(request: Request, stored: Stored, headers: dict[str, str]) -> Answer:
    """An object's bytes, or the range of them that is asked for, if conditions let them be."""
    _check_conditions(request, stored)
    headers = {"Content-Type": stored.content_type, "Accept-Ranges": "bytes", **headers}
    size = len(stored.data)
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
    if wanted is None or wanted.group(0) == "bytes=-":
        headers["Content-Length"] = str(size)
        return Answer(200, stored.data, headers)
    first, last = wanted.groups()
    begin = int(first) if first else max(0, size - int(last))
    end = min(int(last), size - 1) if first and last else size - 1
    if begin > end:
        raise GcsError(416, "requestedRangeNotSatisfiable", "Request range not satisfiable")
    headers["Content-Range"] = f"bytes {begin}-{end}/{size}"
    headers["Content-Length"] = str(end - begin + 1)
    return Answer(206, stored.data[begin : end + 1], headers)


def timestamp(moment: datetime) -> str:
    """As both APIs write times in their bodies: milliseconds, UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0), usegmt=True)


def _check_conditions(request: Request, stored: Stored) -> None:
    """https://cloud.google.com/storage/docs/xml-api/reference-headers"""
    headers = request.headers
    match = headers.get("if-match")
    if match is not None and not _names(match, stored):
        raise not_met()
    moment = stored.updated.replace(microsecond=0)
    unmodified = headers.get("if-unmodified-since")
    if match is None and unmodified and moment > parsedate_to_datetime(unmodified):
        raise not_met()
    none_match = headers.get("if-none-match")
    modified = headers.get("if-modified-since")
    same = none_match is not None and _names(none_match, stored)
    if none_match is None and modified:
        same = moment <= parsedate_to_datetime(modified)
    if same:
        raise GcsError(304, "notModified", "Not Modified")


def _names(header: str, stored: Stored) -> bool:
    tags = [tag.strip().strip('"') for tag in header.split(",")]
    return "*" in tags or stored.etag in tags


def _number(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise invalid(f"Invalid value for {name}: '{text}'") from None
