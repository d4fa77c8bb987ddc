"""What things are called, within what Google Cloud allows."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dstack_cloud.clouds.base import LaunchRequest
from dstack_cloud.clouds.gcp import names

# docs.cloud.google.com/compute/docs/naming-resources
NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL = re.compile(r"[a-z0-9_-]{0,63}")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=150)


@given(run=TEXTS, attempt=st.integers(1, 99_999), token=TEXTS, nodes=st.sampled_from([1, 2, 100]))
def test_a_machines_name_is_one(run: str, attempt: int, token: str, nodes: int) -> None:
    request = LaunchRequest(run, attempt, token, [], lambda image: b"", nodes=nodes)
    found = names.machine_names(request)
    assert len(set(found)) == nodes
    for name in found:
        assert NAME.fullmatch(name)
        assert name.startswith(names.PREFIX)
        assert f"-{attempt}-" in name


def test_it_is_the_same_for_the_same_token_and_store_only(
    request_for: Callable[..., LaunchRequest],
) -> None:
    asked = request_for()
    others = [replace(asked, token="other"), replace(asked, store="gs://else")]
    found = {names.machine_names(one) for one in [asked, asked, *others]}
    assert len(found) == 3


@given(one=TEXTS, other=TEXTS)
def test_labels_are_allowed_and_tell_texts_apart(one: str, other: str) -> None:
    assert LABEL.fullmatch(names.label(one))
    assert (names.label(one) == names.label(other)) == (one == other)


def test_a_text_that_may_be_a_label_stays() -> None:
    assert names.label("train-7") == "train-7"
    assert names.label("Train.7").startswith("train-7-")


@given(network=TEXTS, address=st.ip_addresses(v=4))
def test_rules_names_are_allowed(network: str, address: object) -> None:
    assert NAME.fullmatch(names.rule_name(network, f"{address}/32"))
    assert NAME.fullmatch(names.deny_name(network))
    assert NAME.fullmatch(names.nodes_name(network))


def test_a_request_id_is_a_uuid_of_its_parts() -> None:
    one = names.request_id("name", "0", "True")
    assert str(uuid.UUID(one)) == one == names.request_id("name", "0", "True")
    assert one != names.request_id("name", "1", "True")


def test_what_labels_cannot_hold_travels_in_the_metadata(
    request_for: Callable[..., LaunchRequest],
) -> None:
    asked = request_for()
    items = [{"key": key, "value": value} for key, value in names.tags(asked).items()]
    instance = {"metadata": {"items": [*items, {"key": "user-data", "value": "secret"}]}}
    found = names.tags_of(instance)
    assert found == {
        "dstack-cloud": "ada@host",
        "dstack-cloud-run": "Train_big-7",
        "dstack-cloud-attempt": "2",
        "dstack-cloud-store": "gs://bucket/team",
    }
    assert names.attempt_in(found) == 2


def test_a_disk_tells_its_run_word_for_word(request_for: Callable[..., LaunchRequest]) -> None:
    assert names.run_in(names.disk_description(request_for())) == "Train_big-7"
    assert names.run_in("somebody's disk") is None


def test_filters() -> None:
    assert names.of_store(None) == "(labels.dstack-cloud:*)"
    assert names.of_store("gs-b", "train-7") == (
        "(labels.dstack-cloud-store=gs-b) AND (labels.dstack-cloud-run=train-7)"
    )
