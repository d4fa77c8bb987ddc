"""One stub that boots: processes of the host in namespaces of their own.

Within, process 1 (``stub_inside``) runs the user data's ``bootcmd`` as it is, dead-man timer
included, and stands in for systemd and the Docker engine; the product's own agent comes over SSH.
Without, this emulator serves its SSH (at its own address, port 22) and its metadata.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from moto_fixtures.machine.base import GceFacts
from moto_fixtures.machine.metadata_server import MetadataServer
from moto_fixtures.machine.served import Credentials, Served
from moto_fixtures.machine.stub_ssh import SshServer
from moto_fixtures.machine.stub_user_data import UserData

USER = "ubuntu"
_ROOT = Path(__file__).parents[2]
_BIN = Path(__file__).parent / "stub_bin"
_INSIDE_BIN = "/var/lib/stub/bin"
# What real machines get is longer, but their services do more as they stop.
_SHUTDOWN_PATIENCE = 0.3


def listen_for_ssh(address: str) -> socket.socket | None:
    """Port 22 of the address, bound but closed until the machine has booted; None where it is
    taken."""
    # Without SO_REUSEADDR, which would let two of them be bound to the same address.
    door = socket.socket()
    try:
        door.bind((address, 22))
    except OSError as error:
        door.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return door


class _Metadata(MetadataServer):
    """The service for one machine: whoever asks at its address is it."""

    def __init__(self, served: Served, credentials: Credentials) -> None:
        super().__init__((served.address, 0), credentials)
        self._served = served

    def machine_at(self, address: str) -> Served | None:
        return self._served


def _metadata_variable(served: Served, port: int) -> dict[str, str]:
    """Where the metadata is: the one thing that cannot be where it is on a real machine, since the
    stubs share an address for what they send. The variables are those of the clouds' own SDKs."""
    if isinstance(served.spec.facts, GceFacts):
        return {"GCE_METADATA_HOST": f"{served.address}:{port}"}
    return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{served.address}:{port}"}


class StubMachine:
    """``live`` is its whole life; ``cut`` and ``shut_down`` end it, from any thread."""

    def __init__(
        self, served: Served, credentials: Credentials, folder: Path, door: socket.socket
    ) -> None:
        self._folder = folder
        self._console = folder.with_name(folder.name + ".console")
        self._door = door
        self._served = served
        self._metadata = _Metadata(served, credentials)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._cut = False
        self._off = threading.Event()
        self.environment = {
            "PATH": f"{_INSIDE_BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/var/lib/stub",
            "LANG": "C.UTF-8",
            **_metadata_variable(served, self._metadata.server_port),
        }

    def live(self, data: UserData) -> None:
        """Boot, serve, and return once it is off. Raises OSError when it cannot boot."""
        ssh = SshServer(self._door, self._folder / "ssh", self._folder / "lib/stub", self._enter)
        self._metadata.start()
        try:
            self._prepare(data)
            if self._begin():
                ssh.start()
            assert self._process is not None
            self._process.wait()
        finally:
            self._off.set()
            ssh.close()
            self._served.end()
            self._metadata.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def cut(self) -> None:
        """Cut the power. A machine that has not begun to boot never will."""
        with self._lock:
            self._cut = True
            if self._process is not None:
                self._process.kill()

    def shut_down(self, patience: float | None = None) -> None:
        """As systemd would on a press of the power button; cut short where it takes longer than
        ``patience`` seconds."""
        with self._lock:
            first = self._first()
            if first is None:
                self._cut = True
        if first is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(first, signal.SIGTERM)
            self._off.wait(_SHUTDOWN_PATIENCE if patience is None else patience)
        self.cut()

    def _prepare(self, data: UserData) -> None:
        """What the disk holds before the first boot, and what cloud-init would write to it."""
        for name in ("ssh", "lib/stub/bin", "lib/stub/.ssh"):
            (self._folder / name).mkdir(parents=True)
        for tool in _BIN.iterdir():
            shutil.copy(tool, self._folder / "lib/stub/bin")
        python = self._folder / "lib/stub/bin/python3"
        python.symlink_to(Path(sys.executable).resolve())
        key = self._folder / "ssh/ssh_host_ed25519_key"
        key.touch(0o600)
        key.write_text(data.host_key_private)
        key.with_suffix(".pub").write_text(data.host_key_public + "\n")
        (self._folder / "lib/stub/.ssh/authorized_keys").write_text(
            "".join(f"{line}\n" for line in data.authorized_keys)
        )
        users = Path("/etc/passwd").read_text().splitlines()
        others = [line for line in users if not line.startswith(f"{USER}:")]
        own = f"{USER}:x:1000:1000::/var/lib/stub:/bin/sh"
        (self._folder / "passwd").write_text("\n".join([*others, own]) + "\n")
        for number, words in enumerate(data.bootcmd):
            path = self._folder / f"lib/stub/bootcmd.{number:02d}"
            path.write_text("\0".join(words))

    def _begin(self) -> bool:
        """Start process 1; True once it has booted."""
        words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        words += ["--propagation", "private", sys.executable, "-S"]
        words += ["-m", "moto_fixtures.machine.stub_inside", str(self._folder)]
        with self._console.open("ab") as console, self._lock:
            if self._cut:
                raise OSError("ended before it booted")
            # Its standard input is the power cord: it ends with this process, however that ends.
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=console,
                cwd=_ROOT,
                env=self.environment,
            )
        assert self._process.stdout is not None
        return self._process.stdout.readline() == b"up\n"

    def _first(self) -> int | None:
        """Process 1 as the host knows it."""
        if self._process is None:
            return None
        task = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(task.read_text().split()[0])
        return None

    def _enter(self, command: str) -> list[str] | None:
        """The words that run a shell command within, or None when there is no within."""
        first = self._first()
        if first is None:
            return None
        inside = [f"{name}={value}" for name, value in self.environment.items()]
        enter = ["nsenter", f"--target={first}", "--mount", "--pid", "--wd=/"]
        return [*enter, "env", "--ignore-environment", *inside, "/bin/sh", "-c", command]
