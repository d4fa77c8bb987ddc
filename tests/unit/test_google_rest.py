"""Google's REST APIs as they are read: addresses, and errors that say what to do."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from dstack_cloud import google_rest
from dstack_cloud.errors import (
    CredentialsError,
    InputError,
    PermissionDeniedError,
    ThrottledError,
    UnreachableError,
)
from dstack_cloud.google_rest import GoogleRest, address, refusal
from dstack_cloud.google_sign_in import SignIn

URL = "https://compute.googleapis.com/compute/v1/projects/demo/zones"


def test_addresses_are_those_of_gclouds_variables() -> None:
    name = "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"
    assert address("compute", {}) == "https://compute.googleapis.com/compute/v1/"
    assert address("compute", {name: "http://10.0.0.1:5/compute/v1"}).endswith(":5/compute/v1/")
    assert address("cloudbilling", {name: "x"}) == "https://cloudbilling.googleapis.com/"


@pytest.mark.parametrize(
    ("status", "reason", "expected", "hint"),
    [
        (401, "authError", CredentialsError, "gcloud auth application-default login"),
        (403, "forbidden", PermissionDeniedError, "dstack-cloud check"),
        (403, "accessNotConfigured", PermissionDeniedError, "services enable compute.google"),
        (403, "rateLimitExceeded", ThrottledError, None),
        (404, "notFound", InputError, "project and region"),
        (429, "rateLimitExceeded", ThrottledError, None),
        (503, "backendError", UnreachableError, None),
    ],
)
def test_refusals(status: int, reason: str, expected: type[Exception], hint: str | None) -> None:
    error = {"code": status, "message": "No such luck.", "errors": [{"reason": reason}]}
    found = refusal(status, json.dumps({"error": error}).encode(), URL)
    assert type(found) is expected
    assert found.message == f"compute.googleapis.com answered {status}: No such luck"
    assert hint is None or hint in str(found.hint)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "x"}', b'{"error": null}'])
def test_a_refusal_in_no_words_of_googles(body: bytes) -> None:
    assert isinstance(refusal(502, body, URL), UnreachableError)


@pytest.fixture
def server(monkeypatch):
    """A server that answers with what ``answers`` holds, one after the other."""
    answers, seen = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, self.headers["Authorization"]))
            status, body = answers.pop(0)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        override = f"http://127.0.0.1:{http.server_port}/compute/v1/"
        monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", override)
        monkeypatch.setattr(SignIn, "headers", lambda _: {"authorization": "Bearer token"})
        monkeypatch.setattr(google_rest.time, "sleep", lambda _: None)
        yield answers, seen
        http.shutdown()


def test_what_passes_is_tried_again(server) -> None:
    answers, seen = server
    answers += [(503, {}), (429, {}), (200, {"items": []})]
    assert GoogleRest().get("compute", "projects/demo/zones", {"fields": "a,b"}) == {"items": []}
    assert seen == [("/compute/v1/projects/demo/zones?fields=a%2Cb", "Bearer token")] * 3


def test_it_is_given_up_in_the_end_and_a_refusal_at_once(server) -> None:
    answers, seen = server
    answers += [(503, {})] * 4
    with pytest.raises(UnreachableError):
        GoogleRest().get("compute", "projects/demo/zones")
    assert len(seen) == 4
    answers += [(403, {})]
    with pytest.raises(PermissionDeniedError):
        GoogleRest().get("compute", "projects/demo/zones")
    assert len(seen) == 5


def test_nobody_listens(monkeypatch) -> None:
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "http://127.0.0.1:1/compute/v1/")
    monkeypatch.setattr(SignIn, "headers", lambda _: {"authorization": "Bearer token"})
    monkeypatch.setattr(google_rest.time, "sleep", lambda _: None)
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1 cannot be reached"):
        GoogleRest().get("compute", "projects/demo/zones")


def test_no_credentials(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "gone.json"))
    with pytest.raises(CredentialsError, match="cannot be used") as told:
        GoogleRest().get("compute", "projects/demo/zones")
    assert "GOOGLE_APPLICATION_CREDENTIALS" in str(told.value.hint)
