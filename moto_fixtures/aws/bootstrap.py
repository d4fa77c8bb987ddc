"""What the emulated account holds from the start: two users, the spot role, the images."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto_fixtures.aws import backends
from moto_fixtures.aws.backends import ACCOUNT
from moto_fixtures.aws.iam.principals import ROOT_ACCESS_KEY, ROOT_SECRET_KEY

POLICIES = Path(__file__).parents[2] / "dstack_cloud" / "clouds" / "aws" / "policies"
DAILY_USER = "dstack-daily"
ADMIN_USER = "dstack-admin"

_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
_EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


@dataclass(frozen=True)
class Key:
    """An access key, as the control interface hands it out."""

    user: str
    access_key_id: str
    secret_access_key: str


def fill(text: str, values: dict[str, str]) -> str:
    """``${store_bucket}`` and the like filled in; IAM's own variables hold a colon and stay."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise ValueError(f"the policy names ${{{match[1]}}}, which has no value here")
        return values[match[1]]

    return _PLACEHOLDER.sub(value, text)


def policy(name: str, values: dict[str, str]) -> dict[str, Any] | None:
    """A policy that the product ships, filled in; None while there is no such file."""
    path = POLICIES / f"{name}.json"
    if not path.exists():
        return None
    document: dict[str, Any] = json.loads(fill(path.read_text(), values))
    return document


def together(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Several policies as one: what any of them allows."""
    statements = [one for document in documents for one in document["Statement"]]
    return {**documents[0], "Statement": statements}


def put_user(name: str, document: dict[str, Any] | None) -> Key:
    """A user with one inline policy (None: no permission at all) and a key; again: the same."""
    iam = backends.iam()
    if name not in iam.users:
        iam.create_user("us-east-1", name)
    user = iam.users[name]
    user.policies.pop("policy", None)
    if document is not None:
        user.policies["policy"] = json.dumps(document)
    if not user.access_keys:
        iam.create_access_key(name)
    key = user.access_keys[0]
    return Key(name, key.access_key_id, key.secret_access_key)


def users(store: str) -> list[Key]:
    """The account's keys: root, administrator, daily user, for the store's bucket."""
    values = {"account": ACCOUNT, "store_bucket": store, "store_prefix": ""}
    keys = [Key("root", ROOT_ACCESS_KEY, ROOT_SECRET_KEY)]
    for user, names in ((ADMIN_USER, ("init",)), (DAILY_USER, ("run", "images"))):
        found = [one for name in names if (one := policy(name, values)) is not None]
        keys.append(put_user(user, together(found) if found else _EVERYTHING))
    return keys
