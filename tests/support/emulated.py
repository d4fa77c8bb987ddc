"""An emulated cloud and a user's repository, as the end-to-end tests see them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.account import Account, account_of
from support.words import Words, words_of

ROOT = Path(__file__).resolve().parents[2]
CLI = [sys.executable, "-m", "dstack_cloud"]
PATIENCE_S = 240.0
"""How long a test waits for what must come; it is not what is tested. Many run on one machine."""

CLOUDS = ("aws", "gcp")
EVERY_CLOUD = pytest.mark.parametrize("emulator", CLOUDS, indirect=True)
"""Runs a test on each emulated cloud."""
EVERY_STUB = pytest.mark.parametrize("stub", CLOUDS, indirect=True)
"""The same on clouds whose machines are stubs."""


@dataclass(frozen=True)
class Emulator:
    """An emulated cloud: the environment to reach it, and its control interface."""

    environ: dict[str, str]

    @property
    def words(self) -> Words:
        """What this cloud calls by a name of its own."""
        return words_of(self.environ)

    @property
    def network(self) -> dict[str, Any]:
        """The machines' network: ``gateway`` is the host's address as they see it."""
        folder = Path(self.environ["DSTACK_CLOUD_CONFIG"]).parent
        found: dict[str, Any] = json.loads((folder / "network.json").read_text())
        return found

    @cached_property
    def account(self) -> Account:
        """What is in it, as no command of ours sees it."""
        return account_of(self.environ)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self._url(path), timeout=300) as answer:
            return json.load(answer)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            self._url(path),
            json.dumps(body or {}).encode(),
            {"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)

    def delete(self, path: str) -> None:
        request = urllib.request.Request(self._url(path), method="DELETE")
        with urllib.request.urlopen(request, timeout=300):
            pass

    def actions(self, since: int = 0) -> list[str]:
        """The actions that were asked for after a call."""
        return [call["action"] for call in self.get(f"/_emulator/calls?since={since}")]

    def machines(self) -> list[dict[str, Any]]:
        """The machines that run or boot at this moment."""
        found = self.get("/_emulator/machines")
        rows = found["machines"] if isinstance(found, dict) else found
        return [row for row in rows if row["state"] in ("booting", "running")]

    def machines_of(self, run: str) -> list[dict[str, Any]]:
        """Those of the runs whose names begin so, oldest first: each carries its run's name, under
        a key that differs by cloud."""
        return [
            row
            for row in self.machines()
            if any(value.startswith(run) for value in row["tags"].values())
        ]

    def _url(self, path: str) -> str:
        return self.environ["MOTO_FIXTURES_URL"].rstrip("/") + path


@dataclass(frozen=True)
class Project:
    """A user's repository, and the command line run in it."""

    folder: Path
    environ: dict[str, str]

    def workflows(self, text: str) -> None:
        file = self.folder / ".dstack" / "workflows.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(textwrap.dedent(text))

    def cli(
        self, *args: str, timeout: float = 2 * PATIENCE_S, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CLI, *args],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=timeout,
            input=stdin,
        )

    def but(self, *without: str, **values: str) -> Project:
        """The same repository with other environment variables, or without some."""
        kept = {key: value for key, value in self.environ.items() if key not in without}
        return replace(self, environ={**kept, **values})

    def configured(self, file: Path, **sections: dict[str, Any]) -> Project:
        """The same with a configuration of its own: the present one, changed key by key."""
        config = yaml.safe_load(Path(self.environ["DSTACK_CLOUD_CONFIG"]).read_text())
        for name, values in sections.items():
            config[name] = {**config.get(name, {}), **values}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(config))
        return self.but(DSTACK_CLOUD_CONFIG=str(file))

    def start_words(self, *args: str) -> list[str]:
        """The command line, for who starts it."""
        return [*CLI, *args]

    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.start_words(*args),
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def json(self, *args: str) -> Any:
        done = self.cli(*args, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def latest(self, workflow: str) -> str:
        """The workflow's latest run. One of another's that a failed test left may end after it."""
        rows = self.json("ps", "--all")["runs"]
        return str([row["run"] for row in rows if row["workflow"] == workflow][-1])

    def state(self, run: str) -> str:
        """The run's state as ``ps`` tells it; empty when there is no such run."""
        rows = self.json("ps", "--all")["runs"]
        return next((row["state"] for row in rows if row["run"] == run), "")


def wait_until(what: str, check: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    """The first true answer of ``check``; fails with ``what`` when the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.2)
    pytest.fail(f"not within {seconds:.0f} s: {what}")


def parse_exports(text: str) -> dict[str, str]:
    """``export K='V'`` lines as a mapping; any other line is a mistake."""
    found = {}
    for line in text.splitlines():
        export, assignment = shlex.split(line)
        assert export == "export", line
        key, _, value = assignment.partition("=")
        found[key] = value
    return found
