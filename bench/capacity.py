"""Capacity only in the last of 12 pools: one run's launch beside asking for the pools one by one.

On an emulated AWS with stub machines, where every pool but one is out of capacity: four types in
three zones, the cheapest first. On demand, one request covers them all; spot pools are asked for
together where an hour of work on them is expected to cost about the same, so it takes a few. The
peer is what a script does with bare boto3: RunInstances for one pool after another, in the same
order, no try repeated, no pause between them. Nothing is remembered from one run to the next.

EC2 takes a second and more over either request; the emulator refuses RunInstances in a fifth of a
millisecond, before it has looked at it. So that the time is the requests' and not the emulator's
own, it holds each of either kind for `_SERVICE_S`.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from support import PROGRAM, Row, emulator, main, median, row, say

_TIMES = int(os.environ.get("BENCH_TIMES", "5"))
# Spot prices of a type, USD an hour: within the margin in which types are asked for together.
_TYPES = {"g4dn.xlarge": 0.20, "g4dn.2xlarge": 0.21, "g4dn.4xlarge": 0.22, "g4dn.8xlarge": 0.23}
_SERVICE_S = 0.1
_ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
_IMAGE = (
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
)
_EC2, _SPOT, _DEMAND = "ec2", "--interruptible", "--on-demand"
_WORKFLOW = """\
workflows:
  - name: one
    provider: docker
    image: ubuntu
    resources: {gpu: T4}
    commands: [echo it runs]
"""


@dataclass
class Launch:
    """Requests for a machine, all calls of EC2 up to and with the one that gave it, and the seconds
    between the first request for a machine and the last one's answer."""

    asked: int
    calls: int
    seconds: float


class Bench:
    """A user's repository, and the root user's client."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        import boto3.session

        self.env = env
        self.folder = folder
        from botocore.config import Config

        session = boto3.session.Session("admin", "admin", region_name="us-east-1")
        once = Config(retries={"total_max_attempts": 1})
        self.ec2, self.s3, ssm = (
            session.client(name, endpoint_url=env["AWS_ENDPOINT_URL"], config=once)
            for name in ("ec2", "s3", "ssm")
        )
        self.image = ssm.get_parameter(Name=_IMAGE)["Parameter"]["Value"]
        for kind in ("*", *_TYPES):
            price = str(_TYPES.get(kind, 90))
            self.post("spot-price", {"instance_type": kind, "zone": "*", "price": price})
        self.post("spot-price", {"instance_type": "*", "zone": "us-east-1[!abc]", "price": "90"})

    def pools(self) -> list[tuple[str, str]]:
        """All twelve, in the order of the plan: the last one has the machine."""
        return [(kind, zone) for kind in _TYPES for zone in _ZONES]

    def only_the_last(self) -> None:
        """No pool has capacity but the last."""
        self.delete("faults")
        for kind, zone in self.pools()[:-1]:
            for action in ("CreateFleet", "RunInstances"):
                self.post(
                    "faults",
                    {
                        "action": action,
                        "match": {"instance_type": kind, "zone": zone},
                        "times": None,
                        "error": "InsufficientInstanceCapacity",
                        "message": "We currently do not have sufficient capacity.",
                        "delay_s": _SERVICE_S if action == "RunInstances" else 0,
                    },
                )
        for action in ("CreateFleet", "RunInstances"):
            # A fleet's pools have their errors, the fleet itself its delay.
            self.post("faults", {"action": action, "times": None, "delay_s": _SERVICE_S})

    def ours(self, market: str) -> Launch:
        """One run, which ends by itself. ``market`` is the option that chooses it."""
        self._forget()
        since = self.last_call()
        done = subprocess.run(
            [PROGRAM, "run", "one", "-y", market],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr[-800:])
        found = self.launch(since, "CreateFleet")
        self.get("machines?until=none&wait=60")
        return found

    def by_hand(self, market: str) -> Launch:
        """One pool after another."""
        spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
        from botocore.exceptions import ClientError

        since = self.last_call()
        for kind, zone in self.pools():
            try:
                answer = self.ec2.run_instances(
                    ImageId=self.image,
                    InstanceType=kind,
                    Placement={"AvailabilityZone": zone},
                    MinCount=1,
                    MaxCount=1,
                    **(spot if market == _SPOT else {}),
                )
            except ClientError:
                continue
            self.ec2.terminate_instances(InstanceIds=[answer["Instances"][0]["InstanceId"]])
            break
        found = self.launch(since, "RunInstances")
        self.get("machines?until=none&wait=60")
        return found

    def launch(self, since: int, action: str) -> Launch:
        """What the call log has of a launch."""
        calls = [call for call in self.get(f"calls?since={since}") if call["service"] == _EC2]
        asks = [number for number, call in enumerate(calls) if call["action"] == action]
        first, last = calls[asks[0]], calls[asks[-1]]
        ended = _epoch(last["time"]) + (last["duration_ms"] or 0) / 1000
        return Launch(len(asks), asks[-1] + 1, ended - _epoch(first["time"]))

    def _forget(self) -> None:
        """What earlier runs found wanting would help the next one."""
        bucket = self.s3.list_buckets()["Buckets"][0]["Name"]
        for one in self.s3.list_objects_v2(Bucket=bucket).get("Contents", ()):
            if "capacity/" in one["Key"]:
                self.s3.delete_object(Bucket=bucket, Key=one["Key"])

    def last_call(self) -> int:
        return max((int(call["sequence"]) for call in self.get("calls")), default=0)

    def get(self, path: str) -> Any:
        return self._ask("GET", path)

    def post(self, path: str, body: Mapping[str, Any]) -> None:
        self._ask("POST", path, body)

    def delete(self, path: str) -> None:
        self._ask("DELETE", path)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        url = f"{self.env['MOTO_FIXTURES_URL']}/_emulator/{path}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(url, data, {"Content-Type": "application/json"}, method=method)
        with urlopen(request, timeout=90) as answer:
            return json.load(answer)


def measure() -> list[Row]:
    """Both in turn."""
    with (
        tempfile.TemporaryDirectory(prefix="dstack-bench-") as folder,
        emulator(f"bench-capacity-{os.getpid()}", "--stub") as env,
    ):
        project = Path(folder) / "project"
        (project / ".dstack").mkdir(parents=True)
        (project / ".dstack" / "workflows.yaml").write_text(_WORKFLOW)
        subprocess.run(["git", "init", "-q", str(project)], check=True)
        bench = Bench(dict(env), project)
        bench.only_the_last()
        bench.ours(_DEMAND)  # Unmeasured: it reads the catalog.
        rows = []
        for market, name in ((_DEMAND, "on demand"), (_SPOT, "spot")):
            ours, theirs = [], []
            for number in range(_TIMES):
                ours.append(bench.ours(market))
                theirs.append(bench.by_hand(market))
                say(f"{name}, {number + 1} of {_TIMES}: run {ours[-1]}, by hand {theirs[-1]}")
            rows += _rows(name, ours, theirs)
    return rows


def _rows(name: str, ours: list[Launch], theirs: list[Launch]) -> list[Row]:
    peer = "boto3, pool by pool"
    return [
        row(
            f"the last of 12 pools, {name}: requests",
            median([one.asked for one in ours]),
            "calls",
            against=peer,
            peer=median([one.asked for one in theirs]),
        ),
        row(
            "  from the first request to the machine",
            1000 * median([one.seconds for one in ours]),
            "ms",
            against=peer,
            peer=1000 * median([one.seconds for one in theirs]),
        ),
        row("  all calls of EC2 until then", median([one.calls for one in ours]), "calls"),
    ]


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    main(measure)
