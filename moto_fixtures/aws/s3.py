"""S3 where moto answers what the real one would not: other people's buckets, hidden keys."""

from __future__ import annotations

from dataclasses import replace

from moto_fixtures.aws.answer import Answer, AwsError
from moto_fixtures.aws.backends import ACCOUNT
from moto_fixtures.aws.iam.policy import Needed
from moto_fixtures.aws.request import Request

_NO_VERSION = [("x-amz-version-id", "null"), ("x-amz-version-id", "None")]
STRANGER = "999999999999"
"""The account that other people's buckets belong to."""


def _bucket(name: str | None) -> tuple[str | None, bool]:
    """The owner of a bucket, and whether there is one of that name anywhere."""
    from moto.s3.models import s3_backends

    for account in (ACCOUNT, STRANGER):
        if name in s3_backends[account]["aws"].buckets:
            return account, True
    return None, False


def create_foreign_bucket(name: str) -> None:
    """A bucket that another account took first."""
    from moto.s3.models import s3_backends

    s3_backends[STRANGER]["aws"].create_bucket(name, "us-east-1")


def answer(request: Request) -> Answer:
    """Every call of S3: whose bucket it is comes before what is in it."""
    call = request.call
    name = call.params.get("Bucket")
    owner, exists = _bucket(name)
    if exists and owner != ACCOUNT:
        if call.action == "CreateBucket":
            raise AwsError(
                "BucketAlreadyExists",
                "The requested bucket name is not available. The bucket namespace is shared by "
                "all users of the system. Please select a different name and try again.",
            )
        raise AwsError("AccessDenied", "Access Denied")
    expected = call.header("x-amz-expected-bucket-owner")
    if exists and expected not in (None, owner):
        raise AwsError("AccessDenied", "Access Denied")
    answer = request.to_moto()
    if call.action in ("GetObject", "HeadObject") and answer.status == 404 and exists:
        # Who may not list must not learn by asking that a key is not there.
        # docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, "Permissions"
        listing = Needed("s3:ListBucket", f"arn:aws:s3:::{name}")
        if request.emulator.authority.decision(request, listing) != "allow":
            raise AwsError("AccessDenied", "Access Denied")
    # moto names the version "null" where a bucket has none, and then does not know it.
    kept = [pair for pair in answer.headers if pair not in _NO_VERSION]
    return replace(answer, headers=kept)
