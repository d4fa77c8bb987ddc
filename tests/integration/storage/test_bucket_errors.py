"""Every way in which a bucket refuses, as it says it on the wire."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.scripted_bucket import KEYS, Answer, Script, error_body, scripted

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
from dstack_cloud.storage.s3 import S3, open_s3

ADC = "GOOGLE_APPLICATION_CREDENTIALS"


@pytest.fixture
def server() -> Iterator[Script]:
    """An S3."""
    with scripted("s3") as script:
        yield script


@pytest.fixture(params=["s3", "gs"])
def either(
    request: pytest.FixtureRequest, google: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Script]:
    """What S3 and Google Cloud Storage say with the same words."""
    monkeypatch.setenv(ADC, google[ADC])
    with scripted(request.param) as script:
        yield script


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "PAUSES", (0.01, 0.01, 0.01))


OPERATIONS: dict[str, tuple[str, Callable[[Store, Path], object]]] = {
    "get": ("s3:GetObject", lambda store, path: store.get("k")),
    "put": ("s3:PutObject", lambda store, path: store.put("k", b"x")),
    "create": ("s3:PutObject", lambda store, path: store.create("k", b"x")),
    "replace": ("s3:PutObject", lambda store, path: store.replace("k", b"x", '"v"')),
    "list": ("s3:ListBucket", lambda store, path: list(store.list("k/"))),
    "delete": ("s3:DeleteObject", lambda store, path: store.delete(["k"])),
    "upload": ("s3:PutObject", lambda store, path: store.upload("k", path)),
    "download": ("s3:GetObject", lambda store, path: store.download("k", path / "../down")),
}
PERMANENT = [
    (404, "NoSuchBucket", NotFoundError, "'runs' does not exist"),
    (403, "AccessDenied", PermissionDeniedError, "'runs'"),
    (403, "AllAccessDisabled", PermissionDeniedError, "'runs'"),
    (403, "InvalidAccessKeyId", CredentialsError, "wrong"),
    (403, "SignatureDoesNotMatch", CredentialsError, "wrong"),
    (403, "RequestTimeTooSkewed", CredentialsError, "clock"),
    (400, "ExpiredToken", CredentialsError, "expired"),
    (400, "InvalidToken", CredentialsError, "expired"),
    (400, "InvalidRequest", InputError, "InvalidRequest"),
    (401, "Unauthorized", CredentialsError, "does not accept"),
]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("status", "code", "kind", "words"), PERMANENT)
def test_a_refusal_is_told_at_once(
    server: Script,
    tmp_path: Path,
    operation: str,
    status: int,
    code: str,
    kind: type[DstackError],
    words: str,
) -> None:
    server.answers = [Answer(status, error_body(code))]
    action, operate = OPERATIONS[operation]
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with pytest.raises(kind, match=words) as caught:
        operate(server.store(), path)
    assert type(caught.value) is kind
    assert len(server.asked) == 1
    if kind is PermissionDeniedError:
        assert action in caught.value.message
    if code == "NoSuchBucket":
        assert "dstack-cloud init" in (caught.value.hint or "")


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if "load" not in name])
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(503, error_body("SlowDown", "Please reduce your request rate.")), ThrottledError),
        (Answer(503, error_body("ServiceUnavailable")), ThrottledError),
        (Answer(500, error_body("InternalError")), UnreachableError),
        (Answer(0, drop=True), UnreachableError),
    ],
)
def test_what_passes_is_tried_again_a_few_times(
    either: Script, tmp_path: Path, operation: str, answer: Answer, kind: type[DstackError]
) -> None:
    either.answers = [answer]
    with pytest.raises(kind):
        OPERATIONS[operation][1](either.store(), tmp_path)
    assert 4 <= len(either.asked) <= 8  # the HTTP client itself repeats a dropped idle request


def test_what_passes_is_not_noticed(either: Script) -> None:
    slow = Answer(503, error_body("SlowDown"))
    either.answers = [slow, slow, Answer(200, "hello", {"ETag": '"v"', **DATED})]
    found = either.store().get("k")
    assert found is not None
    assert found.data == b"hello"


DATED = {"Last-Modified": "Mon, 23 Nov 2026 10:00:00 GMT", "x-goog-generation": "7"}
CONFLICT = Answer(409, error_body("ConditionalRequestConflict"))
REFUSED = Answer(412, error_body("PreconditionFailed"))
WRITTEN = Answer(200, "", {"ETag": '"new"'})


@pytest.mark.parametrize("operation", ["create", "replace"])
def test_a_conflict_is_tried_again_and_a_refusal_is_not(server: Script, operation: str) -> None:
    operate = OPERATIONS[operation][1]
    server.answers = [CONFLICT, CONFLICT, WRITTEN]
    assert operate(server.store(), Path()) is True
    server.answers = [CONFLICT, REFUSED]
    assert operate(server.store(), Path()) is False
    assert len(server.asked) == 5
    header = {"create": ("If-None-Match", "*"), "replace": ("If-Match", '"v"')}[operation]
    sent = {name.lower(): value for name, value in server.asked[0][2].items()}
    assert sent[header[0].lower()] == header[1]


@pytest.mark.parametrize("operation", ["create", "replace"])
@pytest.mark.parametrize("lost", [Answer(500, error_body("InternalError")), Answer(0, drop=True)])
def test_a_write_whose_answer_was_lost_is_looked_at(
    either: Script, operation: str, lost: Answer
) -> None:
    operate = OPERATIONS[operation][1]
    ours = Answer(200, "x", {"ETag": '"v"', **DATED})
    theirs = Answer(200, "y", {"ETag": '"w"', **DATED})
    either.answers = [lost, REFUSED, ours]
    assert operate(either.store(), Path()) is True
    either.answers = [lost, REFUSED, theirs]
    assert operate(either.store(), Path()) is False


def test_one_denied_object_of_many_is_told(server: Script) -> None:
    server.answers = [
        Answer(
            200,
            "<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code>"
            "<Message>Access Denied</Message></Error></DeleteResult>",
        )
    ]
    with pytest.raises(PermissionDeniedError, match="s3:DeleteObject"):
        server.store().delete(["k", "l"])


ELSEWHERE = [
    Answer(301, error_body("PermanentRedirect"), {"x-amz-bucket-region": "eu-west-1"}),
    Answer(
        400,
        error_body(
            "AuthorizationHeaderMalformed",
            "the region 'us-east-1' is wrong; expecting 'eu-west-1'",
            "<Region>eu-west-1</Region>",
        ),
        {"x-amz-bucket-region": "eu-west-1"},
    ),
]


@pytest.mark.parametrize("answer", ELSEWHERE)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_bucket_elsewhere_is_named_with_its_region(
    server: Script, tmp_path: Path, operation: str, answer: Answer
) -> None:
    server.answers = [answer]
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with pytest.raises(InputError, match="'runs' is in eu-west-1"):
        OPERATIONS[operation][1](server.store(region="us-east-1"), path)


def test_a_bucket_elsewhere_is_found_where_no_region_was_given(server: Script) -> None:
    found = Answer(200, "hello", {"ETag": '"v"', **DATED})
    server.answers = [ELSEWHERE[0], ELSEWHERE[0], found]
    store = server.store()
    object_ = store.get("k")
    assert object_ is not None
    assert object_.data == b"hello"
    assert isinstance(store, S3)
    assert store.region == "eu-west-1"
    assert "eu-west-1" in server.asked[-1][2]["authorization"]


def test_a_bucket_elsewhere_that_nobody_names(server: Script) -> None:
    server.answers = [Answer(301, error_body("PermanentRedirect"))]
    with pytest.raises(InputError, match="in another region"):
        server.store().get("k")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_one_listens(tmp_path: Path, operation: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        store = open_s3("s3://runs", endpoint=endpoint, environ=KEYS)
        path = tmp_path / "file"
        path.write_bytes(b"x")
        with pytest.raises(UnreachableError, match="does not answer") as caught:
            OPERATIONS[operation][1](store, path)
    assert endpoint in caught.value.message


def test_a_host_without_an_address_is_unreachable() -> None:
    store = open_s3("s3://runs", endpoint="http://nowhere.invalid", environ=KEYS)
    with pytest.raises(UnreachableError):
        store.get("k")


SHORT = Answer(200, "hel", {"ETag": '"v"', **DATED}, missing=2)


def test_a_download_that_breaks_off_leaves_nothing(either: Script, tmp_path: Path) -> None:
    either.answers = [SHORT, Answer(500, error_body("InternalError"))]
    with pytest.raises(UnreachableError):
        either.store().download("k", tmp_path / "down" / "f")
    assert list((tmp_path / "down").iterdir()) == []


def test_a_download_that_breaks_off_goes_on_where_it_was(either: Script, tmp_path: Path) -> None:
    rest = {"Content-Range": "bytes 3-4/5", "ETag": '"v"', **DATED}
    either.answers = [SHORT, Answer(206, "lo", rest)]
    either.store().download("k", tmp_path / "f")
    assert (tmp_path / "f").read_text() == "hello"


def test_a_get_that_breaks_off_is_tried_again(either: Script) -> None:
    headers = {"ETag": '"v"', **DATED}
    either.answers = [Answer(200, "he", headers, missing=3), Answer(200, "hello", headers)]
    found = either.store().get("k")
    assert found is not None
    assert found.data == b"hello"


def page(keys: list[str], more: str = "") -> Answer:
    rows = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><ETag>v</ETag>"
        "<LastModified>2026-11-23T10:00:00.000Z</LastModified></Contents>"
        for key in keys
    )
    token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    truncated = "true" if more else "false"
    return Answer(
        200,
        f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{token}{rows}</ListBucketResult>",
    )


def test_a_listing_that_breaks_off_goes_on_after_its_last_key(server: Script) -> None:
    first = [f"k/{i:04d}" for i in range(1000)]
    server.answers = [
        page(first, more="token"),
        Answer(503, error_body("SlowDown")),
        page(["k/1000", "k/1001"]),
    ]
    assert [row.key for row in server.store().list("k/")] == [*first, "k/1000", "k/1001"]
    assert "continuation-token" in server.asked[1][1]
    assert "start-after=k%2F0999" in server.asked[2][1].replace("/0", "%2F0")
