"""Disks: what boots instances, and what is left of them."""

from __future__ import annotations

import threading
from typing import Any

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.project import last, link, new_id, not_found

Item = dict[str, Any]


class Disks:
    """Of all zones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, Item] = {}

    def create(self, path: str, now: str, **values: Any) -> Item:
        """``path`` is ``projects/P/zones/Z/disks/NAME``."""
        zone = path.rpartition("/disks/")[0]
        item = {
            "kind": "compute#disk",
            "id": new_id(),
            "creationTimestamp": now,
            "name": last(path),
            "zone": link(zone),
            "status": "READY",
            "selfLink": link(path),
            "physicalBlockSizeBytes": "4096",
            "labelFingerprint": "42WmSpB8rSM=",
            "lastAttachTimestamp": now,
            **values,
        }
        with self._lock:
            if path in self._kept:
                raise GcpError(409, "alreadyExists", f"The resource '{path}' already exists")
            self._kept[path] = item
        return item

    def get(self, path: str) -> Item:
        with self._lock:
            if path not in self._kept:
                raise not_found(path)
            return dict(self._kept[path])

    def exists(self, path: str) -> bool:
        with self._lock:
            return path in self._kept

    def detach(self, path: str, now: str) -> None:
        """Nobody's from now on: its instance was deleted and it was not."""
        with self._lock:
            item = self._kept.get(path)
            if item is not None:
                item.pop("users", None)
                item["lastDetachTimestamp"] = now

    def remove(self, path: str) -> None:
        """Harmless where there is none."""
        with self._lock:
            self._kept.pop(path, None)

    def deletable(self, path: str) -> Item:
        """The disk; GcpError where it is not there, or an instance uses it."""
        item = self.get(path)
        if item.get("users"):
            user = item["users"][0].removeprefix(link(""))
            raise GcpError(
                400,
                "resourceInUseByAnotherResource",
                f"The disk resource '{path}' is already being used by '{user}'",
            )
        return item

    def listing(self) -> list[Item]:
        with self._lock:
            return [dict(item) for item in self._kept.values()]
