"""Which APIs the project has enabled: Service Usage, and what calls to the others meet."""

from __future__ import annotations

import secrets
import threading
from typing import Any

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.project import NUMBER

TITLES = {
    "compute.googleapis.com": "Compute Engine API",
    "cloudbilling.googleapis.com": "Cloud Billing API",
    "cloudresourcemanager.googleapis.com": "Cloud Resource Manager API",
    "iam.googleapis.com": "Identity and Access Management (IAM) API",
    "iamcredentials.googleapis.com": "IAM Service Account Credentials API",
    "secretmanager.googleapis.com": "Secret Manager API",
    "serviceusage.googleapis.com": "Service Usage API",
    "storage.googleapis.com": "Cloud Storage API",
}
# cloud.google.com/service-usage/docs/enabled-service#default: what a new project has.
ENABLED = {"serviceusage.googleapis.com", "storage.googleapis.com"}


class Services:
    """``enabled`` by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._enabled = set(ENABLED)
        self._operations: dict[str, dict[str, Any]] = {}

    def set_enabled(self, name: str, enabled: bool) -> None:
        """As an administrator elsewhere would."""
        self._known(name)
        with self._lock:
            (self._enabled.add if enabled else self._enabled.discard)(name)

    def get(self, name: str) -> dict[str, Any]:
        self._known(name)
        with self._lock:
            state = "ENABLED" if name in self._enabled else "DISABLED"
        return {
            "name": f"projects/{NUMBER}/services/{name}",
            "parent": f"projects/{NUMBER}",
            "config": {"name": name, "title": TITLES[name]},
            "state": state,
        }

    def listing(self, wanted: str) -> list[dict[str, Any]]:
        """``state:ENABLED``, ``state:DISABLED`` or all."""
        if wanted not in ("", "state:ENABLED", "state:DISABLED"):
            raise GcpError(400, "invalid", f"Invalid filter: {wanted}")
        state = wanted.partition(":")[2]
        found = [self.get(name) for name in sorted(TITLES)]
        return [one for one in found if not state or one["state"] == state]

    def enable(self, names: list[str], *, single: bool) -> dict[str, Any]:
        """A finished operation of Service Usage, as it answers where all goes fast."""
        if not 1 <= len(names) <= 20:
            raise GcpError(400, "invalid", "From 1 to 20 services can be enabled at a time.")
        for name in names:
            self.set_enabled(name, True)
        answer = [self.get(name) for name in names]
        word = "EnableServiceResponse" if single else "BatchEnableServicesResponse"
        value: dict[str, Any] = {"service": answer[0]} if single else {"services": answer}
        operation = {
            "name": f"operations/acat.p2-{NUMBER}-{secrets.token_hex(8)}",
            "done": True,
            "response": {
                "@type": f"type.googleapis.com/google.api.serviceusage.v1.{word}",
                **value,
            },
        }
        with self._lock:
            self._operations[str(operation["name"])] = operation
        return operation

    def operation(self, name: str) -> dict[str, Any]:
        with self._lock:
            found = self._operations.get(f"operations/{name}")
        if found is None:
            raise GcpError(404, "notFound", f"Operation {name} was not found.")
        return found

    def require(self, name: str) -> None:
        """GcpError 403 where the API is not enabled; one that is not listed here always is."""
        with self._lock:
            if name in self._enabled or name not in TITLES:
                return
        raise disabled(name)

    def _known(self, name: str) -> None:
        if name not in TITLES:
            raise GcpError(403, "forbidden", f"Service '{name}' not found or permission denied.")


def disabled(name: str) -> GcpError:
    """In the words that users report; the reason of the younger APIs is in the details."""
    url = f"https://console.developers.google.com/apis/api/{name}/overview?project={NUMBER}"
    message = (
        f"{TITLES.get(name, name)} has not been used in project {NUMBER} before or it is disabled. "
        f"Enable it by visiting {url} then retry. If you enabled this API recently, wait a few "
        "minutes for the action to propagate to our systems and retry."
    )
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "SERVICE_DISABLED",
            "domain": "googleapis.com",
            "metadata": {
                "service": name,
                "serviceTitle": TITLES.get(name, name),
                "consumer": f"projects/{NUMBER}",
                "containerInfo": str(NUMBER),
                "activationUrl": url,
            },
        }
    ]
    return GcpError(403, "accessNotConfigured", message, details)
