"""Whose credentials sign: environment, profile, process; and what happens when they expire."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dstack_cloud.errors import CredentialsError, InputError
from dstack_cloud.storage.local import LocalStore
from dstack_cloud.storage.open import open_store
from dstack_cloud.storage.s3 import open_s3

EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The token has expired.</Message></Error>"


class Bucket:
    """Lets some key IDs in; the rest has expired."""

    def __init__(self) -> None:
        self.valid: set[str] = set()
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                words = self.headers.get("authorization", "").partition("Credential=")[2]
                key = words.partition("/")[0]
                outer.asked.append(key)
                body = b"hello" if key in outer.valid else EXPIRED
                self.send_response(200 if key in outer.valid else 400)
                self.send_header("ETag", '"v"')
                self.send_header("Last-Modified", "Mon, 23 Nov 2026 10:00:00 GMT")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self.listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.listener.server_port}"


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    bucket = Bucket()
    threading.Thread(target=bucket.listener.serve_forever, args=(0.01,), daemon=True).start()
    yield bucket
    bucket.listener.shutdown()
    bucket.listener.server_close()


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """A home of AWS settings of one's own; writes its two files."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / ".aws").mkdir()

    def write(config: str = "", credentials: str = "") -> None:
        (tmp_path / ".aws" / "config").write_text(config)
        (tmp_path / ".aws" / "credentials").write_text(credentials)

    write()
    return write


def keys(key: str) -> str:
    return f"aws_access_key_id = {key}\naws_secret_access_key = s\n"


def read(bucket: Bucket, profile: str | None = None, **environ: str) -> bytes | None:
    store = open_s3("s3://runs", profile=profile, endpoint=bucket.endpoint, environ=environ)
    found = store.get("k")
    return found.data if found else None


def test_keys_of_the_environment(bucket: Bucket, aws: Callable[..., None]) -> None:
    bucket.valid = {"ENV"}
    environ = {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s"}
    assert read(bucket, **environ) == b"hello"


def test_a_profile_goes_before_the_environment(bucket: Bucket, aws: Callable[..., None]) -> None:
    aws(credentials=f"[default]\n{keys('DEFAULT')}[work]\n{keys('WORK')}")
    bucket.valid = {"WORK"}
    environ = {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s"}
    assert read(bucket, "work", **environ) == b"hello"
    bucket.valid = {"DEFAULT"}
    assert read(bucket) == b"hello"


def test_expired_keys_of_the_environment_are_told(bucket: Bucket, aws: Callable[..., None]) -> None:
    with pytest.raises(CredentialsError, match="expired") as caught:
        read(bucket, AWS_ACCESS_KEY_ID="OLD", AWS_SECRET_ACCESS_KEY="s")
    assert "sso login" in (caught.value.hint or "")
    assert bucket.asked == ["OLD"]


def test_a_profile_whose_keys_were_replaced_is_read_again(
    bucket: Bucket, aws: Callable[..., None]
) -> None:
    aws(credentials=f"[default]\n{keys('OLD')}")
    store = open_s3("s3://runs", endpoint=bucket.endpoint, environ={})
    bucket.valid = {"OLD"}
    assert store.get("k") is not None
    aws(credentials=f"[default]\n{keys('NEW')}")
    bucket.valid = {"NEW"}
    assert store.get("k") is not None
    assert bucket.asked == ["OLD", "OLD", "NEW"]


def test_a_profile_that_stays_expired_is_told_and_not_asked_forever(
    bucket: Bucket, aws: Callable[..., None]
) -> None:
    aws(credentials=f"[default]\n{keys('OLD')}")
    with pytest.raises(CredentialsError, match="expired"):
        read(bucket)
    assert bucket.asked == ["OLD", "OLD"]


def test_credentials_that_run_out_are_renewed_on_the_way(
    bucket: Bucket, aws: Callable[..., None], tmp_path: Path
) -> None:
    """A process gives a new key each time it is asked, good for less than botocore's margin."""
    counter = tmp_path / "count"
    counter.write_text("0")
    program = tmp_path / "keys.py"
    program.write_text(
        "import json, pathlib, datetime\n"
        f"counter = pathlib.Path({str(counter)!r})\n"
        "n = int(counter.read_text()) + 1\n"
        "counter.write_text(str(n))\n"
        "end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=2)\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'KEY{n}', 'SecretAccessKey': 's',"
        " 'SessionToken': 't', 'Expiration': end.isoformat()}))\n"
    )
    aws(config=f"[profile p]\ncredential_process = {sys.executable} {program}\n")
    store = open_s3("s3://runs", profile="p", endpoint=bucket.endpoint, environ={})
    bucket.valid = {f"KEY{n}" for n in range(100)}
    assert store.get("k") is not None
    bucket.valid.discard(bucket.asked[0])
    assert store.get("k") is not None
    assert bucket.asked[0] != bucket.asked[-1]


def test_nothing_found_is_told(bucket: Bucket, aws: Callable[..., None]) -> None:
    with pytest.raises(CredentialsError, match="no AWS credentials") as caught:
        read(bucket)
    assert "AWS_PROFILE" in (caught.value.hint or "")
    assert bucket.asked == []


def test_a_mistyped_profile(bucket: Bucket, aws: Callable[..., None]) -> None:
    aws(config=f"[profile work]\n{keys('W')}")
    with pytest.raises(CredentialsError, match="no AWS profile 'wrok'; did you mean 'work'"):
        read(bucket, "wrok")


def test_a_process_that_fails_is_told(bucket: Bucket, aws: Callable[..., None]) -> None:
    aws(config="[profile p]\ncredential_process = /bin/false\n")
    with pytest.raises(CredentialsError, match="of the profile 'p'"):
        read(bucket, "p")


SSO = """
[profile sso]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = dev
[sso-session corp]
sso_region = us-east-1
sso_start_url = https://corp.awsapps.example/start
sso_registration_scopes = sso:account:access
"""


def sso_token(tmp_path: Path, expires: datetime) -> None:
    import hashlib

    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    name = hashlib.sha1(b"corp").hexdigest()
    token = {"accessToken": "t", "expiresAt": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}
    (cache / f"{name}.json").write_text(json.dumps(token))


ASK = """
import sys
from dstack_cloud.errors import DstackError
from dstack_cloud.storage.s3 import open_s3
try:
    open_s3("s3://runs", profile="sso", endpoint=sys.argv[1], environ={}).get("k")
except DstackError as error:
    print(error.kind, error.hint)
"""


def ask(bucket: Bucket, **environ: str) -> str:
    """A program of its own: botocore settles where its SSO tokens are when it is imported."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, bucket.endpoint],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_an_sso_session_that_never_began_or_ended(
    bucket: Bucket, aws: Callable[..., None], tmp_path: Path
) -> None:
    aws(config=SSO)
    expected = "credentials run `aws sso login --profile sso`"
    assert ask(bucket) == expected
    sso_token(tmp_path, datetime.now(UTC) - timedelta(hours=1))
    assert ask(bucket) == expected


def test_an_sso_service_out_of_reach(
    bucket: Bucket, aws: Callable[..., None], tmp_path: Path
) -> None:
    aws(config=SSO)
    sso_token(tmp_path, datetime.now(UTC) + timedelta(hours=5))
    answer = ask(bucket, AWS_ENDPOINT_URL_SSO="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1")
    assert answer.startswith("unreachable")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("gs://", "not a store in Google Cloud Storage"),
        ("gs://UPPER", "not a store in Google Cloud Storage"),
        ("gs://bucket/a//b", "empty or dotted"),
        ("azure://x", "not a store"),
        ("s3://", "not an S3 store"),
        ("s3://UPPER", "not an S3 store"),
        ("s3://b", "not an S3 store"),
        ("s3://bucket/a//b", "empty or dotted"),
        ("s3://bucket/../b", "empty or dotted"),
    ],
)
def test_what_is_no_store(url: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_store(url, environ={})


def test_a_url_is_made_plain() -> None:
    store = open_s3("s3://bucket/team/a/", environ={"AWS_REGION": "eu-west-1"})
    assert (store.url, store.bucket, store.prefix) == ("s3://bucket/team/a", "bucket", "team/a")
    assert (store.region, store.endpoint) == ("eu-west-1", None)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"AWS_ENDPOINT_URL": "http://a"}, "http://a"),
        ({"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": "http://b"}, "http://b"),
        ({"AWS_ENDPOINT_URL": ""}, None),
    ],
)
def test_the_endpoint_of_the_environment(environ: dict[str, str], expected: str | None) -> None:
    assert open_s3("s3://bucket", environ=environ).endpoint == expected
    assert open_s3("s3://bucket", endpoint="http://c", environ=environ).endpoint == "http://c"


def test_a_folder_is_a_local_store(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "new"))
    assert isinstance(store, LocalStore)
    assert list(store.list("")) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not a folder"):
        open_store(str(tmp_path / "file"))
