"""Google Cloud behind the seam of `dstack_cloud.clouds.base`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property

from dstack_cloud.clouds.base import Check, LaunchAnswer, LaunchRequest, Leftover, Machine
from dstack_cloud.clouds.gcp import leftovers, machines, network, quotas
from dstack_cloud.clouds.gcp.errors import translated
from dstack_cloud.clouds.gcp.groups import group
from dstack_cloud.clouds.gcp.images import recipe
from dstack_cloud.clouds.gcp.launch import Launcher
from dstack_cloud.clouds.gcp.machines import Reach
from dstack_cloud.clouds.gcp.names import OWNER
from dstack_cloud.clouds.gcp.prepare import Prepared, prepare, sources_of
from dstack_cloud.clouds.gcp.sessions import Sessions
from dstack_cloud.clouds.gcp.settings import Settings
from dstack_cloud.clouds.gcp.template import network_path
from dstack_cloud.errors import DstackError, InputError, InternalError
from dstack_cloud.resources import Offer

_THREADS = 12


class GcpCloud:
    """One project of Google Cloud, as one set of credentials reaches it. Safe to use from several
    threads.

    Every method may raise the errors of `dstack_cloud.errors`; none lets one of Google's out.
    """

    name = "gcp"

    def __init__(self, settings: Settings, sessions: Sessions | None = None) -> None:
        self.settings = settings
        self.sessions = sessions or Sessions(settings)
        self._reach = Reach(settings.public_ip, settings.jump_host)
        self._prepared: dict[str, Prepared] = {}
        self._limits: dict[str | None, dict[str, float]] = {}

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        """The threads that ask Google several things at once."""
        return ThreadPoolExecutor(_THREADS, thread_name_prefix="gcp")

    def close(self) -> None:
        """Wait for what nobody waited for."""
        self.pool.shutdown()

    def load(self) -> None:
        """Load the SDK and have credentials, before either is needed."""
        self.sessions.client("RegionInstances")

    def regions(self) -> list[str]:
        """Every region that there is."""
        path = f"projects/{self.sessions.project()}/regions"
        with translated("reading the regions"):
            found = self.sessions.call("compute", "GET", path)
        return [str(one["name"]) for one in found.get("items", ())]

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
        """The offers of which the project's quotas rule out so many machines, each with the reason
        in words.

        Quotas that cannot be read forbid nothing: the launch will tell.
        """
        found: dict[Offer, str] = {}
        regions = list(dict.fromkeys(offer.region for offer in offers))
        limits = dict(
            zip([None, *regions], self.pool.map(self._read, [None, *regions]), strict=True)
        )
        for offer in offers:
            reason = quotas.allowed(offer, limits[offer.region], limits[None], nodes)
            if reason is not None:
                found[offer] = reason
        return found

    def _read(self, region: str | None) -> dict[str, float]:
        """The limits of a region (None: of the project). What was not told is not asked again."""
        if region not in self._limits:
            try:
                if region is None:
                    self._limits[None] = quotas.project_limits(self.sessions)
                else:
                    self._limits[region] = quotas.region_limits(self.sessions, region)
            except DstackError:
                self._limits[region] = {}
        return self._limits[region]

    def launch(self, request: LaunchRequest) -> LaunchAnswer:
        """Ask once for one machine (or so many together as the request says) across the request's
        offers and their zones.

        Raises PermissionDeniedError, CredentialsError or InputError for what no other offer can
        help, TryAgainError where Google's operation is not done in time.
        """
        regions = {offer.region for offer in request.offers}
        if len(regions) != 1:
            raise InternalError(f"a launch is for one region, not {len(regions)}")
        region = regions.pop()
        groups = group(request.offers, self.settings.image, request.nodes)
        recipes = {one.recipe for one in groups}
        prepared = self._prepared.pop(region, None)
        if prepared is None or not prepared.serves(recipes):
            prepared = prepare(self.sessions, self.settings, self.pool, region, recipes)
        request = replace(request, store=self.settings.store_url or "")
        try:
            return self._launcher.launch(request, groups, prepared)
        except InputError as error:
            if not prepared.uses_baked() or "/global/images/" not in error.message:
                raise
        # Deleted since it was found: the stock image does as well, only slower.
        stock = replace(self.settings, baked=False)
        prepared = prepare(self.sessions, stock, self.pool, region, recipes)
        again = replace(request, token=f"{request.token}-stock")
        return self._launcher.launch(again, groups, prepared)

    def machine(self, region: str, machine_id: str) -> Machine | None:
        """The machine as it is now; None when there is none of that id."""
        return machines.describe(self.sessions, machine_id, self._reach)

    def machines(self, region: str, run: str | None = None) -> list[Machine]:
        """All machines of our store's runs (of one run, if named) that are there."""
        store = self.settings.store_url
        return machines.listing(self.sessions, region, self._reach, store, run)

    def terminate(self, region: str, ids: Iterable[str]) -> None:
        """Delete the machines and their disks; harmless when they are gone already."""
        machines.terminate(self.sessions, ids)

    def admit(self, machine: Machine) -> None:
        """Let the caller's present address reach SSH; nothing with network tags of the user's."""
        if self.settings.network_tags:
            return
        sources = sources_of(self.sessions, self.settings, machine.region)
        path = network_path(self.settings, self.sessions.project())
        owner = machine.tags.get(OWNER, "")
        network.admit(self.sessions, path, sources, owner, self.settings.operation_s)

    def leftovers(self, region: str) -> list[Leftover]:
        """Machines, disks without one, placement policies, and (where no machine is) rules that we
        made."""
        store = self.settings.store_url
        return leftovers.listing(self.sessions, region, self._reach, store)

    def remove(self, leftover: Leftover) -> None:
        """Remove one leftover; harmless when it is gone already."""
        leftovers.remove(self.sessions, leftover)

    def check(self, region: str) -> Iterator[Check]:
        """Credentials, project, APIs, permissions, quotas, store, network and image."""
        from dstack_cloud.clouds.gcp.check import checks

        return checks(self.sessions, self.settings, self.pool, region)
