"""The emulated Cloud Storage as a WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from moto_fixtures.gcp.gcs import json_api, xml_api
from moto_fixtures.gcp.gcs.errors import GcsError, invalid
from moto_fixtures.gcp.gcs.objects import Objects
from moto_fixtures.gcp.gcs.request import Answer, Principal, Request, read_request
from moto_fixtures.gcp.gcs.service import Call, Service


@dataclass
class Operation:
    """One call as a log and a fault see it. ``action`` is the JSON API's method, whichever API was
    used; ``principal`` None when nobody was recognised."""

    action: str
    parameters: dict[str, Any]
    principal: str | None
    peer: str


Around = Callable[[Operation, Callable[[], Answer]], Answer]


class GcsApp:
    """``identify`` takes the Authorization header and raises GcsError(401).

    ``around`` executes a call, by calling what it is given, and may raise GcsError before or after
    that: the place for a log, for faults and for holds.
    """

    def __init__(
        self,
        identify: Callable[[str | None], Principal],
        around: Around = lambda operation, execute: execute(),
        *,
        project: str = "dstack-cloud-demo",
        number: str = "123456789012",
        objects: Objects | None = None,
    ) -> None:
        self.identify = identify
        self.around = around
        self.service = Service(project, number, objects or Objects())

    def make_foreign_bucket(self, name: str) -> None:
        """A bucket that another project took first."""
        self.service.objects.make_bucket(name, "somebody-elses", {"location": "US"})

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        answer = self.answer(read_request(environ))
        phrase = "Resume Incomplete" if answer.status == 308 else _phrase(answer.status)
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        start_response(f"{answer.status} {phrase}", list(headers.items()))
        return [answer.body]

    def answer(self, request: Request) -> Answer:
        in_json = json_api.is_json(request.path)
        try:
            return self._answer(request, in_json)
        except GcsError as error:
            if error.http == 304:
                return Answer(304)
            body = error.as_json() if in_json else error.as_xml()
            kind = "application/json" if in_json else "application/xml"
            return Answer(error.http, body, {"Content-Type": f"{kind}; charset=UTF-8"})

    def _answer(self, request: Request, in_json: bool) -> Answer:
        action, handler, bucket, name = _route(request, in_json)
        principal: Principal | None = None
        refused: GcsError | None = None
        try:
            principal = self.identify(request.headers.get("authorization"))
        except GcsError as error:
            refused = error

        def execute() -> Answer:
            if principal is None:
                raise refused or GcsError(401, "required", "Login Required")
            return handler(Call(self.service, request, principal, bucket, name))

        parameters = {**request.query, "bucket": bucket, "object": name, "bytes": len(request.body)}
        # Whoever has the id of an upload may go on with it.
        parameters.pop("upload_id", None)
        email = principal.email if principal else None
        return self.around(Operation(action, parameters, email, request.peer), execute)


def _route(request: Request, in_json: bool) -> tuple[str, Callable[[Call], Answer], str, str]:
    if in_json:
        return json_api.route(request)
    bucket, _, name = request.path.lstrip("/").partition("/")
    if not bucket:
        raise invalid("No bucket is named.")
    action, handler = xml_api.route(request, unquote(bucket), unquote(name))
    return action, handler, unquote(bucket), unquote(name)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Answer"
