"""From botocore's exceptions to errors of ours."""

from __future__ import annotations

import botocore.exceptions as boto
import pytest

from dstack_cloud import errors
from dstack_cloud.clouds.aws.errors import message_of, translated


def client_error(code: str, message: str = "words") -> boto.ClientError:
    return boto.ClientError({"Error": {"Code": code, "Message": message}}, "RunInstances")


CASES: list[tuple[Exception, type[errors.DstackError], str]] = [
    (boto.NoCredentialsError(), errors.CredentialsError, "aws configure"),
    (
        boto.PartialCredentialsError(provider="env", cred_var="X"),
        errors.CredentialsError,
        "aws configure",
    ),
    (boto.ProfileNotFound(profile="nope"), errors.CredentialsError, "list-profiles"),
    (boto.SSOTokenLoadError(error_msg="x"), errors.CredentialsError, "aws sso login"),
    (boto.UnauthorizedSSOTokenError(), errors.CredentialsError, "aws sso login"),
    (
        boto.TokenRetrievalError(provider="sso", error_msg="x"),
        errors.CredentialsError,
        "aws sso login",
    ),
    (boto.CredentialRetrievalError(provider="p", error_msg="x"), errors.CredentialsError, "~/.aws"),
    (boto.NoRegionError(), errors.InputError, "--region"),
    (boto.InvalidRegionError(region_name="a b"), errors.InputError, "--region"),
    (boto.EndpointConnectionError(endpoint_url="x"), errors.UnreachableError, "region"),
    (boto.ConnectTimeoutError(endpoint_url="x"), errors.UnreachableError, "network"),
    (boto.ReadTimeoutError(endpoint_url="x"), errors.UnreachableError, "network"),
    (boto.ConnectionClosedError(endpoint_url="x"), errors.UnreachableError, "network"),
    (client_error("ExpiredToken"), errors.CredentialsError, "aws sso login"),
    (client_error("RequestExpired"), errors.CredentialsError, "aws sso login"),
    (client_error("AuthFailure"), errors.CredentialsError, "region is enabled"),
    (client_error("UnauthorizedOperation"), errors.PermissionDeniedError, "run.json"),
    (client_error("OptInRequired"), errors.PermissionDeniedError, "enable the region"),
    (client_error("VcpuLimitExceeded"), errors.QuotaError, "check"),
    (client_error("RequestLimitExceeded"), errors.ThrottledError, ""),
    (client_error("InternalError"), errors.ThrottledError, ""),
    (client_error("InsufficientInstanceCapacity"), errors.NoCapacityError, ""),
    (client_error("InvalidAMIID.NotFound"), errors.InputError, "aws.image"),
    (
        client_error("InvalidParameterValue", "Invalid IAM Instance Profile name"),
        errors.InputError,
        "dstack-cloud init",
    ),
    (boto.ParamValidationError(report="x"), errors.InternalError, ""),
]


@pytest.mark.parametrize(
    ("raised", "expected", "hint"),
    CASES,
    ids=[
        error.response["Error"]["Code"]
        if isinstance(error, boto.ClientError)
        else type(error).__name__
        for error, _, _ in CASES
    ],
)
def test_each_becomes_ours(
    raised: Exception, expected: type[errors.DstackError], hint: str
) -> None:
    with pytest.raises(errors.DstackError) as caught, translated("launching", "us-east-1"):
        raise raised
    assert type(caught.value) is expected
    assert hint in (caught.value.hint or "")


def test_ours_pass_unchanged() -> None:
    original = errors.InputError("mine")
    with pytest.raises(errors.InputError) as caught, translated("launching"):
        raise original
    assert caught.value is original


def test_a_bug_is_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError), translated("launching"):
        _ = 1 // 0


def test_the_encoded_part_of_a_denial_is_left_out() -> None:
    error = client_error("UnauthorizedOperation", "No. Encoded authorization failure message: Zm9v")
    assert message_of(error) == "No"


def test_the_message_says_what_where_and_why() -> None:
    with pytest.raises(errors.DstackError) as caught, translated("launching", "eu-west-1"):
        raise client_error("UnauthorizedOperation", "not you")
    message = "launching in eu-west-1 failed: UnauthorizedOperation: not you"
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("RequestTimeTooSkewed", "The difference between the request time and now is too large."),
        ("SignatureDoesNotMatch", "Signature expired: 20260101T000000Z is now earlier than …"),
        ("InvalidSignatureException", "Signature not yet current: 20270101T000000Z is later …"),
    ],
)
def test_a_wrong_clock_is_told_as_one(code: str, message: str) -> None:
    with pytest.raises(errors.CredentialsError) as caught, translated("asking"):
        raise client_error(code, message)
    assert "clock is wrong" in (caught.value.hint or "")
