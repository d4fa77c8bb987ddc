"""The XML API: ``/BUCKET/OBJECT``.

https://cloud.google.com/storage/docs/xml-api/overview
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from moto_fixtures.gcp.gcs.errors import GcsError, invalid, not_implemented
from moto_fixtures.gcp.gcs.listing import Query, page
from moto_fixtures.gcp.gcs.objects import Stored, hashes
from moto_fixtures.gcp.gcs.request import Answer, Request, http_date, media, timestamp
from moto_fixtures.gcp.gcs.service import Call, Upload

Handler = Callable[[Call], Answer]
_META = "x-goog-meta-"


def route(request: Request, bucket: str, name: str) -> tuple[str, Handler]:
    """The call's action, and what answers it."""
    method, query = request.method, request.query
    if unknown := sorted(set(query) & {"acl", "cors", "lifecycle", "versioning", "versions"}):
        raise not_implemented(f"?{unknown[0]} of the XML API")
    if not name:
        if method == "GET" and "uploads" in query:
            return "storage.multipartUploads.list", _list_uploads
        if method in ("GET", "HEAD"):
            return "storage.objects.list", _list
        raise not_implemented(f"{method} of a bucket in the XML API")
    if method == "POST" and "uploads" in query:
        return "storage.multipartUploads.create", _begin
    if "uploadId" in query:
        found = {
            "PUT": ("storage.multipartUploads.uploadPart", _part),
            "POST": ("storage.multipartUploads.complete", _complete),
            "DELETE": ("storage.multipartUploads.abort", _abort),
        }.get(method)
    else:
        found = {
            "GET": ("storage.objects.get", _get),
            "HEAD": ("storage.objects.get", _get),
            "PUT": ("storage.objects.insert", _put),
            "DELETE": ("storage.objects.delete", _delete),
        }.get(method)
    if found is None:
        raise not_implemented(f"{method} of an object in the XML API")
    return found


def told(stored: Stored) -> dict[str, str]:
    """The headers that tell of an object."""
    digests = [f"crc32c={stored.crc32c}", *([f"md5={stored.md5}"] if stored.md5 else [])]
    return {
        "ETag": f'"{stored.etag}"',
        "Last-Modified": http_date(stored.updated),
        "x-goog-generation": str(stored.generation),
        "x-goog-metageneration": str(stored.metageneration),
        "x-goog-stored-content-encoding": "identity",
        "x-goog-stored-content-length": str(len(stored.data)),
        "x-goog-storage-class": "STANDARD",
        "x-goog-hash": ",".join(digests),
        **({"x-goog-component-count": str(stored.components)} if stored.components else {}),
        **{_META + key: value for key, value in stored.metadata.items()},
    }


def _get(call: Call) -> Answer:
    stored = call.to_read(call.bucket, call.name, call.request.number("generation"))
    call.request.header_precondition().check(stored)
    return media(call.request, stored, told(stored))


def _put(call: Call) -> Answer:
    request = call.request
    if "x-goog-copy-source" in request.headers:
        raise not_implemented("copying in the XML API")
    call.to_write()
    _check_digests(request)
    stored = call.objects.put(
        call.bucket,
        call.name,
        request.body,
        request.header_precondition(),
        content_type=request.headers.get("content-type", "application/octet-stream"),
        metadata=_metadata(request),
    )
    return Answer(200, b"", told(stored))


def _delete(call: Call) -> Answer:
    call.need("storage.objects.delete")
    call.objects.delete(call.bucket, call.name, call.request.header_precondition())
    return Answer(204)


def _list(call: Call) -> Answer:
    query = call.request.query
    if query.get("list-type") != "2" and call.request.method == "GET":
        raise not_implemented("version 1 of the XML API's listing")
    call.need("storage.objects.list")
    most = call.request.number("max-keys")
    found = page(
        call.objects.names(call.bucket),
        Query(
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter", ""),
            after=query.get("start-after", ""),
            token=query.get("continuation-token", ""),
            most=1000 if most is None else most,
        ),
    )
    rows = [
        f"<Contents><Key>{escape(one.name)}</Key><Generation>{one.generation}</Generation>"
        f"<MetaGeneration>{one.metageneration}</MetaGeneration>"
        f"<LastModified>{timestamp(one.updated)}</LastModified>"
        f'<ETag>"{one.etag}"</ETag><Size>{len(one.data)}</Size></Contents>'
        for one in found.items
    ]
    folders = [
        f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
        for name in found.prefixes
    ]
    more = f"<NextContinuationToken>{found.token}</NextContinuationToken>" if found.token else ""
    return Answer.of_xml(
        "<ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'>"
        f"<Name>{call.bucket}</Name><Prefix>{escape(query.get('prefix', ''))}</Prefix>"
        f"<KeyCount>{len(rows) + len(folders)}</KeyCount>"
        f"<IsTruncated>{str(bool(found.token)).lower()}</IsTruncated>{more}"
        f"{''.join(rows)}{''.join(folders)}</ListBucketResult>"
    )


def _begin(call: Call) -> Answer:
    if any(name.startswith("x-goog-if-") for name in call.request.headers):
        raise not_implemented("preconditions of an upload in parts")
    call.need("storage.multipartUploads.create", "storage.objects.create")
    upload = Upload(
        call.bucket,
        call.name,
        call.request.headers.get("content-type", "application/octet-stream"),
        _metadata(call.request),
    )
    number = call.service.uploads.begin(upload)
    return Answer.of_xml(
        "<InitiateMultipartUploadResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
        f"<Bucket>{call.bucket}</Bucket><Key>{escape(call.name)}</Key>"
        f"<UploadId>{number}</UploadId></InitiateMultipartUploadResult>"
    )


def _upload(call: Call) -> Upload:
    upload = call.service.uploads.get(call.request.query["uploadId"])
    if (upload.bucket, upload.name) != (call.bucket, call.name):
        raise GcsError(404, "notFound", "The upload does not exist.", "NoSuchUpload")
    return upload


def _part(call: Call) -> Answer:
    call.need("storage.multipartUploads.create", "storage.objects.create")
    number = call.request.number("partNumber")
    if number is None or not 1 <= number <= 10000:
        raise invalid("Part number must be an integer between 1 and 10000, inclusive")
    _check_digests(call.request)
    _upload(call).parts[number] = call.request.body
    digest = hashlib.md5(call.request.body).hexdigest()
    md5, crc32c = hashes(call.request.body)
    return Answer(200, b"", {"ETag": f'"{digest}"', "x-goog-hash": f"crc32c={crc32c},md5={md5}"})


def _complete(call: Call) -> Answer:
    call.need("storage.multipartUploads.create")
    call.to_write()
    upload = _upload(call)
    try:
        root = ElementTree.fromstring(call.request.body)
    except ElementTree.ParseError:
        raise GcsError(400, "invalid", "The XML is not well-formed.", "MalformedXML") from None
    wanted = []
    for part in root.iterfind("{*}Part"):
        number = int(part.findtext("{*}PartNumber") or 0)
        tag = (part.findtext("{*}ETag") or "").strip('"')
        data = upload.parts.get(number)
        if data is None or hashlib.md5(data).hexdigest() != tag:
            raise GcsError(400, "invalid", "A part is not there as told.", "InvalidPart")
        wanted.append((number, data))
    if not wanted or wanted != sorted(wanted, key=lambda pair: pair[0]):
        raise GcsError(400, "invalid", "The parts are not in order.", "InvalidPartOrder")
    if any(len(data) < 5 << 20 for _, data in wanted[:-1]):
        raise GcsError(400, "invalid", "A part is smaller than 5 MiB.", "EntityTooSmall")
    stored = call.objects.put(
        call.bucket,
        call.name,
        b"".join(data for _, data in wanted),
        content_type=upload.content_type,
        metadata=upload.metadata,
        components=len(wanted),
    )
    call.service.uploads.end(call.request.query["uploadId"])
    answer = Answer.of_xml(
        "<CompleteMultipartUploadResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
        f"<Bucket>{call.bucket}</Bucket><Key>{escape(call.name)}</Key>"
        f'<ETag>"{stored.etag}"</ETag></CompleteMultipartUploadResult>'
    )
    answer.headers.update(told(stored))
    return answer


def _abort(call: Call) -> Answer:
    call.need("storage.multipartUploads.abort")
    _upload(call)
    call.service.uploads.end(call.request.query["uploadId"])
    return Answer(204)


def _list_uploads(call: Call) -> Answer:
    call.need("storage.multipartUploads.list")
    rows = [
        f"<Upload><Key>{escape(one.name)}</Key><UploadId>{number}</UploadId></Upload>"
        for number, one in call.service.uploads.of(call.bucket).items()
    ]
    return Answer.of_xml(
        f"<ListMultipartUploadsResult>{''.join(rows)}</ListMultipartUploadsResult>"
    )


def _metadata(request: Request) -> dict[str, str]:
    return {
        key.removeprefix(_META): value
        for key, value in request.headers.items()
        if key.startswith(_META)
    }


def _check_digests(request: Request) -> None:
    md5, crc32c = hashes(request.body)
    told_hashes = dict(
        re.findall(r"(md5|crc32c)=([^,\s]+)", request.headers.get("x-goog-hash", ""))
    )
    given = request.headers.get("content-md5") or told_hashes.get("md5", md5)
    if given != md5 or told_hashes.get("crc32c", crc32c) != crc32c:
        raise GcsError(
            400,
            "invalid",
            f"The digest you specified did not match what we received: "
            f"{base64.b64decode(md5).hex()}.",
            "BadDigest",
        )
