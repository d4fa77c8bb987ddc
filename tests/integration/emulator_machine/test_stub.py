"""Stub machines that boot: what they do by themselves, without any client."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.request import Request, urlopen

import pytest

from dstack_cloud.clouds.base import MachineImage
from dstack_cloud.machine.keys import generate
from dstack_cloud.machine.user_data import provision_script, user_data
from dstack_cloud.ssh.base import ConnectionLostError
from dstack_cloud.ssh.session import Endpoint, HostKeyMismatchError, SshSession, connect
from moto_fixtures.machine.base import Ec2Facts, GceFacts, MachineSpec
from moto_fixtures.machine.stub import StubMachines

TESTS = Path(__file__).parents[2]
EC2 = Ec2Facts("role", hop_limit=1, token_required=True)


class World:
    """Stubs, and a client that has the key to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "machines"
        self.exits: queue.Queue[tuple[str, str]] = queue.Queue()
        self.stubs = StubMachines(
            lambda id_, why: self.exits.put((id_, why)),
            lambda role, machine: {
                "AccessKeyId": f"{role} of {machine}",
                "access_token": "a-token",
                "expires_in": 3599,
            },
            self.folder,
        )
        self.host_key = generate()
        self.client_key = generate()
        self._key_file = folder / "id_ed25519"
        self._key_file.touch(0o600)
        self._key_file.write_text(self.client_key.private)

    def launch(
        self,
        name: str = "i-1",
        *,
        no_job: int = 60,
        ready: bool = True,
        facts: Ec2Facts | GceFacts = EC2,
        compute: str | None = None,
    ) -> str:
        image = MachineImage("ami-1", ready=ready)
        data = user_data(
            image,
            host_key_private=self.host_key.private,
            host_key_public=self.host_key.public,
            authorized_key=self.client_key.public,
            no_job=no_job,
            heartbeat=60,
            provision=None if ready else provision_script(),
            cloud="gcp" if isinstance(facts, GceFacts) else "aws",
            endpoints={"compute": compute},
        )
        return self.stubs.launch(
            MachineSpec(
                id=name,
                user_data=data,
                public_ip=True,
                region="us-east-1",
                zone="us-east-1a",
                instance_type="t3.small",
                spot=False,
                image=image.id,
                ready=ready,
                gpus=0,
                gpu_name=None,
                facts=facts,
            )
        )

    def connect(self, address: str, host_key: str | None = None) -> SshSession:
        key = host_key or self.host_key.public
        return connect(Endpoint(address, "ubuntu", str(self._key_file), key), 20)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.stubs.close()
    assert not made.folder.exists()


def test_it_powers_itself_off_when_no_job_comes(world: World) -> None:
    world.launch(no_job=1)
    assert world.exits.get(timeout=20) == ("i-1", "poweroff")
    assert "no job came, powering off" in (world.folder / "i-1.console").read_text()
    assert not (world.folder / "i-1").exists()


class _Compute(BaseHTTPRequestHandler):
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_DELETE(self) -> None:
        self.asked.append((self.path, self.headers["Authorization"]))
        # At first it is out of order.
        self.send_response(503 if len(self.asked) == 1 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_one_of_google_has_itself_deleted_first(world: World) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Compute)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    facts = GceFacts("a-name", "a-project", 12, service_account="a@b")
    endpoint = f"http://127.0.0.1:{server.server_port}/compute/v1/"
    world.launch("4711", no_job=1, facts=facts, compute=endpoint)
    assert world.exits.get(timeout=30) == ("4711", "poweroff")
    path = "/compute/v1/projects/a-project/zones/us-east-1a/instances/a-name"
    assert _Compute.asked == [(path, "Bearer a-token")] * 2
    server.shutdown()
    server.server_close()


def test_commands_run_in_the_machine_and_not_on_the_host(world: World) -> None:
    session = world.connect(world.launch())
    done = session.run(["sudo", "-n", "--", "sh", "-c", "cat; ls /run/dstack; exit 3"], b"sent\n")
    assert (done.code, done.stderr) == (3, b"")
    assert done.stdout == b"sent\ndeadman.sh\nready\n"
    assert session.run(["touch", "/etc/of-the-stub"]).code != 0
    assert session.run(["touch", "/var/lib/of-the-stub"]).code == 0
    assert not Path("/var/lib/of-the-stub").exists()
    pids = session.run(["sh", "-c", "ls /proc | grep -c '^[0-9]'"]).stdout
    assert int(pids) < 10
    session.close()


def test_another_host_key_is_refused(world: World) -> None:
    with pytest.raises(HostKeyMismatchError):
        world.connect(world.launch(), generate().public)


def test_an_image_that_is_not_ready_installs_nothing_here(world: World) -> None:
    session = world.connect(world.launch(ready=False))
    assert session.run(["ls", "/run/dstack/ready"]).code == 0
    assert session.run(["ls", "/run/dstack/provisioning"]).code != 0
    session.close()


def test_the_power_is_cut_at_once(world: World) -> None:
    session = world.connect(world.launch())
    stream = session.stream(["sleep", "60"])
    world.stubs.kill("i-1")
    assert world.exits.get(timeout=5) == ("i-1", "killed")
    assert [machine["state"] for machine in world.stubs.listing()] == ["off"]
    with suppress(ConnectionLostError):
        assert stream.read(5) == b""


def test_a_unit_is_asked_to_stop_before_the_power_goes(world: World) -> None:
    session = world.connect(world.launch())
    script = (
        "trap 'echo asked >/dev/console; exit' TERM; touch /run/up; while :; do sleep 0.05; done"
    )
    assert session.run(["systemd-run", "--unit=u", "/bin/sh", "-c", script]).code == 0
    assert session.run(["sh", "-c", "until [ -e /run/up ]; do sleep 0.02; done"]).code == 0
    world.stubs.terminate("i-1")
    assert world.exits.get(timeout=5) == ("i-1", "terminated")
    assert "asked\n" in (world.folder / "i-1.console").read_text()


def test_its_metadata_service_knows_it(world: World) -> None:
    session = world.connect(world.launch())
    found = session.run(["printenv", "AWS_EC2_METADATA_SERVICE_ENDPOINT"]).stdout.decode().strip()
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    with urlopen(Request(f"{found}/latest/api/token", headers=ttl, method="PUT")) as answer:
        token = {"X-aws-ec2-metadata-token": answer.read().decode()}
    path = "/latest/meta-data/iam/security-credentials/role"
    with urlopen(Request(found + path, headers=token)) as answer:
        assert b"role of i-1" in answer.read()
    session.close()


def test_nothing_of_it_survives_its_emulator(tmp_path: Path) -> None:
    program = "\n".join(
        (
            "import os, sys, pathlib",
            "from integration.emulator_machine.test_stub import World",
            "world = World(pathlib.Path(sys.argv[1]))",
            "world.connect(world.launch())",
            "os.kill(os.getpid(), 9)",
        )
    )
    path = os.pathsep.join(map(str, [*sys.path, TESTS]))
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
        check=False,
    )
    assert done.returncode == -9
    deadline = time.monotonic() + 10
    while processes_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes_of(tmp_path) == []


def processes_of(folder: Path) -> list[str]:
    """The command lines that name the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if str(folder) in words:
                found.append(words)
    return found


def test_two_emulators_have_stubs_side_by_side(world: World, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    try:
        first, second = world.launch(), other.launch()
        assert first != second
        world.connect(first).close()
        other.connect(second).close()
    finally:
        other.stubs.close()
