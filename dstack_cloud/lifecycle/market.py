"""The plan's offers as the deadline's policy sees them: zones, prices, what is to be had. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dstack_cloud.availability import Seen
from dstack_cloud.clouds.base import Machine
from dstack_cloud.deadline import Choice, Kind, State, decide
from dstack_cloud.lifecycle.capacity import in_zones
from dstack_cloud.lifecycle.pace import Terms
from dstack_cloud.resources import Offer


@dataclass(frozen=True)
class Market:
    """USD an hour. ``prices`` are of the cheapest spot machine in each zone where one is cheaper
    than the cheapest ``on_demand``; ``up`` are the zones of those where one can be had as far as
    known, ``on_demand_up`` says the same of machines on demand."""

    prices: dict[str, float]
    up: frozenset[str]
    on_demand: float
    on_demand_up: bool


def market_of(offers: Sequence[Offer], left: Sequence[Offer]) -> Market:
    """``offers`` are all of the plan; ``left`` those that are not known to be out of capacity."""
    listed = [offer.price for offer in offers if not offer.spot and offer.price is not None]
    if (
        not listed
    ):  # Quotas or a limit on the price leave spot alone: its list price is the measure.
        listed = [offer.on_demand for offer in offers if offer.on_demand is not None]
    on_demand = float(min(listed, default=0))
    prices = _cheapest(offers, on_demand)
    up = _cheapest(left, on_demand)
    return Market({**prices, **up}, frozenset(up), on_demand, any(not offer.spot for offer in left))


def _cheapest(offers: Iterable[Offer], on_demand: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for offer in offers:
        for zone in offer.zones if offer.spot else ():
            price = offer.price if zone.price is None else zone.price
            if price is not None and float(price) < on_demand:
                found[zone.zone] = min(float(price), found.get(zone.zone, on_demand))
    return found


def with_machine(market: Market | None, machine: Machine) -> Market:
    """The market with a spot machine that runs in it; its own prices where no other is known."""
    price = float(machine.price or machine.on_demand or 0)
    if market is None:
        market = Market({}, frozenset(), float(machine.on_demand or price), True)
    zone = machine.zone or machine.region
    return replace(market, prices={**market.prices, zone: price}, up=market.up | {zone})


def worth_asking(kind: Kind, left: Sequence[Offer], market: Market) -> tuple[Offer, ...]:
    """What to ask the cloud for at once: the offers of a kind in the best one's region, best first.

    The policy chooses between the kinds; which of the spot pools it is, is for the ranking, which
    knows more of each, and for the cloud, which picks among those that cost about the same.
    """
    if kind == "on-demand":
        fitting = [offer for offer in left if not offer.spot]
    else:
        cheap = (
            (offer, frozenset(zone.zone for zone in offer.zones) & market.up)
            for offer in left
            if offer.spot
        )
        fitting = [in_zones(offer, zones) for offer, zones in cheap if zones]
    return tuple(offer for offer in fitting if offer.region == fitting[0].region)


def kind_of(machine: Machine) -> Kind:
    """The kind that a machine is of."""
    return "spot" if machine.spot else "on-demand"


def at_first(terms: Terms, offers: Sequence[Offer]) -> Choice:
    """What the policy would do with a run that is submitted now."""
    return choose(terms, market_of(offers, offers), 0.0, terms.duration, terms.restart)


def choose(
    terms: Terms,
    market: Market,
    elapsed: float,
    left: float,
    restart: float,
    seen: Seen | None = None,
    machine: Machine | None = None,
    restart_left: float = 0.0,
) -> Choice:
    """Ask the policy. ``seen`` are the looks before this one; ``machine`` is the one that runs,
    ``restart_left`` seconds from working.

    A decision may come late by its interval, and what a program does meanwhile may be no progress:
    so much is kept back of the deadline.
    """
    zone = machine.zone or machine.region if machine is not None and machine.spot else None
    before = nothing_seen(terms) if seen is None else seen
    return decide(
        State(
            elapsed=elapsed,
            deadline=terms.deadline - terms.interval,
            work_left=left,
            interval=terms.interval,
            restart=restart,
            on_demand=market.on_demand,
            prices=market.prices,
            up=market.up,
            seen=before.after(elapsed, market.up, market.prices, zone),
            running="wait" if machine is None else kind_of(machine),
            zone=zone,
            restart_left=restart_left,
            on_demand_up=market.on_demand_up,
        )
    )


def nothing_seen(terms: Terms) -> Seen:
    """Before the first look."""
    return Seen.nothing(terms.deadline, terms.restart, terms.interval)
