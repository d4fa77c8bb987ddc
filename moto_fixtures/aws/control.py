"""What only the emulated AWS has in its control interface."""

from __future__ import annotations

import threading
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from moto_fixtures.aws import bootstrap, s3
from moto_fixtures.aws.answer import AwsError
from moto_fixtures.aws.emulator import Emulator
from moto_fixtures.aws.iam.permissions import TABLE
from moto_fixtures.shared.control import Body, Control, Query


class AwsControl(Control):
    """Answers the requests below ``/_emulator/``; see the README for each."""

    def __init__(self, emulator: Emulator, store: str, info: dict[str, Any]) -> None:
        own = (
            ("GET", "keys", self._keys),
            ("POST", "machines/([^/]+)/interrupt", self._interrupt),
            ("POST", "machines/([^/]+)/kill", self._kill),
            ("POST", "machines/([^/]+)/poweroff", self._power_off),
            ("POST", "machines/([^/]+)/partition", self._partition),
            ("POST", "spot-price", self._spot_price),
            ("DELETE", "spot-price", self._reset_spot_prices),
            ("POST", "quota", self._quota),
            ("DELETE", "quota", self._reset_quotas),
            ("POST", "users", self._user),
            ("POST", "foreign-buckets", self._foreign_bucket),
            ("GET", "permissions", self._permissions),
        )
        super().__init__(emulator, info, own)
        self._emulator = emulator
        self._store = store

    @property
    def gone(self) -> threading.Condition:
        return self._emulator.instances.gone

    def handle(self, method: str, path: str, query: str, body: bytes) -> tuple[int, Any]:
        try:
            return super().handle(method, path, query, body)
        except AwsError as error:
            return 404, {"error": str(error)}

    def _keys(self, query: Query, body: Body) -> Any:
        store = query.get("store", self._store)
        return {k.user: asdict(k) for k in bootstrap.users(store)}

    def listing(self) -> list[dict[str, Any]]:
        found = []
        for machine in self._emulator.instances.machines.listing():
            try:
                instance = self._emulator.instances.find(str(machine["id"]))
            except AwsError:
                continue
            found.append(
                {
                    **machine,
                    "instance_state": instance.state,
                    "state_reason": instance.state_reason.code,
                    "instance_type": instance.instance_type,
                    "region": instance.region_name,
                    "zone": instance.availability_zone,
                    "spot": instance.lifecycle == "spot",
                    "launched": f"{instance.launch_time.isoformat(timespec='milliseconds')}Z",
                    "tags": {t["key"]: t["value"] for t in instance.get_tags()},
                }
            )
        return found

    def _interrupt(self, query: Query, body: Body, machine_id: str) -> Any:
        """``notice_s`` until the machine dies; with ``rebalance``, only the early warning."""
        self._emulator.instances.find(machine_id)
        if body.get("rebalance"):
            now = self._emulator.clock.now()
            self._emulator.instances.machines.notice(machine_id, "rebalance", now)
            return {"id": machine_id, "rebalance": now.isoformat()}
        at = self._emulator.instances.interrupt(machine_id, float(body.get("notice_s", 120)))
        return {"id": machine_id, "at": at.isoformat()}

    def _kill(self, query: Query, body: Body, machine_id: str) -> Any:
        self._emulator.instances.find(machine_id)
        self._emulator.instances.machines.kill(machine_id)
        return {"id": machine_id}

    def _power_off(self, query: Query, body: Body, machine_id: str) -> Any:
        """As if the machine had shut itself down: its shutdown behaviour says what follows."""
        self._emulator.instances.power_off(machine_id)
        return {"id": machine_id}

    def _partition(self, query: Query, body: Body, machine_id: str) -> Any:
        self._emulator.instances.find(machine_id)
        seconds = float(body.get("seconds") or 30)
        self._emulator.instances.machines.partition(machine_id, seconds)
        return {"id": machine_id, "seconds": seconds}

    def _spot_price(self, query: Query, body: Body) -> Any:
        price = Decimal(str(body["price"]))
        self._emulator.spot_prices.set(
            str(body.get("instance_type", "*")), str(body.get("zone", "*")), price
        )
        return body

    def _reset_spot_prices(self, query: Query, body: Body) -> Any:
        self._emulator.spot_prices.reset()
        return {}

    def _quota(self, query: Query, body: Body) -> Any:
        self._emulator.quotas.set(
            str(body["code"]), float(body["value"]), str(body.get("region", "*"))
        )
        return body

    def _reset_quotas(self, query: Query, body: Body) -> Any:
        self._emulator.quotas.reset()
        return {}

    def _user(self, query: Query, body: Body) -> Any:
        """A user with the policy document given (none: no permission); its key."""
        return asdict(bootstrap.put_user(str(body["name"]), body.get("policy")))

    def _foreign_bucket(self, query: Query, body: Body) -> Any:
        s3.create_foreign_bucket(str(body["name"]))
        return body

    def _permissions(self, query: Query, body: Body) -> Any:
        return [
            {"service": s, "call": c, "permissions": list(row.actions), "source": row.source}
            for (s, c), row in sorted(TABLE.items())
        ]
