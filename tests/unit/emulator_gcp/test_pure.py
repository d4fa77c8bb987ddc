"""The emulated Google Cloud's pure parts: schemas, filters, partial answers, conditions."""

from __future__ import annotations

from typing import Any

import pytest

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.checks import chosen
from moto_fixtures.gcp.compute.filters import matching
from moto_fixtures.gcp.discovery import document, find
from moto_fixtures.gcp.iam.conditions import holds
from moto_fixtures.gcp.iam.permissions import TABLE
from moto_fixtures.gcp.schema import problems

SCHEMAS = document("compute.v1")["schemas"]
ITEMS: list[dict[str, Any]] = [
    {"name": "a", "status": "RUNNING", "labels": {"run": "x-1"}, "guestCpus": 4},
    {"name": "b", "status": "STOPPING", "labels": {"run": "x-2"}, "guestCpus": 16},
    {"name": "c", "status": "RUNNING", "zone": "https://www.googleapis.com/z/us-a"},
]


@pytest.mark.parametrize(
    ("value", "answer", "wrong"),
    [
        ({"name": "a", "labels": {"k": "v"}}, False, ""),
        ({"nome": "a"}, False, 'Unknown name "nome"'),
        ({"disks": [{"boot": "yes"}]}, False, "disks[0].boot"),
        ({"status": "GONE"}, False, "'status'"),
        ({"id": "18446744073709551615"}, True, ""),
        ({"id": "18446744073709551616"}, True, "'id'"),
        ({"id": 7}, True, "'id'"),
        ({"id": 7}, False, ""),
        ({"metadata": {"fingerprint": "not base64!"}}, True, "metadata.fingerprint"),
        ({"name": None}, False, ""),
        ({"name": None}, True, "null"),
        ([], False, "object"),
    ],
)
def test_a_value_is_held_against_the_published_schema(value: Any, answer: bool, wrong: str) -> None:
    found = problems(value, "Instance", SCHEMAS, answer=answer)
    assert bool(found) is bool(wrong)
    assert wrong in " ".join(found)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "abc"),
        ("status = RUNNING", "ac"),
        ('status = "RUNNING" AND labels.run = x-1', "a"),
        ("(status = RUNNING) (labels.run:*)", "a"),
        ("name = a OR name = b", "ab"),
        ("name eq [bc]", "bc"),
        ("status != RUNNING", "b"),
        ("guestCpus >= 5", "b"),
        ("labels.run = x-*", "ab"),
        ("NOT labels.run:*", "c"),
        ("zone = us-a", "c"),
    ],
)
def test_filters(text: str, names: str) -> None:
    assert "".join(item["name"] for item in matching(text, ITEMS)) == names


@pytest.mark.parametrize("text", ["name", "name =", "(name = a", "name ~ a", "= a"])
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(GcpError, match="filter"):
        matching(text, ITEMS)


def test_a_partial_answer_has_what_was_asked_for() -> None:
    value = {"items": [{"a": 1, "b": {"c": 2, "d": 3}}], "next": "x", "kind": "k"}
    assert chosen(value, "items(a),next") == {"items": [{"a": 1}], "next": "x"}
    assert chosen(value, "items/b/c,kind") == {"items": [{"b": {"c": 2}}], "kind": "k"}
    assert chosen({"items": {"z": {"a": 1, "b": 2}}}, "items/*/a") == {"items": {"z": {"a": 1}}}
    with pytest.raises(GcpError):
        chosen(value, "items(a")


@pytest.mark.parametrize(
    ("expression", "true"),
    [
        ('resource.name.startsWith("projects/p/")', True),
        ('resource.name.extract("/instances/{name}").startsWith("ours-")', True),
        ('resource.name.extract("/disks/{name}").startsWith("ours-")', False),
        ('resource.type == "compute.googleapis.com/Instance" && true', True),
        ('resource.type != "compute.googleapis.com/Instance" || false', False),
        ('!(resource.name.endsWith("-1"))', False),
        ('resource.service == "storage.googleapis.com"', False),
    ],
)
def test_conditions(expression: str, true: bool) -> None:
    attributes = {
        "resource.name": "projects/p/zones/z/instances/ours-1",
        "resource.type": "compute.googleapis.com/Instance",
        "resource.service": "compute.googleapis.com",
    }
    assert holds(expression, attributes) is true


@pytest.mark.parametrize("expression", ["", "resource.colour == 1", "true &&", "size(x) > 1"])
def test_a_condition_that_is_not_understood_is_refused(expression: str) -> None:
    with pytest.raises(GcpError):
        holds(expression, {})


def test_every_call_of_the_table_is_one_of_googles() -> None:
    names = (
        "compute.v1",
        "cloudresourcemanager.v1",
        "iam.v1",
        "iamcredentials.v1",
        "secretmanager.v1",
        "serviceusage.v1",
        "cloudbilling.v1",
    )
    known = {call for name in names for call in _calls(document(name))}
    assert set(TABLE) <= known
    assert find("GET", "/compute/v1/projects/p/no/such/thing") is None


def _calls(node: dict[str, Any]) -> set[str]:
    own = {method["id"] for method in node.get("methods", {}).values()}
    return own.union(*(_calls(child) for child in node.get("resources", {}).values()))
