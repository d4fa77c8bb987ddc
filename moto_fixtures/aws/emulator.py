"""The emulated AWS: every request's way from the socket to its answer."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.core.exceptions import ServiceException

from moto_fixtures.aws import handlers
from moto_fixtures.aws.answer import Answer, AwsError, error_answer, protocol_of
from moto_fixtures.aws.backends import MotoApp
from moto_fixtures.aws.call import Call, read_call
from moto_fixtures.aws.ec2.instances import Instances
from moto_fixtures.aws.ec2.spot_prices import SpotPrices
from moto_fixtures.aws.ecr import Ecr
from moto_fixtures.aws.iam.authority import Authority
from moto_fixtures.aws.iam.principals import Identities, Principal, expired_token
from moto_fixtures.aws.quotas import Quotas
from moto_fixtures.aws.request import Request
from moto_fixtures.aws.tokens import Tokens
from moto_fixtures.machine.base import Machines
from moto_fixtures.machine.registries import Registries
from moto_fixtures.shared.clock import Clock
from moto_fixtures.shared.faults import Fault, Faults
from moto_fixtures.shared.holds import Hold, Holds
from moto_fixtures.shared.http import DropConnection
from moto_fixtures.shared.log import CallLog, Entry

_CODE = re.compile(rb"<Code>([^<]+)</Code>")
_TYPE = re.compile(rb'"__type":\s*"(?:[^"#]*#)?([^"]+)"')

# Codes that reject the whole CreateFleet request; others are an item of its Errors[].
REQUEST_LEVEL = {
    "AuthFailure",
    "ExpiredToken",
    "InternalError",
    "InvalidClientTokenId",
    "RequestExpired",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "Throttling",
    "Unavailable",
}


class Emulator:
    """Holds what outlives a request. Machines are given after construction: they call back."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.log = CallLog()
        self.faults = Faults(REQUEST_LEVEL)
        self.holds = Holds()
        self.tokens = Tokens()
        self.moto = MotoApp()
        self.quotas = Quotas()
        self.spot_prices = SpotPrices(self.clock)
        self.instances = Instances(self.clock)
        self.identities = Identities(self.clock)
        self.authority = Authority()
        self.ecr = Ecr(self.log)
        self.logins: dict[str, str] = {}
        self.registries = Registries(self.log, self.faults, self.ecr, self.logins)

    def use(self, machines: Machines) -> None:
        """Launch on these machines from now on."""
        self.instances.machines = machines

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        answer = self.handle(read_call(environ))
        start_response(f"{answer.status} Emulated", answer.headers)
        return [answer.body]

    def handle(self, call: Call) -> Answer:
        """Log, hold, strike with faults, authenticate, authorize, execute, answer."""
        started = time.perf_counter()
        principal, refused = self._identify(call)
        name = principal.name if principal else None
        entry = self.log.begin(
            call.service, call.action, call.region, call.params, name, call.access_key, call.peer
        )
        due = self.holds.claim(call.action, [n for n in (name, call.access_key) if n])
        try:
            self._held(due, "before", entry)
            answer = self._execute(call, principal, refused, entry)
            outcome = entry.outcome = outcome_of(answer)
            entry.status = answer.status
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

    def _identify(self, call: Call) -> tuple[Principal | None, AwsError | None]:
        try:
            return self.identities.identify(call), None
        except AwsError as error:
            return None, error

    def _held(self, due: list[Hold], when: str, entry: Entry) -> None:
        for hold in due:
            if hold.when == when:
                entry.outcome = "held"
                if self.holds.wait(hold, entry.sequence):
                    raise DropConnection

    def _execute(
        self, call: Call, principal: Principal | None, refused: AwsError | None, entry: Entry
    ) -> Answer:
        attributes = fault_attributes(call, principal)
        pools = call.action == "CreateFleet"
        try:
            self._strike(self.faults.strike(call.action, attributes, "before", pools), call)
            if refused is not None:
                raise refused
            assert principal is not None
            answer = handlers.answer(Request(self, call, principal, entry))
            self._strike(self.faults.strike(call.action, attributes, "after", pools), call)
            return answer
        except ServiceException as error:
            return error_answer(call.model_name, AwsError(error.code, error.message))
        except AwsError as error:
            return error_answer(call.model_name, error)

    @staticmethod
    def _strike(fault: Fault | None, call: Call) -> None:
        if fault is None:
            return
        if fault.delay_s:
            time.sleep(fault.delay_s)
        if fault.drop:
            raise DropConnection
        if fault.error == "ExpiredToken":
            raise expired_token(protocol_of(call.model_name), call.service)
        if fault.error:
            message = fault.message or f"{fault.error}, asked of the emulator by a fault"
            raise AwsError(fault.error, message, fault.http)


def fault_attributes(call: Call, principal: Principal | None) -> dict[str, Any]:
    """What a fault's ``match`` may name: the parameters, and what every call has."""
    params = call.params
    zone = (params.get("Placement") or {}).get("AvailabilityZone")
    market = (params.get("InstanceMarketOptions") or {}).get("MarketType")
    return {
        **params,
        "service": call.service,
        "region": call.region,
        "principal": principal.name if principal else None,
        "access_key": call.access_key,
        "instance_type": params.get("InstanceType") or params.get("InstanceTypes"),
        "zone": zone or params.get("AvailabilityZone"),
        "spot": market == "spot",
    }


def outcome_of(answer: Answer) -> str:
    """``ok``, or the error's code as the client will read it."""
    if answer.ok:
        return "ok"
    found = _CODE.search(answer.body) or _TYPE.search(answer.body)
    if found:
        return found[1].decode("utf-8", "replace")
    return str(answer.status)
