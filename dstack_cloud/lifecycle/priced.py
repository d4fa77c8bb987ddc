"""What a machine costs that its client could not put on record: by the offers it was asked for.

A cloud's listing tells no prices. So the intent of an attempt keeps those of its offers, for
whoever takes over from a client that was killed between the launch and the record: the run's bill
and its budget go on. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from dstack_cloud.clouds.base import Machine
from dstack_cloud.rates import DEFAULT_DISK
from dstack_cloud.resources import Offer


def prices_of(offers: Sequence[Offer]) -> list[dict[str, Any]]:
    """For the intent: each offer's price an hour in each of its zones, JSON-ready."""
    return [
        {
            "region": offer.region,
            "zone": zone,
            "machine": offer.machine,
            "spot": offer.spot,
            "price": _text(price),
            "on_demand": _text(offer.on_demand),
        }
        for offer in offers
        for zone, price in [
            *((each.zone, each.price) for each in offer.zones),
            # Where it stands in a zone that was not among them.
            (None, offer.price),
        ]
    ]


def priced(machine: Machine, intent: Mapping[str, Any], disk: int | None) -> Machine:
    """The machine with what its launch knew, as far as the intent tells; ``disk`` is what the run
    asked for. What is not known of disk and address is taken to be there."""
    alike = [
        one
        for one in intent.get("prices") or ()
        if (one["region"], one["machine"], one["spot"])
        == (machine.region, machine.machine, machine.spot)
        and one["zone"] in (machine.zone, None)
    ]
    found: Mapping[str, Any] = max(alike, key=lambda one: one["zone"] is not None, default={})
    known = replace(
        machine,
        price=_money(found.get("price")),
        on_demand=_money(found.get("on_demand")),
        disk=disk or DEFAULT_DISK,
        public=True,
    )
    return known.seen(machine)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def _money(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)
