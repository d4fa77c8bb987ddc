"""Which runs a container is shown, while they run: from names to runs, by what the store has."""

from __future__ import annotations

from collections.abc import Sequence

from dstack_cloud.errors import NotFoundError
from dstack_cloud.nearest import did_you_mean
from dstack_cloud.state import runs
from dstack_cloud.storage.base import Store
from dstack_cloud.workflow.workflow import Workflow


def resolve(store: Store, workflow: Workflow, names: Sequence[str]) -> tuple[str, ...]:
    """The runs of these names: a run's own, or a workflow's, which stands for its latest run,
    whether that has ended or not. Each once, in their order.

    NotFoundError, at the place in the file, for a name that is neither.
    """
    rows = runs.listing(store)
    found = []
    for index, name in enumerate(names):
        latest = max(
            (row for row in rows if row.workflow == name), key=lambda row: row.number, default=None
        )
        if any(row.run == name for row in rows):
            found.append(name)
        elif latest is not None:
            found.append(latest.run)
        else:
            known = dict.fromkeys(each for row in rows for each in (row.run, row.workflow))
            message = f"'{name}' is neither a run nor a workflow that was run"
            place = workflow.error_at(f"runs.{index}", message)
            raise NotFoundError(
                f"{message}{did_you_mean(name, list(known))}",
                "dstack-cloud ps --all shows the runs",
                file=place.file,
                line=place.line,
                column=place.column,
            )
    return tuple(dict.fromkeys(found))
