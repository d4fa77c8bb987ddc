"""ECR: its login, and what its registries let those do who have one.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html, and what a pull needs:
https://docs.aws.amazon.com/AmazonECR/latest/userguide/security-iam-awsmanpol.html
"""

from __future__ import annotations

import base64
import secrets
from datetime import timedelta
from typing import Any

from moto_fixtures.aws.answer import Answer
from moto_fixtures.aws.backends import ACCOUNT
from moto_fixtures.aws.iam.policy import Needed, decide
from moto_fixtures.aws.iam.principals import Principal
from moto_fixtures.aws.request import Request
from moto_fixtures.machine.registries import Refusal
from moto_fixtures.shared.log import CallLog

REGIONS = ("us-east-1", "us-east-2", "us-west-1", "us-west-2", "eu-central-1", "eu-west-1")
_GOOD_FOR = timedelta(hours=12)
# Which API call a request of the registry's protocol stands for.
_CALLS = {"manifests": "BatchGetImage", "blobs": "GetDownloadUrlForLayer"}


class Ecr:
    """Who has which login."""

    def __init__(self, log: CallLog) -> None:
        self._log = log
        self._tokens: dict[str, Principal] = {}

    @property
    def hosts(self) -> list[str]:
        return [host(region) for region in REGIONS]

    def token(self, who: Principal) -> str:
        """A password for the user ``AWS``."""
        made = secrets.token_urlsafe(48)
        self._tokens[made] = who
        return made

    def admit(self, name: str, username: str, password: str) -> Principal | None:
        return self._tokens.get(password) if username == "AWS" else None

    def require(self, who: Principal, name: str, repository: str, kind: str, peer: str) -> None:
        region, action = name.split(".")[3], _CALLS[kind]
        entry = self._log.begin(
            "ecr", action, region, {"repositoryName": repository}, who.name, None, peer
        )
        arn = f"arn:aws:ecr:{region}:{ACCOUNT}:repository/{repository}"
        needed = Needed(f"ecr:{action}", arn, {**who.context, "aws:requestedregion": [region]})
        entry.permissions.append(needed.action)
        if who.root or decide(who.policies, needed) == "allow":
            entry.outcome, entry.status = "ok", 200
            return
        entry.outcome, entry.status = "AccessDeniedException", 403
        raise Refusal(
            403,
            "DENIED",
            f"User: {who.arn} is not authorized to perform: {needed.action} on resource: {arn} "
            f"because no identity-based policy allows the {needed.action} action",
        )


def host(region: str) -> str:
    """The account's registry in a region."""
    return f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com"


def get_authorization_token(request: Request) -> Answer:
    """A login that the caller's own rights go with."""
    emulator = request.emulator
    token = base64.b64encode(f"AWS:{emulator.ecr.token(request.principal)}".encode()).decode()
    data: dict[str, Any] = {
        "authorizationToken": token,
        "expiresAt": emulator.clock.now() + _GOOD_FOR,
        "proxyEndpoint": f"https://{host(request.region)}",
    }
    return request.answer({"authorizationData": [data]})


HANDLERS = {"GetAuthorizationToken": get_authorization_token}
