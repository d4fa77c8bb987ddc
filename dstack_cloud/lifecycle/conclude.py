"""The end of a run in words: how it ended, what it left, that its machine is gone, the bill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dstack_cloud.clouds.base import Machine
from dstack_cloud.cost import Cost
from dstack_cloud.errors import AccessError, DstackError, TryAgainError
from dstack_cloud.lifecycle.bills import run_cost
from dstack_cloud.lifecycle.ending import error_of, exit_code
from dstack_cloud.lifecycle.finish import confirm_gone
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.units import format_cost, format_duration, format_size, parse_time


@dataclass(frozen=True)
class Outcome:
    """How a run ended for the caller. ``end`` is None when the caller detached."""

    run: str
    attempt: int
    end: Mapping[str, Any] | None
    exit_code: int
    error: DstackError | None = None
    bill: Cost | None = None


def conclude(
    tools: Tools, run: str, attempt: int, machine: Machine | None, end: Mapping[str, Any]
) -> Outcome:
    """Say how the run ended, see its machine gone, print the bill."""
    say_end(tools, run, end)
    spent = None
    if machine is not None:
        tools.report.working("terminating", machine.id)
        try:
            gone = confirm_gone(tools, machine)
            spent = run_cost(tools.store, run)
        except (AccessError, TryAgainError) as error:
            # How the run ended is known, and the machine ends itself: that is not undone by it.
            tools.report.warn(
                "terminating",
                f"whether {machine.id} is gone could not be seen: {error.message}",
                f"it ends itself; {error.hint or 'try again'}, then dstack-cloud ps tells",
            )
            return Outcome(run, attempt, end, exit_code(end), error_of(end), spent)
        if gone:
            tools.report.done("terminated", _bill_words(spent))
        else:
            tools.report.warn(
                "terminating",
                f"{machine.id} is still there minutes after it should have ended",
                "dstack-cloud gc removes it; look at it in the cloud's console too",
            )
    return Outcome(run, attempt, end, exit_code(end), error_of(end), spent)


def say_end(tools: Tools, run: str, end: Mapping[str, Any]) -> None:
    """How an attempt ended, and what became of its artifacts."""
    code = end.get("exit_code")
    words = f"exit {code}" if code is not None else str(end["reason"])
    seconds = _seconds(end)
    took = f" after {format_duration(seconds)}" if seconds is not None else ""
    if end["state"] == "done":
        tools.report.done("done", words + took)
    elif end.get("retry") and end.get("message"):
        step = "moved" if end["reason"] == "moved" else "interrupted"
        tools.report.warn(step, f"{end['message']}{took}")
    else:
        message = f": {end['message']}" if end.get("message") else ""
        # Where it is an error of its own, that is told last, its hint included.
        hint = None if error_of(end) else end.get("hint")
        tools.report.warn(str(end["state"]), words + took + message, hint)
    for item in end.get("artifacts") or ():
        if item["stored"]:
            files = "1 file" if item["files"] == 1 else f"{item['files']} files"
            tools.report.done(
                "artifacts",
                f"{item['path']}: {files}, {format_size(item['bytes'])} → "
                f"{artifacts_url(tools, run)}/{item['path']}",
            )
        else:
            tools.report.warn("artifacts", f"{item['path']} was not stored: {item['error']}")


def artifacts_url(tools: Tools, run: str) -> str:
    """Where the run's artifacts are, for people."""
    return f"{tools.store.url.rstrip('/')}/artifacts/{run}"


def _seconds(end: Mapping[str, Any]) -> float | None:
    if not end.get("container_started_at"):
        return None
    return (
        parse_time(str(end["ended_at"])) - parse_time(str(end["container_started_at"]))
    ).total_seconds()


def _bill_words(spent: Cost) -> str:
    if spent.cost == 0 and spent.on_demand == 0:
        return "free of charge"
    words = f"cost {format_cost(spent.cost)}, on demand {format_cost(spent.on_demand)}"
    if spent.saving is not None and spent.saving > 0:
        words += f": {spent.saving * 100:.0f} % saved"
    return words
