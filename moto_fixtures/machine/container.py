"""One machine's container: its files, its ``docker run`` words, and how it is taken away."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from moto_fixtures.machine import flags, gce_metadata, nvidia
from moto_fixtures.machine.base import GceFacts, MachineSpec
from moto_fixtures.machine.flags import Host
from moto_fixtures.machine.network import METADATA_ADDRESS, Network
from moto_fixtures.machine.paths import LABEL
from moto_fixtures.machine.shell import docker

MACHINE_LABEL = f"{LABEL}.machine"
_CGROUPS = Path("/sys/fs/cgroup")
# How long the processes of a machine that has ended may take to be gone.
_LEAVING_S = 2.0


@dataclass(frozen=True)
class Settings:
    """What all machines of an emulator share."""

    network: Network
    host: Host
    apt_words: tuple[str, ...]
    name_servers: tuple[str, ...]
    registries: tuple[str, ...] = ()


def daemon_json(settings: Settings, machine_id: str) -> str:
    """The machine's own Docker: it pulls through the mirror, in a cgroup of its own. Pure."""
    net = settings.network
    config: dict[str, object] = {
        "registry-mirrors": [net.registry],
        # All that is served on the bridge is plain HTTP.
        "insecure-registries": [f"{net.gateway}:{net.registry_port}", net.subnet],
        "storage-driver": "overlay2",
        "userland-proxy": False,
    }
    if settings.name_servers:
        # What the machine itself has, Docker's resolver on its loopback, containers cannot reach.
        config["dns"] = list(settings.name_servers)
    if settings.host.cgroup_version == 1:
        config["cgroup-parent"] = f"/{cgroup_name(net.name, machine_id)}"
    return json.dumps(config, indent=1)


def write_files(directory: Path, spec: MachineSpec, settings: Settings) -> list[str]:
    """Write what is mounted into this machine; return the words that mount it."""
    place = directory / spec.id
    place.mkdir(parents=True, exist_ok=True)
    files = {"/etc/docker/daemon.json": daemon_json(settings, spec.id)}
    if spec.gpus:
        files[nvidia.HOOK_PATH] = nvidia.HOOK
        files[nvidia.SMI_PATH] = nvidia.smi(spec.gpu_name or "GPU", spec.gpus)
    words = []
    for inside, text in files.items():
        outside = place / Path(inside).name
        outside.write_text(text)
        outside.chmod(0o755 if inside.startswith("/usr/bin/") else 0o644)
        words.append(f"--volume={outside}:{inside}:ro")
    return words


def run_words(
    settings: Settings,
    spec: MachineSpec,
    *,
    container: str,
    address: str,
    files: list[str],
    image: str,
) -> list[str]:
    """The whole ``docker run`` of a machine. Pure."""
    net = settings.network
    return [
        *("run", "--detach", "--tty", f"--name={container}", "--pull=never"),
        *(f"--label={LABEL}={net.name}", f"--label={MACHINE_LABEL}={net.name}"),
        f"--label={MACHINE_LABEL}.id={spec.id}",
        *(f"--network={net.docker_network}", f"--ip={address}"),
        *_host_words(spec, address),
        *(f"--add-host={name}:{net.gateway}" for name in settings.registries),
        *flags.systemd_words(settings.host),
        *settings.apt_words,
        *files,
        image,
        *flags.init_words(settings.host),
    ]


def _host_words(spec: MachineSpec, address: str) -> list[str]:
    if isinstance(spec.facts, GceFacts):
        # There, the name server of every network knows the metadata server.
        return [
            f"--hostname={spec.facts.name}",
            f"--add-host={gce_metadata.HOST}:{METADATA_ADDRESS}",
        ]
    return [f"--hostname=ip-{address.replace('.', '-')}"]


def remove_container(container: str) -> None:
    """Kill and remove a container and its volumes. Harmless when there is none."""
    docker("rm", "--force", "--volumes", container, check=False)


def cgroup_name(name: str, machine_id: str) -> str:
    # No emulator's name has a dot: what is one's cannot be taken for another's.
    return f"{LABEL}.{name}.{machine_id}"


def remove_cgroups(name: str, machine_id: str | None = None) -> None:
    """Remove the control groups that machines' containers left on a cgroup v1 host.

    They lie beside the machine's own, so its end leaves them, empty. ``machine_id`` None: those
    of every machine of the emulator.
    """
    wanted = [cgroup_name(name, machine_id or "*")]
    if machine_id is not None:
        # The one that the agent makes for a container on its machine's own network.
        wanted.append(f"dstack.{machine_id}")
    deadline = time.monotonic() + (_LEAVING_S if machine_id else 0.0)
    while left := [top for group in wanted for top in _CGROUPS.glob(f"*/{group}")]:
        for top in left:
            for path, _, _ in os.walk(top, topdown=False):
                # Only an empty group can be removed, and the last process may still be leaving.
                with contextlib.suppress(OSError):
                    os.rmdir(path)
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)
