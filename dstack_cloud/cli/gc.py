"""``gc``: what was left in the account and belongs to no live run."""

from __future__ import annotations

import sys
from typing import Any

from dstack_cloud.cli import options, render


def gc(yes: options.Yes = False, as_json: options.Json = False) -> None:
    """List machines and leftovers that belong to no live run; remove them when told."""
    from dstack_cloud import config as configuration
    from dstack_cloud import wiring
    from dstack_cloud.lifecycle.leftovers import find_leftovers

    config = configuration.load()
    found: list[dict[str, Any]] = []
    removals = []
    for name in wiring.configured(config):
        tools = wiring.open_tools(config, name, render.QuietReporter())
        for leftover in find_leftovers(tools, wiring.regions(config, name)):
            found.append({**vars(leftover), "removed": False})
            removals.append((tools.cloud, leftover))
    if not as_json:
        _show(found)
    if removals and (yes or _asked(as_json)):
        for row, (cloud, leftover) in zip(found, removals, strict=True):
            cloud.remove(leftover)
            row["removed"] = True
            if not as_json:
                render.say(f"✓ removed      {leftover.kind} {leftover.id}")
    if as_json:
        render.print_json({"leftovers": found})


def _show(found: list[dict[str, Any]]) -> None:
    if not found:
        render.say("nothing is left over")
        return
    render.print_table(
        ("cloud", "region", "kind", "id", "run", "detail"),
        [
            (row["cloud"], row["region"], row["kind"], row["id"], row["run"] or "", row["detail"])
            for row in found
        ],
    )


def _asked(as_json: bool) -> bool:
    if as_json or not sys.stdin.isatty():
        if not as_json:
            render.say("nothing was removed; add -y to remove")
        return False
    return render.ask("Remove all of these? [y/N]") in ("y", "yes")
