"""A launch from beginning to end: what is known first, one request a group, one machine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from functools import partial
from typing import Any

from dstack_cloud.clouds.aws import fleet, machines, network, run_instances
from dstack_cloud.clouds.aws.fleet import Replayed
from dstack_cloud.clouds.aws.groups import Group, Pool, pools
from dstack_cloud.clouds.aws.images import Image
from dstack_cloud.clouds.aws.machines import Reach
from dstack_cloud.clouds.aws.network import Network
from dstack_cloud.clouds.aws.outcome import Outcome
from dstack_cloud.clouds.aws.placement import Placement
from dstack_cloud.clouds.aws.prepare import Prepared
from dstack_cloud.clouds.aws.sessions import Sessions
from dstack_cloud.clouds.aws.settings import Settings
from dstack_cloud.clouds.aws.template import Blueprint
from dstack_cloud.clouds.aws.templates import FleetsDenied, Later, Templates
from dstack_cloud.clouds.base import (
    FailureKind,
    LaunchAnswer,
    LaunchFailure,
    LaunchRequest,
    Machine,
    MachineState,
    Scope,
)
from dstack_cloud.errors import DstackError, InputError
from dstack_cloud.units import GIB

_log = logging.getLogger(__name__)


class Launcher:
    """Launches in one account; remembers whether it may create fleets."""

    def __init__(self, sessions: Sessions, settings: Settings, pool: Executor) -> None:
        self._sessions = sessions
        self._settings = settings
        self._pool = pool
        self._reach = Reach(settings.public_ip, settings.jump_host)
        self._fleets_denied = False

    def launch(
        self, request: LaunchRequest, groups: list[Group], prepared: Prepared
    ) -> LaunchAnswer:
        """Ask group by group until there is a machine."""
        region = prepared.region
        ec2 = self._sessions.ec2(region)
        found = prepared.network()
        chosen = [(group, pools(group, found)) for group in groups]
        admitted = self._admit(ec2, request, prepared, found, chosen)
        failures: list[LaunchFailure] = []
        away: list[Future[None]] = []
        templates = Templates(ec2, region, request, self._after(away))
        placement = Placement(ec2, region, request)
        machine: Machine | None = None
        try:
            images = prepared.images()
            if not any(places for _, places in chosen):
                raise _nowhere(request, found)
            for part, (group, places, together) in enumerate(placement.parts(chosen)):
                if not places:
                    failures += [_no_subnet(offer.zones[0].zone, offer) for offer in group.offers]
                    continue
                try:
                    within = placement.name() if together else None
                    blueprint = self._blueprint(request, images[group.recipe], within)
                    outcome = self._ask(blueprint, group, places, found, part, templates)
                except Replayed as error:
                    return self._replayed(ec2, request, error)
                failures += outcome.failures
                if outcome.launched is not None:
                    templates.clear()
                    size = images[group.recipe].volume_gib(request.disk) * GIB
                    ids, pool = outcome.launched
                    first, *others = [self._launched(ec2, one, pool, size) for one in ids]
                    machine = replace(first, fellows=tuple(others))
                    self._settle(ec2, region, machine, admitted)
                    return LaunchAnswer(machine, tuple(failures))
            return LaunchAnswer(None, tuple(failures))
        finally:
            templates.clear()
            if machine is None:
                placement.clear()
            for future in away:
                future.result()

    def _blueprint(self, request: LaunchRequest, image: Image, placement: str | None) -> Blueprint:
        settings = self._settings
        return Blueprint(request, image, settings.role, settings.public_ip, placement)

    def _ask(
        self,
        blueprint: Blueprint,
        group: Group,
        places: list[Pool],
        found: Network,
        part: int,
        templates: Templates,
    ) -> Outcome:
        security_groups = found.groups[places[0].subnet.vpc]
        region = group.offers[0].region
        if not self._fleets_denied:
            try:
                name = templates.name(blueprint, security_groups)
                ec2 = self._sessions.ec2(region)
                return fleet.launch(ec2, region, blueprint.request, name, places, part)
            except FleetsDenied:
                self._fleets_denied = True
        once = self._sessions.ec2(region, attempts=1)
        return run_instances.launch(once, region, blueprint, security_groups, places)

    def _after(self, away: list[Future[None]]) -> Later:
        def later(action: Callable[[], None]) -> None:
            away.append(self._pool.submit(_quietly, action))

        return later

    def _admit(
        self,
        ec2: Any,
        request: LaunchRequest,
        prepared: Prepared,
        found: Network,
        chosen: list[tuple[Group, list[Pool]]],
    ) -> list[Future[None]]:
        """Open SSH to the caller while the launch is under way, and the nodes of a run to each
        other."""
        if not found.own:
            return []

        def admit(vpc: str) -> None:
            ranges = prepared.ranges(ec2, vpc)
            network.admit(ec2, prepared.region, found.groups[vpc][0], ranges, request.owner)
            if request.nodes > 1:
                network.admit_each_other(ec2, prepared.region, found.groups[vpc][0])

        vpcs = dict.fromkeys(place.subnet.vpc for _, places in chosen for place in places)
        return [self._pool.submit(admit, vpc) for vpc in vpcs]

    def _launched(self, ec2: Any, instance: str, pool: Pool, disk: int) -> Machine:
        """The machine as EC2 describes it; where it can't yet, as far as the pool tells."""
        offer = pool.offer
        machine = machines.describe(ec2, offer.region, instance, self._reach)
        if machine is None:
            machine = Machine(
                "aws",
                offer.region,
                instance,
                offer.machine,
                MachineState.STARTING,
                zone=pool.subnet.zone,
                jump_host=self._reach.jump_host,
                spot=offer.spot,
            )
        return replace(
            machine,
            price=pool.price,
            on_demand=offer.on_demand,
            disk=disk,
            public=self._settings.public_ip,
        )

    def _settle(
        self, ec2: Any, region: str, machine: Machine, admitted: list[Future[None]]
    ) -> None:
        """What must hold of a new machine; one that can't be reached is ended at once."""
        for one in machine.ids:
            self._pool.submit(_quietly, partial(machines.end_on_power_off, ec2, region, one))
        try:
            for future in admitted:
                future.result()
        except DstackError:
            machines.terminate(ec2, region, machine.ids)
            raise

    def _replayed(self, ec2: Any, request: LaunchRequest, error: Replayed) -> LaunchAnswer:
        """The machine that the first use of the token launched."""
        region = request.offers[0].region
        listed = machines.listing(ec2, region, self._reach, request.store or None, request.run)
        ours = [machine for machine in listed if machine.attempt == request.attempt]
        if len(ours) >= request.nodes:
            return LaunchAnswer(replace(ours[0], fellows=tuple(ours[1:])))
        raise InputError(
            f"attempt {request.attempt} of {request.run} was launched before, differently: {error}",
            "run the command again: it begins a new attempt",
        )


def _quietly(action: Callable[[], None]) -> None:
    """Run what nobody waits for: a failure is told, and left to ``gc``."""
    try:
        action()
    except DstackError as error:
        _log.warning("%s", error)


def _no_subnet(zone: str, offer: Any) -> LaunchFailure:
    return LaunchFailure(
        FailureKind.CONFIGURATION, Scope.ZONE, "NoSubnet", f"no subnet in {zone}", offer, zone, 3600
    )


def _nowhere(request: LaunchRequest, found: Network) -> InputError:
    wanted = sorted({zone.zone for offer in request.offers for zone in offer.zones})
    have = sorted({subnet.zone for subnet in found.subnets})
    return InputError(
        f"no subnet in {', '.join(wanted)}: there are only some in {', '.join(have)}",
        "add a subnet of one of these zones to the setting aws.subnets, or use another --region",
    )
