"""Whose tokens go along: key file, impersonation, workload identity, metadata server; and what
happens when there are none, when they are refused, and when they expire."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.gcs_server import TOKEN, Caller, Gcs
from support.google_tokens import Tokens, giving

from dstack_cloud import google_sign_in
from dstack_cloud.errors import CredentialsError, UnreachableError
from dstack_cloud.storage import retry
from dstack_cloud.storage.gcs import open_gcs

ADC = "GOOGLE_APPLICATION_CREDENTIALS"


@pytest.fixture
def tokens(gcs_server: Gcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tokens]:
    """A home without any sign-in, and a place that gives tokens."""
    for name in [name for name in os.environ if name.startswith(("GOOGLE_", "GCE_", "CLOUDSDK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_server.url)
    monkeypatch.setattr(retry, "PAUSES", (0.01, 0.01))
    with giving(TOKEN) as giver:
        yield giver


def read(bucket: str = "credentials") -> bytes | None:
    found = open_gcs(f"gs://{bucket}").get("k")
    return found.data if found else None


@pytest.fixture
def bucket(gcs_server: Gcs) -> str:
    if not any(
        one.name == "credentials" for one in gcs_server.objects.buckets("dstack-cloud-demo")
    ):
        gcs_server.bucket("credentials")
    gcs_server.objects.put("credentials", "k", b"hello")
    return "credentials"


@pytest.mark.parametrize("kind", ["service_account", "impersonated", "workload_identity"])
def test_a_file_of_each_kind(
    tokens: Tokens, bucket: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADC, str(getattr(tokens, kind)(tmp_path)))
    real = google_sign_in.transport

    def near(url: str, *args: Any, **options: Any) -> Any:
        """No file can say where these services of Google's are."""
        return real(re.sub(r"https://\w+\.googleapis\.com", tokens.url, url), *args, **options)

    monkeypatch.setattr(google_sign_in, "transport", near)
    assert read(bucket) == b"hello"
    assert tokens.asked


def test_the_metadata_server(tokens: Tokens, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own: google-auth reads where it is as it is loaded."""
    monkeypatch.delenv("NO_GCE_CHECK")
    monkeypatch.setenv("GCE_METADATA_HOST", tokens.host)
    monkeypatch.setenv("GCE_METADATA_IP", tokens.host)
    program = (
        "from dstack_cloud.storage.open import open_store\n"
        f"print(open_store('gs://{bucket}').get('k').data)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "b'hello'", done.stderr
    assert any("service-accounts" in path for path in tokens.asked)


def test_none_at_all(tokens: Tokens, bucket: str) -> None:
    with pytest.raises(CredentialsError, match="no Google credentials found") as caught:
        read(bucket)
    assert "gcloud auth application-default login" in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"type": "service_account"}'])
def test_a_file_that_is_none(
    tokens: Tokens, bucket: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key.json").write_text(text)
    monkeypatch.setenv(ADC, str(tmp_path / "key.json"))
    with pytest.raises(CredentialsError, match="cannot be used") as caught:
        read(bucket)
    assert caught.value.file == str(tmp_path / "key.json")


def test_a_file_that_is_not_there(
    tokens: Tokens, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADC, str(tmp_path / "gone.json"))
    with pytest.raises(CredentialsError, match=r"gone\.json"):
        read(bucket)


def test_a_sign_in_that_has_ended(
    tokens: Tokens, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADC, str(tokens.service_account(tmp_path)))
    tokens.refusal = (400, {"error": "invalid_grant", "error_description": "expired or revoked"})
    with pytest.raises(CredentialsError, match=r"have expired.*revoked") as caught:
        read(bucket)
    assert caught.value.hint == google_sign_in.LOGIN


def test_a_sign_in_out_of_reach(
    tokens: Tokens, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tokens.service_account(tmp_path)
    key = json.loads(path.read_text())
    path.write_text(json.dumps({**key, "token_uri": "http://127.0.0.1:9/token"}))
    monkeypatch.setenv(ADC, str(path))
    with pytest.raises(UnreachableError, match="sign-in does not answer"):
        read(bucket)


def test_a_token_that_is_refused_midway_is_renewed(
    tokens: Tokens,
    bucket: str,
    gcs_server: Gcs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a key that was replaced, or a clock that was put right, while a run is followed."""
    monkeypatch.setenv(ADC, str(tokens.service_account(tmp_path)))
    store = open_gcs(f"gs://{bucket}")
    tokens.token = "first"
    gcs_server.callers["first"] = Caller("daily@example.com")
    assert store.get("k") is not None
    del gcs_server.callers["first"]
    tokens.token = TOKEN
    assert store.get("k") is not None
    del gcs_server.callers[TOKEN]
    try:
        # Just renewed: not again and again.
        asked = len(tokens.asked)
        with pytest.raises(CredentialsError, match="does not accept"):
            store.get("k")
        assert len(tokens.asked) == asked
    finally:
        gcs_server.callers[TOKEN] = Caller("daily@example.com")


def test_a_token_is_renewed_before_it_expires(
    tokens: Tokens, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADC, str(tokens.service_account(tmp_path)))
    sign_in = google_sign_in.SignIn()
    tokens.lifetime = 60  # less than what google-auth renews ahead of
    assert sign_in.token() == TOKEN
    tokens.token = "second"
    assert sign_in.token() == "second"
    tokens.lifetime = 3600
    tokens.token = "third"
    assert [sign_in.token(), sign_in.token()] == ["third", "third"]
    assert len(tokens.asked) == 3


def test_what_there_is_does_while_the_sign_in_is_away(
    tokens: Tokens, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADC, str(tokens.service_account(tmp_path)))
    sign_in = google_sign_in.SignIn()
    tokens.lifetime = 60
    assert sign_in.token() == TOKEN
    tokens.refusal = (400, {"error": "invalid_grant"})
    assert sign_in.token() == TOKEN


def test_what_a_store_loads(
    tokens: Tokens, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Start-up is a feature: no client library of Google's, and not google-auth's own transport."""
    monkeypatch.setenv(ADC, str(tokens.service_account(tmp_path)))
    program = (
        "import sys\nfrom dstack_cloud.storage.open import open_store\n"
        f"print(open_store('gs://{bucket}').get('k').data)\n"
        "print(*{'google.cloud', 'google.api_core', 'grpc', 'requests', 'boto3', 'botocore'}"
        " & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "b'hello'\n\n", done.stdout + done.stderr
