"""paramiko, lean.

It loads `invoke` for the `Match exec` lines of OpenSSH configurations, which are not read here:
two fifths of its import's time, and some megabytes. It does without where that is not installed.
"""

from __future__ import annotations

import sys

if "invoke" in sys.modules:
    import paramiko
else:
    sys.modules["invoke"] = None  # type: ignore[assignment]
    try:
        import paramiko
    finally:
        del sys.modules["invoke"]

__all__ = ["paramiko"]
