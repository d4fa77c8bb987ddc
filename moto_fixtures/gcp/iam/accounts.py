"""Service accounts and their keys."""

from __future__ import annotations

import json
import re
import secrets
import threading
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.project import PROJECT, new_id

# https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts/create
_ID = re.compile(r"[a-z](?:[-a-z0-9]{4,28}[a-z0-9])")


@dataclass
class Account:
    """``resource`` is what the API answers; ``keys`` id to private key."""

    resource: dict[str, Any]
    keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict)


def email_of(account_id: str) -> str:
    return f"{account_id}@{PROJECT}.iam.gserviceaccount.com"


class Accounts:
    """The project's service accounts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: dict[str, Account] = {}

    def create(self, account_id: str, **given: str) -> dict[str, Any]:
        """``given``: ``displayName`` and ``description``."""
        if not _ID.fullmatch(account_id):
            raise GcpError(
                400,
                "invalid",
                f"Service account ID '{account_id}' is invalid: 6 to 30 lower-case letters, digits "
                "and dashes, a letter first.",
            )
        email = email_of(account_id)
        number = new_id()
        resource = {
            "name": f"projects/{PROJECT}/serviceAccounts/{email}",
            "projectId": PROJECT,
            "uniqueId": number,
            "email": email,
            "etag": "MDEwMjE5MjA=",
            "oauth2ClientId": number,
            **given,
        }
        with self._lock:
            if email in self._accounts:
                raise GcpError(
                    409,
                    "alreadyExists",
                    f"Service account {account_id} already exists within project "
                    f"projects/{PROJECT}.",
                )
            self._accounts[email] = Account(resource)
        return resource

    def get(self, email_or_number: str) -> Account:
        """By its address or its number."""
        with self._lock:
            for email, account in self._accounts.items():
                if email_or_number in (email, account.resource["uniqueId"]):
                    return account
        raise GcpError(404, "notFound", f"Unknown service account: {email_or_number}")

    def exists(self, email: str) -> bool:
        with self._lock:
            return email in self._accounts

    def delete(self, email: str) -> None:
        self.get(email)
        with self._lock:
            self._accounts.pop(email)

    def listing(self) -> list[dict[str, Any]]:
        with self._lock:
            return [account.resource for account in self._accounts.values()]

    def new_key(self, email: str) -> tuple[str, rsa.RSAPrivateKey]:
        """A key that is made here; its id and itself."""
        account = self.get(email)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = secrets.token_hex(20)
        with self._lock:
            account.keys[name] = key
        return name, key

    def public_key(self, email: str, key_id: str) -> rsa.RSAPublicKey | None:
        """What a signature of the account is verified with."""
        with self._lock:
            account = self._accounts.get(email)
            key = account.keys.get(key_id) if account else None
        return key.public_key() if key else None


def key_file(account: Account, key_id: str, token_uri: str) -> str:
    """The JSON file that Google's console hands out for a key."""
    pem = account.keys[key_id].private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    email = account.resource["email"]
    words = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": key_id,
        "private_key": pem.decode(),
        "client_email": email,
        "client_id": account.resource["uniqueId"],
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    }
    return json.dumps(words, indent=2) + "\n"
