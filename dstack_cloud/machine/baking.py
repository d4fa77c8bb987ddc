"""What is run on the machine that an image is made of."""

from __future__ import annotations

from pathlib import Path

EXIT = "dstack-exit "
_BEAT = (
    "cut -d ' ' -f 1 /proc/uptime >/run/dstack/heartbeat.new"
    " && mv /run/dstack/heartbeat.new /run/dstack/heartbeat"
)


def begin_argv(limit_s: int) -> list[str]:
    """From now on the dead-man timer ends the machine when no `beat_argv` came for its heartbeat's
    time, and ``limit_s`` seconds on at last."""
    script = (
        "set -eu; read -r up rest </proc/uptime; "
        f"echo $((${{up%%.*}} + {limit_s})) >/run/dstack/hard_limit; "
        f"{_BEAT}; touch /run/dstack/job"
    )
    return ["sh", "-c", script]


def beat_argv() -> list[str]:
    """Tells the machine that its builder is there."""
    return ["sh", "-c", _BEAT]


def push_argv(name: str) -> list[str]:
    """Takes a script from standard input."""
    return ["sh", "-c", f"cat >/run/dstack/{name}.sh"]


def run_argv(name: str, environment: dict[str, str]) -> list[str]:
    """Runs a script that was pushed; all it says comes on standard output, and last a line that
    begins with `EXIT` and has its exit code."""
    pairs = [f"{key}={value}" for key, value in environment.items()]
    return ["env", *pairs, "sh", "-c", f"sh /run/dstack/{name}.sh 2>&1; echo {EXIT}$?"]


def script(name: str) -> bytes:
    """The text of ``provision``, ``contents`` or ``seal``."""
    return (Path(__file__).parent / f"{name}.sh").read_bytes()
