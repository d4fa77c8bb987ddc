"""Where secrets are kept: the same answers of AWS Secrets Manager and of the local file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from dstack_cloud.clouds.aws.secrets import AwsSecrets
from dstack_cloud.clouds.aws.sessions import Sessions
from dstack_cloud.clouds.local_secrets import LocalSecrets
from dstack_cloud.errors import InputError, TryAgainError
from dstack_cloud.secret_manager import LARGEST, SecretManager, require_name, value_of


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], AwsSecrets]]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield lambda: AwsSecrets(Sessions(), "us-east-1", "ada@host", "s3://store")


@pytest.fixture(params=["aws", "local"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> SecretManager:
    if request.param == "local":
        return LocalSecrets(str(tmp_path / "a" / "store"))
    made: SecretManager = request.getfixturevalue("aws")()
    return made


def test_kept_changed_listed_and_deleted(manager: SecretManager) -> None:
    assert manager.listing() == []
    manager.set("B", "one")
    manager.set("A", "\u20ac\nline two\n")
    manager.set("B", "two")
    assert manager.values(["A", "B", "C"]) == {"A": "\u20ac\nline two\n", "B": "two"}
    listed = manager.listing()
    assert [one.name for one in listed] == ["A", "B"]
    assert all(one.created_at.endswith("Z") and one.changed_at.endswith("Z") for one in listed)
    manager.delete("B")
    manager.delete("B")
    assert manager.values(["B"]) == {}
    assert [one.name for one in manager.listing()] == ["A"]
    manager.set("B", "three")
    assert manager.values(["B"]) == {"B": "three"}


def test_only_ours_are_listed_and_they_say_whose_they_are(aws: Callable[[], AwsSecrets]) -> None:
    ours = aws()
    client = Sessions().client("secretsmanager", "us-east-1")
    client.create_secret(Name="of/dstack-cloud/others", SecretString="x")
    ours.set("A", "x")
    assert [one.name for one in ours.listing()] == ["A"]
    told = client.describe_secret(SecretId="dstack-cloud/A")["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in told} == {
        "dstack-cloud": "ada@host",
        "dstack-cloud:store": "s3://store",
    }


def test_one_that_somebody_has_marked_for_deletion(
    aws: Callable[[], AwsSecrets], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = aws()
    ours.set("A", "x")
    client = ours._client()
    client.delete_secret(SecretId="dstack-cloud/A", RecoveryWindowInDays=7)
    assert ours.values(["A"]) == {}
    assert ours.listing() == []

    def as_aws_answers(**_: str) -> None:
        raise ClientError({"Error": {"Code": "InvalidRequestException"}}, "CreateSecret")

    # moto makes it anew.
    monkeypatch.setattr(client, "create_secret", as_aws_answers)
    with pytest.raises(TryAgainError, match="is being deleted") as caught:
        ours.set("A", "y")
    assert caught.value.hint is not None
    assert "restore-secret" in caught.value.hint


def test_the_local_file_is_its_owners_alone_and_survives_two_at_once(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: LocalSecrets(str(store)).set(f"S{n}", str(n)), range(24)))
    [file] = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(json.loads(file.read_text())) == 24


def test_a_file_that_is_none_of_ours_is_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "store.secrets.json").write_text("planted")
    with pytest.raises(InputError) as caught:
        LocalSecrets(str(tmp_path / "store")).listing()
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "value"), [(b"x\n", "x"), (b"x\r\n", "x"), (b"x\n\n", "x\n"), (b" x ", " x ")]
)
def test_one_line_end_is_not_part_of_a_value(data: bytes, value: str) -> None:
    assert value_of(data) == value


@pytest.mark.parametrize("data", [b"", b"\n", b"planted\0", b"planted\xff", b"p" * (LARGEST + 1)])
def test_what_no_variable_can_hold(data: bytes) -> None:
    with pytest.raises(InputError) as caught:
        value_of(data)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "1A", "a-b", "a/b", "\u00e9", "A" * 201, "A\n"])
def test_names(name: str) -> None:
    with pytest.raises(InputError):
        require_name(name)
