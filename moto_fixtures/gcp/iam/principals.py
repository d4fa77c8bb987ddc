"""Who calls: a service account, through a token that may be narrower than the account."""

from __future__ import annotations

from dataclasses import dataclass

from moto_fixtures.gcp.iam.policies import Policies
from moto_fixtures.gcp.tokens import CLOUD_PLATFORM, Bearer

# What a scope opens, besides cloud-platform, which opens all:
# developers.google.com/identity/protocols/oauth2/scopes
_SCOPES = {
    "https://www.googleapis.com/auth/compute": "compute.",
    "https://www.googleapis.com/auth/devstorage.full_control": "storage.",
    "https://www.googleapis.com/auth/devstorage.read_write": "storage.",
    "https://www.googleapis.com/auth/devstorage.read_only": "storage.",
    "https://www.googleapis.com/auth/cloud-billing": "cloudbilling.",
    "https://www.googleapis.com/auth/iam": "iam.",
}


@dataclass(frozen=True)
class Caller:
    """Implements ``moto_fixtures.gcp.call.Principal``."""

    bearer: Bearer
    policies: Policies

    @property
    def email(self) -> str:
        return self.bearer.email

    def may(self, permission: str, resource: str) -> bool:
        return self._in_scope(permission) and self.policies.allows(self.email, permission, resource)

    def _in_scope(self, permission: str) -> bool:
        if CLOUD_PLATFORM in self.bearer.scopes:
            return True
        return any(permission.startswith(_SCOPES.get(s, "\0")) for s in self.bearer.scopes)
