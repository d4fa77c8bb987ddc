"""The one emulated project: its names, and links to what is in it."""

from __future__ import annotations

import secrets
from datetime import datetime

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.catalog.places import REGIONS, ZONES

PROJECT = "dstack-cloud-demo"
NUMBER = 415104041262
REGION = "us-central1"
LINKS = "https://www.googleapis.com/compute/v1/"


def link(path: str) -> str:
    """The URL of a resource of Compute Engine: ``projects/P/zones/Z/instances/N`` made whole."""
    return LINKS + path


def last(url: str) -> str:
    """The name at the end of a full or partial URL."""
    return url.rstrip("/").rpartition("/")[2]


def new_id() -> str:
    """The number that a resource is given, a uint64 in decimal."""
    return str(secrets.randbelow(8 * 10**18) + 10**18)


def fingerprint() -> str:
    """What changes with each change of a resource, in base64."""
    return secrets.token_urlsafe(8).replace("-", "A").replace("_", "B") + "="


def stamp(moment: datetime) -> str:
    """A time as Compute Engine writes it."""
    return moment.isoformat(timespec="milliseconds")


def not_found(path: str) -> GcpError:
    return GcpError(404, "notFound", f"The resource '{path}' was not found")


def known_zone(project: str, zone: str) -> str:
    """The region of a zone; GcpError where there is no such zone."""
    if zone not in ZONES:
        raise GcpError(
            400,
            "invalid",
            f"Invalid value for field 'zone': '{zone}'. Unknown zone.",
        )
    return ZONES[zone]


def known_region(project: str, region: str) -> str:
    if region not in REGIONS:
        raise not_found(f"projects/{project}/regions/{region}")
    return region
