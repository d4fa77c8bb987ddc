"""Cloud Storage with the emulator's own callers, log, faults and policies around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto_fixtures.gcp.call import Call, GcpError
from moto_fixtures.gcp.emulator import Emulator
from moto_fixtures.gcp.gcs.app import GcsApp, Operation
from moto_fixtures.gcp.gcs.errors import GcsError
from moto_fixtures.gcp.gcs.request import Answer
from moto_fixtures.gcp.iam.principals import Caller
from moto_fixtures.gcp.project import NUMBER, PROJECT

SERVICE = "storage.googleapis.com"


class _Named:
    """A caller of whom the address is all that matters: the log's."""

    def __init__(self, email: str) -> None:
        self.email = email

    def may(self, permission: str, resource: str) -> bool:
        return False


def storage_app(emulator: Emulator) -> GcsApp:
    """The application of the second port."""

    def identify(authorization: str | None) -> Caller:
        try:
            return emulator.identify(authorization, SERVICE)
        except GcpError as error:
            raise GcsError(error.http, error.reason, error.message) from error

    def around(operation: Operation, execute: Callable[[], Answer]) -> Answer:
        principal = _Named(operation.principal) if operation.principal else None
        params = {key: str(value) for key, value in operation.parameters.items()}
        call = Call("", "", {}, None, {}, principal, operation.action, params, operation.peer)

        def run(_: Any) -> Answer:
            try:
                emulator.services.require(SERVICE)
                return execute()
            except GcsError as error:
                raise _Passed(error) from error

        answer: Answer = emulator.around(call, SERVICE, run, _Refusal)
        if isinstance(answer, _Refusal):
            # What is refused leaves as an exception: the application words it for its two APIs.
            error = answer.error
            if isinstance(error, _Passed):
                raise error.inner
            raise GcsError(error.http, error.reason, error.message)
        return answer

    app = GcsApp(identify, around, project=PROJECT, number=str(NUMBER))

    def bucket_policy(name: str) -> dict[str, Any] | None:
        try:
            bucket = app.service.objects.bucket(name)
        except GcsError:
            return None
        return bucket.policy if bucket.project in (PROJECT, str(NUMBER)) else None

    emulator.policies.bucket_policy = bucket_policy
    return app


class _Passed(GcpError):
    """An error of Cloud Storage on its way through the log."""

    def __init__(self, inner: GcsError) -> None:
        super().__init__(inner.http, inner.reason, str(inner))
        self.inner = inner


class _Refusal(Answer):
    """What stands for an error until it has been logged."""

    def __init__(self, error: GcpError) -> None:
        super().__init__(error.http)
        self.error = error
