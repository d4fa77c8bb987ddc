"""The catalogs to plan over, each from its cache, without asking a cloud."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from dstack_cloud.catalog import snapshot
from dstack_cloud.catalog.load import connect
from dstack_cloud.catalog.query import Catalog
from dstack_cloud.errors import InputError

if TYPE_CHECKING:
    from dstack_cloud.config import Config


# Without a configuration nothing says that there is an account on any other.
UNSAID = ("aws",)
"""The clouds whose catalogs are read live where no cloud is named or has a store."""


def open_catalog(
    cloud: str, account: str | None = None, environ: Mapping[str, str] | None = None
) -> Catalog:
    """The catalog of a cloud, as cached for the caller's account, else the bundled snapshot's.

    ``account`` is the configured profile on AWS, the project on GCP. Raises InputError for a cloud
    that has no catalog.
    """
    known = snapshot.clouds()
    if cloud not in known:
        raise InputError(f"there is no catalog of '{cloud}'", f"there is one of {', '.join(known)}")
    return Catalog(cloud, connect(cloud, account_key(cloud, account, environ)))


def open_catalogs(
    clouds: Iterable[str] = (), accounts: Mapping[str, str | None] | None = None
) -> list[Catalog]:
    """The catalogs of ``clouds``, of all that have one if none is named."""
    return [
        open_catalog(cloud, (accounts or {}).get(cloud))
        for cloud in tuple(clouds) or snapshot.clouds()
    ]


def planned_over(config: Config | None, named: str | None = None) -> list[str]:
    """The clouds whose catalogs a request is held against: the named one, else those that have a
    store; empty where none has, which means all."""
    if named is not None:
        return [named]
    stores = config.stores if config else {}
    return [cloud for cloud in snapshot.clouds() if cloud in stores]


def account_key(
    cloud: str, account: str | None = None, environ: Mapping[str, str] | None = None
) -> str:
    """Tells accounts and endpoints apart, so that their catalogs do not mix; no secret is in it.

    Zone names, what is offered and spot prices differ from account to account.
    """
    environ = os.environ if environ is None else environ
    if cloud == "gcp":
        # Project and endpoint, by gcloud's own variables.
        names = ("CLOUDSDK_CORE_PROJECT", "GOOGLE_CLOUD_PROJECT")
        project = account or next((environ[name] for name in names if environ.get(name)), "")
        parts = (project, environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", ""))
        return "|".join(parts) if any(parts) else ""
    names = ("AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL")
    endpoint = next((environ[name] for name in names if environ.get(name)), "")
    profile = account or environ.get("AWS_PROFILE", "")
    key = environ.get("AWS_ACCESS_KEY_ID", "") if not profile else ""
    return "|".join((profile, key, endpoint)) if profile or key or endpoint else ""
