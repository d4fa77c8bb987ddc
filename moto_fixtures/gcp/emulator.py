"""The emulated Google Cloud: every request's way from the socket to its answer."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from moto_fixtures.gcp import refusals, secrets
from moto_fixtures.gcp.answer import Answer, error_answer, json_answer
from moto_fixtures.gcp.artifacts import Artifacts
from moto_fixtures.gcp.call import Call, GcpError
from moto_fixtures.gcp.catalog import answers as catalog
from moto_fixtures.gcp.catalog.quotas import QUOTAS
from moto_fixtures.gcp.checks import check_answer, check_request, chosen
from moto_fixtures.gcp.compute import handlers as compute
from moto_fixtures.gcp.compute import launch, quota
from moto_fixtures.gcp.compute.disks import Disks
from moto_fixtures.gcp.compute.firewalls import Firewalls
from moto_fixtures.gcp.compute.instances import Instance, Instances
from moto_fixtures.gcp.compute.placement import ResourcePolicies
from moto_fixtures.gcp.discovery import Method, find
from moto_fixtures.gcp.iam import handlers as iam
from moto_fixtures.gcp.iam import launches, permissions
from moto_fixtures.gcp.iam.accounts import Accounts
from moto_fixtures.gcp.iam.policies import Policies
from moto_fixtures.gcp.iam.principals import Caller
from moto_fixtures.gcp.iam.roles import Roles
from moto_fixtures.gcp.operations import Operations, Place
from moto_fixtures.gcp.project import NUMBER, PROJECT, stamp
from moto_fixtures.gcp.received import Received, received
from moto_fixtures.gcp.request import Request
from moto_fixtures.gcp.services import Services
from moto_fixtures.gcp.tokens import Bearer, TokenError, Tokens
from moto_fixtures.machine.base import Machines
from moto_fixtures.machine.registries import Registries
from moto_fixtures.shared.clock import Clock
from moto_fixtures.shared.faults import Fault, Faults
from moto_fixtures.shared.holds import Hold, Holds
from moto_fixtures.shared.http import DropConnection
from moto_fixtures.shared.log import CallLog, Entry

TOKEN_PATH = "/token"
_HANDLERS: dict[str, Callable[[Request], Any]] = {
    **compute.HANDLERS,
    **iam.HANDLERS,
    **secrets.HANDLERS,
}
_CATALOG = [(verb, re.compile(path), handler) for verb, path, handler in catalog.ROUTES]
_SECRET_ITEMS = {"user-data", "ssh-keys", "startup-script"}


class Emulator:
    """Holds what outlives a request. Machines are given after construction: they call back."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.log = CallLog()
        self.faults = Faults(refusals.REQUEST_LEVEL)
        self.holds = Holds()
        self.accounts = Accounts()
        self.tokens = Tokens(self.clock, self.accounts.public_key)
        self.roles = Roles()
        self.policies = Policies(self.roles, self.clock.now)
        self.services = Services()
        self.secrets = secrets.Secrets()
        self.operations = Operations(self.clock)
        self.disks = Disks()
        self.firewalls = Firewalls(stamp(datetime(2026, 1, 31, 9, 30, tzinfo=UTC)))
        self.resource_policies = ResourcePolicies()
        self.instances = Instances(self.clock, self.disks)
        self.instances.on_system_event = self._system_event
        self.logins: dict[str, str] = {}
        self.registries = Registries(self.log, self.faults, Artifacts(self.identify), self.logins)
        self.quotas = QUOTAS
        QUOTAS.usage = lambda region, metric: quota.usage(self.instances.holding(), region, metric)

    def use(self, machines: Machines) -> None:
        """Launch on these machines from now on."""
        self.instances.machines = machines

    def machine_credentials(self, email: str, machine_id: str) -> dict[str, Any]:
        """The token that a machine's metadata server hands out."""
        instance = self.instances.ever(machine_id)
        account = (instance.item.get("serviceAccounts") or [{}])[0]
        scopes = tuple(account.get("scopes") or ())
        return self.tokens.give(Bearer(email, scopes, machine_id))

    def _system_event(self, kind: str, instance: Instance) -> None:
        """What Google itself does to an instance is an operation of its zone."""
        place = Place(PROJECT, "zones", instance.zone)
        self.operations.note(place, kind, instance.path, instance.id)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        answer = self.handle(received(environ))
        start_response(f"{answer.status} {_phrase(answer.status)}", answer.headers)
        return [answer.body]

    def handle(self, request: Received) -> Answer:
        """Log, hold, strike with faults, authenticate, authorize, execute, answer."""
        if request.path == TOKEN_PATH:
            return self._token(request)
        found = find(request.method, request.raw_path)
        if found is None:
            text = f"The requested URL {request.path} was not found on this server."
            return Answer(404, text.encode(), [("Content-Type", "text/html")])
        method, params = found
        service = method.service
        try:
            body = request.json()
        except GcpError as error:
            return error_answer(error, service)
        principal, refused = self._identify(request, service)
        call = Call(
            request.method,
            request.path,
            request.query,
            body,
            request.headers,
            principal,
            method.id,
            params,
            request.peer,
        )
        answer: Answer = self.around(
            call,
            service,
            lambda entry: self._answer(method, call, refused, entry),
            lambda error: error_answer(error, service),
            operation=method.mutates,
        )
        return answer

    def around(
        self,
        call: Call,
        service: str,
        execute: Callable[[Entry], Any],
        refuse: Callable[[GcpError], Any],
        *,
        operation: bool = False,
    ) -> Any:
        """Log a call, hold it, strike it with faults; ``execute`` it between.

        What it answers has a ``status``; a GcpError is answered with what ``refuse`` makes of it.
        With ``operation``, faults that are no refusals are left for the operation that it begins.
        """
        started = time.perf_counter()
        name = call.principal.email if call.principal else None
        said = {**call.params, **call.query, **({} if call.body is None else {"body": call.body})}
        short = service.partition(".")[0]
        entry = self.log.begin(
            short, call.action, region_of(call), _clean(said), name, None, call.peer
        )
        due = self.holds.claim(call.action, [name] if name else [])
        attributes = self._attributes(call, service)
        strike = self.faults.strike
        try:
            self._held(due, "before", entry)
            try:
                self._strike(strike(call.action, attributes, "before", operation), service)
                answer = execute(entry)
                self._strike(strike(call.action, attributes, "after", operation), service)
                entry.outcome = "ok" if answer.status < 400 else str(answer.status)
            except GcpError as error:
                answer = refuse(error)
                entry.outcome = outcome_of(error)
            entry.status = answer.status
            outcome = entry.outcome
            self._held(due, "after", entry)
            entry.outcome = outcome
            return answer
        except DropConnection:
            entry.outcome = "dropped"
            raise
        except Exception:
            entry.outcome = "emulator error"
            raise
        finally:
            entry.duration_ms = round((time.perf_counter() - started) * 1000, 2)

    def identify(self, authorization: str | None, service: str) -> Caller:
        """Who an Authorization header is; GcpError 401."""
        return Caller(self.tokens.bearer(authorization, service), self.policies)

    def _identify(self, request: Received, service: str) -> tuple[Caller | None, GcpError | None]:
        try:
            return self.identify(request.headers.get("authorization"), service), None
        except GcpError as error:
            return None, error

    def _answer(self, method: Method, call: Call, refused: GcpError | None, entry: Entry) -> Answer:
        if refused is not None:
            raise refused
        own = call.params.get("project") or call.params.get("projectsId") or PROJECT
        if own not in (PROJECT, str(NUMBER), "-"):
            if method.id in ("compute.images.get", "compute.images.getFromFamily"):
                pass
            else:
                raise foreign(call, own)
        if method.service != "serviceusage.googleapis.com":
            self.services.require(method.service)
        check_request(method, call)
        value = self._value(method, call, entry)
        check_answer(method, value)
        fields = call.query.get("fields") or call.query.get("$fields")
        return json_answer(chosen(value, fields) if fields else value)

    def _value(self, method: Method, call: Call, entry: Entry) -> Any:
        handler = _HANDLERS.get(call.action)
        request = Request(self, call)
        if handler is not None:
            self._authorize(request, entry)
            if method.mutates:
                repeated = self.operations.repeated(call)
                if repeated is not None:
                    return self.operations.view(repeated)
                request.fault = self.faults.strike_operation(
                    call.action,
                    self._attributes(call, method.service),
                    errors=call.action not in launch.LAUNCHES,
                )
                if request.fault is not None and request.fault.error:
                    return request.fail(request.fault)
            return handler(request)
        for verb, pattern, answer in _CATALOG:
            if verb == call.method and pattern.fullmatch(call.path):
                self._authorize(request, entry)
                return answer(call)
        raise GcpError(501, "notImplemented", f"the emulated cloud does not do {call.action}")

    def _authorize(self, request: Request, entry: Entry) -> None:
        call = request.call
        if call.action in launch.LAUNCHES:
            needed = launches.needs(launch.asked_of(request))
        else:
            needed = permissions.needs(call)
        entry.permissions = [permission for permission, _ in needed]
        for permission, resource in needed:
            if not call.caller.may(permission, resource):
                raise denied(call, permission, resource)

    def _token(self, request: Received) -> Answer:
        call = Call(
            request.method, request.path, {}, None, {}, None, "oauth2.token", {}, request.peer
        )
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))

        def execute(entry: Entry) -> Answer:
            try:
                return json_answer(self.tokens.grant(form, f"http://{request.host}{TOKEN_PATH}"))
            except TokenError as error:
                said = {"error": error.error, "error_description": error.description}
                return json_answer(said, 400)

        service = "oauth2.googleapis.com"
        answer: Answer = self.around(call, service, execute, lambda e: error_answer(e, service))
        return answer

    def _attributes(self, call: Call, service: str) -> dict[str, Any]:
        """What a fault's ``match`` may name of any call."""
        body = call.body if isinstance(call.body, dict) else {}
        return {
            **body,
            **call.params,
            **call.query,
            "service": service.partition(".")[0],
            "region": region_of(call),
            "principal": call.principal.email if call.principal else None,
        }

    @staticmethod
    def _strike(fault: Fault | None, service: str) -> None:
        if fault is None:
            return
        if fault.delay_s:
            time.sleep(fault.delay_s)
        if fault.drop:
            raise DropConnection
        if fault.error:
            raise refusals.refusal(fault, service)

    def _held(self, due: list[Hold], when: str, entry: Entry) -> None:
        for hold in due:
            if hold.when == when:
                entry.outcome = "held"
                if self.holds.wait(hold, entry.sequence):
                    raise DropConnection


def denied(call: Call, permission: str, resource: str) -> GcpError:
    """Each service has its own words for a missing permission."""
    service = call.action.partition(".")[0]
    if permission == "iam.serviceAccounts.actAs":
        account = resource.rpartition("/")[2]
        return GcpError(
            403,
            "forbidden",
            f"The user does not have access to service account '{account}'.  User: "
            f"'{call.caller.email}'.  Ask a project owner to grant you the "
            "iam.serviceAccountUser role on the service account",
        )
    if service == "compute":
        return GcpError(403, "forbidden", f"Required '{permission}' permission for '{resource}'")
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "IAM_PERMISSION_DENIED",
        "domain": f"{service}.googleapis.com",
        "metadata": {"permission": permission, "resource": resource},
    }
    return GcpError(
        403,
        "forbidden",
        f"Permission '{permission}' denied on resource '{resource}' (or it may not exist).",
        [detail],
    )


def foreign(call: Call, project: str) -> GcpError:
    """A project that does not exist, or is somebody else's: the real API does not say which."""
    if call.action.startswith("compute."):
        return GcpError(
            403,
            "forbidden",
            f"Required '{call.action}' permission for 'projects/{project}', or the project does "
            "not exist",
        )
    return GcpError(403, "forbidden", f"The caller does not have permission on project {project}.")


def region_of(call: Call) -> str:
    zone = call.params.get("zone")
    if zone:
        return zone.rpartition("-")[0]
    return str(call.params.get("region") or "global")


def outcome_of(error: GcpError) -> str:
    """As a test reads it in the log: the reason, in the details where it is told there."""
    for detail in error.details:
        if detail.get("reason"):
            return str(detail["reason"])
    return error.reason


def _clean(value: Any) -> Any:
    """Without what metadata items hold that is nobody's business."""
    if isinstance(value, dict):
        if value.get("key") in _SECRET_ITEMS and isinstance(value.get("value"), str):
            return {**value, "value": f"<{len(value['value'])} bytes>"}
        return {k: _clean(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_clean(one) for one in value]
    return value


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Answer"
