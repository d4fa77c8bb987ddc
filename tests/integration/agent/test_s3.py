"""What only an agent on AWS does: the machine's role, and EC2 for the end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from dstack_cloud.machine.agent.credentials import CredentialSource
from dstack_cloud.machine.agent.ec2 import terminate
from dstack_cloud.machine.agent.errors import StoreError

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def ec2(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for key, value in KEYS.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    return boto3.client(
        "ec2",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def test_a_machine_terminates_itself(ec2: Any, endpoint: str) -> None:
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
