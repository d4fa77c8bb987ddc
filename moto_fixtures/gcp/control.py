"""What only the emulated Google Cloud has in its control interface."""

from __future__ import annotations

import threading
from typing import Any

from moto_fixtures.gcp.bootstrap import Users
from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.compute.instances import Instance
from moto_fixtures.gcp.emulator import Emulator
from moto_fixtures.gcp.gcs.app import GcsApp
from moto_fixtures.gcp.iam.launches import SOURCE
from moto_fixtures.gcp.iam.permissions import TABLE
from moto_fixtures.gcp.project import last
from moto_fixtures.shared.control import Body, Control, NotFound, Query


class GcpControl(Control):
    """Answers the requests below ``/_emulator/``; see the README for each."""

    def __init__(
        self, emulator: Emulator, users: Users, storage: GcsApp, info: dict[str, Any]
    ) -> None:
        own = (
            ("GET", "keys", self._keys),
            ("POST", "machines/(.+)/interrupt", self._interrupt),
            ("POST", "machines/(.+)/kill", self._kill),
            ("POST", "machines/(.+)/poweroff", self._power_off),
            ("POST", "machines/(.+)/partition", self._partition),
            ("POST", "machines/(.+)/maintenance", self._maintenance),
            ("GET", "disks", self._disks),
            ("POST", "quota", self._quota),
            ("DELETE", "quota", self._reset_quotas),
            ("POST", "services", self._service),
            ("DELETE", "tokens", self._revoke),
            ("POST", "users", self._user),
            ("POST", "foreign-buckets", self._foreign_bucket),
            ("GET", "permissions", self._permissions),
        )
        super().__init__(emulator, info, own)
        self._emulator = emulator
        self._users = users
        self._storage = storage

    @property
    def gone(self) -> threading.Condition:
        return self._emulator.instances.gone

    def handle(self, method: str, path: str, query: str, body: bytes) -> tuple[int, Any]:
        try:
            return super().handle(method, path, query, body)
        except GcpError as error:
            return 404, {"error": error.message}

    def listing(self) -> list[dict[str, Any]]:
        instances = self._emulator.instances
        found = []
        for machine in instances.machines.listing():
            instance = instances.ever(str(machine["id"]))
            item = instances.view(instance)
            found.append(
                {
                    **machine,
                    "instance": f"{instance.zone}/{instance.name}",
                    "instance_state": "DELETED" if instance.gone.is_set() else item["status"],
                    "state_reason": instance.why or None,
                    "instance_type": last(item["machineType"]),
                    "region": instance.zone.rpartition("-")[0],
                    "zone": instance.zone,
                    "spot": instance.asked.spot,
                    "launched": item["creationTimestamp"],
                    "tags": item.get("labels", {}),
                }
            )
        return found

    def _keys(self, query: Query, body: Body) -> Any:
        return self._users.files()

    def _instance(self, name: str) -> Instance:
        try:
            return self._emulator.instances.ever(name)
        except KeyError:
            raise NotFound(f"no instance {name}") from None

    def _interrupt(self, query: Query, body: Body, name: str) -> Any:
        """``notice_s`` from the ACPI signal until the power goes, 30 by default; ``early_s`` from
        the metadata's word to the signal, by default what the instance asked for."""
        instance = self._instance(name)
        notice, early = (
            float(body[key]) if key in body else None for key in ("notice_s", "early_s")
        )
        at = self._emulator.instances.preempt(instance, notice, early)
        return {"id": instance.id, "at": at.isoformat()}

    def _kill(self, query: Query, body: Body, name: str) -> Any:
        instance = self._instance(name)
        self._emulator.instances.machines.kill(instance.id)
        return {"id": instance.id}

    def _power_off(self, query: Query, body: Body, name: str) -> Any:
        """As if the guest had shut itself down: the instance is stopped, its disk stays.
        ``seconds`` are those from the power button to the cut."""
        instance = self._instance(name)
        seconds = float(body["seconds"]) if "seconds" in body else None
        self._emulator.instances.end(instance, "stop", "poweroff", seconds)
        return {"id": instance.id}

    def _partition(self, query: Query, body: Body, name: str) -> Any:
        instance = self._instance(name)
        seconds = float(body.get("seconds") or 30)
        self._emulator.instances.machines.partition(instance.id, seconds)
        return {"id": instance.id, "seconds": seconds}

    def _maintenance(self, query: Query, body: Body, name: str) -> Any:
        """``event``: what ``maintenance-event`` says from now on."""
        instance = self._instance(name)
        event = str(body.get("event", "TERMINATE_ON_HOST_MAINTENANCE"))
        now = self._emulator.clock.now()
        self._emulator.instances.machines.notice(instance.id, event, now)
        return {"id": instance.id, "event": event}

    def _disks(self, query: Query, body: Body) -> Any:
        """Every disk that is there: what would be on the bill."""
        return self._emulator.disks.listing()

    def _quota(self, query: Query, body: Body) -> Any:
        metric = str(body.get("metric") or body["code"])
        region = str(body.get("region") or ("global" if metric.endswith("_ALL_REGIONS") else "*"))
        self._emulator.quotas.set(metric, float(body["value"]), region)
        return body

    def _reset_quotas(self, query: Query, body: Body) -> Any:
        self._emulator.quotas.reset()
        return {}

    def _service(self, query: Query, body: Body) -> Any:
        """``{name, enabled}``: an API enabled or disabled, as by another administrator."""
        self._emulator.services.set_enabled(str(body["name"]), bool(body["enabled"]))
        return body

    def _revoke(self, query: Query, body: Body) -> Any:
        self._emulator.tokens.revoke()
        return {}

    def _user(self, query: Query, body: Body) -> Any:
        """A user with the roles and the permissions given (none: no permission); its key file."""
        permissions = body.get("permissions")
        if permissions is None and "roles" not in body:
            permissions = []
        return self._users.put(str(body["name"]), body.get("roles"), permissions)

    def _foreign_bucket(self, query: Query, body: Body) -> Any:
        self._storage.make_foreign_bucket(str(body["name"]))
        return body

    def _permissions(self, query: Query, body: Body) -> Any:
        rows = [
            {"call": call, "permissions": [p for p, _ in row.needs], "source": row.source}
            for call, row in sorted(TABLE.items())
        ]
        return [*rows, {"call": "launches", "permissions": "see launches.py", "source": SOURCE}]
