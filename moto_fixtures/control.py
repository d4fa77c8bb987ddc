"""The control interface, ``/_emulator/…``: what happened, and what shall go wrong."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qs

from moto_fixtures.aws import bootstrap, s3
from moto_fixtures.aws.answer import Answer, AwsError, json_answer
from moto_fixtures.aws.emulator import Emulator
from moto_fixtures.aws.iam.permissions import TABLE

PREFIX = "/_emulator/"
Query = dict[str, str]
Body = dict[str, Any]


class NotFound(Exception):
    """There is no such thing to control."""


class Control:
    """Answers the requests below ``/_emulator/``; see the README for each."""

    def __init__(self, emulator: Emulator, store: str, info: dict[str, Any]) -> None:
        self._emulator = emulator
        self._store = store
        self._info = info
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Any]]] = [
            (method, re.compile(pattern), handler)
            for method, pattern, handler in (
                ("GET", "ready", self._ready),
                ("GET", "keys", self._keys),
                ("GET", "calls", self._calls),
                ("DELETE", "calls", self._clear_calls),
                ("GET", "machines", self._machines),
                ("POST", "machines/([^/]+)/interrupt", self._interrupt),
                ("POST", "machines/([^/]+)/kill", self._kill),
                ("POST", "machines/([^/]+)/poweroff", self._power_off),
                ("POST", "machines/([^/]+)/partition", self._partition),
                ("GET", "faults", self._faults),
                ("POST", "faults", self._add_fault),
                ("DELETE", "faults(?:/([0-9]+))?", self._remove_faults),
                ("GET", "holds", self._holds),
                ("POST", "holds", self._add_hold),
                ("POST", "holds/([0-9]+)/release", self._release),
                ("DELETE", "holds", self._clear_holds),
                ("GET", "clock", self._clock),
                ("POST", "clock", self._advance),
                ("DELETE", "clock", self._reset_clock),
                ("POST", "spot-price", self._spot_price),
                ("DELETE", "spot-price", self._reset_spot_prices),
                ("POST", "quota", self._quota),
                ("DELETE", "quota", self._reset_quotas),
                ("POST", "users", self._user),
                ("POST", "foreign-buckets", self._foreign_bucket),
                ("GET", "permissions", self._permissions),
            )
        ]

    def handle(self, method: str, path: str, query: str, body: bytes) -> Answer:
        """``path`` is what follows the prefix."""
        asked = {k: v[0] for k, v in parse_qs(query, keep_blank_values=True).items()}
        try:
            given = json.loads(body or b"{}")
            if not isinstance(given, dict):
                raise ValueError("the body is a JSON object")
            for verb, pattern, handler in self._routes:
                match = pattern.fullmatch(path.strip("/"))
                if match and verb == method:
                    return json_answer(handler(asked, given, *match.groups()))
        except NotFound as error:
            return json_answer({"error": str(error)}, 404)
        except AwsError as error:
            return json_answer({"error": str(error)}, 404)
        except (ValueError, TypeError, KeyError, InvalidOperation) as error:
            return json_answer({"error": f"{type(error).__name__}: {error}"}, 400)
        return json_answer({"error": f"no such control: {method} {PREFIX}{path}"}, 404)

    def _ready(self, query: Query, body: Body) -> Any:
        return {"ready": True, **self._info}

    def _keys(self, query: Query, body: Body) -> Any:
        store = query.get("store", self._store)
        return {k.user: asdict(k) for k in bootstrap.users(store)}

    def _calls(self, query: Query, body: Body) -> Any:
        return self._emulator.log.entries(int(query.get("since", 0)))

    def _clear_calls(self, query: Query, body: Body) -> Any:
        self._emulator.log.clear()
        return {}

    def _machines(self, query: Query, body: Body) -> Any:
        """With ``?until=none&wait=S``, answer once no machine is left, or after S seconds."""
        if query.get("until") == "none":
            deadline = time.monotonic() + float(query.get("wait", 30))
            gone = self._emulator.instances.gone
            with gone:
                while any(m["state"] != "off" for m in self._listing()):
                    left = deadline - time.monotonic()
                    if left <= 0:
                        break
                    gone.wait(min(left, 0.2))
        return self._listing()

    def _listing(self) -> list[dict[str, Any]]:
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

    def _faults(self, query: Query, body: Body) -> Any:
        return self._emulator.faults.listing()

    def _add_fault(self, query: Query, body: Body) -> Any:
        return asdict(self._emulator.faults.add(body))

    def _remove_faults(self, query: Query, body: Body, number: str | None) -> Any:
        self._emulator.faults.remove(None if number is None else int(number))
        return {}

    def _holds(self, query: Query, body: Body) -> Any:
        return self._emulator.holds.listing(float(query.get("wait", 0)))

    def _add_hold(self, query: Query, body: Body) -> Any:
        return self._emulator.holds.add(body).view()

    def _release(self, query: Query, body: Body, number: str) -> Any:
        if not self._emulator.holds.release(int(number), bool(body.get("drop", False))):
            raise NotFound(f"no hold {number} that is not released")
        return {"id": int(number)}

    def _clear_holds(self, query: Query, body: Body) -> Any:
        self._emulator.holds.clear()
        return {}

    def _clock(self, query: Query, body: Body) -> Any:
        clock = self._emulator.clock
        return {"now": clock.now().isoformat(), "advanced_s": clock.offset_s}

    def _advance(self, query: Query, body: Body) -> Any:
        seconds = float(body["advance_s"])
        if seconds < 0:
            raise ValueError("time goes forward only")
        self._emulator.clock.advance(seconds)
        return self._clock(query, body)

    def _reset_clock(self, query: Query, body: Body) -> Any:
        self._emulator.clock.reset()
        return self._clock(query, body)

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
