"""Credentials, the project and the clients: every call to Google Cloud starts here.

The SDK does not read gcloud's ``CLOUDSDK_API_ENDPOINT_OVERRIDES_*``, so that is done here.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from dstack_cloud.clouds.gcp.sdk import compute_v1
from dstack_cloud.clouds.gcp.settings import Settings
from dstack_cloud.errors import InputError

_TIMEOUT_S = 60.0
SERVICES = {
    "compute": "https://compute.googleapis.com/compute/v1/",
    "cloudresourcemanager": "https://cloudresourcemanager.googleapis.com/",
    "iam": "https://iam.googleapis.com/",
    "secretmanager": "https://secretmanager.googleapis.com/",
    "serviceusage": "https://serviceusage.googleapis.com/",
    "storage": "https://storage.googleapis.com/",
}
"""Where each service is, unless ``CLOUDSDK_API_ENDPOINT_OVERRIDES_<NAME>`` says otherwise."""


def endpoint(service: str, environ: Mapping[str, str]) -> str:
    """The address of a service, with a slash at its end."""
    override = environ.get(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service.upper()}")
    if service == "storage":
        override = environ.get("STORAGE_EMULATOR_HOST") or override
    return (override or SERVICES[service]).rstrip("/") + "/"


class Sessions:
    """The clients of one set of credentials, made once each; safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.RLock()
        self._credentials: Any = None
        self._clients: dict[str, Any] = {}
        self._http: Any = None

    def credentials(self) -> Any:
        """Application Default Credentials, as the SDK takes them. CredentialsError without any."""
        with self._lock:
            if self._credentials is None:
                self._credentials = _signed_in()
            return self._credentials

    def project(self) -> str:
        """The project to work in: the setting, else the environment's or the credentials' own.

        Raises InputError when none is named anywhere.
        """
        environ = self._settings.environ
        named = (
            self._settings.project
            or environ.get("GOOGLE_CLOUD_PROJECT")
            or environ.get("CLOUDSDK_CORE_PROJECT")
            or getattr(self.credentials().found, "project_id", None)
            or self.credentials().found.quota_project_id
        )
        if named:
            return str(named)
        raise InputError(
            "no Google Cloud project is set",
            "set gcp.project in the configuration, or GOOGLE_CLOUD_PROJECT",
        )

    def caller(self) -> str:
        """Who calls, as far as the credentials tell, after a token has really been had."""
        credentials = self.credentials()
        credentials.sign_in.token()
        return str(getattr(credentials.found, "service_account_email", "") or "a user's sign-in")

    def client(self, name: str) -> Any:
        """A client of the Compute API by REST: ``Instances``, ``Firewalls``, ``Regions``, …

        Its transport is made here: the ready-made one would sign its own tokens, and look for the
        operations of a call at an address of its own.
        """
        with self._lock:
            if name not in self._clients:
                credentials, base = self.credentials(), self.compute
                kind = getattr(compute_v1(), f"{name}Client")
                host = base.removesuffix("/").removesuffix("/compute/v1")
                scheme, _, rest = host.rpartition("://")
                transport = kind.get_transport_class("rest")(
                    credentials=credentials,
                    host=rest,
                    url_scheme=scheme or "https",
                    always_use_jwt_access=False,
                )
                self._clients[name] = kind(transport=transport)
            return self._clients[name]

    @property
    def compute(self) -> str:
        """The address of the Compute API."""
        return endpoint("compute", self._settings.environ)

    def call(self, service: str, method: str, path: str, body: Any = None, **query: str) -> Any:
        """One call by plain REST: what it answers, as JSON. Raises what the SDK's clients raise."""
        from google.api_core import exceptions

        url = endpoint(service, self._settings.environ) + path
        answer = self._session().request(
            method, url, json=body, params=query or None, timeout=_TIMEOUT_S
        )
        if not answer.ok:
            raise exceptions.from_http_response(answer)  # type: ignore[no-untyped-call]
        found = answer.headers.get("content-type", "").startswith("application/json")
        return answer.json() if found and answer.content else {}

    def _session(self) -> Any:
        with self._lock:
            if self._http is None:
                from google.auth.transport.requests import AuthorizedSession

                self._http = AuthorizedSession(self.credentials())  # type: ignore[no-untyped-call]
            return self._http


def _signed_in() -> Any:
    """Credentials that have their tokens from `google_sign_in`: the SDK's own would ask further
    addresses, which nobody can name others for."""
    from google.auth.credentials import Credentials

    from dstack_cloud.google_sign_in import SignIn

    class SignedIn(Credentials):
        """``found`` are the environment's credentials, ``sign_in`` has their tokens."""

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.sign_in = SignIn()
            self.found = self.sign_in.found.credentials

        def refresh(self, request: object) -> None:
            self.token = self.sign_in.token()

        def before_request(
            self, request: object, method: str, url: str, headers: dict[str, str]
        ) -> None:
            headers.update(self.sign_in.headers())

    return SignedIn()


def as_json(message: Any) -> dict[str, Any]:
    """An answer of the SDK in Google's own JSON, without what is not set."""
    import json

    found: dict[str, Any] = json.loads(
        type(message).to_json(
            message, use_integers_for_enums=False, always_print_fields_with_no_presence=False
        )
    )
    return found
