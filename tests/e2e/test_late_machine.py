"""Two regions asked at once: the first machine wins, and the late one is gone at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import warm
from support.emulated import wait_until
from support.lane import STORE, USER, Lane, lanes

from dstack_cloud.units import parse_time

_CLIENTS: list[ForkServerProcess] = []
NEAR, FAR = "us-east-1", "us-west-2"
_WORKFLOW = """
workflows:
  - name: {name}
    provider: docker
    image: ubuntu
    resources: {{gpu: T4, interruptible: true}}
    commands: ["until test -e {go}; do sleep 0.1; done"]
"""


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    with lanes(1, tmp_path_factory.mktemp("lanes")) as (found,):
        for region, price in ((NEAR, "0.2"), (FAR, "0.3")):
            body = {"instance_type": "g4dn.*", "zone": f"{region}*", "price": price}
            found.emulator.post("/_emulator/spot-price", body)
        key = found.emulator.get("/_emulator/keys")["dstack-admin"]
        admin = {
            **found.home("admin"),
            "AWS_ACCESS_KEY_ID": key["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": key["secret_access_key"],
        }
        words = ("init", "--cloud", "aws", "--store", f"s3://{STORE}", "-y")
        assert found.run(admin, *words, "--region", NEAR, "--region", FAR) == 0, found.said()
        yield found
        for process in _CLIENTS:
            process.kill()
            warm.ended(process)


def _user(lane: Lane, name: str, folder: Path, **timers: str) -> dict[str, str]:
    """Somebody who allows both regions, and a workflow of theirs."""
    environ = lane.home(name, **timers)
    file = Path(environ["DSTACK_CLOUD_CONFIG"])
    config = yaml.safe_load(file.read_text())
    config["aws"]["regions"] = [NEAR, FAR]
    file.write_text(yaml.safe_dump(config))
    workflows = lane.folder / ".dstack" / "workflows.yaml"
    workflows.parent.mkdir(exist_ok=True)
    workflows.write_text(_WORKFLOW.format(name=name, go=folder / "go"))
    return environ


def _slow(lane: Lane, region: str, seconds: float, when: str = "before") -> None:
    order = {"action": "CreateFleet", "match": {"region": region}, "delay_s": seconds}
    lane.emulator.post("/_emulator/faults", {**order, "when": when})


def _machines(lane: Lane, run: str) -> dict[str, dict[str, Any]]:
    """A run's machines by their regions."""
    rows = lane.emulator.get("/_emulator/machines")
    return {row["zone"][:-1]: row for row in rows if run in row["tags"].values()}


def test_the_late_machine_is_ended_at_once(lane: Lane, tmp_path: Path) -> None:
    environ = _user(lane, "late", tmp_path, no_job="10m", heartbeat="2m")
    since = lane.mark()
    _slow(lane, NEAR, 12)
    client = lane.begin(environ, "run", "late", "-y")
    _CLIENTS.append(client)
    wait_until("both are there", lambda: len(_machines(lane, "late-1")) == 2)
    wait_until("the late one is gone", lambda: _machines(lane, "late-1")[NEAR]["state"] == "off")
    found = _machines(lane, "late-1")
    assert found[FAR]["state"] == "running"
    recorded = json.loads(lane.read("runs/late-1/attempts/1/machine.json"))
    assert recorded["id"] == found[FAR]["id"]
    (ended,) = [
        call
        for call in lane.calls(since)
        if call["action"] == "TerminateInstances" and call["principal"] == USER
    ]
    assert ended["region"] == NEAR
    (tmp_path / "go").touch()
    assert warm.ended(client) == 0, lane.said()
    assert lane.machines_left(20) == []
    (row,) = [row for row in lane.ask(environ, "ps", "--all")["runs"] if row["run"] == "late-1"]
    assert (row["state"], row["attempt"]) == ("done", 1)
    # Its minute, the least that is billed, is on the run's bill.
    late = json.loads(lane.read("runs/late-1/attempts/1/late.json"))["machines"]
    assert [one["id"] for one in late] == [found[NEAR]["id"]]
    (bill,) = lane.ask(environ, "cost", "late-1")["runs"]
    assert bill["attempts"][0]["late_machines"] == 1
    used = (parse_time(bill["attempts"][0]["ended_at"]) - started(bill)).total_seconds()
    mine = Decimal(late[0]["price"]) * 60 / 3600
    other = Decimal(recorded["price"]) * Decimal(max(used, 60)) / 3600
    assert abs(Decimal(bill["parts"]["machine"]) - mine - other) < Decimal("0.0003")


def test_a_client_that_detaches_waits_for_the_late_machine(lane: Lane, tmp_path: Path) -> None:
    environ = _user(lane, "leaves", tmp_path, no_job="10m", heartbeat="2m")
    _slow(lane, NEAR, 12)
    assert lane.run(environ, "run", "leaves", "-y", "-d") == 0, lane.said()
    found = _machines(lane, "leaves-1")
    assert set(found) == {NEAR, FAR}
    wait_until("it is gone", lambda: _machines(lane, "leaves-1")[NEAR]["state"] == "off", 10)
    assert _machines(lane, "leaves-1")[FAR]["state"] == "running"
    (tmp_path / "go").touch()
    assert lane.machines_left(20) == []


def test_both_end_by_themselves_when_the_client_is_killed(lane: Lane, tmp_path: Path) -> None:
    environ = _user(lane, "killed", tmp_path, no_job="5s", heartbeat="20s")
    since = lane.mark()
    for region in (NEAR, FAR):
        _slow(lane, region, 9)
    client = lane.begin(environ, "run", "killed", "-y")
    _CLIENTS.append(client)
    wait_until("both are asked", lambda: _asked(lane, since) == [NEAR, FAR])
    client.kill()
    warm.ended(client)
    wait_until("both are there", lambda: len(_machines(lane, "killed-1")) == 2)
    assert lane.machines_left(30) == []
    rows = lane.ask(environ, "ps", "--all")["runs"]
    assert [row["state"] for row in rows if row["run"] == "killed-1"] == ["lost"]


def started(bill: dict[str, Any]) -> datetime:
    return parse_time(bill["attempts"][0]["started_at"])


def _asked(lane: Lane, since: int) -> list[str]:
    return [call["region"] for call in lane.calls(since) if call["action"] == "CreateFleet"]
