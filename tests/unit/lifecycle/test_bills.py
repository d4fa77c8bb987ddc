"""A run's bill from its records: every machine, every part, until it really ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.config import Timers
from dstack_cloud.cost import Cost
from dstack_cloud.lifecycle.bills import AttemptBill, bill_of, run_cost
from dstack_cloud.lifecycle.budget import transfer_prices
from dstack_cloud.lifecycle.late import note_late
from dstack_cloud.lifecycle.machine_record import machine_as_json
from dstack_cloud.lifecycle.recover import off_the_bill
from dstack_cloud.state import attempts, documents, keys
from dstack_cloud.state.history import AttemptRecord, attempts_of
from dstack_cloud.state.runs import RunState
from dstack_cloud.storage.open import open_store
from dstack_cloud.units import GIB, format_time

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
D = Decimal
TIMERS = Timers(no_job=600, heartbeat=120)


def machine(**changes: Any) -> Machine:
    given: dict[str, Any] = {
        "cloud": "aws",
        "region": "us-east-1",
        "id": "i-1",
        "machine": "g4dn.xlarge",
        "state": MachineState.RUNNING,
        "zone": "us-east-1a",
        "spot": True,
        "price": D("0.2"),
        "on_demand": D("0.5"),
        "launched_at": START,
        "disk": 0,
        "public": False,
    }
    return Machine(**{**given, **changes})


def at(hours: float) -> str:
    return format_time(START + timedelta(hours=hours))


def attempt(
    end: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    late: tuple[Machine, ...] = (),
    **changes: Any,
) -> AttemptBill:
    record = AttemptRecord(
        1,
        {"at": at(0)},
        machine_as_json(machine(**changes), ""),
        {"reason": "exited", **end} if end else None,
        status,
        tuple(machine_as_json(one, "") for one in late),
    )
    (found,) = bill_of("train-1", "train", RunState.DONE, [record]).attempts
    return found


def traffic(sent: int, received: int, region: str = "us-west-2") -> dict[str, Any]:
    return {"traffic": {"sent": sent, "received": received, "region": region}}


def test_every_node_is_paid_until_its_own_end() -> None:
    nodes = [{"node": 0, "ended_at": at(1)}, {"node": 1, "ended_at": at(0.5)}]
    # The third was lost: until when it lived is not known.
    nodes.append({"node": 2, "ended_at": None})
    others = (machine(id="i-2"), machine(id="i-3"))
    end = {"ended_at": at(1), "nodes": nodes, **traffic(0, 0)}
    assert attempt(end, fellows=others).cost.cost == D("0.5")


def test_what_was_moved_between_regions_is_on_the_bill() -> None:
    far = traffic(10 * GIB, 5 * GIB, "sa-east-1")
    found = attempt({"ended_at": at(1), "log_bytes": GIB, **far}).cost
    # To the store at us-east-1's price, from it at sa-east-1's, the log to the internet.
    assert found.transfer == D("0.2") + D("0.69") + D("0.09")
    assert found.cost == D("0.2") + D("0.98")
    # On demand it would have cost as much.
    assert found.on_demand == D("0.5") + D("0.98")


def test_within_a_region_only_the_log_costs() -> None:
    end = {"ended_at": at(1), "log_bytes": GIB, **traffic(900 * GIB, 900 * GIB, "us-east-1")}
    assert attempt(end).cost.transfer == D("0.09")


def test_a_way_of_unknown_price_makes_the_sum_unknown() -> None:
    google = {"cloud": "gcp", "region": "us-central1"}
    far = {"ended_at": at(1), **traffic(GIB, 0, "asia-east1")}
    found = attempt(far, **google).cost
    assert (found.transfer, found.cost, found.on_demand) == (None, None, None)
    assert found.machine == D("0.2")
    # Nothing moved costs nothing, whatever the price.
    assert attempt({"ended_at": at(1), **traffic(0, 0, "asia-east1")}, **google).cost.transfer == 0


def test_a_running_or_lost_machine_is_billed_by_its_last_status() -> None:
    status = {"log_bytes": 0, **traffic(50 * GIB, 0), "prices": [[at(-1), "0.1"], [at(1), "0.3"]]}
    found = attempt({"ended_at": at(2), "reason": "machine-lost"}, status).cost
    assert found.transfer == D(1)
    # The agent told how the spot price moved: an hour at 0.1, one at 0.3.
    assert found.machine == D("0.4")
    assert attempt({"ended_at": at(2), "reason": "exited"}, None).cost.machine == D("0.4")


def test_the_prices_that_the_agent_read_are_its_end_s() -> None:
    end = {"ended_at": at(2), **traffic(0, 0), "prices": [[at(-9), "0.5"], [at(0.5), "0.1"]]}
    assert attempt(end).cost.machine == D("0.25") + D("0.15")
    assert attempt(end, spot=False).cost.machine == D("0.4")


def test_a_machine_that_ended_with_nobody_there_is_billed_until_then() -> None:
    noticed = {"ended_at": at(24), "reason": "machine-lost", "machine_ended_at": at(2)}
    found = attempt(noticed)
    assert found.cost.machine == D("0.4")
    assert found.ended_at == START + timedelta(hours=2)


def test_late_machines_are_on_the_bill() -> None:
    late = machine(id="i-2", price=D("0.3"), ended_at=START + timedelta(seconds=7))
    found = attempt({"ended_at": at(1), **traffic(0, 0)}, late=(late, late))
    # Each for the minute that is billed at least.
    assert found.cost.machine == D("0.2") + 2 * D("0.005")
    assert found.late == 2


@pytest.fixture
def store(tmp_path: Path) -> Any:
    return open_store(str(tmp_path), region=None, profile=None)


def test_late_machines_are_found_in_the_store(store: Any) -> None:
    attempts.claim_attempt(store, "train-1", 1, {"at": at(0)})
    assert run_cost(store, "train-1") == Cost(*[D(0)] * 6)
    for number in range(2):
        note_late(store, "train-1", 1, machine(id=f"i-{number}"))
    (record,) = attempts_of(store, "train-1")
    assert [one["id"] for one in record.late] == ["i-0", "i-1"]
    found = run_cost(store, "train-1").machine
    assert found is not None
    assert found > 0


def test_the_status_of_an_agent_that_told_no_end_is_read(store: Any) -> None:
    for run in ("told-1", "lost-1"):
        attempts.claim_attempt(store, run, 1, {"at": at(0)})
        attempts.record_machine(store, run, 1, machine_as_json(machine(), ""))
        status = documents.encode({"log_bytes": 0, **traffic(50 * GIB, 0)})
        store.put(keys.status(run, 1), status)
    end = {"reason": "exited", "ended_at": at(1), **traffic(0, 0)}
    attempts.record_end(store, "told-1", 1, end)
    attempts.record_end(store, "lost-1", 1, {"reason": "machine-lost", "ended_at": at(1)})
    assert run_cost(store, "told-1").transfer == 0
    assert run_cost(store, "lost-1").transfer == 1


def moment(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("launched", "told", "status", "expected"),
    [
        (None, None, None, None),
        # The cloud knows best.
        (0, 30, 20, 30),
        # Then the agent's last word, and the two minutes in which the next one was due.
        (0, None, 20, 22),
        # No job ever came: the time that one had.
        (0, None, None, 10),
        # Never after now, nor before the launch.
        (0, None, 1439, 1440),
        (1435, None, None, 1440),
        (5, 3, None, 5),
    ],
)
def test_when_a_machine_went_off_the_bill(
    launched: float | None, told: float | None, status: float | None, expected: float | None
) -> None:
    found = off_the_bill(
        None if launched is None else moment(launched),
        None if told is None else moment(told),
        None if status is None else {"updated_at": format_time(moment(status))},
        TIMERS,
        moment(1440),
    )
    assert found == (None if expected is None else moment(expected))


def test_a_budget_takes_the_dearest_way_where_the_price_is_not_known() -> None:
    near = transfer_prices(machine(), "us-east-1")
    assert near == {"sent": "0", "received": "0", "log": "0.09"}
    google = machine(cloud="gcp", region="us-central1")
    assert transfer_prices(google, "asia-east1")["sent"] == "0.19"
