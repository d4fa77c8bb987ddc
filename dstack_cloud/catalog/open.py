"""The catalogs to plan over, each from its cache, without asking a cloud."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from dstack_cloud.catalog import snapshot
from dstack_cloud.catalog.load import connect
from dstack_cloud.catalog.query import Catalog
from dstack_cloud.errors import InputError


def open_catalog(
    cloud: str, profile: str | None = None, environ: Mapping[str, str] | None = None
) -> Catalog:
    """The catalog of a cloud, as cached for the caller's account, else the bundled snapshot's.

    Raises InputError for a cloud that has no catalog.
    """
    known = snapshot.clouds()
    if cloud not in known:
        raise InputError(f"there is no catalog of '{cloud}'", f"there is one of {', '.join(known)}")
    return Catalog(cloud, connect(cloud, account_key(profile, environ)))


def open_catalogs(clouds: Iterable[str] = (), profile: str | None = None) -> list[Catalog]:
    """The catalogs of ``clouds``, of all that have one if none is named."""
    return [open_catalog(cloud, profile) for cloud in tuple(clouds) or snapshot.clouds()]


def account_key(profile: str | None = None, environ: Mapping[str, str] | None = None) -> str:
    """Tells accounts and endpoints apart, so that their catalogs do not mix; no secret is in it.

    Zone names, what is offered and spot prices differ from account to account.
    """
    environ = os.environ if environ is None else environ
    names = ("AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL")
    endpoint = next((environ[name] for name in names if environ.get(name)), "")
    profile = profile or environ.get("AWS_PROFILE", "")
    parts = (profile, environ.get("AWS_ACCESS_KEY_ID", "") if not profile else "", endpoint)
    return "|".join(parts) if any(parts) else ""
