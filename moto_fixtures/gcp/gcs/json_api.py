"""The JSON API: which path is which method.

https://cloud.google.com/storage/docs/json_api/v1
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from moto_fixtures.gcp.gcs import json_buckets, json_objects, json_uploads
from moto_fixtures.gcp.gcs.errors import not_implemented
from moto_fixtures.gcp.gcs.request import Answer, Request
from moto_fixtures.gcp.gcs.service import Call

Handler = Callable[[Call], Answer]
_ROOT = re.compile(r"/(?:(upload|download)/)?storage/v1/")
_BUCKETS = {"GET": ("list", json_buckets.listed), "POST": ("insert", json_buckets.insert)}
_BUCKET = {
    "GET": ("get", json_buckets.get),
    "PATCH": ("patch", json_buckets.patch),
    "DELETE": ("delete", json_buckets.delete),
}
_POLICY = {
    "GET": ("getIamPolicy", json_buckets.get_policy),
    "PUT": ("setIamPolicy", json_buckets.set_policy),
}
_OBJECT = {
    "GET": ("get", json_objects.get),
    "PATCH": ("patch", json_objects.patch),
    "DELETE": ("delete", json_objects.delete),
}
_UPLOAD = {
    "POST": ("insert", json_uploads.insert),
    "PUT": ("insert", json_uploads.resume),
    "DELETE": ("insert", json_uploads.abort),
}


def is_json(path: str) -> bool:
    """Whether the path is the JSON API's; all others are the XML API's."""
    return _ROOT.match(path) is not None


def route(request: Request) -> tuple[str, Handler, str, str]:
    """The call's action, what answers it, its bucket and its object ("" for none)."""
    found = _ROOT.match(request.path)
    assert found is not None
    parts = [unquote(part) for part in request.path[found.end() :].split("/")]
    bucket = parts[1] if len(parts) > 1 else ""
    if found.group(1) == "upload" and parts[0::2] == ["b", "o"]:
        return _method("objects", request.method, _UPLOAD, bucket)
    if parts == ["b"]:
        return _method("buckets", request.method, _BUCKETS)
    if parts[0] == "b" and len(parts) == 2:
        return _method("buckets", request.method, _BUCKET, bucket)
    if parts[0::2] == ["b", "iam"] and len(parts) == 3:
        return _method("buckets", request.method, _POLICY, bucket)
    if parts[0:1] + parts[2:] == ["b", "iam", "testPermissions"] and request.method == "GET":
        return "storage.buckets.testIamPermissions", json_buckets.test_permissions, bucket, ""
    if parts[0::2] == ["b", "o"] and len(parts) == 3:
        return _method("objects", request.method, {"GET": ("list", json_objects.listed)}, bucket)
    if parts[0] == "b" and parts[2:3] == ["o"] and len(parts) >= 4:
        return _of_object(request, bucket, parts[3], parts[4:])
    raise not_implemented(f"{request.method} {request.path}")


def _of_object(
    request: Request, bucket: str, name: str, rest: list[str]
) -> tuple[str, Handler, str, str]:
    if not rest:
        return _method("objects", request.method, _OBJECT, bucket, name)
    if request.method == "POST" and rest == ["compose"]:
        return "storage.objects.compose", json_objects.compose, bucket, name
    if request.method == "POST" and len(rest) == 5 and rest[1::2] == ["b", "o"]:
        to_bucket, to_name = rest[2], rest[4]
        if rest[0] == "copyTo":
            return (
                "storage.objects.copy",
                lambda call: json_objects.copy(call, to_bucket, to_name),
                bucket,
                name,
            )
        if rest[0] == "rewriteTo":
            return (
                "storage.objects.rewrite",
                lambda call: json_objects.rewrite(call, to_bucket, to_name),
                bucket,
                name,
            )
    raise not_implemented(f"{request.method} {request.path}")


def _method(
    kind: str,
    method: str,
    methods: Mapping[str, tuple[str, Handler]],
    bucket: str = "",
    name: str = "",
) -> tuple[str, Handler, str, str]:
    if method not in methods:
        raise not_implemented(f"{method} of {kind}")
    action, handler = methods[method]
    return f"storage.{kind}.{action}", handler, bucket, name
