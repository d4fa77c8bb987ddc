"""What others ask for through the store: to stop, to move, to make way for another attempt, to let
another client in."""

from __future__ import annotations

import base64
import binascii
import json
import os
import pwd
import struct
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from . import folders
from .cloud import own_machine
from .control import Control
from .errors import StoreError
from .fellows import LOOK, Fellows
from .fence import fenced
from .note import note
from .paths import Paths
from .store import Store

STOP, MOVE, CLIENTS, FENCE = 2.0, 2.0, 5.0, 10.0
_KINDS = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


def public_key(text: str) -> str | None:
    """The key as one line for authorized_keys; None for anything else, options included: they
    could run a command."""
    words = text.strip().split(None, 2)
    if len(words) < 2 or words[0] not in _KINDS or "\n" in text.strip():
        return None
    try:
        blob = base64.b64decode(words[1], validate=True)
        (length,) = struct.unpack(">I", blob[:4])
    except (binascii.Error, struct.error, ValueError):
        return None
    if blob[4 : 4 + length] != words[0].encode() or len(blob) <= 4 + length:
        return None
    comment = "".join(c for c in " ".join(words[2:]) if c.isprintable())
    return (f"{words[0]} {words[1]} {comment}").strip()


def admit(user: str, keys: Iterable[str]) -> int:
    """Add the keys that parse and are not there yet to the user's authorized_keys; returns how
    many were added."""
    account = pwd.getpwnam(user)
    folder = os.path.join(account.pw_dir, ".ssh")
    path = os.path.join(folder, "authorized_keys")
    os.makedirs(folder, 0o700, exist_ok=True)
    try:
        with open(path) as file:
            present = file.read()
    except FileNotFoundError:
        present = ""
    known = {word for line in present.splitlines() for word in line.split()}
    lines = [line for line in map(public_key, keys) if line and line.split()[1] not in known]
    if lines:
        with open(path, "a") as file:
            gap = "\n" if present and not present.endswith("\n") else ""
            file.write(gap + "".join(line + "\n" for line in dict.fromkeys(lines)))
        os.chmod(path, 0o600)
        for owned in (folder, path):
            os.chown(owned, account.pw_uid, account.pw_gid)
    return len(lines)


class Watch:
    """A thread that asks the store, each question as often as its answer matters."""

    def __init__(
        self,
        store: Store,
        job: Mapping[str, Any],
        paths: Paths,
        control: Control,
        fellows: Fellows | None = None,
    ) -> None:
        self._store = store
        self._job = job
        self._paths = paths
        self._control = control
        self._fellows = fellows
        self._seen: set[str] = set()
        self._due = {"stop": 0.0, "move": 0.0, "clients": 0.0, "fence": 0.0, "fellows": 0.0}

    def run(self, over: threading.Event) -> None:
        while not over.wait(0.25):
            self.look(time.monotonic())

    def look(self, moment: float) -> None:
        """Ask what is due. An unreachable store is no answer: ask again."""
        for name, every, ask in (
            ("stop", STOP, self._stop),
            ("move", MOVE, self._move),
            ("fence", min(FENCE, self._job["timers"]["heartbeat"] / 6), self._fence),
            ("clients", CLIENTS, self._clients),
            ("fellows", LOOK, self._look_at_fellows),
        ):
            if moment >= self._due[name]:
                self._due[name] = moment + every
                try:
                    ask()
                except StoreError:
                    pass
                except (OSError, KeyError, ValueError) as error:
                    note(f"watch {name}: {error!r}")

    def _stop(self) -> None:
        data = self._store.get("runs/{}/stop.json".format(self._job["run"]))
        if data is not None:
            asked = json.loads(data)
            self._control.request("aborted" if asked.get("abort") else "stopped")

    def _move(self) -> None:
        if not self._job["movable"]:
            return
        data = self._store.get(folders.attempt(self._job) + "move.json")
        if data is not None:
            self._control.request("moved")

    def _look_at_fellows(self) -> None:
        if self._fellows is not None:
            self._fellows.look()

    def _fence(self) -> None:
        asked = time.monotonic()
        if fenced(self._store, self._job, self._paths):
            self._control.request("fenced")
        self._control.owned(asked)

    def _clients(self) -> None:
        if not own_machine(self._job):
            return
        prefix = "runs/{}/clients/".format(self._job["run"])
        new = [each.key for each in self._store.list(prefix) if each.key not in self._seen]
        for key in new:
            data = self._store.get(key)
            if data is not None:
                admit(self._job["user"], [data.decode("utf-8", "replace")])
                self._seen.add(key)
