"""From the command to the container's first line: ``dstack-cloud run`` beside a script by hand.

On both clouds. The peers are `by_hand/*.sh`: awscli, or curl on Google Cloud, then ssh and docker,
on the same emulated machines: same type, same machine image, no container image on them. In turn,
ten times each. Neither one's own preparation counts: the script has a key pair and a rule that lets
it in, and knows the image; for `run` the catalog's listing is in the cache (good for a day). Spot
prices that are good for ten minutes only, AWS's, are not. The rows of the breakdown are medians of
the same runs.
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

from by_hand import aws, gcp
from support import PROGRAM, ROOT, Row, cold, emulator, main, median, row, say

_TIMES = int(os.environ.get("BENCH_TIMES", "10"))
_PEERS = {peer.NAME: peer for peer in (aws, gcp)}
_CLOUDS = os.environ.get("BENCH_CLOUDS", ",".join(_PEERS)).split(",")
_LINE = "the first line"
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
    marks: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)


def measure() -> list[Row]:
    """The rows of each cloud."""
    return [one for cloud in _CLOUDS for one in _measure(_PEERS[cloud])]


def _measure(peer: Any) -> list[Row]:
    """Both in turn; the ratio, the start-up of either program, and where the time goes."""
    with (
        tempfile.TemporaryDirectory(prefix="dstack-bench-") as folder,
        emulator(f"bench-{os.getpid()}", cloud=peer.NAME) as env,
    ):
        bench = Bench(Path(folder), env, peer)
        say("once each, unmeasured")
        bench.run()
        bench.by_hand()
        ours: list[Trial] = []
        theirs: list[Trial] = []
        starts: dict[str, list[float]] = {"peer": [], "ours": []}
        for number in range(_TIMES):
            starts["peer"].append(cold(peer.client(), env))
            starts["ours"].append(cold([PROGRAM, "--version"], env))
            ours.append(bench.run())
            theirs.append(bench.by_hand())
            say(
                f"{peer.NAME} {number + 1} of {_TIMES}: run {ours[-1].first_line:.0f} ms, "
                f"by hand {theirs[-1].first_line:.0f} ms"
            )
    if "--json" not in sys.argv:
        _tell_calls(ours)
    took = {name: median(values) for name, values in starts.items()}
    return _rows(peer, ours, theirs, took)


class Bench:
    """A user's repository and a key pair, on an emulated cloud."""

    def __init__(self, folder: Path, env: Mapping[str, str], peer: Any) -> None:
        self._control = env["MOTO_FIXTURES_URL"].rstrip("/") + "/_emulator/"
        self._peer = peer
        home, self._project = folder / "home", folder / "project"
        home.mkdir()
        (self._project / ".dstack").mkdir(parents=True)
        (self._project / ".dstack" / "workflows.yaml").write_text(_WORKFLOW)
        subprocess.run(["git", "init", "-q", str(self._project)], check=True)
        keep = {key: value for key, value in env.items() if key != "XDG_CACHE_HOME"}
        self._env = {**keep, "HOME": str(home)}
        self._caches = home / ".cache" / "dstack-cloud"
        key = folder / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        self._hand_env = peer.prepare(self._env, key)
        self._hand_env |= {"CONTAINER": "ubuntu", "COMMAND": f"echo {_LINE}"}

    def run(self) -> Trial:
        """``dstack-cloud run`` to its end."""
        if self._peer.SPOT_PRICES_MOVE:
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
        script = ROOT / "bench" / "by_hand" / f"{self._peer.NAME}.sh"
        trial, _ = _timed([str(script)], self._project, self._hand_env, _HAND_S)
        for machine in self._get("machines"):
            if machine["state"] in ("booting", "running"):
                self._peer.end(self._hand_env, machine)
        self._wait_until_gone()
        return trial

    def _age_spot_prices(self) -> None:
        for path in self._caches.glob("catalog*.sqlite"):
            with sqlite3.connect(path) as database:
                database.execute(
                    "UPDATE places SET spot_at = '2000-01-01T00:00:00Z' WHERE spot_at IS NOT NULL"
                )
            database.close()

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
                trial.marks.append(words[2])
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


def _rows(
    peer: Any, ours: list[Trial], theirs: list[Trial], starts: Mapping[str, float]
) -> list[Row]:
    mine = median([trial.first_line for trial in ours])
    hand = median([trial.first_line for trial in theirs])
    client = starts["peer"] * median(
        [sum(mark in peer.STARTS for mark in trial.marks) for trial in theirs]
    )
    program = starts["ours"]
    what = f"{peer.NAME}: run to the first log line"
    rows = [
        row(what, mine, "ms", against="by hand", peer=hand, at_most=1.0),
        row("  its start-up (--version)", program, "ms", against="all of its client", peer=client),
        row("  without start-up", mine - program, "ms", against="by hand", peer=hand - client),
    ]
    at, by_hand = _medians(ours), _medians(theirs)
    for words, step, mark in (
        ("  … the plan is shown", "plan", None),
        ("  … a machine is launched", "launched", "launched"),
        ("  … connected", "connected", "connected"),
        ("  … the agent works", "agent", None),
        ("  … the image is there, the container runs", "image", None),
    ):
        theirs_at = by_hand[mark] if mark else None
        against = "by hand" if mark else None
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
