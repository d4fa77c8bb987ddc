"""What every call of Cloud Storage has at hand: the buckets, who calls, what may be done."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field

from moto_fixtures.gcp.gcs.errors import GcsError
from moto_fixtures.gcp.gcs.objects import Objects, Stored
from moto_fixtures.gcp.gcs.request import Principal, Request


@dataclass
class Upload:
    """An upload under way: in ``parts`` by number, or resumable in ``data``. ``insert`` is what
    the JSON API was told as it began."""

    bucket: str
    name: str
    content_type: str
    metadata: dict[str, str] = field(default_factory=dict)
    parts: dict[int, bytes] = field(default_factory=dict)
    data: bytes = b""
    insert: Request | None = None
    resource: dict[str, object] = field(default_factory=dict)


class Uploads:
    """Uploads that have not ended, by their ids. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uploads: dict[str, Upload] = {}
        self._ids = itertools.count(1)

    def begin(self, upload: Upload) -> str:
        with self._lock:
            name = f"upload-{next(self._ids):08d}"
            self._uploads[name] = upload
            return name

    def get(self, name: str) -> Upload:
        with self._lock:
            if name not in self._uploads:
                raise GcsError(404, "notFound", "The upload does not exist.", "NoSuchUpload")
            return self._uploads[name]

    def end(self, name: str) -> Upload:
        upload = self.get(name)
        with self._lock:
            self._uploads.pop(name, None)
        return upload

    def of(self, bucket: str) -> dict[str, Upload]:
        with self._lock:
            return {key: one for key, one in self._uploads.items() if one.bucket == bucket}


@dataclass
class Service:
    """``project`` is the callers' own, ``number`` its number."""

    project: str
    number: str
    objects: Objects = field(default_factory=Objects)
    uploads: Uploads = field(default_factory=Uploads)


@dataclass
class Call:
    """One call on its way to a handler. ``bucket`` and ``name`` are "" where it has none."""

    service: Service
    request: Request
    principal: Principal
    bucket: str = ""
    name: str = ""

    @property
    def objects(self) -> Objects:
        return self.service.objects

    def need(self, *permissions: str, bucket: str | None = None, name: str | None = None) -> None:
        """Raise 404 for a bucket that is nowhere, 403 for one of another project or for a
        permission that is absent."""
        bucket = self.bucket if bucket is None else bucket
        name = self.name if name is None else name
        foreign = self.objects.bucket(bucket).project != self.service.project
        for permission in permissions:
            if foreign or not self.may(permission, bucket, name):
                raise self.denied(permission, "object" if name else "bucket")

    def may(self, permission: str, bucket: str, name: str = "") -> bool:
        resource = f"projects/_/buckets/{bucket}"
        if name and permission.startswith(("storage.objects.", "storage.multipartUploads.")):
            resource += f"/objects/{name}"
        return self.principal.may(permission, resource)

    def need_in_project(self, permission: str, project: str) -> None:
        if project not in (self.service.project, self.service.number) or not self.principal.may(
            permission, f"projects/{self.service.project}"
        ):
            raise self.denied(permission, "project")

    def denied(self, permission: str, thing: str) -> GcsError:
        thing = "Google Cloud project" if thing == "project" else f"Google Cloud Storage {thing}"
        return GcsError(
            403,
            "forbidden",
            f"{self.principal.email} does not have {permission} access to the {thing}. "
            f"Permission '{permission}' denied on resource (or it may not exist).",
        )

    def to_write(self, bucket: str | None = None, name: str | None = None) -> None:
        """Overwriting is deleting, too."""
        bucket = self.bucket if bucket is None else bucket
        name = self.name if name is None else name
        self.need("storage.objects.create", bucket=bucket, name=name)
        if self.objects.find(bucket, name) is not None:
            self.need("storage.objects.delete", bucket=bucket, name=name)

    def to_read(self, bucket: str, name: str, generation: int | None = None) -> Stored:
        """The object. Who may not list must not learn by asking that a name is not there."""
        self.need("storage.objects.get", bucket=bucket, name=name)
        if self.objects.find(bucket, name) is None and not self.may("storage.objects.list", bucket):
            raise self.denied("storage.objects.list", "object")
        return self.objects.get(bucket, name, generation)
