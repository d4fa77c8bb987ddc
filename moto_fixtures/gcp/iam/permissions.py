"""Which call needs which permission on what.

Each row's permissions are those of the method's reference page, in the section "IAM Permissions"
(``compute``: cloud.google.com/compute/docs/reference/rest/v1/RESOURCE/METHOD; the others likewise).
``{project}`` and the like are filled in from the path. Launches settle theirs themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from moto_fixtures.gcp.call import Call
from moto_fixtures.gcp.compute.launch import LAUNCHES
from moto_fixtures.gcp.project import NUMBER, PROJECT

_COMPUTE = "https://cloud.google.com/compute/docs/reference/rest/v1/"
_IAM = "https://cloud.google.com/iam/docs/reference/rest/v1/"
_MANAGER = "https://cloud.google.com/resource-manager/reference/rest/v3/projects/"
_USAGE = "https://cloud.google.com/service-usage/docs/reference/rest/v1/services/"
_PROJECT = f"projects/{PROJECT}"
_INSTANCE = f"{_PROJECT}/zones/{{zone}}/instances/{{instance}}"
_DISK = f"{_PROJECT}/zones/{{zone}}/disks/{{disk}}"
_FIREWALL = f"{_PROJECT}/global/firewalls/{{firewall}}"
_POLICY = f"{_PROJECT}/regions/{{region}}/resourcePolicies/{{resourcePolicy}}"
_SECRETS = "https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets"
_SECRET = f"projects/{NUMBER}/secrets/{{secretsId}}"
_ACCOUNT = f"{_PROJECT}/serviceAccounts/{{serviceAccountsId}}"


@dataclass(frozen=True)
class Row:
    """``needs``: permission and the resource's name."""

    needs: tuple[tuple[str, str], ...]
    source: str


def _compute(resource: str, method: str, target: str, *permissions: str) -> tuple[str, Row]:
    needs = tuple((p, target) for p in permissions or (f"compute.{resource}.{method}",))
    return f"compute.{resource}.{method}", Row(needs, f"{_COMPUTE}{resource}/{method}")


def _listed(resource: str, scopes: tuple[str, ...] = ("list",)) -> list[tuple[str, Row]]:
    return [_compute(resource, method, _PROJECT, f"compute.{resource}.list") for method in scopes]


def _row(action: str, base: str, method: str, *needs: tuple[str, str]) -> tuple[str, Row]:
    return action, Row(needs, base + method)


_BOTH = ("list", "aggregatedList")
TABLE: dict[str, Row] = dict(
    [
        _compute("instances", "get", _INSTANCE),
        *_listed("instances", _BOTH),
        _compute("instances", "delete", _INSTANCE),
        _compute("instances", "stop", _INSTANCE),
        _compute("instances", "setLabels", _INSTANCE),
        _compute("instances", "setMetadata", _INSTANCE),
        _compute("disks", "get", _DISK),
        *_listed("disks", _BOTH),
        _compute("disks", "delete", _DISK),
        _compute("firewalls", "get", _FIREWALL),
        *_listed("firewalls"),
        _compute(
            "firewalls",
            "insert",
            _PROJECT,
            "compute.firewalls.create",
            "compute.networks.updatePolicy",
        ),
        _compute(
            "firewalls",
            "patch",
            _FIREWALL,
            "compute.firewalls.get",
            "compute.firewalls.update",
            "compute.networks.updatePolicy",
        ),
        _compute(
            "firewalls",
            "delete",
            _FIREWALL,
            "compute.firewalls.delete",
            "compute.networks.updatePolicy",
        ),
        _compute("resourcePolicies", "get", _POLICY),
        *_listed("resourcePolicies"),
        _compute("resourcePolicies", "insert", _PROJECT, "compute.resourcePolicies.create"),
        _compute("resourcePolicies", "delete", _POLICY),
        _compute("networks", "get", f"{_PROJECT}/global/networks/{{network}}"),
        *_listed("networks"),
        _compute("subnetworks", "get", f"{_PROJECT}/regions/{{region}}/subnetworks/{{subnetwork}}"),
        *_listed("subnetworks"),
        _compute("projects", "get", _PROJECT),
        _compute("zones", "get", _PROJECT),
        *_listed("zones"),
        _compute("regions", "get", _PROJECT),
        *_listed("regions"),
        _compute("machineTypes", "get", _PROJECT),
        *_listed("machineTypes", _BOTH),
        _compute("acceleratorTypes", "get", _PROJECT),
        *_listed("acceleratorTypes", _BOTH),
        *(
            _compute(f"{kind}Operations", method, _PROJECT, f"compute.{kind}Operations.{needed}")
            for kind in ("zone", "region", "global")
            for method, needed in (("get", "get"), ("wait", "get"), ("list", "list"))
        ),
        _compute(
            "images",
            "insert",
            _PROJECT,
            "compute.images.create",
            "compute.images.setLabels",
            "compute.disks.useReadOnly",
        ),
        *_listed("images"),
        _compute("images", "delete", f"{_PROJECT}/global/images/{{image}}"),
        # Public images are everybody's: their projects grant allAuthenticatedUsers the use of them.
        *(
            (f"compute.images.{m}", Row((), f"{_COMPUTE}images/{m}"))
            for m in ("get", "getFromFamily")
        ),
        # Prices are public; the call needs no permission on the caller's project.
        (
            "cloudbilling.services.skus.list",
            Row((), "https://cloud.google.com/billing/docs/reference/rest/v1/services.skus/list"),
        ),
        _row(
            "cloudresourcemanager.projects.get",
            _MANAGER,
            "get",
            ("resourcemanager.projects.get", _PROJECT),
        ),
        _row(
            "cloudresourcemanager.projects.getIamPolicy",
            _MANAGER,
            "getIamPolicy",
            ("resourcemanager.projects.getIamPolicy", _PROJECT),
        ),
        _row(
            "cloudresourcemanager.projects.setIamPolicy",
            _MANAGER,
            "setIamPolicy",
            ("resourcemanager.projects.setIamPolicy", _PROJECT),
        ),
        # Asking what one may needs no permission.
        _row("cloudresourcemanager.projects.testIamPermissions", _MANAGER, "testIamPermissions"),
        *(
            _row(
                f"iam.projects.serviceAccounts.{method}",
                _IAM,
                f"projects.serviceAccounts/{method}",
                (
                    f"iam.serviceAccounts.{method}",
                    _PROJECT if method in ("create", "list") else _ACCOUNT,
                ),
            )
            for method in ("create", "list", "get", "delete", "getIamPolicy", "setIamPolicy")
        ),
        _row(
            "iam.projects.serviceAccounts.testIamPermissions",
            _IAM,
            "projects.serviceAccounts/testIamPermissions",
        ),
        _row(
            "iamcredentials.projects.serviceAccounts.generateAccessToken",
            "https://cloud.google.com/iam/docs/reference/credentials/rest/v1/",
            "projects.serviceAccounts/generateAccessToken",
            ("iam.serviceAccounts.getAccessToken", _ACCOUNT),
        ),
        *(
            _row(
                f"iam.projects.roles.{method}",
                _IAM,
                f"projects.roles/{method}",
                (f"iam.roles.{needed}", _PROJECT),
            )
            for method, needed in (
                ("create", "create"),
                ("get", "get"),
                ("list", "list"),
                ("patch", "update"),
                ("delete", "delete"),
                ("undelete", "undelete"),
            )
        ),
        *(
            _row(
                f"secretmanager.projects.secrets.{method}",
                _SECRETS,
                f"/{method}",
                (f"secretmanager.{needed}", target),
            )
            for method, needed, target in (
                ("create", "secrets.create", _PROJECT),
                ("list", "secrets.list", _PROJECT),
                ("get", "secrets.get", _SECRET),
                ("delete", "secrets.delete", _SECRET),
                ("addVersion", "versions.add", _SECRET),
            )
        ),
        *(
            _row(
                f"secretmanager.projects.secrets.versions.{method}",
                _SECRETS,
                f".versions/{method}",
                (f"secretmanager.versions.{method}", target),
            )
            for method, target in (
                ("list", _SECRET),
                *(
                    (each, f"{_SECRET}/versions/{{versionsId}}")
                    for each in ("get", "access", "destroy", "disable")
                ),
            )
        ),
        _row("secretmanager.projects.secrets.testIamPermissions", _SECRETS, "/testIamPermissions"),
        _row("serviceusage.services.get", _USAGE, "get", ("serviceusage.services.get", _PROJECT)),
        _row(
            "serviceusage.services.list", _USAGE, "list", ("serviceusage.services.list", _PROJECT)
        ),
        _row(
            "serviceusage.services.batchGet",
            _USAGE,
            "batchGet",
            ("serviceusage.services.get", _PROJECT),
        ),
        _row(
            "serviceusage.services.enable",
            _USAGE,
            "enable",
            ("serviceusage.services.enable", _PROJECT),
        ),
        _row(
            "serviceusage.services.batchEnable",
            _USAGE,
            "batchEnable",
            ("serviceusage.services.enable", _PROJECT),
        ),
        _row(
            "serviceusage.operations.get",
            "https://cloud.google.com/service-usage/docs/reference/rest/v1/operations/",
            "get",
        ),
    ]
)


def needs(call: Call) -> list[tuple[str, str]]:
    """Permissions and resources of a call that is no launch."""
    if call.action in LAUNCHES:
        return []
    row = TABLE[call.action]
    return [(permission, target.format_map(call.params)) for permission, target in row.needs]
