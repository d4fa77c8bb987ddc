"""AWS behind the seam of `dstack_cloud.clouds.base`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property

from dstack_cloud.clouds.aws import leftovers, machines, network, quotas
from dstack_cloud.clouds.aws.groups import group
from dstack_cloud.clouds.aws.images import recipe
from dstack_cloud.clouds.aws.launch import Launcher
from dstack_cloud.clouds.aws.machines import Reach
from dstack_cloud.clouds.aws.names import OWNER
from dstack_cloud.clouds.aws.prepare import Prepared, prepare
from dstack_cloud.clouds.aws.sessions import Sessions
from dstack_cloud.clouds.aws.settings import Settings
from dstack_cloud.clouds.base import Check, LaunchAnswer, LaunchRequest, Leftover, Machine
from dstack_cloud.errors import DstackError, InputError, InternalError
from dstack_cloud.resources import Offer

_THREADS = 12


class AwsCloud:
    """One account of AWS, as one profile reaches it. Safe to use from several threads.

    Every method may raise the errors of `dstack_cloud.errors`; none lets one of botocore's out.
    """

    name = "aws"

    def __init__(
        self,
        *,
        profile: str | None = None,
        subnets: Sequence[str] = (),
        security_groups: Sequence[str] = (),
        public_ip: bool = True,
        jump_host: str | None = None,
        image: str | None = None,
        baked: bool = True,
        role: str | None = None,
        store_url: str | None = None,
        environ: Mapping[str, str] | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        given = {"role": role, "environ": environ}
        self.settings = Settings(
            profile=profile,
            subnets=tuple(subnets),
            security_groups=tuple(security_groups),
            public_ip=public_ip,
            jump_host=jump_host,
            image=image,
            baked=baked,
            store_url=store_url,
            **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
        )
        self.sessions = sessions or Sessions(profile)
        self._reach = Reach(public_ip, jump_host)
        self._prepared: dict[str, Prepared] = {}
        self._known_limits: dict[str, dict[tuple[str, bool], int | None]] = {}

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        """The threads that ask AWS several things at once."""
        return ThreadPoolExecutor(_THREADS, thread_name_prefix="aws")

    def close(self) -> None:
        """Wait for what nobody waited for, such as a shutdown behaviour that is read back."""
        self.pool.shutdown()

    @cached_property
    def _launcher(self) -> Launcher:
        return Launcher(self.sessions, self.settings, self.pool)

    def prepare(self, offers: Sequence[Offer]) -> None:
        """Ask ahead for what a launch of these offers (of one region) will need to know.

        Worth calling as soon as the plan is there; what goes wrong is told by `launch`.
        """
        region = offers[0].region
        recipes = {recipe(offer, self.settings.image) for offer in offers}
        self._prepared[region] = prepare(self.sessions, self.settings, self.pool, region, recipes)

    def forbidden(self, offers: Sequence[Offer], nodes: int = 1) -> dict[Offer, str]:
        """The offers of which the account's vCPU quotas rule out so many machines, each with the
        reason in words.

        Quotas that cannot be read forbid nothing: the launch will tell.
        """
        found: dict[Offer, str] = {}
        for region in dict.fromkeys(offer.region for offer in offers):
            there = [offer for offer in offers if offer.region == region]
            limits = self._limits(region, quotas.needed(there))
            for offer in there:
                reason = quotas.allowed(offer, limits, nodes)
                if reason is not None:
                    found[offer] = reason
        return found

    def _limits(self, region: str, which: set[tuple[str, bool]]) -> quotas.Limits:
        known = self._known_limits.setdefault(region, {})
        asked = [key for key in which if key not in known]
        if asked:
            try:
                client = self.sessions.client("service-quotas", region)
                limits = quotas.vcpu_limits(client, region, self.pool, asked)
            except DstackError:
                limits = {}
            # What was not told is not asked again.
            known |= {key: limits.get(key) for key in asked}
        return {key: value for key, value in known.items() if value is not None}

    def launch(self, request: LaunchRequest) -> LaunchAnswer:
        """Ask once for one machine across the request's offers and their zones.

        Raises PermissionDeniedError, CredentialsError or InputError for what no other offer can
        help, TryAgainError when AWS answers with neither a machine nor a reason.
        """
        regions = {offer.region for offer in request.offers}
        if len(regions) != 1:
            raise InternalError(f"a launch is for one region, not {len(regions)}")
        region = regions.pop()
        groups = group(request.offers, self.settings.image)
        recipes = {one.recipe for one in groups}
        prepared = self._prepared.pop(region, None)
        if prepared is None or not prepared.serves(recipes):
            prepared = prepare(self.sessions, self.settings, self.pool, region, recipes)
        request = replace(request, store=self.settings.store_url or "")
        try:
            return self._launcher.launch(request, groups, prepared)
        except InputError as error:
            if not prepared.uses_baked() or "InvalidAMIID" not in error.message:
                raise
        # Deleted since it was found: the stock image does as well, only slower.
        stock = replace(self.settings, baked=False)
        prepared = prepare(self.sessions, stock, self.pool, region, recipes)
        again = replace(request, token=f"{request.token}-stock")
        return self._launcher.launch(again, groups, prepared)

    def machine(self, region: str, machine_id: str) -> Machine | None:
        """The machine as it is now; None when EC2 no longer (or not yet) knows it."""
        return machines.describe(self.sessions.ec2(region), region, machine_id, self._reach)

    def machines(self, region: str, run: str | None = None) -> list[Machine]:
        """All machines of our store's runs (of one run, if named) that are not gone."""
        ec2 = self.sessions.ec2(region)
        return machines.listing(ec2, region, self._reach, self.settings.store_url, run)

    def terminate(self, region: str, ids: Iterable[str]) -> None:
        """End the machines; harmless when they are gone already."""
        machines.terminate(self.sessions.ec2(region), region, ids)

    def admit(self, machine: Machine) -> None:
        """Let the caller's present address reach SSH; nothing with groups of the user's own."""
        if self.settings.security_groups:
            return
        ec2 = self.sessions.ec2(machine.region)
        asked = prepare(self.sessions, self.settings, self.pool, machine.region, ())
        found = asked.network()
        for vpc, ids in found.groups.items():
            ranges = asked.ranges(ec2, vpc)
            network.admit(ec2, machine.region, ids[0], ranges, machine.tags.get(OWNER, ""))

    def leftovers(self, region: str) -> list[Leftover]:
        """Machines, launch templates, and (where no machine is) SSH rules that we made."""
        ec2 = self.sessions.ec2(region)
        return leftovers.listing(ec2, region, self._reach, self.settings.store_url)

    def remove(self, leftover: Leftover) -> None:
        """Remove one leftover; harmless when it is gone already."""
        leftovers.remove(self.sessions.ec2(leftover.region), leftover)

    def check(self, region: str) -> Iterator[Check]:
        """Credentials, permissions, quotas, store, network and image, one by one."""
        from dstack_cloud.clouds.aws.check import checks

        return checks(self.sessions, self.settings, self.pool, region)
