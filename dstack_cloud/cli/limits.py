"""What a run may cost, how long it may take, and how long to look for its machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from dstack_cloud.cli.budget import budget_line, offer_rates
from dstack_cloud.cli.requests import parsed
from dstack_cloud.config import Config
from dstack_cloud.errors import InputError
from dstack_cloud.lifecycle.pace import Terms
from dstack_cloud.resources import Offer, ResourceRequest
from dstack_cloud.units import format_duration, parse_duration, parse_money

if TYPE_CHECKING:
    from dstack_cloud.workflow.workflow import Workflow


@dataclass(frozen=True)
class Limits:
    """Seconds and USD, of the command line or else of the workflow.

    ``on_demand_after`` None means: spot machines only, where spot is asked for. ``refuse`` makes
    the error of a budget that will not do, where it was given, ``refuse_deadline`` that of a
    deadline. ``terms`` are the deadline's.
    """

    max_duration: int | None
    max_cost: Decimal | None
    on_demand_after: int | None
    wait: int
    terms: Terms | None
    refuse: Callable[[str, str], InputError]
    refuse_deadline: Callable[[str, str], InputError]

    @property
    def on_demand_too(self) -> bool:
        """Whether a machine on demand will do where spot is asked for."""
        return self.on_demand_after is not None or self.terms is not None

    def without_waiting(self) -> Limits:
        """The same, where another cloud may have what this one is short of."""
        return replace(self, wait=0, on_demand_after=None)

    def deadline_lines(
        self, config: Config, request: ResourceRequest, offers: Sequence[Offer]
    ) -> list[str]:
        """What is expected of the deadline, if there is one, in words."""
        if self.terms is None:
            return []
        from dstack_cloud.cli.due import due_lines

        return due_lines(self.terms, offers, request.disk, config.public_ip(offers[0].cloud))

    def check_deadline(self) -> None:
        """InputError for a deadline that cannot be kept."""
        if self.terms is None or self.terms.missing <= 0:
            return
        from dstack_cloud.cli.due import how_to_keep

        raise self.refuse_deadline(
            f"the deadline cannot be kept: on demand at once the work would be done "
            f"{format_duration(self.terms.missing)} too late",
            how_to_keep(self.terms),
        )

    def check_budget(self, config: Config, request: ResourceRequest, first: Offer) -> str | None:
        """How long the budget lasts on the plan's first offer, if there is one; InputError."""
        if self.max_cost is None:
            return None
        hourly = offer_rates(first, request.disk, config.public_ip(first.cloud))
        hourly = hourly.times(request.nodes)
        left = self.max_cost - (first.egress or 0)
        if left <= 0:
            raise self.refuse(
                f"bringing in the dependencies alone costs {first.egress:.4f} $ in {first.region}",
                "raise max_cost, or run where they lie: --cloud, --region",
            )
        return budget_line(left, first, hourly, bool(request.disk), self.refuse)


def limits_of(
    config: Config,
    workflow: Workflow,
    request: ResourceRequest,
    max_duration: str | None,
    max_cost: str | None,
    on_demand_after: str | None,
    wait: str | None,
    deadline: str | None,
) -> Limits:
    """The workflow's limits, each option that was given in the place of its own. InputError."""

    def refuse(message: str, hint: str) -> InputError:
        if max_cost is not None:
            return InputError(f"--max-cost: {message}", hint)
        return workflow.error_at("max_cost", message, hint)

    def refuse_deadline(message: str, hint: str) -> InputError:
        if deadline is not None:
            return InputError(f"--deadline: {message}", hint)
        return workflow.error_at("deadline", message, hint)

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
        terms=_terms(config, workflow, parsed("--deadline", deadline, _at_least_a_second)),
        refuse=refuse,
        refuse_deadline=refuse_deadline,
    )


def _terms(config: Config, workflow: Workflow, given: int | None) -> Terms | None:
    """What the deadline asks for; InputError, at the key that is there, where one of the two is
    missing."""
    deadline = workflow.deadline if given is None else given
    if deadline is None and workflow.duration is None:
        return None
    if deadline is None:
        raise workflow.error_at(
            "duration",
            "'duration' has a meaning only with a deadline",
            "add 'deadline', as in deadline: 36h, or --deadline on the command line",
        )
    if workflow.duration is None:
        raise workflow.error_at(
            "deadline" if workflow.deadline is not None else "name",
            "a deadline can be kept only where it is known how long the work takes",
            "add 'duration', as in duration: 20h",
        )
    return Terms(deadline, workflow.duration, config.timers.restart)


def _at_least_a_second(text: str) -> int:
    seconds = parse_duration(text)
    if seconds < 1:
        raise ValueError(f"'{text}' is less than a second")
    return seconds


def _after(workflow: Workflow, request: ResourceRequest, given: int | None) -> int | None:
    if not request.interruptible:
        return None
    return workflow.on_demand_after if given is None else given


def _more_than_nothing(text: str) -> Decimal:
    amount = parse_money(text)
    if not amount:
        raise ValueError("must be more than 0 USD")
    return amount
