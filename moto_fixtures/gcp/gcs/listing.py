"""Pages of a listing: prefix, delimiter, where it begins and ends. Pure."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from moto_fixtures.gcp.gcs.errors import invalid
from moto_fixtures.gcp.gcs.objects import Stored


@dataclass(frozen=True)
class Page:
    """``token`` continues it; empty when there is no more."""

    items: list[Stored]
    prefixes: list[str]
    token: str


@dataclass(frozen=True)
class Query:
    """``start`` is inclusive, ``after`` is not, ``end`` is where it stops, before."""

    prefix: str = ""
    delimiter: str = ""
    start: str = ""
    after: str = ""
    end: str = ""
    token: str = ""
    most: int = 1000


def page(objects: Sequence[Stored], query: Query) -> Page:
    """One page of objects that are in order already."""
    passed = _decoded(query.token)
    items: list[Stored] = []
    prefixes: list[str] = []
    last = ""
    for stored in objects:
        name = stored.name
        if not name.startswith(query.prefix) or name < query.start:
            continue
        if (query.after and name <= query.after) or (query.end and name >= query.end):
            continue
        head, found, _ = name[len(query.prefix) :].partition(query.delimiter or "\0")
        folder = query.prefix + head + query.delimiter if query.delimiter and found else ""
        entry = folder or name
        if passed and (entry <= passed or name <= passed):
            continue
        if folder and folder in prefixes:
            continue
        if len(items) + len(prefixes) >= min(query.most, 1000):
            return Page(items, prefixes, _encoded(last))
        if folder:
            prefixes.append(folder)
        else:
            items.append(stored)
        last = entry
    return Page(items, prefixes, "")


def _encoded(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _decoded(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        raise invalid("Invalid page token.") from None
