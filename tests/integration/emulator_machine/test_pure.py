"""The decisions behind emulated machines, without any machine."""

from __future__ import annotations

import json
import queue
import subprocess
from datetime import UTC, datetime

import pytest

from moto_fixtures.machine import apt, flags, imds, network, nvidia
from moto_fixtures.machine.base import Ec2Facts, MachineSpec
from moto_fixtures.machine.container import Settings, daemon_json
from moto_fixtures.machine.network import Network
from moto_fixtures.machine.served import Served
from moto_fixtures.machine.shell import FixtureError
from moto_fixtures.machine.stub import StubMachines, stub_address

NET = Network("a", "dcf-a", "dcf0", "10.213.4.0/24", "10.213.4.1", 1080, 5000)


def spec(**more: object) -> MachineSpec:
    plain: dict[str, object] = {
        "id": "i-0abc",
        "user_data": b"",
        "public_ip": False,
        "region": "us-east-1",
        "zone": "us-east-1a",
        "instance_type": "t3.small",
        "spot": False,
        "image": "ami-1",
        "ready": False,
        "gpus": 0,
        "gpu_name": None,
        "facts": Ec2Facts("r", hop_limit=1, token_required=True),
    }
    return MachineSpec(**(plain | more))  # type: ignore[arg-type]


def served_by_ec2(paths: dict[str, str]) -> Served:
    facts = Ec2Facts(None, hop_limit=1, token_required=True, paths=paths)
    return Served(spec(facts=facts), "10.213.4.9", datetime.now(UTC))


def test_a_subnet_that_overlaps_nothing():
    assert network.free_subnet([]) == "10.213.0.0/24"
    taken = ["10.213.0.0/23", "172.17.0.0/16", "10.213.2.7", "fd00::/8"]
    assert network.free_subnet(taken) == "10.213.3.0/24"
    with pytest.raises(FixtureError, match="in use"):
        network.free_subnet(["10.0.0.0/8"])


def test_addresses_leave_the_gateway_out():
    found = network.addresses(NET)
    assert (found[0], found[-1], len(found)) == ("10.213.4.2", "10.213.4.254", 253)


def test_only_rules_of_this_very_emulator_are_deleted():
    saved = """*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -i x -m comment --comment "dstack-cloud-fixtures:a" -j DNAT --to-destination 1.2.3.4:5
-A PREROUTING -i y -m comment --comment "dstack-cloud-fixtures:ab" -j DROP
-A POSTROUTING -j MASQUERADE
"""
    assert network.rules_to_delete(saved, NET.comment) == [
        [
            *("-D", "PREROUTING", "-i", "x", "-m", "comment", "--comment"),
            *("dstack-cloud-fixtures:a", "-j", "DNAT", "--to-destination", "1.2.3.4:5"),
        ]
    ]


def test_name_servers_on_the_loopback_are_left_out():
    text = "# c\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nsearch x\nnameserver ::1\n"
    assert network.reachable_name_servers(text) == ("10.0.0.2",)


def test_only_the_distributions_own_repositories_are_taken():
    targets = "\n".join(
        [
            "Debian|http://m/debian/|trixie|main",
            "Debian|http://m/debian/|trixie|contrib",
            "Debian|http://m/debian/|trixie|main",
            "Debian|http://m/security/|trixie-security|main",
            "Debian|http://m/debian/|trixie-backports|main",
            "Debian|http://m/debian/|sid|main",
            "Third|http://third/|trixie|main",
        ]
    )
    found = apt.repositories(targets, "debian", "trixie")
    settings = apt.AptSettings("debian", "trixie", found, ('Acquire::http::Proxy "http://p:1";',))
    assert apt.sources_list(settings) == (
        "deb http://m/debian/ trixie main contrib\ndeb http://m/security/ trixie-security main\n"
    )
    assert settings.main.uri == "http://m/debian/"
    assert settings.proxy == "http://p:1"


def test_only_the_options_of_fetching_are_taken():
    wanted = [
        'Acquire::http::Proxy "http://p:1";',
        'Acquire::https::mirror.example::Verify-Peer "false";',
        'Acquire::Check-Valid-Until "false";',
    ]
    others = [
        'Acquire::IndexTargets "";',
        'APT::Install-Recommends "1";',
        'Acquire::http::Proxy-Auto-Detect "/usr/bin/x";',
    ]
    assert apt.options("\n".join(wanted + others)) == tuple(wanted)


def test_capabilities_that_the_host_lacks_are_not_asked_for():
    everything = flags.Host(cgroup_version=1, capabilities=(1 << 41) - 1, fuse=True)
    without = flags.Host(cgroup_version=2, capabilities=((1 << 41) - 1) & ~(1 << 24), fuse=False)
    assert "--cap-add=SYS_RESOURCE" in flags.systemd_words(everything)
    assert "--cap-add=SYS_RESOURCE" not in flags.systemd_words(without)
    assert "--cap-add=SYS_ADMIN" in flags.systemd_words(without)
    assert "--cgroupns=host" in flags.systemd_words(everything)
    assert "--cgroupns=private" in flags.systemd_words(without)
    assert "--device=/dev/fuse" not in flags.systemd_words(without)


def test_the_machines_docker_has_mirror_and_name_servers():
    host = flags.Host(cgroup_version=1, capabilities=0, fuse=False)
    config = json.loads(daemon_json(Settings(NET, host, (), ("10.0.0.2",)), "i-0abc"))
    assert config["registry-mirrors"] == ["http://10.213.4.1:5000"]
    assert config["dns"] == ["10.0.0.2"]
    assert config["cgroup-parent"] == "/dstack-cloud-fixtures.a.i-0abc"


def test_metadata_is_a_tree():
    served = served_by_ec2({"meta-data/extra/x": "y"})
    paths = list(imds.leaves(served))
    assert imds.directory(paths, "") == "dynamic/\nmeta-data/"
    assert imds.directory(paths, "meta-data/extra/") == "x"
    assert imds.directory(paths, "meta-data/ext") is None
    listing = (imds.directory(paths, "meta-data") or "").split("\n")
    assert "placement/" in listing
    assert "public-ipv4" not in listing
    assert "spot/" not in listing
    public = imds.leaves(Served(spec(public_ip=True), "10.213.4.9", datetime.now(UTC)))
    assert public["meta-data/public-ipv4"] == "10.213.4.9"


def test_the_listing_of_keys_is_a_text_of_its_own():
    """As EC2's: `0=NAME`, which is what cloud-init reads, beside the key below `0/`."""
    keys = {
        "meta-data/public-keys": "0=mine",
        "meta-data/public-keys/0/openssh-key": "ssh-ed25519 A",
    }
    served = served_by_ec2(keys)
    leaves = imds.leaves(served)
    listing = (imds.directory(list(leaves), "meta-data") or "").split("\n")
    assert [one for one in listing if one.startswith("public-keys")] == ["public-keys/"]
    assert leaves["meta-data/public-keys"] == "0=mine"


def test_nvidia_smi_knows_its_gpus():
    def ask(*words: str) -> list[str]:
        argv = ["sh", "-c", nvidia.smi("Tesla V100", 2), "nvidia-smi", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()

    assert ask("--query-gpu=name", "--format=csv,noheader") == ["Tesla V100", "Tesla V100"]
    assert [line[:17] for line in ask("-L")] == ["GPU 0: Tesla V100", "GPU 1: Tesla V100"]
    assert len(ask()) == 3


def test_stub_machines_live_and_end():
    exits: queue.Queue[tuple[str, str]] = queue.Queue()
    stubs = StubMachines(lambda id_, why: exits.put((id_, why)))
    first, second = stubs.launch(spec(id="i-1")), stubs.launch(spec(id="i-2"))
    assert first != second
    assert [m["state"] for m in stubs.listing()] == ["running", "running"]
    stubs.notice("i-1", "terminate", datetime(2031, 1, 1, tzinfo=UTC))
    assert "meta-data/spot/instance-action" in stubs.listing()[0]["notices"]  # type: ignore[operator]
    stubs.kill("i-1")
    assert exits.get(timeout=5) == ("i-1", "killed")
    stubs.terminate("i-1")
    stubs.terminate("i-2")
    assert exits.get(timeout=5) == ("i-2", "terminated")
    assert [m["reason"] for m in stubs.listing()] == ["killed", "terminated"]
    with pytest.raises(KeyError):
        stubs.partition("i-3", 1)
    stubs.close()
    assert exits.empty()


def test_stub_addresses_are_all_different():
    found = {stub_address(index) for index in range(1000)}
    assert len(found) == 1000
    assert not any(address.endswith((".0", ".255")) for address in found)
