"""A launch from beginning to end: what is known first, one request a group, one machine (or the
nodes of a run)."""

from __future__ import annotations

import contextlib
from concurrent.futures import Executor, Future
from dataclasses import replace
from decimal import Decimal

from dstack_cloud.clouds.base import (
    FailureKind,
    LaunchAnswer,
    LaunchFailure,
    LaunchRequest,
    Machine,
    MachineState,
    Scope,
)
from dstack_cloud.clouds.gcp import bulk, machines, network, placement
from dstack_cloud.clouds.gcp.groups import Group
from dstack_cloud.clouds.gcp.machines import Reach
from dstack_cloud.clouds.gcp.names import machine_names
from dstack_cloud.clouds.gcp.prepare import Prepared
from dstack_cloud.clouds.gcp.sessions import Sessions
from dstack_cloud.clouds.gcp.settings import Settings
from dstack_cloud.clouds.gcp.template import Blueprint, network_path
from dstack_cloud.errors import DstackError
from dstack_cloud.units import GIB, utc_now


class Launcher:
    """Launches in one project."""

    def __init__(self, sessions: Sessions, settings: Settings, pool: Executor) -> None:
        self._sessions = sessions
        self._settings = settings
        self._pool = pool
        self._reach = Reach(settings.public_ip, settings.jump_host)

    def launch(
        self, request: LaunchRequest, groups: list[Group], prepared: Prepared
    ) -> LaunchAnswer:
        """Ask group by group until there is a machine."""
        sessions, settings, region = self._sessions, self._settings, prepared.region
        admitted = self._pool.submit(self._admit, prepared, request)
        failures: list[LaunchFailure] = []
        groups, too_dear = _affordable(groups, request.max_price)
        failures += too_dear
        images, zones = prepared.images(), prepared.zones()
        near: str | None = None
        machine: Machine | None = None
        try:
            for part, group in enumerate(groups):
                image = images[group.recipe]
                plan = Blueprint(request, image, settings, sessions.project(), region, utc_now())
                if request.nodes > 1 and placement.can_be_near(group.offers[0].machine):
                    near = near or placement.make(sessions, region, request, settings.operation_s)
                    plan = replace(plan, policy=near)
                outcome = bulk.launch(sessions, plan, group, zones, part)
                failures += outcome.failures
                if outcome.zone is not None:
                    size = image.disk_gib(request.disk) * GIB
                    first, *others = [
                        self._launched(
                            request, group, machines.machine_id(outcome.zone, name), size
                        )
                        for name in machine_names(request)
                    ]
                    machine = replace(first, fellows=tuple(others))
                    self._settle(machine, admitted)
                    break
                if any(one.scope in (Scope.CLOUD, Scope.EVERYTHING) for one in outcome.failures):
                    break
        finally:
            if near is not None and machine is None:
                # It costs nothing, and where it cannot go now, `gc` finds it.
                with contextlib.suppress(DstackError):
                    placement.delete(sessions, region, near)
        return LaunchAnswer(machine, tuple(failures))

    def _admit(self, prepared: Prepared, request: LaunchRequest) -> None:
        """Open SSH to the caller while the launch is under way, and the nodes of a run to each
        other."""
        sessions, within_s = self._sessions, self._settings.operation_s
        path = network_path(self._settings, sessions.project())
        network.admit(sessions, path, prepared.sources(), request.owner, within_s)
        if request.nodes > 1 and not self._settings.network_tags:
            network.admit_each_other(sessions, path, within_s)

    def _launched(self, request: LaunchRequest, group: Group, id_: str, disk: int) -> Machine:
        """A machine as Google describes it; where it can't yet, as far as the group tells."""
        machine = machines.describe(self._sessions, id_, self._reach)
        first = group.offers[0]
        if machine is None:
            machine = Machine(
                "gcp",
                first.region,
                id_,
                first.machine,
                MachineState.STARTING,
                zone=id_.partition("/")[0],
                jump_host=self._reach.jump_host,
                spot=group.spot,
                run=request.run,
                attempt=request.attempt,
            )
        offer = group.offer_of(machine.machine)
        price = next((one.price for one in offer.zones if one.zone == machine.zone), offer.price)
        return replace(
            machine,
            price=price,
            on_demand=offer.on_demand,
            disk=disk,
            public=self._settings.public_ip,
        )

    def _settle(self, machine: Machine, admitted: Future[None]) -> None:
        """A new machine that can't be reached is ended at once."""
        try:
            admitted.result()
        except DstackError:
            machines.terminate(self._sessions, machine.ids)
            raise


def _affordable(
    groups: list[Group], limit: Decimal | None
) -> tuple[list[Group], list[LaunchFailure]]:
    """The groups without what costs more than the limit, and a failure for each such offer.

    A spot machine has no bid here that would hold its price: the plan's price is the last word.
    """
    if limit is None:
        return groups, []
    kept: list[Group] = []
    failures: list[LaunchFailure] = []
    for group in groups:
        dear = [one for one in group.offers if one.price is None or one.price > limit]
        words = f"it costs more than {limit} $/h, the most that it may"
        failures += [
            LaunchFailure(FailureKind.PRICE, Scope.OFFER, "PRICE_ABOVE_MAX", words, one)
            for one in dear
        ]
        if left := tuple(one for one in group.offers if one not in dear):
            kept.append(replace(group, offers=left))
    return kept, failures
