"""Images that cannot be had, memory and disk that run out: each with its own words."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dstack_cloud.machine.job import ArtifactSpec, Timers

if TYPE_CHECKING:
    from conftest import Host


@contextmanager
def registry(
    status: int,
    code: str = "",
    hang: threading.Event | None = None,
    seen: list[str] | None = None,
    first: int = 0,
) -> Iterator[str]:
    """A registry on loopback that answers every manifest with one error, or not at all; the
    ``first`` so many with being too busy. ``seen`` gets the logins that it is shown."""
    busy = iter(range(first))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            manifest = "/manifests/" in self.path
            login = self.headers.get("Authorization", "")
            if seen is not None and login:
                seen.append(login)
            if manifest and hang is not None:
                hang.wait(60)
                return
            wrong = (status, code)
            if manifest and next(busy, None) is not None:
                wrong = (429, "TOOMANYREQUESTS")
            if seen is not None and not login:
                wrong, manifest = (401, "UNAUTHORIZED"), True
            body = json.dumps({"errors": [{"code": wrong[1], "message": "m"}]}).encode()
            self.send_response(wrong[0] if manifest else 200)
            if seen is not None:
                self.send_header("WWW-Authenticate", 'Basic realm="here"')
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        if hang is not None:
            hang.set()
        server.shutdown()
        server.server_close()


def _pull(host: Host, image: str) -> None:
    host.image = image
    host.job = replace(host.job, image=image)


def test_an_image_that_does_not_exist(host: Host) -> None:
    with registry(404, "MANIFEST_UNKNOWN") as address:
        _pull(host, f"{address}/nobody/nothing:1")
        host.start("echo never", artifacts=[ArtifactSpec("output")])
        end = host.end()
    assert (end.state, end.reason, end.exit_code) == ("failed", "image", None)
    assert end.message == f"the image {host.image} does not exist"
    assert end.hint == "check the image's name and tag"
    assert host.stored("index/") == ["index/failed/train-7"]


def test_an_image_that_may_not_be_pulled(host: Host) -> None:
    with registry(403, "DENIED") as address:
        _pull(host, f"{address}/nobody/private")
        host.start("echo never")
        end = host.end()
    assert end.reason == "image"
    assert end.message == (
        f"the image {host.image} does not exist, or it is private: access is denied"
    )


def test_a_registry_that_is_busy_for_a_moment_is_asked_again(host: Host) -> None:
    with registry(404, "MANIFEST_UNKNOWN", first=2) as address:
        _pull(host, f"{address}/nobody/nothing:1")
        host.start("echo never")
        end = host.end()
    assert end.message == f"the image {host.image} does not exist"


def test_a_login_is_shown_to_the_registry_and_then_forgotten(host: Host) -> None:
    seen: list[str] = []
    with registry(403, "DENIED", seen=seen) as address:
        _pull(host, f"{address}/somebody/private:1")
        host.start("echo never", registry={"username": "me", "password": "planted"})
        end = host.end()
    assert seen[-1] == "Basic " + base64.b64encode(b"me:planted").decode()
    assert end.reason == "denied"
    assert end.message is not None
    assert end.message.startswith("the login of registry_auth may not pull ")
    left = [path for path in host.root.rglob("*") if path.is_file()]
    assert [path for path in left if b"planted" in path.read_bytes()] == []


def test_a_registry_that_cannot_be_reached(host: Host) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        _pull(host, f"127.0.0.1:{closed.getsockname()[1]}/nobody/nothing")
        host.start("echo never")
        end = host.end()
    assert end.reason == "registry"
    assert end.message is not None
    assert end.message.startswith(f"the registry of {host.image} cannot be reached: ")


def test_a_pull_that_stalls(host: Host) -> None:
    with registry(200, hang=threading.Event()) as address:
        _pull(host, f"{address}/nobody/slow:1")
        host.start("echo never", timers=Timers(pull_stall=2))
        end = host.end()
    assert end.reason == "registry"
    assert end.message == f"the pull of {host.image} made no progress for 2 seconds"


def test_a_stop_during_the_pull(host: Host) -> None:
    with registry(200, hang=threading.Event()) as address:
        _pull(host, f"{address}/nobody/slow:2")
        host.start("echo never")
        follower = host.follow()
        follower.until(lambda: any(s["phase"] == "pulling" for s in follower.statuses))
        host.put("runs/train-7/stop.json", {"abort": False})
        follower.rest()
    assert follower.end is not None
    assert (follower.end["state"], follower.end["exit_code"]) == ("stopped", None)


def test_an_image_that_is_not_here_and_must_not_be_pulled(host: Host) -> None:
    _pull(host, "dstack-agent-test:none")
    host.start("echo never", pull=False)
    end = host.end()
    assert (end.reason, end.message) == (
        "image",
        "the image dstack-agent-test:none is not on this machine",
    )


def test_memory(host: Host) -> None:
    host.start(
        "python3 -c \"b = b'x' * (400 << 20); print(len(b))\"",
        argv=["--memory", "50m", "--memory-swappiness", "0"],
        artifacts=[ArtifactSpec("output")],
    )
    end = host.end()
    assert (end.state, end.reason, end.exit_code) == ("failed", "memory", 137)
    assert end.message == "the container was killed for want of memory"


@pytest.fixture
def small_disk(host: Host) -> Iterator[Host]:
    """The attempt's folder on a file system of 60 MB."""
    host.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(host.root)], check=True)
    try:
        yield host
    finally:
        host.close()
        subprocess.run(["umount", "-l", str(host.root)], check=True)


def test_a_container_that_fills_the_disk(small_disk: Host) -> None:
    small_disk.start(
        "echo begun",
        "dd if=/dev/zero of=big bs=1M count=100",
        "echo never",
        artifacts=[ArtifactSpec("nothing")],
    )
    end = small_disk.end()
    assert (end.state, end.reason) == ("failed", "disk")
    assert end.exit_code == 1
    assert end.hint is not None
    assert "disk: 200GB" in end.hint
    assert b"begun" in small_disk.shipped()


def test_a_log_that_fills_the_disk(small_disk: Host) -> None:
    small_disk.start("seq -f %02000.0f 1 100000000")
    end = small_disk.end()
    assert (end.state, end.reason) == ("failed", "disk")
    # What is there is whole, and in the store.
    log = (small_disk.root / "log").read_bytes()
    assert log.endswith(b"\n")
    # The program's own last line may have been cut by its end, and the shell may have a last word.
    words = [line.split()[3] for line in log.splitlines()]
    numbers = [int(word) for word in words if len(word) == 2000 and word.isdigit()]
    assert len(words) - len(numbers) <= 2
    assert len(numbers) > 1000
    assert numbers == list(range(1, len(numbers) + 1))
    assert small_disk.shipped() == log


def test_artifacts_that_cannot_be_stored(host: Host) -> None:
    host.put("artifacts/train-7", b"a file where a folder must be")
    host.start("mkdir output; echo x > output/x", artifacts=[ArtifactSpec("output")])
    end = host.end()
    assert (end.state, end.exit_code) == ("done", 0)
    (artifact,) = end.artifacts
    assert not artifact.stored
    assert artifact.error
    assert not end.artifacts_stored


def test_a_container_that_somebody_removed(host: Host) -> None:
    host.start("while true; do sleep 0.2; done")
    follower = host.follow()
    follower.until(lambda: any(s["phase"] == "running" for s in follower.statuses))
    assert host.kill()
    subprocess.run(["docker", "rm", "--force", host.name], check=True, capture_output=True)
    follower.rest()
    assert follower.end is not None
    assert (follower.end["state"], follower.end["reason"]) == ("failed", "agent")


def test_an_engine_that_does_not_answer_at_first(host: Host, tmp_path: Path) -> None:
    """A machine's engine may still be booting when the job comes."""
    late = tmp_path / "docker.sock"
    host.environment["DOCKER_HOST"] = f"unix://{late}"
    host.start("echo woke")
    follower = host.follow()
    follower.until(lambda: bool(follower.statuses))
    assert follower.statuses[-1]["phase"] == "preparing"
    os.symlink("/var/run/docker.sock", late)
    begun = time.monotonic()
    follower.rest()
    assert follower.log.endswith(b"woke\n")
    assert time.monotonic() - begun < 20
