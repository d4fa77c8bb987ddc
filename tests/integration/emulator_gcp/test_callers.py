"""Who calls, and what is refused to whom."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest
from google.auth import crypt, jwt
from support.emulated_gcp import HOME, PROJECT, SCOPE, ZONE, Gcp, Refused, bulk

LAUNCH = [
    "compute.instances.create",
    "compute.disks.create",
    "compute.subnetworks.use",
    "compute.subnetworks.useExternalIp",
    "compute.instances.setServiceAccount",
    "compute.regionOperations.get",
]
EMAIL = f"tests-machine@{PROJECT}.iam.gserviceaccount.com"


def granted(gcp: Gcp, asked: list[str], user: str) -> list[str]:
    path = f"/v1/projects/{PROJECT}:testIamPermissions"
    found = gcp.call("POST", path, {"permissions": asked}, user=user)
    return list(found.get("permissions", []))


def policy(gcp: Gcp) -> dict[str, Any]:
    options = {"options": {"requestedPolicyVersion": 3}}
    found: dict[str, Any] = gcp.call("POST", f"/v1/projects/{PROJECT}:getIamPolicy", options)
    return found


def test_a_user_may_what_is_granted_and_nothing_else(gcp: Gcp) -> None:
    gcp.user("tests-reader", permissions=["compute.instances.list"])
    gcp.call("GET", f"{HOME}/zones/{ZONE}/instances", user="tests-reader")
    with pytest.raises(Refused, match=r"Required 'compute\.firewalls\.list' permission") as caught:
        gcp.call("GET", f"{HOME}/global/firewalls", user="tests-reader")
    assert (caught.value.code, caught.value.reasons) == (403, ["forbidden"])
    asked = ["compute.instances.list", "compute.instances.delete"]
    assert granted(gcp, asked, "tests-reader") == ["compute.instances.list"]


@pytest.mark.parametrize("missing", LAUNCH[:4])
def test_a_launch_needs_each_of_its_permissions(gcp: Gcp, missing: str) -> None:
    gcp.user("tests-launcher", permissions=[p for p in LAUNCH if p != missing])
    with pytest.raises(Refused, match=missing):
        gcp.launch(bulk("may-1", "g2-standard-4"), user="tests-launcher")


def test_a_service_account_is_given_only_by_who_may_act_as_it(gcp: Gcp) -> None:
    gcp.user("tests-machine")
    gcp.user("tests-actor", permissions=LAUNCH)
    body = bulk("acts-1", "g2-standard-4", serviceAccounts=[{"email": EMAIL, "scopes": [SCOPE]}])
    with pytest.raises(Refused, match="does not have access to service account"):
        gcp.launch(body, user="tests-actor")
    path = f"/v1/projects/{PROJECT}/serviceAccounts/{EMAIL}:setIamPolicy"
    member = f"serviceAccount:tests-actor@{PROJECT}.iam.gserviceaccount.com"
    binding = {"role": "roles/iam.serviceAccountUser", "members": [member]}
    gcp.call("POST", path, {"policy": {"bindings": [binding]}})
    gcp.done(gcp.launch(body, user="tests-actor"), user="tests-actor")
    assert gcp.instances()[0]["serviceAccounts"][0]["email"] == EMAIL


def test_a_condition_on_the_name_holds_for_names_that_begin_so(gcp: Gcp) -> None:
    gcp.user("tests-deleter", permissions=[])
    member = f"serviceAccount:tests-deleter@{PROJECT}.iam.gserviceaccount.com"
    expression = 'resource.name.extract("/instances/{name}").startsWith("ours-")'
    binding = {
        "role": "roles/compute.instanceAdmin.v1",
        "members": [member],
        "condition": {"title": "ours", "expression": expression},
    }
    current = policy(gcp)
    wanted = {**current, "version": 3, "bindings": [*current["bindings"], binding]}
    gcp.call("POST", f"/v1/projects/{PROJECT}:setIamPolicy", {"policy": wanted})
    with pytest.raises(Refused) as stale:
        gcp.call("POST", f"/v1/projects/{PROJECT}:setIamPolicy", {"policy": wanted})
    assert stale.value.code == 409
    for name in ("ours-1", "others-1"):
        gcp.done(gcp.launch(bulk(name, "g2-standard-4")))
    path = f"{HOME}/zones/{ZONE}/instances"
    with pytest.raises(Refused, match=r"compute\.instances\.delete"):
        gcp.call("DELETE", f"{path}/others-1", user="tests-deleter")
    gcp.done(gcp.call("DELETE", f"{path}/ours-1", user="tests-deleter"))


def test_an_api_that_is_disabled_says_how_to_enable_it(gcp: Gcp) -> None:
    gcp.control("POST", "services", {"name": "compute.googleapis.com", "enabled": False})
    with pytest.raises(Refused, match="Enable it by visiting") as caught:
        gcp.call("GET", f"{HOME}/zones/{ZONE}/instances")
    assert (caught.value.code, caught.value.details) == (403, ["SERVICE_DISABLED"])
    gcp.call("POST", f"/v1/projects/{PROJECT}/services/compute.googleapis.com:enable", {})
    gcp.call("GET", f"{HOME}/zones/{ZONE}/instances")


def test_tokens_expire_with_the_clock_and_what_is_no_token_is_refused(gcp: Gcp) -> None:
    gcp.control("POST", "clock", {"advance_s": 3601})
    with pytest.raises(Refused) as caught:
        gcp.call("GET", f"{HOME}/zones/{ZONE}/instances")
    assert (caught.value.code, caught.value.details) == (401, ["ACCESS_TOKEN_EXPIRED"])
    gcp.control("DELETE", "clock")
    with pytest.raises(Refused):
        gcp.call("GET", f"{HOME}/zones/{ZONE}/instances", token="ya29.nobody-s")


def test_an_assertion_is_verified_to_the_last_word(gcp: Gcp) -> None:
    own = gcp.control("POST", "users", {"name": "tests-signer", "permissions": []})
    other = gcp.control("POST", "users", {"name": "tests-forger", "permissions": []})

    def ask(key: dict[str, Any], **claims: Any) -> str:
        now = int(time.time())
        said = {
            "iss": own["client_email"],
            "aud": own["token_uri"],
            "scope": SCOPE,
            "iat": now,
            "exp": now + 3600,
            **claims,
        }
        signer = crypt.RSASigner.from_string(key["private_key"], own["private_key_id"])
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": jwt.encode(signer, said).decode(),
        }
        data = urllib.parse.urlencode(form).encode()
        try:
            with urllib.request.urlopen(own["token_uri"], data, timeout=30) as answer:
                return str(json.load(answer)["token_type"])
        except urllib.error.HTTPError as error:
            return str(json.load(error)["error"])

    assert ask(own) == "Bearer"
    assert ask(other) == "invalid_grant"
    assert ask(own, aud="https://example.com/token") == "invalid_grant"
    assert ask(own, iat=1, exp=3601) == "invalid_grant"
    assert ask(own, scope="") == "invalid_scope"


def test_another_project_is_not_told_of(gcp: Gcp) -> None:
    with pytest.raises(Refused) as caught:
        gcp.call("GET", "/compute/v1/projects/somebody-elses/zones/us-central1-a/instances")
    assert caught.value.code == 403


def test_a_call_is_logged_without_what_its_metadata_holds(gcp: Gcp) -> None:
    items = [{"key": "user-data", "value": "#cloud-config\nsecret: x"}]
    gcp.done(gcp.launch(bulk("logged-1", "g2-standard-4", metadata={"items": items})))
    calls = gcp.control("GET", "calls")
    [call] = [one for one in calls if one["action"] == "compute.regionInstances.bulkInsert"]
    assert "secret" not in json.dumps(call)
    assert "compute.instances.setMetadata" in call["permissions"]
