"""Which clouds can run a workflow on several machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dstack_cloud import wiring

if TYPE_CHECKING:
    from dstack_cloud.workflow.workflow import Workflow


def with_many(workflow: Workflow, nodes: int, clouds: Sequence[str]) -> list[str]:
    """Those of the clouds that launch several machines at once; InputError where none does."""
    found = [cloud for cloud in clouds if cloud in wiring.WITH_MANY_NODES]
    if found:
        return found
    raise workflow.error_at(
        "nodes",
        f"{nodes} machines are wanted, and this computer is one",
        f"choose a cloud that launches several at once ({', '.join(wiring.WITH_MANY_NODES)}) with "
        "--cloud, or leave 'nodes' out",
    )
