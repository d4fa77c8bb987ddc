"""Which machines can be near each other, and whose a policy is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dstack_cloud.clouds.base import LaunchRequest
from dstack_cloud.clouds.gcp import placement
from dstack_cloud.clouds.gcp.names import label, machine_names, policy_name


@pytest.mark.parametrize(
    ("machine", "can"),
    [
        ("a2-highgpu-1g", True),
        ("a3-highgpu-8g", True),
        ("g2-standard-4", True),
        ("n2-standard-8", True),
        ("n1-standard-4+1xT4", False),
        ("e2-standard-4", False),
    ],
)
def test_which_types_can_be_near_each_other(machine: str, can: bool) -> None:
    assert placement.can_be_near(machine) is can


@given(attempt=st.integers(1, 999), store=st.text(max_size=90))
def test_a_policy_says_whose_it_is(attempt: int, store: str) -> None:
    request = LaunchRequest("train, big of 7-2", attempt, "token", (), lambda _: b"", store=store)
    told = placement.owner_in(placement.description(request))
    assert told == (attempt, "train, big of 7-2", label(store))


@pytest.mark.parametrize("text", ["", "dstack-cloud attempt 1 of x", "another's, x"])
def test_one_of_somebody_elses_is_not_ours(text: str) -> None:
    assert placement.owner_in(text) is None


def test_its_name_is_the_launchs(request_for: Callable[..., LaunchRequest]) -> None:
    request = replace(request_for(), nodes=2)
    name = policy_name(request)
    assert name not in machine_names(request)
    assert len(name) <= 63
    assert policy_name(replace(request, token="another")) != name
