"""What the emulated project holds from the start: two users' service accounts and their keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.iam.accounts import email_of, key_file
from moto_fixtures.gcp.project import PROJECT

if TYPE_CHECKING:
    from moto_fixtures.gcp.emulator import Emulator

ADMIN, DAILY = "dstack-admin", "dstack-daily"
_POLICIES = Path(__file__).parents[2] / "dstack_cloud" / "clouds" / "gcp" / "policies"


class Users:
    """Service accounts that people work as; their key files."""

    def __init__(self, emulator: Emulator, token_uri: str) -> None:
        self._emulator = emulator
        self._token_uri = token_uri
        self._files: dict[str, str] = {}
        # The daily user gets what it needs from the product's own `init`, but for baking images.
        self.put(ADMIN, permissions=_permissions("init"))
        self.put(DAILY, permissions=_permissions("images"))

    def put(
        self, name: str, roles: list[str] | None = None, permissions: list[str] | None = None
    ) -> dict[str, Any]:
        """An account with these roles of the project and a role of these permissions, and nothing
        else; its key file. Again: the same key."""
        accounts, policies = self._emulator.accounts, self._emulator.policies
        email = email_of(name)
        if not accounts.exists(email):
            accounts.create(name)
        if name not in self._files:
            key, _ = accounts.new_key(email)
            self._files[name] = key_file(accounts.get(email), key, self._token_uri)
        roles = list(roles or [])
        if permissions is not None:
            roles.append(self._role(name, permissions))
        resource, member = f"projects/{PROJECT}", f"serviceAccount:{email}"
        policy = policies.get(resource, 3)
        bindings = policy.setdefault("bindings", [])
        for binding in bindings:
            binding["members"] = [m for m in binding["members"] if m != member]
        bindings += [{"role": role, "members": [member]} for role in roles]
        policies.set(resource, {**policy, "version": 3})
        return self.file(name)

    def file(self, name: str) -> dict[str, Any]:
        """The key file as a JSON value. KeyError where there is no such user."""
        found: dict[str, Any] = json.loads(self._files[name])
        return found

    def files(self) -> dict[str, dict[str, Any]]:
        return {name: self.file(name) for name in self._files}

    def _role(self, name: str, permissions: list[str]) -> str:
        role_id = "user_" + name.replace("-", "_")
        role = {"title": name, "includedPermissions": permissions}
        try:
            self._emulator.roles.create(role_id, role)
        except GcpError:
            self._emulator.roles.patch(f"projects/{PROJECT}/roles/{role_id}", role, [])
        return f"projects/{PROJECT}/roles/{role_id}"


def _permissions(name: str) -> list[str]:
    """What the product says that an administrator needs, or who bakes images."""
    found: list[str] = json.loads((_POLICIES / f"{name}.json").read_text())["includedPermissions"]
    return found
