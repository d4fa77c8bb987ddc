"""What each error code of AWS means for us: kind, scope, and for how long.

Sources: "Error codes for the Amazon EC2 API"
(docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html), "Troubleshoot instance
launch issues" (docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html), the
"Common errors" page of each service's API reference, and "List of Amazon S3 error codes"
(docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
"""

from __future__ import annotations

from dataclasses import dataclass

from dstack_cloud.clouds.base import FailureKind, Scope

_HOUR = 3600
_DAY = 24 * _HOUR


WRONG_CLOCK = "this machine's clock is wrong: set it (timedatectl set-ntp true) and try again"


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

CODES: dict[str, Meaning] = {
    # Nobody has a machine of this type in this zone now.
    **_rows(
        _K.CAPACITY,
        _S.OFFER,
        300,
        "InsufficientInstanceCapacity InsufficientCapacity InsufficientHostCapacity "
        "InsufficientReservedInstanceCapacity InsufficientCapacityOnHost UnfulfillableCapacity "
        "ReservationCapacityExceeded",
    ),
    # The type is not to be had in this zone at all.
    **_rows(_K.CAPACITY, _S.OFFER, _DAY, "Unsupported InvalidFleetConfiguration"),
    **_rows(
        _K.CAPACITY,
        _S.ZONE,
        600,
        "InsufficientFreeAddressesInSubnet InsufficientAddressCapacity",
        "the subnet has no free address: name a larger one in aws.subnets",
        any_market=True,
    ),
    **_rows(
        _K.PRICE,
        _S.OFFER,
        600,
        "SpotMaxPriceTooLow",
        "the spot price is above --max-price: raise it, or leave it out",
    ),
    **_rows(
        _K.QUOTA,
        _S.OFFER,
        _HOUR,
        "VcpuLimitExceeded InstanceLimitExceeded MaxSpotInstanceCountExceeded "
        "InvalidInstanceType.QuotaExceeded",
        "dstack-cloud check shows the vCPU quotas and how to raise them",
    ),
    **_rows(
        _K.QUOTA,
        _S.REGION,
        _HOUR,
        "MaxFleetCountExceeded VolumeLimitExceeded MaxIOPSLimitExceeded "
        "NetworkInterfaceLimitExceeded AddressLimitExceeded SecurityGroupLimitExceeded "
        "LaunchTemplateLimitExceeded ResourceLimitExceeded",
        "ask for more in the Service Quotas console, or let dstack-cloud gc clear what is left",
        any_market=True,
    ),
    **_rows(
        _K.QUOTA,
        _S.REGION,
        _HOUR,
        "RulesPerSecurityGroupLimitExceeded",
        "dstack-cloud gc removes the SSH rules of former addresses",
        any_market=True,
    ),
    **_rows(
        _K.PERMISSION,
        _S.REGION,
        _HOUR,
        "PendingVerification",
        "AWS is still validating the account for this region: it may take four hours",
    ),
    **_rows(
        _K.PERMISSION,
        _S.REGION,
        _DAY,
        "OptInRequired",
        "enable the region in the AWS account settings, or use another --region",
    ),
    **_rows(
        _K.PERMISSION,
        _S.CLOUD,
        _DAY,
        "Blocked",
        "AWS has blocked the account: its support centre tells why",
    ),
    **_rows(
        _K.PERMISSION,
        _S.CLOUD,
        _HOUR,
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
        "an administrator has to run dstack-cloud init once (it makes the role "
        "AWSServiceRoleForEC2Spot), or use --on-demand",
        any_market=False,
    ),
    **_rows(
        _K.PERMISSION,
        _S.CLOUD,
        _HOUR,
        "UnauthorizedOperation AccessDenied AccessDeniedException "
        "UnauthorizedAccess NotAuthorized AllAccessDisabled 403",
        "the policy in dstack_cloud/clouds/aws/policies/run.json names what run needs, "
        "init.json what init needs",
    ),
    **_rows(
        _K.CREDENTIALS,
        _S.CLOUD,
        _HOUR,
        "InvalidClientTokenId UnrecognizedClientException InvalidAccessKeyId "
        "SignatureDoesNotMatch InvalidSignatureException IncompleteSignature "
        "MissingAuthenticationToken MissingAuthenticationTokenException InvalidToken "
        "InvalidSecurity",
        "check the access key of the profile: aws sts get-caller-identity",
    ),
    **_rows(
        _K.CREDENTIALS,
        _S.CLOUD,
        _HOUR,
        "AuthFailure",
        "check the access key (aws sts get-caller-identity), and that the region is enabled in "
        "the account",
    ),
    **_rows(
        _K.CREDENTIALS,
        _S.CLOUD,
        _HOUR,
        "ExpiredToken ExpiredTokenException RequestExpired TokenRefreshRequired "
        "InvalidSecurity.RequestHasExpired",
        "sign in again: aws sso login (with --profile NAME for a profile), or renew the session; "
        "if it is fresh, look at this machine's clock",
    ),
    **_rows(
        _K.CREDENTIALS,
        _S.CLOUD,
        _HOUR,
        "RequestTimeTooSkewed RequestInTheFuture InvalidSecurity.RequestTimeTooSkewed",
        WRONG_CLOCK,
    ),
    **_rows(
        _K.CONFIGURATION,
        _S.REGION,
        _HOUR,
        "InvalidAMIID.NotFound InvalidAMIID.Malformed InvalidAMIID.Unavailable",
        "the setting aws.image names an image that this region does not have: leave it out, or "
        "give the name of an SSM parameter",
    ),
    **_rows(
        _K.CONFIGURATION,
        _S.REGION,
        _HOUR,
        "InvalidSubnetID.NotFound InvalidSubnet InvalidSubnet.Conflict MissingInput",
        "look at the setting aws.subnets",
    ),
    **_rows(
        _K.CONFIGURATION,
        _S.REGION,
        _HOUR,
        "InvalidGroup.NotFound InvalidGroupId.Malformed InvalidSecurityGroupID.NotFound",
        "run dstack-cloud init, or look at the setting aws.security_groups",
    ),
    **_rows(
        _K.CONFIGURATION,
        _S.CLOUD,
        _HOUR,
        "InvalidIamInstanceProfileArn.NotFound InvalidIamInstanceProfileArn.Malformed",
        "run dstack-cloud init: it makes the role of the machines",
    ),
    **_rows(
        _K.CONFIGURATION,
        _S.REGION,
        _HOUR,
        "VPCIdNotSpecified DefaultVpcDoesNotExist",
        "name subnets in the setting aws.subnets, or make a default VPC: aws ec2 "
        "create-default-vpc",
    ),
    **_rows(
        _K.CONFIGURATION,
        _S.OFFER,
        _HOUR,
        "InvalidParameterValue InvalidParameterCombination InvalidParameter MissingParameter "
        "InvalidBlockDeviceMapping UnsupportedOperation InvalidRequest ValidationException "
        "IdempotentParameterMismatch InvalidBucketName IllegalLocationConstraintException",
    ),
    **_rows(
        _K.THROTTLED,
        _S.REGION,
        30,
        "RequestLimitExceeded Throttling ThrottlingException ThrottledException "
        "RequestThrottled RequestThrottledException EC2ThrottledException TooManyRequests "
        "TooManyRequestsException SlowDown BandwidthLimitExceeded PriorRequestNotComplete",
    ),
    # A fault on the other side: passing, like a throttle.
    **_rows(
        _K.THROTTLED,
        _S.REGION,
        60,
        "InternalError InternalFailure InternalServerError ServerInternal ServiceUnavailable "
        "ServiceUnavailableException Unavailable RequestTimeout 500 502 503 504",
    ),
}
"""Every code that we know. Codes that are not in it are told with AWS's own words."""

_UNKNOWN = Meaning(FailureKind.CONFIGURATION, Scope.OFFER, 300)
_RAISED = (FailureKind.PERMISSION, FailureKind.CREDENTIALS, FailureKind.CONFIGURATION)


def known(code: str) -> Meaning | None:
    """The meaning of a code, with or without a leading ``Server.`` or ``Client.``; or None."""
    bare = code.removeprefix("Server.").removeprefix("Client.")
    return CODES.get(bare)


def meaning(code: str, message: str = "") -> Meaning:
    """What a failed launch means.

    A denial by a service control policy may hold for one region only, so it rules out no more.
    """
    found = known(code) or _UNKNOWN
    if found.kind is FailureKind.PERMISSION and by_organization(message):
        return Meaning(
            found.kind,
            Scope.REGION,
            found.retry_after,
            "the organization's policy (SCP) forbids it here: use another --region, or ask its "
            "administrator",
            any_market=True,
        )
    return found


def by_organization(message: str) -> bool:
    """Whether a denial's message names a policy of the organization.

    "…with an explicit deny in a service control policy"
    (docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html).
    """
    return "service control policy" in message or "resource control policy" in message


def fails_at_once(code: str, message: str = "") -> bool:
    """Whether no other offer can help: the region's or the whole cloud's doors are shut.

    A failure that holds for one region only (an organization's policy, a region that is not
    enabled) leaves the others to be tried.
    """
    found = known(code)
    if found is None or found.kind not in _RAISED:
        return False
    regional = code in ("OptInRequired", "PendingVerification") or (
        found.kind is FailureKind.PERMISSION and by_organization(message)
    )
    return not regional
