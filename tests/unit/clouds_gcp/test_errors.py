"""From Google's exceptions to ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.auth import exceptions as auth

from dstack_cloud.clouds.gcp.errors import code_of, message_of, translated
from dstack_cloud.errors import (
    CredentialsError,
    DstackError,
    InputError,
    PermissionDeniedError,
    QuotaError,
    ThrottledError,
    UnreachableError,
)


def refused(status: int, reason: str, message: str, *details: dict[str, Any]) -> Exception:
    """What the REST transport raises for Google's error JSON."""
    answer = requests.Response()
    answer.status_code = status
    answer.request = requests.Request("POST", "https://compute.googleapis.com/x").prepare()
    error = {
        "code": status,
        "message": message,
        "errors": [{"message": message, "domain": "usageLimits", "reason": reason}],
        "details": list(details),
    }
    answer._content = json.dumps({"error": error}).encode()
    found: Exception = exceptions.from_http_response(answer)
    return found


def info(reason: str) -> dict[str, Any]:
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    return {"@type": kind, "reason": reason, "domain": "googleapis.com", "metadata": {}}


DISABLED = refused(
    403, "accessNotConfigured", "Compute Engine API has not been used.", info("SERVICE_DISABLED")
)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refused(403, "forbidden", "Required 'compute.instances.create' permission"), "permission"),
        (DISABLED, "permission"),
        (refused(403, "quotaExceeded", "Quota 'CPUS' exceeded"), "quota"),
        (refused(403, "rateLimitExceeded", "Rate Limit Exceeded"), "throttled"),
        (refused(401, "authError", "Invalid Credentials"), "credentials"),
        (refused(404, "notFound", "The resource 'projects/p' was not found"), "input"),
        (refused(400, "invalid", "Invalid value"), "input"),
        (refused(412, "conditionNotMet", "Constraint constraints/x violated"), "permission"),
        (refused(503, "backendError", "Backend Error"), "throttled"),
        (auth.DefaultCredentialsError("Your default credentials were not found."), "credentials"),
        (auth.RefreshError("invalid_grant: Token has been expired", {}), "credentials"),
        (auth.RefreshError("try later", {}, retryable=True), "unreachable"),
        (auth.TransportError("no route"), "unreachable"),
        (requests.ConnectionError("refused"), "unreachable"),
    ],
)
def test_kinds(error: Exception, kind: str) -> None:
    with pytest.raises(DstackError) as caught, translated("launching", "us-central1"):
        raise error
    assert caught.value.kind == kind
    assert "Traceback" not in caught.value.message


def test_what_to_do_and_googles_own_words() -> None:
    with pytest.raises(PermissionDeniedError) as caught, translated("launching", "us-central1"):
        raise DISABLED
    assert "gcloud services enable" in str(caught.value.hint)
    assert caught.value.message == (
        "launching in us-central1 failed: SERVICE_DISABLED: Compute Engine API has not been used"
    )
    assert code_of(DISABLED) == "SERVICE_DISABLED"
    assert message_of(DISABLED) == "Compute Engine API has not been used"


def test_others_errors_are_not_hidden() -> None:
    with pytest.raises(KeyError), translated("launching"):
        raise KeyError("a bug of ours")
    with pytest.raises(InputError), translated("launching"):
        raise InputError("ours already")


def test_the_kinds_have_their_exit_codes() -> None:
    for kind, code in ((CredentialsError, 77), (QuotaError, 77), (ThrottledError, 75)):
        assert kind.exit_code == code
    assert UnreachableError.exit_code == 75
