"""Secrets in Secret Manager: kept, found, refused in words; nobody else's are touched."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from google.api_core import exceptions
from support.emulated import Project
from support.gcp_server import PROJECT, Gcp

from dstack_cloud.clouds.gcp import secrets
from dstack_cloud.clouds.gcp.cloud import GcpCloud
from dstack_cloud.clouds.gcp.secrets import GcpSecrets
from dstack_cloud.clouds.gcp.sessions import Sessions
from dstack_cloud.clouds.gcp.settings import Settings
from dstack_cloud.errors import PermissionDeniedError, ThrottledError

HOME = f"v1/projects/{PROJECT}/secrets"
API = "secretmanager.googleapis.com"
USES = """
    workflows:
      - name: uses
        provider: docker
        image: ubuntu
        environment: {TOKEN: "${{ secrets.ABSENT }}"}
        commands: [env]
"""


@pytest.fixture
def kept(cloud: Callable[..., GcpCloud]) -> GcpSecrets:
    """As the daily user."""
    found = GcpSecrets(cloud().sessions, "europe-west4", "Ada@host", "gs://a/B")
    for one in found.listing():
        found.delete(one.name)
    return found


@pytest.fixture
def owner(gcp: Gcp) -> Sessions:
    """Somebody who may do everything in the project."""
    gcp.control("POST", "users", {"name": "secrets-owner", "roles": ["roles/owner"]})
    environ = gcp.environment("secrets-owner")
    with pytest.MonkeyPatch.context() as patch:
        for key, value in environ.items():
            patch.setenv(key, value)
        found = Sessions(Settings(project=PROJECT, environ=environ))
        found.caller()
    return found


def test_kept_changed_listed_and_deleted(kept: GcpSecrets, gcp: Gcp) -> None:
    assert kept.listing() == []
    kept.set("B", "one")
    kept.set("A", "\u20ac\nline two\n")
    kept.set("B", "two")
    assert kept.values(["A", "B", "C"]) == {"A": "\u20ac\nline two\n", "B": "two"}
    listed = kept.listing()
    assert [one.name for one in listed] == ["A", "B"]
    assert all(one.created_at.endswith("Z") and one.changed_at.endswith("Z") for one in listed)
    assert listed[1].changed_at > listed[1].created_at
    kept.delete("B")
    kept.delete("B")
    assert kept.values(["B"]) == {}
    assert [one.name for one in kept.listing()] == ["A"]
    kept.set("B", "three")
    assert kept.values(["B"]) == {"B": "three"}
    log = json.dumps(gcp.calls())
    for value in ("three", "line two"):
        assert value not in log
        assert base64.b64encode(value.encode()).decode() not in log


def test_whose_it_is_and_where(kept: GcpSecrets, cloud: Callable[..., GcpCloud]) -> None:
    kept.set("A", "x")
    found = cloud().sessions.call("secretmanager", "GET", HOME, filter="name:dstack-cloud-A")
    [one] = found["secrets"]
    assert one["replication"] == {"userManaged": {"replicas": [{"location": "europe-west4"}]}}
    assert set(one["labels"]) == {"dstack-cloud", "dstack-cloud-store"}
    assert one["labels"]["dstack-cloud"].startswith("ada-host-")


def test_what_was_replaced_is_destroyed_and_the_last_of_many_stays(
    kept: GcpSecrets, cloud: Callable[..., GcpCloud]
) -> None:
    kept.set("A", "0")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: kept.set("A", str(n)), range(1, 9)))
    versions = kept._listed("/dstack-cloud-A/versions", "versions")
    numbers = {secrets.last(one["name"]): one["state"] for one in versions}
    assert {number for number, state in numbers.items() if state == "ENABLED"} == {"9"}
    assert kept.values(["A"])["A"] in set("12345678")


def test_more_than_a_page(kept: GcpSecrets) -> None:
    names = [f"N{number:02}" for number in range(21)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: kept.set(name, "x"), names))
    assert [one.name for one in kept.listing()] == names


def test_only_ours_are_seen_and_touched(
    kept: GcpSecrets, owner: Sessions, cloud: Callable[..., GcpCloud]
) -> None:
    body = {"replication": {"automatic": {}}}
    theirs = "theirs-dstack-cloud-A"
    owner.call("secretmanager", "POST", HOME, body, secretId=theirs)
    data = {"payload": {"data": base64.b64encode(b"planted").decode()}}
    owner.call("secretmanager", "POST", f"{HOME}/{theirs}:addVersion", data)
    kept.set("A", "x")
    assert [one.name for one in kept.listing()] == ["A"]
    daily = cloud().sessions
    for method, path in (
        ("GET", f"{theirs}/versions/latest:access"),
        ("POST", f"{theirs}:addVersion"),
        ("DELETE", theirs),
    ):
        with pytest.raises(exceptions.Forbidden, match="denied on resource"):
            daily.call("secretmanager", method, f"{HOME}/{path}")
    assert kept.usable() == "1 kept"
    owner.call("secretmanager", "DELETE", f"{HOME}/{theirs}")


def test_one_that_somebody_has_shut_or_never_filled(kept: GcpSecrets, owner: Sessions) -> None:
    kept.set("A", "x")
    latest = f"{HOME}/dstack-cloud-A/versions/1"
    owner.call("secretmanager", "POST", f"{latest}:disable", {})
    body = {"replication": {"automatic": {}}}
    owner.call("secretmanager", "POST", HOME, body, secretId="dstack-cloud-B")
    owner.call("secretmanager", "POST", HOME, body, secretId="dstack-cloud-C")
    binary = {"payload": {"data": base64.b64encode(b"\xff\xfe").decode()}}
    owner.call("secretmanager", "POST", f"{HOME}/dstack-cloud-C:addVersion", binary)
    assert kept.values(["A", "B", "C"]) == {}
    assert [one.name for one in kept.listing()] == ["C"]
    for name in "ABC":
        kept.set(name, "y")
    assert kept.values(["A", "B", "C"]) == dict.fromkeys("ABC", "y")


def test_what_passes_is_tried_again(
    kept: GcpSecrets, gcp: Gcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "_PAUSE_S", 0.0)
    kept.set("A", "x")
    access = "secretmanager.projects.secrets.versions.access"
    gcp.control("POST", "faults", {"action": access, "error": "backendError", "times": 2})
    assert kept.values(["A"]) == {"A": "x"}
    too_many = {"action": access, "http": 429, "error": "rateLimitExceeded", "times": 4}
    gcp.control("POST", "faults", too_many)
    with pytest.raises(ThrottledError, match="Quota exceeded"):
        kept.values(["A"])
    # Executed, and the answer is lost: the version that was added twice leaves one value.
    add = "secretmanager.projects.secrets.addVersion"
    gcp.control("POST", "faults", {"action": add, "error": "backendError", "when": "after"})
    kept.set("A", "y")
    assert kept.values(["A"]) == {"A": "y"}


def test_without_the_right(gcp: Gcp, kept: GcpSecrets, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.set("A", "x")
    for key, value in gcp.user("lister", ["secretmanager.secrets.list"]).items():
        monkeypatch.setenv(key, value)
    other = GcpSecrets(Sessions(Settings(project=PROJECT)), "us-central1", "eve", "gs://b")
    with pytest.raises(PermissionDeniedError, match=r"versions\.access.*denied"):
        other.values(["A"])
    with pytest.raises(PermissionDeniedError, match=r"missing on dstack-cloud-A: .*versions.add"):
        other.usable()


def test_refusals_in_words(gcp: Gcp, repository: Project) -> None:
    def said(code: int, *argv: str) -> str:
        done = repository.cli("secrets", *argv, stdin="planted\n")
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert "planted" not in done.stdout + done.stderr
        return done.stderr

    gcp.control("POST", "services", {"name": API, "enabled": False})
    try:
        words = said(77, "set", "A")
        found = repository.cli("check", "--cloud", "gcp")
    finally:
        gcp.control("POST", "services", {"name": API, "enabled": True})
    assert f"gcloud services enable {API}" in words
    assert f"{API} is not enabled" in found.stdout + found.stderr
    gcp.control(
        "POST", "faults", {"action": f"{API.split('.')[0]}.*", "error": "PERMISSION_DENIED"}
    )
    assert "--member user:YOU" in said(77, "list")
    repository.workflows(USES)
    missing = repository.cli("run", "uses", "-y")
    assert missing.returncode == 64
    assert (
        ".dstack/workflows.yaml:6:26: the secret 'ABSENT' does not exist on gcp" in missing.stderr
    )
    assert "dstack-cloud secrets set ABSENT --cloud gcp" in missing.stderr


def test_by_command(gcp: Gcp, repository: Project) -> None:
    for value in ("former", "planted\n"):
        assert repository.cli("secrets", "set", "BY_HAND", stdin=value).returncode == 0
    listed = repository.json("secrets", "list", "--cloud", "gcp")["secrets"]
    assert [(one["secret"], one["cloud"]) for one in listed if one["secret"] == "BY_HAND"] == [
        ("BY_HAND", "gcp")
    ]
    assert repository.cli("secrets", "delete", "BY_HAND").returncode == 2, "nobody said yes"
    assert repository.cli("secrets", "delete", "BY_HAND", "-y").returncode == 0
    assert repository.cli("secrets", "delete", "BY_HAND", "-y").returncode == 64
    assert "planted" not in json.dumps(gcp.calls())
