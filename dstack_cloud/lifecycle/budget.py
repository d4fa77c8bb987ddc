"""What is left of a run's budget: told to the agent, which keeps to it on the machine itself."""

from __future__ import annotations

from decimal import Decimal

from dstack_cloud import transfer
from dstack_cloud.clouds.base import Machine
from dstack_cloud.cost import remaining
from dstack_cloud.errors import CostLimitError
from dstack_cloud.lifecycle.bills import bill_of, machine_rates
from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.rates import rates
from dstack_cloud.state.history import attempts_of
from dstack_cloud.state.runs import RunState
from dstack_cloud.storage.base import Store


def budget_left(store: Store, record: RunRecord, attempt: int) -> Decimal | None:
    """USD that the earlier attempts left for this one; None for a run without a budget.

    Raises CostLimitError when nothing is left, or when what one of them cost is not known.
    """
    if record.max_cost is None:
        return None
    if attempt == 1:
        spent = None if record.brought is None else Decimal(record.brought)
        return _left(record, remaining(record.max_cost, [spent]))
    earlier = [one for one in attempts_of(store, record.run) if one.number < attempt]
    bill = bill_of(record.run, record.workflow, RunState.RECOVERING, earlier)
    return _left(record, remaining(record.max_cost, (one.cost.cost for one in bill.attempts)))


def _left(record: RunRecord, left: Decimal | None) -> Decimal:
    if left is None:
        raise CostLimitError(
            f"what {record.run} has cost so far is not known, nor what is left of its budget of "
            f"{record.max_cost} $",
            f"dstack-cloud cost {record.run} shows the attempts",
        )
    if not left:
        raise CostLimitError(
            f"the budget of {record.run}, {record.max_cost} $, is spent",
            "raise max_cost, or run it again: what it saved is in the store",
        )
    return left


def hourly_price(machine: Machine) -> Decimal | None:
    """USD an hour of a machine with all its parts; None where one is not known.

    A spot price that is not known is taken to be the on-demand price, which a spot machine that
    bids nothing never exceeds (see `dstack_cloud.cost`).
    """
    found = machine_rates(machine)
    if found.machine is None and machine.spot:
        found = rates(
            machine.cloud, machine.region, machine.on_demand, machine.disk, machine.public
        )
    return found.total


def transfer_prices(machine: Machine, store_region: str | None) -> dict[str, str]:
    """USD a GiB that the machine sends to the store, gets from it, or tells as its log.

    What is not known counts as the dearest way out of that cloud: a budget must not be overrun.
    """
    here = transfer.Place(machine.cloud, machine.region)
    store = transfer.Place(machine.cloud, store_region or machine.region)
    ways = {"sent": (here, store), "received": (store, here), "log": (here, None)}
    return {name: f"{transfer.at_most(*way):f}" for name, way in ways.items()}
