"""Who may not reach the metadata server: only containers on their machine's own network."""

from __future__ import annotations

import itertools

from dstack_cloud.machine.agent.shield import on_host_network, parent_words, rule, shield
from dstack_cloud.spec import ContainerSpec
from dstack_cloud.ssh.docker import run_argv

SPEC = ContainerSpec("ubuntu", command=("--network", "host"), ports=(8888,))
NODES = {"node-0": "10.0.0.1", "node-1": "10.0.0.2"}


def test_a_container_alone_is_on_a_bridge_and_started_as_it_is() -> None:
    argv = run_argv(SPEC, name="dstack")
    assert argv[argv.index("--network") + 1] == "bridge"
    assert shield(argv[: argv.index("ubuntu")], "i-1") == argv[: argv.index("ubuntu")]


def test_a_node_has_its_machines_network_and_name_and_no_raw_packets() -> None:
    argv = run_argv(SPEC, name="dstack", fellows=NODES, hostname="node-1")
    options = argv[: argv.index("ubuntu")]
    assert on_host_network(options)
    pairs = list(itertools.pairwise(options))
    assert ("--hostname", "node-1") in pairs
    assert ("--cap-drop", "NET_RAW") in pairs
    assert [value for option, value in pairs if option == "--add-host"] == [
        "node-0:10.0.0.1",
        "node-1:10.0.0.2",
    ]
    # What is on the machine's network needs no publishing, and Docker would warn.
    assert "--publish" not in options


def test_the_container_gets_the_group_that_the_firewall_knows() -> None:
    argv = parent_words("/dstack.i-1", ["docker", "run", "--detach", "ubuntu"])
    assert argv == ["docker", "run", "--cgroup-parent", "/dstack.i-1", "--detach", "ubuntu"]


def test_the_name_server_at_the_same_address_stays_in_reach() -> None:
    words = rule("169.254.169.254/32", ["--path", "dstack.slice"])
    assert words[:9] == [
        *("-d", "169.254.169.254/32", "-p", "tcp", "!", "--dport", "53", "-m", "cgroup"),
    ]
    assert words[-2:] == ["--reject-with", "tcp-reset"]
