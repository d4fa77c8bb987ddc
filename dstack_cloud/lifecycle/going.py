"""What a client needs to go on with a run, whoever began it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dstack_cloud.clouds.base import Machine
from dstack_cloud.lifecycle.capacity import next_step
from dstack_cloud.lifecycle.elsewhere import elsewhere
from dstack_cloud.lifecycle.private import Private
from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.resources import Offer
from dstack_cloud.state import ages, keys

if TYPE_CHECKING:
    from dstack_cloud.lifecycle.in_time import InTime
    from dstack_cloud.lifecycle.seek import Decide


@dataclass
class Going:
    """``plan`` makes the ranked offers; ``private`` answers what is not on record, or
    raises where this client has not got it; ``lost`` are the machines that it saw
    lost; ``in_time`` keeps the deadline of a run that has one."""

    record: RunRecord
    plan: Callable[[RunRecord], Sequence[Offer]]
    private: Callable[[], Private]
    lost: list[Machine] = field(default_factory=list)
    in_time: InTime | None = None

    def lose(self, machine: Machine) -> None:
        """A machine of the run was lost, or is being left."""
        self.lost.append(machine)
        if self.in_time is not None:
            self.in_time.lose(machine)

    def search(self) -> tuple[Sequence[Offer], Decide]:
        """Among which offers the next machine is looked for, and by whose decisions."""
        offers = self.plan(self.record)
        if self.in_time is not None:
            return offers, self.in_time.search()
        return elsewhere(offers, self.lost), next_step


def keeper(tools: Tools, record: RunRecord) -> InTime | None:
    """What keeps the run's deadline, where it has one."""
    if record.deadline is None:
        return None
    from dstack_cloud.lifecycle.in_time import InTime, terms_of

    terms = terms_of(record, tools.timers.restart)
    if terms is None:
        return None
    # By the store's clock: this client's may be off, or that of who submitted the run.
    age = ages.age(tools.store, record.run, [keys.run(record.run)])
    return InTime(tools.store, record, terms, age=age)
