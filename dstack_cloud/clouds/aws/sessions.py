"""One boto3 session and its clients: every call to AWS starts here.

Profiles, SSO, assumed roles and ``AWS_ENDPOINT_URL`` are boto3's own business, so that what works
in the user's shell works here.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from dstack_cloud.clouds.aws.errors import translated
from dstack_cloud.clouds.aws.models import lean, lean_loader

_CONNECT_S = 5
# CreateFleet answers only when it has tried its pools.
_READ_S = 60
_ATTEMPTS = 4


@dataclass(frozen=True)
class Identity:
    """Who calls: 12-digit account, ARN, and the partition that the ARN names (``aws``, …)."""

    account: str
    arn: str

    @property
    def partition(self) -> str:
        return self.arn.split(":")[1]


class Sessions:
    """The clients of one profile, made once each; safe to use from several threads."""

    def __init__(self, profile: str | None = None) -> None:
        self._profile = profile
        self._lock = threading.Lock()
        self._session: Any = None
        self._loader: Any = None
        self._clients: dict[tuple[str, str | None, int], Any] = {}
        self._identity: Identity | None = None

    def session(self) -> Any:
        """The ``boto3.Session``. CredentialsError when there is no such profile."""
        with self._lock:
            return self._open()

    def _open(self) -> Any:
        if self._session is None:
            import boto3
            import botocore.session

            with translated("opening the AWS profile"):
                core = botocore.session.get_session()
                self._loader = lean_loader(core)
                core.register_component("data_loader", self._loader)
                self._session = boto3.Session(botocore_session=core, profile_name=self._profile)
        return self._session

    def regions(self) -> list[str]:
        """Every region that botocore's data names, of all partitions."""
        session = self.session()
        return [
            region
            for partition in session.get_available_partitions()
            for region in session.get_available_regions("ec2", partition)
        ]

    def client(self, service: str, region: str | None = None, attempts: int = _ATTEMPTS) -> Any:
        """The client of a service in a region.

        ``attempts`` 1 is for calls whose failures must not be repeated: botocore takes the HTTP
        500 of an InsufficientInstanceCapacity for a passing fault.
        """
        key = (service, region, attempts)
        with self._lock:
            if key not in self._clients:
                from botocore.config import Config

                config = Config(
                    connect_timeout=_CONNECT_S,
                    read_timeout=_READ_S,
                    retries={"mode": "standard", "total_max_attempts": attempts},
                    max_pool_connections=16,
                    user_agent_extra="dstack-cloud",
                )
                session = self._open()
                with translated(f"connecting to {service}", region):
                    lean(self._loader, service)
                    self._clients[key] = session.client(service, region_name=region, config=config)
            return self._clients[key]

    def ec2(self, region: str, attempts: int = _ATTEMPTS) -> Any:
        """The EC2 client of a region."""
        return self.client("ec2", region, attempts)

    def identity(self, region: str) -> Identity:
        """Who calls; asked once. CredentialsError when AWS does not know the caller."""
        if self._identity is None:
            client = self.client("sts", region)
            with translated("asking who is calling", region):
                answer = client.get_caller_identity()
            self._identity = Identity(answer["Account"], answer["Arn"])
        return self._identity
