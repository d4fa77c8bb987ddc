"""paramiko, lean.

It loads `invoke` for the `Match exec` lines of OpenSSH configurations, which are not read here:
two fifths of its import's time, and some megabytes. It does without where that is not installed.

What it has to tell it raises. Its log would print the same once more, beside the run's output: a
port that nobody listens at yet, a line that broke.
"""

from __future__ import annotations

import logging
import sys

if "invoke" in sys.modules:
    import paramiko
else:
    sys.modules["invoke"] = None  # type: ignore[assignment]
    try:
        import paramiko
    finally:
        del sys.modules["invoke"]

logging.getLogger("paramiko").addHandler(logging.NullHandler())

__all__ = ["paramiko"]
