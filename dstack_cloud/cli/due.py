"""A deadline before the launch: whether it can be kept, what is done for it, what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from dstack_cloud.cli.budget import offer_rates
from dstack_cloud.lifecycle.market import at_first
from dstack_cloud.lifecycle.pace import Terms
from dstack_cloud.resources import Offer
from dstack_cloud.units import format_cost, format_duration

_KINDS = {"spot": "a spot machine", "on-demand": "a machine on demand", "wait": "waiting for spot"}


def due_lines(terms: Terms, offers: Sequence[Offer], disk: int | None, public: bool) -> list[str]:
    """What the policy expects of a run that is submitted now, for people."""
    head = (
        f"deadline {format_duration(terms.deadline)}: {format_duration(terms.duration)} of work, "
        f"{format_duration(terms.restart)} for each start of a machine"
    )
    if terms.missing > 0:
        return [f"{head}: missed by {format_duration(terms.missing)} even on demand at once"]
    slack = format_duration(-terms.missing)
    hours = Decimal(terms.duration + terms.restart) / 3600
    spot = _dollars(offers, True, hours, disk, public)
    listed = _dollars(offers, False, hours, disk, public)
    if not any(offer.spot for offer in offers):
        cost = f", {format_cost(listed)}" if listed else ""
        return [f"{head}; {slack} to spare, for no spot machine is asked for{cost}"]
    choice = at_first(terms, offers)
    lines = [
        f"{head}; {slack} may go to waiting and interruptions",
        f"at first {_KINDS[choice.kind]}: {choice.why}",
    ]
    if all(offer.spot for offer in offers):
        lines.append("no machine on demand is among the offers: the deadline rests on spot alone")
    if spot is not None:
        whole = "" if listed is None else f", {format_cost(listed)} if all of it is on demand"
        lines.append(f"{format_cost(spot)} if spot lasts throughout{whole}")
    return lines


def how_to_keep(terms: Terms) -> str:
    """What would make a deadline possible that is not."""
    least = terms.restart + terms.duration
    if least >= 3600:  # Told in minutes, so up to a whole one: it must do when it is typed.
        least = -(-least // 60) * 60
    words = f"give it at least {format_duration(least)}"
    if terms.deadline > terms.restart:
        words += f", or work of at most {format_duration(terms.deadline - terms.restart)}"
    return f"{words}; timers.restart in the configuration is what a start is taken to need"


def _dollars(
    offers: Sequence[Offer], spot: bool, hours: Decimal, disk: int | None, public: bool
) -> Decimal | None:
    """USD of so many hours on the first offer of a kind; None where its price is not known."""
    first = next((offer for offer in offers if offer.spot == spot), None)
    rate = None if first is None else offer_rates(first, disk, public).total
    return None if rate is None else rate * hours
