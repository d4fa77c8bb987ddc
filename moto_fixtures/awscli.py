"""The real awscli, for those who want to use or measure it against the emulated AWS.

It pins botocore, so it lives in a virtual environment of its own, made at the first use and kept.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from moto_fixtures.machine.locks import only_one
from moto_fixtures.machine.paths import cache_dir

_INSTALL_S = 280


def program() -> Path:
    """The path of ``aws``. Raises CalledProcessError where it cannot be installed."""
    venv = cache_dir() / "awscli"
    done = venv / "installed"
    with only_one("awscli"):
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
            pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
            subprocess.run([*pip, "install", "--quiet", "awscli<2"], check=True, timeout=_INSTALL_S)
            done.touch()
    return venv / "bin" / "aws"
