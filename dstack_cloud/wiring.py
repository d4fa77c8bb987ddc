"""The one place that picks a concrete cloud and store; everything is imported when it is used."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
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
from dstack_cloud.errors import DstackError, InputError
from dstack_cloud.nearest import did_you_mean

if TYPE_CHECKING:
    from dstack_cloud.apart.client import Apart
    from dstack_cloud.catalog.fetch_aws import Access
    from dstack_cloud.catalog.live import Source
    from dstack_cloud.clouds.apart import CloudApart
    from dstack_cloud.clouds.aws.cloud import AwsCloud
    from dstack_cloud.clouds.aws.sessions import Sessions
    from dstack_cloud.clouds.base import Cloud
    from dstack_cloud.clouds.gcp.cloud import GcpCloud
    from dstack_cloud.lifecycle.report import Reporter
    from dstack_cloud.lifecycle.tools import Tools
    from dstack_cloud.machine_images import MachineImages
    from dstack_cloud.resources import Offer
    from dstack_cloud.secret_manager import SecretManager
    from dstack_cloud.storage.base import Store

CLOUDS = ("aws", "gcp", "local")
WITH_PRICE_HISTORY = ("aws",)
"""The clouds that tell how spot prices moved."""
WITH_MANY_NODES = ("aws", "gcp")
"""The clouds that launch several machines for one run."""
_REGION_VARIABLES = {
    "aws": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "gcp": ("CLOUDSDK_COMPUTE_REGION", "GOOGLE_CLOUD_REGION"),
}
_SESSIONS: dict[object, Sessions] = {}
_SESSIONS_LOCK = threading.Lock()
_OPENED: dict[tuple[Config, str], AwsCloud | GcpCloud] = {}
_OPENING = threading.Lock()


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
        "needed\nor init --cloud gcp --store gs://NAME --region REGION --member user:YOU\n"
        "--cloud local runs on this machine's Docker, and needs nothing",
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
    section = config.section(cloud)
    named = list(asked or (section.regions if section else ()))
    if not named:
        named = [environ[key] for key in _REGION_VARIABLES[cloud] if environ.get(key)][:1]
    if not named:
        raise InputError(f"no region is set for {cloud}", f"set {cloud}.regions in {config.file}")
    from dstack_cloud.catalog.regions import require

    require(cloud, named, lambda: _all_regions(config, cloud))
    return named


def _all_regions(config: Config, cloud: str) -> list[str]:
    """Every region that there is, as far as the SDK (or the cloud) knows."""
    if cloud == "aws":
        return _sessions(config).regions()
    names: list[str] = process_apart().call(_regions_of_gcp, config)
    return names


def _regions_of_gcp(config: Config) -> list[str]:
    return opened(config, "gcp").regions()  # type: ignore[union-attr]


def open_cloud(config: Config, name: str, *, apart: bool = True) -> Cloud:
    """The cloud of that name, by its section of the configuration.

    One whose SDK takes long to load is spoken to apart, unless what it tells is to come bit by bit.
    """
    if name == "local":
        from dstack_cloud.clouds.local import LocalCloud

        timers = config.timers
        return LocalCloud(local_machines(config), timers.no_job, timers.heartbeat)
    if name == "gcp":
        return _cloud_apart(config, name) if apart else opened(config, name)
    return _aws(config)


def opened(config: Config, name: str) -> AwsCloud | GcpCloud:
    """The cloud as it is spoken to in this process, opened once."""
    with _OPENING:
        if (config, name) not in _OPENED:
            _OPENED[config, name] = _gcp(config) if name == "gcp" else _aws(config)
        return _OPENED[config, name]


def _gcp(config: Config) -> GcpCloud:
    if config.gcp is None:
        raise _not_configured(config, "gcp")
    from dstack_cloud.clouds.gcp.cloud import GcpCloud
    from dstack_cloud.clouds.gcp.settings import Settings

    return GcpCloud(Settings.of(config.gcp))


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
        baked=config.aws.baked,
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
        cloud=_cloud_apart(config, name) if apart and not local else open_cloud(config, name),
        store=open_store_of(config, name),
        reach=(
            LocalReach(local_machines(config))
            if local
            else SshReach(key, owner(), way_in(name, config.section(name)))
        ),
        report=report,
        timers=config.timers,
        owner=owner(),
        endpoints=endpoints(name),
        provisioning=provisioning(config, name),
        store_region=None if local else regions(config, name)[0],
        rest=lambda: process_apart().rest(),
        secrets=lambda names: secret_values(config, name, names),
    )


def open_secrets(config: Config, name: str) -> SecretManager:
    """Where a cloud keeps secrets."""
    store = config.stores.get(name)
    if store is None:
        raise _not_configured(config, name)
    if name == "local":
        from dstack_cloud.clouds.local_secrets import LocalSecrets

        return LocalSecrets(store)
    region = regions(config, name)[0]
    if name == "gcp":
        from dstack_cloud.clouds.gcp.secrets import GcpSecrets

        return GcpSecrets(opened(config, name).sessions, region, owner(), store)  # type: ignore[arg-type]
    from dstack_cloud.clouds.aws.secrets import AwsSecrets

    return AwsSecrets(_sessions(config), region, owner(), store)


def secret_values(config: Config, name: str, names: Sequence[str]) -> Mapping[str, str]:
    """The values of those secrets that a cloud has; its SDK is loaded apart."""
    if name == "local":
        return open_secrets(config, name).values(names)
    values: Mapping[str, str] = process_apart().call(_secret_values, config, name, tuple(names))
    return values


def _secret_values(config: Config, name: str, names: Sequence[str]) -> Mapping[str, str]:
    return open_secrets(config, name).values(names)


@cache
def process_apart() -> Apart:
    """The process where clouds are spoken to: one at most, begun when it is needed."""
    from dstack_cloud.apart.client import Apart

    return Apart(_finish)


def _cloud_apart(config: Config, name: str) -> CloudApart:
    from dstack_cloud.clouds.apart import CloudApart

    return CloudApart(name, lambda *method: process_apart().call(_ask, config, name, *method))


def _ask(config: Config, name: str, method: str, arguments: tuple[object, ...]) -> Any:
    """In that process: what the cloud's method answers. What it prepares stays there."""
    answer = getattr(opened(config, name), method)(*arguments)
    return list(answer) if isinstance(answer, Iterator) else answer


def _finish() -> None:
    for cloud in _OPENED.values():
        cloud.close()


def warm_up(config: Config, name: str) -> None:
    """Load the cloud's SDK apart, while the rest is loaded here and the user's file is read."""
    if name != "local":
        process_apart().begin(_load, config, name)


def _load(config: Config, name: str) -> None:
    # Whatever is wrong with profile, project or region is told by the call that needs them.
    with contextlib.suppress(DstackError):
        if name == "gcp":
            opened(config, name).load()  # type: ignore[union-attr]
        else:
            _sessions(config).ec2(regions(config, name)[0])


def ask_ahead(cloud: Cloud, offers: Sequence[Offer]) -> None:
    """Ask for what a launch of the first offer's region must know; nothing is made or changed.

    Worth calling as soon as there is a plan. What goes wrong is told by the launch.
    """
    from dstack_cloud.clouds.apart import CloudApart

    mine = [offer for offer in offers if offer.cloud == cloud.name]
    if isinstance(cloud, CloudApart) and mine:
        cloud.prepare([offer for offer in mine if offer.region == mine[0].region])


def _not_configured(config: Config, name: str) -> InputError:
    return InputError(
        f"{name} has no store in {config.file}",
        f"dstack-cloud init --cloud {name} --store URL --region REGION",
    )


def initialise(
    config: Config, cloud: str, members: Sequence[str] = ()
) -> Iterator[tuple[str, str]]:
    """Make what a cloud needs, step by step: name and detail of each as it is done.

    ``members`` are those who are granted what `run` needs, on Google Cloud.
    """
    if cloud == "local":
        Path(config.local.store).mkdir(parents=True, exist_ok=True)
        yield "store", config.local.store
        return
    if cloud == "gcp" and config.gcp is not None:
        from dstack_cloud.clouds.gcp import init as gcp
        from dstack_cloud.clouds.gcp.settings import Settings

        yield from gcp.init(Settings.of(config.gcp), config.gcp.regions, members)
    elif cloud == "aws" and config.aws is not None:
        from dstack_cloud.clouds.aws import init as aws

        yield from aws.init(config.aws)
    else:
        raise _not_configured(config, cloud)


def catalog_source(config: Config, cloud: str) -> Source:
    """What the catalog of a cloud is read live through."""
    if cloud == "gcp":
        from dstack_cloud.catalog.fetch_gcp import source

        return source(config.gcp.project if config.gcp else None)
    from dstack_cloud.catalog.fetch_aws import AwsSource

    return AwsSource(spot_access(config))


def spot_access(config: Config) -> Access:
    """How AWS is asked for its spot prices and their history."""
    from dstack_cloud.catalog.fetch_aws import Access
    from dstack_cloud.clouds.aws.errors import translated

    return Access(_sessions(config).client, translated)


def open_images(config: Config, name: str) -> MachineImages:
    """The machine images of a cloud that has them (see `images_of`)."""
    sessions: Any = opened(config, name).sessions
    if name == "gcp":
        from dstack_cloud.clouds.gcp.baked import GcpImages

        return GcpImages(sessions, owner())
    from dstack_cloud.clouds.aws.baked import AwsImages

    return AwsImages(sessions, owner(), config.stores.get(name))


def slow_to_start(config: Config, offers: Sequence[Offer]) -> set[str]:
    """The machine types among the offers that are set up at their first boot."""
    from dstack_cloud.clouds.aws.images import starts_slower as on_aws
    from dstack_cloud.clouds.gcp.images import starts_slower as on_gcp

    slower = {"aws": on_aws, "gcp": on_gcp}
    found = set()
    for offer in offers:
        section = config.section(offer.cloud)
        if offer.cloud in slower and slower[offer.cloud](offer, section.image if section else None):
            found.add(offer.machine)
    return found
