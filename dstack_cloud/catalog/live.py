"""What a cloud's catalog is read live through, whichever cloud it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, Protocol

from dstack_cloud.catalog.models import MachineType, Place
from dstack_cloud.errors import DstackError

SpotPrices = dict[str, dict[str, Decimal]]
"""Machine type -> zone name -> USD an hour."""


class LiveRegion(NamedTuple):
    """One region as read at ``at``. ``problems`` are the prices that could not be read: their
    places have no prices of that kind."""

    region: str
    at: datetime
    types: list[MachineType]
    places: list[Place]
    priced: bool
    spot_priced: bool
    problems: list[DstackError]


class Source(Protocol):
    """A cloud's own answers. Both methods raise errors of ours."""

    spot_age: timedelta
    """How long a spot price is good for."""

    def fetch(self, regions: Sequence[str]) -> Iterator[LiveRegion]:
        """Each region as soon as it is read."""
        ...

    def fetch_spot(self, wanted: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, SpotPrices]]:
        """Today's spot prices of some machine types: region -> types in, region and prices out."""
        ...
