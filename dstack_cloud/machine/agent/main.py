"""The verbs. Each imports only what it needs: `follow` starts for every connection."""

from __future__ import annotations

import os
import sys

from .paths import Paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = "usage: agent.pyz start|serve|follow|status [--root ROOT] [--offset N]"


def main(argv: Sequence[str]) -> int:
    """Run one verb; returns the process's exit code."""
    options = {"--root": "/var/lib/dstack", "--offset": "0"}
    words = list(argv)
    verb = words.pop(0) if words else ""
    while len(words) >= 2 and words[0] in options:
        options[words[0]] = words[1]
        del words[:2]
    paths = Paths(os.path.abspath(options["--root"]))
    if verb == "start" and not words:
        from .start import start

        return start(paths)
    if verb == "serve" and not words:
        from .serve import serve

        return serve(paths)
    if verb == "follow" and not words and options["--offset"].isdigit():
        from .follow import follow

        return follow(paths, int(options["--offset"]))
    if verb == "status" and not words:
        from .follow import show

        return show(paths)
    print(USAGE, file=sys.stderr)
    return 2
