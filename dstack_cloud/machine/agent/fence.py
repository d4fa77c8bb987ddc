"""Whether this attempt still owns the run: what stands between an old machine and newer files.

Who takes a run over from a machine that is cut off writes that machine's end first, and the next
attempt restores, and then writes, only after that. So an attempt may write until its end is told.
That the next one has been claimed says less: after a notice it is, while this one saves its work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from . import folders
from .paths import Paths, read_json
from .store import Store


def fenced(store: Store, job: Mapping[str, Any], paths: Paths) -> bool:
    """Whether somebody else has told this attempt's end. StoreError."""
    told = store.get(folders.attempt(job) + "end.json")
    if told is None:
        return False
    ours = read_json(paths.whole) or read_json(paths.draft)
    return ours is None or json.loads(told) != ours
