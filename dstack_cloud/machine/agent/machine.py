"""The machine itself: signs of life for the dead-man timer, and its end."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from .beat import beat
from .cloud import Cloud, own_machine
from .errors import StoreError
from .note import note
from .paths import Paths, write
from .times import uptime

# A container's own end and the copy of its artifacts may go on this long after max_duration
# before the timer takes the agent for stuck.
SAVING = 3 * 3600


def limit(paths: Paths, seconds: float) -> None:
    """The machine must be gone that many seconds from now, whatever the agent does."""
    write(paths.hard_limit, b"%d\n" % (uptime() + seconds))


def heart(paths: Paths, every: float, over: threading.Event, save: Callable[[], None]) -> None:
    """Signs of life: for the timer, and (``save``) for those who follow the status."""
    while True:
        save()
        try:
            beat(paths)
        except OSError as error:
            note(f"heartbeat: {error}")
        if over.wait(every):
            return


def shutting_down() -> bool:
    """Whether the whole system is on its way down."""
    try:
        found = subprocess.run(
            ["systemctl", "is-system-running"], stdout=subprocess.PIPE, check=False
        )
    except OSError:
        return False
    return found.stdout.strip() == b"stopping"


def end_machine(job: Mapping[str, Any], cloud: Cloud) -> None:
    """Have the cloud end the machine, then power it off. Does not return, except where the machine
    is the user's own."""
    if not own_machine(job):
        return
    for pause in cloud.pauses:
        try:
            cloud.end()
            break
        except StoreError as error:
            note(f"the machine's end: {error}")
            time.sleep(pause)
    while True:
        subprocess.run(["systemctl", "poweroff"], check=False)
        time.sleep(30.0)


def wait_for_followers(paths: Paths, seconds: float) -> None:
    """Give those who follow the time to take the last frames."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            pids = [name for name in os.listdir(paths.followers) if os.path.exists("/proc/" + name)]
        except FileNotFoundError:
            return
        if not pids:
            return
        time.sleep(0.02)
