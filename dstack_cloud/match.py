"""From a resource request and the catalog to a plan: what fits, cheapest first, and what does not.

Everything asked for is a minimum, the number of GPUs too: a machine with more of anything fits,
and the price decides. Only the kind is exact: a GPU that is named, the processor architecture,
and no GPU at all where none is asked for.

What is read of the catalog is all that the result depends on; nothing is changed or fetched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from difflib import get_close_matches
from functools import cached_property
from heapq import merge
from itertools import islice

from dstack_cloud.catalog.gpus import resolve
from dstack_cloud.catalog.models import Wanted
from dstack_cloud.catalog.query import Catalog
from dstack_cloud.catalog.rejections import Forbids, allowed, nothing_fits, rejections
from dstack_cloud.errors import InputError, NoOfferError
from dstack_cloud.resources import Offer, Rejection, ResourceRequest
from dstack_cloud.transfer import Load, Place, bringing, bringing_at_most

Ranking = Callable[[Sequence[Offer]], Sequence[Offer]]
"""Puts offers, cheapest first, in the order in which they are to be tried."""


def cheapest(offers: Sequence[Offer]) -> Sequence[Offer]:
    """The ranking by price, which is the order that offers come in."""
    return offers


@dataclass(frozen=True)
class Plan:
    """The ranked offers of a request, at most as many as were asked for.

    ``total`` (how many there are) and ``rejections`` are worked out when first read, unless
    they are ``known``. Offers of unknown price come last. ``missing`` says which clouds could not
    be asked, in words.
    """

    request: ResourceRequest
    offers: tuple[Offer, ...]
    wanted: Wanted
    catalogs: tuple[Catalog, ...]
    forbids: Forbids = allowed
    known: tuple[int, tuple[Rejection, ...]] | None = None
    missing: tuple[str, ...] = ()

    @cached_property
    def total(self) -> int:
        """How many offers fit, shown or not."""
        if self.known:
            return self.known[0]
        if self.forbids is allowed:
            return sum(catalog.count(self.wanted) for catalog in self.catalogs)
        return sum(
            self.forbids(*place) is None
            for catalog in self.catalogs
            for place in catalog.places(self.wanted)
        )

    @cached_property
    def rejections(self) -> tuple[Rejection, ...]:
        """The near misses, nearest first, each with its reason in words."""
        if self.known:
            return self.known[1]
        return tuple(
            rejection
            for catalog in self.catalogs
            for rejection in rejections(catalog, self.wanted, self.forbids)
        )

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """How many types were rejected for what: ``too little memory``, 3; most frequent first."""
        kinds = Counter(rejection.reason.partition(":")[0] for rejection in self.rejections)
        return kinds.most_common()

    def without_catalogs(self) -> Plan:
        """The same, with all that it would look up looked up: as another process can take it."""
        known = (self.total, self.rejections)
        return replace(self, catalogs=(), forbids=allowed, known=known)

    def launchable(self) -> tuple[Offer, ...]:
        """The offers with a known price: no other is ever taken without the user's word.

        Raises NoOfferError where there are no offers, or none whose price is known.
        """
        if not self.offers:
            raise nothing_fits(self.catalogs, self.wanted, self.rejections)
        known = tuple(offer for offer in self.offers if offer.price is not None)
        if not known:
            first = self.offers[0]
            kind = "spot " if first.spot else ""
            raise NoOfferError(
                f"{self.total} offers fit (such as {first.machine} in {first.region}), but the"
                f" {kind}price of none is known",
                "'dstack-cloud catalog update' fetches today's prices (it needs credentials)",
            )
        return known


def match(
    request: ResourceRequest,
    catalogs: Sequence[Catalog],
    *,
    limit: int | None = None,
    forbids: Forbids = allowed,
    ranking: Ranking = cheapest,
) -> Plan:
    """The plan for ``request``: the best ``limit`` offers of all ``catalogs`` (None: all).

    Raises InputError for a GPU or a region that no catalog knows.
    """
    wanted = wanted_of(request, catalogs)
    if request.regions:
        # A region belongs to one cloud: the others have nothing to say to the request.
        named = set(request.regions)
        catalogs = [one for one in catalogs if named.intersection(one.regions())]
    # The key orders whole offers of several clouds like each catalog orders its own.
    found = merge(*(catalog.offers(wanted) for catalog in catalogs), key=_order)
    fitting = (offer for offer in found if forbids(offer.machine, offer.region, offer.spot) is None)
    offers = tuple(ranking(list(islice(fitting, limit))))
    return Plan(request, offers, wanted, tuple(catalogs), forbids)


def merged(plans: Sequence[Plan], missing: Sequence[str] = ()) -> Plan:
    """The plans of several clouds as one: spot before on demand, then the cheapest first, by what
    ranked each cloud's. They must be `Plan.without_catalogs`."""
    offers = sorted((offer for plan in plans for offer in plan.offers), key=_rank)
    total = sum(plan.total for plan in plans)
    rejections = tuple(one for plan in plans for one in plan.rejections)
    return replace(
        plans[0], offers=tuple(offers), known=(total, rejections), missing=tuple(missing)
    )


def with_egress(
    plan: Plan, loads: Mapping[str, Sequence[Load]], stores: Mapping[str, Place], hours: Decimal
) -> Plan:
    """The plan ranked anew, with what it costs to bring in what a run depends on.

    ``loads`` are what a run on each cloud needs and where it lies, ``stores`` where each cloud's
    own store is. That cost is reckoned over ``hours`` of work, the time that a machine is expected
    to be had for; where it is not known, by the dearest way that there is.
    """

    def reckoned(offer: Offer) -> tuple[tuple[bool, bool, Decimal], Offer]:
        way = (loads.get(offer.cloud, ()), stores[offer.cloud], Place(offer.cloud, offer.region))
        share = bringing_at_most(*way) / hours
        zones = tuple(
            replace(zone, expected=None if zone.cost is None else zone.cost + share)
            for zone in offer.zones
        )
        spot, unknown, cost = _rank(offer)
        priced = replace(offer, egress=bringing(*way), zones=zones if offer.spot else offer.zones)
        return (spot, unknown, cost + share), priced

    ranked = sorted(map(reckoned, plan.offers), key=lambda pair: pair[0])
    return replace(plan, offers=tuple(offer for _, offer in ranked))


def _rank(offer: Offer) -> tuple[bool, bool, Decimal]:
    cost = offer.zones[0].cost if offer.spot and offer.zones else offer.price
    return (not offer.spot, cost is None, cost or Decimal(0))


def wanted_of(request: ResourceRequest, catalogs: Sequence[Catalog]) -> Wanted:
    """The request in the catalog's terms. Raises InputError as `match` does."""
    gpu, name, memory = request.gpu, None, 0
    if gpu and gpu.name:
        name, implied = resolve(gpu.name)
        memory = implied or 0
    if gpu and gpu.memory:
        memory = max(memory, gpu.memory)
    known = {region for catalog in catalogs for region in catalog.regions()}
    for region in request.regions:
        if catalogs and region not in known:
            close = get_close_matches(region, known, n=3)
            hint = f"did you mean {', '.join(close)}?" if close else f"known: {_listed(known)}"
            raise InputError(f"there is no region named '{region}' in the catalog", hint)
    return Wanted(
        cpu=request.cpu or 0,
        memory=request.memory or 0,
        architecture=request.architecture,
        gpu_count=gpu.count if gpu else 0,
        gpu_name=name,
        gpu_memory=memory,
        spot=(False, True) if request.interruptible is None else (request.interruptible,),
        max_price=request.max_price,
        regions=request.regions,
    )


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _order(offer: Offer) -> tuple[object, ...]:
    price = offer.price if offer.price is not None else offer.on_demand
    return (offer.price is None, price is None, price or 0)
