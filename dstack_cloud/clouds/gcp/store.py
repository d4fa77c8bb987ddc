"""The store's bucket, as `init` makes it and `check` looks at it."""

from __future__ import annotations

import re
import urllib.parse
import uuid
from collections.abc import Sequence
from typing import Any

from dstack_cloud.clouds.gcp import policies
from dstack_cloud.clouds.gcp.errors import translated
from dstack_cloud.clouds.gcp.names import OWNER
from dstack_cloud.clouds.gcp.sessions import Sessions
from dstack_cloud.errors import InputError, PermissionDeniedError

# docs.cloud.google.com/storage/docs/buckets#naming
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_LABELS = {OWNER: "store"}
_ABORT_AFTER_DAYS = 7
_ABORT = "AbortIncompleteMultipartUpload"
_LIFECYCLE_RULE = {
    "action": {"type": _ABORT},
    "condition": {"age": _ABORT_AFTER_DAYS},
}
_TAKEN = "choose another name for --store: names of buckets are shared by all of Google Cloud"


def parse(store_url: str) -> tuple[str, str]:
    """(bucket, prefix without slashes at its ends) of ``gs://NAME[/PREFIX]``."""
    bucket, _, prefix = store_url.removeprefix("gs://").partition("/")
    if not store_url.startswith("gs://") or not bucket:
        raise InputError(f"'{store_url}' is not a Google Cloud store", "write --store gs://NAME")
    if not _NAME.fullmatch(bucket):
        raise InputError(
            f"'{bucket}' cannot be the name of a bucket",
            "3 to 63 of lowercase letters, digits, dots, hyphens and underscores",
        )
    return bucket, prefix.strip("/")


def make_bucket(sessions: Sessions, bucket: str, region: str, number: str) -> str:
    """See to it that the bucket is there and is the project's (``number``); says which.

    Raises PermissionDeniedError for a bucket that belongs to another project.
    """
    from google.api_core import exceptions

    with translated(f"looking at the bucket {bucket}"):
        try:
            found = sessions.call("storage", "GET", f"storage/v1/b/{bucket}")
        except exceptions.Forbidden as error:
            raise PermissionDeniedError(
                f"the bucket {bucket} belongs to another project, or you may not look at it", _TAKEN
            ) from error
        except exceptions.NotFound:
            return _create(sessions, bucket, region)
    if str(found.get("projectNumber", number)) != number:
        raise PermissionDeniedError(f"the bucket {bucket} belongs to another project", _TAKEN)
    return "was there"


def _create(sessions: Sessions, bucket: str, region: str) -> str:
    from google.api_core import exceptions

    wanted = {
        "name": bucket,
        "location": region.upper(),
        "labels": _LABELS,
        "iamConfiguration": {
            "uniformBucketLevelAccess": {"enabled": True},
            "publicAccessPrevention": "enforced",
        },
        "lifecycle": {"rule": [_LIFECYCLE_RULE]},
    }
    with translated(f"making the bucket {bucket}"):
        try:
            sessions.call("storage", "POST", "storage/v1/b", wanted, project=sessions.project())
        except exceptions.Conflict as error:
            raise PermissionDeniedError(
                f"the bucket {bucket} belongs to another project", _TAKEN
            ) from error
    return "made"


def protect_bucket(sessions: Sessions, bucket: str) -> str:
    """Block public access, and clear uploads that never ended; says what was set.

    What the owner of a bucket has configured stays as it is: only what is absent is added. Access
    by IAM alone is needed, for the roles have conditions.
    """
    with translated(f"protecting the bucket {bucket}"):
        found = sessions.call("storage", "GET", f"storage/v1/b/{bucket}")
        changes: dict[str, Any] = {}
        done = []
        access = found.get("iamConfiguration", {})
        if not access.get("uniformBucketLevelAccess", {}).get("enabled"):
            changes["iamConfiguration"] = {"uniformBucketLevelAccess": {"enabled": True}}
            done.append("access by IAM alone")
        if access.get("publicAccessPrevention", "inherited") != "enforced":
            changes.setdefault("iamConfiguration", {})["publicAccessPrevention"] = "enforced"
            done.append("public access blocked")
        rules = list(found.get("lifecycle", {}).get("rule", ()))
        if not any(rule["action"]["type"] == _ABORT for rule in rules):
            # Setting the rules replaces them all, so those that are there go along.
            changes["lifecycle"] = {"rule": [*rules, _LIFECYCLE_RULE]}
            done.append(f"unfinished uploads cleared after {_ABORT_AFTER_DAYS} days")
        if OWNER not in found.get("labels", {}):
            changes["labels"] = _LABELS
            done.append("labelled")
        if changes:
            sessions.call("storage", "PATCH", f"storage/v1/b/{bucket}", changes)
    return ", ".join(done) or "was set"


def grant(sessions: Sessions, bucket: str, prefix: str, members: Sequence[str]) -> str:
    """Let these use the store: all of the bucket, or what is below its prefix."""
    path = f"storage/v1/b/{bucket}/iam"
    wanted = policies.store_binding(sessions.project(), bucket, prefix, members)
    with translated(f"granting the use of the bucket {bucket}"):
        policy = sessions.call("storage", "GET", path, optionsRequestedPolicyVersion="3")
        changed = policies.merged(policy, [wanted])
        if changed is None:
            return "was granted"
        sessions.call("storage", "PUT", path, changed)
    return "granted"


def use(sessions: Sessions, store_url: str) -> str:
    """Write, read, list and delete one object: what a run does with the store."""
    bucket, prefix = parse(store_url)
    folder = f"{prefix}/" if prefix else ""
    key = f"{folder}check-{uuid.uuid4().hex}"
    objects = f"storage/v1/b/{bucket}/o"
    this = f"{objects}/{urllib.parse.quote(key, safe='')}"
    with translated(f"using the bucket {bucket}"):
        upload = f"upload/{objects}"
        sessions.call("storage", "POST", upload, {}, uploadType="media", name=key)
        try:
            sessions.call("storage", "GET", this, alt="media")
            sessions.call("storage", "GET", objects, prefix=key, maxResults="1")
        finally:
            sessions.call("storage", "DELETE", this)
    return store_url
