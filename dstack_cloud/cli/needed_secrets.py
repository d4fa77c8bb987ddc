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

    InputError, at the file's line, where none of them can keep secrets, NotFoundError with the
    commands that make what is missing where none has them all.
    """
    able = [cloud for cloud in clouds if wiring.keeps_secrets(cloud)]
    if not able:
        raise workflow.secret_error(
            workflow.secrets[0],
            f"secrets on {' and '.join(clouds)} cannot be kept yet",
            "write the variable without a value: it is taken from your environment and stored "
            "nowhere; or take another cloud with --cloud",
        )
    found = []
    failed: NotFoundError | None = None
    for cloud in able:
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
