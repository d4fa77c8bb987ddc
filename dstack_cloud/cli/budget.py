"""A run's budget before the launch: how long it lasts, and whether it lasts at all."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from dstack_cloud.cost import MINIMUM_S, Rates, least_cost, seconds_for
from dstack_cloud.errors import InputError
from dstack_cloud.rates import DEFAULT_DISK, rates
from dstack_cloud.resources import Offer
from dstack_cloud.units import format_cost, format_duration, format_price


def offer_rates(offer: Offer, disk: int | None, public: bool) -> Rates:
    """USD an hour of an offer with disk and address; the disk's least size where none is named."""
    size = disk or DEFAULT_DISK
    return rates(offer.cloud, offer.region, offer.price, size, public, offer.spot)


def budget_line(
    budget: Decimal,
    offer: Offer,
    hourly: Rates,
    exact: bool,
    refuse: Callable[[str, str], InputError],
) -> str | None:
    """How long the budget lasts on an offer, in words; None for a machine that costs nothing.

    ``exact`` is False where the disk is not named: it is then larger by the image, whose size only
    the launch finds out.

    ``refuse`` makes an InputError of message and hint, at the budget's place in the file. Raises
    it for a budget that nothing can be had for, or that could not be kept.
    """
    price = hourly.total
    if price is None:
        raise refuse(
            f"what {offer.machine} costs an hour in {offer.region}, its disk included, is not "
            "known, so a budget could not be kept",
            "leave out max_cost, or allow another region only",
        )
    least = least_cost(offer.cloud, price)
    if budget < least:
        raise refuse(
            f"a budget of {_dollars(budget)} is less than the {MINIMUM_S[offer.cloud]} s that are "
            f"billed at least: {_dollars(least)} on {offer.machine} at {format_price(price)} $/h",
            "raise max_cost, or ask for a cheaper machine",
        )
    seconds = seconds_for(budget, price)
    if seconds is None:
        return None
    lasts = f"{'' if exact else 'up to '}{format_duration(seconds)}"
    return (
        f"budget {format_cost(budget)} lasts {lasts} at {format_price(price)} "
        f"$/h (machine {format_price(hourly.machine)}, disk {format_price(hourly.disk)}, "
        f"address {format_price(hourly.address)})"
    )


def _dollars(amount: Decimal) -> str:
    """USD with as many decimals as it takes: the smallest budgets are compared here."""
    return f"{amount.quantize(Decimal('0.000001')).normalize():f} $"
