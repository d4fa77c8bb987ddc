"""Google's REST APIs for the catalog's reading, answered by the emulated catalog in process."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from dstack_cloud.errors import PermissionDeniedError
from moto_fixtures.gcp.call import Call
from moto_fixtures.gcp.catalog.answers import ROUTES

BASES = {"compute": "/compute/v1/", "cloudbilling": "/"}


class Emulated:
    """Answers as the emulated cloud does; ``refused`` is a service whose calls are denied."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refused = ""
        self._lock = threading.Lock()

    def get(self, service: str, path: str, query: Mapping[str, str] | None = None) -> Any:
        with self._lock:
            self.asked.append(f"{service}/{path}")
        if service == self.refused:
            raise PermissionDeniedError("the API is disabled")
        whole = BASES[service] + path
        answer = next(handler for _, route, handler in ROUTES if re.fullmatch(route, whole))
        return answer(Call("GET", whole, query or {}, None, {}, None))


@pytest.fixture
def rest() -> Emulated:
    return Emulated()
