"""Where in the store an attempt's objects are, and those of one of its nodes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# The artifacts of nodes 1 and up are in folders of their own among the run's.
_OF_A_NODE = re.compile(r"node-[1-9][0-9]*/")


def several(job: Mapping[str, Any]) -> bool:
    """Whether the job is one node's of several."""
    return int(job.get("nodes") or 1) > 1


def node_of(job: Mapping[str, Any]) -> int:
    return int(job.get("node") or 0)


def attempt(job: Mapping[str, Any]) -> str:
    """The attempt's folder, which is node 0's, too."""
    return f"runs/{job['run']}/attempts/{job['attempt']}/"


def of_node(job: Mapping[str, Any], node: int) -> str:
    """The folder of any of the attempt's nodes."""
    return attempt(job) + (f"nodes/{node}/" if node else "")


def own(job: Mapping[str, Any]) -> str:
    """The folder of this machine's status, log and end."""
    return of_node(job, node_of(job))


def artifacts(job: Mapping[str, Any]) -> str:
    """Where this machine's artifacts go: node 0 has the run's own folder."""
    node = node_of(job)
    return f"artifacts/{job['run']}/" + (f"node-{node}/" if node else "")


def of_another(job: Mapping[str, Any], name: str) -> bool:
    """Whether an object below node 0's artifacts is one of another node."""
    return several(job) and not node_of(job) and _OF_A_NODE.match(name) is not None
