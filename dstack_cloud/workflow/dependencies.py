"""Which workflows a workflow depends on in the end, in which order, and never in a circle. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from dstack_cloud.workflow.workflow import Workflow


def require_no_circle(workflows: Mapping[str, Workflow], name: str) -> None:
    """InputError, at the place in the file, where a workflow in the end depends on itself."""
    graph = {one: _named(workflows, one) for one in _reached(workflows, name)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # graphlib tells the way from what is needed to what needs it.
        circle = [str(one) for one in reversed(error.args[1])]
        workflow = workflows[circle[0]]
        raise workflow.error_at(
            f"deps.{workflow.dependencies.index(circle[1])}",
            f"these workflows depend on each other: {' → '.join(circle)}",
            "leave out one of these dependencies, or tag a run and depend on the tag",
        ) from None


def rounds(
    workflows: Mapping[str, Workflow], name: str, missing: Callable[[str], bool]
) -> list[list[str]]:
    """The workflows to run before ``name``, those of a round beside each other.

    ``missing`` tells whether a workflow has no successful run: only such ones are run, and only
    what they need is looked at. No circle may be there.
    """
    graph: dict[str, Sequence[str]] = {}
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in graph:
            graph[one] = [needed for needed in _named(workflows, one) if missing(needed)]
            waiting += graph[one]
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    found = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        sorter.done(*ready)
        found.append([one for one in ready if one != name])
    return [together for together in found if together]


def _named(workflows: Mapping[str, Workflow], name: str) -> list[str]:
    """The workflows of the file that one depends on."""
    if name not in workflows:
        return []
    return [one for one in workflows[name].dependencies if not one.startswith(":")]


def _reached(workflows: Mapping[str, Workflow], name: str) -> set[str]:
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting += _named(workflows, one)
    return seen


def require_apart(workflow: Workflow, brought: Sequence[tuple[str, Sequence[str]]]) -> None:
    """InputError, at the dependency, where what it brings lies in or above what another brings, or
    in or above an artifact of the workflow itself.

    ``brought`` are names of dependencies with their paths, in the order of the file.
    """
    taken = [(one.path.strip("/"), "is an artifact of this workflow") for one in workflow.artifacts]
    for index, (name, paths) in enumerate(brought):
        for path in paths:
            if path in (".", ""):
                problem: str | None = "would cover the whole working directory"
            else:
                problem = next((why for other, why in taken if _meet(path, other)), None)
            if problem is not None:
                raise workflow.error_at(
                    f"deps.{index}",
                    f"'{path}', which '{name}' brings, {problem}",
                    "let the two write to folders of different names",
                )
        taken += [(path, f"comes from '{name}' too") for path in paths]


def _meet(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")
