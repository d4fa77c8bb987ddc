"""moto: its environment, its WSGI application, its models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

# Read by moto as it is imported: set before the first import of any of its modules.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
os.environ.setdefault("MOTO_DISABLE_GLOBAL_CORS", "true")

ACCOUNT = "123456789012"
WARM_SERVICES: tuple[Any, ...] = ("ec2", "s3", "iam", "sts", "ssm", "secretsmanager", "scheduler")


def ec2(region: str) -> Any:
    """moto's EC2 model of a region."""
    from moto.ec2.models import ec2_backends

    return ec2_backends[ACCOUNT][region]


def iam() -> Any:
    """moto's IAM model."""
    from moto.iam.models import iam_backends

    return iam_backends[ACCOUNT]["aws"]


def sts() -> Any:
    """moto's STS model."""
    from moto.sts.models import sts_backends

    return sts_backends[ACCOUNT]["aws"]


def s3() -> Any:
    """moto's S3 model."""
    from moto.s3.models import s3_backends

    return s3_backends[ACCOUNT]["aws"]


class MotoApp:
    """moto as a function from a WSGI request to its answer."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self._app = DomainDispatcherApplication(create_backend_app)
        self._create = create_backend_app

    def warm(self, regions: Iterable[str]) -> None:
        """Build what the first call of each service would otherwise build."""
        for service in WARM_SERVICES:
            self._app.app_instances[service] = self._create(service)
        for region in regions:
            ec2(region)

    def __call__(self, environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
        got: dict[str, Any] = {}

        def start_response(
            status: str, headers: list[tuple[str, str]], *_: object
        ) -> Callable[[bytes], object]:
            got.update(status=int(status.split(" ", 1)[0]), headers=headers)
            return lambda data: None

        chunks = self._app(environ, start_response)
        try:
            body = b"".join(chunks)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        return got["status"], got["headers"], body
