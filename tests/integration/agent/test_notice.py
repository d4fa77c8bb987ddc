"""The cloud takes the machine back: what is said, what is saved, in the time that is left."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from support.google_machine import Google

from dstack_cloud.machine.job import ArtifactSpec, Retry, Status
from dstack_cloud.units import parse_time

if TYPE_CHECKING:
    from conftest import Follower, Host

ACTION = "/latest/meta-data/spot/instance-action"
REBALANCE = "/latest/meta-data/events/recommendations/rebalance"
SAVES = """python3 -c "
import os, signal, sys, time
def save(*_):
    open('output/last', 'w').write('saved')
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print('training', flush=True)
while True: time.sleep(60)
" """
DEAF = "trap '' TERM; echo training; while true; do sleep 0.2; done"


@dataclass
class Service:
    """An instance metadata service of version 2 that knows only what a test puts into it."""

    name = "aws"
    texts: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: int = 0
    refuse: bool = False

    def announce(self, seconds: float, action: str = "terminate") -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        self.texts[ACTION] = json.dumps({"action": action, "time": at})

    def handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                service.tokens += 1
                self.say(200, f"token-{service.tokens}")

            def do_GET(self) -> None:
                service.asked.append(self.path)
                token = self.headers["X-aws-ec2-metadata-token"]
                if service.refuse or token != f"token-{service.tokens}":
                    service.refuse = False
                    self.say(401, "")
                elif self.path in service.texts:
                    self.say(200, service.texts[self.path])
                else:
                    self.say(404, "")

            def say(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture(params=["aws", "gcp"])
def cloud(request: pytest.FixtureRequest, host: Host) -> Iterator[Service | Google]:
    """The metadata of a machine of each cloud in turn."""
    if request.param == "aws":
        yield request.getfixturevalue("metadata")
        return
    service = Google()
    host.environment.update(service.environment)
    yield service
    service.close()


@pytest.fixture
def metadata(host: Host) -> Iterator[Service]:
    service = Service()
    server = ThreadingHTTPServer(("127.0.0.1", 0), service.handler())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    host.environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = address
    yield service
    server.shutdown()
    server.server_close()


def began(host: Host, *commands: str, **changes: Any) -> Follower:
    given = {"artifacts": [ArtifactSpec("output")], "asks": "aws", **changes}
    host.start("mkdir output", *commands, **given)
    follower = host.follow()
    follower.until(lambda: b"training" in follower.log)
    return follower


def noticed(follower: Follower) -> dict[str, Any]:
    follower.until(lambda: bool(follower.statuses[-1]["notice"]))
    found: dict[str, Any] = follower.statuses[-1]["notice"]
    return found


def test_a_notice_is_told_and_everything_saved(host: Host, cloud: Service | Google) -> None:
    follower = began(host, "echo early > output/early", SAVES, asks=cloud.name)
    cloud.announce(120)
    told = noticed(follower)
    assert told["action"] == "terminate"
    left = (parse_time(told["by"]) - parse_time(told["at"])).total_seconds()
    assert 100 < left <= 120
    follower.rest()
    end = follower.end
    assert end is not None
    assert (end["state"], end["reason"], end["exit_code"]) == ("failed", "interrupted", 143)
    assert [(a["files"], a["stored"]) for a in end["artifacts"]] == [(2, True)]
    assert host.read("artifacts/train-7/output/last") == b"saved"
    assert host.shipped() == follower.log
    assert host.stored("index/") == ["index/failed/train-7"]
    # Who has no way to the machine reads it in the store.
    status = Status.from_json(host.read("runs/train-7/attempts/1/status.json"))
    assert status.notice is not None
    assert status.notice.action == "terminate"


def test_the_store_knows_while_the_program_still_saves(host: Host, metadata: Service) -> None:
    follower = began(host, DEAF, grace=60)
    metadata.announce(120)
    noticed(follower)
    path = host.store / "runs/train-7/attempts/1/status.json"
    deadline = time.monotonic() + 20
    while not path.exists() or json.loads(path.read_text())["notice"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert follower.end is None
    host.put("runs/train-7/stop.json", {"abort": True})
    follower.rest()


def test_a_replacement_does_not_keep_it_from_saving(host: Host, metadata: Service) -> None:
    """The next machine is asked for at once, and the old one goes on until its end is told."""
    follower = began(
        host, SAVES.replace("open('output/last'", "time.sleep(12); open('output/last'")
    )
    deadline = time.monotonic() + 20
    while host.stored("index/") != ["index/running/train-7"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    metadata.announce(120)
    noticed(follower)
    host.put("runs/train-7/attempts/2/intent.json", {})
    # Past the moment when an attempt that got no notice would have made way.
    follower.rest()
    assert follower.end is not None
    assert follower.end["reason"] == "interrupted"
    assert host.read("artifacts/train-7/output/last") == b"saved"
    assert json.loads(host.read("runs/train-7/attempts/1/end.json"))["reason"] == "interrupted"


def test_an_end_that_others_recorded_stops_it_from_saving(host: Host, metadata: Service) -> None:
    """Who was believed dead, and is not, must not touch what the next attempt has restored."""
    follower = began(host, SAVES, DEAF, grace=60)
    host.put("artifacts/train-7/output/last", b"newer")
    host.put("runs/train-7/attempts/1/end.json", {"state": "lost", "reason": "machine-lost"})
    host.put("runs/train-7/attempts/2/intent.json", {})
    metadata.announce(120)
    follower.rest()
    assert follower.end is not None
    assert follower.end["reason"] == "fenced"
    assert host.read("artifacts/train-7/output/last") == b"newer"


def test_a_deaf_program_leaves_time_for_what_it_made(host: Host, metadata: Service) -> None:
    """A grace period that is longer than the notice is cut."""
    follower = began(host, "echo kept > output/kept", DEAF, grace=600)
    metadata.announce(12)
    follower.rest()
    end = follower.end
    assert end is not None
    assert (end["reason"], end["exit_code"]) == ("interrupted", 137)
    assert host.read("artifacts/train-7/output/kept") == b"kept\n"
    assert parse_time(end["ended_at"]) < parse_time(follower.statuses[-1]["notice"]["by"])


def test_a_stop_during_an_interruption_ends_the_run(host: Host, metadata: Service) -> None:
    follower = began(host, DEAF, grace=6)
    metadata.announce(120)
    noticed(follower)
    host.put("runs/train-7/stop.json", {"abort": False})
    follower.rest()
    assert follower.end is not None
    assert (follower.end["state"], follower.end["reason"]) == ("stopped", "stopped")
    assert host.stored("index/") == ["index/stopped/train-7"]


def test_an_early_warning_counts_only_where_it_was_asked_for(host: Host, metadata: Service) -> None:
    metadata.texts[REBALANCE] = json.dumps({"noticeTime": "2026-01-01T00:00:00Z"})
    follower = began(host, SAVES)
    until = len(metadata.asked) + 3
    deadline = time.monotonic() + 20
    while len(metadata.asked) < until:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert set(metadata.asked) == {ACTION}
    assert follower.statuses[-1]["notice"] is None
    metadata.announce(30)
    follower.rest()


def test_an_early_warning_is_taken_for_a_notice(host: Host, metadata: Service) -> None:
    follower = began(host, SAVES, retry=Retry(["interruption", "rebalance"]))
    metadata.texts[REBALANCE] = json.dumps({"noticeTime": "2026-01-01T00:00:00Z"})
    assert noticed(follower)["action"] == "rebalance"
    follower.rest()
    assert follower.end is not None
    assert (follower.end["state"], follower.end["reason"]) == ("failed", "interrupted")
    assert host.read("artifacts/train-7/output/last") == b"saved"


def test_an_early_warning_after_the_time_for_another_attempt(host: Host, metadata: Service) -> None:
    metadata.texts[REBALANCE] = json.dumps({"noticeTime": "2026-01-01T00:00:00Z"})
    rule = Retry(["interruption", "rebalance"], within=0.1)
    follower = began(host, "echo training; while ! test -e end; do sleep 0.05; done", retry=rule)
    until = metadata.asked.count(REBALANCE) + 2
    deadline = time.monotonic() + 20
    while metadata.asked.count(REBALANCE) < until:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (host.root / "workflow/end").touch()
    follower.rest()
    assert follower.end is not None
    assert (follower.end["state"], follower.end["reason"]) == ("done", "exited")


def test_a_token_that_is_refused_is_renewed(host: Host, metadata: Service) -> None:
    follower = began(host, SAVES)
    metadata.refuse = True
    metadata.announce(120)
    noticed(follower)
    assert metadata.tokens == 2
    follower.rest()


def test_an_agent_killed_after_the_notice_goes_on_saving(host: Host, metadata: Service) -> None:
    follower = began(host, DEAF, "echo never", grace=5)
    metadata.announce(60)
    noticed(follower)
    assert host.kill()
    follower.rest()
    assert follower.end is not None
    assert follower.end["reason"] == "interrupted"


def test_a_notice_before_the_container_runs(host: Host, cloud: Service | Google) -> None:
    cloud.announce(120)
    host.start("echo training", DEAF, asks=cloud.name, restore=True, attempt=2)
    follower = host.follow()
    follower.rest()
    assert follower.end is not None
    assert (follower.end["state"], follower.end["reason"]) == ("failed", "interrupted")
    assert follower.end["artifacts"] == []
