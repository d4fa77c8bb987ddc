"""Capacity that is not there, and what a client asked for meanwhile."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from support.emulated import Emulator, Project, wait_until
from support.words import Asked


def tidied(stub: Emulator) -> Iterator[Emulator]:
    """The stub; no fault and no machine is left to the next test."""
    yield stub
    for machine in stub.machines():
        stub.post(f"/_emulator/machines/{machine['id']}/kill")
    for fault in stub.get("/_emulator/faults"):
        stub.delete(f"/_emulator/faults/{fault['id']}")


def short(cloud: Emulator, **match: str) -> str:
    """No capacity for such machines until the fault with this id is gone."""
    fault = {
        "action": cloud.words.launch,
        "match": match,
        "error": cloud.words.no_capacity,
        "times": None,
    }
    return str(cloud.post("/_emulator/faults", fault)["id"])


def launches(cloud: Emulator, since: int) -> list[Asked]:
    """What was asked for after a call, launch by launch."""
    calls = cloud.get(f"/_emulator/calls?since={since}")
    return [cloud.account.asked(call) for call in calls if call["action"] == cloud.words.launch]


def cut_short(cloud: Emulator, project: Project, *words: str) -> str:
    """What a client said that was interrupted as soon as the cloud had a machine for it; it has
    left none."""
    order = {"action": cloud.words.look, "principal": cloud.words.user}
    hold = cloud.post("/_emulator/holds", order)
    client = project.start(*words)
    held = cloud.get("/_emulator/holds?wait=60")
    client.send_signal(signal.SIGINT)
    cloud.post(f"/_emulator/holds/{hold['id']}/release")
    told = client.communicate(timeout=300)[1]
    assert [one["state"] for one in held] == ["waiting"], told
    assert client.returncode == 130, told
    wait_until("no machine is left", lambda: not cloud.machines())
    return told


def latest(cloud: Emulator) -> int:
    """The last call."""
    return max((call["sequence"] for call in cloud.get("/_emulator/calls")), default=0)
