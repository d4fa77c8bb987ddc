"""Emulated machines as Docker containers: what the clouds' front ends launch and end."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from moto_fixtures.machine import apt, flags, network
from moto_fixtures.machine.base import GceFacts, MachineSpec, OnExit
from moto_fixtures.machine.container import (
    MACHINE_LABEL,
    Settings,
    remove_cgroups,
    remove_container,
    run_words,
    write_files,
)
from moto_fixtures.machine.disks import KeptDisks, remove_kept
from moto_fixtures.machine.images import references
from moto_fixtures.machine.metadata_server import MetadataServer, notice_paths
from moto_fixtures.machine.network import Network
from moto_fixtures.machine.paths import container_name, state_dir
from moto_fixtures.machine.served import Credentials, Served, rfc3339
from moto_fixtures.machine.shell import FixtureError, docker, run

_SHUTDOWN_PATIENCE = 1.5
"""Seconds that a terminated machine gets to stop its services before its power is cut."""
_POWEROFF_SIGNAL = "SIGRTMIN+4"
"""systemd(1): process 1 starts poweroff.target on it, as on a press of the power button."""


@dataclass
class _Machine:
    spec: MachineSpec
    address: str
    container: str
    launched: datetime
    state: str = "booting"
    ending: str | None = None
    """Why the emulator is ending it; None while nobody but the machine itself would."""
    reason: str | None = None
    off: threading.Event = field(default_factory=threading.Event)


class DockerMachines:
    """Implements ``moto_fixtures.machine.base.Machines``.

    The images must exist (``images.ensure``) and the network must be up (``network.create``).
    ``credentials`` is asked for a role's credentials each time that a machine asks for them;
    ``registries`` are host names that machines find on the gateway (see ``machine.registries``).
    """

    def __init__(
        self,
        net: Network,
        credentials: Credentials,
        on_exit: OnExit,
        registries: Sequence[str] = (),
    ) -> None:
        self._network = net
        self._on_exit = on_exit
        self._dir = state_dir(net.name) / "machines"
        self._images = references(apt.host_release()[1])
        self._settings = Settings(
            network=net,
            host=flags.host(),
            apt_words=tuple(apt.write(apt.host_settings(), state_dir(net.name) / "apt")),
            name_servers=network.name_servers(),
            registries=tuple(registries),
        )
        self._disks = KeptDisks(net.name)
        self._lock = threading.Lock()
        self._machines: dict[str, _Machine] = {}
        self._next_address = 0
        self._closing = False
        self._metadata = MetadataServer((net.gateway, net.imds_port), credentials)
        self._metadata.start()
        self._events: subprocess.Popen[str] | None = None
        threading.Thread(
            target=self._watch, args=(time.time(),), name="docker-events", daemon=True
        ).start()

    def launch(self, spec: MachineSpec) -> str:
        launched = datetime.now(UTC)
        with self._lock:
            address = self._free_address()
            machine = _Machine(spec, address, container_name(self._network.name, spec.id), launched)
            self._machines[spec.id] = machine
        self._metadata.add(Served(spec, address, launched))
        threading.Thread(target=self._boot, args=(machine,), name=f"boot-{spec.id}").start()
        return address

    def terminate(self, machine_id: str, patience: float | None = None) -> None:
        """As the protocol says; ``on_exit`` tells when it is off."""
        machine = self._end(machine_id, "terminated")
        if machine:
            seconds = _SHUTDOWN_PATIENCE if patience is None else patience
            threading.Thread(target=self._shut_down, args=(machine, seconds), daemon=True).start()

    def kill(self, machine_id: str) -> None:
        machine = self._end(machine_id, "killed")
        if machine:
            docker("kill", machine.container, check=False)

    def partition(self, machine_id: str, seconds: float) -> None:
        with self._lock:
            machine = self._machines[machine_id]
        if machine.off.is_set():
            return
        network.partition(self._network, machine.address, begin=True)

        def heal() -> None:
            # A machine that ended meanwhile leaves no rule for the next one at its address.
            machine.off.wait(seconds)
            network.partition(self._network, machine.address, begin=False)

        threading.Thread(target=heal, daemon=True).start()

    def notice(self, machine_id: str, action: str, at: datetime) -> None:
        with self._lock:
            machine = self._machines[machine_id]
        served = self._metadata.machine_at(machine.address)
        if served is not None and not machine.off.is_set():
            served.announce(notice_paths(machine.spec, action, at))

    def keep_disk(self, machine_id: str, image: str) -> None:
        with self._lock:
            machine = self._machines[machine_id]
        self._disks.keep(machine.container, image)

    def forget_disk(self, image: str) -> None:
        self._disks.forget(image)

    def listing(self) -> list[dict[str, object]]:
        with self._lock:
            machines = list(self._machines.values())
        return [
            {
                "id": machine.spec.id,
                "address": machine.address,
                "state": machine.state,
                "container": machine.container,
                "started": rfc3339(machine.launched),
                "reason": machine.reason,
            }
            for machine in machines
        ]

    def console(self, machine_id: str) -> Path:
        """The file that holds what an ended machine wrote to its console, boot to end."""
        return self._dir / f"{machine_id}.console"

    def close(self) -> None:
        with self._lock:
            self._closing = True
            machines = [m for m in self._machines.values() if m.state != "off"]
        for machine in machines:
            machine.ending = machine.ending or "terminated"
            machine.off.set()
            remove_container(machine.container)
            remove_cgroups(self._network.name, machine.spec.id)
        remove_kept(self._network.name)
        self._metadata.close()
        if self._events is not None:
            self._events.kill()
            self._events.wait()

    def _free_address(self) -> str:
        """Round and round, so that an address comes back as late as it can: clients may still
        hold a connection, or a host key, of the machine that had it."""
        choice = network.addresses(self._network)
        used = {m.address for m in self._machines.values() if m.state != "off"}
        for step in range(len(choice)):
            address = choice[(self._next_address + step) % len(choice)]
            if address not in used:
                self._next_address = (self._next_address + step + 1) % len(choice)
                return address
        raise FixtureError(f"all {len(choice)} addresses of the emulator's network are in use")

    def _boot(self, machine: _Machine) -> None:
        spec, images = machine.spec, self._images
        kept = self._disks.of(spec.image)
        if kept is not None:
            image = kept
        elif isinstance(spec.facts, GceFacts):
            image = images.gce_ready if spec.ready else images.gce_stock
        else:
            image = images.ready if spec.ready else images.stock
        try:
            files = write_files(self._dir, spec, self._settings)
            words = run_words(
                self._settings,
                spec,
                container=machine.container,
                address=machine.address,
                files=files,
                image=image,
            )
            docker(*words)
        except (FixtureError, OSError) as error:
            print(f"machine {machine.spec.id} did not start: {error}", file=sys.stderr, flush=True)
            self._ended(machine, "killed")
            return
        with self._lock:
            if machine.state == "booting":
                machine.state = "running"
            unwanted = self._closing or machine.ending is not None
        if unwanted:
            # Ended while `docker run` was under way: the one who did found nothing to end.
            docker("kill", machine.container, check=False)
            if self._closing:
                remove_container(machine.container)

    def _end(self, machine_id: str, reason: str) -> _Machine | None:
        with self._lock:
            machine = self._machines.get(machine_id)
            if machine is None or machine.state == "off":
                return None
            machine.ending = machine.ending or reason
            return machine

    def _shut_down(self, machine: _Machine, patience: float) -> None:
        docker("kill", f"--signal={_POWEROFF_SIGNAL}", machine.container, check=False)
        if not machine.off.wait(patience):
            docker("kill", machine.container, check=False)

    def _watch(self, since: float) -> None:
        """Follow the engine's events for as long as there are machines to follow."""
        while not self._closing:
            words = ["events", "--filter", "event=die", "--format", "{{json .Actor.Attributes}}"]
            words += ["--filter", f"label={MACHINE_LABEL}={self._network.name}"]
            self._events = subprocess.Popen(
                ["docker", *words, f"--since={since:.3f}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            assert self._events.stdout is not None
            for line in self._events.stdout:
                since = time.time()
                machine = self._machines.get(json.loads(line)[f"{MACHINE_LABEL}.id"])
                if machine is not None:
                    self._ended(machine, "poweroff")
            self._events.wait()
            # The engine went away. Machines that ended with it are found when it is back.
            time.sleep(0.5)

    def _ended(self, machine: _Machine, reason: str) -> None:
        with self._lock:
            if machine.state == "off" or self._closing:
                return
            machine.state = "off"
            machine.reason = machine.ending or reason
        machine.off.set()
        self._metadata.forget(machine.address)
        threading.Thread(target=self._clean_up, args=(machine,)).start()
        self._on_exit(machine.spec.id, machine.reason)

    def _clean_up(self, machine: _Machine) -> None:
        with contextlib.suppress(FixtureError):
            console = run(["docker", "logs", machine.container], check=False)
            self.console(machine.spec.id).write_text(console.stdout + console.stderr)
            remove_container(machine.container)
        remove_cgroups(self._network.name, machine.spec.id)
        shutil.rmtree(self._dir / machine.spec.id, ignore_errors=True)
