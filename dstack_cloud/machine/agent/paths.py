"""Where the agent keeps its files. What must survive the agent is below ``root``, what must not
survive a reboot below ``volatile``."""

from __future__ import annotations

import contextlib
import os

# `follow` runs once for each client that is attached: it loads as little as it can.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MACHINE_ROOT = "/var/lib/dstack"


class Paths:
    """Names of the files of one attempt."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.volatile = "/run/dstack" if root == MACHINE_ROOT else os.path.join(root, "volatile")

        self.program = os.path.join(root, "agent.pyz")
        self.job = os.path.join(root, "job.json")
        self.workflow = os.path.join(root, "workflow")
        self.log = os.path.join(root, "log")
        self.status = os.path.join(root, "status.json")
        self.end = os.path.join(root, "end.json")
        self.host_key = os.path.join(root, "host_key.pub")
        self.output = os.path.join(root, "agent.log")
        self.lock = os.path.join(root, "serve.lock")
        self.log_reserve = os.path.join(root, "reserve.log")
        self.end_reserve = os.path.join(root, "reserve.end")
        self.started_at = os.path.join(root, "started_at")
        # Each is written once, when the step is done: a restarted agent goes on after it.
        self.unpacked = os.path.join(root, "unpacked")
        self.launched = os.path.join(root, "launched")
        self.cause = os.path.join(root, "cause.json")
        self.draft = os.path.join(root, "end.draft.json")
        # What is said for the attempt, by the one of several nodes that speaks for it.
        self.whole = os.path.join(root, "end.whole.json")
        self.result = os.path.join(root, "result.json")
        self.restored = os.path.join(root, "restored.json")
        # A folder of its own: whoever follows wakes up at each write in the root.
        self.sync = os.path.join(root, "sync")
        self.deps = os.path.join(root, "deps")
        self.shown = os.path.join(root, "shown")
        self.deps_came = os.path.join(root, "deps.json")
        # The container writes in it how much work is left.
        self.progress = os.path.join(root, "progress")

        self.secrets = os.path.join(self.volatile, "secrets.json")
        self.registry = os.path.join(self.volatile, "registry.json")
        self.masks = os.path.join(self.volatile, "masks.json")
        self.job_came = os.path.join(self.volatile, "job")
        self.heartbeat = os.path.join(self.volatile, "heartbeat")
        self.hard_limit = os.path.join(self.volatile, "hard_limit")
        self.followers = os.path.join(self.volatile, "followers")
        self.provisioning = os.path.join(self.volatile, "provisioning")
        self.ready = os.path.join(self.volatile, "ready")
        self.crashes = os.path.join(self.volatile, "crashes")
        self.failed = os.path.join(self.volatile, "failed")


def write(path: str, data: bytes, mode: int = 0o644) -> None:
    """Replace the file at once: a reader sees the old bytes or the new ones."""
    import threading

    half = f"{path}.{os.getpid()}.{threading.get_ident()}"
    try:
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with open(descriptor, "wb") as file:
            file.write(data)
        os.replace(half, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(half)
        raise


def write_json(path: str, value: object, mode: int = 0o644) -> None:
    import json

    write(path, json.dumps(value).encode(), mode)


def read_json(path: str) -> Any:
    """The document, or None when the file is not there."""
    import json

    try:
        with open(path, "rb") as file:
            return json.loads(file.read())
    except FileNotFoundError:
        return None
