"""What a client that goes on with a run fills in: from its record, and from what is kept now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dstack_cloud.errors import InputError, NotFoundError
from dstack_cloud.lifecycle.private import private_of
from dstack_cloud.lifecycle.record import RunRecord, record_from_json
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.resources import ResourceRequest
from dstack_cloud.spec import ContainerSpec

RECORD = RunRecord(
    run="train-7",
    workflow="train",
    provider="docker",
    submitted_at="2026-01-31T09:05:00.000Z",
    owner="me@here",
    cloud="aws",
    request=ResourceRequest(),
    container=ContainerSpec(
        "ubuntu", None, (), {}, secret_environment={"URL": "https://${{ secrets.A }}@$${{ x }}"}
    ),
    secrets=("A",),
    private=("TOKEN",),
)


def tools(kept: Mapping[str, str]) -> Tools:
    def values(names: tuple[str, ...]) -> dict[str, str]:
        return {name: kept[name] for name in names if name in kept}

    parts: Any = SimpleNamespace(cloud=SimpleNamespace(name="aws"), secrets=values)
    return cast("Tools", parts)


def test_any_client_fills_in_what_is_kept_now() -> None:
    record = record_from_json(json.loads(json.dumps(RECORD.as_json())))
    private = private_of(tools({"A": "planted", "B": "other"}), record, {"TOKEN": "t", "X": "x"})
    assert private.environment == {"TOKEN": "t", "URL": "https://planted@${{ x }}"}
    assert private.masks == ("planted",)
    assert "planted" not in repr(private)


def test_what_is_missing_names_what_makes_it() -> None:
    with pytest.raises(InputError, match="took TOKEN from the environment"):
        private_of(tools({"A": "planted"}), RECORD, {})
    with pytest.raises(NotFoundError, match="the secret 'A' does not exist on aws") as caught:
        private_of(tools({}), RECORD, {"TOKEN": "t"})
    assert caught.value.hint == "dstack-cloud secrets set A --cloud aws"


def test_a_login_for_the_registry_goes_apart_and_is_no_mask() -> None:
    login = {"username": "me", "password": "${{ secrets.B }}"}
    container = replace(RECORD.container, registry_auth=login)
    wanted = replace(RECORD, container=container, secrets=("A", "B"))
    record = record_from_json(json.loads(json.dumps(wanted.as_json())))
    private = private_of(tools({"A": "planted", "B": "word"}), record, {"TOKEN": "t"})
    assert private.registry == {"username": "me", "password": "word"}
    assert private.masks == ("planted",)
    assert "word" not in str(private.environment) + repr(private)
