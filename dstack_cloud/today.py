"""The plan by what the clouds offer and ask today: live catalogs, quotas, spot prices."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from dstack_cloud import wiring
from dstack_cloud.errors import DstackError, NoOfferError, QuotaError, on_all_clouds
from dstack_cloud.units import utc_now

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from dstack_cloud.catalog.models import SpotChange
    from dstack_cloud.config import Config
    from dstack_cloud.match import Plan
    from dstack_cloud.ranking import Experience, Pool, Spell
    from dstack_cloud.resources import Offer, ResourceRequest

_TYPES_WITH_HISTORY = 8


def priced_plan(config: Config, wanted: Mapping[str, ResourceRequest]) -> Plan:
    """The plan over each cloud's request, by what the account is offered and asked there today:
    offers of a known price only, spot before on demand, then cheapest first. It is made apart.

    Reads live whatever of the caches is too old. A cloud that cannot be asked is left out, and the
    plan says so, unless there is no other. Raises what `match` and the clouds raise, and
    NoOfferError where there is no such offer on any.
    """
    return wiring.process_apart().call(_priced_plan, config, dict(wanted))


def _priced_plan(config: Config, wanted: Mapping[str, ResourceRequest]) -> Plan:
    from dstack_cloud.match import merged

    if len(wanted) == 1:
        ((cloud, request),) = wanted.items()
        return _on_one(config, cloud, request)
    plans: dict[str, Plan] = {}
    errors: dict[str, DstackError] = {}
    with ThreadPoolExecutor(len(wanted)) as pool:
        asked = {
            cloud: pool.submit(_on_one, config, cloud, request) for cloud, request in wanted.items()
        }
        for cloud, plan in asked.items():
            try:
                plans[cloud] = plan.result()
            except DstackError as error:
                errors[cloud] = error
    if not plans:
        raise on_all_clouds("no cloud has an offer", list(errors.items()))
    missing = [
        f"{cloud} is left out: {error.message}"
        for cloud, error in errors.items()
        if not isinstance(error, NoOfferError)
    ]
    return merged(list(plans.values()), missing)


def _on_one(config: Config, cloud: str, request: ResourceRequest) -> Plan:
    from dstack_cloud.catalog.open import open_catalog
    from dstack_cloud.catalog.update import refresh, refresh_spot, stale
    from dstack_cloud.match import match
    from dstack_cloud.ranking import ranked

    catalog = open_catalog(cloud, config.accounts.get(cloud))
    source = wiring.catalog_source(config, cloud)
    for _ in refresh(catalog, source, stale(catalog, request.regions)):
        pass
    plan = match(request, [catalog])
    account = wiring.opened(config, cloud)
    # Quotas and spot prices have nothing to do with each other: asked at the same time.
    quotas = account.pool.submit(account.forbidden, plan.offers, request.nodes)
    known = account.pool.submit(experience, config, plan.offers, cloud)
    if refresh_spot(catalog, source, plan.offers):
        plan = match(request, [catalog])
    quotas.result()
    forbidden = _by_place(account.forbidden(plan.offers, request.nodes))
    if forbidden:
        fitting = len(plan.offers)
        plan = match(request, [catalog], forbids=lambda *place: forbidden.get(place))
        if not plan.offers:
            reasons = "; ".join(dict.fromkeys(forbidden.values()))
            raise QuotaError(
                f"the account's quotas forbid all {fitting} offers: {reasons}",
                f"dstack-cloud check --cloud {cloud} says how to raise each; spot and on demand "
                "have quotas of their own",
            )
    plan = replace(plan, offers=tuple(ranked(plan.offers, known.result(), utc_now())))
    # Spot offers are before those on demand whatever they cost: that is what was asked for.
    offers = sorted(plan.launchable(), key=lambda offer: not offer.spot)
    return replace(plan, offers=tuple(offers)).without_catalogs()


def experience(config: Config, offers: Sequence[Offer], cloud: str) -> Experience:
    """What is known of the spot pools of offers on a cloud beside today's prices: own runs, and on
    AWS how prices moved. Google keeps no history.

    A plan must not fail for want of it: what cannot be read is left out.
    """
    from dstack_cloud.ranking import HISTORY, Experience
    from dstack_cloud.state import spells

    types: dict[str, list[str]] = {}
    for offer in offers:
        # The best by price are those that compete; the history of all would be thousands of rows.
        if offer.spot and len(names := types.setdefault(offer.region, [])) < _TYPES_WITH_HISTORY:
            names.append(offer.machine)
    if not types:
        return Experience()
    now = utc_now()
    prices: dict[Pool, list[tuple[datetime, Decimal]]] = {}
    lasted: list[Spell] = []
    with contextlib.suppress(DstackError):
        lasted = list(spells.recent(wiring.open_store_of(config, cloud), cloud, now))
    for region, names in types.items() if cloud in wiring.WITH_PRICE_HISTORY else ():
        with contextlib.suppress(DstackError):
            for change in spot_history(config, {region: names}, now - HISTORY, now):
                pool = prices.setdefault((region, change.zone, change.machine), [])
                pool.append((change.since, change.price))
    return Experience(prices, lasted)


def spot_history(
    config: Config, wanted: Mapping[str, Sequence[str]], start: datetime, end: datetime
) -> list[SpotChange]:
    """How spot prices on AWS moved: region -> machine types in, changes out, oldest first.

    Raises what the cloud raises.
    """
    from dstack_cloud.catalog import fetch_aws

    access = wiring.spot_access(config)
    found: list[SpotChange] = []
    for region, types in wanted.items():
        found += fetch_aws.spot_history(access, region, types, start, end)
    return found


def _by_place(forbidden: Mapping[Offer, str]) -> dict[tuple[str, str, bool], str]:
    """Machine, region and kind of the offers that are ruled out, and why."""
    return {
        (offer.machine, offer.region, offer.spot): reason for offer, reason in forbidden.items()
    }
