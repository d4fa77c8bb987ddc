"""How an attempt ended, in the words of ``end.json``, and what that means for the caller."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dstack_cloud import errors
from dstack_cloud.errors import DstackError
from dstack_cloud.state import attempts
from dstack_cloud.state.runs import RunState, settle
from dstack_cloud.storage.base import Store
from dstack_cloud.units import format_time, utc_now

# Reasons that are not the container's own ending, and the error that each is for the caller.
_REASONS: dict[str, type[DstackError]] = {
    "max_duration": errors.LimitReachedError,
    "max_cost": errors.CostLimitError,
    "image": errors.InputError,
    "registry": errors.UnreachableError,
    "rate-limit": errors.ThrottledError,
    "login": errors.CredentialsError,
    "denied": errors.PermissionDeniedError,
    "cloud-access": errors.PermissionDeniedError,
    "disk": errors.InputError,
    "setup": errors.TryAgainError,
    "restore": errors.ArtifactsError,
    "machine-lost": errors.MachineLostError,
    "fenced": errors.TryAgainError,
    "interrupted": errors.TryAgainError,
    "moved": errors.TryAgainError,
    "agent": errors.InternalError,
}


def record_end(
    store: Store,
    run: str,
    attempt: int,
    state: RunState,
    reason: str,
    error: DstackError,
    *,
    retry: bool = False,
    latest: bool = True,
    machine_ended_at: datetime | None = None,
) -> bool:
    """Write the end of an attempt whose agent cannot; False when it had one already.

    ``retry`` says that another attempt follows: the run is then recovering, not over. The index
    is left alone for an attempt that is not the ``latest``. ``machine_ended_at``: its machine went
    off the bill before now.
    """
    end: dict[str, Any] = {
        "state": str(state),
        "reason": reason,
        "kind": error.kind,
        "exit_code": None,
        "message": error.message,
        "hint": error.hint,
        "started_at": None,
        "container_started_at": None,
        "ended_at": format_time(utc_now()),
        "log_bytes": None,
        "artifacts": [],
        "retry": retry,
    }
    if machine_ended_at is not None:
        end["machine_ended_at"] = format_time(machine_ended_at)
    written = attempts.record_end(store, run, attempt, end)
    if written and latest:
        settle(store, run, RunState.RECOVERING if retry else state)
    return written


def error_of(end: Mapping[str, Any]) -> DstackError | None:
    """The error that an ended attempt is for the caller, None if it is just an exit code."""
    kind = _REASONS.get(str(end["reason"]))
    missing = [item for item in end.get("artifacts") or () if not item["stored"]]
    if kind is not None:
        return kind(str(end["message"] or end["reason"]), end.get("hint"))
    if missing:
        names = ", ".join(f"{item['path']}: {item['error']}" for item in missing)
        return errors.ArtifactsError(
            f"artifacts were not stored: {names}",
            "the machine is gone, and with it what was not stored; check the store's permissions",
        )
    return None


def exit_code(end: Mapping[str, Any]) -> int:
    """The exit code for an attached caller."""
    error = error_of(end)
    if error is not None:
        return error.exit_code
    code = end.get("exit_code")
    if code is not None:
        return int(code)
    # Stopped before there was a container, by whoever said so.
    return {"done": 0, "stopped": errors.DetachedError.exit_code}.get(str(end["state"]), 70)
