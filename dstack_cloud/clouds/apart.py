"""A cloud that is spoken to in another process, where its SDK is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from dstack_cloud.clouds.base import Check, LaunchAnswer, LaunchRequest, Leftover, Machine
from dstack_cloud.resources import Offer

Ask = Callable[[str, tuple[object, ...]], Any]
"""Calls a method of the cloud there, by its name and with these arguments."""


class CloudApart:
    """Passes every call on. ``user_data`` of a launch must be a function of a module."""

    def __init__(self, name: str, ask: Ask) -> None:
        self.name = name
        self._ask = ask

    def prepare(self, offers: Sequence[Offer]) -> None:
        """Ask ahead for what a launch of these offers (of one region) will need to know."""
        self._ask("prepare", (list(offers),))

    def launch(self, request: LaunchRequest) -> LaunchAnswer:
        answer: LaunchAnswer = self._ask("launch", (request,))
        return answer

    def machine(self, region: str, machine_id: str) -> Machine | None:
        found: Machine | None = self._ask("machine", (region, machine_id))
        return found

    def machines(self, region: str, run: str | None = None) -> list[Machine]:
        return list(self._ask("machines", (region, run)))

    def terminate(self, region: str, ids: Iterable[str]) -> None:
        self._ask("terminate", (region, list(ids)))

    def admit(self, machine: Machine) -> None:
        self._ask("admit", (machine,))

    def leftovers(self, region: str) -> list[Leftover]:
        return list(self._ask("leftovers", (region,)))

    def remove(self, leftover: Leftover) -> None:
        self._ask("remove", (leftover,))

    def check(self, region: str) -> Iterator[Check]:
        return iter(self._ask("check", (region,)))
