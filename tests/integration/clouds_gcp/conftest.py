"""An emulated project with stub machines, set up by the product's own `init`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.emulated import Project, wait_until
from support.gcp_server import PROJECT, STORE, Gcp, serving

from dstack_cloud.clouds.base import LaunchRequest
from dstack_cloud.clouds.gcp.cloud import GcpCloud
from dstack_cloud.clouds.gcp.init import init
from dstack_cloud.clouds.gcp.settings import Settings
from dstack_cloud.resources import Gpu, Offer, ZonePrice
from dstack_cloud.units import GIB

REGION = "us-central1"
STORE_URL = f"gs://{STORE}"
WORKFLOW = """
    workflows:
      - name: train
        provider: docker
        image: ubuntu
        artifacts: [output]
        resources: {gpu: T4, interruptible: true}
        commands: [mkdir -p output && echo hello > output/hello.txt]
"""


@pytest.fixture(scope="module")
def gcp() -> Iterator[Gcp]:
    with serving(f"clouds-gcp-{os.getpid()}") as found:
        settings = Settings(store_url=STORE_URL, environ=found.environment("dstack-admin"))
        with pytest.MonkeyPatch.context() as patch:
            for key, value in found.environment("dstack-admin").items():
                patch.setenv(key, value)
            member = f"serviceAccount:{found.email('dstack-daily')}"
            assert list(init(settings, [REGION], [member]))
        yield found


@pytest.fixture(autouse=True)
def nothing_is_left(gcp: Gcp) -> Iterator[None]:
    """Whatever went wrong: no machine, and no disk."""
    yield
    gcp.control("DELETE", "faults")
    wait_until("no machine and no disk is left", lambda: not gcp.instances() and not gcp.disks())


@pytest.fixture
def cloud(gcp: Gcp, monkeypatch: pytest.MonkeyPatch) -> Callable[..., GcpCloud]:
    """A cloud with settings of the test's own, as the daily user."""
    for key, value in gcp.environment("dstack-daily").items():
        monkeypatch.setenv(key, value)

    def make(**settings: Any) -> GcpCloud:
        return GcpCloud(Settings(store_url=STORE_URL, project=PROJECT, **settings))

    return make


@pytest.fixture
def offer() -> Callable[..., Offer]:
    def make(
        machine: str = "g2-standard-4",
        *,
        gpu: Gpu | None = Gpu("L4", 1, 24 * GIB),  # noqa: B008 - it is a value
        spot: bool = True,
        zones: tuple[str, ...] = ("us-central1-a", "us-central1-b"),
        region: str = REGION,
    ) -> Offer:
        price = Decimal("0.2")
        places = tuple(ZonePrice(zone, price) for zone in zones)
        return Offer("gcp", region, machine, 4, 16 * GIB, gpu, spot, price, Decimal(1), places)

    return make


@pytest.fixture
def request_for() -> Callable[..., LaunchRequest]:
    def make(run: str, *offers: Offer, **more: Any) -> LaunchRequest:
        given = {"user_data": lambda image: b"#cloud-config\n", "owner": "ada@host", **more}
        return LaunchRequest(run, 1, f"{run}-1", list(offers), **given)

    return make


@pytest.fixture
def repository(gcp: Gcp, tmp_path: Path) -> Project:
    """A user's repository and configuration; the daily user's environment."""
    subprocess.run(["git", "init", "-q", str(tmp_path / "repository")], check=True)
    config = tmp_path / "config.yaml"
    config.write_text(f"gcp: {{store: {STORE_URL}, regions: [{REGION}], project: {PROJECT}}}\n")
    keep = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    environ = {**keep, "HOME": str(tmp_path / "home"), "DSTACK_CLOUD_CONFIG": str(config)}
    project = Project(tmp_path / "repository", {**environ, **gcp.environment("dstack-daily")})
    project.workflows(WORKFLOW)
    return project
