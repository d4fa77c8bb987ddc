"""An agent of the local cloud against this machine's real Docker engine, a folder or moto's S3."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest
from support.agent_buckets import Bucket, Factory, gcs_buckets, s3_buckets

from dstack_cloud.machine.bundle import agent_bundle
from dstack_cloud.machine.job import End, Job, StoreAccess
from dstack_cloud.machine.push import agent_argv, bootstrap_argv, bootstrap_stdin
from dstack_cloud.spec import ContainerSpec, shell_command
from dstack_cloud.ssh.docker import run_argv

PROGRAMS = (
    "sh",
    "seq",
    "sleep",
    "cat",
    "dd",
    "mkdir",
    "env",
    "ls",
    "head",
    "df",
    "rm",
    "touch",
    "mv",
    "ln",
)
FRAME_TIMEOUT = 60.0


def _libraries(program: str) -> list[str]:
    told = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    words = [word for line in told.splitlines() for word in line.split()]
    return [word for word in words if word.startswith("/")]


def _rootfs() -> bytes:
    """A small image out of this machine's own programs and Python: no registry is needed."""
    python = os.path.realpath(sys.executable)
    library = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
    files = {f"/bin/{name}": shutil.which(name) or "" for name in PROGRAMS}
    sources = [*filter(None, files.values()), python]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for target, source in files.items():
            tar.add(os.path.realpath(source), target)
        needed = {path for source in sources for path in _libraries(source)}
        standard = Path(sys.base_prefix, library)
        modules = standard.glob("lib-dynload/*")
        needed |= {path for module in modules for path in _libraries(str(module))}
        for path in sorted(needed):
            tar.add(os.path.realpath(path), path)
        tar.add(python, "/usr/local/bin/python3")
        out = {"site-packages", "test", "__pycache__", "idlelib", "tkinter", "ensurepip"}

        def chosen(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
            names = set(info.name.split("/"))
            return None if names & out or "/config-" in info.name else info

        tar.add(standard, f"/usr/local/{library}", filter=chosen)
        for folder in ("/tmp", "/etc"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(entry)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def image() -> str:
    """Kept between test runs: it changes only with this machine's Python."""
    digest = hashlib.sha256(f"{sys.version}{PROGRAMS}{__file__}".encode()).hexdigest()[:12]
    name = f"dstack-agent-test:{digest}"
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode:
        subprocess.run(
            ["docker", "import", "--change", "ENV PATH=/bin:/usr/local/bin", "-", name],
            input=_rootfs(),
            check=True,
            capture_output=True,
        )
    return name


class Follower:
    """Reads an agent's frames."""

    def __init__(self, root: Path, offset: int = 0) -> None:
        argv = agent_argv("follow", "--offset", str(offset), root=str(root), python=sys.executable)
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self._out: IO[bytes] = self.process.stdout
        self.log = b""
        self.statuses: list[dict[str, Any]] = []
        self.end: dict[str, Any] | None = None

    def frame(self) -> tuple[str, bytes] | None:
        head = self._out.readline()
        if not head:
            return None
        kind, size = head.decode().split()
        body = self._out.read(int(size))
        assert len(body) == int(size)
        if kind == "log":
            self.log += body
        elif kind == "status":
            self.statuses.append(json.loads(body))
        elif kind == "end":
            self.end = json.loads(body)
        return kind, body

    def until(self, wanted: Callable[[], bool]) -> None:
        while not wanted():
            assert self.frame() is not None, "the frames ended"

    def rest(self) -> None:
        while self.frame() is not None:
            pass
        assert self.end is not None

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._out.close()


class Host:
    """One attempt on this machine."""

    def __init__(self, folder: Path, image: str, name: str) -> None:
        self.root = folder / "root"
        self.store = folder / "store"
        self.store.mkdir()
        self.name = name
        self.image = image
        self.environment = dict(os.environ)
        self.followers: list[Follower] = []
        self.job = Job(
            run="train-7",
            attempt=1,
            cloud="local",
            region="us-east-1",
            machine="local",
            store=StoreAccess(str(self.store)),
            container=name,
            image=image,
            argv=(),
            rotate_host_key=False,
        )

    def start(self, *commands: str, argv: Sequence[str] = (), **changes: Any) -> None:
        """Push and start; ``changes`` are the job's fields, ``argv`` what goes before the image."""
        secrets = changes.get("secrets", {})
        spec = ContainerSpec(self.image, "/bin/sh", shell_command(commands))
        line = run_argv(spec, name=self.name, secrets=tuple(secrets))
        at = line.index(self.image)
        self.job = replace(self.job, argv=[*line[:at], *argv, *line[at:]])
        self.job = replace(self.job, **changes)
        answer = self.push()
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout) == {"started": True, "host_key": None}

    def push(self) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            bootstrap_argv(str(self.root), sys.executable),
            input=bootstrap_stdin(agent_bundle(), self.job.as_json()),
            env=self.environment,
            capture_output=True,
            timeout=30,
        )

    def follow(self, offset: int = 0) -> Follower:
        follower = Follower(self.root, offset)
        self.followers.append(follower)
        return follower

    def end(self) -> End:
        """Wait for the end, as a client does."""
        follower = self.follow()
        follower.rest()
        return End.from_json(json.dumps(follower.end))

    def pid(self) -> int | None:
        """The process of `serve`, None when there is none."""
        with suppress(FileNotFoundError, ValueError):
            pid = int((self.root / "serve.lock").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"serve" in command and os.fsencode(self.root) in command:
                return pid
        return None

    def kill(self) -> bool:
        """Kill the agent as hard as can be; its supervisor starts it again."""
        pid = self.pid()
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def put(self, key: str, value: object) -> None:
        path = self.store / key
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(path.name + "#1")
        half.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
        half.replace(path)

    def read(self, key: str) -> bytes:
        return (self.store / key).read_bytes()

    def stored(self, prefix: str = "") -> list[str]:
        found = (path for path in self.store.rglob("*") if path.is_file())
        names = (str(path.relative_to(self.store)) for path in found)
        return sorted(name for name in names if name.startswith(prefix))

    def shipped(self) -> bytes:
        return b"".join(map(self.read, self.stored("runs/train-7/attempts/1/log/")))

    def close(self) -> None:
        for follower in self.followers:
            follower.close()
        deadline = time.monotonic() + 20
        with suppress(FileNotFoundError):
            (self.root / "job.json").unlink()
        # Without its job the agent ends, and so does its supervisor once the end is written.
        (self.root / "end.json").touch() if self.root.exists() else None
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while self._processes() and time.monotonic() < deadline:
            time.sleep(0.05)
        subprocess.run(["docker", "rm", "--force", "--volumes", self.name], capture_output=True)

    def _processes(self) -> list[int]:
        """Supervisor and agent of this root."""
        mark = os.fsencode(str(self.root)) + b"\0"
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and entry.name != str(os.getpid()):
                with suppress(OSError):
                    if mark in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
        return found


@pytest.fixture
def host(tmp_path: Path, image: str) -> Iterator[Host]:
    name = "dstack-test-" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:10]
    made = Host(tmp_path, image, name)
    try:
        yield made
        problems = made.root / "agent.log"
        if problems.exists() and "Traceback" in problems.read_text():
            pytest.fail(problems.read_text())
    finally:
        made.close()


@pytest.fixture(scope="session")
def s3_factory() -> Iterator[Factory]:
    with s3_buckets() as factory:
        yield factory


@pytest.fixture(scope="session")
def gcs_factory() -> Iterator[Factory]:
    with gcs_buckets() as factory:
        yield factory


@pytest.fixture(params=["s3", "gcs"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket of each kind, and in this process' environment what lets an agent in."""
    made: Bucket = request.getfixturevalue(f"{request.param}_factory")("runs-of-a-test")
    for name in ("AWS_SESSION_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    made.make()
    yield made
    made.delete()


def texts(log: bytes) -> list[str]:
    """The text of each record."""
    return [line.decode().split(" ", 3)[3] for line in log.splitlines()]
