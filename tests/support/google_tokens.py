"""What stands at the far end of Google's sign-in: the token endpoint, the metadata server,
impersonation and the exchange of another identity's token; and the files that lead there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

EMAIL = "daily@dstack-cloud-demo.iam.gserviceaccount.com"


class Tokens:
    """Gives ``token`` to whoever asks; ``asked`` are the paths. ``refusal`` is answered instead."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self.lifetime = 3600
        self.asked: list[str] = []
        self.refusal: tuple[int, dict[str, Any]] | None = None

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    def service_account(self, folder: Path) -> Path:
        """A service account's key file, whose owner's tokens are had here."""
        key = {
            "type": "service_account",
            "project_id": "dstack-cloud-demo",
            "private_key_id": "1",
            "private_key": private_key(),
            "client_email": EMAIL,
            "client_id": "1",
            "token_uri": f"{self.url}/token",
        }
        return _written(folder / "key.json", key)

    def impersonated(self, folder: Path) -> Path:
        source = json.loads(self.service_account(folder).read_text())
        url = f"{self.url}/v1/projects/-/serviceAccounts/other@example.com:generateAccessToken"
        return _written(
            folder / "impersonated.json",
            {
                "type": "impersonated_service_account",
                "service_account_impersonation_url": url,
                "source_credentials": source,
                "delegates": [],
            },
        )

    def workload_identity(self, folder: Path) -> Path:
        (folder / "subject").write_text("a token of another identity's")
        pool = (
            "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q"
        )
        return _written(
            folder / "external.json",
            {
                "type": "external_account",
                "audience": pool,
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": f"{self.url}/sts/token",
                "credential_source": {"file": str(folder / "subject")},
            },
        )

    def answer(self, path: str) -> tuple[int, str, str]:
        self.asked.append(path)
        if self.refusal is not None and path != "/":
            return self.refusal[0], "application/json", json.dumps(self.refusal[1])
        token = {"access_token": self.token, "expires_in": self.lifetime, "token_type": "Bearer"}
        if path.endswith(":generateAccessToken"):
            end = datetime.now(UTC) + timedelta(seconds=self.lifetime)
            token = {"accessToken": self.token, "expireTime": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
        elif path == "/sts/token":
            token["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token"
        elif path.startswith("/computeMetadata/v1/"):
            return self._metadata(
                path.removeprefix("/computeMetadata/v1/").partition("?")[0], token
            )
        elif path == "/":
            return 200, "text/plain", ""
        return 200, "application/json", json.dumps(token)

    def _metadata(self, path: str, token: dict[str, Any]) -> tuple[int, str, str]:
        account = {"email": EMAIL, "scopes": ["cloud-platform"], "aliases": ["default"]}
        if path.endswith("/token"):
            return 200, "application/json", json.dumps(token)
        if path.startswith("instance/service-accounts/"):
            return 200, "application/json", json.dumps(account)
        if path == "project/project-id":
            return 200, "text/plain", "dstack-cloud-demo"
        return 404, "text/plain", ""


@cache
def private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@contextmanager
def giving(token: str) -> Iterator[Tokens]:
    """The server for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, kind, text = tokens.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Metadata-Flavor", "Google")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None: ...

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tokens = Tokens(f"http://127.0.0.1:{listener.server_port}", token)
    threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield tokens
    finally:
        listener.shutdown()
        listener.server_close()


def _written(path: Path, value: dict[str, Any]) -> Path:
    path.write_text(json.dumps(value))
    return path
