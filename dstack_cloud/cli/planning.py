"""The plan of a run: the catalog as cached, today's prices and quotas on top of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dstack_cloud import wiring
from dstack_cloud.config import Config
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
    (cloud,) = request.clouds
    if request.cpu is None and request.memory is None and request.gpu is None:
        # The cheapest machines of all have too little memory for a container engine and a job.
        request = replace(request, cpu=_LEAST_CPU, memory=_LEAST_MEMORY)
    wanted = replace(request, regions=tuple(wiring.regions(config, cloud, request.regions)))
    if on_demand_too:
        wanted = replace(wanted, interruptible=None)
    return wiring.priced_plan(config, cloud, wanted)


class Planner:
    """Plans the attempts of a run: by the plan that it began with while that is fresh, by a new
    one later."""

    def __init__(self, config: Config, plan: Plan | None = None) -> None:
        self._config = config
        self._plan = plan
        self._at = time.monotonic()

    def __call__(self, record: RunRecord) -> Sequence[Offer]:
        """The offers, best first. Raises what `make_plan` raises."""
        if self._plan is None or time.monotonic() - self._at > _GOOD_FOR_S:
            request = replace(record.request, clouds=(record.cloud,))
            self._plan = make_plan(self._config, request, record.on_demand_too)
            self._at = time.monotonic()
        return [offer for offer in self._plan.offers if offer.cloud == record.cloud]
