"""Buckets and objects, kept in memory. Every change and its precondition are one step."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import google_crc32c

from moto_fixtures.gcp.gcs.errors import GcsError, invalid, no_bucket, no_object, not_met

# https://cloud.google.com/storage/docs/buckets#naming
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_LONGEST_KEY = 1024
_FIRST_GENERATION = 1_700_000_000_000_000


@dataclass(frozen=True)
class Stored:
    """One object's only live version. ``md5`` is base64, None for a composite object: one that
    was composed, or uploaded in parts through the XML API."""

    name: str
    data: bytes
    generation: int
    metageneration: int
    created: datetime
    updated: datetime
    content_type: str
    md5: str | None
    crc32c: str
    components: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        """As the XML API has it, without quotes: the MD5 in hexadecimal where there is one."""
        if self.md5 is not None:
            return base64.b64decode(self.md5).hex()
        return hashlib.sha256(f"{self.name}{self.generation}".encode()).hexdigest()[:22]


@dataclass
class Bucket:
    name: str
    project: str
    resource: dict[str, Any]
    created: datetime
    metageneration: int = 1
    policy: dict[str, Any] = field(default_factory=lambda: {"bindings": [], "version": 1})
    objects: dict[str, Stored] = field(default_factory=dict)


@dataclass(frozen=True)
class Precondition:
    """What must hold; None asks for nothing. Generation 0 stands for "is not there"."""

    generation: int | None = None
    not_generation: int | None = None
    metageneration: int | None = None
    not_metageneration: int | None = None

    def check(self, present: Stored | None, reading: bool = False) -> None:
        """Raise 412, or for what only a changed object should answer while reading, 304."""
        generation = present.generation if present else 0
        metageneration = present.metageneration if present else 0
        if self.generation is not None and self.generation != generation:
            raise not_met()
        if self.metageneration is not None and self.metageneration != metageneration:
            raise not_met()
        if self.not_generation == generation or (
            present is not None and self.not_metageneration == metageneration
        ):
            raise GcsError(304, "notModified", "Not Modified") if reading else not_met()


ANY = Precondition()


def hashes(data: bytes) -> tuple[str, str]:
    """MD5 and CRC32C in base64, as Cloud Storage writes them."""
    crc = google_crc32c.value(data).to_bytes(4, "big")
    return base64.b64encode(hashlib.md5(data).digest()).decode(), base64.b64encode(crc).decode()


class Objects:
    """All buckets there are, of every project. Thread-safe."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._lock = threading.RLock()
        self._buckets: dict[str, Bucket] = {}
        self._generation = _FIRST_GENERATION

    def buckets(self, project: str) -> list[Bucket]:
        with self._lock:
            found = [bucket for bucket in self._buckets.values() if bucket.project == project]
        return sorted(found, key=lambda bucket: bucket.name)

    def bucket(self, name: str) -> Bucket:
        with self._lock:
            if name not in self._buckets:
                raise no_bucket()
            return self._buckets[name]

    def make_bucket(self, name: str, project: str, resource: dict[str, Any]) -> Bucket:
        if not _NAME.fullmatch(name) or name.startswith("goog") or "google" in name:
            raise GcsError(400, "invalid", f"Invalid bucket name: '{name}'", "InvalidBucketName")
        with self._lock:
            if (there := self._buckets.get(name)) is not None:
                if there.project == project:
                    raise GcsError(
                        409,
                        "conflict",
                        "Your previous request to create the named bucket succeeded and you "
                        "already own it.",
                        "BucketAlreadyOwnedByYou",
                    )
                raise GcsError(
                    409,
                    "conflict",
                    "The requested bucket name is not available. The bucket namespace is shared "
                    "by all users of the system. Please select a different name and try again.",
                )
            bucket = Bucket(name, project, resource, self._now())
            self._buckets[name] = bucket
            return bucket

    def change_bucket(
        self, name: str, precondition: Precondition, change: Callable[[Bucket], None]
    ) -> Bucket:
        with self._lock:
            bucket = self.bucket(name)
            if precondition.metageneration not in (None, bucket.metageneration):
                raise not_met()
            change(bucket)
            bucket.metageneration += 1
            return bucket

    def delete_bucket(self, name: str) -> None:
        with self._lock:
            if self.bucket(name).objects:
                raise GcsError(
                    409,
                    "conflict",
                    "The bucket you tried to delete is not empty.",
                    "BucketNotEmpty",
                )
            del self._buckets[name]

    def empty(self, name: str) -> None:
        """Take a bucket away with all that is in it, as nobody can over the wire."""
        with self._lock:
            self.bucket(name)
            del self._buckets[name]

    def find(self, bucket: str, name: str) -> Stored | None:
        with self._lock:
            return self.bucket(bucket).objects.get(name)

    def get(self, bucket: str, name: str, generation: int | None = None) -> Stored:
        found = self.find(bucket, name)
        if found is None or generation not in (None, found.generation):
            raise no_object(bucket, name)
        return found

    def put(
        self,
        bucket: str,
        name: str,
        data: bytes,
        precondition: Precondition = ANY,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        components: int | None = None,
    ) -> Stored:
        """Write a new generation; ``components`` makes it a composite object."""
        size = len(name.encode())
        if not 1 <= size <= _LONGEST_KEY or "\r" in name or "\n" in name or name in (".", ".."):
            raise GcsError(400, "invalid", "Invalid object name.", "InvalidObjectName")
        md5, crc32c = hashes(data)
        with self._lock:
            objects = self.bucket(bucket).objects
            precondition.check(objects.get(name))
            self._generation += 1
            now = self._now()
            objects[name] = stored = Stored(
                name=name,
                data=data,
                generation=self._generation,
                metageneration=1,
                created=now,
                updated=now,
                content_type=content_type,
                md5=None if components else md5,
                crc32c=crc32c,
                components=components,
                metadata=dict(metadata or {}),
                settings=dict(settings or {}),
            )
            return stored

    def compose(
        self,
        bucket: str,
        name: str,
        sources: list[tuple[str, int | None]],
        precondition: Precondition,
        content_type: str,
    ) -> Stored:
        """One object out of up to 32 of the same bucket, each with the generation it must have."""
        if not 1 <= len(sources) <= 32:
            raise invalid("The number of source components provided must be between 1 and 32.")
        with self._lock:
            parts = [self.get(bucket, source) for source, _ in sources]
            for part, (_, generation) in zip(parts, sources, strict=True):
                Precondition(generation=generation).check(part)
            return self.put(
                bucket,
                name,
                b"".join(part.data for part in parts),
                precondition,
                content_type=content_type,
                components=sum(part.components or 1 for part in parts),
            )

    def patch(
        self, bucket: str, name: str, precondition: Precondition, changes: Mapping[str, Any]
    ) -> Stored:
        with self._lock:
            found = self.get(bucket, name)
            precondition.check(found)
            changed = replace(
                found, **changes, metageneration=found.metageneration + 1, updated=self._now()
            )
            self.bucket(bucket).objects[name] = changed
            return changed

    def delete(self, bucket: str, name: str, precondition: Precondition = ANY) -> None:
        with self._lock:
            found = self.bucket(bucket).objects.get(name)
            precondition.check(found)
            if found is None:
                raise no_object(bucket, name)
            del self.bucket(bucket).objects[name]

    def names(self, bucket: str) -> list[Stored]:
        """In the order of a listing: by the bytes of their names."""
        with self._lock:
            objects = list(self.bucket(bucket).objects.values())
        return sorted(objects, key=lambda stored: stored.name.encode())
