"""When a bucket's request is tried again: a few times, within seconds."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)
# With an endpoint that swallows packets every try costs the connection's own timeout.
LONGEST = 15.0


def tries() -> Iterator[bool]:
    """One item a try, pausing between them; True for the last."""
    began = time.monotonic()
    for pause in PAUSES:
        if time.monotonic() - began > LONGEST:
            break
        yield False
        # Callers that failed together must not come back together.
        time.sleep(pause * random.uniform(0.5, 1.0))
    yield True
