"""``ps``: the runs, the live ones first looked after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dstack_cloud.cli import options, render
from dstack_cloud.errors import DstackError

if TYPE_CHECKING:
    from dstack_cloud.lifecycle.tools import Tools
    from dstack_cloud.state.runs import RunRow

_ENDED_SHOWN = 10
_REST = ("state", "attempt", "exit", "cost $", "sync")


def ps(
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="All ended runs, not just the latest ten.")
    ] = False,
    as_json: options.Json = False,
) -> int:
    """List the runs: state, attempt, exit code, cost.

    A cloud that does not answer does not hide the runs of the others; its error decides the exit
    code.
    """
    from dstack_cloud import config as configuration
    from dstack_cloud import wiring

    config = configuration.load()
    rows: list[dict[str, Any]] = []
    failed: DstackError | None = None
    names = wiring.configured(config)
    for name in names:
        try:
            tools = wiring.open_tools(config, name, render.QuietReporter())
            rows += _rows(tools, None if everything else _ENDED_SHOWN)
        except DstackError as error:
            if len(names) == 1:
                raise
            failed = error
            render.print_error(error)
    if as_json:
        render.print_json({"runs": rows})
    elif rows:
        _print(rows)
    elif failed is None:
        render.say("no runs yet")
    return failed.exit_code if failed else 0


def _print(rows: list[dict[str, Any]]) -> None:
    # The same name may be taken in the store of each cloud.
    clouds = len({row["cloud"] for row in rows}) > 1
    render.print_table(
        ("run", *(["cloud"] if clouds else []), "workflow", *_REST),
        [
            (
                row["run"],
                *([row["cloud"]] if clouds else []),
                row["workflow"],
                row["state"],
                str(row["attempt"]),
                "" if row["exit_code"] is None else str(row["exit_code"]),
                row["cost"] or "",
                _sync_words(row),
            )
            for row in rows
        ],
        right=" " * clouds + "   rrr",
    )


def _rows(tools: Tools, ended: int | None) -> list[dict[str, Any]]:
    from concurrent.futures import ThreadPoolExecutor

    from dstack_cloud.lifecycle.recover import reconcile
    from dstack_cloud.state.runs import listing

    live = [row for row in listing(tools.store) if not row.state.final]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda row: reconcile(tools, row.run), live))
        rows = listing(tools.store)
        over = [row for row in rows if row.state.final][:ended]
        shown = [row for row in reversed(rows) if row in over or not row.state.final]
        return list(pool.map(lambda row: _facts(tools, row), shown))


def _facts(tools: Tools, row: RunRow) -> dict[str, Any]:
    from dstack_cloud.lifecycle.bills import bill_of
    from dstack_cloud.state import attempts
    from dstack_cloud.state.history import attempts_of

    records = attempts_of(tools.store, row.run)
    attempt = len(records)
    end = records[-1].end if records else None
    had_machine = any(record.machine for record in records)
    status = attempts.read_status(tools.store, row.run, attempt) if attempt else None
    bill = bill_of(row.run, row.workflow, row.state, records)
    cost = bill.cost.cost if had_machine else None
    return {
        "run": row.run,
        "cloud": tools.cloud.name,
        "workflow": row.workflow,
        "state": str(row.state),
        "attempt": attempt,
        "exit_code": end["exit_code"] if end else None,
        "cost": f"{cost:.4f}" if cost is not None else None,
        "sync": _sync(status or {}, end or {}),
    }


def _sync(status: Mapping[str, Any], end: Mapping[str, Any]) -> dict[str, Any]:
    """How far the store is behind: by the agent's last word, or by what it stored at the end."""
    if artifacts := end.get("artifacts"):
        missing = [item for item in artifacts if not item["stored"]]
        return {
            "behind": sum(int(item["bytes"]) for item in missing),
            "last_ok": None if missing else end["ended_at"],
            "error": "; ".join(f"{item['path']}: {item['error']}" for item in missing) or None,
        }
    sync = status.get("sync") or {}
    return {
        "behind": int(sync.get("behind") or 0),
        "last_ok": sync.get("last_ok"),
        "error": sync.get("error"),
    }


def _sync_words(row: dict[str, Any]) -> str:
    """Of a run that has ended, only what is missing: the rest is history."""
    from dstack_cloud.cli.sync_words import sync_words
    from dstack_cloud.state.runs import RunState
    from dstack_cloud.units import utc_now

    sync = row["sync"]
    if RunState(row["state"]).final and not sync["behind"] and not sync["error"]:
        return ""
    return sync_words(sync, utc_now())
