"""What AWS's error codes mean for a launch."""

from __future__ import annotations

import pytest

from dstack_cloud.clouds.aws.codes import CODES, fails_at_once, known, meaning
from dstack_cloud.clouds.base import FailureKind, Scope

# Every code that the design names as an item of a fleet's Errors[], and the usual company.
EXPECTED = {
    "InsufficientInstanceCapacity": (FailureKind.CAPACITY, Scope.OFFER),
    "UnfulfillableCapacity": (FailureKind.CAPACITY, Scope.OFFER),
    "Unsupported": (FailureKind.CAPACITY, Scope.OFFER),
    "InsufficientFreeAddressesInSubnet": (FailureKind.CAPACITY, Scope.ZONE),
    "SpotMaxPriceTooLow": (FailureKind.PRICE, Scope.OFFER),
    "MaxSpotInstanceCountExceeded": (FailureKind.QUOTA, Scope.OFFER),
    "VcpuLimitExceeded": (FailureKind.QUOTA, Scope.OFFER),
    "MaxFleetCountExceeded": (FailureKind.QUOTA, Scope.REGION),
    "PendingVerification": (FailureKind.PERMISSION, Scope.REGION),
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted": (FailureKind.PERMISSION, Scope.CLOUD),
    "UnauthorizedOperation": (FailureKind.PERMISSION, Scope.CLOUD),
    "AuthFailure": (FailureKind.CREDENTIALS, Scope.CLOUD),
    "ExpiredToken": (FailureKind.CREDENTIALS, Scope.CLOUD),
    "InvalidAMIID.NotFound": (FailureKind.CONFIGURATION, Scope.REGION),
    "RequestLimitExceeded": (FailureKind.THROTTLED, Scope.REGION),
}


@pytest.mark.parametrize(("code", "expected"), EXPECTED.items())
def test_kind_and_scope(code: str, expected: tuple[FailureKind, Scope]) -> None:
    found = meaning(code)
    assert (found.kind, found.scope) == expected
    assert meaning(f"Server.{code}") == found


def test_every_code_says_for_how_long() -> None:
    assert all(10 <= found.retry_after <= 86400 for found in CODES.values())


def test_what_the_user_can_change_has_a_hint() -> None:
    mute = {
        code
        for code, found in CODES.items()
        if found.hint is None
        and found.kind in (FailureKind.PERMISSION, FailureKind.CREDENTIALS, FailureKind.QUOTA)
    }
    assert mute == set()


def test_capacity_never_ends_the_search() -> None:
    patient = (FailureKind.CAPACITY, FailureKind.PRICE, FailureKind.QUOTA, FailureKind.THROTTLED)
    for code, found in CODES.items():
        if found.kind in patient:
            assert not fails_at_once(code), code


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "AuthFailure", "InvalidAMIID.NotFound"])
def test_what_no_offer_can_help_ends_it(code: str) -> None:
    assert fails_at_once(code)


SCP = "… with an explicit deny in a service control policy"


def test_an_organizations_denial_rules_out_the_region_only() -> None:
    assert meaning("UnauthorizedOperation", SCP).scope is Scope.REGION
    assert not fails_at_once("UnauthorizedOperation", SCP)


@pytest.mark.parametrize("code", ["OptInRequired", "PendingVerification"])
def test_a_closed_region_leaves_the_others(code: str) -> None:
    assert not fails_at_once(code)
    assert meaning(code).scope is Scope.REGION


def test_an_unknown_code_is_neither_known_nor_final() -> None:
    assert known("NeverHeardOf") is None
    assert not fails_at_once("NeverHeardOf")
    assert meaning("NeverHeardOf").scope is Scope.OFFER


@pytest.mark.parametrize(
    ("code", "any_market"),
    [
        ("InsufficientInstanceCapacity", False),
        ("MaxSpotInstanceCountExceeded", False),
        ("VcpuLimitExceeded", False),
        ("SpotMaxPriceTooLow", False),
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", False),
        ("InsufficientFreeAddressesInSubnet", True),
        ("MaxFleetCountExceeded", True),
        ("RequestLimitExceeded", True),
        ("OptInRequired", True),
    ],
)
def test_spot_and_on_demand_are_two_markets(code: str, any_market: bool) -> None:
    assert meaning(code).any_market is any_market
