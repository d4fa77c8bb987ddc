"""Wait until the machine can run containers: boot and provisioning may still go on."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from .cloud import own_machine
from .control import Control
from .engine import Engine
from .errors import Failure, Interrupted
from .paths import Paths

PROVISION_LOG = "/var/log/dstack-provision.log"
# A driver is downloaded and compiled in some ten minutes on a small machine.
PROVISIONING = 30 * 60.0
ENGINE = 90.0


def wait_until_ready(
    engine: Engine, job: Mapping[str, Any], paths: Paths, control: Control
) -> None:
    """Raises Failure("setup"), or Interrupted."""
    if own_machine(job):
        _wait_for_provisioning(paths, control)
    end = time.monotonic() + ENGINE
    while not engine.alive():
        if control.cause is not None:
            raise Interrupted
        if time.monotonic() > end:
            raise Failure(
                "setup",
                "no Docker engine answers on this machine",
                "the machine's image must have Docker, or be one that can be provisioned",
            )
        control.pause(0.1)


def _wait_for_provisioning(paths: Paths, control: Control) -> None:
    end = time.monotonic() + PROVISIONING
    while os.path.exists(paths.provisioning) and not os.path.exists(paths.ready):
        if control.cause is not None:
            raise Interrupted
        if time.monotonic() > end:
            raise Failure(
                "setup",
                f"the machine was not ready after {PROVISIONING // 60:g} minutes: {_tail()}",
            )
        control.pause(0.1)
    if os.path.exists(paths.failed):
        raise Failure(
            "setup",
            f"the machine could not be made ready: {_tail()}",
            "try again, or configure a machine image that has what is needed",
        )


def _tail() -> str:
    try:
        with open(PROVISION_LOG, errors="replace") as file:
            return " | ".join(file.read()[-4096:].splitlines()[-3:])
    except OSError:
        return "there is no log of it"
