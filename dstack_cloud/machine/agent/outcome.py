"""How an attempt ended, decided from the facts. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .errors import Failure

_NO_SPACE = b"No space left on device"
_INIT = re.compile(rb"\[FATAL tini \(\d+\)\] (.*)")
GONE = "the container has disappeared from the machine"
_MORE_DISK = "ask for more with `disk` in the workflow's resources, such as disk: 200GB"
_MORE_MEMORY = "ask for more with `memory` in the workflow's resources"


def outcome(
    state: Mapping[str, Any] | None,
    cause: str | None,
    *,
    disk_full: bool = False,
    log_tail: bytes = b"",
    host_out_of_memory: bool = False,
    max_duration: int | None = None,
    max_cost: str | None = None,
) -> dict[str, Any]:
    """``state``, ``reason``, ``exit_code``, ``message`` and ``hint`` of end.json.

    ``state`` is the engine's description of the ended container, None when there never was one;
    ``cause`` is what asked for the end, None when nothing did; ``disk_full`` and
    ``host_out_of_memory`` are the machine's, ``log_tail`` the last of the container's output.
    """
    code = None if state is None else int(state["ExitCode"])
    if cause is not None:
        return {"exit_code": code, **_asked(cause, max_duration, max_cost)}
    if state is None:
        return {**_result("failed", "agent", GONE), "exit_code": None}
    if code == 0:
        return {**_result("done", "exited"), "exit_code": 0}
    if state.get("OOMKilled") or (code == 137 and host_out_of_memory):
        found = _result(
            "failed", "memory", "the container was killed for want of memory", _MORE_MEMORY
        )
    elif disk_full or _NO_SPACE in log_tail:
        found = _result("failed", "disk", "the disk was full", _MORE_DISK)
    else:
        found = _result("failed", "exited", state.get("Error") or None)
        # The container's init says so itself, where the image has no such program.
        init = _INIT.search(log_tail)
        if code in (126, 127) and init is not None:
            words = init.group(1).decode("utf-8", "replace").strip()
            found = _result("failed", "exited", f"the container's command cannot be run: {words}")
            found["hint"] = "check that the image has the program"
    return {**found, "exit_code": code}


def _asked(cause: str, max_duration: int | None, max_cost: str | None) -> dict[str, Any]:
    if cause == "stopped":
        return _result("stopped", "stopped")
    if cause == "aborted":
        return _result("stopped", "aborted", "aborted: artifacts were not saved")
    if cause == "max_duration":
        return _result(
            "failed",
            "max_duration",
            f"the run reached its max_duration of {max_duration} seconds",
            "raise max_duration, or save progress and resume",
        )
    if cause == "max_cost":
        return _result(
            "failed",
            "max_cost",
            f"the run reached its max_cost{'' if max_cost is None else f' of {max_cost} USD'}",
            "raise max_cost, or save progress and resume",
        )
    if cause == "disk":
        return _result("failed", "disk", "the disk is full", _MORE_DISK)
    if cause == "interrupted":
        return _result("failed", "interrupted", "the machine was taken away during the run")
    if cause == "fellow":
        return _result("stopped", "fellow", "another node ended first")
    if cause == "moved":
        return _result(
            "failed",
            "moved",
            "another machine goes on: the deadline is kept at less cost, or at all",
        )
    return _result("stopped", "fenced", "another attempt owns the run: nothing was saved here")


def goes_on(end: Mapping[str, Any], retry: Mapping[str, Any] | None, seconds: float) -> bool:
    """Whether another attempt follows: the workflow asks for one after such an end, so many
    ``seconds`` after this one's start."""
    if end["reason"] == "moved":
        return True  # Who asked for the move launches what follows.
    if retry is None or (retry["within"] is not None and seconds > retry["within"]):
        return False
    if end["reason"] == "interrupted":
        return "interruption" in retry["on"]
    return end["reason"] in ("exited", "memory") and str(end["exit_code"]) in retry["on"]


def of_failure(failure: Failure) -> dict[str, Any]:
    """The same for an attempt whose container never ran."""
    return {
        **_result("failed", failure.reason, failure.message, failure.hint),
        "exit_code": failure.exit_code,
    }


def _result(
    state: str, reason: str, message: str | None = None, hint: str | None = None
) -> dict[str, Any]:
    return {"state": state, "reason": reason, "message": message, "hint": hint}
