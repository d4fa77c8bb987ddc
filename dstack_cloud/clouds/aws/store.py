"""The store's bucket, as `init` makes it and `check` looks at it."""

from __future__ import annotations

import re
from typing import Any

from dstack_cloud.clouds.aws.errors import code_of, translated
from dstack_cloud.errors import InputError, PermissionDeniedError

# docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ABORT_AFTER_DAYS = 7
_LIFECYCLE_RULE = {
    "ID": "dstack-cloud-abort-incomplete-uploads",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _ABORT_AFTER_DAYS},
}
_BLOCKED = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
_ENCRYPTED = {
    "Rules": [
        {
            "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
            "BucketKeyEnabled": False,
        }
    ]
}
_TAKEN = "choose another name for --store: names of buckets are shared by all of AWS"


def parse(store_url: str) -> tuple[str, str]:
    """(bucket, prefix without slashes at its ends) of ``s3://NAME[/PREFIX]``."""
    bucket, _, prefix = store_url.removeprefix("s3://").partition("/")
    if not store_url.startswith("s3://") or not bucket:
        raise InputError(f"'{store_url}' is not an AWS store", "write --store s3://NAME")
    if not _NAME.fullmatch(bucket):
        raise InputError(
            f"'{bucket}' cannot be the name of a bucket",
            "3 to 63 of lowercase letters, digits, dots and hyphens",
        )
    return bucket, prefix.strip("/")


def make_bucket(s3: Any, bucket: str, region: str, account: str) -> str:
    """See to it that the bucket is there and is the account's; says which.

    Raises PermissionDeniedError for a bucket that belongs to another account.
    """
    from botocore.exceptions import ClientError

    with translated(f"looking at the bucket {bucket}", region):
        try:
            answer = s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
        except ClientError as error:
            if code_of(error) == "403":
                raise PermissionDeniedError(
                    f"the bucket {bucket} belongs to another account, or yours may not look at it",
                    _TAKEN,
                ) from error
            if code_of(error) not in ("404", "NoSuchBucket"):
                raise
        else:
            headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            place = answer.get("BucketRegion") or headers.get("x-amz-bucket-region") or region
            if place != region:
                raise InputError(
                    f"the bucket {bucket} is in {place}, not in {region}",
                    f"name {place} first: --region {place}, or choose another bucket",
                )
            return "was there"
    _create(s3, bucket, region)
    return "made"


def _create(s3: Any, bucket: str, region: str) -> None:
    from botocore.exceptions import ClientError

    parameters: dict[str, Any] = {"Bucket": bucket}
    # us-east-1 is S3's default and may not be named (API_CreateBucket, LocationConstraint).
    if region != "us-east-1":
        parameters["CreateBucketConfiguration"] = {"LocationConstraint": region}
    with translated(f"making the bucket {bucket}", region):
        try:
            s3.create_bucket(**parameters)
        except ClientError as error:
            if code_of(error) == "BucketAlreadyExists":
                raise PermissionDeniedError(
                    f"the bucket {bucket} belongs to another account", _TAKEN
                ) from error
            if code_of(error) != "BucketAlreadyOwnedByYou":
                raise


def protect_bucket(s3: Any, bucket: str, region: str) -> str:
    """Block public access, encrypt, and clear uploads that never ended; says what was set.

    What the owner of a bucket has configured stays as it is: only what is absent is added.
    """
    done = []
    with translated(f"protecting the bucket {bucket}", region):
        if _absent(
            lambda: s3.get_public_access_block(Bucket=bucket),
            "NoSuchPublicAccessBlockConfiguration",
        ):
            s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=_BLOCKED)
            done.append("public access blocked")
        if _absent(
            lambda: s3.get_bucket_encryption(Bucket=bucket),
            "ServerSideEncryptionConfigurationNotFoundError",
        ):
            s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=_ENCRYPTED)
            done.append("encrypted")
        rules = _lifecycle_rules(s3, bucket)
        if not any("AbortIncompleteMultipartUpload" in rule for rule in rules):
            # Setting the rules replaces them all, so those that are there go along.
            s3.put_bucket_lifecycle_configuration(
                Bucket=bucket, LifecycleConfiguration={"Rules": [*rules, _LIFECYCLE_RULE]}
            )
            done.append(f"unfinished uploads cleared after {_ABORT_AFTER_DAYS} days")
    return ", ".join(done) or "was set"


def _absent(call: Any, code: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        call()
    except ClientError as error:
        if code_of(error) == code:
            return True
        raise
    return False


def _lifecycle_rules(s3: Any, bucket: str) -> list[dict[str, Any]]:
    from botocore.exceptions import ClientError

    try:
        answer = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    except ClientError as error:
        if code_of(error) == "NoSuchLifecycleConfiguration":
            return []
        raise
    return list(answer.get("Rules", ()))
