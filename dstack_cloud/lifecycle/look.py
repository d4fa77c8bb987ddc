"""A look for a spot machine while one on demand works: asking for it is the only way to know.

The machine comes first, then the move, then the claim. So a look that finds nothing costs one call
and changes nothing, and a client that dies on the way leaves a machine that ends itself, or a run
that has saved its work and waits for whoever attaches; never two that wait for each other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from dstack_cloud.clouds.base import LaunchFailure, Machine
from dstack_cloud.errors import DstackError
from dstack_cloud.lifecycle.bring_up import Held
from dstack_cloud.lifecycle.budget import budget_left
from dstack_cloud.lifecycle.claim import Claim
from dstack_cloud.lifecycle.follow import Following
from dstack_cloud.lifecycle.going import Going
from dstack_cloud.lifecycle.late import note_late
from dstack_cloud.lifecycle.launch import Launched, asker, intent_of, token_of
from dstack_cloud.lifecycle.machine_record import machine_as_json
from dstack_cloud.lifecycle.memory import shortages_in
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.machine.keys import KeyPair, generate
from dstack_cloud.resources import Offer
from dstack_cloud.state import attempts, moves, shortages, stops
from dstack_cloud.state.runs import RunState, settle


@dataclass(frozen=True)
class Look:
    """What one request came to: the next attempt, or why there was no machine."""

    asked: Sequence[Offer]
    held: Held | None = None
    failures: Sequence[LaunchFailure] = ()


def look_for_spot(
    tools: Tools, going: Going, target: Following, offers: Sequence[Offer], why: str
) -> Look:
    """Ask for a machine of ``offers`` once; with one, ask the attempt that is followed to save its
    work and end, and claim the next one for it.

    A machine that comes too late, for the run has ended or gone on, is ended at once. What the
    cloud or the store raise is a look that found nothing.
    """
    try:
        return _look(tools, going, target, offers, why)
    except DstackError:
        return Look(offers)


def _look(tools: Tools, going: Going, target: Following, offers: Sequence[Offer], why: str) -> Look:
    run, attempt = going.record.run, target.attempt + 1
    going.private()  # Raises before there is anything to pay for.
    budget_left(tools.store, going.record, attempt)
    host_key = generate(f"{run}-{attempt}")
    token = token_of(run, attempt)
    ask = asker(tools, going.record, attempt, host_key, token, lambda: None)
    answer = ask(offers, 0)
    short = shortages_in(answer.failures, time.time())
    machine = answer.machine
    if machine is None:
        shortages.remember(tools.store, tools.cloud.name, short)
        return Look(offers, failures=answer.failures)
    try:
        held = _move(tools, going, target, machine, host_key, (token, offers), why)
    except DstackError:
        _end(tools, target, machine)
        raise
    if held is None or held.launched is None:
        _end(tools, target, machine)
    return Look(offers, held, answer.failures)


def _end(tools: Tools, target: Following, machine: Machine) -> None:
    tools.cloud.terminate(machine.region, machine.ids)
    # Of the attempt that it was to follow: there may be no other.
    note_late(tools.store, target.run, target.attempt, machine)


def _move(
    tools: Tools,
    going: Going,
    target: Following,
    machine: Machine,
    host_key: KeyPair,
    asked: tuple[str, Sequence[Offer]],
    why: str,
) -> Held | None:
    """The next attempt with its machine, or as another client's; None where none is wanted."""
    run, attempt, store = target.run, target.attempt + 1, tools.store
    end = attempts.read_end(store, run, target.attempt)
    if (end is not None and not end.get("retry")) or stops.read_stop(store, run) is not None:
        return None
    moves.request_move(store, run, target.attempt, why=why, by=tools.owner)
    claim = Claim(store, run, attempt, tools.owner, tools.timers.lease)
    token, offers = asked
    intent = intent_of(tools, going.record, attempt, offers, host_key, token)
    if not attempts.claim_attempt(store, run, attempt, intent):
        return Held(attempt, None)
    claim.keep()
    settle(store, run, RunState.RECOVERING)
    attempts.record_machine(store, run, attempt, machine_as_json(machine, host_key.public))
    return Held(attempt, Launched(machine, host_key.public, claim))
