"""Errors that a test asks for by name: as the API would have put them."""

from __future__ import annotations

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.project import PROJECT
from moto_fixtures.gcp.services import disabled
from moto_fixtures.gcp.tokens import unauthenticated
from moto_fixtures.shared.faults import Fault

# Name -> HTTP status, reason, message. cloud.google.com/compute/docs/troubleshooting/api-errors and
# …/troubleshooting-bulk-vm-creation; organisation policies: docs/resource-manager/…/org-policy.
_KNOWN = {
    "PERMISSION_DENIED": (403, "forbidden", "The caller does not have permission"),
    "ORG_POLICY": (
        412,
        "conditionNotMet",
        f"Constraint constraints/compute.vmExternalIpAccess violated for project {PROJECT}. Add "
        "instance to the constraint to use external IP with it.",
    ),
    "rateLimitExceeded": (
        403,
        "rateLimitExceeded",
        "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service "
        "'compute.googleapis.com'.",
    ),
    "quotaExceeded": (403, "quotaExceeded", "Quota 'CPUS' exceeded.  Limit: 0.0 in region."),
    "insufficientCapacity": (503, "insufficientCapacity", "There is not enough capacity."),
    "backendError": (503, "backendError", "Backend Error"),
    "internalError": (500, "internalError", "Internal Error"),
    "notFound": (404, "notFound", "The resource was not found"),
}
REQUEST_LEVEL = {*_KNOWN, "UNAUTHENTICATED", "SERVICE_DISABLED"}
"""Names that reject a whole request; any other is an error of the operation that it begins."""


def refusal(fault: Fault, service: str) -> GcpError:
    """What a fault that rejects a request is answered with."""
    name = fault.error or ""
    if name == "UNAUTHENTICATED":
        return unauthenticated("ACCESS_TOKEN_EXPIRED", service)
    if name == "SERVICE_DISABLED":
        return disabled(service)
    http, reason, message = _KNOWN.get(name, (400, name, f"{name}, asked of the emulator"))
    return GcpError(fault.http or http, reason, fault.message or message)
