"""Compute Engine's metadata server: which answer a request gets, and when.

https://cloud.google.com/compute/docs/metadata/querying-metadata: the header, ``recursive``,
``alt``, ``wait_for_change`` with ``last_etag`` and ``timeout_sec``.
"""

from __future__ import annotations

import json
import re
import time

from moto_fixtures.machine import gce_metadata as said
from moto_fixtures.machine.served import Answer, Asked, Credentials, Served

_ROOT = "/computeMetadata/v1/"
_FLAVOR = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}
_TOKEN = re.compile(r"instance/service-accounts/([^/]+)/token")
_GUEST = re.compile(r"instance/guest-attributes/([^/]+)/([^/]+)")
# Where nobody says how long, connections do not stay open for ever either.
_LONGEST_WAIT = 3600.0


class GceServer:
    """The same one answers for all machines of an emulator, from any thread."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def answer(self, asked: Asked, machine: Served) -> Answer:
        if asked.path == "/":
            # How Google's libraries look whether there is a metadata server at all.
            return Answer(200, b"computeMetadata/\n", _FLAVOR)
        if asked.headers.get("metadata-flavor") != "Google":
            return _refused(403, "Missing Metadata-Flavor:Google header.")
        if "x-forwarded-for" in asked.headers:
            return _refused(403, "Request has an X-Forwarded-For header.")
        if not asked.path.startswith(_ROOT):
            return _refused(404, f"The requested URL {asked.path} was not found.")
        path = asked.path.removeprefix(_ROOT)
        if asked.method in ("PUT", "DELETE"):
            return _write(asked, machine, path.strip("/"))
        if asked.method != "GET":
            return _refused(405, f"{asked.method} is not allowed.")
        return self._read(asked, machine, path)

    def _read(self, asked: Asked, machine: Served, path: str) -> Answer:
        token = _TOKEN.fullmatch(path.rstrip("/"))
        if token is not None:
            return self._token(machine, token[1])
        if asked.query.get("wait_for_change", "").lower() != "true":
            return _now(asked, machine, path)
        return _changed(asked, machine, path)

    def _token(self, machine: Served, account: str) -> Answer:
        email = said.facts(machine).service_account
        if email is None or account not in ("default", email):
            return _refused(404, f"There is no service account {account}.")
        given = self._credentials(email, machine.spec.id)
        return Answer(200, json.dumps(dict(given)).encode(), _FLAVOR, "application/json")


def _now(asked: Asked, machine: Served, path: str) -> Answer:
    """What is at a path at this moment."""
    name = path.strip("/")
    part = said.at(said.tree(machine), name)
    if name.startswith("instance/guest-attributes") and not _guests(machine):
        part = None
    if part is None:
        return _refused(404, f"The requested URL {asked.path} was not found.")
    recursive = asked.query.get("recursive", "").lower() == "true"
    form = asked.query.get("alt", "json" if recursive else "text")
    if said.is_directory(part, name) and not recursive:
        if name and not path.endswith("/"):
            # Directories are told from values by their slash.
            return Answer(301, b"", {**_FLAVOR, "Location": asked.path + "/"})
        body = said.listing(part, name)
        if form == "json":
            body = json.dumps(body.split())
    elif form == "json":
        body = json.dumps(said.as_json(part, given=name.endswith("attributes")))
    elif said.is_directory(part, name):
        body = said.lines(part, "")
    else:
        body = said.text(part, name)
    kind = "application/json" if form == "json" else "application/text"
    data = body.encode()
    return Answer(200, data, {**_FLAVOR, "ETag": said.etag(data)}, kind)


def _changed(asked: Asked, machine: Served, path: str) -> Answer:
    """What is at a path once it is no longer what the caller has seen, or the time is over."""
    limit = float(asked.query.get("timeout_sec") or _LONGEST_WAIT)
    deadline = time.monotonic() + min(limit, _LONGEST_WAIT)
    with machine.changed:
        first = _now(asked, machine, path)
        seen = asked.query.get("last_etag") or first.headers.get("ETag")
        while True:
            answer = _now(asked, machine, path)
            rest = deadline - time.monotonic()
            if answer.status != 200 or answer.headers.get("ETag") != seen or rest <= 0:
                return answer
            if machine.gone:
                return _refused(503, "The machine is off.")
            machine.changed.wait(rest)


def _write(asked: Asked, machine: Served, path: str) -> Answer:
    """Guest attributes are the one thing that a machine may write, where its metadata lets it."""
    found = _GUEST.fullmatch(path)
    if found is None or not _guests(machine):
        return _refused(403, "Guest attributes endpoint access is disabled.")
    with machine.changed:
        if asked.method == "PUT":
            machine.guest_attributes[f"{found[1]}/{found[2]}"] = asked.body.decode()
        else:
            machine.guest_attributes.pop(f"{found[1]}/{found[2]}", None)
        machine.changed.notify_all()
    return Answer(200, b"", _FLAVOR)


def _guests(machine: Served) -> bool:
    told = said.facts(machine)
    both = {**told.project_attributes, **told.attributes}
    return both.get("enable-guest-attributes", "").lower() == "true"


def _refused(status: int, words: str) -> Answer:
    return Answer(status, f"{words}\n".encode(), _FLAVOR)
