"""On Compute Engine: a second notice that leaves less time, and the machine's own end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from support.google_machine import Google

from dstack_cloud.machine.agent.errors import StoreError
from dstack_cloud.machine.agent.gce import Gce
from dstack_cloud.machine.agent.google_metadata import GoogleMetadata
from dstack_cloud.units import parse_time

if TYPE_CHECKING:
    from conftest import Host

DEAF = "trap '' TERM; echo training; while true; do sleep 0.2; done"


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    made = Google()
    for key, value in made.environment.items():
        monkeypatch.setenv(key, value)
    yield made
    made.close()


def test_a_preemption_cuts_the_time_that_maintenance_left(google: Google, host: Host) -> None:
    host.environment.update(google.environment)
    host.start(DEAF, asks="gcp", grace=600)
    follower = host.follow()
    follower.until(lambda: b"training" in follower.log)
    google.announce(60, "MIGRATE_ON_HOST_MAINTENANCE")
    google.announce(60, "TERMINATE_ON_HOST_MAINTENANCE")
    follower.until(lambda: bool(follower.statuses[-1]["notice"]))
    first = follower.statuses[-1]["notice"]
    assert first["action"] == "maintenance"
    google.announce(10)
    follower.rest()
    last = follower.statuses[-1]["notice"]
    assert last["action"] == "terminate"
    assert parse_time(last["by"]) < parse_time(first["by"])
    assert follower.end is not None
    assert (follower.end["reason"], follower.end["exit_code"]) == ("interrupted", 137)
    assert parse_time(follower.end["ended_at"]) < parse_time(last["by"])


class _Compute(BaseHTTPRequestHandler):
    """Answers as it is told to, and remembers what it was asked."""

    asked: list[tuple[str, str, str | None]]
    status = 200

    def do_DELETE(self) -> None:
        self.asked.append((self.command, self.path, self.headers["Authorization"]))
        self.send_response(self.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def compute() -> Iterator[tuple[type[_Compute], dict[str, Any]]]:
    """The service, and a job whose machine finds it."""
    handler: type[_Compute] = type("Compute", (_Compute,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}/compute/v1/"
    yield handler, {"endpoints": {"compute": endpoint}, "machine_record": {"spot": True}}
    server.shutdown()
    server.server_close()


def test_a_machine_deletes_itself(
    google: Google, compute: tuple[type[_Compute], dict[str, Any]]
) -> None:
    service, job = compute
    Gce(job).end()
    path = "/compute/v1/projects/a-project/zones/us-central1-b/instances/a-machine"
    assert service.asked == [("DELETE", path, "Bearer token-1")]
    # Nothing there any more is an end, too; a refusal is none.
    service.status = 404
    Gce(job).end()
    service.status = 403
    with pytest.raises(StoreError, match=r"instances\.delete: 403"):
        Gce(job).end()


def test_a_machine_without_metadata_says_so(
    google: Google, compute: tuple[type[_Compute], dict[str, Any]]
) -> None:
    google.close()
    with pytest.raises(StoreError, match="metadata server"):
        Gce(compute[1]).end()
    assert compute[0].asked == []


def test_a_token_is_kept_as_long_as_it_lives(google: Google) -> None:
    metadata = GoogleMetadata()
    assert [metadata.token(), metadata.token()] == ["token-1", "token-1"]
    assert GoogleMetadata().token() == "token-2"
