"""Secrets in AWS Secrets Manager, as ``dstack-cloud/NAME`` in the store's region."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from dstack_cloud.clouds.aws.errors import code_of, translated
from dstack_cloud.clouds.aws.names import OWNER, STORE, as_aws
from dstack_cloud.clouds.aws.sessions import Sessions
from dstack_cloud.errors import TryAgainError
from dstack_cloud.secret_manager import Secret
from dstack_cloud.units import format_time

PREFIX = "dstack-cloud/"
_EXISTS, _MISSING, _ENDING = (
    "ResourceExistsException",
    "ResourceNotFoundException",
    # Of one that is scheduled for deletion; the request itself is always well formed.
    "InvalidRequestException",
)


class AwsSecrets:
    """The secrets of an account in a region."""

    def __init__(self, sessions: Sessions, region: str, owner: str, store: str) -> None:
        self._sessions = sessions
        self._region = region
        self._tags = {OWNER: owner, STORE: store}

    def set(self, name: str, value: str) -> None:
        """Keep a value, in place of a former one."""
        with translated("keeping the secret", self._region):
            client = self._client()
            _, code = _unless(
                lambda: client.create_secret(
                    Name=PREFIX + name, SecretString=value, Tags=as_aws(self._tags)
                ),
                _EXISTS,
                _ENDING,
            )
            if code == _EXISTS:
                client.put_secret_value(SecretId=PREFIX + name, SecretString=value)
        if code == _ENDING:
            raise TryAgainError(
                f"a secret {PREFIX}{name} is being deleted in {self._region}",
                f"wait a moment, or aws secretsmanager restore-secret --secret-id {PREFIX}{name}",
            )

    def listing(self) -> list[Secret]:
        """All that are kept, by name."""
        with translated("listing the secrets", self._region):
            pages = list(
                self._client()
                .get_paginator("list_secrets")
                .paginate(Filters=[{"Key": "name", "Values": [PREFIX]}])
            )
        found = [one for page in pages for one in page["SecretList"]]
        return sorted(
            (
                Secret(
                    one["Name"].removeprefix(PREFIX),
                    format_time(one["CreatedDate"]),
                    format_time(one.get("LastChangedDate") or one["CreatedDate"]),
                )
                for one in found
                if one["Name"].startswith(PREFIX) and not one.get("DeletedDate")
            ),
            key=lambda secret: secret.name,
        )

    def values(self, names: Sequence[str]) -> Mapping[str, str]:
        """The values of those among ``names`` that are kept."""
        found = {}
        with translated("reading the secrets", self._region):
            client = self._client()
            for name in names:
                answer, _ = _unless(
                    partial(client.get_secret_value, SecretId=PREFIX + name),
                    _MISSING,
                    _ENDING,
                )
                if answer is not None and "SecretString" in answer:
                    found[name] = str(answer["SecretString"])
        return found

    def delete(self, name: str) -> None:
        """Keep it no longer: without the 7 days in which it could be restored, and paid for."""
        with translated("deleting the secret", self._region):
            client = self._client()
            _unless(
                lambda: client.delete_secret(
                    SecretId=PREFIX + name, ForceDeleteWithoutRecovery=True
                ),
                _MISSING,
            )

    def _client(self) -> Any:
        return self._sessions.client("secretsmanager", self._region)


def _unless(call: Callable[[], Any], *codes: str) -> tuple[Any, str | None]:
    """The call's answer; None and the code where it fails with one of these."""
    from botocore.exceptions import ClientError

    try:
        return call(), None
    except ClientError as error:
        if code_of(error) not in codes:
            raise
        return None, code_of(error)
