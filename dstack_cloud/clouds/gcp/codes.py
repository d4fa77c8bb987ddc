"""What each error code of Google Cloud means for us: kind, scope, and for how long.

Three vocabularies meet here: codes of operations (``ZONE_RESOURCE_POOL_EXHAUSTED``), reasons of
refused calls (``quotaExceeded``), and reasons of ``google.rpc.ErrorInfo`` (``SERVICE_DISABLED``).
Sources: "Troubleshooting resource availability errors", "Troubleshooting VM creation" and "Handle
API errors" (docs.cloud.google.com/compute/docs/troubleshooting, …/docs/api/errors), "Error reasons"
(github.com/googleapis/googleapis, google/api/error_reason.proto).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dstack_cloud.clouds.base import FailureKind, Scope
from dstack_cloud.google_sign_in import LOGIN

_HOUR = 3600
_DAY = 24 * _HOUR

ROLES = (
    "dstack-cloud init --cloud gcp --member user:YOU, run by an administrator, grants what run "
    "needs (the roles are in dstack_cloud/clouds/gcp/policies)"
)


@dataclass(frozen=True)
class Meaning:
    """``retry_after`` is in seconds; ``hint`` says what to do where the kind alone does not.
    ``any_market``: it holds for spot and on demand alike, whichever was asked for."""

    kind: FailureKind
    scope: Scope
    retry_after: int = 300
    hint: str | None = None
    any_market: bool = False


# Spot and on demand have capacity, prices and quotas of their own; a door that is shut is shut.
_OF_A_MARKET = (FailureKind.CAPACITY, FailureKind.PRICE, FailureKind.QUOTA)


def _rows(
    kind: FailureKind,
    scope: Scope,
    retry_after: int,
    codes: str,
    hint: str | None = None,
    any_market: bool | None = None,
) -> dict[str, Meaning]:
    if any_market is None:
        any_market = kind not in _OF_A_MARKET
    return dict.fromkeys(codes.split(), Meaning(kind, scope, retry_after, hint, any_market))


_K, _S = FailureKind, Scope
_QUOTA_HINT = "dstack-cloud check --cloud gcp shows the quotas and how to raise them"

CODES: dict[str, Meaning] = {
    # Nobody has a machine of this kind in this zone now.
    **_rows(
        _K.CAPACITY,
        _S.ZONE,
        300,
        "ZONE_RESOURCE_POOL_EXHAUSTED ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS "
        "STOCKOUT RESOURCE_POOL_EXHAUSTED zoneResourcePoolExhausted",
    ),
    **_rows(
        _K.CAPACITY,
        _S.REGION,
        300,
        "REGION_RESOURCE_POOL_EXHAUSTED VM_MIN_COUNT_NOT_REACHED",
    ),
    # The type, or the GPU with it, is not to be had in this zone at all.
    **_rows(
        _K.CAPACITY,
        _S.OFFER,
        _DAY,
        "UNSUPPORTED_OPERATION MACHINE_TYPE_NOT_FOUND ACCELERATOR_TYPE_NOT_FOUND "
        "INCOMPATIBLE_MACHINE_TYPE",
    ),
    **_rows(
        _K.CAPACITY,
        _S.REGION,
        600,
        "IP_SPACE_EXHAUSTED IP_SPACE_EXHAUSTED_WITH_DETAILS",
        "the subnetwork has no free address: name a larger one in gcp.subnetwork",
        any_market=True,
    ),
    **_rows(
        _K.QUOTA,
        _S.REGION,
        _HOUR,
        "QUOTA_EXCEEDED quotaExceeded LIMIT_EXCEEDED limitExceeded",
        _QUOTA_HINT,
    ),
    **_rows(
        _K.PERMISSION,
        _S.EVERYTHING,
        _HOUR,
        "PERMISSIONS_ERROR PERMISSION_DENIED forbidden IAM_PERMISSION_DENIED "
        "insufficientPermissions ACCESS_TOKEN_SCOPE_INSUFFICIENT 403",
        ROLES,
    ),
    **_rows(
        _K.PERMISSION,
        _S.EVERYTHING,
        _HOUR,
        "SERVICE_DISABLED accessNotConfigured",
        "gcloud services enable compute.googleapis.com (and what dstack-cloud check --cloud gcp "
        "names), then wait some minutes",
    ),
    **_rows(
        _K.PERMISSION,
        _S.EVERYTHING,
        _HOUR,
        "BILLING_DISABLED billingNotEnabled",
        "link a billing account to the project: gcloud billing projects link",
    ),
    **_rows(
        _K.PERMISSION,
        _S.EVERYTHING,
        _DAY,
        "USER_PROJECT_DENIED CONSUMER_INVALID CONSUMER_SUSPENDED projectSuspended accountDisabled",
        "look at the setting gcp.project, and whether the project is active",
    ),
    # A policy of the organization: most hold for a place or a property, not for all.
    **_rows(
        _K.PERMISSION,
        _S.REGION,
        _HOUR,
        "CONDITION_NOT_MET conditionNotMet ORG_POLICY_VIOLATION orgPolicyViolated "
        "LOCATION_POLICY_VIOLATED LOCATION_ORG_POLICY_VIOLATED RESOURCE_USAGE_RESTRICTION_VIOLATED "
        "SECURITY_POLICY_VIOLATED",
        "a policy of the organization forbids it: use another --region, change the setting that "
        "it names (gcp.public_ip, gcp.image), or ask its administrator",
    ),
    **_rows(
        _K.CREDENTIALS,
        _S.EVERYTHING,
        _HOUR,
        "required authError ACCESS_TOKEN_EXPIRED ACCESS_TOKEN_TYPE_UNSUPPORTED "
        "CREDENTIALS_MISSING UNAUTHENTICATED ACCOUNT_STATE_INVALID 401",
        LOGIN,
    ),
    **_rows(
        _K.CONFIGURATION,
        _S.REGION,
        _HOUR,
        "RESOURCE_NOT_FOUND notFound 404",
        "look at the settings gcp.project, gcp.network, gcp.subnetwork and gcp.image; dstack-cloud "
        "init --cloud gcp makes the machines' service account",
    ),
    **_rows(
        _K.CONFIGURATION,
        _S.OFFER,
        _HOUR,
        "INVALID_USAGE INVALID_FIELD_VALUE INVALID_ARGUMENT invalid invalidParameter badRequest "
        "RESOURCE_ALREADY_EXISTS alreadyExists resourceInUseByAnotherResource "
        "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE 400 409",
    ),
    **_rows(
        _K.THROTTLED,
        _S.REGION,
        30,
        "RATE_LIMIT_EXCEEDED rateLimitExceeded userRateLimitExceeded "
        "RESOURCE_OPERATION_RATE_EXCEEDED CONCURRENT_OPERATIONS_QUOTA_EXCEEDED 429",
    ),
    # A fault on the other side: passing, like a throttle.
    **_rows(
        _K.THROTTLED,
        _S.REGION,
        60,
        "INTERNAL_ERROR internalError backendError SERVICE_UNAVAILABLE serviceUnavailable "
        "RESOURCE_NOT_READY resourceNotReady OPERATION_CANCELED_BY_USER OPERATION_TIMED_OUT "
        "500 502 503 504",
    ),
}
"""Every code that we know. Codes that are not in it are told with Google's own words."""

EVERYWHERE = ("GPUS_ALL_REGIONS", "CPUS_ALL_REGIONS")
"""Quotas of the whole project: no other region can help."""
_SHARED = ("ADDRESSES", "DISKS", "SSD", "INSTANCES", "FIREWALLS", "NETWORK")
WRAPPER = "VM_MIN_COUNT_NOT_REACHED"
"""Says only that what the other errors tell of has kept the machine from being made."""
_UNKNOWN = Meaning(FailureKind.CONFIGURATION, Scope.OFFER, 300)
_RAISED = (FailureKind.PERMISSION, FailureKind.CREDENTIALS, FailureKind.CONFIGURATION)


def known(code: str) -> Meaning | None:
    """The meaning of a code, or None."""
    return CODES.get(code)


def meaning(code: str, message: str = "", metric: str = "", spot: bool = False) -> Meaning:
    """What a failed launch means. ``metric`` is the quota's, where the error names one; ``spot``
    is the market that was asked for."""
    found = known(code) or _UNKNOWN
    if found.kind is not FailureKind.QUOTA:
        return found
    words = f"{message} {metric}".upper()
    if any(name in words for name in EVERYWHERE):
        return replace(found, scope=Scope.EVERYTHING, any_market=True)
    return replace(found, any_market=_of_any_market(words, spot))


def _of_any_market(words: str, spot: bool) -> bool:
    """Whether a quota binds spot and on demand alike.

    A preemptible quota binds spot alone. Where a project has none, spot draws on the standard one
    (docs.cloud.google.com/compute/resource-usage, "Preemptible quotas"): what is too little for
    spot there is too little on demand. Addresses and disks have one quota for both.
    """
    if "PREEMPTIBLE" in words:
        return False
    if "CPUS" in words or "GPUS" in words:
        return spot
    return any(name in words for name in _SHARED)


def fails_at_once(code: str) -> bool:
    """Whether no other offer can help: the whole project's doors are shut.

    What holds for one region or offer only (an organization's policy, a type that does not take
    what is asked of it) leaves the others to be tried.
    """
    found = known(code)
    if found is None or found.kind not in _RAISED:
        return False
    configured = found.kind is FailureKind.CONFIGURATION and found.scope is not Scope.OFFER
    return configured or found.scope is Scope.EVERYTHING
