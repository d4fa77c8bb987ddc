"""What a client needs to go on with a run, whoever began it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dstack_cloud.clouds.base import Machine
from dstack_cloud.errors import InputError
from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.resources import Offer


@dataclass
class Going:
    """``plan`` makes the ranked offers; ``private`` answers the environment values that are not on
    record, or raises where this client has not got them; ``lost`` are the machines that it saw
    lost."""

    record: RunRecord
    plan: Callable[[RunRecord], Sequence[Offer]]
    private: Callable[[], Mapping[str, str]]
    lost: list[Machine] = field(default_factory=list)


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
