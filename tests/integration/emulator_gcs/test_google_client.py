"""The emulated Cloud Storage as Google's own client sees it."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.exceptions import RefreshError
from support.gcs_server import Caller, Gcs, storage_client

FOLDERS = ["a/1", "a/2", "a/b/3", "c", "d/4", "d#5", "ü/6 7"]


def test_objects_go_up_and_come_down(client: Any, bucket: str) -> None:
    place = client.bucket(bucket)
    small, large = b"hello", os.urandom((9 << 20) + 7)
    place.blob("a b/ü#1").upload_from_string(small, content_type="text/plain")
    blob = place.blob("large", chunk_size=1 << 20)
    blob.upload_from_string(large)
    found = place.get_blob("a b/ü#1")
    assert (found.size, found.content_type) == (5, "text/plain")
    assert found.md5_hash == b64encode(hashlib.md5(small).digest()).decode()
    assert found.download_as_bytes() == small
    assert found.download_as_bytes(start=1, end=3) == b"ell"
    assert place.blob("large").download_as_bytes(checksum="crc32c") == large
    assert place.get_blob("nothing") is None
    found.delete()
    with pytest.raises(exceptions.NotFound):
        found.delete()


def test_a_listing_by_folder_and_by_page(client: Any, bucket: str, gcs: Gcs) -> None:
    for name in FOLDERS:
        gcs.objects.put(bucket, name, b"x")
    pages = client.list_blobs(bucket, delimiter="/", max_results=None, page_size=2)
    names, prefixes = [], set()
    for page in pages.pages:
        names += [blob.name for blob in page]
        prefixes |= set(page.prefixes)
    assert (names, prefixes) == (["c", "d#5"], {"a/", "d/", "ü/"})
    assert [b.name for b in client.list_blobs(bucket, prefix="a/")] == ["a/1", "a/2", "a/b/3"]
    assert [b.name for b in client.list_blobs(bucket, prefix="a/", delimiter="/")] == ["a/1", "a/2"]
    some = client.list_blobs(bucket, start_offset="a/2", end_offset="d", page_size=1)
    assert [blob.name for blob in some] == ["a/2", "a/b/3", "c"]


def test_preconditions_of_every_write(client: Any, bucket: str) -> None:
    blob = client.bucket(bucket).blob("k")
    blob.upload_from_string(b"1", if_generation_match=0)
    first = blob.generation
    for refused in (
        lambda: blob.upload_from_string(b"2", if_generation_match=0),
        lambda: blob.upload_from_string(b"2", if_generation_match=first + 1),
        lambda: blob.upload_from_string(b"2", if_metageneration_match=9),
        lambda: blob.delete(if_generation_match=first + 1),
        lambda: blob.patch(if_metageneration_match=9),
        lambda: blob.compose([blob], if_generation_match=0),
        lambda: client.bucket(bucket).copy_blob(
            blob, client.bucket(bucket), "copy", if_source_generation_match=1
        ),
    ):
        with pytest.raises(exceptions.PreconditionFailed):
            refused()
    assert blob.download_as_bytes() == b"1"
    with pytest.raises(exceptions.NotModified):
        blob.reload(if_generation_not_match=first)
    blob.upload_from_string(b"2", if_generation_match=first)
    assert blob.generation > first
    assert blob.metageneration == 1
    blob.metadata = {"a": "b"}
    blob.patch()
    assert (blob.metageneration, blob.metadata) == (2, {"a": "b"})
    blob.delete(if_generation_match=blob.generation)


def test_compose_copy_and_rewrite(client: Any, bucket: str) -> None:
    place = client.bucket(bucket)
    parts = [place.blob(name) for name in "ab"]
    for part in parts:
        part.upload_from_string(part.name.encode())
    whole = place.blob("whole")
    whole.compose(parts)
    whole.reload()
    assert (whole.component_count, whole.md5_hash) == (2, None)
    copy = place.copy_blob(whole, place, "copied/ü")
    assert copy.download_as_bytes() == b"ab"
    rewritten = place.blob("again")
    token, done, size = rewritten.rewrite(parts[0])
    assert (token, done, size) == (None, 1, 1)


def test_buckets(client: Any, gcs: Gcs) -> None:
    made = client.bucket("made-by-client")
    made.iam_configuration.uniform_bucket_level_access_enabled = True
    made.iam_configuration.public_access_prevention = "enforced"
    made.labels = {"a": "b"}
    made.add_lifecycle_abort_incomplete_multipart_upload_rule(age=7)
    made.create(location="us-central1")
    found = client.get_bucket("made-by-client")
    assert found.location == "US-CENTRAL1"
    assert found.iam_configuration.public_access_prevention == "enforced"
    assert [rule["action"]["type"] for rule in found.lifecycle_rules] == [
        "AbortIncompleteMultipartUpload"
    ]
    found.labels = {"c": "d"}
    found.patch()
    assert client.get_bucket("made-by-client").labels == {"c": "d"}
    assert "made-by-client" in [one.name for one in client.list_buckets()]
    with pytest.raises(exceptions.Conflict, match="already own"):
        client.create_bucket("made-by-client")
    gcs.app.make_foreign_bucket("somebody-elses-bucket")
    with pytest.raises(exceptions.Conflict, match="not available"):
        client.create_bucket("somebody-elses-bucket")
    with pytest.raises(exceptions.Forbidden):
        client.get_bucket("somebody-elses-bucket")
    with pytest.raises(exceptions.NotFound):
        client.get_bucket("no-such-bucket")
    with pytest.raises(exceptions.BadRequest):
        client.create_bucket("a-google-bucket")
    policy = found.get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": "roles/storage.objectUser", "members": {"user:a@example.com"}})
    found.set_iam_policy(policy)
    assert len(found.get_iam_policy().bindings) == 1
    with pytest.raises(exceptions.PreconditionFailed):
        found.set_iam_policy(policy)
    found.delete()


def test_who_may_do_what(gcs: Gcs, bucket: str) -> None:
    mine = f"projects/_/buckets/{bucket}/objects/team/*"
    gcs.callers["reader"] = Caller("r@example.com", (("storage.objects.get", mine),))
    gcs.callers["writer"] = Caller("w@example.com", (("storage.objects.create", mine),))
    gcs.objects.put(bucket, "team/a", b"1")
    gcs.objects.put(bucket, "other", b"1")
    reader = storage_client(gcs, "reader").bucket(bucket)
    assert reader.blob("team/a").download_as_bytes() == b"1"
    refused: list[Callable[[], Any]] = [
        lambda: reader.blob("other").download_as_bytes(),
        # Who may not list must not learn that it is not there.
        lambda: reader.blob("team/b").download_as_bytes(),
        lambda: reader.blob("team/a").upload_from_string(b"2"),
        lambda: reader.blob("team/a").delete(),
        lambda: list(storage_client(gcs, "reader").list_blobs(bucket)),
    ]
    for call in refused:
        with pytest.raises(exceptions.Forbidden, match=r"r@example.com does not have storage\."):
            call()
    writer = storage_client(gcs, "writer").bucket(bucket)
    writer.blob("team/new").upload_from_string(b"1")
    with pytest.raises(exceptions.Forbidden, match=r"storage\.objects\.delete"):
        writer.blob("team/new").upload_from_string(b"2")
    assert reader.test_iam_permissions(["storage.objects.get", "storage.buckets.get"]) == []
    # It would like to renew the token that was refused.
    with pytest.raises(RefreshError):
        storage_client(gcs, "nobody").get_bucket(bucket)


def test_of_writers_at_the_same_time_one_wins(gcs: Gcs, bucket: str) -> None:
    place = storage_client(gcs).bucket(bucket)
    with ThreadPoolExecutor(6) as pool:
        firsts = list(pool.map(lambda i: _first(place.blob(f"once-{i % 4}")), range(24)))
    assert firsts.count(True) == 4
    place.blob("n").upload_from_string(b"0")

    def count(_: int) -> int:
        won = 0
        while won < 5:
            blob = place.get_blob("n")
            try:
                number = int(blob.download_as_bytes(if_generation_match=blob.generation))
                blob.upload_from_string(f"{number + 1}", if_generation_match=blob.generation)
            except (exceptions.PreconditionFailed, exceptions.NotFound):
                continue  # that generation is no longer there
            won += 1
        return won

    with ThreadPoolExecutor(6) as pool:
        won = sum(pool.map(count, range(6)))
    assert int(place.blob("n").download_as_bytes()) == won == 30


def _first(blob: Any) -> bool:
    try:
        blob.upload_from_string(b"x", if_generation_match=0)
    except exceptions.PreconditionFailed:
        return False
    return True


def test_faults_reach_the_client(gcs: Gcs, bucket: str, client: Any) -> None:
    gcs.faults.add({"action": "storage.objects.get", "times": 2, "error": "backendError"})
    gcs.objects.put(bucket, "k", b"x")
    assert client.bucket(bucket).blob("k").download_as_bytes() == b"x"
    gcs.faults.add({"action": "storage.buckets.get", "error": "forbidden", "http": 403})
    with pytest.raises(exceptions.Forbidden):
        client.get_bucket(bucket)
