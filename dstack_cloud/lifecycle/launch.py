"""From a plan to a machine: the intent on record first, then one request a region."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dstack_cloud.clouds.base import (
    FailureKind,
    LaunchAnswer,
    LaunchFailure,
    LaunchRequest,
    Machine,
    MachineImage,
)
from dstack_cloud.errors import (
    DetachedError,
    DstackError,
    NoCapacityError,
    QuotaError,
    ThrottledError,
    TryAgainError,
)
from dstack_cloud.lifecycle.budget import budget_left
from dstack_cloud.lifecycle.ending import record_end
from dstack_cloud.lifecycle.machine_record import machine_as_json
from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.machine.keys import KeyPair, generate
from dstack_cloud.machine.user_data import provision_script, user_data
from dstack_cloud.resources import Offer
from dstack_cloud.state import attempts
from dstack_cloud.state.runs import RunState, move, settle
from dstack_cloud.units import format_price, format_time, utc_now

# A boot, a pull and a last sync on top of what the job itself may take: past this, the machine is
# wrong to be there at all.
_HARD_LIMIT_MARGIN = timedelta(hours=1)


@dataclass(frozen=True)
class Launched:
    """A machine, and the public host key that it answers with (until the agent replaces it)."""

    machine: Machine
    host_key: str


def launch(
    tools: Tools, record: RunRecord, attempt: int, offers: Sequence[Offer]
) -> Launched | None:
    """Claim the attempt, ask for a machine region by region, and record it.

    None when another client owns the attempt. Raises NoCapacityError or QuotaError when no offer
    could be had, CostLimitError when the budget is spent, and what `Cloud.launch` raises: the run
    has then ended, except where an attempt after the first failed for a passing reason.
    """
    host_key = generate(f"{record.run}-{attempt}")
    token = f"{record.run}-{attempt}-{int(time.time() * 1000):x}"
    intent = _intent(tools, record, attempt, offers, host_key, token)
    if not attempts.claim_attempt(tools.store, record.run, attempt, intent):
        return None
    if attempt == 1:
        move(tools.store, record.run, RunState.SUBMITTED, RunState.LAUNCHING)
    else:
        settle(tools.store, record.run, RunState.RECOVERING)
    try:
        machine = _machine(tools, record, attempt, offers, host_key, token)
        recorded = machine_as_json(machine, host_key.public)
        attempts.record_machine(tools.store, record.run, attempt, recorded)
    except KeyboardInterrupt:
        _take_back(tools, record.run, attempt, intent["regions"])
        raise
    return Launched(machine, host_key.public)


def _machine(
    tools: Tools,
    record: RunRecord,
    attempt: int,
    offers: Sequence[Offer],
    host_key: KeyPair,
    token: str,
) -> Machine:
    try:
        budget_left(tools.store, record, attempt)  # Raises where nothing is left.
        return _first_machine(tools, record, attempt, offers, host_key, token)
    except DstackError as error:
        passing = attempt > 1 and isinstance(error, TryAgainError)
        record_end(
            tools.store, record.run, attempt, RunState.FAILED, "launch", error, retry=passing
        )
        raise


def _take_back(tools: Tools, run: str, attempt: int, regions: Sequence[str]) -> None:
    """End whatever a launch that was cut short has launched, and put that end on record."""
    tools.report.working("terminating", "what was launched")
    for region in regions:
        ours = [each for each in tools.cloud.machines(region, run) if each.attempt == attempt]
        if ours:
            tools.cloud.terminate(region, [each.id for each in ours])
    later = attempt > 1
    cancelled = DetachedError("cancelled before the job started")
    state = RunState.LOST if later else RunState.STOPPED
    record_end(tools.store, run, attempt, state, "stopped", cancelled, retry=later)


def _intent(
    tools: Tools,
    record: RunRecord,
    attempt: int,
    offers: Sequence[Offer],
    host_key: KeyPair,
    token: str,
) -> dict[str, Any]:
    regions = list(dict.fromkeys(offer.region for offer in offers))
    return {
        "run": record.run,
        "attempt": attempt,
        "token": token,
        "cloud": tools.cloud.name,
        "regions": regions,
        "machines": list(dict.fromkeys(offer.machine for offer in offers)),
        "host_key": host_key.public,
        "by": tools.owner,
        "at": format_time(utc_now()),
    }


def _first_machine(
    tools: Tools,
    record: RunRecord,
    attempt: int,
    offers: Sequence[Offer],
    host_key: KeyPair,
    token: str,
) -> Machine:
    failures: list[LaunchFailure] = []
    regions = dict.fromkeys(offer.region for offer in offers)
    for number, region in enumerate(regions):
        there = [offer for offer in offers if offer.region == region]
        tools.report.working("launching", f"{len(there)} offers in {region}")
        request = LaunchRequest(
            run=record.run,
            attempt=attempt,
            token=f"{token}-{number}",
            offers=there,
            user_data=lambda image: _user_data(tools, record, host_key, image),
            disk=record.request.disk,
            max_price=record.request.max_price,
            owner=tools.owner,
            deadline=(
                utc_now() + timedelta(seconds=record.max_duration) + _HARD_LIMIT_MARGIN
                if record.max_duration
                else None
            ),
        )
        answer: LaunchAnswer = tools.cloud.launch(request)
        failures += answer.failures
        if answer.machine is not None:
            return answer.machine
    raise _nothing_to_be_had(failures, len(offers))


def _user_data(tools: Tools, record: RunRecord, host_key: KeyPair, image: MachineImage) -> bytes:
    return user_data(
        image,
        host_key_private=host_key.private,
        host_key_public=host_key.public,
        authorized_key=tools.reach.public_key(),
        no_job=tools.timers.no_job,
        heartbeat=tools.timers.heartbeat,
        prepull=record.container.image,
        provision=None if image.ready else provision_script(),
    )


def _nothing_to_be_had(failures: Sequence[LaunchFailure], offers: int) -> DstackError:
    """The error that tells what was tried, one line a failure, alike ones together."""
    words = [
        f"{failure.zone or failure.offer.region} {failure.offer.machine} {failure.code}"
        for failure in failures
    ]
    lines = [
        line if (count := len(list(group))) == 1 else f"{line} ({count} times)"
        for line, group in itertools.groupby(words)
    ]
    table = "\n".join(f"  {line}" for line in lines)
    if failures and all(failure.kind is FailureKind.QUOTA for failure in failures):
        return QuotaError(
            f"the account's quota allows none of {offers} offers:\n{table}",
            "dstack-cloud check shows the quotas and how to raise them",
        )
    if failures and all(failure.kind is FailureKind.THROTTLED for failure in failures):
        return ThrottledError(
            f"the cloud is busy and took up none of {offers} offers:\n{table}",
            "run it again in a minute",
        )
    first = failures[0].offer if failures else None
    other = "--on-demand" if first and first.spot else "--interruptible"
    return NoCapacityError(
        f"none of {offers} offers had capacity:\n{table}",
        f"try another --region, {other}, or again later",
    )


def describe(machine: Machine) -> str:
    """``i-0f3a… g4dn.xlarge us-east-1c, spot 0.158 $/h``."""
    if machine.price == 0:
        return f"{machine.id} {machine.machine}, free of charge"
    kind = "spot" if machine.spot else "on demand"
    return (
        f"{machine.id} {machine.machine} {machine.zone or machine.region}, "
        f"{kind} {format_price(machine.price)} $/h"
    )
