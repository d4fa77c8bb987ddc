"""Taking over an attempt whose client is gone while it launched a machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dstack_cloud.clouds.base import Machine, MachineState
from dstack_cloud.errors import DetachedError, MachineLostError
from dstack_cloud.lifecycle.claim import Lapse
from dstack_cloud.lifecycle.ending import record_end
from dstack_cloud.lifecycle.late import note_late
from dstack_cloud.lifecycle.machine_record import machine_as_json, machine_from_json
from dstack_cloud.lifecycle.priced import priced
from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.state import attempts, leases
from dstack_cloud.state.documents import Document
from dstack_cloud.state.runs import RunState
from dstack_cloud.units import format_duration, utc_now


def take_over_launch(
    tools: Tools, record: RunRecord, attempt: int, lapse: Lapse, *, stopped: bool = False
) -> bool:
    """End an attempt that its client has left before an agent worked for it, machine and all.

    False while its client renews its lease, where an agent has begun, or where another client was
    quicker. The run goes on with the next attempt if its rule says so, unless it is ``stopped``.
    Of many who do this one gets the lease, which tells the client that was only asleep. One that is
    killed on the way is followed by the next, in the same way.
    """
    run, store = record.run, tools.store
    intent = attempts.read_intent(store, run, attempt)
    promised = (intent or {}).get("lease")
    if intent is None or promised is None:
        return False  # A client of an earlier version: its patience is all that is known.
    seen = leases.version(store, run, attempt)
    seconds = lapse.seconds(seen)
    if seconds < promised or attempts.read_status(store, run, attempt) is not None:
        return False
    if not leases.take(store, run, attempt, seen, leases.new_claim(), by=tools.owner):
        return False
    words = f"its client launched a machine and gave no sign for {format_duration(seconds)}"
    goes_on = not stopped and record.outlives(attempt, utc_now())
    machines = _machines(tools, record, attempt, intent)
    used = 1
    if machines and attempts.read_machine(store, run, attempt) is None:
        # What it costs until now is the run's.
        used = record.container.nodes
        nodes = machines[:used]
        first = replace(nodes[0], fellows=tuple(nodes[1:]))
        recorded = machine_as_json(first, str(intent["host_key"]))
        attempts.record_machine(store, run, attempt, recorded)
    # Before the end: whoever finds that would not look for machines any more.
    for number, machine in enumerate(machines):
        tools.cloud.terminate(machine.region, machine.ids)
        if number >= used:
            note_late(store, run, attempt, machine)
    if stopped:
        ended = DetachedError(f"stopped: {words}")
        record_end(store, run, attempt, RunState.STOPPED, "stopped", ended)
    else:
        lost = MachineLostError(f"attempt {attempt} is lost: {words}", "run it again")
        record_end(store, run, attempt, RunState.LOST, "machine-lost", lost, retry=goes_on)
    tools.report.warn("launching", f"attempt {attempt} is taken over: {words}")
    return True


def _machines(tools: Tools, record: RunRecord, attempt: int, intent: Document) -> Sequence[Machine]:
    """The attempt's machines that are there: the one on record, and what the cloud lists."""
    run = record.run
    recorded = attempts.read_machine(tools.store, run, attempt)
    known = [machine_from_json(recorded)[0]] if recorded else []
    listed = [
        priced(machine, intent, record.request.disk)
        for region in intent["regions"]
        for machine in tools.cloud.machines(region, run)
        if machine.attempt == attempt
        and machine.state is not MachineState.GONE
        and machine.id not in {id_ for one in known for id_ in one.ids}
    ]
    return [*known, *listed]
