"""Where no machine is to be had: what is tried, what is told, what is remembered, what it costs."""

from __future__ import annotations

import signal
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.emulated import Emulator, Project, wait_until
from support.shortages import fleets, latest, short, tidied

WORKFLOWS = """
    workflows:
      - name: train
        provider: docker
        image: ubuntu
        commands: [echo hello]
        resources: {gpu: T4, interruptible: true}
      - name: either
        provider: docker
        image: ubuntu
        commands: [echo hello]
        resources: {gpu: T4, interruptible: true, fallback: on-demand}
      - name: cheap
        provider: docker
        image: ubuntu
        commands: [echo hello]
        max_cost: 0.0001
        resources: {gpu: T4, interruptible: true}
"""


@pytest.fixture
def cloud(stub: Emulator) -> Iterator[Emulator]:
    yield from tidied(stub)


@pytest.fixture
def project(cloud: Emulator, tmp_path: Path) -> Project:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    found = Project(tmp_path, cloud.environ)
    found.workflows(textwrap.dedent(WORKFLOWS))
    return found


def launched(cloud: Emulator, since: int) -> None:
    """Wait until a client has its machine: the first that it does then is to look at it."""

    def looked() -> bool:
        calls = cloud.get(f"/_emulator/calls?since={since}")
        return any(call["action"] == "DescribeInstanceAttribute" for call in calls)

    wait_until("a machine", looked)


def types_asked(call: dict[str, Any]) -> list[str]:
    (config,) = call["parameters"]["LaunchTemplateConfigs"]
    return [override["InstanceType"] for override in config["Overrides"]]


def pools_asked(call: dict[str, Any]) -> set[tuple[str, str]]:
    (config,) = call["parameters"]["LaunchTemplateConfigs"]
    return {(override["InstanceType"], override["SubnetId"]) for override in config["Overrides"]}


def cancelled(client: subprocess.Popen[str]) -> str:
    """What the client said until it was interrupted; it leaves no machine."""
    client.send_signal(signal.SIGINT)
    told = client.communicate(timeout=60)[1]
    assert client.returncode == 130, told
    return told


def test_no_capacity_anywhere(cloud: Emulator, project: Project) -> None:
    short(cloud)
    # Other GPUs than those of the other tests: what is short is remembered.
    done = project.cli("run", "train", "-y", "--gpu", "A10G")
    assert done.returncode == 69
    assert "us-east-1a g5.xlarge spot InsufficientInstanceCapacity" in done.stderr
    assert "--wait 30m" in done.stderr
    run = project.json("ps")["runs"][-1]
    assert run["state"] == "failed"
    (bill,) = project.json("cost", run["run"])["runs"]
    assert bill["cost"] == "0"
    assert cloud.machines() == []


def test_the_next_run_asks_for_what_was_short_last(cloud: Emulator, project: Project) -> None:
    short(cloud, instance_type="g4dn.xlarge")
    begun = latest(cloud)
    client = project.start("run", "train", "-y")
    launched(cloud, begun)
    cancelled(client)
    first, *_ = fleets(cloud, begun)
    assert types_asked(first)[0] == "g4dn.xlarge"
    begun = latest(cloud)
    client = project.start("run", "train", "-y")
    launched(cloud, begun)
    cancelled(client)
    (again,) = fleets(cloud, begun)
    assert not pools_asked(first) & pools_asked(again)
    wait_until("no machine is left", lambda: not cloud.machines())


def test_on_demand_where_spot_has_none(cloud: Emulator, project: Project) -> None:
    plan = project.cli("run", "either", "--dry-run").stderr
    assert "on demand where spot has none: from 0.526 $/h" in plan
    short(cloud, spot="true")
    begun = latest(cloud)
    client = project.start("run", "either", "-y")
    launched(cloud, begun)
    cancelled(client)
    kinds = [
        call["parameters"]["TargetCapacitySpecification"]["DefaultTargetCapacityType"]
        for call in fleets(cloud, begun)
    ]
    assert kinds[-1] == "on-demand"
    assert set(kinds[:-1]) == {"spot"}
    wait_until("no machine is left", lambda: not cloud.machines())


def test_stop_ends_the_waiting(cloud: Emulator, project: Project) -> None:
    short(cloud)
    client = project.start("run", "train", "-y", "--gpu", "A10G", "--wait", "1h")
    run = wait_until(
        "the run looks for a machine",
        lambda: next(
            (row["run"] for row in project.json("ps")["runs"] if row["state"] == "launching"), None
        ),
    )
    stopped = project.cli("stop", run)
    assert stopped.returncode == 0, stopped.stderr
    _, told = client.communicate(timeout=60)
    assert client.returncode == 130
    assert "stopped" in told
    assert project.state(run) == "stopped"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cheap",), ".dstack/workflows.yaml:17:15: a budget of 0.0001 $ is less than the 60 s"),
        (("train", "--max-cost", "0.0001"), "--max-cost: a budget of 0.0001 $"),
        (("train", "--max-cost", "much"), "--max-cost: 'much' is not an amount"),
        (("train", "--on-demand", "--on-demand-after", "5m"), "--on-demand-after"),
        (("train", "--wait", "soon"), "--wait: 'soon' is not a duration"),
    ],
)
def test_limits_that_will_not_do(
    cloud: Emulator, project: Project, arguments: tuple[str, ...], words: str
) -> None:
    begun = latest(cloud)
    done = project.cli("run", *arguments, "-y")
    assert done.returncode == 2
    assert words in done.stderr
    assert fleets(cloud, begun) == []


def test_how_long_a_budget_lasts(cloud: Emulator, project: Project) -> None:
    plan = project.cli("run", "train", "--dry-run", "--max-cost", "5", "--disk", "900GB").stderr
    (line,) = [line for line in plan.splitlines() if "budget" in line]
    words = line.replace("(", " ").replace(")", " ").replace(",", " ").split()
    hourly = float(words[words.index("at") + 1])
    machine, disk, address = (float(words[words.index(key) + 1]) for key in MONEY)
    assert disk == 0.1
    assert address == 0.005
    assert hourly == pytest.approx(machine + disk + address, abs=0.002)
    hours, minutes = int(words[words.index("h") - 1]), int(words[words.index("m") - 1])
    assert hours + minutes / 60 == pytest.approx(5 / hourly, rel=0.01)
    unnamed = project.cli("run", "train", "--dry-run", "--max-cost", "5").stderr
    assert "budget 5.00 $ lasts up to" in unnamed


MONEY = ("machine", "disk", "address")


def test_max_price_is_filter_and_bid(cloud: Emulator, project: Project) -> None:
    """It leaves out what costs more, spot and on demand alike, and goes with the fleet."""
    project.cli("run", "train", "--dry-run")  # Reads today's prices.
    prices = {
        kind: [float(offer["price"]) for offer in project.json("offers", *kind, *T4)["offers"]]
        for kind in (("--interruptible",), ("--on-demand",))
    }
    for kind, known in prices.items():
        limit = str(known[1])
        under = project.json("offers", *kind, *T4, "--max-price", limit)["offers"]
        assert [float(offer["price"]) for offer in under] == [
            price for price in known if price <= float(limit)
        ]
    begun = latest(cloud)
    client = project.start("run", "train", "-y", "--max-price", "0.2")
    launched(cloud, begun)
    cancelled(client)
    (fleet,) = fleets(cloud, begun)
    (config,) = fleet["parameters"]["LaunchTemplateConfigs"]
    assert {override["MaxPrice"] for override in config["Overrides"]} == {"0.2"}
    dear = project.cli("run", "train", "-y", "--on-demand", "--max-price", "0.2")
    assert dear.returncode == 69
    assert "costs 0.200 $/h or less" in dear.stderr


T4 = ("--gpu", "T4", "--region", "us-east-1")


def test_a_fleet_gets_only_zones_that_cost_about_the_same(
    cloud: Emulator, project: Project
) -> None:
    prices = {"us-east-1a": "2.0", "us-east-1b": "2.1", "*": "3"}
    for zone in ("*", "us-east-1a", "us-east-1b"):
        body = {"instance_type": "p3.*", "zone": zone, "price": prices[zone]}
        cloud.post("/_emulator/spot-price", body)
    # Prices that were read a moment ago would count as today's.
    project.cli("catalog", "update", "--region", "us-east-1")
    begun = latest(cloud)
    client = project.start("run", "train", "-y", "--gpu", "V100")
    launched(cloud, begun)
    told = cancelled(client)
    assert "the cloud may pick any of 2 zones of p3.2xlarge: 2.000 to 2.100 $/h" in told
    (fleet,) = fleets(cloud, begun)
    assert types_asked(fleet) == ["p3.2xlarge", "p3.2xlarge"]


def test_offers_explain_how_spot_is_ranked(cloud: Emulator, project: Project) -> None:
    explained = project.cli("offers", *T4, "--interruptible", "--limit", "2", "--explain")
    assert explained.returncode == 0, explained.stderr
    rows = explained.stdout.split("what an hour of useful work")[1].splitlines()[2:]
    found = [row.split() for row in rows]
    assert {row[1] for row in found} >= {"us-east-1a", "us-east-1b"}
    expected = [float(row[-1]) for row in found]
    assert expected == sorted(expected)
    for row in found:
        price, dearer = float(row[2]), float(row[3])
        assert float(row[-1]) == pytest.approx(
            price * (1 + dearer / 100) * (1 + 0.1 / 48), abs=2e-3
        )
