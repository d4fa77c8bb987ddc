"""From an interruption to the container running again, a client attached, beside the bare parts.

On emulated machines, in turn: a run that the cloud gives notice, one whose machine's power is cut,
and by hand, with boto3, ssh and rclone, what no recovery can do without: a machine that boots
until it answers over SSH, and a copy of the same artifacts onto it.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from support import PROGRAM, Row, emulator, figure, main, median, row, say

_TIMES = int(os.environ.get("BENCH_RECOVERY_TIMES", "3"))
_FILES, _SIZE_MB = 16, 4
_TYPE = "g4dn.xlarge"
_IMAGE = (
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
)
_RELAUNCH_S, _EXTRA_S, _LIMIT_S = 2.0, 5.0, 240.0
_WORKFLOW = f"""\
workflows:
  - name: again
    provider: docker
    image: ubuntu
    artifacts: [{{path: output, mount: true}}]
    resources: {{gpu: T4, interruptible: true}}
    grace: 5s
    commands:
      - echo running $DSTACK_ATTEMPT
      - test $DSTACK_ATTEMPT = 1 || exit 0
      - mkdir -p output
      - for n in $(seq {_FILES}); do head -c {_SIZE_MB}M /dev/urandom >output/$n; done
      - trap 'exit 1' TERM
      - while :; do sleep 0.1 || :; done
"""


@dataclass
class Trial:
    """Seconds after the interruption: until the launch call, until the container runs again."""

    relaunch: float
    again: float


@dataclass
class Hand:
    """Seconds that the bare parts took."""

    boot: float
    restore: float

    @property
    def both(self) -> float:
        return self.boot + self.restore


@dataclass
class Bench:
    """A user's repository on an emulated AWS; ``key`` is a private key for machines by hand."""

    env: dict[str, str]
    folder: Path
    key: Path
    last_run: str = ""
    clients: dict[str, Any] = field(default_factory=dict)

    def interrupted(self, how: str) -> Trial:
        """One run that is interrupted once its files are in the store."""
        client = subprocess.Popen(
            [PROGRAM, "run", "again", "-y"],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        seen: dict[str, float] = {}
        words: list[str] = []

        def listen() -> None:
            assert client.stdout is not None
            for line in client.stdout:
                seen.setdefault(line.strip(), time.time())

        def complain() -> None:
            assert client.stderr is not None
            words.extend(client.stderr)

        threads = [threading.Thread(target=work) for work in (listen, complain)]
        for thread in threads:
            thread.start()
        try:
            _until("the run's first line", lambda: "running 1" in seen)
            (machine,) = [one for one in self.get("machines") if one["state"] == "running"]
            self.last_run = f"again-{int(self.last_run.rpartition('-')[2] or 0) + 1}"
            _until("its files in the store", lambda: len(self.stored()) == _FILES)
            since = max(int(call["sequence"]) for call in self.get("calls"))
            begun = time.time()
            self.post(f"machines/{machine['id']}/{how}", {})
            code = client.wait(_LIMIT_S)
        finally:
            client.kill()
            for thread in threads:
                thread.join(10)
        if code != 0 or "running 2" not in seen:
            raise RuntimeError(f"the run ended with {code}: {''.join(words)[-800:]}")
        calls = self.get(f"calls?since={since}")
        launch = next(call for call in calls if call["action"] == "CreateFleet")
        self.get("machines?until=none&wait=60")
        return Trial(_epoch(launch["time"]) - begun, seen["running 2"] - begun)

    def by_hand(self) -> Hand:
        """A machine of the same type, and the last run's artifacts onto it."""
        ec2 = self.clients["ec2"]
        (group,) = ec2.describe_security_groups(
            Filters=[{"Name": "group-name", "Values": ["dstack-cloud"]}]
        )["SecurityGroups"]
        image = self.clients["ssm"].get_parameter(Name=_IMAGE)["Parameter"]["Value"]
        begun = time.monotonic()
        (found,) = ec2.run_instances(
            ImageId=image,
            InstanceType=_TYPE,
            KeyName="bench",
            SecurityGroupIds=[group["GroupId"]],
            InstanceMarketOptions={"MarketType": "spot"},
            MinCount=1,
            MaxCount=1,
        )["Instances"]
        try:
            address = found.get("PublicIpAddress")
            while not address:
                told = ec2.describe_instances(InstanceIds=[found["InstanceId"]])
                address = told["Reservations"][0]["Instances"][0].get("PublicIpAddress")
            while self._ssh(address, "true").returncode:
                if time.monotonic() > begun + _LIMIT_S:
                    raise RuntimeError("the machine by hand does not answer")
                time.sleep(0.1)
            booted = time.monotonic()
            copied = self._ssh(address, self._copy())
            if copied.returncode:
                raise RuntimeError(f"rclone copy: {copied.stderr[-500:]}")
            return Hand(booted - begun, time.monotonic() - booted)
        finally:
            ec2.terminate_instances(InstanceIds=[found["InstanceId"]])
            self.get("machines?until=none&wait=60")

    def stored(self) -> list[str]:
        """The last run's artifacts."""
        bucket, prefix = self._place()
        found = self.clients["s3"].list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [one["Key"] for one in found.get("Contents", ())]

    def get(self, path: str) -> Any:
        with urlopen(f"{self.env['MOTO_FIXTURES_URL']}/_emulator/{path}", timeout=120) as answer:
            return json.load(answer)

    def post(self, path: str, body: Mapping[str, Any]) -> None:
        url = f"{self.env['MOTO_FIXTURES_URL']}/_emulator/{path}"
        request = Request(
            url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        with urlopen(request, timeout=60):
            pass

    def _place(self) -> tuple[str, str]:
        import yaml

        config = yaml.safe_load(Path(self.env["DSTACK_CLOUD_CONFIG"]).read_text())
        bucket, _, prefix = config["aws"]["store"].removeprefix("s3://").partition("/")
        parts = [part for part in (prefix.strip("/"), "artifacts", self.last_run) if part]
        return bucket, "/".join(parts) + "/"

    def _copy(self) -> str:
        bucket, prefix = self._place()
        settings = (
            "TYPE=s3 PROVIDER=Other REGION=us-east-1 FORCE_PATH_STYLE=true ACCESS_KEY_ID=admin "
            f"SECRET_ACCESS_KEY=admin ENDPOINT={self.env['AWS_ENDPOINT_URL']}"
        )
        variables = " ".join(f"RCLONE_CONFIG_STORE_{one}" for one in settings.split())
        return f"{variables} rclone copy --transfers 8 STORE:{bucket}/{prefix} restored"

    def _ssh(self, address: str, command: str) -> subprocess.CompletedProcess[str]:
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=2")
        words = [word for option in options for word in ("-o", option)]
        argv = ["ssh", "-q", "-i", str(self.key), *words, f"ubuntu@{address}", command]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def measure() -> list[Row]:
    """The three in turn."""
    with (
        tempfile.TemporaryDirectory(prefix="dstack-bench-") as folder,
        emulator(f"bench-recovery-{os.getpid()}") as env,
    ):
        bench = _bench(Path(folder), env)
        noticed: list[Trial] = []
        cut: list[Trial] = []
        hands: list[Hand] = []
        for number in range(_TIMES):
            noticed.append(bench.interrupted("interrupt"))
            cut.append(bench.interrupted("kill"))
            hands.append(bench.by_hand())
            say(
                f"{number + 1} of {_TIMES}: notice to launch {noticed[-1].relaunch:.2f} s, to the "
                f"container {noticed[-1].again:.2f} s; power cut {cut[-1].relaunch:.2f}, "
                f"{cut[-1].again:.2f} s; by hand {hands[-1].boot:.2f} + {hands[-1].restore:.2f} s"
            )
    return [
        row(
            "notice to the relaunch call",
            median([one.relaunch for one in noticed]),
            "s",
            most=_RELAUNCH_S,
        ),
        _beside("notice to the container running again", [one.again for one in noticed], hands),
        row("power cut to the relaunch call", median([one.relaunch for one in cut]), "s"),
        _beside("power cut to the container running again", [one.again for one in cut], hands),
        row("  of it by hand: machine boot", median([one.boot for one in hands]), "s"),
        row("  and restore", median([one.restore for one in hands]), "s"),
    ]


def _beside(what: str, values: list[float], hands: list[Hand]) -> Row:
    peer = median([one.both for one in hands])
    found = row(what, median(values), "s", against="machine boot and restore", peer=peer)
    most = peer + _EXTRA_S
    return replace(
        found,
        target=f"≤ {figure(most)} s ({_EXTRA_S:g} s more)",
        met=found.value <= most,
    )


def _bench(folder: Path, env: Mapping[str, str]) -> Bench:
    import boto3.session

    home, project, key = folder / "home", folder / "project", folder / "key"
    home.mkdir()
    (project / ".dstack").mkdir(parents=True)
    (project / ".dstack" / "workflows.yaml").write_text(_WORKFLOW)
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    session = boto3.session.Session("admin", "admin", region_name="us-east-1")
    clients = {
        name: session.client(name, endpoint_url=env["AWS_ENDPOINT_URL"])
        for name in ("ec2", "ssm", "s3")
    }
    public = key.with_suffix(".pub").read_bytes()
    clients["ec2"].import_key_pair(KeyName="bench", PublicKeyMaterial=public)
    return Bench({**env, "HOME": str(home)}, project, key, clients=clients)


def _until(what: str, check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while not check():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {_LIMIT_S:.0f} s: {what}")
        time.sleep(0.1)


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    main(measure)
