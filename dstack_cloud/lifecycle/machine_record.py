"""What is written of a machine to ``machine.json``, and read back by whoever joins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.units import format_time, parse_time

_MONEY = ("price", "on_demand")
_MOMENTS = ("launched_at", "ended_at")


def machine_as_json(machine: Machine, host_key: str) -> dict[str, Any]:
    """The machine, with those launched beside it, and its public host key, JSON-ready."""
    return {**_as_json(machine), "host_key": host_key}


def machine_from_json(data: Mapping[str, Any]) -> tuple[Machine, str]:
    """The machine and its public host key, as `machine_as_json` wrote them."""
    fields = {key: value for key, value in data.items() if key != "host_key"}
    return _from_json(fields), str(data["host_key"])


def _as_json(machine: Machine) -> dict[str, Any]:
    return {
        **vars(machine),
        **{key: _text(getattr(machine, key)) for key in _MONEY},
        "state": str(machine.state),
        "tags": dict(machine.tags),
        **{key: _moment(getattr(machine, key)) for key in _MOMENTS},
        "fellows": [_as_json(each) for each in machine.fellows],
    }


def _from_json(fields: Mapping[str, Any]) -> Machine:
    machine = Machine(**{**fields, "state": MachineState(fields["state"])})
    moments = {key: fields.get(key) for key in _MOMENTS}
    return replace(
        machine,
        launched_at=parse_time(moments["launched_at"]) if moments["launched_at"] else None,
        ended_at=parse_time(moments["ended_at"]) if moments["ended_at"] else None,
        price=_money(fields["price"]),
        on_demand=_money(fields["on_demand"]),
        fellows=tuple(_from_json(each) for each in fields.get("fellows", ())),
    )


def _moment(value: datetime | None) -> str | None:
    return None if value is None else format_time(value)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _money(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)
