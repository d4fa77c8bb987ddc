"""The JSON API's buckets.

https://cloud.google.com/storage/docs/json_api/v1/buckets
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto_fixtures.gcp.gcs.errors import GcsError, invalid
from moto_fixtures.gcp.gcs.objects import Bucket
from moto_fixtures.gcp.gcs.request import Answer, timestamp
from moto_fixtures.gcp.gcs.service import Call

# What may be set, of the resource that the API documents.
SETTABLE = {
    "autoclass",
    "iamConfiguration",
    "labels",
    "lifecycle",
    "location",
    "name",
    "softDeletePolicy",
    "storageClass",
    "versioning",
}
_PERMISSIONS_AT_ONCE = 100


def told(call: Call, bucket: Bucket) -> dict[str, Any]:
    """The bucket as the API tells it."""
    owner = call.service.number if bucket.project == call.service.project else "0"
    location = str(bucket.resource.get("location", "US")).upper()
    return {
        "kind": "storage#bucket",
        "id": bucket.name,
        "name": bucket.name,
        "selfLink": f"http://{call.request.host}/storage/v1/b/{bucket.name}",
        "projectNumber": owner,
        "timeCreated": timestamp(bucket.created),
        "updated": timestamp(bucket.created),
        "metageneration": str(bucket.metageneration),
        "etag": f"CA{bucket.metageneration}=",
        "storageClass": "STANDARD",
        **bucket.resource,
        "location": location,
        "locationType": "region" if "-" in location else "multi-region",
        "iamConfiguration": _iam(bucket.resource.get("iamConfiguration", {})),
    }


def _iam(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "uniformBucketLevelAccess": given.get("uniformBucketLevelAccess", {"enabled": False}),
        "publicAccessPrevention": given.get("publicAccessPrevention", "inherited"),
    }


def listed(call: Call) -> Answer:
    project = call.request.query.get("project", "")
    call.need_in_project("storage.buckets.list", project)
    prefix = call.request.query.get("prefix", "")
    found = [
        told(call, bucket)
        for bucket in call.objects.buckets(call.service.project)
        if bucket.name.startswith(prefix)
    ]
    return Answer.of_json({"kind": "storage#buckets", "items": found})


def insert(call: Call) -> Answer:
    call.need_in_project("storage.buckets.create", call.request.query.get("project", ""))
    resource = checked(call.request.json())
    name = resource.pop("name", None)
    if not isinstance(name, str):
        raise GcsError(400, "required", "Required parameter: name", "InvalidArgument")
    resource.setdefault("location", "US")
    bucket = call.objects.make_bucket(name, call.service.project, resource)
    return Answer.of_json(told(call, bucket))


def get(call: Call) -> Answer:
    call.need("storage.buckets.get")
    return Answer.of_json(told(call, call.objects.bucket(call.bucket)))


def patch(call: Call) -> Answer:
    call.need("storage.buckets.update")
    changes = checked(call.request.json())
    if "location" in changes:
        raise invalid("The location of a bucket cannot be changed.")

    def change(bucket: Bucket) -> None:
        bucket.resource = merged(bucket.resource, changes)

    bucket = call.objects.change_bucket(call.bucket, call.request.precondition(), change)
    return Answer.of_json(told(call, bucket))


def delete(call: Call) -> Answer:
    call.need("storage.buckets.delete")
    call.objects.delete_bucket(call.bucket)
    return Answer(204)


def get_policy(call: Call) -> Answer:
    call.need("storage.buckets.getIamPolicy")
    return Answer.of_json(_policy(call, call.objects.bucket(call.bucket)))


def set_policy(call: Call) -> Answer:
    call.need("storage.buckets.setIamPolicy")
    policy = call.request.json()

    def change(bucket: Bucket) -> None:
        told_etag = policy.get("etag")
        if told_etag not in (None, _etag(bucket)):
            raise GcsError(412, "conditionNotMet", "Precondition Failed")
        conditional = any("condition" in b for b in policy.get("bindings", []))
        if conditional and policy.get("version") != 3:
            raise invalid("A policy with conditions needs version 3.")
        bucket.policy = {
            "bindings": policy.get("bindings", []),
            "version": policy.get("version", 1),
        }

    return Answer.of_json(
        _policy(call, call.objects.change_bucket(call.bucket, call.request.precondition(), change))
    )


def test_permissions(call: Call) -> Answer:
    """Of the permissions asked for, those that the caller has on the bucket."""
    bucket = call.objects.bucket(call.bucket)
    asked = call.request.all("permissions")
    if not 1 <= len(asked) <= _PERMISSIONS_AT_ONCE:
        raise invalid("Between 1 and 100 permissions may be tested at once.")
    own = bucket.project == call.service.project
    held = [one for one in asked if own and call.may(one, call.bucket)]
    return Answer.of_json({"kind": "storage#testIamPermissionsResponse", "permissions": held})


def checked(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource, if all in it is known: a rule that is misspelt must not pass in silence."""
    if unknown := sorted(set(resource) - SETTABLE - {"metageneration", "kind", "id", "etag"}):
        raise invalid(f"Unknown field in the bucket: {', '.join(unknown)}")
    prevention = resource.get("iamConfiguration", {}).get("publicAccessPrevention", "inherited")
    if prevention not in ("inherited", "enforced"):
        raise invalid(f"Invalid publicAccessPrevention: {prevention}")
    for rule in (resource.get("lifecycle") or {}).get("rule", []):
        _check_rule(rule)
    for key, value in (resource.get("labels") or {}).items():
        if key != key.lower() or (value is not None and str(value) != str(value).lower()):
            raise invalid("Labels are lowercase.")
    return resource


def _check_rule(rule: Any) -> None:
    """https://cloud.google.com/storage/docs/lifecycle"""
    if not isinstance(rule, dict) or set(rule) != {"action", "condition"}:
        raise invalid("A lifecycle rule has an action and a condition.")
    kind = rule["action"].get("type")
    if kind not in ("Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"):
        raise invalid(f"Invalid type of a lifecycle rule's action: {kind}")
    conditions = set(rule["condition"])
    if not conditions:
        raise invalid("A lifecycle rule needs a condition.")
    if kind == "AbortIncompleteMultipartUpload" and not conditions <= {
        "age",
        "matchesPrefix",
        "matchesSuffix",
    }:
        raise invalid("AbortIncompleteMultipartUpload knows age, matchesPrefix, matchesSuffix.")


def merged(old: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """JSON merge patch: null deletes, objects are merged, all else is replaced."""
    result = dict(old)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            before = result.get(key)
            result[key] = merged(before if isinstance(before, dict) else {}, value)
        else:
            result[key] = value
    return result


def _etag(bucket: Bucket) -> str:
    return f"CA{bucket.metageneration}="


def _policy(call: Call, bucket: Bucket) -> dict[str, Any]:
    return {
        "kind": "storage#policy",
        "resourceId": f"projects/_/buckets/{bucket.name}",
        "etag": _etag(bucket),
        **bucket.policy,
    }
