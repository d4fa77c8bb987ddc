"""Google Cloud Storage: how to reach a bucket, with whose credentials."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dstack_cloud.errors import DstackError, InputError
from dstack_cloud.google_sign_in import LOGIN, SignIn
from dstack_cloud.storage.bucket import BucketStore, client_options, retries, split_url
from dstack_cloud.storage.failures import Advice, Failure, as_error

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import GCSConfig, GCSCredential, GCSStore

# https://cloud.google.com/storage/docs/buckets#naming
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
# obstore asks again when less than five minutes are left; google-auth then answers from memory
# unless its own token is about to expire.
_ASK_AGAIN = timedelta(minutes=6)
_ADVICE = Advice(
    expired=LOGIN,
    wrong=LOGIN,
    denied="it may belong to another project; else grant this on it: the role "
    "roles/storage.objectUser has it",
    disabled="enable it: gcloud services enable storage.googleapis.com",
)


class Gcs(BucketStore):
    """A `Store` in Google Cloud Storage; a version is an object's generation."""

    service: GcsService

    @property
    def bucket(self) -> str:
        return self.service.bucket

    @property
    def prefix(self) -> str:
        return self.service.prefix

    @property
    def endpoint(self) -> str | None:
        """Where it is, if not where Google has it."""
        return self.service.endpoint


def open_gcs(
    url: str, *, endpoint: str | None = None, environ: Mapping[str, str] | None = None
) -> Gcs:
    """The store at ``gs://NAME[/prefix]``. Nothing is sent, and no credentials are looked for,
    before it is used.

    ``endpoint`` None is the environment's ``STORAGE_EMULATOR_HOST``, else Google's own.
    """
    environ = os.environ if environ is None else environ
    bucket, prefix = parse_url(url)
    endpoint = endpoint or environ.get("STORAGE_EMULATOR_HOST") or None
    if endpoint and "://" not in endpoint:
        # As Google's own clients read it.
        endpoint = f"http://{endpoint}"
    service = GcsService(bucket, prefix, endpoint and endpoint.rstrip("/"))
    return Gcs(f"gs://{bucket}/{prefix}".rstrip("/"), service)


def parse_url(url: str) -> tuple[str, str]:
    """Bucket and prefix (without slashes at its ends) of ``gs://NAME[/prefix]``."""
    bucket, prefix = split_url(url, "gs")
    if not _BUCKET.fullmatch(bucket):
        raise InputError(
            f"'{url}' is not a store in Google Cloud Storage",
            "write gs://NAME; a name has 3 to 63 lowercase letters, digits, dots, hyphens and "
            "underscores",
        )
    return bucket, prefix


class GcsService:
    """`dstack_cloud.storage.bucket.Service` for one bucket."""

    get_action = "storage.objects.get"
    put_action = "storage.objects.create"
    list_action = "storage.objects.list"
    delete_action = "storage.objects.delete"
    deletes_many = False

    def __init__(self, bucket: str, prefix: str, endpoint: str | None) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.endpoint = endpoint
        self._sign_in = SignIn()
        self._problem: DstackError | None = None
        self._clients: dict[bool, GCSStore] = {}

    def client(self, *, bulk: bool = False) -> GCSStore:
        if bulk not in self._clients:
            self._clients[bulk] = self._connect(bulk)
        return self._clients[bulk]

    def version(self, meta: Mapping[str, Any]) -> str:
        return meta["version"] or ""

    def at_version(self, version: str) -> PutMode:
        # 0 would mean "is not there", and what is no number is refused. No object's is 1.
        is_one = version.isdecimal() and int(version) > 0
        return {"version": version if is_one else "1"}

    def amend(self, failure: Failure) -> bool:
        if failure.status != 401 or not self._sign_in.renew():
            return False
        self._clients = {}
        return True

    def error(self, failure: Failure, action: str) -> DstackError:
        if self._problem is not None:
            return self._problem
        where = self.endpoint or "storage.googleapis.com"
        return as_error(failure, bucket=self.bucket, action=action, where=where, advice=_ADVICE)

    def _credential(self) -> GCSCredential:
        try:
            token = self._sign_in.token()
        except DstackError as error:
            self._problem = error
            raise
        self._problem = None
        return {"token": token, "expires_at": datetime.now(UTC) + _ASK_AGAIN}

    def _connect(self, bulk: bool) -> GCSStore:
        # The package first: see `dstack_cloud.storage.s3`.
        import obstore  # noqa: F401
        from obstore.store import GCSStore

        config: GCSConfig = {}
        if self.endpoint:
            config["base_url"] = self.endpoint
        return GCSStore(
            self.bucket,
            config=config,
            client_options=client_options(self.endpoint, bulk),
            retry_config=retries(bulk),
            credential_provider=self._credential,
        )
