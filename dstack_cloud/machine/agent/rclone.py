"""rclone, which moves artifacts to and from a bucket: its settings, one run of it, its answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from . import folders

_NAME = "STORE"
_LOOK = 0.02
# Time for it to clear away the parts of an upload that it was told to give up.
_MANNERS = 1.0
_REFUSED = re.compile(
    r"AccessDenied|NoSuchBucket|InvalidAccessKeyId|SignatureDoesNotMatch|AllAccessDisabled"
    # Google's: for a permission, and for a bucket that is not there.
    r"|Error 403|bucket does not exist"
    # And what this machine's own system says.
    r"|Forbidden|cannot be run|\[Errno"
)


class Result(NamedTuple):
    """``stored`` are the names that arrived; ``error`` rclone's words about the first that did
    not; ``stopped``: it was told to give up."""

    stored: set[str]
    error: str | None
    stopped: bool = False


def environment(job: Mapping[str, Any]) -> dict[str, str]:
    """rclone's configuration, by variables only: no file, no secret on the command line."""
    store = job["store"]
    values = _gcs(store) if store["url"].startswith("gs://") else _s3(store)
    # rclone fails where AWS_CA_BUNDLE names a bundle, whatever the endpoint.
    given = {key: value for key, value in os.environ.items() if key != "AWS_CA_BUNDLE"}
    given.update({f"RCLONE_CONFIG_{_NAME}_{k}": v for k, v in values.items()})
    given["RCLONE_CONFIG"] = "/dev/null"
    if store["url"].startswith("gs://"):
        # Its pauses double from one second here, so that ten tries, its default, may outlast an
        # outage and the run's passing on to another machine, whose files it would then overwrite.
        given["RCLONE_LOW_LEVEL_RETRIES"] = "3"
    return given


def _s3(store: Mapping[str, Any]) -> dict[str, str]:
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
    return values


def _gcs(store: Mapping[str, Any]) -> dict[str, str]:
    values = {
        "TYPE": "google cloud storage",
        "ENV_AUTH": "true",
        "NO_CHECK_BUCKET": "true",
        # Access by IAM alone: a bucket that has ACLs switched off takes none.
        "BUCKET_POLICY_ONLY": "true",
    }
    if store.get("endpoint"):
        # The base of the JSON API; uploads go to the same host.
        values["ENDPOINT"] = store["endpoint"].rstrip("/") + "/storage/v1/"
    return values


def remote(job: Mapping[str, Any], source: str | None = None) -> str:
    """Where the run's artifacts are (or those of ``source``), as rclone names it."""
    bucket, _, prefix = job["store"]["url"].partition("://")[2].partition("/")
    place = f"artifacts/{source}" if source else folders.artifacts(job).rstrip("/")
    parts = [bucket, prefix.strip("/"), place]
    return "{}:{}".format(_NAME, "/".join(part for part in parts if part))


_TOLD = ("--use-json-log", "--log-level", "INFO", "--stats", "0", "--retries", "1")


def up_argv(job: Mapping[str, Any], base: str, listing: str) -> list[str]:
    """Copy the files that ``listing`` names, newest first, without asking what is there.

    S3 checks the MD5 that comes with it; rclone's own look would delete what it doubts.
    """
    checked = ("--ignore-checksum",) if job["store"]["url"].startswith("s3://") else ()
    return [
        *("rclone", "copy", base, remote(job), "--files-from-raw", listing, "--copy-links"),
        *("--no-check-dest", "--no-traverse", "--transfers", "8", *checked),
        *("--check-first", "--order-by", "modtime,descending", "--buffer-size", "4M"),
        *_TOLD,
    ]


def down_argv(
    job: Mapping[str, Any], base: str, listing: str, source: str | None = None, known: bool = True
) -> list[str]:
    """Bring back the objects that ``listing`` names; each is held against its checksum where
    the store's are ``known``, else its size."""
    unknown = () if known else ("--ignore-checksum",)
    return [
        *("rclone", "copy", remote(job, source), base, "--files-from-raw", listing),
        "--no-traverse",
        *unknown,
        *("--transfers", "8", "--checkers", "16", "--buffer-size", "4M"),
        *_TOLD,
    ]


def refresh_argv(
    job: Mapping[str, Any], base: str, source: str, patterns: Sequence[str]
) -> list[str]:
    """Bring what is newer, or of another size, than what is here: by one listing, without a look at
    each object where the store's own times will do."""
    names = tuple(part for pattern in patterns for part in ("--include", pattern))
    return [
        *("rclone", "copy", remote(job, source), base, "--update", "--use-server-modtime"),
        *(*names, "--transfers", "4", "--buffer-size", "4M"),
        *_TOLD,
    ]


def run(argv: Sequence[str], job: Mapping[str, Any], log: str, stop: Callable[[], bool]) -> Result:
    """Run it; ``stop`` is asked many times a second and ends it early."""
    stopped = False
    try:
        with open(log, "wb") as output:
            process = subprocess.Popen(
                argv,
                env=environment(job),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=output,
            )
    except OSError as error:
        return Result(set(), f"rclone cannot be run: {error}")
    while process.poll() is None:
        if stop():
            stopped = True
            _end(process)
        time.sleep(_LOOK)
    stored, errors = read(_lines(log))
    if process.returncode == 0 or stopped:
        return Result(stored, None, stopped)
    return Result(stored, (errors or [f"rclone ended with code {process.returncode}"])[0])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_MANNERS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _lines(path: str) -> Iterator[str]:
    with open(path, "rb") as file:
        for line in file:
            yield line.decode("utf-8", "replace")


def read(lines: Iterator[str]) -> tuple[set[str], list[str]]:
    """The names that arrived, and the errors, the most telling first. Pure."""
    stored: set[str] = set()
    errors: list[str] = []
    sums: list[str] = []
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:
            sums.append(line.strip()[:500])
            continue
        words = str(told.get("msg", ""))
        if told.get("level") == "error":
            # The sum that rclone ends with says less than the first file's error.
            (sums if words.startswith("Attempt ") or "object" not in told else errors).append(
                words[:500]
            )
        elif words.startswith(("Copied (", "Unchanged skipping")):
            stored.add(str(told["object"]))
    return stored, errors + sums


def refused(error: str) -> bool:
    """Whether another try is of no use."""
    return _REFUSED.search(error) is not None
