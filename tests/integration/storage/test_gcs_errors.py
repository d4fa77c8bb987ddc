"""What Google Cloud Storage alone says, or says in words of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.gcs_server import TOKEN, Caller, Gcs
from support.google_tokens import EMAIL
from support.scripted_bucket import Answer, Script, error_body, scripted

from dstack_cloud.errors import (
    CredentialsError,
    DstackError,
    InputError,
    NotFoundError,
    PermissionDeniedError,
    ThrottledError,
    UnreachableError,
)
from dstack_cloud.storage import retry
from dstack_cloud.storage.base import Store
from dstack_cloud.storage.gcs import open_gcs

OPERATIONS: dict[str, tuple[str, Callable[[Store, Path], object]]] = {
    "get": ("storage.objects.get", lambda store, path: store.get("k")),
    "put": ("storage.objects.create", lambda store, path: store.put("k", b"x")),
    "create": ("storage.objects.create", lambda store, path: store.create("k", b"x")),
    "replace": ("storage.objects.create", lambda store, path: store.replace("k", b"x", "7")),
    "list": ("storage.objects.list", lambda store, path: list(store.list("k/"))),
    "delete": ("storage.objects.delete", lambda store, path: store.delete(["k", "l"])),
    "upload": ("storage.objects.create", lambda store, path: store.upload("k", path)),
    "download": ("storage.objects.get", lambda store, path: store.download("k", path / "../d")),
}
DETAILS = f"<Details>{EMAIL} does not have access.</Details>"
UNUSED = (
    "<Details>Cloud Storage API has not been used in project 1 before or it is disabled.</Details>"
)
UNPAID = "<Details>The billing account for the owning project is disabled in state absent</Details>"
REFUSALS = [
    (404, error_body("NoSuchBucket"), NotFoundError, "'runs' does not exist", "init"),
    (403, error_body("AccessDenied", "Access denied.", DETAILS), PermissionDeniedError, "", "role"),
    (403, error_body("AccessDenied", "", UNUSED), PermissionDeniedError, "API has", "enable"),
    (
        403,
        error_body("UserProjectAccountProblem", "", UNPAID),
        PermissionDeniedError,
        "billing",
        "",
    ),
    (401, error_body("AuthenticationRequired"), CredentialsError, "not accept", "gcloud auth"),
    (400, error_body("InvalidArgument", "odd"), InputError, "InvalidArgument odd", ""),
]


@pytest.fixture(autouse=True)
def _signed_in(google: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "PAUSES", (0.01, 0.01, 0.01))
    for name, value in google.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("status", "body", "kind", "words", "hint"), REFUSALS)
def test_a_refusal_is_told_at_once(
    tmp_path: Path,
    operation: str,
    status: int,
    body: str,
    kind: type[DstackError],
    words: str,
    hint: str,
) -> None:
    action, operate = OPERATIONS[operation]
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with scripted("gs") as server:
        server.answers = [Answer(status, body)]
        with pytest.raises(kind, match=words or action) as caught:
            operate(server.store(), path)
        # Two objects are deleted by two requests, and a new token is tried once.
        assert len(server.asked) <= 2 * (2 if operation == "delete" else 1)
    assert type(caught.value) is kind
    assert hint in (caught.value.hint or "")


def test_a_write_over_a_version_names_its_generation() -> None:
    with scripted("gs") as server:
        server.answers = [Answer(200, "", {"ETag": '"e"', "x-goog-generation": "8"})]
        assert server.store().replace("k", b"x", "7") is True
        assert server.store().create("k", b"x") is True
        sent = [sent_headers(server, i)["x-goog-if-generation-match"] for i in (0, 1)]
        assert sent == ["7", "0"]
        # Neither may become a write that creates, or one that is refused for its form.
        for version in ("0", "", "-1", '"etag"', "²"):
            server.store().replace("k", b"x", version)
            assert sent_headers(server, -1)["x-goog-if-generation-match"] == "1"


def sent_headers(server: Script, number: int) -> dict[str, str]:
    return {name.lower(): value for name, value in server.asked[number][2].items()}


def test_too_fast_for_one_object() -> None:
    slow = Answer(429, error_body("SlowDown"))
    with scripted("gs") as server:
        server.answers = [slow, slow, Answer(200, "", {"ETag": '"e"', "x-goog-generation": "8"})]
        server.store().put("k", b"x")
        server.answers = [slow]
        with pytest.raises(ThrottledError, match="slow down"):
            server.store().put("k", b"x")


def test_a_bucket_of_another_project(gcs_server: Gcs) -> None:
    gcs_server.app.make_foreign_bucket("another-projects")
    store = open_gcs("gs://another-projects")
    for call in (
        lambda: store.get("k"),
        lambda: store.create("k", b""),
        lambda: list(store.list("")),
    ):
        with pytest.raises(PermissionDeniedError) as caught:
            call()
        assert "another project" in (caught.value.hint or "")


def test_faults_in_the_middle_of_many_deletions(gcs_server: Gcs) -> None:
    bucket = gcs_server.bucket("deletions")
    store = open_gcs(f"gs://{bucket}")
    for i in range(30):
        store.put(f"d/{i}", b"")
    gcs_server.faults.add({"action": "storage.objects.delete", "error": "backendError", "times": 3})
    gcs_server.faults.add(
        {"action": "storage.objects.delete", "error": "backendError", "when": "after", "times": 3}
    )
    store.delete([*(f"d/{i}" for i in range(30)), "d/missing"])
    gcs_server.faults.remove()
    assert gcs_server.objects.names(bucket) == []


def test_of_what_was_denied_nothing_is_hidden(gcs_server: Gcs) -> None:
    bucket = gcs_server.bucket("denied-in-part")
    gcs_server.objects.put(bucket, "a", b"")
    folder = f"projects/_/buckets/{bucket}/objects/a"
    before = gcs_server.callers[TOKEN]
    gcs_server.callers[TOKEN] = Caller("x@example.com", (("storage.objects.get", folder),))
    try:
        store = open_gcs(f"gs://{bucket}")
        assert store.get("a") is not None
        # Not there, or not to be seen: no answer that would read as "not there".
        with pytest.raises(PermissionDeniedError, match="storage"):
            store.get("b")
        with pytest.raises(PermissionDeniedError, match=r"storage\.objects\.delete"):
            store.delete(["a"])
    finally:
        gcs_server.callers[TOKEN] = before


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"STORAGE_EMULATOR_HOST": "http://h:1/"}, "http://h:1"),
        ({"STORAGE_EMULATOR_HOST": "h:1"}, "http://h:1"),
        ({"STORAGE_EMULATOR_HOST": ""}, None),
        ({}, None),
    ],
)
def test_the_endpoint_of_the_environment(environ: dict[str, str], expected: str | None) -> None:
    store = open_gcs("gs://bucket/team/a/", environ=environ)
    assert (store.url, store.bucket, store.prefix) == ("gs://bucket/team/a", "bucket", "team/a")
    assert store.endpoint == expected


def test_no_one_listens() -> None:
    store = open_gcs("gs://runs", endpoint="http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9 does not answer"):
        store.get("k")
