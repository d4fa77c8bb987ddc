"""A role of the user's choice, assumed by the machine's own for the container.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .access import Access, Answer, Renewed
from .aws_call import Refused, query
from .errors import Failure, StoreError
from .paths import Paths, read_json
from .times import unix

_PATH = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
# A role that is assumed by another one is at most for an hour. SDKs ask again a quarter of an hour
# before the end; what they get then must be newer than what they have.
_SECONDS = 3600
_MARGIN = 1200.0
_FIELDS = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
_CALLER = re.compile(r"arn:([a-z-]+):sts::([0-9]+):assumed-role/([^/\s]+)/")
_MESSAGE = re.compile(r"<Message>(.*?)</Message>", re.DOTALL)


class RoleAccess(Access):
    def __init__(self, job: Mapping[str, Any], paths: Paths) -> None:
        self._job = job
        self._path = (read_json(paths.secrets) or {}).get(_PATH)
        self._role = str(job["cloud_access"])
        self._credentials = Renewed(self._assume, _MARGIN)

    def get(self) -> object:
        return self._credentials.get()

    def answer(self, target: str, headers: Mapping[str, str]) -> Answer:
        if self._path is None or urlsplit(target).path != self._path:
            return Answer(404)
        found, _ = self._credentials.get()
        body = {
            "AccessKeyId": found["AccessKeyId"],
            "SecretAccessKey": found["SecretAccessKey"],
            "Token": found["SessionToken"],
            "Expiration": found["Expiration"],
            "RoleArn": self._role,
        }
        return Answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def refused(self, error: StoreError) -> Failure:
        if not isinstance(error, Refused) or error.passing:
            return Failure("setup", f"the role {self._role} cannot be assumed: {error}")
        told = _MESSAGE.search(str(error))
        words = told.group(1).strip() if told else str(error)
        caller = _CALLER.search(words)
        who = "the machines' role"
        if caller is not None:
            who = "arn:{}:iam::{}:role/{}".format(*caller.groups())
        return Failure(
            "cloud-access",
            f"the machine may not assume the role {self._role}: {words}",
            f"the role must exist, and its trust policy must let {who} do sts:AssumeRole",
        )

    def _assume(self) -> tuple[dict[str, str], float]:
        name = "{run}-{attempt}".format(**self._job)
        answer = query(
            "sts",
            self._job,
            {
                "Action": "AssumeRole",
                "Version": "2011-06-15",
                "RoleArn": self._role,
                "RoleSessionName": name[:64],
                "DurationSeconds": str(_SECONDS),
            },
        )
        found = {}
        for field in _FIELDS:
            told = re.search(f"<{field}>([^<]+)</{field}>", answer)
            if told is None:
                raise StoreError(f"the answer to AssumeRole has no {field}")
            found[field] = told.group(1).strip()
        return found, unix(found["Expiration"])
