"""Where no machine is to be had: what is tried, what is told, what is remembered, what it costs.

On every cloud, but for the limits, which are read and refused before any cloud is asked, and for
what AWS alone has: a fleet over several zones, and a bid.
"""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.emulated import EVERY_STUB, Emulator, Project, wait_until
from support.shortages import cut_short, latest, launches, short, tidied

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


@EVERY_STUB
def test_no_capacity_anywhere(cloud: Emulator, project: Project) -> None:
    short(cloud)
    # Other GPUs than those of the other tests: what is short is remembered.
    gpu, machine = cloud.words.rare[0]
    done = project.cli("run", "train", "-y", "--gpu", gpu)
    assert done.returncode == 69
    words = cloud.words
    assert f"{words.zones[0]} {machine} spot {words.no_capacity}" in done.stderr
    assert "--wait 30m" in done.stderr
    run = project.json("ps")["runs"][-1]
    assert run["state"] == "failed"
    (bill,) = project.json("cost", run["run"])["runs"]
    assert bill["cost"] == "0"
    assert cloud.machines() == []


@EVERY_STUB
def test_the_next_run_asks_for_what_was_short_last(cloud: Emulator, project: Project) -> None:
    short(cloud, instance_type=cloud.words.t4)
    begun = latest(cloud)
    done = project.cli("run", "train", "-y")
    assert done.returncode == 0, done.stderr
    first, *_ = launches(cloud, begun)
    assert first.types[0] == cloud.words.t4
    begun = latest(cloud)
    done = project.cli("run", "train", "-y")
    assert done.returncode == 0, done.stderr
    (again,) = launches(cloud, begun)
    assert not first.pools & again.pools


@EVERY_STUB
def test_on_demand_where_spot_has_none(cloud: Emulator, project: Project) -> None:
    plan = project.cli("run", "either", "--dry-run").stderr
    cheapest = project.json("offers", "--gpu", "T4", "--on-demand")["offers"][0]
    price = f"{float(cheapest['price']):.3f}"
    assert f"on demand where spot has none: from {price} $/h" in plan
    short(cloud, spot="true")
    begun = latest(cloud)
    cut_short(cloud, project, "run", "either", "-y")
    *before, last = [one.spot for one in launches(cloud, begun)]
    assert not last
    assert set(before) == {True}


@EVERY_STUB
def test_stop_ends_the_waiting(cloud: Emulator, project: Project) -> None:
    short(cloud)
    gpu, _ = cloud.words.rare[0]
    client = project.start("run", "train", "-y", "--gpu", gpu, "--wait", "1h")
    run = wait_until(
        "the run looks for a machine",
        lambda: next(
            (row["run"] for row in project.json("ps")["runs"] if row["state"] == "launching"), None
        ),
    )
    stopped = project.cli("stop", run)
    assert stopped.returncode == 0, stopped.stderr
    _, told = client.communicate(timeout=300)
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
    assert launches(cloud, begun) == []


@EVERY_STUB
def test_how_long_a_budget_lasts(cloud: Emulator, project: Project) -> None:
    plan = project.cli("run", "train", "--dry-run", "--max-cost", "5", "--disk", "900GB").stderr
    (line,) = [line for line in plan.splitlines() if "budget" in line]
    words = line.replace("(", " ").replace(")", " ").replace(",", " ").split()
    hourly = float(words[words.index("at") + 1])
    machine, disk, address = (float(words[words.index(key) + 1]) for key in MONEY)
    assert (disk, address) == cloud.words.beside
    assert hourly == pytest.approx(machine + disk + address, abs=0.002)
    hours, minutes = int(words[words.index("h") - 1]), int(words[words.index("m") - 1])
    assert hours + minutes / 60 == pytest.approx(5 / hourly, rel=0.01)
    unnamed = project.cli("run", "train", "--dry-run", "--max-cost", "5").stderr
    assert "budget 5.00 $ lasts up to" in unnamed


MONEY = ("machine", "disk", "address")


@EVERY_STUB
def test_max_price_leaves_out_what_costs_more(cloud: Emulator, project: Project) -> None:
    """Spot and on demand alike."""
    project.cli("run", "train", "--dry-run")  # Reads today's prices.
    t4 = ("--gpu", "T4", "--region", cloud.words.region)
    for kind in ("--interruptible", "--on-demand"):
        known = [float(offer["price"]) for offer in project.json("offers", kind, *t4)["offers"]]
        limit = str(known[1])
        under = project.json("offers", kind, *t4, "--max-price", limit)["offers"]
        assert [float(offer["price"]) for offer in under] == [
            price for price in known if price <= float(limit)
        ]
    dear = project.cli("run", "train", "-y", "--on-demand", "--max-price", "0.2")
    assert dear.returncode == 69
    assert "costs 0.200 $/h or less" in dear.stderr


def test_max_price_is_a_bid(cloud: Emulator, project: Project) -> None:
    begun = latest(cloud)
    cut_short(cloud, project, "run", "train", "-y", "--max-price", "0.2")
    calls = cloud.get(f"/_emulator/calls?since={begun}")
    (fleet,) = (call for call in calls if call["action"] == cloud.words.launch)
    (config,) = fleet["parameters"]["LaunchTemplateConfigs"]
    assert {override["MaxPrice"] for override in config["Overrides"]} == {"0.2"}


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
    told = cut_short(cloud, project, "run", "train", "-y", "--gpu", "V100")
    assert "the cloud may pick any of 2 zones of p3.2xlarge: 2.000 to 2.100 $/h" in told
    (asked,) = launches(cloud, begun)
    assert asked.types == ("p3.2xlarge",)
    assert len(asked.pools) == 2


@EVERY_STUB
def test_offers_explain_how_spot_is_ranked(cloud: Emulator, project: Project) -> None:
    region = ("--region", cloud.words.region)
    project.cli("catalog", "update", *region)
    t4 = ("--gpu", "T4", *region)
    explained = project.cli("offers", *t4, "--interruptible", "--limit", "2", "--explain")
    assert explained.returncode == 0, explained.stderr
    rows = explained.stdout.split("what an hour of useful work")[1].splitlines()[2:]
    found = [row.split() for row in rows]
    assert {row[1] for row in found} >= {*cloud.words.zones}
    expected = [float(row[-1]) for row in found]
    assert expected == sorted(expected)
    for row in found:
        assert (row[3] != "unknown") == cloud.words.spot_history
        price, dearer = float(row[2]), float(row[3]) if cloud.words.spot_history else 0.0
        assert float(row[-1]) == pytest.approx(
            price * (1 + dearer / 100) * (1 + 0.1 / 48), abs=2e-3
        )
