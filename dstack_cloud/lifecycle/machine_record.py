"""What is written of a machine to ``machine.json``, and read back by whoever joins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.units import format_time, parse_time

_MONEY = ("price", "on_demand")


def machine_as_json(machine: Machine, host_key: str) -> dict[str, Any]:
    """The machine and its public host key, JSON-ready."""
    return {
        **vars(machine),
        **{key: _text(getattr(machine, key)) for key in _MONEY},
        "state": str(machine.state),
        "tags": dict(machine.tags),
        "launched_at": format_time(machine.launched_at) if machine.launched_at else None,
        "host_key": host_key,
    }


def machine_from_json(data: Mapping[str, Any]) -> tuple[Machine, str]:
    """The machine and its public host key, as `machine_as_json` wrote them."""
    fields = {key: value for key, value in data.items() if key != "host_key"}
    machine = Machine(**{**fields, "state": MachineState(fields["state"])})
    launched = data.get("launched_at")
    return (
        replace(
            machine,
            launched_at=parse_time(launched) if launched else None,
            price=_money(data["price"]),
            on_demand=_money(data["on_demand"]),
        ),
        str(data["host_key"]),
    )


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _money(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)
