"""The JSON API's three ways to upload: simple, multipart (metadata and bytes), resumable.

https://cloud.google.com/storage/docs/uploads-downloads
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from moto_fixtures.gcp.gcs import json_objects
from moto_fixtures.gcp.gcs.errors import GcsError, invalid
from moto_fixtures.gcp.gcs.request import Answer
from moto_fixtures.gcp.gcs.service import Call, Upload

_CHUNK = 256 << 10


def insert(call: Call) -> Answer:
    if "upload_id" in call.request.query:
        return resume(call)
    kind = call.request.query.get("uploadType", "")
    if kind == "media":
        call.name = call.request.query.get("name", "")
        return json_objects.write(
            call, call.request.body, {}, call.request.headers.get("content-type", "")
        )
    if kind == "multipart":
        resource, data, content_type = _parts(
            call.request.body, call.request.headers.get("content-type", "")
        )
        call.name = _name(call, resource)
        return json_objects.write(call, data, resource, content_type)
    if kind == "resumable":
        return _begin(call)
    raise invalid(f"Invalid uploadType: '{kind}'")


def _begin(call: Call) -> Answer:
    resource = call.request.json()
    call.name = _name(call, resource)
    call.to_write()
    json_objects.checked(resource)
    number = call.service.uploads.begin(
        Upload(
            call.bucket,
            call.name,
            call.request.headers.get("x-upload-content-type", ""),
            insert=call.request,
            resource=resource,
        )
    )
    place = f"http://{call.request.host}/upload/storage/v1/b/{call.bucket}/o"
    answer = Answer.of_json({})
    answer.body = b""
    answer.headers["Location"] = f"{place}?uploadType=resumable&upload_id={number}"
    answer.headers["X-GUploader-UploadID"] = number
    return answer


def resume(call: Call) -> Answer:
    """One chunk, or a question how far it got: ``Content-Range: bytes FIRST-LAST/TOTAL``, ``*``
    for what is not known."""
    number = call.request.query["upload_id"]
    upload = call.service.uploads.get(number)
    call.name = upload.name
    told = call.request.headers.get("content-range", "")
    body = call.request.body
    total: int | None = len(body)
    if told:
        found = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", told)
        if found is None:
            raise invalid(f"Invalid Content-Range: '{told}'")
        first, last, whole = found.groups()
        total = None if whole == "*" else int(whole)
        if first is not None:
            if int(last) - int(first) + 1 != len(body):
                raise invalid("Content-Range and the body's length differ.")
            if int(first) != len(upload.data):
                raise GcsError(503, "backendError", "Invalid request: not the next byte.")
            if total is None and len(body) % _CHUNK:
                raise invalid("A chunk that is not the last is a multiple of 256 KiB.")
    upload.data += body
    if total is None or len(upload.data) < total:
        kept = {"Range": f"bytes=0-{len(upload.data) - 1}"} if upload.data else {}
        # Google's client for Go asks for this: proxies may take 308 for a redirect.
        if call.request.headers.get("x-guploader-no-308") == "yes":
            return Answer(200, b"", {**kept, "X-Http-Status-Code-Override": "308"})
        return Answer(308, b"", kept)
    assert upload.insert is not None
    call.service.uploads.end(number)
    begun = replace(call, request=upload.insert)
    return json_objects.write(begun, upload.data, dict(upload.resource), upload.content_type)


def abort(call: Call) -> Answer:
    call.service.uploads.end(call.request.query["upload_id"])
    return Answer(499)


def _name(call: Call, resource: dict[str, Any]) -> str:
    name = call.request.query.get("name") or resource.get("name")
    if not name:
        raise GcsError(400, "required", "Required parameter: name", "InvalidArgument")
    return str(name)


def _parts(body: bytes, content_type: str) -> tuple[dict[str, Any], bytes, str]:
    """The resource, the bytes and their type of a ``multipart/related`` body."""
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    if found is None:
        raise invalid("A boundary is expected in Content-Type.")
    boundary = b"--" + found.group(1).encode()
    # Bytes that look like the boundary inside of the media are no concern: it is the last part.
    pieces = body.split(boundary, 2)
    if len(pieces) != 3:
        raise invalid("Two parts are expected.")
    head, _, text = pieces[1].partition(b"\r\n\r\n")
    if not head:
        raise invalid("A part without headers.")
    media_head, _, data = pieces[2].partition(b"\r\n\r\n")
    end = data.rfind(b"\r\n" + boundary + b"--")
    if end < 0:
        raise invalid("The closing boundary is absent.")
    kind = re.search(rb"(?im)^content-type:\s*(.+?)\s*$", media_head)
    try:
        resource = json.loads(text)
    except ValueError:
        raise GcsError(400, "parseError", "Parse Error") from None
    return resource, data[:end], kind.group(1).decode() if kind else ""
