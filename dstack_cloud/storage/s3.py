"""S3: how to reach a bucket, in which region, with whose credentials."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dstack_cloud.errors import DstackError, InputError
from dstack_cloud.storage.aws_credentials import AwsCredentials
from dstack_cloud.storage.bucket import BucketStore, client_options, retries, split_url
from dstack_cloud.storage.failures import Advice, Failure, as_error

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import S3Config, S3Store

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_DEFAULT_REGION = "us-east-1"
_ADVICE = Advice(
    expired="renew them (`aws sso login`, or a new session token) and repeat the command",
    wrong="look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE",
    denied="it may belong to another account; else allow this action to your user or role",
)


class S3(BucketStore):
    """A `Store` in S3. ``region`` is the bucket's as far as known, exactly once it answered."""

    service: S3Service

    @property
    def bucket(self) -> str:
        return self.service.bucket

    @property
    def prefix(self) -> str:
        return self.service.prefix

    @property
    def region(self) -> str:
        return self.service.region

    @property
    def endpoint(self) -> str | None:
        """Where S3 is, if not where AWS has it."""
        return self.service.endpoint


def open_s3(
    url: str,
    *,
    region: str | None = None,
    profile: str | None = None,
    endpoint: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> S3:
    """The store at ``s3://NAME[/prefix]``. Nothing is sent before it is used.

    With a ``region``, a bucket elsewhere is an InputError; without, the environment's is tried
    and the bucket's own found out. ``endpoint`` None is the environment's ``AWS_ENDPOINT_URL_S3``
    or ``AWS_ENDPOINT_URL``, else AWS's own. ``profile`` goes before keys in the environment.
    """
    environ = os.environ if environ is None else environ
    bucket, prefix = parse_url(url)
    if endpoint is None:
        endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or None
    service = S3Service(
        bucket=bucket,
        prefix=prefix,
        region=region
        or environ.get("AWS_REGION")
        or environ.get("AWS_DEFAULT_REGION")
        or _DEFAULT_REGION,
        fixed_region=region is not None,
        endpoint=endpoint,
        credentials=AwsCredentials(environ, profile),
        authorities=environ.get("AWS_CA_BUNDLE"),
    )
    return S3(f"s3://{bucket}/{prefix}".rstrip("/"), service)


def parse_url(url: str) -> tuple[str, str]:
    """Bucket and prefix (without slashes at its ends) of ``s3://NAME[/prefix]``."""
    bucket, prefix = split_url(url, "s3")
    if not _BUCKET.fullmatch(bucket):
        raise InputError(
            f"'{url}' is not an S3 store",
            "write s3://NAME; a name has 3 to 63 lowercase letters, digits, dots and hyphens",
        )
    return bucket, prefix


class S3Service:
    """`dstack_cloud.storage.bucket.Service` for one bucket."""

    get_action = "s3:GetObject"
    put_action = "s3:PutObject"
    list_action = "s3:ListBucket"
    delete_action = "s3:DeleteObject"
    deletes_many = True

    def __init__(
        self,
        *,
        bucket: str,
        prefix: str,
        region: str,
        fixed_region: bool,
        endpoint: str | None,
        credentials: AwsCredentials,
        authorities: str | None,
    ) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.region = region
        self.fixed_region = fixed_region
        self.endpoint = endpoint
        self.credentials = credentials
        self.authorities = authorities
        self._clients: dict[bool, S3Store] = {}

    def client(self, *, bulk: bool = False) -> S3Store:
        if bulk not in self._clients:
            self._clients[bulk] = self._connect(bulk)
        return self._clients[bulk]

    def version(self, meta: Mapping[str, Any]) -> str:
        return meta["e_tag"] or ""

    def at_version(self, version: str) -> PutMode:
        return {"e_tag": version}

    def amend(self, failure: Failure) -> bool:
        if failure.misplaced and not self.fixed_region:
            region = failure.region or self._ask_region()
            if region is None or region == self.region:
                return False
            self.region = region
        elif not (failure.expired and self.credentials.renew()):
            return False
        self._clients = {}
        return True

    def error(self, failure: Failure, action: str) -> DstackError:
        if self.credentials.problem is not None:
            return self.credentials.problem
        where = self.endpoint or f"S3 in {self.region}"
        if failure.misplaced and failure.region is None:
            from dataclasses import replace

            failure = replace(failure, region=self._ask_region())
        return as_error(failure, bucket=self.bucket, action=action, where=where, advice=_ADVICE)

    def _connect(self, bulk: bool) -> S3Store:
        # The package first: it imports its own parts before it is whole, and a thread that finds
        # `obstore.store` there does not wait for the rest.
        import obstore  # noqa: F401
        from obstore.store import S3Store

        config: S3Config = {"region": self.region}
        if self.endpoint:
            # obstore reads the environment too, where this name goes before `endpoint`.
            config["aws_endpoint_url_s3"] = self.endpoint
        options = client_options(self.endpoint, bulk)
        if self.authorities:
            options["root_certificate"] = self._read_authorities(self.authorities)
        return S3Store(
            self.bucket,
            config=config,
            client_options=options,
            retry_config=retries(bulk),
            credential_provider=self.credentials,
        )

    def _read_authorities(self, file: str) -> bytes:
        try:
            with open(file, "rb") as stream:
                return stream.read()
        except OSError as error:
            raise InputError(f"AWS_CA_BUNDLE cannot be read: {error.strerror}", file=file) from None

    def _ask_region(self) -> str | None:
        """The bucket's region: S3 tells it in a header, to everyone and even when it refuses.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
        """
        import http.client

        parts = urlsplit(self.endpoint or f"https://s3.{self.region}.amazonaws.com")
        kind = http.client.HTTPConnection if parts.scheme == "http" else http.client.HTTPSConnection
        connection = kind(parts.netloc, timeout=5)
        try:
            connection.request("HEAD", f"{parts.path}/{self.bucket}")
            return connection.getresponse().getheader("x-amz-bucket-region")
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
