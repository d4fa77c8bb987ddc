"""Would a run work? Every line is one thing that it needs, with what to do where it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any

from dstack_cloud.clouds.base import Check
from dstack_cloud.clouds.check_line import line
from dstack_cloud.clouds.gcp import images, policies, quotas, store
from dstack_cloud.clouds.gcp.errors import translated
from dstack_cloud.clouds.gcp.groups import ATTACHED
from dstack_cloud.clouds.gcp.images import OLD_GPUS, Recipe
from dstack_cloud.clouds.gcp.names import deny_name
from dstack_cloud.clouds.gcp.prepare import read_zones, sources_of
from dstack_cloud.clouds.gcp.secrets import GcpSecrets
from dstack_cloud.clouds.gcp.sessions import Sessions
from dstack_cloud.clouds.gcp.settings import Settings
from dstack_cloud.clouds.gcp.template import network_path
from dstack_cloud.errors import DstackError, PermissionDeniedError
from dstack_cloud.resources import Gpu, Offer
from dstack_cloud.units import GIB

_INIT = "dstack-cloud init --cloud gcp makes it"
APIS = (
    "iam.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "compute.googleapis.com",
    "cloudbilling.googleapis.com",
    "storage.googleapis.com",
    "secretmanager.googleapis.com",
)
_GRANT = "dstack-cloud init --cloud gcp --member user:YOU, run by an administrator, grants it"


def checks(sessions: Sessions, settings: Settings, pool: Executor, region: str) -> Iterator[Check]:
    """One by one, as they are known. Without credentials or a project nothing else is asked."""
    credentials = line("credentials", sessions.caller)
    yield credentials
    if not credentials.ok:
        return
    project = line("project", lambda: _project(sessions))
    yield project
    if project.ok is False:
        return
    yield from _apis(sessions)
    yield from _permissions(sessions)
    yield line("region", lambda: f"zones {', '.join(read_zones(sessions, region))}")
    yield from _network(sessions, settings, region)
    yield from _images(sessions, settings)
    yield _account(sessions, settings)
    yield from _quotas(sessions, region)
    if settings.store_url is not None:
        yield line("store", lambda: store.use(sessions, str(settings.store_url)))
        yield line("secrets", GcpSecrets(sessions, region, "", settings.store_url).usable)


def _project(sessions: Sessions) -> str:
    project = sessions.project()
    with translated(f"looking at the project {project}"):
        sessions.client("Projects").get(project=project)
    return project


def _apis(sessions: Sessions) -> Iterator[Check]:
    for api in APIS:

        def tell(api: str = api) -> str:
            path = f"v1/projects/{sessions.project()}/services/{api}"
            with translated(f"asking whether {api} is enabled"):
                found = sessions.call("serviceusage", "GET", path)
            if found.get("state") != "ENABLED":
                raise PermissionDeniedError(
                    f"{api} is not enabled", f"gcloud services enable {api}"
                )
            return "enabled"

        yield line(f"API {api.split('.', 1)[0]}", tell)


def _permissions(sessions: Sessions) -> Iterator[Check]:
    """All that a run calls for in the project, asked at once."""

    def tell() -> str:
        asked = policies.permissions("run")
        path = f"v1/projects/{sessions.project()}:testIamPermissions"
        with translated("asking for the permissions"):
            answer = sessions.call("cloudresourcemanager", "POST", path, {"permissions": asked})
        missing = sorted(set(asked) - set(answer.get("permissions", ())))
        if missing:
            raise PermissionDeniedError(f"missing: {', '.join(missing)}", _GRANT)
        return f"all {len(asked)} granted"

    yield line("permissions", tell)


def _network(sessions: Sessions, settings: Settings, region: str) -> Iterator[Check]:
    if settings.network_tags:
        tags = ", ".join(settings.network_tags)
        yield Check("way in", None, f"network tags of your own ({tags}): they must let you in")
        return
    path = network_path(settings, sessions.project())
    if settings.public_ip and settings.jump_host is None:
        yield line("way in", lambda: f"SSH from {sources_of(sessions, settings, region)[0]}")
    else:
        through = settings.jump_host or "no jump host: a VPN must reach the private addresses"
        yield Check("way in", None, f"SSH from within the network; {through}")

    def closed() -> str:
        name = deny_name(path)
        with translated("reading the firewall rules"):
            found = sessions.client("Firewalls").list(project=sessions.project())
            if not any(rule.name == name for rule in found):
                raise PermissionDeniedError(
                    f"there is no firewall rule {name}, which keeps everybody else out", _INIT
                )
        return f"nobody else: {name}"

    yield line("firewall", closed)


def _recipes(configured: str | None) -> dict[str, Recipe]:
    """The images that offers may need, by what for."""

    def one(gpu: str | None) -> Recipe:
        found = Gpu(gpu, 1, 16 * GIB) if gpu else None
        offer = Offer("gcp", "", "", 4, 16 * GIB, found, False, None, None)
        return images.recipe(offer, configured)

    if configured:
        return {"image": one(None)}
    old = next(name for name in OLD_GPUS if name in ATTACHED)
    return {"image for CPU": one(None), "image for GPUs": one("T4"), "image for old GPUs": one(old)}


def _images(sessions: Sessions, settings: Settings) -> Iterator[Check]:
    def found(how: Recipe) -> str:
        image = images.find(sessions.client("Images"), [how])[how]
        slower = "" if how.ready else "; starts slower, it is provisioned at its first boot"
        return f"{image.machine.id.rsplit('/', 1)[-1]}, {image.size // GIB} GB{slower}"

    for name, how in _recipes(settings.image).items():
        yield line(name, lambda how=how: found(how))  # type: ignore[misc]


def _account(sessions: Sessions, settings: Settings) -> Check:
    def tell() -> str:
        project = sessions.project()
        account = settings.account(project)
        path = f"v1/projects/{project}/serviceAccounts/{account}"
        with translated(f"looking at the service account {account}"):
            sessions.call("iam", "GET", path)
            asked = {"permissions": ["iam.serviceAccounts.actAs"]}
            answer = sessions.call("iam", "POST", f"{path}:testIamPermissions", asked)
        if not answer.get("permissions"):
            raise PermissionDeniedError(f"you may not give machines {account}", _GRANT)
        return account

    return line("machines' account", tell)


def _quotas(sessions: Sessions, region: str) -> Iterator[Check]:
    try:
        project, limits = quotas.project_limits(sessions), quotas.region_limits(sessions, region)
    except DstackError as error:
        yield Check("quotas", None, error.message, error.hint)
        return
    rows: list[tuple[str, str | None, Any]] = [
        (quotas.ALL_GPUS, None, project.get(quotas.ALL_GPUS))
    ]
    rows += [(metric, region, limits.get(metric)) for metric in quotas.TOLD if metric in limits]
    for metric, place, limit in rows:
        if limit is None:
            continue
        name = f"quota {quotas.in_short(metric)}"
        if limit > 0:
            yield Check(name, True, f"{limit:.0f} ({metric})")
            continue
        hint = quotas.how_to_raise(metric, place, sessions.project())
        yield Check(name, False, f"0: none can be launched ({metric})", hint)
