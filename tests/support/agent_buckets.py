"""The buckets that an agent's tests look into, whatever the cloud: moto's S3, and the emulated
Google Cloud Storage with a metadata server that gives tokens for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from support.gcs_server import PROJECT, TOKEN, Gcs, serving
from support.google_tokens import giving

from dstack_cloud.machine.agent.gcs import GcsStore
from dstack_cloud.machine.agent.google_metadata import GoogleMetadata
from dstack_cloud.machine.agent.s3 import S3Store
from dstack_cloud.machine.agent.store import Store

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
REGION = "us-east-1"


class Bucket(Protocol):
    """``environment`` is what an agent needs to be let in; ``url`` and ``endpoint`` where it is."""

    url: str
    endpoint: str
    environment: dict[str, str]

    def objects(self) -> dict[str, bytes]: ...

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, data: bytes) -> None: ...

    def make(self) -> None: ...

    def delete(self) -> None:
        """The bucket itself, whatever an agent goes on writing to it meanwhile."""
        ...

    def agents(self, url: str) -> Store:
        """The agent's own store there, in this process."""
        ...


class S3Bucket:
    def __init__(self, name: str, endpoint: str) -> None:
        import boto3
        from botocore.config import Config

        self.name = name
        self.url = f"s3://{name}"
        self.endpoint = endpoint
        self.environment = dict(KEYS)
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(s3={"addressing_style": "path"}),
        )

    def objects(self) -> dict[str, bytes]:
        rows = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {row["Key"]: self.get(row["Key"]) or b"" for row in rows}

    def get(self, key: str) -> bytes | None:
        try:
            data: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None
        return data

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def make(self) -> None:
        self.client.create_bucket(Bucket=self.name)

    def delete(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            for row in self.client.list_objects_v2(Bucket=self.name).get("Contents", []):
                self.client.delete_object(Bucket=self.name, Key=row["Key"])
            try:
                self.client.delete_bucket(Bucket=self.name)
                return
            except self.client.exceptions.ClientError as error:
                code = error.response["Error"]["Code"]
                if code != "BucketNotEmpty" or time.monotonic() > deadline:
                    raise

    def agents(self, url: str) -> Store:
        return S3Store(url, REGION, self.endpoint)


class GcsBucket:
    def __init__(self, name: str, gcs: Gcs, metadata_host: str) -> None:
        self.name = name
        self.url = f"gs://{name}"
        self.endpoint = gcs.url
        self.environment = {"GCE_METADATA_HOST": metadata_host}
        self.gcs = gcs

    def objects(self) -> dict[str, bytes]:
        return {one.name: one.data for one in self.gcs.objects.names(self.name)}

    def get(self, key: str) -> bytes | None:
        found = self.gcs.objects.find(self.name, key)
        return None if found is None else found.data

    def put(self, key: str, data: bytes) -> None:
        self.gcs.objects.put(self.name, key, data)

    def make(self) -> None:
        self.gcs.objects.make_bucket(self.name, PROJECT, {"location": "US"})

    def delete(self) -> None:
        self.gcs.objects.empty(self.name)

    def agents(self, url: str) -> Store:
        return GcsStore(url, self.endpoint, GoogleMetadata())


Factory = Callable[[str], Bucket]


@contextmanager
def s3_buckets() -> Iterator[Factory]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield lambda name: S3Bucket(name, f"http://{host}:{port}")
    finally:
        server.stop()


@contextmanager
def gcs_buckets() -> Iterator[Factory]:
    with serving() as gcs, giving(TOKEN) as tokens:
        yield lambda name: GcsBucket(name, gcs, tokens.host)
