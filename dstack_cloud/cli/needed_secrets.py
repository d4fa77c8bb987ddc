"""``run`` of a workflow with secrets: on which clouds they are, before anything is launched."""

from __future__ import annotations

from collections.abc import Sequence

from dstack_cloud import wiring
from dstack_cloud.config import Config
from dstack_cloud.errors import NotFoundError
from dstack_cloud.lifecycle.private import absent, how_to_set
from dstack_cloud.workflow.workflow import Workflow


def found_on(config: Config, clouds: Sequence[str], workflow: Workflow) -> list[str]:
    """The clouds that have all secrets of the workflow.

    NotFoundError, at the file's line, with the commands that make what is missing where none of
    them has them all.
    """
    found = []
    failed: NotFoundError | None = None
    for cloud in clouds:
        values = wiring.secret_values(config, cloud, workflow.secrets)
        missing = [name for name in workflow.secrets if name not in values]
        if not missing:
            found.append(cloud)
        elif failed is None:
            at = workflow.secret_error(missing[0], absent(missing[0], cloud))
            failed = NotFoundError(
                at.message,
                how_to_set(missing, cloud),
                file=at.file,
                line=at.line,
                column=at.column,
            )
    if not found and failed is not None:
        raise failed
    return found
