"""Keeps a container that is on the machine's own network from the machine's credentials.

A limit of hops or a rule for what is forwarded holds for containers on a bridge only. One on the
host's network is told apart by its control group: a parent of its own, which the kernel's firewall
matches, while the agent and the machine's own programs go on to reach the metadata.

https://docs.kernel.org/admin-guide/cgroup-v2.html (and cgroup-v1/net_cls.html)
iptables-extensions(8), "cgroup"
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from .errors import Failure
from .firewall import ask

GROUP = "dstack"
# Any number that nobody else uses: 0xAAAABBBB, as tc writes it AAAA:BBBB.
_CLASS = "0x00d50001"
_V1 = ("/sys/fs/cgroup/net_cls", "/sys/fs/cgroup/net_cls,net_prio")
_COMMENT = ["-m", "comment", "--comment", "dstack: the credentials are the machine's alone"]
# The metadata server, by its addresses on EC2 and Compute Engine. Its port 53 is the network's name
# server on the latter, which containers need.
_SERVERS = (
    ("iptables", "169.254.169.254/32"),
    ("ip6tables", "fd00:ec2::254/128"),
    ("ip6tables", "fd20:ce::254/128"),
)


def rule(address: str, match: Sequence[str]) -> list[str]:
    """What refuses the group's connections to a metadata server: pure."""
    words = ["-d", address, "-p", "tcp", "!", "--dport", "53", "-m", "cgroup", *match]
    return [*words, *_COMMENT, "-j", "REJECT", "--reject-with", "tcp-reset"]


def on_host_network(argv: Sequence[str]) -> bool:
    """Whether a ``docker run`` line asks for the machine's own network: pure."""
    return any(pair == ("--network", "host") for pair in zip(argv, argv[1:]))


def parent_words(parent: str, argv: Sequence[str]) -> list[str]:
    """``argv`` with the container below a group: pure."""
    return [*argv[:2], "--cgroup-parent", parent, *argv[2:]]


def shield(argv: Sequence[str], machine: str) -> list[str]:
    """The line to start the container with, once the firewall knows its group. Failure where that
    cannot be: a container must not run without it."""
    if not on_host_network(argv):
        return list(argv)
    parent, match = _group(f"{GROUP}.{machine.rpartition('/')[2]}")
    for program, address in _SERVERS:
        words = rule(address, match)
        if ask(program, "-C", "OUTPUT", *words) is None:
            continue
        problem = ask(program, "-I", "OUTPUT", *words)
        # A machine without IPv6 has no such server either.
        if problem is not None and program == "iptables":
            raise Failure(
                "setup",
                f"the container cannot be kept from the machine's credentials: {problem}",
                "the machine's image must have a working iptables with its match 'cgroup'",
            )
    return parent_words(parent, argv)


def _group(name: str) -> tuple[str, list[str]]:
    """A control group for the container, and what the firewall knows it by."""
    try:
        if _docker("info", "--format", "{{.CgroupDriver}}") == "systemd":
            parent = inside = GROUP + ".slice"
            subprocess.run(["systemctl", "start", parent], check=True, stdin=subprocess.DEVNULL)
        else:
            parent, inside = f"/{name}", name
        v1 = next((folder for folder in _V1 if os.path.isdir(folder)), None)
        if v1 is None:
            os.makedirs(f"/sys/fs/cgroup/{inside}", exist_ok=True)
            return parent, ["--path", inside]
        # With the older groups, what is in one has its class, which the firewall reads.
        place = os.path.join(v1, inside)
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, "net_cls.classid"), "w") as file:
            file.write(str(int(_CLASS, 16)))
        return parent, ["--cgroup", _CLASS]
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failure(
            "setup", f"the container gets no control group of its own: {error}"
        ) from error


def _docker(*words: str) -> str:
    done = subprocess.run(
        ["docker", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.stdout.decode("utf-8", "replace").strip()
