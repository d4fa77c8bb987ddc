"""What a client needs to go on with a run, whoever began it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dstack_cloud.clouds.base import Machine
from dstack_cloud.errors import InputError
from dstack_cloud.lifecycle.capacity import next_step
from dstack_cloud.lifecycle.elsewhere import elsewhere
from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.resources import Offer

if TYPE_CHECKING:
    from dstack_cloud.lifecycle.in_time import InTime
    from dstack_cloud.lifecycle.seek import Decide


@dataclass
class Going:
    """``plan`` makes the ranked offers; ``private`` answers the environment values that are not on
    record, or raises where this client has not got them; ``lost`` are the machines that it saw
    lost; ``in_time`` keeps the deadline of a run that has one."""

    record: RunRecord
    plan: Callable[[RunRecord], Sequence[Offer]]
    private: Callable[[], Mapping[str, str]]
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
    return None if terms is None else InTime(tools.store, record, terms)


def private_values(record: RunRecord, environ: Mapping[str, str]) -> dict[str, str]:
    """The values that the run's record leaves to the caller's environment.

    Raises InputError for those that are not set.
    """
    missing = [name for name in record.private if name not in environ]
    if missing:
        raise InputError(
            f"{record.run} took {', '.join(missing)} from the environment that it was started "
            "in, and this one does not have it: another attempt cannot be started here",
            "set it and attach again, or attach where the run was started",
        )
    return {name: environ[name] for name in record.private}
