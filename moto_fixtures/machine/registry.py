"""The registry that emulated machines pull from: Debian's docker-registry as their mirror.

What it serves is kept between one ``up`` and the next, and shared by all emulators: filled once
through a passing writable registry on the loopback, then served read-only on each bridge.
"""

from __future__ import annotations

import http.client
import json
import tempfile
from pathlib import Path

from moto_fixtures.machine import process
from moto_fixtures.machine.images import Images, pulled
from moto_fixtures.machine.network import Network, free_port
from moto_fixtures.machine.paths import cache_dir, state_dir
from moto_fixtures.machine.shell import docker, say

UBUNTU = "ubuntu:latest"
# One stand-in, with the distribution's Python, for the default and for what that Python is itself.
CONDA = [
    f"dstackai/miniconda:{version}{variant}"
    for version in ("3.10", "3.11")
    for variant in ("", "-cuda-11.1")
]
_LOOPBACK = "127.0.0.1"


def config(address: str, port: int, *, readonly: bool) -> str:
    """The registry's configuration; JSON is YAML. Pure."""
    return json.dumps(
        {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(cache_dir() / "registry")},
                "maintenance": {
                    "uploadpurging": {"enabled": False},
                    "readonly": {"enabled": readonly},
                },
            },
            "http": {"addr": f"{address}:{port}"},
        }
    )


def content(images: Images) -> dict[str, str]:
    """Repository and tag, as under Docker Hub, to the local image that stands in for it. Pure."""
    return {f"library/{UBUNTU}": images.base, **dict.fromkeys(CONDA, images.conda)}


def fill(images: Images) -> None:
    """Put the images into the registry's storage, unless these very ones are there."""
    mark = cache_dir() / "registry.json"
    wanted = content(images)
    if mark.exists() and json.loads(mark.read_text()) == wanted:
        return
    port = free_port(_LOOPBACK)
    with tempfile.TemporaryDirectory(prefix="dcf-registry-") as scratch:
        place = Path(scratch)
        _serve(place, _LOOPBACK, port, readonly=False)
        try:
            for name, stand_in in wanted.items():
                source = stand_in
                # The real one is better where it can be had; the other one is large, and ours
                # does for it.
                if name.endswith(UBUNTU) and pulled(UBUNTU):
                    source = UBUNTU
                say(f"registry: {name} from {source}")
                target = f"{_LOOPBACK}:{port}/{name}"
                docker("tag", source, target)
                try:
                    docker("push", "-q", target)
                finally:
                    docker("image", "rm", target, check=False)
        finally:
            process.stop(place, "registry")
    mark.write_text(json.dumps(wanted, indent=1))


def start(network: Network) -> None:
    """Serve the storage on the emulator's bridge."""
    _serve(state_dir(network.name), network.gateway, network.registry_port, readonly=True)


def stop(name: str) -> None:
    process.stop(state_dir(name), "registry")


def _serve(directory: Path, address: str, port: int, *, readonly: bool) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (cache_dir() / "registry").mkdir(parents=True, exist_ok=True)
    settings = directory / "registry.yml"
    settings.write_text(config(address, port, readonly=readonly))
    process.start(["docker-registry", "serve", settings], directory=directory, name="registry")
    process.wait_ready(lambda: _answers(address, port), directory=directory, name="registry")


def _answers(address: str, port: int) -> bool:
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()
