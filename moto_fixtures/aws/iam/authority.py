"""Deciding a call, and saying no as the service would."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from moto_fixtures.aws.answer import AwsError, protocol_of
from moto_fixtures.aws.iam.permissions import needs
from moto_fixtures.aws.iam.policy import Decision, Needed, decide

if TYPE_CHECKING:
    from moto_fixtures.aws.request import Request


class Authority:
    """Evaluates policies for calls and notes in the log what was asked."""

    def needs(self, request: Request) -> list[Needed]:
        """The permissions of a call by the hand-kept table."""
        return needs(request)

    def require(self, request: Request, needed: list[Needed]) -> None:
        """Raise the service's denial for the first permission that is missing."""
        asked = request.entry.permissions
        for need in needed:
            if need.action not in asked:
                asked.append(need.action)
            decision = self.decision(request, need)
            if decision != "allow":
                raise denial(request, need, decision)

    def decision(self, request: Request, need: Needed) -> Decision:
        """What the caller's policies say; the root of the account may do everything."""
        who = request.principal
        if who.root:
            return "allow"
        context: Mapping[str, list[str]] = {
            "aws:requestedregion": [request.region],
            "aws:sourceip": [request.call.peer],
            "aws:securetransport": ["false"],
            **who.context,
            **{k: list(v) for k, v in need.context.items()},
        }
        full = Needed(need.action, need.resource, context)
        decision = decide(who.policies, full)
        if decision == "allow" and who.boundaries and decide(who.boundaries, full) != "allow":
            return "implicit deny"
        return decision


def denial(request: Request, need: Needed, decision: Decision) -> AwsError:
    """The service's own error: EC2 encodes its reason, the others say it."""
    who, call = request.principal, request.call
    because = (
        "with an explicit deny in an identity-based policy"
        if decision == "explicit deny"
        else f"because no identity-based policy allows the {need.action} action"
    )
    words = (
        f"User: {who.arn} is not authorized to perform: {need.action} "
        f"on resource: {need.resource} {because}"
    )
    if call.service == "ec2":
        # The real message is opaque until decoded by STS; this one is long the same way but
        # readable, since whoever tests against it has no account to decode it with.
        digest = hashlib.sha512(words.encode()).digest()
        opaque = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return AwsError(
            "UnauthorizedOperation",
            f"You are not authorized to perform this operation. {words}. "
            f"Encoded authorization failure message: {opaque}",
        )
    protocol = protocol_of(call.model_name)
    if protocol == "json" or protocol == "rest-json":
        return AwsError("AccessDeniedException", words, 403 if protocol == "rest-json" else 400)
    if call.service == "s3" and call.environ["REQUEST_METHOD"] == "HEAD":
        return AwsError("403", "Forbidden", 403)
    return AwsError("AccessDenied", words)
