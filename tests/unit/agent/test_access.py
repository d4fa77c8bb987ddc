"""The credentials that a container is served: renewed in time, and as Google's own library asks."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dstack_cloud.lifecycle.ending import error_of
from dstack_cloud.machine.access import ADDRESS, AWS_PATH, container_variables
from dstack_cloud.machine.agent import access_server
from dstack_cloud.machine.agent.access import Renewed
from dstack_cloud.machine.agent.access_aws import RoleAccess
from dstack_cloud.machine.agent.access_gcp import AccountAccess
from dstack_cloud.machine.agent.aws_call import Refused
from dstack_cloud.machine.agent.errors import StoreError
from dstack_cloud.machine.agent.paths import Paths, write_json

ROLE = "arn:aws:iam::123456789012:role/reader"
GOOGLE = {"metadata-flavor": "Google"}
READER = "reader@p.iam.gserviceaccount.com"
DENIED = (
    "AssumeRole: <ErrorResponse><Error><Code>AccessDenied</Code><Message>User: arn:aws:sts::"
    "210987654321:assumed-role/machines/i-1 is not authorized to perform: sts:AssumeRole</Message>"
)


class Source:
    """Numbers that hold for so many seconds; ``broken`` refuses."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.given, self.broken = seconds, 0, False

    def __call__(self) -> tuple[int, float]:
        if self.broken:
            raise StoreError("away")
        self.given += 1
        return self.given, time.time() + self.seconds


def test_what_runs_out_is_renewed_before() -> None:
    lasting, short = Source(3600), Source(100)
    assert [Renewed(lasting, 1200).get()[0] for _ in "ab"] == [1, 2]
    kept = Renewed(lasting, 1200)
    assert kept.get()[0] == kept.get()[0]
    renewed = Renewed(short, 1200)
    assert [renewed.get()[0] for _ in "abc"] == [1, 2, 3]
    short.broken = True
    assert renewed.get()[0] == 3, "what still holds is better than nothing"
    with pytest.raises(StoreError):
        Renewed(short, 1200).get()


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RoleAccess:
    paths = Paths(str(tmp_path))
    (tmp_path / "volatile").mkdir()
    write_json(paths.secrets, {AWS_PATH: "/dstack/planted"})
    found = RoleAccess({"cloud_access": ROLE, "run": "a-1", "attempt": 1}, paths)
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
    monkeypatch.setattr(
        found, "_credentials", Renewed(lambda: (dict.fromkeys(names, "x"), time.time() + 9e9), 1)
    )
    return found


def test_who_does_not_know_the_path_gets_nothing(aws: RoleAccess) -> None:
    answer = aws.answer("/dstack/planted", {})
    assert (answer.status, json.loads(answer.body)["Token"]) == (200, "x")
    for path in ("/", "/dstack/", "/dstack/plante", "/dstack/planted/", "/latest/meta-data"):
        assert aws.answer(path, {}).status == 404


def test_a_role_that_does_not_trust_the_machine(aws: RoleAccess) -> None:
    failure = aws.refused(Refused(DENIED, passing=False))
    assert "not authorized to perform: sts:AssumeRole" in failure.message
    assert "arn:aws:iam::210987654321:role/machines do sts:AssumeRole" in (failure.hint or "")
    error = error_of({"reason": failure.reason, "message": failure.message})
    assert error is not None
    assert error.exit_code == 77
    assert aws.refused(StoreError("STS does not answer")).reason == "setup"


def test_what_a_container_is_told() -> None:
    assert container_variables(None) == {}
    [(name, path)] = container_variables(ROLE).items()
    assert name == AWS_PATH
    assert path != container_variables(ROLE)[AWS_PATH]
    assert set(container_variables(READER).values()) == {ADDRESS} == {access_server.ADDRESS}


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    found = AccountAccess({"cloud_access": READER, "endpoints": {}})
    token: Any = Renewed(lambda: ("planted", time.time() + 3600), 600)
    monkeypatch.setattr(found, "_token", token)
    server = access_server.AccessServer(found, ("127.0.0.1", 0))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_googles_own_library_takes_it_for_a_metadata_server(google: str) -> None:
    program = (
        "import google.auth\n"
        "from google.auth.transport.requests import Request\n"
        "credentials, _ = google.auth.default()\n"
        "credentials.refresh(Request())\n"
        "print(credentials.token, credentials.service_account_email)\n"
    )
    found = dict.fromkeys(container_variables(READER), google)
    nowhere = {"PATH": "", "HOME": "/nonexistent", "GOOGLE_CLOUD_PROJECT": "p"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**nowhere, **found},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["planted", READER], done.stderr


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 200),
        ("/computeMetadata/v1/instance/service-accounts/default/token", {}, 403),
        ("/computeMetadata/v1/instance/attributes/user-data", GOOGLE, 404),
        ("/computeMetadata/v1/instance/service-accounts/x/email", GOOGLE, 404),
    ],
)
def test_nothing_else_of_the_machine_is_shown(
    path: str, headers: dict[str, str], status: int
) -> None:
    access = AccountAccess({"cloud_access": READER, "endpoints": {}})
    assert access.answer(path, headers).status == status
