"""From the command to the container's first line: ``dstack-cloud run`` beside a script by hand.

The peer is `by-hand`: awscli, ssh and docker, on the same emulated machines: same type, same
machine image, no container image on them. In turn, ten times each. Neither one's own preparation
counts: the script gets the image's and the group's id and has its key pair; for `run` the
catalog's listing is in the cache (good for a day), its spot prices are not (good for ten minutes).
The rows of the breakdown are medians of the same runs.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from support import PROGRAM, ROOT, Row, cold, emulator, main, median, row, say

_TIMES = int(os.environ.get("BENCH_TIMES", "10"))
_LINE = "the first line"
_TYPE = "g4dn.xlarge"
_IMAGE = (
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
)
_WORKFLOW = f"""\
workflows:
  - name: hello
    provider: docker
    image: ubuntu
    commands:
      - echo '{_LINE}'
    resources:
      gpu: T4
      interruptible: true
"""
_HAND_S, _RUN_S = 180, 180


@dataclass
class Trial:
    """One run: milliseconds after its begin until the first line, and until each step."""

    first_line: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)
    aws_starts: int = 0
    calls: list[dict[str, Any]] = field(default_factory=list)


def measure() -> list[Row]:
    """Both in turn; the ratio, the start-up of either program, and where the time goes."""
    sys.path.insert(0, str(ROOT))
    from moto_fixtures.awscli import program

    aws = program()
    with (
        tempfile.TemporaryDirectory(prefix="dstack-bench-") as folder,
        emulator(f"bench-{os.getpid()}") as env,
    ):
        bench = Bench(Path(folder), env, aws)
        say("once each, unmeasured")
        bench.run()
        bench.by_hand()
        ours: list[Trial] = []
        theirs: list[Trial] = []
        starts: dict[str, list[float]] = {"aws": [], "dstack-cloud": []}
        for number in range(_TIMES):
            starts["aws"].append(cold([str(aws), "--version"], env))
            starts["dstack-cloud"].append(cold([PROGRAM, "--version"], env))
            ours.append(bench.run())
            theirs.append(bench.by_hand())
            say(
                f"{number + 1} of {_TIMES}: run {ours[-1].first_line:.0f} ms, "
                f"by hand {theirs[-1].first_line:.0f} ms"
            )
    if "--json" not in sys.argv:
        _tell_calls(ours)
    return _rows(ours, theirs, {name: median(values) for name, values in starts.items()})


class Bench:
    """A user's repository and a key pair, on an emulated AWS."""

    def __init__(self, folder: Path, env: Mapping[str, str], aws: Path) -> None:
        self._control = env["MOTO_FIXTURES_URL"].rstrip("/") + "/_emulator/"
        home, self._project = folder / "home", folder / "project"
        home.mkdir()
        (self._project / ".dstack").mkdir(parents=True)
        (self._project / ".dstack" / "workflows.yaml").write_text(_WORKFLOW)
        subprocess.run(["git", "init", "-q", str(self._project)], check=True)
        keep = {key: value for key, value in env.items() if key != "XDG_CACHE_HOME"}
        self._env = {**keep, "HOME": str(home)}
        self._caches = home / ".cache" / "dstack-cloud"
        # The daily user may launch with our tags alone, so the script has the root key.
        admin = {"AWS_ACCESS_KEY_ID": "admin", "AWS_SECRET_ACCESS_KEY": "admin"}
        paths = f"{aws.parent}:{env['PATH']}"
        self._hand_env = {**self._env, **admin, "PATH": paths}
        self._hand_env |= self._prepare_hand(folder)

    def run(self) -> Trial:
        """``dstack-cloud run`` to its end."""
        self._age_spot_prices()
        since = self._last_call()
        trial, begin = _timed([PROGRAM, "run", "hello", "-y"], self._project, self._env, _RUN_S)
        for call in self._get(f"calls?since={since}"):
            at = (_epoch(call["time"]) - begin) * 1000
            trial.calls.append({**call, "at": at})
            if call["peer"] != trial.calls[0]["peer"]:
                # Not the client but the machine: its agent is at work.
                trial.steps.setdefault("agent", at)
        self._wait_until_gone()
        return trial

    def by_hand(self) -> Trial:
        """The script to its end, then its machine's end, which is not timed."""
        trial, _ = _timed([str(ROOT / "bench" / "by-hand")], self._project, self._hand_env, _HAND_S)
        for machine in self._get("machines"):
            if machine["state"] in ("booting", "running"):
                self._aws("ec2", "terminate-instances", "--instance-ids", machine["id"])
        self._wait_until_gone()
        return trial

    def _prepare_hand(self, folder: Path) -> dict[str, str]:
        key = folder / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        public = f"fileb://{key}.pub"
        words = ["--key-name", "bench", "--public-key-material", public]
        self._aws("ec2", "import-key-pair", *words)
        names = ["--filters", "Name=group-name,Values=dstack-cloud"]
        group = self._aws("ec2", "describe-security-groups", *names)["SecurityGroups"][0]["GroupId"]
        image = self._aws("ssm", "get-parameter", "--name", _IMAGE)["Parameter"]["Value"]
        return {
            "IMAGE": image,
            "TYPE": _TYPE,
            "KEY": "bench",
            "KEY_FILE": str(key),
            "GROUP": group,
            "CONTAINER": "ubuntu",
            "COMMAND": f"echo {_LINE}",
        }

    def _age_spot_prices(self) -> None:
        for path in self._caches.glob("catalog*.sqlite"):
            with sqlite3.connect(path) as database:
                database.execute(
                    "UPDATE places SET spot_at = '2000-01-01T00:00:00Z' WHERE spot_at IS NOT NULL"
                )
            database.close()

    def _aws(self, *words: str) -> Any:
        argv = ["aws", *words, "--output", "json"]
        done = subprocess.run(argv, env=self._hand_env, stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self._control + path, timeout=120) as answer:
            return json.load(answer)

    def _last_call(self) -> int:
        return max((int(call["sequence"]) for call in self._get("calls")), default=0)

    def _wait_until_gone(self) -> None:
        self._get("machines?until=none&wait=60")


def _timed(argv: list[str], cwd: Path, env: Mapping[str, str], limit: float) -> tuple[Trial, float]:
    """Run to the end; the trial, and the moment it began (seconds since the epoch)."""
    trial = Trial()
    begin = time.time()
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    heard: list[str] = []

    def listen(stream: IO[bytes]) -> None:
        for line in stream:
            words = line.decode("utf-8", "replace").split()
            heard.append(" ".join(words))
            if words[:1] == ["mark"]:
                trial.steps[words[2]] = (float(words[1]) - begin) * 1000
                trial.aws_starts += words[2] in ("launched", "asked")
            elif words[:1] == ["✓"]:
                trial.steps[words[1]] = (time.time() - begin) * 1000
            elif words and not trial.steps:
                trial.steps["plan"] = (time.time() - begin) * 1000

    listener = threading.Thread(target=listen, args=(process.stderr,), daemon=True)
    listener.start()
    for line in process.stdout:
        if line.decode().strip() == _LINE and not trial.first_line:
            trial.first_line = (time.time() - begin) * 1000
    code = process.wait(limit)
    listener.join(10)
    if code != 0 or not trial.first_line:
        raise RuntimeError(f"{argv[0]} ended with {code}: {' / '.join(heard[-8:])}")
    return trial, begin


def _rows(ours: list[Trial], theirs: list[Trial], starts: Mapping[str, float]) -> list[Row]:
    mine = median([trial.first_line for trial in ours])
    hand = median([trial.first_line for trial in theirs])
    aws = starts["aws"] * median([trial.aws_starts for trial in theirs])
    program = starts["dstack-cloud"]
    rows = [
        row("run to the first log line", mine, "ms", against="by hand", peer=hand, at_most=1.0),
        row("  its start-up (--version)", program, "ms", against="all starts of aws", peer=aws),
        row("  without start-up", mine - program, "ms", against="by hand", peer=hand - aws),
    ]
    at, by_hand = _medians(ours), _medians(theirs)
    for words, step, peer in (
        ("  … the plan is shown", "plan", None),
        ("  … a machine is launched", "launched", "launched"),
        ("  … connected", "connected", "connected"),
        ("  … the agent works", "agent", None),
        ("  … the image is there, the container runs", "image", None),
    ):
        theirs_at = by_hand[peer] if peer else None
        against = "by hand" if peer else None
        rows.append(row(words, at[step], "ms", against=against, peer=theirs_at))
    return rows


def _medians(trials: list[Trial]) -> dict[str, float]:
    names = dict.fromkeys(name for trial in trials for name in trial.steps)
    found = {name: [t.steps[name] for t in trials if name in t.steps] for name in names}
    return {name: median(values) for name, values in found.items()}


def _tell_calls(trials: list[Trial]) -> None:
    """The API calls of the run nearest to the median, as the emulated AWS saw them, to stderr."""
    middle = median([trial.first_line for trial in trials])
    trial = min(trials, key=lambda one: abs(one.first_line - middle))
    say(f"the calls of a run of {trial.first_line:.0f} ms (begun at, took; peer):")
    for call in trial.calls:
        took = call["duration_ms"] or 0.0
        name = f"{call['service']} {call['action']}"
        say(f"  {call['at']:7.0f} {took:6.1f} ms  {name}  {call['peer']}  {call['outcome']}")
    for step, at in sorted(trial.steps.items(), key=lambda item: item[1]):
        say(f"  {at:7.0f}           — {step}")


def _epoch(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


if __name__ == "__main__":
    main(measure)
