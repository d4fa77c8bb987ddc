"""The AWS clients know what is called here, all of it and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from botocore import session, xform_name
from botocore.loaders import create_loader

import dstack_cloud
from dstack_cloud.clouds.aws.models import OPERATIONS, lean, lean_loader, trim
from dstack_cloud.clouds.aws.sessions import Sessions

SOURCES = "".join(file.read_text() for file in Path(dstack_cloud.__file__).parent.rglob("*.py"))
WORDS = set(re.findall(r"\w+", SOURCES))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "dstack-cloud"


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


@pytest.mark.parametrize("before", ["nothing", "used", "unwritable"])
def test_a_client_is_lean_and_whole(
    monkeypatch: pytest.MonkeyPatch, cache: Path, before: str
) -> None:
    if before == "used":
        lean_loader(session.get_session())
    elif before == "unwritable":
        cache.write_text("a file where the folder would be")
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


def test_short_descriptions_are_kept_for_this_botocore_only(cache: Path) -> None:
    former = cache / "aws-models-1.0.0-0badcafe" / "ec2"
    former.mkdir(parents=True)
    loader = lean_loader(session.get_session())
    (folder,) = cache.iterdir()
    assert folder != former.parent
    stored = json.loads(next(folder.glob("ec2/*/service-2.json")).read_text())
    found = loader.load_service_model("ec2", "service-2")
    assert found["operations"] == stored["operations"]
    whole = create_loader().load_service_model("ec2", "service-2")
    assert len(json.dumps(found)) < len(json.dumps(whole)) / 10
    # What a member is called must not be taken for words about it.
    trim(whole, OPERATIONS["ec2"])
    assert set(found["shapes"]) == set(whole["shapes"])
    for name, shape in whole["shapes"].items():
        assert set(found["shapes"][name].get("members", ())) == set(shape.get("members", ()))


def test_the_users_own_descriptions_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own" / "ec2" / "2016-11-15"
    own.mkdir(parents=True)
    (own / "service-2.json").write_text('{"operations": {}, "shapes": {"Own": {}}}')
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path / "own"))
    loader = lean_loader(session.get_session())
    assert loader.load_service_model("ec2", "service-2")["shapes"] == {"Own": {}}
