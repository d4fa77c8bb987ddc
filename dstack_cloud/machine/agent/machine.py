"""The machine itself: signs of life for the dead-man timer, and its end."""

from __future__ import annotations

import http.client
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from .beat import beat
from .credentials import CredentialSource
from .errors import StoreError
from .note import note
from .paths import Paths, write
from .s3 import suffix
from .sigv4 import encode_query, sign
from .times import uptime
from .web import Web

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


def terminate(job: Mapping[str, Any], source: CredentialSource | None = None) -> None:
    """EC2 TerminateInstances on this very machine, with its own role. StoreError if refused."""
    endpoint = job["endpoints"].get("ec2")
    region = job["region"]
    web = Web((endpoint or f"https://ec2.{region}.{suffix(region)}").rstrip("/"))
    body = encode_query(
        {"Action": "TerminateInstances", "InstanceId.1": job["machine"], "Version": "2016-11-15"}
    ).encode()
    headers = sign(
        "POST",
        "/",
        {},
        {
            "host": web.host,
            "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        },
        body,
        credentials=(source or CredentialSource()).get(),
        region=region,
        service="ec2",
        stamp=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
    )
    try:
        answer = web.request("POST", "/", headers, body)
    except (OSError, http.client.HTTPException) as error:
        raise StoreError(f"EC2 does not answer: {error}") from error
    if answer.status != 200:
        raise StoreError(
            "TerminateInstances: {}".format(answer.body[:300].decode("utf-8", "replace"))
        )


def end_machine(job: Mapping[str, Any], paths: Paths) -> None:
    """Terminate the machine, then power it off: either is enough. Does not return, except
    on the local cloud, where the machine is the user's own."""
    if job["cloud"] == "local":
        return
    for pause in (0.5, 1.0, 2.0):
        try:
            terminate(job)
            break
        except StoreError as error:
            note(f"terminate: {error}")
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
