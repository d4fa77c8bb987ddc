"""From a plan to a machine: the intent on record first, then the search."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

from dstack_cloud import retry
from dstack_cloud.clouds.base import (
    LaunchAnswer,
    LaunchRequest,
    Machine,
    MachineImage,
)
from dstack_cloud.clouds.pace import answers_within
from dstack_cloud.config import Timers
from dstack_cloud.errors import DetachedError, DstackError, TryAgainError
from dstack_cloud.lifecycle.asking import AskFor
from dstack_cloud.lifecycle.budget import budget_left
from dstack_cloud.lifecycle.capacity import Patience, next_step
from dstack_cloud.lifecycle.claim import Claim
from dstack_cloud.lifecycle.ending import record_end
from dstack_cloud.lifecycle.late import note_late
from dstack_cloud.lifecycle.machine_record import machine_as_json
from dstack_cloud.lifecycle.priced import priced, prices_of
from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.lifecycle.seek import Decide, seek
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.machine.keys import KeyPair, generate
from dstack_cloud.machine.user_data import provision_script, user_data
from dstack_cloud.resources import Offer
from dstack_cloud.state import attempts
from dstack_cloud.state.runs import RunState, move, settle
from dstack_cloud.units import format_price, format_time, parse_time, times, utc_now
from dstack_cloud.workflow.image import needs_login

# A boot, a pull and a last sync on top of what the job itself may take: past this, the machine is
# wrong to be there at all.
_HARD_LIMIT_MARGIN = timedelta(hours=1)


@dataclass(frozen=True)
class Launched:
    """A machine, the public host key that it and those launched beside it answer with (until the
    agent replaces it), and the lease on its attempt, which is kept until a job has reached it."""

    machine: Machine
    host_key: str
    claim: Claim


def launch(
    tools: Tools,
    record: RunRecord,
    attempt: int,
    offers: Sequence[Offer],
    decide: Decide = next_step,
) -> Launched | None:
    """Claim the attempt, look for a machine, and record it.

    None when another client owns the attempt, or has taken it over meanwhile. Raises
    NoCapacityError or QuotaError when no offer could be had, CostLimitError when the budget is
    spent, and what `Cloud.launch` raises: the run has then ended, except where an attempt after the
    first failed for a passing reason.
    """
    host_key = generate(f"{record.run}-{attempt}")
    token = token_of(record.run, attempt)
    intent = intent_of(tools, record, attempt, offers, host_key, token)
    claim = Claim(tools.store, record.run, attempt, tools.owner, tools.timers.lease)
    if not attempts.claim_attempt(tools.store, record.run, attempt, intent):
        return None
    claim.keep()
    if attempt == 1:
        move(tools.store, record.run, RunState.SUBMITTED, RunState.LAUNCHING)
    else:
        settle(tools.store, record.run, RunState.RECOVERING)
    machine: Machine | None = None
    try:
        budget_left(tools.store, record, attempt)  # Raises where nothing is left.
        machine = _first_machine(tools, record, attempt, offers, host_key, token, decide, claim)
        claim.require()
        recorded = machine_as_json(machine, host_key.public)
        attempts.record_machine(tools.store, record.run, attempt, recorded)
    except DstackError as error:
        if machine is not None:
            tools.cloud.terminate(machine.region, machine.ids)
            note_late(tools.store, record.run, attempt, machine)
        claim.close()
        if claim.gone():
            tools.report.warn("launching", f"another client has taken over attempt {attempt}")
            return None
        passing = attempt > 1 and isinstance(error, TryAgainError)
        record_end(
            tools.store, record.run, attempt, RunState.FAILED, "launch", error, retry=passing
        )
        raise
    except KeyboardInterrupt:
        claim.close()
        _take_back(tools, record, attempt, intent)
        raise
    return Launched(machine, host_key.public, claim)


def _take_back(tools: Tools, record: RunRecord, attempt: int, intent: Mapping[str, Any]) -> None:
    """End whatever a launch that was cut short has launched, and put that end on record.

    What the cloud does not list yet ends by its own timer: no job will reach it.
    """
    run = record.run
    tools.report.working("terminating", "what was launched")
    for region in intent["regions"]:
        ours = [each for each in tools.cloud.machines(region, run) if each.attempt == attempt]
        if ours:
            tools.cloud.terminate(region, [each.id for each in ours])
            for each in ours:
                note_late(tools.store, run, attempt, priced(each, intent, record.request.disk))
    later = attempt > 1
    cancelled = DetachedError("cancelled before the job started")
    state = RunState.LOST if later else RunState.STOPPED
    record_end(tools.store, run, attempt, state, "stopped", cancelled, retry=later)


def token_of(run: str, attempt: int) -> str:
    """What tells this launch from all others of the attempt."""
    return f"{run}-{attempt}-{int(time.time() * 1000):x}"


def intent_of(
    tools: Tools,
    record: RunRecord,
    attempt: int,
    offers: Sequence[Offer],
    host_key: KeyPair,
    token: str,
) -> dict[str, Any]:
    """What is on record of an attempt before it has a machine."""
    regions = list(dict.fromkeys(offer.region for offer in offers))
    return {
        "run": record.run,
        "attempt": attempt,
        "token": token,
        "cloud": tools.cloud.name,
        "regions": regions,
        "machines": list(dict.fromkeys(offer.machine for offer in offers)),
        # For whoever finds a machine that was not put on record: see `lifecycle.priced`.
        "prices": prices_of(offers),
        "host_key": host_key.public,
        "by": tools.owner,
        # How long its client may go on looking: a run is not lost for having no machine yet.
        "patience": _patience(record).until,
        # What the run has cost before its first machine.
        "brought": record.brought if attempt == 1 else "0",
        # For how long its client may give no sign while it launches: see `lifecycle.claim`.
        "lease": tools.timers.lease,
        "at": format_time(utc_now()),
    }


def _first_machine(
    tools: Tools,
    record: RunRecord,
    attempt: int,
    offers: Sequence[Offer],
    host_key: KeyPair,
    token: str,
    decide: Decide,
    claim: Claim,
) -> Machine:
    ask = asker(tools, record, attempt, host_key, token, claim.require)
    patience = replace(_patience(record), overlap=answers_within(tools.cloud.name))
    return seek(tools, record.run, attempt, offers, patience, ask, decide=decide)


def asker(
    tools: Tools,
    record: RunRecord,
    attempt: int,
    host_key: KeyPair,
    token: str,
    before: Callable[[], None],
) -> AskFor:
    """Asks the cloud for one machine for an attempt, ``before`` being called first, which may
    raise."""
    key, image = tools.reach.public_key(), record.container.image
    # What needs a login waits for the agent, which has it.
    prepull = None if record.container.registry_auth or needs_login(image) else image
    # Not a function of this one's own: the cloud may be asked from another process.
    rendering = partial(
        _user_data,
        host_key,
        key,
        tools.timers,
        prepull,
        tools.provisioning,
        tools.cloud.name,
        tools.endpoints,
    )

    def ask(asked: Sequence[Offer], number: int) -> LaunchAnswer:
        request = LaunchRequest(
            run=record.run,
            attempt=attempt,
            token=f"{token}-{number}",
            offers=asked,
            user_data=rendering,
            disk=record.request.disk,
            max_price=record.request.max_price,
            owner=tools.owner,
            deadline=(
                utc_now() + timedelta(seconds=record.max_duration) + _HARD_LIMIT_MARGIN
                if record.max_duration
                else None
            ),
            authorized_key=key,
            nodes=record.container.nodes,
        )
        before()
        return tools.cloud.launch(request)

    return ask


def _patience(record: RunRecord) -> Patience:
    now = utc_now()
    wait = max(record.wait, retry.patience(record.retry, parse_time(record.submitted_at), now))
    if record.deadline is not None:
        wait = max(wait, int((parse_time(record.deadline) - now).total_seconds()))
    return Patience(record.on_demand_after, wait)


def _user_data(
    host_key: KeyPair,
    key: str,
    timers: Timers,
    prepull: str | None,
    settings: dict[str, str],
    cloud: str,
    endpoints: dict[str, str | None],
    image: MachineImage,
) -> bytes:
    return user_data(
        image,
        host_key_private=host_key.private,
        host_key_public=host_key.public,
        authorized_key=key,
        no_job=timers.no_job,
        heartbeat=timers.heartbeat,
        prepull=prepull,
        provision=provision_script(),
        settings=settings,
        cloud=cloud,
        endpoints=endpoints,
    )


def describe(machine: Machine) -> str:
    """``i-0f3a… g4dn.xlarge us-east-1c, spot 0.158 $/h``."""
    if machine.price == 0:
        return f"{machine.id} {machine.machine}, free of charge"
    kind = "spot" if machine.spot else "on demand"
    nodes = len(machine.nodes)
    price = None if machine.price is None else machine.price * nodes
    return (
        f"{', '.join(machine.ids)} {times(nodes)}{machine.machine} "
        f"{machine.zone or machine.region}, {kind} {format_price(price)} $/h"
    )
