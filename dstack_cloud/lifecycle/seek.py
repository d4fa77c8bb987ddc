"""Looking for a machine: asks what `capacity` decides, until there is one or no hope is left."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from functools import partial

from dstack_cloud.clouds.base import FailureKind, LaunchFailure, Machine
from dstack_cloud.errors import (
    DetachedError,
    DstackError,
    NoCapacityError,
    PermissionDeniedError,
    QuotaError,
    ThrottledError,
)
from dstack_cloud.lifecycle.asking import AskFor, Asking
from dstack_cloud.lifecycle.capacity import (
    Ask,
    Patience,
    Pending,
    Refusal,
    Step,
    Wait,
    next_step,
    refusals_of,
)
from dstack_cloud.lifecycle.late import note_late
from dstack_cloud.lifecycle.memory import ranked_last, shortages_in
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.ranking import banded
from dstack_cloud.resources import Offer
from dstack_cloud.state import attempts, shortages
from dstack_cloud.units import format_duration

# How long a request to stop may go unnoticed while there is nothing to ask for.
_LOOK_S = 5.0

Decide = Callable[[Sequence[Offer], Sequence[Refusal], float, Patience, Sequence[Pending]], Step]
"""What to do next: `capacity.next_step`, or what keeps a deadline."""


def seek(
    tools: Tools,
    run: str,
    attempt: int,
    offers: Sequence[Offer],
    patience: Patience,
    ask: AskFor,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
    decide: Decide = next_step,
) -> Machine:
    """The first machine that is to be had. One that comes after it, from a region that took long
    to answer, is ended at once.

    Raises NoCapacityError, QuotaError or ThrottledError with the table of what was tried,
    DetachedError when somebody stopped the run meanwhile, and what `Cloud.launch` raises.
    """
    begun = clock()
    known = shortages.recall(tools.store, tools.cloud.name, time.time())
    # The cloud picks among spot pools that are asked for together: those must cost about the same.
    spot = [offer for offer in offers if offer.spot]
    cut = [offer for band in banded(spot) for offer in band]
    ranked = ranked_last([*cut, *(offer for offer in offers if not offer.spot)], known)
    failures: list[LaunchFailure] = []
    refusals: list[Refusal] = []
    ended = partial(note_late, tools.store, run, attempt)
    asking = Asking(tools.cloud, ask, tools.late, ended)
    with asking:
        while True:
            waited = clock() - begun
            pending = [Pending(each.region, each.spot, each.at) for each in asking.open]
            step = decide(ranked, refusals, waited, patience, pending)
            if isinstance(step, Ask):
                region = step.offers[0].region
                tools.report.working("launching", f"{len(step.offers)} offers in {region}")
                asking.begin(step.offers, waited)
                # One that answers at once must not be asked beside.
                step = Wait(patience.overlap)
            if isinstance(step, Wait) and asking.open:
                answered = asking.wait(step.seconds)
                if answered is None:
                    continue
                asked, answer = answered
                shortages.remember(
                    tools.store, tools.cloud.name, shortages_in(answer.failures, time.time())
                )
                if answer.machine is not None:
                    return answer.machine
                failures += answer.failures
                refusals += refusals_of(asked.offers, answer.failures, clock() - begun)
            elif isinstance(step, Wait):
                left = format_duration(max(patience.until - waited, 0))
                why = step.why or f"no machine is to be had; giving up in {left}"
                tools.report.working("waiting", why)
                pause(min(step.seconds or 0, _LOOK_S))
                if attempts.read_end(tools.store, run, attempt) is not None:
                    raise DetachedError(f"{run} was stopped while it waited for a machine")
            else:
                raise nothing_to_be_had(failures, ranked, clock() - begun)


def nothing_to_be_had(
    failures: Sequence[LaunchFailure], offers: Sequence[Offer], seconds: float
) -> DstackError:
    """The error that tells what was tried, one line a failure, alike ones together."""
    words = sorted(
        f"{failure.zone or failure.offer.region} {failure.offer.machine} "
        f"{'spot' if failure.offer.spot else 'on-demand'} {failure.code}"
        for failure in failures
    )
    lines = [
        line if (count := len(list(group))) == 1 else f"{line} ({count} times)"
        for line, group in itertools.groupby(words)
    ]
    table = "\n".join(f"  {line}" for line in lines)
    number = len({(offer.region, offer.machine, offer.spot) for offer in offers})
    if failures and all(failure.kind is FailureKind.QUOTA for failure in failures):
        return QuotaError(
            f"the account's quota allows none of {number} offers:\n{table}",
            "dstack-cloud check shows the quotas and how to raise them",
        )
    if failures and all(failure.kind is FailureKind.THROTTLED for failure in failures):
        return ThrottledError(
            f"the cloud is busy and took up none of {number} offers:\n{table}",
            "run it again in a minute",
        )
    if failures and all(failure.kind is FailureKind.PERMISSION for failure in failures):
        reasons = "\n".join(
            f"  {words}" for words in dict.fromkeys(one.message for one in failures)
        )
        return PermissionDeniedError(
            f"none of {number} offers may be launched:\n{table}\n{reasons}",
            "try another --region, or ask who administers the account",
        )
    markets = {offer.spot for offer in offers}
    hints = ["another --region", "--wait 30m to go on looking"]
    if markets == {True}:
        hints.insert(1, "--on-demand-after 10m or --on-demand")
    elif markets == {False}:
        hints.insert(1, "--interruptible")
    waited = f" in {format_duration(seconds)}" if seconds >= _LOOK_S else ""
    return NoCapacityError(
        f"none of {number} offers had capacity{waited}:\n{table}", f"try {', '.join(hints)}"
    )
