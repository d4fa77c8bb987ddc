"""On Google Cloud: images by the machine's account, and a container with an account of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.auth.transport.requests import AuthorizedSession
from google.oauth2 import service_account
from support.emulated import Emulator, Project

PROJECT = "dstack-cloud-demo"
READER = f"data-reader@{PROJECT}.iam.gserviceaccount.com"
MACHINES = f"dstack-cloud-machine@{PROJECT}.iam.gserviceaccount.com"
WORKFLOWS = f"""
    workflows:
      - name: reads
        provider: python
        image: us-central1-docker.pkg.dev/{PROJECT}/team/dstackai/miniconda:3.11
        file: read.py
        environment: [STORAGE_EMULATOR_HOST]
        cloud_access: {READER}
        resources: {{gpu: T4}}
"""
READ = """
import json, os, urllib.request

def get(url, **headers):
    headers = {key.replace("_", "-"): value for key, value in headers.items()}
    request = urllib.request.Request(url, headers=headers)
    return urllib.request.urlopen(request, timeout=10).read().decode()

server = f"http://{os.environ['GCE_METADATA_HOST']}/computeMetadata/v1/"
account = server + "instance/service-accounts/default/"
print(get(account + "email", Metadata_Flavor="Google"))
token = json.loads(get(account + "token", Metadata_Flavor="Google"))["access_token"]
home = os.environ["STORAGE_EMULATOR_HOST"] + "/storage/v1/b/data-of-others/o/answer?alt=media"
print(get(home, Authorization=f"Bearer {token}"))
for url in (account + "token", server.replace("170.2", "169.254") + "instance/id"):
    try:
        print("answered", get(url))
    except OSError as error:
        print("refused")
"""


def session(info: dict[str, Any]) -> AuthorizedSession:
    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
    made = service_account.Credentials.from_service_account_info(info, scopes=scopes)
    return AuthorizedSession(made)


@pytest.fixture
def data(emulator: Emulator) -> None:
    """A bucket beside the store, and an account that may read it."""
    may = ["storage.buckets.create", "storage.objects.create", "storage.objects.get"]
    owner = session(emulator.post("/_emulator/users", {"name": "data-reader", "permissions": may}))
    storage = emulator.environ["STORAGE_EMULATOR_HOST"]
    made = owner.post(
        f"{storage}/storage/v1/b", params={"project": PROJECT}, json={"name": "data-of-others"}
    )
    assert made.ok, made.text
    put = owner.post(
        f"{storage}/upload/storage/v1/b/data-of-others/o",
        params={"uploadType": "media", "name": "answer"},
        data=b"forty-two",
    )
    assert put.ok, put.text


@pytest.mark.parametrize("emulator", ["gcp"], indirect=True)
@pytest.mark.usefixtures("data")
def test_an_account_of_the_users_choice(emulator: Emulator, project: Project) -> None:
    project.workflows(WORKFLOWS)
    (project.folder / "read.py").write_text(READ)
    emulator.post("/_emulator/services", {"name": "iamcredentials.googleapis.com", "enabled": True})
    refused = project.cli("run", "reads", "-y", "--json")
    found = json.loads(refused.stdout)
    assert (refused.returncode, found["kind"]) == (77, "permission"), refused.stderr
    assert f"the machine may not act as {READER}" in found["error"]["message"]
    assert MACHINES in found["error"]["hint"]

    admin = session(emulator.get("/_emulator/keys")["dstack-admin"])
    binding = {
        "role": "roles/iam.serviceAccountTokenCreator",
        "members": [f"serviceAccount:{MACHINES}"],
    }
    api = emulator.environ["CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM"]
    path = f"{api}v1/projects/{PROJECT}/serviceAccounts/{READER}:setIamPolicy"
    allowed = admin.post(path, json={"policy": {"bindings": [binding]}})
    assert allowed.ok, allowed.text
    done = project.cli("run", "reads", "-y")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [READER, "forty-two", "refused", "refused"]
    assert emulator.machines() == []
