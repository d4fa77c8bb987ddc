"""What one request for a machine came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dstack_cloud.clouds.aws.codes import meaning
from dstack_cloud.clouds.aws.groups import Pool
from dstack_cloud.clouds.base import LaunchFailure, Scope


@dataclass(frozen=True)
class Outcome:
    """The instances' ids (as many as were wanted) and the pool that they came from, or None; and
    what failed."""

    launched: tuple[tuple[str, ...], Pool] | None
    failures: tuple[LaunchFailure, ...] = ()


def failure(code: str, message: str, pool: Pool) -> LaunchFailure:
    """One pool that could not be had."""
    found = meaning(code, message)
    return LaunchFailure(
        kind=found.kind,
        scope=found.scope,
        code=code,
        message=message,
        offer=pool.offer,
        zone=pool.zone or pool.subnet.zone,
        retry_after=found.retry_after,
        any_market=found.any_market,
    )


def request_failures(code: str, message: str, pools: list[Pool]) -> tuple[LaunchFailure, ...]:
    """A whole request that was refused: one failure a pool, or one for all of the region."""
    failures = tuple(failure(code, message, pool) for pool in pools)
    return failures if failures[0].scope in (Scope.OFFER, Scope.ZONE) else failures[:1]


def pool_of(pools: list[Pool], machine: str | None, subnet: str | None, zone: str | None) -> Pool:
    """The pool that an answer speaks of, as well as its words tell; else the first."""

    def fits(pool: Pool) -> tuple[bool, bool, bool]:
        return (
            pool.offer.machine == machine,
            pool.subnet.id == subnet,
            zone in (pool.subnet.zone, pool.subnet.zone_id),
        )

    return max(pools, key=fits)


def message_in(error: dict[str, Any]) -> str:
    """An error's own words, or its code."""
    return str(error.get("ErrorMessage") or error.get("ErrorCode") or "no reason given")
