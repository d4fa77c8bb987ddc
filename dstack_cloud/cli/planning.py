"""The plan of a run: the catalog as cached, today's prices and quotas on top of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dstack_cloud import today, wiring
from dstack_cloud.catalog.regions import known_in
from dstack_cloud.config import Config
from dstack_cloud.errors import InputError
from dstack_cloud.match import Plan, match
from dstack_cloud.resources import Offer, ResourceRequest
from dstack_cloud.units import GIB

if TYPE_CHECKING:
    from dstack_cloud.lifecycle.record import RunRecord

_GOOD_FOR_S = 300
_LEAST_CPU = 2
_LEAST_MEMORY = 4 * GIB


def make_plan(config: Config, request: ResourceRequest, on_demand_too: bool = False) -> Plan:
    """All offers that fit and whose price is known, best first.

    With ``on_demand_too`` a request for spot machines gets those on demand besides, after them.
    A request that names nothing gets 2 cores and 4 GB at least.

    Raises NoOfferError when there is none, InputError for an unknown GPU or region, and what the
    cloud raises.
    """
    if request.clouds == ("local",):
        from dstack_cloud.catalog.local import this_machine

        return replace(match(request, []), offers=(this_machine(request),))
    if request.cpu is None and request.memory is None and request.gpu is None:
        # The cheapest machines of all have too little memory for a container engine and a job.
        request = replace(request, cpu=_LEAST_CPU, memory=_LEAST_MEMORY)
    if on_demand_too:
        request = replace(request, interruptible=None)
    regions = _regions(config, request)
    wanted = {
        cloud: replace(request, clouds=(cloud,), regions=named) for cloud, named in regions.items()
    }
    return today.priced_plan(config, wanted)


def _regions(config: Config, request: ResourceRequest) -> dict[str, tuple[str, ...]]:
    """The regions to plan over on each cloud. Where some are named and there are several clouds,
    each cloud gets its own, and one that has none of them is not planned over."""
    if len(request.clouds) == 1 or not request.regions:
        return {
            cloud: tuple(wiring.regions(config, cloud, request.regions)) for cloud in request.clouds
        }
    named = {cloud: known_in(cloud, request.regions) for cloud in request.clouds}
    strange = set(request.regions).difference(*named.values())
    if strange:
        clouds = " nor ".join(request.clouds)
        raise InputError(
            f"neither {clouds} has a region '{min(strange)}'", "name the cloud with it: --cloud"
        )
    return {
        cloud: tuple(wiring.regions(config, cloud, there))
        for cloud, there in named.items()
        if there
    }


class Planner:
    """Plans the attempts of a run: by the plan that it began with while that is fresh, by a new
    one later. ``whole`` reckons in what is not the machines' price."""

    def __init__(
        self,
        config: Config,
        plan: Plan | None = None,
        whole: Callable[[Plan], Plan] | None = None,
    ) -> None:
        self._config = config
        self._plan = plan
        self._whole = whole
        self._at = time.monotonic()

    def __call__(self, record: RunRecord) -> Sequence[Offer]:
        """The offers, best first. Raises what `make_plan` raises."""
        if self._plan is None or time.monotonic() - self._at > _GOOD_FOR_S:
            request = replace(record.request, clouds=(record.cloud,))
            plan = make_plan(self._config, request, record.on_demand_too)
            self._plan = self._whole(plan) if self._whole else plan
            self._at = time.monotonic()
        return [offer for offer in self._plan.offers if offer.cloud == record.cloud]
