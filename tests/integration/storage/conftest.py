"""Every store that there is, empty, with what another process needs to open it too."""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.gcs_server import TOKEN, Gcs, serving
from support.google_tokens import giving

from dstack_cloud.storage.base import Store
from dstack_cloud.storage.open import open_store

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
_names = itertools.count(1)


@dataclass(frozen=True)
class Place:
    """A store's URL, and the environment that opens it."""

    url: str
    environ: dict[str, str]

    def open(self) -> Store:
        return open_store(self.url, environ=self.environ)

    def start(self, program: str, *args: str) -> subprocess.Popen[str]:
        """Another process that runs ``program`` with ``store`` opened and ``args`` at hand."""
        opening = (
            "import sys, os\n"
            "from dstack_cloud.storage.open import open_store\n"
            "url, args = sys.argv[1], sys.argv[2:]\n"
            "store = open_store(url, environ=os.environ)\n"
        )
        return subprocess.Popen(
            [sys.executable, "-c", opening + program, self.url, *args],
            env={**os.environ, **self.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


class OneWriteAtATime:
    """moto compares and writes in two steps, between which another thread may come; S3 doesn't."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] != "PUT":
            return self.app(environ, start_response)
        with self.lock:
            return self.app(environ, start_response)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    app = OneWriteAtATime(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def new_bucket(s3_endpoint: str) -> Callable[[], str]:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )

    def make() -> str:
        name = f"bucket-{next(_names)}"
        client.create_bucket(Bucket=name)
        return name

    return make


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[Gcs]:
    with serving() as gcs:
        yield gcs


@pytest.fixture(scope="session")
def google(gcs_server: Gcs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of somebody whom the emulated Cloud Storage knows."""
    with giving(TOKEN) as tokens:
        key = tokens.service_account(tmp_path_factory.mktemp("google"))
        yield {
            "GOOGLE_APPLICATION_CREDENTIALS": str(key),
            "STORAGE_EMULATOR_HOST": gcs_server.url,
        }


@pytest.fixture(params=["local", "s3", "s3-prefix", "gcs", "gcs-prefix"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "local":
        return Place(str(tmp_path / "store"), {})
    prefix = "/team/a" if request.param.endswith("-prefix") else ""
    if request.param.startswith("gcs"):
        environ = request.getfixturevalue("google")
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        bucket = request.getfixturevalue("gcs_server").bucket(f"bucket-{next(_names)}")
        return Place(f"gs://{bucket}{prefix}", environ)
    bucket = request.getfixturevalue("new_bucket")()
    endpoint = request.getfixturevalue("s3_endpoint")
    return Place(f"s3://{bucket}{prefix}", {**KEYS, "AWS_ENDPOINT_URL": endpoint})


@pytest.fixture
def store(place: Place) -> Store:
    return place.open()
