"""The bridge that emulated machines live on, and the metadata address in front of it.

Nothing of the host gets the address 169.254.169.254: what machines of one bridge send there is
redirected to that emulator's own listener on the bridge's gateway. So several emulators run side
by side, and a host that itself is a cloud machine keeps its own metadata service.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from moto_fixtures.machine.paths import LABEL, state_dir
from moto_fixtures.machine.shell import FixtureError, docker, run

METADATA_ADDRESS = "169.254.169.254"


@dataclass(frozen=True)
class Network:
    """One emulator's bridge network. ``name`` is the emulator's, the rest is chosen by create."""

    name: str
    docker_network: str
    bridge: str
    subnet: str
    gateway: str
    imds_port: int
    registry_port: int
    private_port: int = 0

    @property
    def registry(self) -> str:
        """The mirror's URL, as machines reach it."""
        return f"http://{self.gateway}:{self.registry_port}"

    @property
    def comment(self) -> str:
        """What every firewall rule of this emulator carries, so that ``down`` finds them."""
        return f"{LABEL}:{self.name}"

    @classmethod
    def load(cls, name: str) -> Network:
        """The network that ``up`` made under this name."""
        try:
            return cls(**json.loads(_file(name).read_text()))
        except FileNotFoundError as error:
            raise FixtureError(f"no emulator named {name!r} is up") from error


def free_subnet(taken: Iterable[str], preferred: str = "10.213.0.0/16") -> str:
    """The first /24 within ``preferred`` that overlaps none of the ``taken`` networks. Pure."""
    used = [ipaddress.ip_network(text, strict=False) for text in taken]
    for candidate in ipaddress.ip_network(preferred).subnets(new_prefix=24):
        if not any(n.version == 4 and candidate.overlaps(n) for n in used):
            return str(candidate)
    raise FixtureError(f"every network within {preferred} is in use on this host")


def free_port(address: str) -> int:
    """A TCP port that was free on ``address`` a moment ago."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def create(name: str) -> Network:
    """Make the bridge, choose the ports, redirect the metadata address, remember it all."""
    subnet, docker_network = _create_bridge(name)
    gateway = str(next(ipaddress.IPv4Network(subnet).hosts()))
    network = Network(
        name=name,
        docker_network=docker_network,
        bridge=_bridge(name),
        subnet=subnet,
        gateway=gateway,
        imds_port=free_port(gateway),
        registry_port=free_port(gateway),
        private_port=free_port(gateway),
    )
    for rule in (redirect_rule(network), private_rule(network)):
        run(["iptables", "-w", "-t", "nat", "-I", "PREROUTING", *rule])
    path = _file(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(network), indent=1))
    return network


def redirect_rule(network: Network) -> list[str]:
    """The rule that gives the bridge's machines their metadata service. Pure."""
    return [
        *("-i", network.bridge, "-d", f"{METADATA_ADDRESS}/32", "-p", "tcp", "--dport", "80"),
        *("-m", "comment", "--comment", network.comment),
        *("-j", "DNAT", "--to-destination", f"{network.gateway}:{network.imds_port}"),
    ]


def private_rule(network: Network) -> list[str]:
    """The rule that has the gateway's port 80 answer as the registries that want a login. Pure."""
    return [
        *("-i", network.bridge, "-d", f"{network.gateway}/32", "-p", "tcp", "--dport", "80"),
        *("-m", "comment", "--comment", network.comment),
        *("-j", "DNAT", "--to-destination", f"{network.gateway}:{network.private_port}"),
    ]


def partition_rules(network: Network, address: str) -> list[tuple[str, str, list[str]]]:
    """(table, chain, rule) that swallow all packets from and to one machine. Pure.

    Packets vanish, as on a broken wire: nobody gets a reset or an unreachable message.
    """
    mark = ["-m", "comment", "--comment", network.comment, "-j", "DROP"]
    return [
        ("raw", "PREROUTING", ["-i", network.bridge, "-s", f"{address}/32", *mark]),
        ("mangle", "POSTROUTING", ["-o", network.bridge, "-d", f"{address}/32", *mark]),
    ]


def partition(network: Network, address: str, *, begin: bool) -> None:
    """Take one machine's network away, or give it back."""
    for table, chain, rule in partition_rules(network, address):
        verb = "-I" if begin else "-D"
        run(["iptables", "-w", "-t", table, verb, chain, *rule], check=begin)


def remove(name: str) -> None:
    """Take the bridge and every firewall rule of this emulator away. Harmless twice."""
    comment = f"{LABEL}:{name}"
    for table in ("nat", "raw", "mangle"):
        listed = run(["iptables-save", "-t", table], check=False).stdout
        for rule in rules_to_delete(listed, comment):
            run(["iptables", "-w", "-t", table, *rule], check=False)
    docker("network", "rm", _docker_network(name), check=False)
    _file(name).unlink(missing_ok=True)


def rules_to_delete(saved: str, comment: str) -> list[list[str]]:
    """From iptables-save's text, the ``-D`` words for each rule with this comment. Pure."""
    found = []
    for line in saved.splitlines():
        words = [word.strip('"') for word in line.split()]
        if line.startswith("-A ") and comment in words:
            found.append(["-D", *words[1:]])
    return found


def addresses(network: Network) -> list[str]:
    """The addresses that machines may have, lowest first: all but the gateway. Pure."""
    hosts = [str(host) for host in ipaddress.IPv4Network(network.subnet).hosts()]
    return [host for host in hosts if host != network.gateway]


def _create_bridge(name: str) -> tuple[str, str]:
    taken = _networks_in_use()
    # Another emulator may take the same subnet between the look and the creation: look again.
    for _ in range(5):
        subnet = free_subnet(taken)
        made = run(
            [
                *("docker", "network", "create", "--driver", "bridge", "--subnet", subnet),
                *("--label", f"{LABEL}={name}"),
                *("--opt", f"com.docker.network.bridge.name={_bridge(name)}"),
                _docker_network(name),
            ],
            check=False,
        )
        if made.returncode == 0:
            return subnet, _docker_network(name)
        if "overlaps" not in made.stderr:
            raise FixtureError(f"docker network create failed: {made.stderr.strip()}")
        taken = [*taken, subnet]
    raise FixtureError("no free subnet for the emulator's bridge, five were taken meanwhile")


def _networks_in_use() -> list[str]:
    ids = docker("network", "ls", "-q").split()
    form = "{{range .IPAM.Config}}{{.Subnet}} {{end}}"
    # One that has gone meanwhile is no reason to fail: the others are told all the same.
    of_docker = docker("network", "inspect", "--format", form, *ids, check=False).split()
    routes = json.loads(run(["ip", "-j", "-4", "route", "show", "table", "main"]).stdout)
    of_host = [r["dst"] for r in routes if r["dst"] != "default"]
    return of_docker + of_host


def _docker_network(name: str) -> str:
    return f"dcf-{name}"


def _bridge(name: str) -> str:
    # An interface's name has at most 15 characters.
    return f"dcf{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _file(name: str) -> Path:
    return state_dir(name) / "network.json"


def name_servers() -> tuple[str, ...]:
    """The host's name servers that a container can reach, the loopback's left out."""
    # systemd-resolved puts itself into the usual file, and the real servers into its own.
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        if path.exists():
            found = reachable_name_servers(path.read_text())
            if found:
                return found
    return ()


def reachable_name_servers(resolv_conf: str) -> tuple[str, ...]:
    """The ``nameserver`` lines of a resolv.conf that do not name the loopback. Pure."""
    words = [line.split() for line in resolv_conf.splitlines()]
    named = [w[1] for w in words if len(w) > 1 and w[0] == "nameserver"]
    return tuple(n for n in named if not n.startswith("127.") and n != "::1")
