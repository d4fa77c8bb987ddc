"""What the clouds call by different names: one vocabulary, in which tests ask the emulator.

Each cloud's own words are `WORDS` of `support.emulated_aws` and `support.emulated_gcp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bill:
    """What a spot machine at 0.2 $ cost in an hour, and one on demand at 1 $ in two, both with 90
    GiB of disk and an address; the first sent 10 GiB to another region and 2 GiB to the internet.

    ``parts`` is what came to the first one's price. Each pair is what it cost, and what it would
    have cost on demand. By hand, from the clouds' price lists.
    """

    parts: dict[str, str]
    spot: tuple[str, str]
    on_demand: tuple[str, str]
    both: tuple[str, str]


@dataclass(frozen=True)
class Words:
    """``launch`` is the call that asks for machines, as the emulator's log has it, and ``look`` the
    first that has a look at one; ``user`` is who asks there: the one whose keys the tests have.
    ``no_capacity`` is the code for it, ``store_away`` a fault: the store answers nobody.

    ``region`` is the one that is asked, ``zones`` are two of it; ``t4`` is the cheapest machine
    with a T4, and ``rare`` are other GPUs, each with the cheapest machine that has one. ``beside``
    is what 900 GB of disk and a spot machine's address cost an hour; ``spot_history`` is whether
    the cloud tells what spot prices were.
    """

    cloud: str
    user: str
    launch: str
    look: str
    no_capacity: str
    store_away: dict[str, Any]
    region: str
    zones: tuple[str, str]
    t4: str
    rare: tuple[tuple[str, str], ...]
    beside: tuple[float, float]
    spot_history: bool
    bill: Bill
    other_region: str
    """The one that the bill's machine sent something to."""
    launching: tuple[str, ...]
    """All calls that launch something, or make ready to."""
    scheme: str
    """Of the address of a store."""
    no_credentials: tuple[tuple[str, ...], dict[str, str], str]
    """What takes them out of an environment, what is set instead, and what is told then."""
    denied: str
    """Where those are sent who may do nothing."""
    busy: dict[str, Any]
    """A fault: too many calls."""
    away: dict[str, str]
    """An environment in which nobody listens."""
    no_quota: tuple[dict[str, Any], str]
    """A quota of no T4 on spot, and what is told then."""
    foreign: str
    """What is told of a bucket that is another's."""
    reading: tuple[str, ...]
    """Patterns for the calls that change nothing."""
    put: str
    """The call that writes an object of the store."""
    get: str
    """The one that reads it."""
    poll: str
    """The call that asks, over and over, whether a machine is gone."""
    own_end: str
    """Why a machine is off, by the emulator's word, that nobody but itself has ended."""
    refresh: tuple[str, int]
    """A call in the midst of a refresh of the catalog: the action, and which of these."""
    images: str
    """The call that tells of one's own images."""
    ahead: tuple[str, ...]
    """What a launch has asked for while the user reads the plan."""
    bake: str
    """The call that makes an image of a machine."""
    boot: str
    """The call that says which image is booted."""
    boot_right: str
    """The permission that it needs."""
    image_region: str | None
    """Where such an image then is; None: everywhere."""
    private_image: str
    """An image in a registry of the account's own, for which its machines need no other login."""
    pulls: tuple[str, ...]
    """What the call log then has of the pull, in this order."""
    expired: dict[str, Any]
    """A fault: credentials that were good have expired."""
    login: str
    """How to get new ones, as is told then."""


@dataclass(frozen=True)
class Asked:
    """What a call asked for that wanted a machine: types in their order, and where each may be."""

    types: tuple[str, ...]
    pools: frozenset[tuple[str, str]]
    spot: bool


def words_of(environ: Mapping[str, str]) -> Words:
    """The words of the emulated cloud that an environment reaches."""
    if "AWS_ENDPOINT_URL" in environ:
        from support import emulated_aws

        return emulated_aws.WORDS
    from support import emulated_gcp

    return emulated_gcp.WORDS
