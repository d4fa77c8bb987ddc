"""google-cloud-compute, as far as it is used.

The package loads a hundred services at its import, which takes a second of processor time; the
few that are used here take half of that. It names its services as ones to be loaded when they are
used (``__lazy_modules__``, PEP 810), which Python does by itself from 3.15 on.
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module, util
from typing import Any

_NAME = "google.cloud.compute_v1"
_TYPES = f"{_NAME}.types.compute"
_CLIENT = "Client"
_lock = threading.Lock()


def compute_v1() -> Any:
    """The package: clients and messages by their names, each loaded when it is asked for."""
    with _lock:
        spec = util.find_spec(_NAME)
        if _NAME in sys.modules or spec is None or sys.version_info >= (3, 15):
            return import_module(_NAME)
        package: Any = util.module_from_spec(spec)
        package.__getattr__ = _found
        sys.modules[_NAME] = package
        return package


def _found(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    if name.endswith(_CLIENT):
        service = import_module(f"{_NAME}.services.{_snake(name.removesuffix(_CLIENT))}")
        return getattr(service, name)
    return getattr(import_module(_TYPES), name)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
