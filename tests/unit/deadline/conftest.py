"""Makes `bench/` importable: the tests hold the product to the rules that the bench replays."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench"))
