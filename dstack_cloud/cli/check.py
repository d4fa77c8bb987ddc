"""``check``: whether a run would work, and what to do about each thing that would not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from dstack_cloud.cli import options, render

if TYPE_CHECKING:
    from dstack_cloud.clouds.base import Check

_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}


def check(
    cloud: options.Cloud = None, region: options.Region = None, as_json: options.Json = False
) -> int:
    """Test credentials, permissions, quotas, network, image and store."""
    from dstack_cloud import config as configuration
    from dstack_cloud import wiring

    config = configuration.load()
    rows: list[dict[str, Any]] = []
    for name in wiring.chosen(config, cloud):
        for place in wiring.regions(config, name, region):
            for found in wiring.open_cloud(config, name, apart=False).check(place):
                rows.append({"cloud": name, "region": place, **vars(found)})
                if not as_json:
                    _show(found)
    if as_json:
        render.print_json({"checks": rows})
    return 77 if any(row["ok"] is False for row in rows) else 0


def _show(found: Check) -> None:
    mark, colour = _MARKS[found.ok]
    print(
        f"{render.coloured(mark, colour, sys.stdout)} {found.name:<28} {found.detail}", flush=True
    )
    for line in (found.hint or "").splitlines():
        print(f"  {'':<28} {line}")
