"""The AWS clients know what is called here, all of it and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.loaders import create_loader

import dstack_cloud
from dstack_cloud.clouds.aws.models import OPERATIONS, lean, trim
from dstack_cloud.clouds.aws.sessions import Sessions

SOURCES = "".join(file.read_text() for file in Path(dstack_cloud.__file__).parent.rglob("*.py"))
WORDS = set(re.findall(r"\w+", SOURCES))


@pytest.mark.parametrize("service", sorted(OPERATIONS))
def test_what_is_called_is_known(service: str) -> None:
    whole = create_loader().load_service_model(service, "service-2")["operations"]
    assert {name for name in whole if xform_name(name) in WORDS} == OPERATIONS[service]


def test_a_shape_that_refers_to_itself_is_kept_once() -> None:
    model = {
        "operations": {"Get": {"input": {"shape": "In"}}, "Put": {"input": {"shape": "Other"}}},
        "shapes": {
            "In": {"type": "structure", "members": {"shape": {"shape": "List"}}},
            "List": {"type": "list", "member": {"shape": "In"}},
            "Other": {"type": "string"},
        },
    }
    trim(model, frozenset({"Get"}))
    assert set(model["operations"]) == {"Get"}
    assert set(model["shapes"]) == {"In", "List"}


def test_a_client_is_lean_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    sessions = Sessions()
    client = sessions.ec2("eu-central-1")
    assert set(client.meta.service_model.operation_names) == OPERATIONS["ec2"]
    assert client.meta.endpoint_url == "https://ec2.eu-central-1.amazonaws.com"
    for name in OPERATIONS["ec2"]:
        operation = client.meta.service_model.operation_model(name)
        # Building a request walks through every shape of it.
        assert operation.input_shape is not None
        _walk(operation.input_shape, set())
        if operation.output_shape is not None:
            _walk(operation.output_shape, set())
    china = sessions.client("sts", "cn-north-1").meta.endpoint_url
    assert china == "https://sts.cn-north-1.amazonaws.com.cn"


def _walk(shape: object, seen: set[str]) -> None:
    name = str(getattr(shape, "name", ""))
    if name in seen:
        return
    seen.add(name)
    for part in (*getattr(shape, "members", {}).values(), *_inner(shape)):
        _walk(part, seen)


def _inner(shape: object) -> list[object]:
    return [getattr(shape, part) for part in ("member", "key", "value") if hasattr(shape, part)]


def test_lean_twice_is_lean() -> None:
    loader = create_loader()
    lean(loader, "ec2")
    lean(loader, "ec2")
    assert set(loader.load_service_model("ec2", "service-2")["operations"]) == OPERATIONS["ec2"]
