"""An account of its own for one case after another: an emulated cloud with stub machines, a user's
repository and home, and looks at what is in the account that no command of ours takes part in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import yaml
from support import warm
from support.emulated import ROOT, Emulator, parse_exports

USER, STORE = "user/dstack-daily", "dstack-cloud-demo"
_COMMAND = [sys.executable, "-m", "moto_fixtures"]

Call = dict[str, Any]


@dataclass(frozen=True)
class Lane:
    """``environ`` is the daily user's, without a home; ``folder`` a git repository."""

    folder: Path
    environ: dict[str, str]

    @cached_property
    def emulator(self) -> Emulator:
        return Emulator(self.environ)

    def home(self, name: str, **timers: str) -> dict[str, str]:
        """The environment of a user who has used nothing yet, with timers of their own."""
        home = self.folder.parent / f"home-{name}"
        (home / "tmp").mkdir(parents=True)
        config = yaml.safe_load(Path(self.environ["DSTACK_CLOUD_CONFIG"]).read_text())
        (home / "config.yaml").write_text(yaml.safe_dump({**config, "timers": timers}))
        return {
            **self.environ,
            "HOME": str(home),
            "TMPDIR": str(home / "tmp"),
            "DSTACK_CLOUD_CONFIG": str(home / "config.yaml"),
        }

    def with_timers(self, environ: dict[str, str], name: str, **timers: str) -> dict[str, str]:
        """The same home with other timers."""
        config = yaml.safe_load(Path(environ["DSTACK_CLOUD_CONFIG"]).read_text())
        file = Path(environ["HOME"]) / f"{name}.yaml"
        file.write_text(yaml.safe_dump({**config, "timers": timers}))
        return {**environ, "DSTACK_CLOUD_CONFIG": str(file)}

    def begin(self, environ: dict[str, str], *words: str) -> ForkServerProcess:
        return warm.begin(*words, folder=self.folder, environ=environ, output=self._output)

    def run(self, environ: dict[str, str], *words: str) -> int:
        return warm.run(*words, folder=self.folder, environ=environ, output=self._output)

    def ask(self, environ: dict[str, str], *words: str) -> Any:
        """What a command prints as JSON. AssertionError where it fails."""
        return warm.ask(*words, folder=self.folder, environ=environ, output=self._output)

    def said(self) -> str:
        """What the last command wrote for people."""
        return self._output.with_suffix(".err").read_text()

    def mark(self) -> int:
        """The sequence number of the last call so far."""
        calls = self.emulator.get("/_emulator/calls")
        return int(calls[-1]["sequence"]) if calls else 0

    def calls(self, since: int) -> list[Call]:
        found: list[Call] = self.emulator.get(f"/_emulator/calls?since={since}")
        return found

    def machines_left(self, seconds: float) -> list[str]:
        """Those that still run once none is left, or after so many seconds."""
        rows = self.emulator.get(f"/_emulator/machines?until=none&wait={seconds:.1f}")
        return [row["id"] for row in rows if row["state"] != "off"]

    def clear(self) -> None:
        """Let go of every call and end every machine, whatever should have."""
        self.emulator.delete("/_emulator/holds")
        for machine in self.machines_left(0):
            self.emulator.post(f"/_emulator/machines/{machine}/kill")
        assert self.machines_left(20) == []

    def ends(self, run: str) -> list[str]:
        """Why each machine of a run is off."""
        rows = self.emulator.get("/_emulator/machines")
        return [row["reason"] for row in rows if run in row["tags"].values()]

    def keys(self, prefix: str) -> list[str]:
        """Of the store's objects."""
        return self.emulator.account.keys(prefix)

    def read(self, key: str) -> bytes:
        """An object of the store."""
        return self.emulator.account.read(key)

    def remove(self, key: str) -> None:
        """Somebody deletes an object from the store."""
        self.emulator.account.remove(key)

    def left(self) -> list[str]:
        """Everything in the account that a run makes and nobody needs after it, in words."""
        return self.emulator.account.left()

    @property
    def _output(self) -> Path:
        return self.folder.parent / "output"


@contextmanager
def lanes(count: int, folder: Path, cloud: str = "aws") -> Iterator[list[Lane]]:
    """So many of them, started side by side."""
    names = [f"lane-{cloud}-{os.getpid()}-{number}" for number in range(count)]
    starting = [
        subprocess.Popen(
            [*_COMMAND, "up", "--stub", "--cloud", cloud, "--name", name],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    try:
        found = []
        for name, process in zip(names, starting, strict=True):
            out, err = process.communicate(timeout=300)
            assert process.returncode == 0, err
            place = folder / name / "project"
            place.mkdir(parents=True)
            subprocess.run(["git", "init", "-q", str(place)], check=True)
            environ = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
            found.append(Lane(place, {**environ, **parse_exports(out)}))
        yield found
    finally:
        for name in names:
            subprocess.run(
                [*_COMMAND, "down", "--name", name], cwd=ROOT, timeout=300, capture_output=True
            )
        shutil.rmtree(folder, ignore_errors=True)
