"""`catalog update --cloud gcp` and `offers`, as programs, with a service account's real key.

Google's end of the wire is a small server: the token endpoint, and the emulated catalog.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from moto_fixtures.gcp.call import Call, GcpError
from moto_fixtures.gcp.catalog.answers import ROUTES

PROGRAM = str(Path(sys.executable).parent / "dstack-cloud")


class Google(BaseHTTPRequestHandler):
    """Hands out one token, and answers the catalog's GETs to those who carry it."""

    asked: ClassVar[list[str]] = []
    tokens: ClassVar[list[str]] = []
    refused = ""

    def do_POST(self) -> None:
        body = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.tokens.append(body["grant_type"])
        self._answer(200, {"access_token": "secret", "expires_in": 3600, "token_type": "Bearer"})

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.asked.append(url.path)
        if self.headers["Authorization"] != "Bearer secret":
            return self._answer(401, {"error": {"code": 401, "message": "who?"}})
        if self.refused and self.refused in url.path:
            reason = {"reason": "SERVICE_DISABLED"}
            error = {"code": 403, "message": "The API is disabled.", "details": [reason]}
            return self._answer(403, {"error": error})
        call = Call("GET", url.path, dict(parse_qsl(url.query)), None, {}, None)
        try:
            handlers = (one for _, route, one in ROUTES if re.fullmatch(route, url.path))
            self._answer(200, next(handlers)(call))
        except GcpError as error:
            self._answer(error.http, {"error": {"code": error.http, "message": error.message}})
        return None

    def _answer(self, status: int, body: Any) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def environ(tmp_path):
    Google.asked, Google.tokens, Google.refused = [], [], ""
    with ThreadingHTTPServer(("127.0.0.1", 0), Google) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        key = rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        account = {
            "type": "service_account",
            "project_id": "demo",
            "private_key_id": "k",
            "private_key": key.decode(),
            "client_email": "daily@demo.iam.gserviceaccount.com",
            "token_uri": f"{base}/token",
        }
        (tmp_path / "key.json").write_text(json.dumps(account))
        (tmp_path / "config.yaml").write_text(
            "gcp: {store: gs://demo, regions: [us-central1, europe-west4]}\n"
        )
        yield {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "DSTACK_CLOUD_CONFIG": str(tmp_path / "config.yaml"),
            "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json"),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{base}/compute/v1/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBILLING": f"{base}/",
        }
        server.shutdown()


def run(environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *words], env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_todays_prices_win_over_the_bundled_ones(environ) -> None:
    ask = ("offers", "--gpu", "A100", "--interruptible", "--limit", "3", "--json")
    before = json.loads(run(environ, *ask).stdout)["offers"]
    # By the configuration over Google Cloud only; spot prices are not bundled.
    assert {(one["cloud"], one["price"]) for one in before} == {("gcp", None)}
    assert not Google.asked
    updated = run(environ, "catalog", "update", "--json")
    assert updated.returncode == 0, updated.stderr
    ages = {age["region"]: age["live_at"] for age in json.loads(updated.stdout)["regions"]}
    assert ages["us-central1"]
    assert ages["europe-west4"]
    assert ages["us-west1"] is None
    assert Google.tokens == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert {path.split("/")[-1] for path in Google.asked} == {
        "us-central1",
        "europe-west4",
        "machineTypes",
        "acceleratorTypes",
        "skus",
    }
    asked = len(Google.asked)
    assert run(environ, *ask, "--refresh", "--region", "us-central1").returncode == 0
    assert len(Google.asked) > asked
    (first, *_) = json.loads(run(environ, *ask).stdout)["offers"]
    assert (first["machine"], first["region"]) == ("a2-highgpu-1g", "us-central1")
    # 12 cores, 85 GiB and the A100, at the emulated share of 0.3.
    assert float(first["price"]) == pytest.approx(3.673385 * 0.3, abs=1e-6)
    assert first["zones"] == [f"us-central1-{letter}" for letter in "abcf"]


def test_without_the_price_list_the_bundled_prices_stay(environ) -> None:
    Google.refused = "skus"
    updated = run(environ, "catalog", "update", "--region", "us-central1")
    assert updated.returncode == 0
    assert "The API is disabled: the prices known before stay" in updated.stderr
    assert "gcloud services enable" in updated.stderr
    shown = run(environ, "offers", "--gpu", "A100", "--limit", "1", "--json", "--on-demand")
    assert json.loads(shown.stdout)["offers"][0]["price"] == "3.673385"


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere.json"}, 77, "application-default login"),
        (
            {"CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": "http://127.0.0.1:1/"},
            75,
            "cannot be reached",
        ),
    ],
)
def test_what_is_wrong_is_said(environ, change, code, words) -> None:
    done = run(environ | change, "catalog", "update")
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_an_unknown_region(environ) -> None:
    done = run(environ, "catalog", "update", "--region", "us-central9")
    assert done.returncode == 2
    assert "did you mean us-central1" in done.stderr
