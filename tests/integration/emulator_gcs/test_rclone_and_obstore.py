"""The emulated Cloud Storage as rclone and obstore see it: through the JSON and the XML API."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import obstore.exceptions
import pytest
from obstore.store import GCSStore
from support.gcs_server import TOKEN, Gcs

ODD = "sub/sp ace ü%25#+&?"


def rclone(gcs: Gcs, *args: str) -> subprocess.CompletedProcess[str]:
    settings = {
        "TYPE": "google cloud storage",
        "ENDPOINT": f"{gcs.url}/storage/v1/",
        "TOKEN": json.dumps({"access_token": TOKEN, "expiry": "2100-01-01T00:00:00Z"}),
        "BUCKET_POLICY_ONLY": "true",
        "NO_CHECK_BUCKET": "true",
    }
    environ = {f"RCLONE_CONFIG_G_{key}": value for key, value in settings.items()}
    return subprocess.run(
        ["rclone", *args, "--retries", "1", "--low-level-retries", "3"],
        env={**os.environ, **environ, "RCLONE_CONFIG": "/dev/null"},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def store(gcs: Gcs, bucket: str) -> GCSStore:
    return GCSStore(
        bucket,
        config={"base_url": gcs.url},
        client_options={"allow_http": True},
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=5)},
        credential_provider=lambda: {
            "token": TOKEN,
            "expires_at": datetime.now(UTC) + timedelta(hours=1),
        },
    )


def test_rclone_copies_up_and_down(gcs: Gcs, bucket: str, tmp_path: Path) -> None:
    up, down = tmp_path / "up", tmp_path / "down"
    (up / "sub").mkdir(parents=True)
    (up / ODD).write_text("odd")
    # More than one chunk of a resumable upload.
    (up / "large").write_bytes(os.urandom((16 << 20) + 12345))
    os.utime(up / "large", (1_500_000_000, 1_500_000_000))
    done = rclone(gcs, "copy", str(up), f"G:{bucket}/p")
    assert done.returncode == 0, done.stderr
    assert [one.name for one in gcs.objects.names(bucket)] == ["p/large", f"p/{ODD}"]
    assert gcs.objects.get(bucket, "p/large").md5 is not None
    done = rclone(gcs, "copy", f"G:{bucket}/p", str(down))
    assert done.returncode == 0, done.stderr
    assert (down / ODD).read_text() == "odd"
    assert (down / "large").read_bytes() == (up / "large").read_bytes()
    assert (down / "large").stat().st_mtime == 1_500_000_000
    assert rclone(gcs, "check", str(up), f"G:{bucket}/p").returncode == 0
    assert rclone(gcs, "deletefile", f"G:{bucket}/p/large").returncode == 0
    listed = rclone(gcs, "lsf", "-R", f"G:{bucket}").stdout.splitlines()
    assert sorted(listed) == ["p/", "p/sub/", f"p/{ODD}"]


def test_rclone_tells_what_was_torn(gcs: Gcs, bucket: str, tmp_path: Path) -> None:
    """It holds what arrives against the MD5 that is told; where none is, against the size alone."""
    stored = gcs.objects.put(bucket, "whole", b"what is told")
    objects = gcs.objects.bucket(bucket).objects
    objects["torn"] = replace(stored, name="torn", data=b"what is lost")
    objects["parts"] = replace(stored, name="parts", data=b"what is lost", md5=None, components=2)
    assert rclone(gcs, "copyto", f"G:{bucket}/whole", str(tmp_path / "whole")).returncode == 0
    done = rclone(gcs, "copyto", f"G:{bucket}/torn", str(tmp_path / "torn"))
    assert done.returncode != 0
    assert "corrupted on transfer" in done.stderr
    assert not (tmp_path / "torn").exists()
    assert rclone(gcs, "copyto", f"G:{bucket}/parts", str(tmp_path / "parts")).returncode == 0


def test_obstore_in_parts_ranges_and_pages(gcs: Gcs, bucket: str, store: GCSStore) -> None:
    data = os.urandom((11 << 20) + 3)
    store.put("large", data, use_multipart=True, chunk_size=5 << 20)
    assert bytes(store.get("large").bytes()) == data
    assert bytes(store.get_range("large", start=5, end=9)) == data[5:9]
    assert store.head("large")["size"] == len(data)
    assert gcs.objects.get(bucket, "large").md5 is None
    assert gcs.app.service.uploads.of(bucket) == {}
    for i in range(1005):
        gcs.objects.put(bucket, f"many/{i:04d}", b"")
    pages = store.list("many", offset="many/0002")
    assert [row["path"] for page in pages for row in page] == [
        f"many/{i:04d}" for i in range(3, 1005)
    ]
    found = store.list_with_delimiter()
    assert [row["path"] for row in found["objects"]] == ["large"]
    assert list(found["common_prefixes"]) == ["many"]


def test_obstore_compares_and_swaps(store: GCSStore) -> None:
    store.put("k", b"1", mode="create")
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        store.put("k", b"2", mode="create")
    version = store.head("k")["version"]
    store.put("k", b"2", mode={"version": version})
    with pytest.raises(obstore.exceptions.PreconditionError):
        store.put("k", b"3", mode={"version": version})
    assert bytes(store.get("k").bytes()) == b"2"
    tag = store.head("k")["e_tag"]
    with pytest.raises(obstore.exceptions.NotModifiedError):
        store.get("k", options={"if_none_match": tag})
    with pytest.raises(obstore.exceptions.PreconditionError):
        store.get("k", options={"if_match": '"another"'})


def test_of_twenty_that_create_one_does(store: GCSStore) -> None:
    def create(number: int) -> bool:
        try:
            store.put("once", str(number).encode(), mode="create", use_multipart=False)
        except obstore.exceptions.AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        won = [number for number, first in enumerate(pool.map(create, range(20))) if first]
    assert [bytes(store.get("once").bytes())] == [str(number).encode() for number in won]


@pytest.mark.parametrize(
    ("ask", "status", "code"),
    [
        (("GET", "/no-such-bucket/k"), 404, "NoSuchBucket"),
        (("GET", "/{}/nothing"), 404, "NoSuchKey"),
        (("PUT", "/{}/k", b"x", {"x-goog-if-generation-match": "7"}), 412, "PreconditionFailed"),
        (("PUT", "/{}/k", b"x", {"Content-MD5": "AAAA"}), 400, "BadDigest"),
        (("PUT", "/{}/k?uploadId=none&partNumber=1", b"x"), 404, "NoSuchUpload"),
        (("PUT", "/{}/" + "k" * 1025, b"x"), 400, "InvalidObjectName"),
        (("GET", "/theirs/k"), 403, "AccessDenied"),
        (("GET", "/{}?acl"), 501, "NotImplemented"),
    ],
)
def test_errors_of_the_xml_api(
    gcs: Gcs, bucket: str, ask: tuple[Any, ...], status: int, code: str
) -> None:
    if "theirs" in ask[1] and "theirs" not in gcs.objects._buckets:
        gcs.app.make_foreign_bucket("theirs")
    answered = send(gcs, *ask, bucket=bucket)
    assert answered == (status, f"<Code>{code}</Code>")


def send(
    gcs: Gcs,
    method: str,
    path: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    *,
    bucket: str,
) -> tuple[int, str]:
    connection = http.client.HTTPConnection(gcs.url.removeprefix("http://"))
    given = {"Authorization": f"Bearer {TOKEN}", **(headers or {})}
    connection.request(method, path.format(bucket), body, given)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text[text.find("<Code>") : text.find("<Message>")]


def test_a_lost_answer(gcs: Gcs, bucket: str, store: GCSStore) -> None:
    """Struck after it was executed: written, and not told."""
    gcs.faults.add({"action": "storage.objects.insert", "when": "after", "error": "backendError"})
    with pytest.raises(obstore.exceptions.BaseError, match="503"):
        store.put("k", b"1", mode="create", use_multipart=False)
    assert gcs.objects.get(bucket, "k").data == b"1"
