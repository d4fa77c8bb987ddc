"""One command over SSH that brings the agent and the job onto the machine and starts both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dstack_cloud.errors import UnreachableError
from dstack_cloud.machine.bundle import packed
from dstack_cloud.spec import TOKEN

ROOT = "/var/lib/dstack"

# Reads standard input without a buffer, so that what follows the program (the job) is still
# there for the agent, which goes on in this same process: one interpreter start less.
_BOOTSTRAP = """\
import os, sys, zlib
root = sys.argv[1]
source = open(0, "rb", 0, closefd=False)
size = int(source.readline())
data = b""
while len(data) < size:
    part = source.read(size - len(data))
    if not part:
        sys.exit("the connection ended before the agent had arrived")
    data += part
os.makedirs(root, 0o755, exist_ok=True)
path = os.path.join(root, "agent.pyz")
half = "%s.%d" % (path, os.getpid())
with open(half, "wb") as file:
    file.write(zlib.decompress(data))
os.replace(half, path)
sys.path.insert(0, path)
from agent.main import main
sys.exit(main(["start", "--root", root]))
"""


def bootstrap_argv(root: str = ROOT, python: str = "python3") -> list[str]:
    """What to run on the machine, as root (see `dstack_cloud.ssh.command.sudo`)."""
    return [python, "-c", _BOOTSTRAP, root]


def bootstrap_stdin(bundle: bytes, job: Mapping[str, Any]) -> bytes:
    """What to send to it: the program with its length, then the job, secrets included."""
    program = packed(bundle)
    return b"%d\n%s%s" % (len(program), program, json.dumps(job).encode())


def agent_argv(verb: str, *options: str, root: str = ROOT, python: str = "python3") -> list[str]:
    """Run a verb of an agent that is there: ``follow --offset N``, ``status``."""
    return [python, f"{root}/agent.pyz", verb, "--root", root, *options]


def token_argv(root: str = ROOT, python: str = "python3") -> list[str]:
    """What prints the token of the container's pages, which only the machine's memory holds."""
    # `agent/paths.py` says where its secrets are.
    volatile = "/run/dstack" if root == ROOT else f"{root}/volatile"
    read = f"import json, sys; print(json.load(open(sys.argv[1]))['{TOKEN}'])"
    return [python, "-c", read, f"{volatile}/secrets.json"]


def started_host_key(stdout: bytes) -> str | None:
    """The machine's new public host key from ``start``'s answer; None where it keeps its own.

    Raises UnreachableError when the answer is not a whole one.
    """
    try:
        answer = json.loads(stdout.decode().strip().splitlines()[-1])
        if answer["started"] is not True:
            raise UnreachableError(f"the agent did not start: {answer.get('error', 'no reason')}")
        key = answer["host_key"]
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise UnreachableError("the machine's answer to the start was cut off") from error
    return None if key is None else str(key)
