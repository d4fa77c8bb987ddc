"""Artifacts on their way to the store: after a notice, under a steady writer, and at rest.

On an emulated machine, with the real agent and rclone; the peer is plain `rclone copy` of the same
files from the same machine to the same bucket, run in turn with it. The folder at rest is the
local cloud's, whose store takes a hundred thousand files in reasonable time.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from urllib.request import Request, urlopen

from support import PROGRAM, PYTHON, Row, emulator, main, median, row, say

from dstack_cloud.machine.bundle import agent_bundle
from dstack_cloud.machine.job import ArtifactSpec, Job, StoreAccess
from dstack_cloud.machine.push import bootstrap_argv, bootstrap_stdin
from dstack_cloud.spec import ContainerSpec, shell_command
from dstack_cloud.ssh.docker import run_argv

NAME = "bench-sync"
ROUNDS = int(os.environ.get("BENCH_SYNC_ROUNDS", "3"))
FILES, SIZE_MB = 32, 32
MANY = 100_000
ROOT_ON_MACHINE = "/var/lib/dstack/workflow"
_TICKS = os.sysconf("SC_CLK_TCK")

DIRTY = f"""\
workflows:
  - name: dirty
    provider: docker
    image: ubuntu
    commands:
      - mkdir -p output
      - for n in $(seq {FILES}); do head -c {SIZE_MB}M /dev/urandom > output/$n; done
      - echo written
      - sleep 100000
    artifacts:
      - path: output
    resources:
      interruptible: true
    grace: 5s
"""
STEADY = """\
workflows:
  - name: steady
    provider: docker
    image: ubuntu
    commands:
      - mkdir -p output; echo written
      - n=0; while :; do n=$((n+1)); echo $n > output/$((n % 1000)); sleep 0.1; done
    artifacts:
      - path: output
        mount: true
"""

# Seconds for which the store answers 503, and the workflow that goes on meanwhile and after it.
OUTAGE = int(os.environ.get("BENCH_SYNC_OUTAGE", "300"))
THROUGH = f"""\
workflows:
  - name: through
    provider: docker
    image: ubuntu
    commands:
      - mkdir -p output; echo written
      - for n in $(seq {OUTAGE + 40}); do echo $n > output/$n; sleep 1; done
    artifacts:
      - path: output
        mount: true
"""


class Cloud:
    """The emulated AWS, and the program as its user."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self.env = env
        self.folder = folder
        self.control = env["MOTO_FIXTURES_URL"] + "/_emulator/"
        import yaml

        config = yaml.safe_load(Path(env["DSTACK_CLOUD_CONFIG"]).read_text())
        self.bucket, _, prefix = config["aws"]["store"][len("s3://") :].partition("/")
        self.prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""

    def program(self, *words: str) -> str:
        done = subprocess.run(
            [PROGRAM, *words], env=self.env, cwd=self.folder, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"dstack-cloud {' '.join(words)}: {done.stderr[-800:]}")
        return done.stdout

    def run(self, workflow: str, text: str, *options: str) -> str:
        """Start the workflow and wait until it has said `written`; the run's name."""
        path = self.folder / ".dstack" / "workflows.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        self.program("run", workflow, "-d", "-y", *options)
        rows = json.loads(self.program("ps", "--json"))["runs"]
        name = str(max((r["run"] for r in rows if r["workflow"] == workflow), key=_number))
        while "written" not in self.program("logs", name):
            time.sleep(0.5)
        return name

    def live(self) -> list[str]:
        """The machines that have not ended."""
        with urlopen(self.control + "machines") as answer:
            found = json.load(answer)
        rows = found["machines"] if isinstance(found, dict) else found
        return [str(m["id"]) for m in rows if m.get("state") in ("running", "pending")]

    def machine(self) -> str:
        (only,) = self.live()
        return only

    def inside(self, machine: str, *argv: str) -> str:
        name = f"dcf-{NAME}-{machine}"
        done = subprocess.run(
            ["docker", "exec", name, *argv], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{argv[0]} on {machine}: {done.stderr[-500:]}")
        return done.stdout

    def interrupt(self, machine: str) -> None:
        self.post(f"machines/{machine}/interrupt", {"notice_s": 120})

    def post(self, path: str, document: Mapping[str, object]) -> None:
        body = json.dumps(document).encode()
        request = Request(self.control + path, body, method="POST")
        request.add_header("Content-Type", "application/json")
        urlopen(request).close()

    def stored(self, prefix: str) -> dict[str, float]:
        """When each object with that prefix was there (seconds since 1970), by the emulator's own
        log: asking the bucket would hold up the copies."""
        with urlopen(self.control + "calls") as answer:
            found = json.load(answer)
        calls = found["calls"] if isinstance(found, dict) else found
        return {
            call["parameters"]["Key"]: datetime.fromisoformat(call["time"]).timestamp()
            + call["duration_ms"] / 1000
            for call in calls
            if call["action"] in ("PutObject", "CompleteMultipartUpload")
            and call["outcome"] == "ok"
            and str(call["parameters"].get("Key")).startswith(self.prefix + prefix)
        }


def _number(run: str) -> int:
    return int(run.rpartition("-")[2])


def _flush(cloud: Cloud) -> tuple[float, float]:
    """Seconds from the notice to the last byte stored, and of plain rclone."""
    name = cloud.run("dirty", DIRTY)
    machine = cloud.machine()
    root = f"{ROOT_ON_MACHINE}/output"
    # The same provider, credentials and endpoint that the agent gives it.
    setting = (
        f":s3,provider=Other,env_auth=true,region={cloud.env['AWS_DEFAULT_REGION']},"
        f"no_check_bucket=true,force_path_style=true,"
        f"endpoint='{cloud.env['AWS_ENDPOINT_URL']}':"
    )
    # In a place of the store where the machine's role may write.
    target = f"{setting}{cloud.bucket}/{cloud.prefix}artifacts/{name}-peer"
    acl = ("--s3-acl", "bucket-owner-full-control")
    begun = time.perf_counter()
    cloud.inside(machine, "rclone", "copy", root, target, *acl)
    peer = time.perf_counter() - begun
    announced = time.time()
    cloud.interrupt(machine)
    while len(there := cloud.stored(f"artifacts/{name}/")) < FILES:
        if time.time() - announced > 180:
            raise RuntimeError("the artifacts did not arrive in time")
        time.sleep(1)
    ours = max(there.values()) - announced
    while cloud.live():
        time.sleep(0.5)
    say(f"notice to last byte {ours:.1f} s, plain rclone {peer:.1f} s")
    return ours, peer


def _usage(process: Path) -> tuple[float, float]:
    """Seconds of processor (those of children that have ended included), MB resident."""
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    pages = int((process / "statm").read_text().split()[1])
    return sum(map(int, fields[11:15])) / _TICKS, pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _children(agent: Path) -> float:
    """MB that the agent's children, copies of rclone, hold at this moment."""
    total = 0.0
    for task in (agent / "task").iterdir():
        for child in (task / "children").read_text().split():
            with suppress(OSError, IndexError):
                total += _usage(Path("/proc", child))[1]
    return total


def _watch(agent: Path, seconds: float) -> tuple[float, float, float]:
    """Per cent of a core, MB of the agent, most MB of its children, over that time."""
    before, _ = _usage(agent)
    begun = time.perf_counter()
    most = 0.0
    while time.perf_counter() - begun < seconds:
        most = max(most, _children(agent))
        time.sleep(0.02)
    after, memory = _usage(agent)
    return (after - before) / (time.perf_counter() - begun) * 100, memory, most


def _agent(machine: str) -> Path:
    """The agent's process on an emulated machine: the machine's processes are the host's, too."""
    done = subprocess.run(
        ["docker", "top", f"dcf-{NAME}-{machine}", "-eo", "pid,args"],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in done.stdout.splitlines():
        if "agent.pyz serve" in line and "systemd-run" not in line:
            return Path("/proc", line.split()[0])
    raise RuntimeError(f"no agent runs on {machine}")


def _lags(cloud: Cloud, name: str, machine: str, since: float, until: float) -> list[float]:
    """Seconds from the last change of each file of that time to its object in the store, sorted.
    The machine's clock is the emulator's."""
    listing = cloud.inside(
        machine, "find", f"{ROOT_ON_MACHINE}/output", "-type", "f", "-printf", "%f %T@\n"
    )
    changed = {file: float(moment) for file, moment in map(str.split, listing.splitlines())}
    wanted = {file: moment for file, moment in changed.items() if since <= moment < until}
    prefix = f"artifacts/{name}/output/"
    deadline = time.time() + 120
    while True:
        there = cloud.stored(prefix)
        arrived = {file: there.get(f"{cloud.prefix}{prefix}{file}", 0.0) for file in wanted}
        if all(arrived[file] >= moment for file, moment in wanted.items()):
            return sorted(arrived[file] - moment for file, moment in wanted.items())
        if time.time() > deadline:
            raise RuntimeError("files did not arrive in time")
        time.sleep(2)


def _steady(cloud: Cloud) -> list[Row]:
    name = cloud.run("steady", STEADY)
    machine = cloud.machine()
    time.sleep(10)
    begun = time.time()
    share, memory, rclone = _watch(_agent(machine), 40)
    lags = _lags(cloud, name, machine, begun, time.time())
    cloud.program("stop", name, "--abort")
    what = "10 files a second"
    say(f"{len(lags)} files: " + ", ".join(f"{lag:.1f}" for lag in lags[:: len(lags) // 10]))
    return [
        row(f"{what}: change to store, half", median(lags), "s"),
        row(f"{what}: change to store, 95 %", lags[int(0.95 * len(lags))], "s", most=10),
        row(f"{what}: change to store, last", lags[-1], "s"),
        row(f"{what}: agent and rclone", share, "% of a core"),
        row(f"{what}: agent's memory", memory, "MB", most=30),
        row(f"{what}: rclone's memory while it runs", rclone, "MB"),
    ]


def _outage(cloud: Cloud) -> list[Row]:
    """The store answers 503 to everybody in the middle of a run that is followed."""
    (cloud.folder / ".dstack").mkdir(exist_ok=True)
    (cloud.folder / ".dstack" / "workflows.yaml").write_text(THROUGH)
    fault = {"action": "*", "match": {"service": "s3"}, "error": "SlowDown", "http": 503}
    with tempfile.TemporaryFile() as told:
        client = subprocess.Popen(
            [PROGRAM, "run", "through", "-y"],
            env=cloud.env,
            cwd=cloud.folder,
            stdout=subprocess.PIPE,
            stderr=told,
        )
        assert client.stdout is not None
        while b"written" not in client.stdout.readline():
            pass
        time.sleep(10)
        say(f"the store answers 503 for {OUTAGE} s")
        cloud.post("faults", {**fault, "times": None})
        time.sleep(OUTAGE)
        request = Request(f"{cloud.control}faults", method="DELETE")
        urlopen(request).close()
        back = time.time()
        client.wait(180)
        told.seek(0)
        words = told.read().decode()
    rows = json.loads(cloud.program("ps", "--all", "--json"))["runs"]
    (run,) = (each["run"] for each in rows if each["workflow"] == "through")
    there = cloud.stored(f"artifacts/{run}/output/")
    say(words)
    # Those that waited all the time: written before the store was back.
    waited = [moment for key, moment in there.items() if int(key.rpartition("/")[2]) <= OUTAGE]
    what = f"503 for {OUTAGE} s"
    return [
        row(f"{what}: files that are missing", OUTAGE + 40 - len(there), "files", most=0),
        row(f"{what}: exit code of the run", client.returncode, "", most=0),
        row(f"{what}: warnings of it meanwhile", words.count("SlowDown"), "", least=1),
        row(f"{what}: from its end to all stored", max(waited) - back, "s"),
    ]


def _rest(folder: Path) -> list[Row]:
    """An agent of the local cloud: a folder as the store takes that many files in little time."""
    done = subprocess.run(
        ["docker", "images", "-q", "dstack-cloud-fixtures/base"],
        capture_output=True,
        text=True,
        check=True,
    )
    image, name = done.stdout.split()[0], "bench-sync-rest"
    root, store = folder / "root", folder / "store"
    store.mkdir()
    commands = (
        "mkdir output; cd output",
        f"for n in $(seq 100); do mkdir $n; seq -f $n/%g {MANY // 100} | xargs touch; done",
        "sleep 100000",
    )
    spec = ContainerSpec(image, "/bin/sh", shell_command(commands))
    job = Job(
        run="rest-1",
        attempt=1,
        cloud="local",
        region="us-east-1",
        machine="local",
        store=StoreAccess(str(store)),
        container=name,
        image=image,
        argv=run_argv(spec, name=name),
        artifacts=[ArtifactSpec("output", mount=True)],
        rotate_host_key=False,
    )
    subprocess.run(
        bootstrap_argv(str(root), PYTHON),
        input=bootstrap_stdin(agent_bundle(), job.as_json()),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    try:
        say(f"waiting until {MANY:,} files are stored")
        while sum(len(files) for _, _, files in os.walk(store / "artifacts")) < MANY:
            time.sleep(1)
        time.sleep(10)
        agent = Path("/proc", (root / "serve.lock").read_text().strip())
        share, memory, _ = _watch(agent, 70)
    finally:
        (store / "runs/rest-1").mkdir(parents=True, exist_ok=True)
        (store / "runs/rest-1/stop.json").write_text('{"abort": true}')
        while not (root / "end.json").exists():
            time.sleep(0.2)
    return [
        row(f"{MANY:,} files at rest: agent", share, "% of a core", most=2),
        row(f"{MANY:,} files at rest: agent's memory", memory, "MB", most=30),
    ]


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-sync-") as temporary:
        folder = Path(temporary)
        with emulator(NAME) as env:
            cloud = Cloud(env, folder)
            pairs = [_flush(cloud) for _ in range(ROUNDS)]
            steady = _steady(cloud)
            outage = _outage(cloud)
        rest = _rest(folder)
    mb = FILES * SIZE_MB
    flushed = row(
        f"notice to last byte, {mb} MB",
        mb / median([ours for ours, _ in pairs]),
        "MB/s",
        against="rclone copy",
        peer=mb / median([peer for _, peer in pairs]),
        at_least=0.8,
    )
    return [flushed, *steady, *outage, *rest]


if __name__ == "__main__":
    main(measure)
