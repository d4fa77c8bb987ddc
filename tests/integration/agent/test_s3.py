"""The same life with moto's S3 as the store, rclone for the artifacts, and EC2 for the end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from dstack_cloud.machine.agent.credentials import CredentialSource
from dstack_cloud.machine.agent.ec2 import terminate
from dstack_cloud.machine.agent.errors import StoreError
from dstack_cloud.machine.agent.s3 import S3Store
from dstack_cloud.machine.job import ArtifactSpec, StoreAccess

if TYPE_CHECKING:
    from conftest import Host

BUCKET = "runs-of-a-test"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def _client(service: str, endpoint: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(s3={"addressing_style": "path"}),
    )


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for key, value in KEYS.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    client = _client("s3", endpoint)
    client.create_bucket(Bucket=BUCKET)
    yield client
    for row in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=row["Key"])
    client.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def remote(host: Host, endpoint: str, s3: Any) -> Host:
    """A host whose attempt uses the bucket, below a prefix."""
    store = StoreAccess(f"s3://{BUCKET}/team/a", "us-east-1", endpoint)
    host.job = replace(host.job, store=store)
    host.environment.update(KEYS)
    return host


def _objects(s3: Any) -> dict[str, bytes]:
    rows = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {row["Key"]: s3.get_object(Bucket=BUCKET, Key=row["Key"])["Body"].read() for row in rows}


def test_a_whole_attempt(remote: Host, s3: Any) -> None:
    odd = "output/sp ace/ünicode+%25.txt"
    remote.start(
        "mkdir -p 'output/sp ace'",
        f"echo odd > '{odd}'",
        "ls /dev/null > output/list",
        "echo said",
        "sh -c 'exit 7'",
        artifacts=[ArtifactSpec("output"), ArtifactSpec("none")],
    )
    follower = remote.follow()
    follower.rest()
    end = follower.end
    assert end is not None
    assert (end["state"], end["exit_code"]) == ("failed", 7)
    assert [(a["path"], a["files"], a["stored"]) for a in end["artifacts"]] == [
        ("output", 2, True),
        ("none", 0, True),
    ]
    found = _objects(s3)
    run = "team/a/runs/train-7/attempts/1/"
    assert found[f"team/a/artifacts/train-7/{odd}"] == b"odd\n"
    assert found["team/a/artifacts/train-7/output/list"] == b"/dev/null\n"
    assert found[run + "log/" + "0" * 20] == follower.log
    assert json.loads(found[run + "end.json"]) == end
    assert [key for key in found if "/index/" in key] == ["team/a/index/failed/train-7"]


def test_a_stop_comes_through_the_bucket(remote: Host, s3: Any) -> None:
    remote.start("echo up; while true; do sleep 0.2; done")
    follower = remote.follow()
    follower.until(lambda: b"up" in follower.log)
    body = json.dumps({"abort": False}).encode()
    s3.put_object(Bucket=BUCKET, Key="team/a/runs/train-7/stop.json", Body=body)
    follower.rest()
    assert follower.end is not None
    assert follower.end["state"] == "stopped"


def _remove_bucket(s3: Any) -> None:
    """The agent goes on writing meanwhile: a bucket that has filled again is emptied again."""
    deadline = time.monotonic() + 30
    while True:
        for key in _objects(s3):
            s3.delete_object(Bucket=BUCKET, Key=key)
        try:
            s3.delete_bucket(Bucket=BUCKET)
            return
        except s3.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "BucketNotEmpty" or time.monotonic() > deadline:
                raise


def test_artifacts_that_s3_refuses(remote: Host, s3: Any, endpoint: str) -> None:
    remote.start(
        "mkdir output; while ! test -e go; do sleep 0.05; done; echo x > output/x",
        artifacts=[ArtifactSpec("output")],
    )
    follower = remote.follow()
    follower.until(lambda: any(s["phase"] == "running" for s in follower.statuses))
    # From here on the store itself says no, as it does when a role lost its permission.
    _remove_bucket(s3)
    (remote.root / "workflow" / "go").touch()
    follower.rest()
    s3.create_bucket(Bucket=BUCKET)
    assert follower.end is not None
    (artifact,) = follower.end["artifacts"]
    assert not artifact["stored"]
    assert "does not exist" in artifact["error"]


def test_the_store(s3: Any, endpoint: str) -> None:
    store = S3Store(f"s3://{BUCKET}/a b", "us-east-1", endpoint)
    assert store.get("runs/x") is None
    assert store.create("runs/x", b"one")
    assert not store.create("runs/x", b"two")
    # The same words again: the answer to the first request may have been lost.
    assert store.create("runs/x", b"one")
    assert store.get("runs/x") == b"one"
    store.put("runs/x", b"three")
    assert store.get("runs/x") == b"three"
    assert _objects(s3) == {"a b/runs/x": b"three"}
    store.delete("runs/x")
    store.delete("runs/x")
    assert store.get("runs/x") is None


def test_a_listing_of_several_pages(s3: Any, endpoint: str) -> None:
    store = S3Store(f"s3://{BUCKET}", "us-east-1", endpoint)
    # A thousand keys are one page.
    for number in range(1005):
        s3.put_object(Bucket=BUCKET, Key=f"log/{number:05d}&<", Body=b"12")
    listed = store.list("log/")
    assert [row.key for row in listed] == [f"log/{number:05d}&<" for number in range(1005)]
    assert {row.size for row in listed} == {2}
    for row in listed:
        store.delete(row.key)
    assert store.list("log/") == []


def test_a_bucket_that_is_not_there_is_no_passing_trouble(s3: Any, endpoint: str) -> None:
    store = S3Store("s3://nobodys-bucket-at-all", "us-east-1", endpoint)
    for ask in (lambda: store.put("x", b""), lambda: store.get("x"), lambda: store.list("x")):
        with pytest.raises(StoreError) as caught:
            ask()
        assert not caught.value.passing


def test_a_machine_terminates_itself(s3: Any, endpoint: str) -> None:
    ec2 = _client("ec2", endpoint)
    image = ec2.describe_images()["Images"][0]["ImageId"]
    machine = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]
    job = {
        "region": "us-east-1",
        "machine": machine["InstanceId"],
        "endpoints": {"ec2": endpoint},
    }
    terminate(job)
    found = ec2.describe_instances(InstanceIds=[machine["InstanceId"]])
    assert found["Reservations"][0]["Instances"][0]["State"]["Name"] == "terminated"
    with pytest.raises(StoreError, match="InvalidInstanceID"):
        terminate({**job, "machine": "i-0123456789abcdef0"})


class _Metadata(BaseHTTPRequestHandler):
    """The instance metadata service, version 2, with one role."""

    tokens = 0
    expires = "2099-01-01T00:00:00Z"
    asked = 0

    def do_PUT(self) -> None:
        type(self).tokens += 1
        assert self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self._say(200, "the-token")

    def do_GET(self) -> None:
        base = "/latest/meta-data/iam/security-credentials/"
        if self.headers["X-aws-ec2-metadata-token"] != "the-token":
            self._say(401, "")
        elif self.path == base:
            self._say(200, "a-role\n")
        elif self.path == base + "a-role":
            type(self).asked += 1
            self._say(
                200,
                json.dumps(
                    {
                        "AccessKeyId": f"key-{self.asked}",
                        "SecretAccessKey": "secret",
                        "Token": "session",
                        "Expiration": self.expires,
                    }
                ),
            )
        else:
            self._say(404, "")

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Metadata]]:
    handler = type("Metadata", (_Metadata,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)
    address = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", address)
    yield handler
    server.shutdown()
    server.server_close()


def test_the_role_of_the_machine(metadata: type[_Metadata]) -> None:
    source = CredentialSource()
    got = source.get()
    assert (got.key, got.secret, got.token) == ("key-1", "secret", "session")
    assert source.get() == got
    assert metadata.asked == 1


def test_a_role_that_expires_is_asked_again(metadata: type[_Metadata]) -> None:
    metadata.expires = "2020-01-01T00:00:00Z"
    source = CredentialSource()
    assert source.get().key == "key-1"
    assert source.get().key == "key-2"


def test_a_machine_without_a_role(metadata: type[_Metadata]) -> None:
    metadata.do_PUT = lambda self: self._say(403, "")  # type: ignore[method-assign]
    metadata.do_GET = lambda self: self._say(404, "")  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="no credentials"):
        CredentialSource().get()
