"""``run`` of a workflow that is shown other runs: on which clouds they are."""

from __future__ import annotations

from collections.abc import Sequence

from dstack_cloud import wiring
from dstack_cloud.config import Config
from dstack_cloud.errors import NotFoundError
from dstack_cloud.lifecycle.shown import resolve
from dstack_cloud.workflow.workflow import Workflow


def found_on(
    config: Config, clouds: Sequence[str], workflow: Workflow, names: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """The clouds whose store has all runs of these names, and which they are there.

    NotFoundError, at the file's line, where none has.
    """
    found: dict[str, tuple[str, ...]] = {}
    missing: NotFoundError | None = None
    for cloud in clouds:
        try:
            found[cloud] = resolve(wiring.open_store_of(config, cloud), workflow, names)
        except NotFoundError as error:
            missing = missing or error
    if not found and missing is not None:
        raise missing
    return found
