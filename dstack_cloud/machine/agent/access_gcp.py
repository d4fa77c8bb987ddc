"""A service account of the user's choice, impersonated by the machine's own for the container.

To the container it looks like the metadata server of a machine that has this account, and has
nothing else of the machine's.

https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from .access import Access, Answer, Renewed
from .errors import Failure, StoreError
from .google_metadata import GoogleMetadata
from .times import unix
from .web import Web

_ENDPOINT = "https://iamcredentials.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_SECONDS = 3600
# Google's libraries ask again some four minutes before the end.
_MARGIN = 600.0
_ROOT = "/computeMetadata/v1/"
_FLAVOR = {"Metadata-Flavor": "Google"}


class Refused(StoreError):
    """The service has answered with an error."""


class AccountAccess(Access):
    def __init__(self, job: Mapping[str, Any]) -> None:
        self._account = str(job["cloud_access"])
        self._endpoint = (job["endpoints"].get("iamcredentials") or _ENDPOINT).rstrip("/")
        self._metadata = GoogleMetadata()
        self._token = Renewed(self._impersonate, _MARGIN)

    def get(self) -> object:
        return self._token.get()

    def answer(self, target: str, headers: Mapping[str, str]) -> Answer:
        asked = urlsplit(target)
        if asked.path in ("", "/"):
            # Libraries look here whether there is such a server at all.
            return Answer(200, b"computeMetadata/\n", _FLAVOR)
        if headers.get("metadata-flavor") != "Google" or "x-forwarded-for" in headers:
            return Answer(403, b"Missing Metadata-Flavor:Google header.\n", _FLAVOR)
        if not asked.path.startswith(_ROOT):
            return Answer(404, b"", _FLAVOR)
        recursive = parse_qs(asked.query).get("recursive", [""])[0].lower() == "true"
        return self._at(asked.path[len(_ROOT) :].strip("/"), recursive)

    def _at(self, path: str, recursive: bool) -> Answer:
        if path in ("project/project-id", "project/numeric-project-id", "instance/zone"):
            try:
                return _text(self._metadata.get(path) or "")
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise StoreError(f"the metadata server does not answer: {error}") from error
        account = {"aliases": ["default"], "email": self._account, "scopes": [_SCOPE]}
        words = path.split("/")
        if words[:2] != ["instance", "service-accounts"]:
            return Answer(404, b"", _FLAVOR)
        if len(words) == 2:
            if recursive:
                return _json({"default": account, self._account: account})
            return _text(f"default/\n{self._account}/\n")
        if words[2] not in ("default", self._account):
            return Answer(404, b"", _FLAVOR)
        key = "/".join(words[3:])
        if key == "":
            return _json(account) if recursive else _text("aliases\nemail\nscopes\ntoken\n")
        if key == "email":
            return _text(self._account)
        if key == "scopes":
            return _text(_SCOPE + "\n")
        if key == "aliases":
            return _text("default\n")
        if key == "token":
            token, end = self._token.get()
            left = max(0, int(end - time.time()))
            return _json({"access_token": token, "expires_in": left, "token_type": "Bearer"})
        return Answer(404, b"", _FLAVOR)

    def refused(self, error: StoreError) -> Failure:
        if not isinstance(error, Refused) or error.passing:
            return Failure("setup", f"there is no token for {self._account}: {error}")
        return Failure(
            "cloud-access",
            f"the machine may not act as {self._account}: {error}",
            f"the account must exist, and the machines' service account ({self._own()}) must have "
            "the role roles/iam.serviceAccountTokenCreator on it",
        )

    def _own(self) -> str:
        try:
            return self._metadata.need("instance/service-accounts/default/email")
        except (OSError, http.client.HTTPException, ValueError):
            return "see dstack-cloud check"

    def _impersonate(self) -> tuple[str, float]:
        name = f"projects/-/serviceAccounts/{quote(self._account)}:generateAccessToken"
        target = f"{urlsplit(self._endpoint).path}/v1/{name}"
        body = json.dumps({"scope": [_SCOPE], "lifetime": f"{_SECONDS}s"}).encode()
        try:
            headers = {
                "Authorization": f"Bearer {self._metadata.token()}",
                "Content-Type": "application/json",
            }
            web = Web(self._endpoint)
            try:
                answer = web.request("POST", target, headers, body)
            finally:
                web.close()
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            raise StoreError(f"IAM does not answer: {error}") from error
        text = answer.body.decode("utf-8", "replace")
        if answer.status != 200:
            raise Refused(_message(text), passing=answer.status >= 500)
        told = json.loads(text)
        return str(told["accessToken"]), unix(str(told["expireTime"]))


def _text(text: str) -> Answer:
    return Answer(200, text.encode(), {**_FLAVOR, "Content-Type": "application/text"})


def _json(value: object) -> Answer:
    return Answer(200, json.dumps(value).encode(), {**_FLAVOR, "Content-Type": "application/json"})


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text[:300]
