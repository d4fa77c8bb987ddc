"""One emulated Google Cloud with stub machines for all of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.emulated_gcp import Gcp, serving


@pytest.fixture(scope="session")
def server() -> Iterator[Gcp]:
    with serving("tests-gcp") as gcp:
        yield gcp


@pytest.fixture
def gcp(server: Gcp) -> Iterator[Gcp]:
    """The emulator, with what a test changed or left taken away afterwards."""
    yield server
    for what in ("faults", "holds", "quota", "clock"):
        server.control("DELETE", what)
    for instance in server.instances():
        path = instance["selfLink"].removeprefix("https://www.googleapis.com")
        server.done(server.call("DELETE", path))
    for disk in server.disks():
        path = disk["selfLink"].removeprefix("https://www.googleapis.com")
        server.done(server.call("DELETE", path))
    server.control("DELETE", "calls")
