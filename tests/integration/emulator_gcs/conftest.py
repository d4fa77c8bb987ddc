"""One emulated Cloud Storage for all tests here, and a bucket for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from support.gcs_server import Gcs, serving, storage_client

_names = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Gcs]:
    with serving() as gcs:
        yield gcs


@pytest.fixture
def gcs(server: Gcs) -> Iterator[Gcs]:
    yield server
    server.faults.remove()


@pytest.fixture
def bucket(gcs: Gcs) -> str:
    return gcs.bucket(f"bucket-{next(_names)}")


@pytest.fixture
def client(gcs: Gcs) -> Any:
    return storage_client(gcs)
