"""Artifacts, copied up: by rclone into a bucket, by plain copies into a folder.

What was copied is remembered (path, size, time of change), so that a later copy takes only what
changed and asks the store nothing.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from .artifacts import Found, Place, files, place, wanted
from .control import Control
from .errors import Interrupted
from .paths import Paths, read_json, write_json
from .store import FolderStore, Store

# A file that changed less than this long ago may be half-written.
SETTLED = 5.0
_TRIES = 3
_NAME = "STORE"


def rclone_environment(job: Mapping[str, Any]) -> dict[str, str]:
    """rclone's configuration, by variables only: no file, no secret on the command line."""
    store = job["store"]
    values = {
        "TYPE": "s3",
        "PROVIDER": "Other" if store.get("endpoint") else "AWS",
        "ENV_AUTH": "true",
        "REGION": store["region"],
        "NO_CHECK_BUCKET": "true",
        # rclone always sends an ACL, "private" by default; a bucket that has ACLs switched off, as
        # new ones have, takes only this one.
        "ACL": "bucket-owner-full-control",
    }
    if store.get("endpoint"):
        values.update(ENDPOINT=store["endpoint"], FORCE_PATH_STYLE="true")
    environment = {
        # rclone fails where this names a bundle, whatever the endpoint.
        key: value
        for key, value in os.environ.items()
        if key != "AWS_CA_BUNDLE"
    }
    environment.update({f"RCLONE_CONFIG_{_NAME}_{k}": v for k, v in values.items()})
    environment["RCLONE_CONFIG"] = "/dev/null"
    return environment


def rclone_argv(job: Mapping[str, Any], base: str, listing: str) -> list[str]:
    """Copy the files that ``listing`` names, without asking the store what it has."""
    bucket, _, prefix = job["store"]["url"][len("s3://") :].partition("/")
    parts = [bucket, prefix.strip("/"), "artifacts", job["run"]]
    return [
        *("rclone", "copy", base, "{}:{}".format(_NAME, "/".join(p for p in parts if p))),
        *("--files-from-raw", listing, "--copy-links", "--no-check-dest", "--no-traverse"),
        *("--transfers", "8", "--retries", "1", "--stats", "0", "--log-level", "ERROR"),
    ]


class Sync:
    """One writer: the copies during the run and the last one never overlap."""

    def __init__(self, store: Store, job: Mapping[str, Any], paths: Paths, control: Control):
        self._store = store
        self._job = job
        self._paths = paths
        self._control = control
        self.error: str | None = None

    def settled(self) -> int:
        """Copy what changed in the mounted artifacts and then stood still; returns the bytes that
        are left for later."""
        limit = (time.time() - SETTLED) * 1e9
        behind = 0
        self.error = None
        for path in wanted(self._job, mounted_only=True):
            try:
                where = self._place(path)
                fresh = self._fresh(where, list(self._files(where)))
            except (OSError, ValueError) as error:
                self.error = str(error)
                continue
            ready = [found for found in fresh if found.changed < limit]
            behind += sum(found.size for found in fresh if found.changed >= limit)
            if ready:
                self.error = self._copy(where, ready)
                behind += sum(found.size for found in ready) if self.error else 0
        return behind

    def final(self) -> list[dict[str, Any]]:
        """Copy everything; returns end.json's ``artifacts``. Raises Interrupted on an abort."""
        return [self._final(path) for path in wanted(self._job, mounted_only=False)]

    def _final(self, path: str) -> dict[str, Any]:
        report: dict[str, Any] = {"path": path, "files": 0, "bytes": 0, "stored": False}
        try:
            where = self._place(path)
            found = list(self._files(where))
        except (OSError, ValueError) as error:
            return {**report, "error": str(error)}
        if not found and not os.path.lexists(os.path.join(where.base, where.name)):
            # Nothing was lost: the container made nothing there.
            return {**report, "stored": True, "error": "not found"}
        report.update(files=len(found), bytes=sum(each.size for each in found))
        error_text: str | None = None
        for attempt in range(_TRIES):
            if attempt:
                self._control.over.wait(2.0 * attempt)
            fresh = self._fresh(where, found)
            error_text = self._copy(where, fresh) if fresh else None
            if error_text is None:
                return {**report, "stored": True, "error": None}
        return {**report, "error": error_text}

    def _place(self, path: str) -> Place:
        return place(path, self._job["working_dir"], self._paths.workflow)

    def _files(self, where: Place) -> Any:
        return files(where, self._paths.workflow)

    def _memory(self, where: Place) -> str:
        digest = hashlib.sha256(os.path.join(where.base, where.name).encode()).hexdigest()
        return os.path.join(self._paths.synced, digest[:16])

    def _fresh(self, where: Place, found: list[Found]) -> list[Found]:
        known = read_json(self._memory(where)) or {}
        return [each for each in found if known.get(each.path) != [each.size, each.changed]]

    def _copy(self, where: Place, fresh: list[Found]) -> str | None:
        """Copy these files and remember them; returns what went wrong, or None."""
        if isinstance(self._store, FolderStore):
            error = self._copy_to_folder(self._store, where, fresh)
        else:
            error = self._copy_to_bucket(where, fresh)
        if error is None:
            os.makedirs(self._paths.synced, exist_ok=True)
            known = read_json(self._memory(where)) or {}
            known.update({each.path: [each.size, each.changed] for each in fresh})
            write_json(self._memory(where), known)
        return error

    def _copy_to_folder(self, store: FolderStore, where: Place, fresh: list[Found]) -> str | None:
        for each in fresh:
            if self._control.without_grace:
                raise Interrupted
            try:
                key = "artifacts/{}/{}".format(self._job["run"], each.path.replace(os.sep, "/"))
                store.copy_in(os.path.join(where.base, each.path), key)
            except OSError as error:
                return str(error)
        return None

    def _copy_to_bucket(self, where: Place, fresh: list[Found]) -> str | None:
        if any("\n" in each.path for each in fresh):
            return "a file's name holds a line break"
        listing = os.path.join(self._paths.root, "rclone.files")
        with open(listing, "wb") as file:
            file.writelines(os.fsencode(each.path) + b"\n" for each in fresh)
        errors = os.path.join(self._paths.root, "rclone.errors")
        try:
            with open(errors, "wb") as output:
                process = subprocess.Popen(
                    rclone_argv(self._job, where.base, listing),
                    env=rclone_environment(self._job),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=output,
                )
        except OSError as error:
            return f"rclone cannot be run: {error}"
        code = self._wait_for(process)
        if code == 0:
            return None
        with open(errors, "rb") as file:
            return last_error(file.read()[-65536:].decode("utf-8", "replace"), code)

    def _wait_for(self, process: subprocess.Popen[bytes]) -> int:
        """The exit code. Raises Interrupted, the process killed, when there is no time for it."""
        while True:
            try:
                return process.wait(0.2)
            except subprocess.TimeoutExpired:
                if self._control.without_grace:
                    process.kill()
                    process.wait()
                    raise Interrupted from None


def last_error(text: str, code: int) -> str:
    """rclone's own last words about an error, without its time stamps."""
    lines = [line for line in text.splitlines() if line.strip()]
    told = [line.partition("ERROR : ")[2] for line in lines if "ERROR : " in line]
    # The sum that rclone ends with says less than the first file's error.
    own = [line for line in told if not line.startswith("Attempt ")]
    chosen = own or told or lines or [f"rclone ended with code {code}"]
    return chosen[0][:500]
