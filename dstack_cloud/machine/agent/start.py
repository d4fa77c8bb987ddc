"""``start``: take the job, replace the host key, leave `serve` running."""

from __future__ import annotations

import fcntl
import glob
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from .beat import beat
from .cloud import own_machine
from .paths import Paths, read_json, write, write_json
from .watch import admit

UNIT = "dstack-agent"
_KEY = "/etc/ssh/ssh_host_ed25519_key"


def start(paths: Paths) -> int:
    """Reads the job from standard input, prints one line of JSON. The same job again changes
    nothing and gets the same answer."""
    job = json.loads(sys.stdin.buffer.read())
    present = read_json(paths.job)
    if present is not None and not _same(present, job):
        owner = f"{present['run']}, attempt {present['attempt']}"
        return _answer({"started": False, "error": f"this machine works for {owner}"})
    if present is None:
        _accept(job, paths)
    if not os.path.exists(paths.end) and not _is_served(paths):
        _serve(job, paths)
    if own_machine(job):
        admit(job["user"], job["clients"])
    if job["rotate_host_key"] and not os.path.exists(paths.host_key):
        _rotate(paths)
    key = None
    if os.path.exists(paths.host_key):
        with open(paths.host_key) as file:
            key = file.read().strip()
    return _answer({"started": True, "host_key": key})


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (one["run"], one["attempt"]) == (other["run"], other["attempt"])


def _answer(value: Mapping[str, object]) -> int:
    print(json.dumps(value), flush=True)
    return 0 if value["started"] else 1


def _accept(job: dict[str, Any], paths: Paths) -> None:
    """The order matters: the dead-man timer counts from the first sign of life once there is a
    job, and the job is what says that everything before it is there."""
    os.makedirs(paths.workflow, exist_ok=True)
    os.makedirs(paths.volatile, 0o755, exist_ok=True)
    write_json(paths.masks, job.pop("masks", []), 0o600)
    login = job.pop("registry", {})
    if login:
        write_json(paths.registry, login, 0o600)
    write_json(paths.secrets, job.pop("secrets", {}), 0o600)
    beat(paths)
    write(paths.job_came, b"")
    write_json(paths.job, job)


def _is_served(paths: Paths) -> bool:
    descriptor = os.open(paths.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)


def _serve(job: Mapping[str, Any], paths: Paths) -> None:
    # Memory that is not used goes back to the machine: it is the container's.
    lean = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, paths.program, "serve", "--root", paths.root]
    if not own_machine(job):
        # A supervisor of two lines: there may be no systemd, or none that is ours.
        loop = ["/bin/sh", "-c", 'until "$@"; do sleep 0.2; done', "dstack-agent", *command]
        with open(paths.output, "ab") as output:
            subprocess.Popen(
                loop,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env={**os.environ, **lean},
                start_new_session=True,
            )
        return
    properties = {
        "Restart": "always",
        "RestartSec": "200ms",
        "StartLimitIntervalSec": "0",
        # A shutdown stops units in reverse order: the agent before the engine.
        "After": "docker.service",
        "KillMode": "mixed",
        "TimeoutStopSec": "110",
        "OOMScoreAdjust": "-900",
    }
    options = [f"--setenv={key}={value}" for key, value in lean.items()]
    options += [f"--property={key}={value}" for key, value in properties.items()]
    done = subprocess.run(
        ["systemd-run", "--quiet", "--no-block", "--unit=" + UNIT, *options, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    # Two starts at once: the other one has made the unit.
    if done.returncode != 0 and b"already" not in done.stderr:
        raise SystemExit("systemd-run: {}".format(done.stderr.decode("utf-8", "replace").strip()))


def _rotate(paths: Paths) -> None:
    """Replace the host key that came with the user data: from here on only this machine knows
    its key. Connections that exist go on."""
    half = _KEY + ".new"
    for leftover in (half, half + ".pub"):
        if os.path.exists(leftover):
            os.unlink(leftover)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", half],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
    )
    with open(half + ".pub") as file:
        public = " ".join(file.read().split()[:2])
    os.replace(half, _KEY)
    os.replace(half + ".pub", _KEY + ".pub")
    for other in glob.glob("/etc/ssh/ssh_host_*_key*"):
        if not other.startswith(_KEY):
            os.unlink(other)
    for unit in ("ssh", "sshd"):
        done = subprocess.run(
            ["systemctl", "reload", unit], stdout=sys.stderr, stderr=sys.stderr, check=False
        )
        if done.returncode == 0:
            break
    write(paths.host_key, public.encode() + b"\n")
