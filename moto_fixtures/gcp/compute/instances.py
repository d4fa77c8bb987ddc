"""Instances and the machines behind them: how each begins, ends, and what it leaves."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.compute import resource
from moto_fixtures.gcp.compute.disks import Disks
from moto_fixtures.gcp.compute.spec import Asked, Choice, duration_s
from moto_fixtures.gcp.project import fingerprint, link, not_found, stamp
from moto_fixtures.machine.base import Machines
from moto_fixtures.shared.clock import Clock

Item = dict[str, Any]
PREEMPTION_S = 30.0
"""From the ACPI signal to the end: cloud.google.com/compute/docs/instances/spot."""


@dataclass
class Instance:
    """``item`` is what the API shows; ``final`` what becomes of it when its machine is off."""

    item: Item
    asked: Asked
    choice: Choice
    booted: bool = False
    final: str | None = None
    why: str = ""
    gone: threading.Event = field(default_factory=threading.Event)
    off: threading.Event = field(default_factory=threading.Event)

    @property
    def id(self) -> str:
        return str(self.item["id"])

    @property
    def name(self) -> str:
        return str(self.item["name"])

    @property
    def zone(self) -> str:
        return self.choice.zone

    @property
    def path(self) -> str:
        return resource.instance_path(self.zone, self.name)

    @property
    def action(self) -> str:
        """What a preemption, or the end of the run time, does."""
        return str(self.item["scheduling"].get("instanceTerminationAction") or "STOP")


class Instances:
    """Keeps the API's instances and the machines in step."""

    machines: Machines

    def __init__(self, clock: Clock, disks: Disks) -> None:
        self._clock = clock
        self._disks = disks
        self._lock = threading.RLock()
        self._kept: dict[str, Instance] = {}
        self._ever: dict[str, Instance] = {}
        self.gone = threading.Condition()
        self.on_system_event: Callable[[str, Instance], None] = lambda kind, instance: None

    def create(self, asked: Asked, choice: Choice, name: str) -> Instance:
        """Its resource and its disk; no machine yet. GcpError where the name is taken."""
        now = stamp(self._clock.now())
        with self._lock:
            path = resource.instance_path(choice.zone, name)
            if path in self._kept:
                raise GcpError(409, "alreadyExists", f"The resource '{path}' already exists")
            disk_path, disk, attached = resource.disk_of(asked, choice, name)
            item = resource.instance(asked, choice, name, attached, now)
            self._disks.create(disk_path, now, **disk)
            instance = Instance(item, asked, choice)
            self._kept[path] = self._ever[instance.id] = instance
            return instance

    def boot(self, instance: Instance) -> bool:
        """Launch its machine; False where it was deleted meanwhile."""
        with self._lock:
            if instance.gone.is_set() or instance.final is not None:
                return False
            spec = resource.machine_spec(instance.item, instance.asked, instance.choice)
            instance.item["status"] = "STAGING"
            address = self.machines.launch(spec)
            instance.booted = True
            resource.set_address(instance.item, address)
            now = self._clock.now()
            instance.item.update(
                status="RUNNING", lastStartTimestamp=stamp(now), cpuPlatform="Intel Broadwell"
            )
            self._limit(instance, now)
        return True

    def _limit(self, instance: Instance, now: datetime) -> None:
        """Have the run time end when it is over."""
        limit = duration_s(instance.item["scheduling"].get("maxRunDuration"))
        if limit is None:
            return
        until = now + timedelta(seconds=limit)
        instance.item["resourceStatus"] = {"scheduling": {"terminationTimestamp": stamp(until)}}

        def later() -> None:
            self._clock.wait_until(until)
            if not instance.off.is_set():
                self.on_system_event("compute.instances.automaticTermination", instance)
                self.end(instance, "delete" if instance.action == "DELETE" else "stop", "limit")

        threading.Thread(target=later, daemon=True, name=f"limit-{instance.name}").start()

    def end(
        self, instance: Instance, final: str, why: str = "", patience: float | None = None
    ) -> None:
        """Begin to ``delete`` or ``stop``; returns at once. Deleting wins over stopping."""
        with self._lock:
            if instance.gone.is_set():
                return
            if final == "delete" or instance.final is None:
                instance.final = final
                instance.why = instance.why or why
            if not instance.booted or instance.off.is_set():
                self._finish(instance)
                return
            instance.item["status"] = "STOPPING"
        self.machines.terminate(instance.id, patience)

    def preempt(
        self, instance: Instance, notice_s: float | None, early_s: float | None = None
    ) -> datetime:
        """Take a spot instance back: the metadata says so, the button is pressed, and 30 s (or
        ``notice_s``) later it is off. Returns when the power goes at the latest.

        With ``preemptionNoticeDuration`` the metadata says so that much earlier, or ``early_s``.
        """
        if not instance.asked.spot:
            raise ValueError(f"{instance.name} is not a spot instance: only those are preempted")
        if instance.item["status"] != "RUNNING":
            raise ValueError(f"{instance.name} is {instance.item['status']}")
        asked = instance.item["scheduling"].get("preemptionNoticeDuration")
        early = early_s if early_s is not None else duration_s(asked) or 0.0
        patience = PREEMPTION_S if notice_s is None else notice_s
        pressed = self._clock.now() + timedelta(seconds=early)
        self.machines.notice(instance.id, "preempted", pressed)
        self.on_system_event("compute.instances.preempted", instance)

        def later() -> None:
            self._clock.wait_until(pressed)
            final = "delete" if instance.action == "DELETE" else "stop"
            self.end(instance, final, "preempted", patience)

        threading.Thread(target=later, daemon=True, name=f"preempt-{instance.name}").start()
        return pressed + timedelta(seconds=patience)

    def on_exit(self, machine_id: str, why: str) -> None:
        """A machine ended: ``poweroff`` by itself, ``killed``, or ``terminated`` by us."""
        with self._lock:
            instance = self._ever.get(machine_id)
            if instance is None:
                return
            if instance.final is None:
                # Whoever shuts the guest down, or cuts its power, leaves a stopped instance.
                instance.final = "stop"
                instance.why = instance.why or why
            self._finish(instance)
        if why == "poweroff":
            self.on_system_event("compute.instances.guestTerminate", instance)
        elif why == "killed":
            self.on_system_event("compute.instances.hostError", instance)
        with self.gone:
            self.gone.notify_all()

    def _finish(self, instance: Instance) -> None:
        now = stamp(self._clock.now())
        instance.off.set()
        if instance.final == "delete":
            self._kept.pop(instance.path, None)
            for disk in instance.item["disks"]:
                path = disk["source"].removeprefix(link(""))
                if disk["autoDelete"]:
                    self._disks.remove(path)
                else:
                    self._disks.detach(path, now)
            instance.gone.set()
            return
        instance.item.update(status="TERMINATED", lastStopTimestamp=now)
        instance.item.pop("resourceStatus", None)
        for access in instance.item["networkInterfaces"][0].get("accessConfigs") or []:
            access.pop("natIP", None)
        instance.final = None

    def change(self, instance: Instance, field_name: str, value: Item) -> None:
        """Set the labels or the metadata of one that is there."""
        with self._lock:
            if field_name == "labels":
                instance.item.update(labels=value, labelFingerprint=fingerprint())
            else:
                kept = {"kind": "compute#metadata", "fingerprint": fingerprint(), **value}
                instance.item["metadata"] = kept

    def find(self, zone: str, name: str) -> Instance:
        """By name, or by number; GcpError 404 where there is none."""
        path = resource.instance_path(zone, name)
        with self._lock:
            for instance in self._kept.values():
                if instance.path == path or (instance.zone == zone and instance.id == name):
                    return instance
        raise not_found(path)

    def ever(self, wanted: str) -> Instance:
        """Any that ever was: by number, ``ZONE/NAME``, or the latest of a name. KeyError."""
        with self._lock:
            for instance in reversed(self._ever.values()):
                if wanted in (instance.id, instance.name, f"{instance.zone}/{instance.name}"):
                    return instance
        raise KeyError(wanted)

    def view(self, instance: Instance) -> Item:
        with self._lock:
            return copy.deepcopy(instance.item)

    def listing(self) -> list[Item]:
        """Of all zones, by zone and name."""
        with self._lock:
            return [copy.deepcopy(i.item) for _, i in sorted(self._kept.items())]

    def holding(self) -> list[Instance]:
        """Those that count against quotas: all that are not stopped."""
        with self._lock:
            return [i for i in self._kept.values() if i.item["status"] != "TERMINATED"]

    def names(self, zones: list[str]) -> set[str]:
        with self._lock:
            return {i.name for i in self._kept.values() if i.zone in zones}
