"""A run's log on its way to the screen, beside ``ssh host docker logs -f`` on the same machine.

Followed while it is written: `run` is attached to its container; the peer is a second container
with the same command and log options, on the same emulated machine. They write in turn. Read
afterwards, and the time that a line takes: both of the run's own container. A line says when it
was written, by the clock that machine and client share. The throughput is of the container's own
bytes, from the request to write to the last line on the screen (or, afterwards, from the first
byte to the last).

A client's memory is what is resident, of the process that the user has started (its peak, from
its start on) and of all processes that belong to it: one more speaks to AWS before it follows.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from shlex import quote

from support import PROGRAM, ROOT, Row, emulator, main, median, row, say

_LINES = int(os.environ.get("BENCH_LINES", "1000000"))
_TIMES = 3
_TOLD = 120
_LINE_BYTES = 100
_PEER = "ssh host docker logs -f"
_OURS, _PEERS = "/var/lib/dstack/workflow", "/var/lib/dstack/peer"
_WORKFLOW = """\
workflows:
  - name: logs
    provider: docker
    image: ubuntu
    commands:
      - exec bash job.sh
    resources:
      gpu: T4
"""
# Resident memory in KB on the machine, ten times a second: the agent, those of its processes that
# send to clients, and what copies artifacts.
_MEMORY = r"""
import os, sys, time
while True:
    found = {"serve": 0, "follow": 0, "rclone": 0}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open("/proc/%s/cmdline" % pid, "rb").read().split(b"\0")
            size = open("/proc/%s/statm" % pid).read().split()[1]
        except OSError:
            continue
        kind = "rclone" if words[0].endswith(b"rclone") else ""
        if words[0].split(b"/")[-1].startswith(b"python") and b"agent.pyz" in words[1:2][0]:
            kind = words[2].decode()
        if kind in found:
            found[kind] += int(size) * os.sysconf("SC_PAGE_SIZE") // 1024
    print("%(serve)d %(follow)d %(rclone)d" % found, flush=True)
    time.sleep(0.1)
"""


def measure() -> list[Row]:
    """Throughput, delay and memory, each beside the peer where there is one."""
    with (
        tempfile.TemporaryDirectory(prefix="dstack-bench-") as folder,
        emulator(f"bench-logs-{os.getpid()}") as env,
        ExitStack() as cleanup,
    ):
        user = User(Path(folder), env)
        run = cleanup.enter_context(user.reading([PROGRAM, "run", "logs", "-y", "--on-demand"]))
        run.until(b"ready\n")
        run.alone()
        machine = cleanup.enter_context(user.machine())
        machine.start_peer()
        peer = cleanup.enter_context(user.reading(machine.ssh("docker logs -f peer")))
        peer.until(b"ready\n")
        memory = cleanup.enter_context(user.reading(machine.ssh("python3 -u -c " + quote(_MEMORY))))
        rows = _live(machine, run, peer)
        used = _memory(run, memory)
        rows += _delay(user, machine, run)
        rows += _afterwards(user, machine)
        machine.ask(_OURS, "end")
        run.process.wait(60)
    return rows + used


def _live(machine: Machine, run: Reader, peer: Reader) -> list[Row]:
    ours: list[float] = []
    theirs: list[float] = []
    lines = _LINES // _TIMES
    for number in range(_TIMES):
        for rates, folder, reader in ((ours, _OURS, run), (theirs, _PEERS, peer)):
            begin = time.time()
            mark = machine.ask(folder, "write", lines)
            rates.append(lines * _LINE_BYTES / 1e6 / (reader.until(mark) - begin))
        say(f"live, {number + 1} of {_TIMES}: {ours[-1]:.1f} MB/s, peer {theirs[-1]:.1f} MB/s")
    what, mine, hand = "a log while it is written", median(ours), median(theirs)
    return [row(what, mine, "MB/s", against=_PEER, peer=hand, at_least=0.8)]


def _delay(user: User, machine: Machine, run: Reader) -> list[Row]:
    with user.reading(machine.ssh(f"docker logs -f --tail 1 {machine.container}")) as peer:
        # From here on both follow.
        peer.until(b"\n")
        mark = machine.ask(_OURS, "tell", _TOLD)
        run.until(mark)
        peer.until(mark)
    ours, theirs = sorted(run.delays()), sorted(peer.delays())
    say(f"delays of {len(ours)} and {len(theirs)} lines")
    late = _TOLD * 95 // 100
    return [
        row(
            "a line from container to screen",
            median(ours),
            "ms",
            against=_PEER,
            peer=median(theirs),
            most=150,
        ),
        row("  of 100 lines the 95th", ours[late], "ms", against=_PEER, peer=theirs[late]),
    ]


def _afterwards(user: User, machine: Machine) -> list[Row]:
    commands = {
        "attach": [PROGRAM, "attach", machine.run],
        "logs -f": [PROGRAM, "logs", "-f", machine.run],
        "peer": machine.ssh(f"docker logs -f {machine.container}"),
    }
    rates: dict[str, list[float]] = {name: [] for name in commands}
    memory: dict[str, list[Row]] = {}
    for _ in range(_TIMES):
        for name, argv in commands.items():
            with user.reading(argv) as reader:
                ended = reader.until(machine.last)
                rates[name].append(reader.size / 1e6 / (ended - reader.begun))
                if name != "peer":
                    reader.alone()
                    memory[name] = _client(name, reader)
        say(
            "afterwards: "
            + ", ".join(f"{name} {all_[-1]:.0f} MB/s" for name, all_ in rates.items())
        )
    ours, theirs = {name: median(found) for name, found in rates.items()}, median(rates["peer"])
    return [
        row(
            "a whole log, attach",
            ours["attach"],
            "MB/s",
            against=_PEER,
            peer=theirs,
            at_least=0.8,
        ),
        row(
            "a whole log, logs -f (from the store)",
            ours["logs -f"],
            "MB/s",
            peer=theirs,
            against=_PEER,
        ),
        *memory["attach"],
        *memory["logs -f"],
    ]


def _client(name: str, reader: Reader) -> list[Row]:
    """The memory of a client that follows."""
    return [
        row(f"memory of {name} while it follows", reader.following, "MB", most=80),
        row("  its process, peak", resident(reader.process.pid, "VmHWM"), "MB", most=80),
        row("  with what speaks to AWS before, peak", reader.peak, "MB"),
    ]


def _memory(run: Reader, memory: Reader) -> list[Row]:
    samples = [[int(word) / 1000 for word in line.split()] for line in memory.lines()]
    serve, follow, rclone = (max(column) for column in zip(*samples, strict=True))
    return [
        *_client("run", run),
        row("memory of the agent, peak", serve, "MB", most=30),
        row("  what sends the log to one client", follow, "MB"),
        row("  rclone", rclone, "MB"),
    ]


class User:
    """A repository with the workflow, on an emulated AWS."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.env = {**env, "HOME": str(folder / "home")}
        self.project = folder / "project"
        (self.project / ".dstack").mkdir(parents=True)
        (self.project / ".dstack" / "workflows.yaml").write_text(_WORKFLOW)
        (folder / "home").mkdir()
        shutil.copy(ROOT / "bench" / "job.sh", self.project)
        subprocess.run(["git", "init", "-q", str(self.project)], check=True)

    @contextmanager
    def reading(self, argv: Sequence[str]) -> Iterator[Reader]:
        """A command and what it writes, until the block ends."""
        reader = Reader(argv, self)
        try:
            yield reader
        finally:
            reader.close()

    @contextmanager
    def machine(self) -> Iterator[Machine]:
        """The one machine there is."""
        control = self.env["MOTO_FIXTURES_URL"].rstrip("/") + "/_emulator/machines"
        with urllib.request.urlopen(control, timeout=60) as answer:
            (found,) = [one for one in json.load(answer) if one["state"] == "running"]
        key = Path(self.env["DSTACK_CLOUD_CONFIG"]).with_name("id_ed25519")
        machine = Machine(found["tags"]["dstack-cloud:run"], found["address"], key)
        try:
            yield machine
        finally:
            machine.close()


class Machine:
    """The run's machine, as its user reaches it by hand."""

    def __init__(self, run: str, address: str, key: Path) -> None:
        self.run = run
        self._ssh = ["ssh", "-i", str(key), "-o", "StrictHostKeyChecking=no"]
        self._ssh += ["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        self._ssh += [f"ubuntu@{address}"]
        self._asked: dict[str, int] = {}
        self.last = b""
        self._shell = subprocess.Popen(
            self.ssh("sh"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.container = self.does("docker ps --format '{{.Names}}'")

    def ssh(self, command: str) -> list[str]:
        """What runs a command as root on the machine."""
        return [*self._ssh, f"sudo {command}"]

    def does(self, command: str) -> str:
        """A line of what a shell on the machine answers."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(command + "\n")
        self._shell.stdin.flush()
        return self._shell.stdout.readline().strip()

    def start_peer(self) -> None:
        """A container like the run's own, which nobody but the peer reads."""
        config = json.loads(
            self.does(f"docker inspect -f '{{{{json .HostConfig.LogConfig}}}}' {self.container}")
        )
        options = [f"--log-opt {key}={value}" for key, value in config["Config"].items()]
        words = ["docker run -d --name peer --log-driver", config["Type"], *options]
        words += [f"-v {_PEERS}:/workflow -w /workflow ubuntu bash job.sh"]
        self.does(f"mkdir {_PEERS} && cp {_OURS}/job.sh {_PEERS} && " + " ".join(words))

    def ask(self, folder: str, what: str, count: int = 0) -> bytes:
        """Have the container of that folder do something; the words with which it is done."""
        number = self._asked[folder] = self._asked.get(folder, 0) + 1
        file = f"{folder}/ask-{number}"
        self.does(f"echo '{what} {count}' >{file}.new && mv {file}.new {file} && echo")
        mark = b"did %d\n" % number
        if folder == _OURS:
            self.last = mark
        return mark

    def close(self) -> None:
        """Leave the shell."""
        self._shell.communicate()


class Reader:
    """A process whose output is taken as it comes, as a terminal would."""

    def __init__(self, argv: Sequence[str], user: User) -> None:
        self.process = subprocess.Popen(
            argv,
            cwd=user.project,
            env=user.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        self._out = self.process.stdout
        self.size = 0
        self.begun = 0.0
        # MB of all its processes, sampled: at most, and since it follows.
        self.peak = self.following = 0.0
        self._tail = b""
        self._told: list[tuple[float, bytes]] = []
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        threading.Thread(target=self._sample, daemon=True).start()

    def _read(self) -> None:
        while data := os.read(self._out.fileno(), 1 << 18):
            now = time.time()
            with self._news:
                self.begun = self.begun or now
                self.size += len(data)
                text = self._tail + data
                whole, _, self._tail = text.rpartition(b"\n")
                # Only the few lines between the written ones are looked at one by one.
                if len(data) < 4096 or b"did" in text:
                    self._told += [
                        (now, line)
                        for line in whole.split(b"\n")
                        if line and not line.startswith(b"0")
                    ]
                self._news.notify_all()
        with self._news:
            self.process.poll()
            self._news.notify_all()

    def _sample(self) -> None:
        while self._thread.is_alive():
            now = sum(map(resident, family(self.process.pid)))
            self.peak, self.following = max(self.peak, now), max(self.following, now)
            time.sleep(0.05)

    def alone(self, seconds: float = 30) -> None:
        """Wait until what it needed before it could follow has ended; from here on it follows."""
        deadline = time.monotonic() + seconds
        while len(family(self.process.pid)) > 1:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.process.args!r} does not remain alone")
            time.sleep(0.02)
        self.following = resident(self.process.pid)

    def until(self, line: bytes, seconds: float = 300) -> float:
        """The moment at which that line (any, for a bare newline) was there."""
        wanted = line.rstrip(b"\n")

        def found() -> float | None:
            return next((at for at, text in self._told if text == wanted or not wanted), None)

        with self._news:
            self._news.wait_for(lambda: found() or not self._thread.is_alive(), seconds)
            at = found()
        if at is None:
            raise RuntimeError(f"{self.process.args!r} did not write {wanted!r}")
        return at

    def lines(self) -> list[bytes]:
        """All lines so far but the bulk."""
        with self._news:
            return [line for _, line in self._told]

    def delays(self) -> list[float]:
        """Milliseconds that the lines which say when they were written took."""
        with self._news:
            told = [(at, line) for at, line in self._told if line.startswith(b"at ")]
        return [(at - float(line[3:])) * 1000 for at, line in told]

    def close(self) -> None:
        """End the process and the reading."""
        self.process.terminate()
        self._thread.join()
        self.process.communicate()


def family(pid: int) -> list[int]:
    """A process and those that descend from it."""
    found = [pid]
    for parent in found:
        # One that has ended has none.
        for file in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, file.read_text().split())
    return found


def resident(pid: int, key: str = "VmRSS") -> float:
    """MB of memory that a process has, or (VmHWM) had at most; 0 for one that is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    line = next((line for line in status.splitlines() if line.startswith(key)), f"{key}: 0 kB")
    return int(line.split()[1]) / 1000


if __name__ == "__main__":
    main(measure)
