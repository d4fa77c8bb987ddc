"""The one place that picks a concrete cloud and store; everything is imported when it is used."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dstack_cloud.config import (
    Config,
    client_key,
    endpoints,
    local_machines,
    owner,
    provisioning,
)
from dstack_cloud.errors import DstackError, InputError, QuotaError
from dstack_cloud.nearest import did_you_mean
from dstack_cloud.units import utc_now

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from dstack_cloud.apart.client import Apart
    from dstack_cloud.catalog.fetch_aws import Access
    from dstack_cloud.catalog.live import Source
    from dstack_cloud.catalog.models import SpotChange
    from dstack_cloud.clouds.apart import CloudApart
    from dstack_cloud.clouds.aws.cloud import AwsCloud
    from dstack_cloud.clouds.aws.sessions import Sessions
    from dstack_cloud.clouds.base import Cloud
    from dstack_cloud.lifecycle.report import Reporter
    from dstack_cloud.lifecycle.tools import Tools
    from dstack_cloud.match import Plan
    from dstack_cloud.ranking import Experience, Pool, Spell
    from dstack_cloud.resources import Offer, ResourceRequest
    from dstack_cloud.storage.base import Store

CLOUDS = ("aws", "local")
_TYPES_WITH_HISTORY = 8
_SESSIONS: dict[object, Sessions] = {}
_SESSIONS_LOCK = threading.Lock()
_OPENED: dict[Config, AwsCloud] = {}


def configured(config: Config) -> list[str]:
    """The clouds that have a store, the local one last, and only where it has been used."""
    names = [name for name in config.stores if name in CLOUDS and name != "local"]
    return [*names, "local"] if Path(config.local.store).is_dir() else names


def chosen(config: Config, named: str | None) -> list[str]:
    """The clouds to plan over: the named one, else all that are configured but the local one,
    which is taken where the configuration names no other.

    Raises InputError when there is none.
    """
    if named is not None:
        if named not in CLOUDS:
            raise InputError(
                f"there is no cloud '{named}'{did_you_mean(named, CLOUDS)}",
                f"clouds: {', '.join(CLOUDS)}",
            )
        if named not in config.stores:
            raise _not_configured(config, named)
        return [named]
    names = [name for name in configured(config) if name != "local"]
    if names:
        return names
    if config.file.exists():
        # `init --cloud local` wrote it: this machine is all that there is.
        return ["local"]
    raise InputError(
        f"no cloud is configured: there is no {config.file}",
        "dstack-cloud init --cloud aws --store s3://NAME --region REGION makes what is "
        "needed\n--cloud local runs on this machine's Docker, and needs nothing",
    )


def regions(
    config: Config,
    cloud: str,
    asked: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> list[str]:
    """The regions that may be used on a cloud: those ``asked`` for, else the configuration's.

    Raises InputError when none is set anywhere, or one that does not exist.
    """
    environ = os.environ if environ is None else environ
    if cloud == "local":
        return ["local"]
    section = config.aws if cloud == "aws" else config.gcp
    named = list(asked or (section.regions if section else ()))
    if not named:
        named = [environ[key] for key in ("AWS_REGION", "AWS_DEFAULT_REGION") if environ.get(key)][
            :1
        ]
    if not named:
        raise InputError(f"no region is set for {cloud}", f"set {cloud}.regions in {config.file}")
    from dstack_cloud.catalog.regions import require

    require(cloud, named, lambda: _sessions(config).regions() if cloud == "aws" else ())
    return named


def open_cloud(config: Config, name: str) -> Cloud:
    """The cloud of that name, by its section of the configuration."""
    if name == "local":
        from dstack_cloud.clouds.local import LocalCloud

        timers = config.timers
        return LocalCloud(local_machines(config), timers.no_job, timers.heartbeat)
    return _aws(config)


def _aws(config: Config) -> AwsCloud:
    if config.aws is None:
        raise _not_configured(config, "aws")
    from dstack_cloud.clouds.aws.cloud import AwsCloud

    return AwsCloud(
        profile=config.aws.profile,
        subnets=config.aws.subnets,
        security_groups=config.aws.security_groups,
        public_ip=config.aws.public_ip,
        jump_host=config.aws.jump_host,
        image=config.aws.image,
        role=config.aws.role,
        store_url=config.stores["aws"],
        sessions=_sessions(config),
    )


def _sessions(config: Config) -> Sessions:
    """The clients of the configuration's profile: slow to make, so made once a process.

    Once for each set of the SDK's variables, that is: they decide whom the clients speak to.
    """
    from dstack_cloud.clouds.aws.sessions import Sessions

    profile = config.aws.profile if config.aws else None
    key = (profile, frozenset((k, v) for k, v in os.environ.items() if k.startswith("AWS_")))
    with _SESSIONS_LOCK:
        return _SESSIONS.setdefault(key, Sessions(profile))


def open_store_of(config: Config, name: str) -> Store:
    """The store of a cloud."""
    from dstack_cloud.storage.open import open_store

    url = config.stores.get(name)
    if url is None:
        raise _not_configured(config, name)
    if name == "local":
        Path(url).mkdir(parents=True, exist_ok=True)
    return open_store(
        url,
        region=None if name == "local" else regions(config, name)[0],
        profile=config.aws.profile if name == "aws" and config.aws else None,
    )


def open_tools(config: Config, name: str, report: Reporter, apart: bool = False) -> Tools:
    """All that the life of a run on a cloud needs.

    ``apart``: the cloud's SDK is loaded in a process of its own, as clients should that stay to
    follow a run.
    """
    from dstack_cloud.lifecycle.tools import Tools
    from dstack_cloud.ssh.advice import way_in
    from dstack_cloud.ssh.reach import LocalReach, SshReach

    local = name == "local"
    key = client_key(config)
    return Tools(
        cloud=_cloud_apart(config) if apart and not local else open_cloud(config, name),
        store=open_store_of(config, name),
        reach=(
            LocalReach(local_machines(config))
            if local
            else SshReach(key, owner(), way_in(config.aws))
        ),
        report=report,
        timers=config.timers,
        owner=owner(),
        endpoints=endpoints(name),
        provisioning=provisioning(config, name),
        store_region=None if local else regions(config, name)[0],
        rest=lambda: _apart().rest(),
    )


@cache
def _apart() -> Apart:
    """The process where AWS is spoken to: one at most, begun when it is needed."""
    from dstack_cloud.apart.client import Apart

    return Apart(_finish_aws)


def _cloud_apart(config: Config) -> CloudApart:
    from dstack_cloud.clouds.apart import CloudApart

    return CloudApart("aws", lambda *method: _apart().call(_ask_aws, config, *method))


def _ask_aws(config: Config, method: str, arguments: tuple[object, ...]) -> Any:
    """In that process: what the cloud's method answers. What it prepares stays there."""
    answer = getattr(_OPENED.setdefault(config, _aws(config)), method)(*arguments)
    return list(answer) if isinstance(answer, Iterator) else answer


def _finish_aws() -> None:
    for cloud in _OPENED.values():
        cloud.close()


def warm_up(config: Config, name: str) -> None:
    """Load the cloud's SDK apart, while the rest is loaded here and the user's file is read."""
    if name == "aws":
        _apart().begin(_load_aws, config)


def _load_aws(config: Config) -> None:
    # Whatever is wrong with profile or region is told by the call that needs them.
    with contextlib.suppress(DstackError):
        _sessions(config).ec2(regions(config, "aws")[0])


def ask_ahead(cloud: Cloud, offers: Sequence[Offer]) -> None:
    """Ask for what a launch of the first offer's region must know; nothing is made or changed.

    Worth calling as soon as there is a plan. What goes wrong is told by the launch.
    """
    from dstack_cloud.clouds.apart import CloudApart

    if isinstance(cloud, CloudApart):
        cloud.prepare([offer for offer in offers if offer.region == offers[0].region])


def _not_configured(config: Config, name: str) -> InputError:
    return InputError(
        f"{name} has no store in {config.file}",
        f"dstack-cloud init --cloud {name} --store URL --region REGION",
    )


def initialise(config: Config, cloud: str) -> Iterator[tuple[str, str]]:
    """Make what a cloud needs, step by step: name and detail of each as it is done."""
    if cloud == "local":
        Path(config.local.store).mkdir(parents=True, exist_ok=True)
        yield "store", config.local.store
        return
    from dstack_cloud.clouds.aws import init

    if config.aws is None:
        raise _not_configured(config, cloud)
    yield from init.init(config.aws)


def save_config(config: Config) -> None:
    """Write the configuration file."""
    from dstack_cloud.config_save import save

    save(config)


def catalog_source(config: Config, cloud: str) -> Source:
    """What the catalog of a cloud is read live through."""
    if cloud == "gcp":
        from dstack_cloud.catalog.fetch_gcp import source

        return source(config.gcp.project if config.gcp else None)
    from dstack_cloud.catalog.fetch_aws import AwsSource

    return AwsSource(_catalog_access(config))


def _catalog_access(config: Config) -> Access:
    from dstack_cloud.catalog.fetch_aws import Access
    from dstack_cloud.clouds.aws.errors import translated

    return Access(_sessions(config).client, translated)


def spot_history(
    config: Config, wanted: Mapping[str, Sequence[str]], start: datetime, end: datetime
) -> list[SpotChange]:
    """How spot prices on AWS moved: region -> machine types in, changes out, oldest first.

    Raises what the cloud raises.
    """
    from dstack_cloud.catalog import fetch_aws

    access = _catalog_access(config)
    found: list[SpotChange] = []
    for region, types in wanted.items():
        found += fetch_aws.spot_history(access, region, types, start, end)
    return found


def priced_plan(config: Config, cloud: str, request: ResourceRequest) -> Plan:
    """The plan over the request's regions, by what the account is offered and asked today: offers
    of a known price only, spot before on demand. It is made apart.

    Reads live whatever of the cache is too old. Raises what `match` and the cloud raise, and
    NoOfferError where there is no such offer.
    """
    return _apart().call(_priced_plan, config, cloud, request)


def _priced_plan(config: Config, cloud: str, request: ResourceRequest) -> Plan:
    from dstack_cloud.catalog.open import open_catalog
    from dstack_cloud.catalog.update import refresh, refresh_spot, stale
    from dstack_cloud.match import match
    from dstack_cloud.ranking import ranked

    catalog = open_catalog(cloud, config.accounts.get(cloud))
    source = catalog_source(config, cloud)
    for _ in refresh(catalog, source, stale(catalog, request.regions)):
        pass
    plan = match(request, [catalog])
    aws = _aws(config)
    # Quotas and spot prices have nothing to do with each other: asked at the same time.
    quotas = aws.pool.submit(aws.forbidden, plan.offers)
    known = aws.pool.submit(experience, config, plan.offers)
    if refresh_spot(catalog, source, plan.offers):
        plan = match(request, [catalog])
    quotas.result()
    forbidden = _by_place(aws.forbidden(plan.offers))
    if forbidden:
        fitting = len(plan.offers)
        plan = match(request, [catalog], forbids=lambda *place: forbidden.get(place))
        if not plan.offers:
            reasons = "; ".join(dict.fromkeys(forbidden.values()))
            raise QuotaError(
                f"the account's quotas forbid all {fitting} offers: {reasons}",
                f"dstack-cloud check --cloud {cloud} says how to raise each; spot and on demand "
                "have quotas of their own",
            )
    plan = replace(plan, offers=tuple(ranked(plan.offers, known.result(), utc_now())))
    # Spot offers are before those on demand whatever they cost: that is what was asked for.
    offers = sorted(plan.launchable(), key=lambda offer: not offer.spot)
    return replace(plan, offers=tuple(offers)).without_catalogs()


def experience(config: Config, offers: Sequence[Offer]) -> Experience:
    """What is known of the spot pools of offers on AWS beside today's prices.

    A plan must not fail for want of it: what cannot be read is left out.
    """
    from dstack_cloud.ranking import HISTORY, Experience
    from dstack_cloud.state import spells

    types: dict[str, list[str]] = {}
    for offer in offers:
        # The best by price are those that compete; the history of all would be thousands of rows.
        if offer.spot and len(names := types.setdefault(offer.region, [])) < _TYPES_WITH_HISTORY:
            names.append(offer.machine)
    if not types:
        return Experience()
    now = utc_now()
    prices: dict[Pool, list[tuple[datetime, Decimal]]] = {}
    lasted: list[Spell] = []
    with contextlib.suppress(DstackError):
        lasted = list(spells.recent(open_store_of(config, "aws"), "aws", now))
    for region, names in types.items():
        with contextlib.suppress(DstackError):
            for change in spot_history(config, {region: names}, now - HISTORY, now):
                pool = prices.setdefault((region, change.zone, change.machine), [])
                pool.append((change.since, change.price))
    return Experience(prices, lasted)


def slow_to_start(config: Config, offers: Sequence[Offer]) -> set[str]:
    """The machine types among the offers that are set up at their first boot."""
    if not any(offer.cloud == "aws" for offer in offers):
        return set()
    from dstack_cloud.clouds.aws.images import starts_slower

    image = config.aws.image if config.aws else None
    return {
        offer.machine for offer in offers if offer.cloud == "aws" and starts_slower(offer, image)
    }


def _by_place(forbidden: Mapping[Offer, str]) -> dict[tuple[str, str, bool], str]:
    """Machine, region and kind of the offers that are ruled out, and why."""
    return {
        (offer.machine, offer.region, offer.spot): reason for offer, reason in forbidden.items()
    }
