"""Each way to end has the contract's exit code."""

from __future__ import annotations

from typing import Any

import pytest

from dstack_cloud.lifecycle.ending import error_of, exit_code

STORED = {"path": "output", "files": 1, "bytes": 5, "stored": True, "error": None}


def end(state: str, reason: str, code: int | None, **more: Any) -> dict[str, Any]:
    return {
        "state": state,
        "reason": reason,
        "exit_code": code,
        "message": None,
        "hint": None,
        "artifacts": [],
        **more,
    }


@pytest.mark.parametrize(
    ("given", "code", "kind"),
    [
        (end("done", "exited", 0, artifacts=[STORED]), 0, None),
        (end("failed", "exited", 3), 3, None),
        (end("failed", "memory", 137), 137, None),
        (end("stopped", "stopped", 143), 143, None),
        (end("failed", "max_duration", 143), 124, "limit"),
        (end("failed", "image", None, message="no such image"), 2, "input"),
        (end("failed", "registry", None, message="no answer"), 75, "unreachable"),
        (end("lost", "machine-lost", None), 74, "machine-lost"),
        (
            end("done", "exited", 0, artifacts=[{**STORED, "stored": False, "error": "403"}]),
            74,
            "artifacts",
        ),
    ],
)
def test_exit_codes(given: dict[str, Any], code: int, kind: str | None) -> None:
    assert exit_code(given) == code
    error = error_of(given)
    assert (error.kind if error else None) == kind
