"""Real emulated machines: `scripts/install-engine` must have run; images are made if absent."""

from __future__ import annotations

import base64
import gzip
import json
import os
import queue
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from moto_fixtures.down import take_down
from moto_fixtures.machine import images, network, registry
from moto_fixtures.machine.base import Ec2Facts, GceFacts, MachineSpec
from moto_fixtures.machine.docker_machines import DockerMachines
from moto_fixtures.machine.locks import only_one

ROLE = "test-role"


@dataclass(frozen=True)
class Key:
    """An ed25519 key pair in OpenSSH's formats."""

    private: str
    public: str

    def load(self) -> paramiko.Ed25519Key:
        from io import StringIO

        return paramiko.Ed25519Key.from_private_key(StringIO(self.private))


def make_key() -> Key:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return Key(private.decode(), public.decode())


@dataclass
class World:
    """An emulator's machines without the cloud's API in front."""

    name: str
    machines: DockerMachines
    network: network.Network
    exits: queue.Queue[tuple[str, str]] = field(default_factory=queue.Queue)
    host_key: Key = field(default_factory=make_key)
    client_key: Key = field(default_factory=make_key)

    def user_data(self, **more: object) -> bytes:
        config: dict[str, object] = {
            "bootcmd": ["echo bootcmd >> /var/tmp/order"],
            "ssh_keys": {
                "ed25519_private": self.host_key.private,
                "ed25519_public": self.host_key.public,
            },
            "ssh_authorized_keys": [self.client_key.public],
            "write_files": [{"path": "/etc/given", "content": "given\n", "permissions": "0600"}],
            "runcmd": ["echo runcmd >> /var/tmp/order", "touch /var/tmp/finished"],
        }
        return gzip.compress(b"#cloud-config\n" + json.dumps(config | more).encode())

    def spec(self, **more: object) -> MachineSpec:
        plain = MachineSpec(
            id=f"i-{secrets.token_hex(8)}",
            user_data=self.user_data(),
            public_ip=True,
            region="us-east-1",
            zone="us-east-1a",
            instance_type="p2.xlarge",
            spot=True,
            image="ami-1",
            ready=True,
            gpus=0,
            gpu_name=None,
            facts=Ec2Facts(role=ROLE, hop_limit=1, token_required=True),
        )
        return replace(plain, **more)  # type: ignore[arg-type]

    def launch(self, **more: object) -> Machine:
        spec = self.spec(**more)
        return Machine(self, spec, self.machines.launch(spec))

    def next_exit(self, seconds: float = 20) -> tuple[str, str]:
        return self.exits.get(timeout=seconds)


def gce(world: World, **more: object) -> dict[str, object]:
    """What `World.launch` takes for an instance of Compute Engine with the world's user data."""
    keep = "printf '[InstanceSetup]\\nset_host_keys = false\\n' >/etc/default/instance_configs.cfg"
    data = world.user_data(**{"bootcmd": [keep], "ssh_authorized_keys": [], **more})
    attributes = {
        "user-data": base64.b64encode(data).decode(),
        "user-data-encoding": "base64",
        "ssh-keys": f"ubuntu:{world.client_key.public} test",
        "enable-guest-attributes": "TRUE",
        "Named-asIt_is": "kept",
    }
    number = 10**18 + secrets.randbelow(10**18)
    return {
        "id": str(number),
        "user_data": data,
        "region": "us-central1",
        "zone": "us-central1-a",
        "instance_type": "n1-standard-4",
        "image": "projects/ubuntu-os-cloud/global/images/ubuntu-2404-noble-amd64-v20261001",
        "facts": GceFacts(
            name=f"test-{number}",
            project="a-project",
            project_number=123456789,
            attributes=attributes,
            service_account="machine@a-project.iam.gserviceaccount.com",
            scopes=("https://www.googleapis.com/auth/cloud-platform",),
            automatic_restart=False,
            on_host_maintenance="TERMINATE",
            tags=("dstack",),
        ),
    }


@dataclass
class Machine:
    world: World
    spec: MachineSpec
    address: str
    client: paramiko.SSHClient | None = None

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def container(self) -> str:
        return f"dcf-{self.world.name}-{self.id}"

    def connect(self, seconds: float = 40) -> paramiko.SSHClient:
        """Over real SSH with the host key pinned, tried from now until it answers."""
        if self.client is not None:
            return self.client
        client = paramiko.SSHClient()
        pinned = paramiko.Ed25519Key(data=self.world.host_key.load().asbytes())
        client.get_host_keys().add(self.address, "ssh-ed25519", pinned)
        client.set_missing_host_key_policy(paramiko.RejectPolicy())

        def try_once() -> bool:
            try:
                client.connect(
                    self.address,
                    username="ubuntu",
                    pkey=self.world.client_key.load(),
                    timeout=2,
                    allow_agent=False,
                    look_for_keys=False,
                )
            except (OSError, EOFError, paramiko.SSHException) as error:
                # The wrong key is an answer, not a machine that still boots.
                if isinstance(error, paramiko.BadHostKeyException):
                    raise
                return False
            return True

        until(try_once, seconds)
        self.client = client
        return client

    def run(self, command: str, *, stdin: bytes = b"", seconds: float = 60) -> tuple[int, str]:
        """Exit code and output, standard error in it."""
        channel = self.connect().get_transport().open_session(timeout=10)  # type: ignore[union-attr]
        channel.settimeout(seconds)
        channel.set_combine_stderr(True)
        channel.exec_command(command)
        if stdin:
            channel.sendall(stdin)
        channel.shutdown_write()
        out = b""
        while chunk := channel.recv(65536):
            out += chunk
        return channel.recv_exit_status(), out.decode()

    def ok(self, command: str, **more: object) -> str:
        code, out = self.run(command, **more)  # type: ignore[arg-type]
        assert code == 0, out
        return out


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Return once the condition holds; fail when it has not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


def start_world(name: str) -> World:
    take_down(name, quiet=True)
    with only_one("images"):
        registry.fill(images.ensure())
    net = network.create(name)
    registry.start(net)
    exits: queue.Queue[tuple[str, str]] = queue.Queue()

    def credentials(role: str, machine: str) -> dict[str, Any]:
        if "@" in role:
            token = f"token of {role} on {machine}"
            return {"access_token": token, "expires_in": 3599, "token_type": "Bearer"}
        return {
            "AccessKeyId": f"ASIA-{role}",
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": "2031-01-01T00:00:00Z",
        }

    machines = DockerMachines(net, credentials, lambda id_, why: exits.put((id_, why)))
    return World(name, machines, net, exits)


@pytest.fixture(scope="session")
def make_world() -> Callable[[str], World]:
    """For tests that need an emulator besides the shared one; they take it down."""
    return start_world


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    name = f"test-{os.getpid()}"
    made = start_world(name)
    yield made
    made.machines.close()
    take_down(name, quiet=True)


@pytest.fixture(scope="session")
def gpu_machine(world: World) -> Machine:
    """Shared by the tests that leave it as it was: one K80, hop limit 1."""
    return world.launch(gpus=1, gpu_name="Tesla K80")


@pytest.fixture(scope="session")
def plain_machine(world: World) -> Machine:
    """Shared likewise: no GPU, hop limit 2, no role, tokens optional."""
    return world.launch(facts=Ec2Facts(None, hop_limit=2, token_required=False), spot=False)


@pytest.fixture(scope="session")
def gce_machine(world: World) -> Machine:
    """Shared likewise: a spot instance of Compute Engine, booted from what its metadata holds."""
    return world.launch(**gce(world))


@pytest.fixture(scope="session")
def provision() -> bytes:
    root = Path(__file__).parents[3]
    return (root / "dstack_cloud" / "machine" / "provision.sh").read_bytes()
