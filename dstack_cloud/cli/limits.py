"""What a run may cost, how long it may take, and how long to look for its machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from dstack_cloud.cli.budget import budget_line, offer_rates
from dstack_cloud.cli.requests import parsed
from dstack_cloud.config import Config
from dstack_cloud.errors import InputError
from dstack_cloud.resources import Offer, ResourceRequest
from dstack_cloud.units import parse_duration, parse_money

if TYPE_CHECKING:
    from dstack_cloud.workflow.workflow import Workflow


@dataclass(frozen=True)
class Limits:
    """Seconds and USD, of the command line or else of the workflow.

    ``on_demand_after`` None means: spot machines only, where spot is asked for. ``refuse`` makes
    the error of a budget that will not do, where it was given.
    """

    max_duration: int | None
    max_cost: Decimal | None
    on_demand_after: int | None
    wait: int
    refuse: Callable[[str, str], InputError]

    def check_budget(self, config: Config, request: ResourceRequest, first: Offer) -> str | None:
        """How long the budget lasts on the plan's first offer, if there is one; InputError."""
        if self.max_cost is None:
            return None
        public = config.aws.public_ip if config.aws else True
        hourly = offer_rates(first, request.disk, public)
        return budget_line(self.max_cost, first, hourly, bool(request.disk), self.refuse)


def limits_of(
    workflow: Workflow,
    request: ResourceRequest,
    max_duration: str | None,
    max_cost: str | None,
    on_demand_after: str | None,
    wait: str | None,
) -> Limits:
    """The workflow's limits, each option that was given in the place of its own. InputError."""

    def refuse(message: str, hint: str) -> InputError:
        if max_cost is not None:
            return InputError(f"--max-cost: {message}", hint)
        return workflow.error_at("max_cost", message, hint)

    after = parsed("--on-demand-after", on_demand_after, parse_duration)
    if after is not None and not request.interruptible:
        raise InputError(
            "--on-demand-after has a meaning only for spot machines", "add --interruptible"
        )
    duration = parsed("--max-duration", max_duration, parse_duration)
    cost = parsed("--max-cost", max_cost, _more_than_nothing)
    waiting = parsed("--wait", wait, parse_duration)
    return Limits(
        max_duration=workflow.max_duration if duration is None else duration,
        max_cost=workflow.max_cost if cost is None else cost,
        on_demand_after=_after(workflow, request, after),
        wait=workflow.wait if waiting is None else waiting,
        refuse=refuse,
    )


def _after(workflow: Workflow, request: ResourceRequest, given: int | None) -> int | None:
    if not request.interruptible:
        return None
    return workflow.on_demand_after if given is None else given


def _more_than_nothing(text: str) -> Decimal:
    amount = parse_money(text)
    if not amount:
        raise ValueError("must be more than 0 USD")
    return amount
