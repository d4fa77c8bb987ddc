"""What goes wrong on Google Cloud: said plainly, with the contract's exit code, nothing left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.emulated import Project
from support.gcp_server import Gcp

from dstack_cloud.clouds.base import FailureKind, Scope
from dstack_cloud.clouds.gcp.cloud import GcpCloud
from dstack_cloud.clouds.gcp.operations import NeverEnds
from dstack_cloud.errors import PermissionDeniedError

Make = Callable[..., Any]
BULK = "compute.regionInstances.bulkInsert"


def refused(project: Project, exit_code: int, *args: str) -> str:
    """The words of a run that came to nothing."""
    done = project.cli("run", "train", "--cloud", "gcp", "-y", *args)
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_run_that_goes_well(gcp: Gcp, repository: Project) -> None:
    """What the others are held against."""
    done = repository.cli("run", "train", "--cloud", "gcp", "-y")
    assert done.returncode == 0, done.stderr
    assert "terminated" in done.stderr


def test_no_credentials(repository: Project) -> None:
    words = refused(repository.but("GOOGLE_APPLICATION_CREDENTIALS", NO_GCE_CHECK="true"), 77)
    assert "gcloud auth application-default login" in words


def test_no_project(repository: Project, tmp_path: Path) -> None:
    key = json.loads(Path(repository.environ["GOOGLE_APPLICATION_CREDENTIALS"]).read_text())
    (tmp_path / "key.json").write_text(json.dumps({**key, "project_id": ""}))
    alone = repository.but(
        "CLOUDSDK_CORE_PROJECT",
        "GOOGLE_CLOUD_PROJECT",
        GOOGLE_APPLICATION_CREDENTIALS=str(tmp_path / "key.json"),
    ).configured(tmp_path / "other.yaml", gcp={"project": None})
    assert "gcp.project" in refused(alone, 2)


def test_an_api_that_is_disabled(gcp: Gcp, repository: Project) -> None:
    service = {"name": "compute.googleapis.com"}
    gcp.control("POST", "services", {**service, "enabled": False})
    try:
        words = refused(repository, 77)
    finally:
        gcp.control("POST", "services", {**service, "enabled": True})
    assert "gcloud services enable" in words


def test_a_token_that_has_expired(gcp: Gcp, repository: Project) -> None:
    gcp.control("POST", "faults", {"action": BULK, "error": "UNAUTHENTICATED", "times": None})
    assert "gcloud auth application-default login" in refused(repository, 77)


def test_a_zone_without_the_gpu(gcp: Gcp, repository: Project) -> None:
    words = refused(repository, 69, "--gpu", "H200")
    assert "H200" in words


def test_no_capacity_anywhere(gcp: Gcp, repository: Project) -> None:
    fault = {"action": BULK, "error": "ZONE_RESOURCE_POOL_EXHAUSTED", "times": None}
    gcp.control("POST", "faults", fault)
    words = refused(repository, 69)
    assert "us-central1-a n1-standard-1+1xT4 spot ZONE_RESOURCE_POOL_EXHAUSTED" in words


def test_a_policy_of_the_organization(gcp: Gcp, repository: Project) -> None:
    gcp.control("POST", "faults", {"action": BULK, "error": "ORG_POLICY", "times": None})
    words = refused(repository, 77)
    assert "constraints/compute.vmExternalIpAccess" in words


def test_a_bucket_of_another_project(gcp: Gcp, repository: Project, tmp_path: Path) -> None:
    gcp.control("POST", "foreign-buckets", {"name": "somebody-elses"})
    theirs = repository.configured(tmp_path / "other.yaml", gcp={"store": "gs://somebody-elses"})
    assert "somebody-elses" in refused(theirs, 77)
    done = theirs.cli(
        "init", "--cloud", "gcp", "--store", "gs://somebody-elses", "--region", "us-central1", "-y"
    )
    assert done.returncode == 77, done.stderr


def test_an_operation_that_never_ends(
    gcp: Gcp, cloud: Make, offer: Make, request_for: Make
) -> None:
    gcp.control("POST", "faults", {"action": BULK, "operation_s": 600})
    with pytest.raises(NeverEnds) as caught:
        cloud(operation_s=1).launch(request_for("endless", offer()))
    assert caught.value.exit_code == 75
    assert "did not end within 1 s" in caught.value.message


def test_all_gpus_are_used_up(gcp: Gcp, cloud: Make, offer: Make, request_for: Make) -> None:
    gcp.control("POST", "quota", {"metric": "GPUS_ALL_REGIONS", "value": 0})
    try:
        answer = cloud().launch(request_for("quota", offer()))
    finally:
        gcp.control("DELETE", "quota")
    assert answer.machine is None
    assert {(one.kind, one.scope) for one in answer.failures} == {
        (FailureKind.QUOTA, Scope.EVERYTHING)
    }


def test_no_permission_to_launch(gcp: Gcp, offer: Make, request_for: Make, cloud: Make) -> None:
    here: GcpCloud = cloud()
    gcp.control("POST", "faults", {"action": BULK, "error": "PERMISSION_DENIED", "times": None})
    with pytest.raises(PermissionDeniedError) as caught:
        here.launch(request_for("denied", offer()))
    assert "init --cloud gcp --member" in str(caught.value.hint)


def test_no_way_in_means_no_machine(gcp: Gcp, cloud: Make, offer: Make, request_for: Make) -> None:
    fault = {"action": "compute.firewalls.insert", "error": "PERMISSION_DENIED", "times": None}
    gcp.control("POST", "faults", fault)
    with pytest.raises(PermissionDeniedError):
        cloud().launch(request_for("closed", offer()))
