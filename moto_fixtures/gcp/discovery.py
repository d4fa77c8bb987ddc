"""Google's own descriptions of its APIs: which calls there are, and what they take and answer.

They come with google-api-python-client, a dependency of development: every call is found in them
by its verb and path, and held against them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import unquote

# Name in the cache, and the service that has to be enabled in a project.
DOCUMENTS = {
    "compute.v1": "compute.googleapis.com",
    "cloudbilling.v1": "cloudbilling.googleapis.com",
    "cloudresourcemanager.v1": "cloudresourcemanager.googleapis.com",
    "cloudresourcemanager.v3": "cloudresourcemanager.googleapis.com",
    "iamcredentials.v1": "iamcredentials.googleapis.com",
    "iam.v1": "iam.googleapis.com",
    "secretmanager.v1": "secretmanager.googleapis.com",
    "serviceusage.v1": "serviceusage.googleapis.com",
}
_VARIABLE = re.compile(r"\{\+?(\w+)\}")


@dataclass(frozen=True)
class Method:
    """One method. ``literal`` is how many characters of its path are fixed, ``parameters`` are
    those of the query, with their schemas; ``request`` and ``response`` name schemas."""

    id: str
    service: str
    verb: str
    pattern: re.Pattern[str]
    slashes: int
    literal: int
    path_names: Mapping[str, str]
    parameters: Mapping[str, Mapping[str, Any]]
    request: str | None
    response: str | None
    schemas: Mapping[str, Any]

    @property
    def mutates(self) -> bool:
        """Whether it begins an operation."""
        return self.response == "Operation" and not self.id.endswith((".get", ".wait"))


@cache
def document(name: str) -> dict[str, Any]:
    """A discovery document, e.g. ``compute.v1``."""
    place = files("googleapiclient") / "discovery_cache" / "documents" / f"{name}.json"
    found: dict[str, Any] = json.loads(place.read_text())
    return found


def find(verb: str, path: str) -> tuple[Method, dict[str, str]] | None:
    """The method that a request calls, and what its path says."""
    for method in _index().get((verb, path.count("/")), []):
        match = method.pattern.fullmatch(path)
        if match:
            said = {k: unquote(v) for k, v in match.groupdict().items()}
            return method, {method.path_names[k]: v for k, v in said.items()}
    return None


@cache
def _index() -> dict[tuple[str, int], list[Method]]:
    """By verb and number of slashes; the more literal ones first."""
    found: dict[tuple[str, int], list[Method]] = {}
    for name, service in DOCUMENTS.items():
        whole = document(name)
        for method in _methods(whole, whole, service):
            found.setdefault((method.verb, method.slashes), []).append(method)
    for methods in found.values():
        methods.sort(key=lambda m: -m.literal)
    return found


def _methods(node: dict[str, Any], whole: dict[str, Any], service: str) -> list[Method]:
    own = [_method(m, whole, service) for m in node.get("methods", {}).values()]
    for child in node.get("resources", {}).values():
        own += _methods(child, whole, service)
    return own


def _method(raw: dict[str, Any], whole: dict[str, Any], service: str) -> Method:
    path = "/" + whole["servicePath"] + raw.get("flatPath", raw["path"])
    names: dict[str, str] = {}
    pattern, end, literal = "", 0, 0
    for match in _VARIABLE.finditer(path):
        fixed = path[end : match.start()]
        group = f"v{len(names)}"
        names[group] = match[1]
        pattern += re.escape(fixed) + f"(?P<{group}>[^/:]+)"
        literal += len(fixed)
        end = match.end()
    pattern += re.escape(path[end:])
    literal += len(path) - end
    own = {k: v for k, v in raw.get("parameters", {}).items() if v["location"] == "query"}
    return Method(
        id=raw["id"],
        service=service,
        verb=raw["httpMethod"],
        pattern=re.compile(pattern),
        slashes=path.count("/"),
        literal=literal,
        path_names=names,
        parameters={**whole.get("parameters", {}), **own},
        request=(raw.get("request") or {}).get("$ref"),
        response=(raw.get("response") or {}).get("$ref"),
        schemas=whole["schemas"],
    )
