"""The JSON API's objects.

https://cloud.google.com/storage/docs/json_api/v1/objects
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from moto_fixtures.gcp.gcs.errors import GcsError, invalid
from moto_fixtures.gcp.gcs.listing import Query, page
from moto_fixtures.gcp.gcs.objects import Stored, hashes
from moto_fixtures.gcp.gcs.request import Answer, media, timestamp
from moto_fixtures.gcp.gcs.service import Call
from moto_fixtures.gcp.gcs.xml_api import told as headers_of

_SETTINGS = ("cacheControl", "contentDisposition", "contentEncoding", "contentLanguage")
_FIXED = {"name", "bucket", "contentType", "metadata", "md5Hash", "crc32c", "storageClass"}
_SETTABLE = {*_SETTINGS, *_FIXED, "customTime"}
# Clients send back what they were told; it is not theirs to set, and ignored.
_TOLD = {
    *("kind", "id", "selfLink", "mediaLink", "generation", "metageneration", "size", "etag"),
    *("timeCreated", "updated", "timeStorageClassUpdated", "componentCount", "timeFinalized"),
}


def told(call: Call, bucket: str, stored: Stored) -> dict[str, Any]:
    """The object as the API tells it: numbers of 64 bits are texts."""
    host = f"http://{call.request.host}"
    path = f"/storage/v1/b/{bucket}/o/{quote(stored.name, safe='')}"
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{stored.name}/{stored.generation}",
        "selfLink": host + path,
        "mediaLink": f"{host}/download{path}?generation={stored.generation}&alt=media",
        "name": stored.name,
        "bucket": bucket,
        "generation": str(stored.generation),
        "metageneration": str(stored.metageneration),
        "contentType": stored.content_type,
        "storageClass": "STANDARD",
        "size": str(len(stored.data)),
        "crc32c": stored.crc32c,
        "etag": f"C{stored.generation}{stored.metageneration}=",
        "timeCreated": timestamp(stored.created),
        "updated": timestamp(stored.updated),
        "timeStorageClassUpdated": timestamp(stored.created),
        **({"md5Hash": stored.md5} if stored.md5 else {}),
        **({"componentCount": stored.components} if stored.components else {}),
        **({"metadata": dict(stored.metadata)} if stored.metadata else {}),
        **stored.settings,
    }


def listed(call: Call) -> Answer:
    call.need("storage.objects.list", name="")
    query = call.request.query
    if query.get("versions") == "true":
        raise invalid("Versions are not kept.")
    most = call.request.number("maxResults")
    found = page(
        call.objects.names(call.bucket),
        Query(
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter", ""),
            start=query.get("startOffset", ""),
            end=query.get("endOffset", ""),
            token=query.get("pageToken", ""),
            most=1000 if most is None else most,
        ),
    )
    answer: dict[str, Any] = {
        "kind": "storage#objects",
        "items": [told(call, call.bucket, one) for one in found.items],
    }
    if found.prefixes:
        answer["prefixes"] = found.prefixes
    if found.token:
        answer["nextPageToken"] = found.token
    return Answer.of_json(answer)


def get(call: Call) -> Answer:
    stored = call.to_read(call.bucket, call.name, call.request.number("generation"))
    call.request.precondition().check(stored, reading=True)
    if call.request.query.get("alt") == "media":
        return media(call.request, stored, headers_of(stored))
    return Answer.of_json(told(call, call.bucket, stored))


def delete(call: Call) -> Answer:
    call.need("storage.objects.delete")
    generation = call.request.number("generation")
    if generation is not None:
        call.objects.get(call.bucket, call.name, generation)
    call.objects.delete(call.bucket, call.name, call.request.precondition())
    return Answer(204)


def patch(call: Call) -> Answer:
    call.need("storage.objects.update")
    given = checked(call.request.json())
    found = call.objects.get(call.bucket, call.name)
    changes: dict[str, Any] = {}
    if "contentType" in given:
        changes["content_type"] = given["contentType"]
    if "metadata" in given:
        both = {**found.metadata, **(given["metadata"] or {})}
        kept = {key: value for key, value in both.items() if value is not None}
        changes["metadata"] = kept if given["metadata"] is not None else {}
    settings = {key: given[key] for key in (*_SETTINGS, "customTime") if key in given}
    if settings:
        both = {**found.settings, **settings}
        changes["settings"] = {key: value for key, value in both.items() if value is not None}
    stored = call.objects.patch(call.bucket, call.name, call.request.precondition(), changes)
    return Answer.of_json(told(call, call.bucket, stored))


def compose(call: Call) -> Answer:
    call.to_write()
    body = call.request.json()
    sources = []
    for source in body.get("sourceObjects", []):
        call.need("storage.objects.get", name=source["name"])
        generation = source.get("objectPreconditions", {}).get("ifGenerationMatch")
        generation = source.get("generation", generation)
        sources.append((source["name"], None if generation is None else int(generation)))
    kind = body.get("destination", {}).get("contentType", "application/octet-stream")
    stored = call.objects.compose(
        call.bucket, call.name, sources, call.request.precondition(), kind
    )
    return Answer.of_json(told(call, call.bucket, stored))


def copy(call: Call, bucket: str, name: str) -> Answer:
    """To ``name`` in ``bucket``; the bytes' own checksums go along."""
    return Answer.of_json(told(call, bucket, _copied(call, bucket, name)))


def rewrite(call: Call, bucket: str, name: str) -> Answer:
    """As `copy`, all in one call."""
    stored = _copied(call, bucket, name)
    size = str(len(stored.data))
    return Answer.of_json(
        {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": size,
            "objectSize": size,
            "done": True,
            "resource": told(call, bucket, stored),
        }
    )


def _copied(call: Call, bucket: str, name: str) -> Stored:
    source = call.to_read(call.bucket, call.name, call.request.number("sourceGeneration"))
    call.request.precondition("Source").check(source)
    call.to_write(bucket, name)
    given = checked(call.request.json())
    return call.objects.put(
        bucket,
        name,
        source.data,
        call.request.precondition(),
        content_type=given.get("contentType", source.content_type),
        metadata=given.get("metadata", source.metadata),
        settings=source.settings,
        components=source.components,
    )


def write(call: Call, data: bytes, resource: dict[str, Any], kind: str) -> Answer:
    """The end of every upload: ``call.request`` has the preconditions of its beginning."""
    checked(resource)
    call.to_write()
    md5, crc32c = hashes(data)
    for key, own in (("md5Hash", md5), ("crc32c", crc32c)):
        if resource.get(key) not in (None, own):
            raise GcsError(
                400, "invalid", f"Provided {key} doesn't match calculated {own}.", "BadDigest"
            )
    stored = call.objects.put(
        call.bucket,
        call.name,
        data,
        call.request.precondition(),
        content_type=resource.get("contentType") or kind or "application/octet-stream",
        metadata=resource.get("metadata"),
        settings={k: resource[k] for k in (*_SETTINGS, "customTime") if resource.get(k)},
    )
    return Answer.of_json(told(call, call.bucket, stored))


def checked(resource: dict[str, Any]) -> dict[str, Any]:
    if unknown := sorted(set(resource) - _SETTABLE - _TOLD):
        raise invalid(f"Unknown field in the object: {', '.join(unknown)}")
    return resource
