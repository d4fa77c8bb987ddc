"""Every store that there is, empty, with what another process needs to open it too."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

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


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


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


@pytest.fixture(params=["local", "s3", "s3-prefix"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "local":
        return Place(str(tmp_path / "store"), {})
    bucket = request.getfixturevalue("new_bucket")()
    endpoint = request.getfixturevalue("s3_endpoint")
    prefix = "/team/a" if request.param == "s3-prefix" else ""
    return Place(f"s3://{bucket}{prefix}", {**KEYS, "AWS_ENDPOINT_URL": endpoint})


@pytest.fixture
def store(place: Place) -> Store:
    return place.open()
