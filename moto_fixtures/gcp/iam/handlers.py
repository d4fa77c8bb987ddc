"""The calls of IAM, Resource Manager and Service Usage."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from moto_fixtures.gcp.call import GcpError
from moto_fixtures.gcp.project import NUMBER, PROJECT
from moto_fixtures.gcp.request import Request
from moto_fixtures.gcp.tokens import LIFETIME_S, Bearer

Item = dict[str, Any]
_PROJECT = f"projects/{PROJECT}"


def get_project(request: Request) -> Item:
    if request.call.path.startswith("/v3/"):
        return {
            "name": f"projects/{NUMBER}",
            "projectId": PROJECT,
            "displayName": PROJECT,
            "state": "ACTIVE",
            "createTime": "2026-01-31T09:29:00.000Z",
            "parent": "organizations/512345678901",
            "etag": "W/5b8c1f0a",
        }
    return {
        "projectNumber": str(NUMBER),
        "projectId": PROJECT,
        "name": PROJECT,
        "lifecycleState": "ACTIVE",
        "createTime": "2026-01-31T09:29:00.000Z",
    }


def get_project_policy(request: Request) -> Item:
    return request.emulator.policies.get(_PROJECT, _version(request))


def set_project_policy(request: Request) -> Item:
    return request.emulator.policies.set(_PROJECT, _policy(request))


def test_project(request: Request) -> Item:
    return _tested(request, _PROJECT)


def create_account(request: Request) -> Item:
    body = request.call.body or {}
    given = body.get("serviceAccount") or {}
    words = {k: given[k] for k in ("displayName", "description") if k in given}
    return request.emulator.accounts.create(str(body.get("accountId", "")), **words)


def list_accounts(request: Request) -> Item:
    return {"accounts": request.emulator.accounts.listing()}


def get_account(request: Request) -> Item:
    return request.emulator.accounts.get(_account(request)).resource


def delete_account(request: Request) -> Item:
    request.emulator.accounts.delete(_account(request))
    return {}


def get_account_policy(request: Request) -> Item:
    asked = request.call.query.get("options.requestedPolicyVersion")
    return request.emulator.policies.get(_account_path(request), int(asked or 1))


def set_account_policy(request: Request) -> Item:
    return request.emulator.policies.set(_account_path(request), _policy(request))


def test_account(request: Request) -> Item:
    return _tested(request, _account_path(request))


def generate_access_token(request: Request) -> Item:
    """A token of another account, for an hour at most."""
    body = request.call.body or {}
    if not body.get("scope"):
        raise GcpError(400, "badRequest", "The scopes must be given.")
    seconds = int(str(body.get("lifetime", "3600s")).removesuffix("s"))
    if not 0 < seconds <= LIFETIME_S:
        raise GcpError(400, "badRequest", "The lifetime must be at most 3600s.")
    email = request.emulator.accounts.get(_account(request)).resource["email"]
    given = request.emulator.tokens.give(Bearer(email, tuple(body["scope"])))
    until = request.emulator.clock.now() + timedelta(seconds=LIFETIME_S)
    return {
        "accessToken": given["access_token"],
        "expireTime": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def create_role(request: Request) -> Item:
    body = request.call.body or {}
    return request.emulator.roles.create(str(body.get("roleId", "")), body.get("role") or {})


def get_role(request: Request) -> Item:
    return request.emulator.roles.get(_role(request))


def list_roles(request: Request) -> Item:
    full = request.call.query.get("view") == "FULL"
    listed = request.emulator.roles.listing()
    if not full:
        listed = [{k: v for k, v in r.items() if k != "includedPermissions"} for r in listed]
    return {"roles": listed} if listed else {}


def patch_role(request: Request) -> Item:
    mask = request.call.query.get("updateMask", "")
    names = [_camel(name) for name in mask.split(",") if name]
    return request.emulator.roles.patch(_role(request), request.call.body or {}, names)


def delete_role(request: Request) -> Item:
    return request.emulator.roles.set_deleted(_role(request), True)


def undelete_role(request: Request) -> Item:
    return request.emulator.roles.set_deleted(_role(request), False)


def get_service(request: Request) -> Item:
    return request.emulator.services.get(request.call.params["servicesId"])


def list_services(request: Request) -> Item:
    return {"services": request.emulator.services.listing(request.call.query.get("filter", ""))}


def batch_get_services(request: Request) -> Item:
    names = [last.rpartition("/")[2] for last in request.call.query.get("names", "").split(",")]
    return {"services": [request.emulator.services.get(name) for name in names if name]}


def enable_service(request: Request) -> Item:
    return request.emulator.services.enable([request.call.params["servicesId"]], single=True)


def batch_enable_services(request: Request) -> Item:
    body = request.call.body or {}
    return request.emulator.services.enable(list(body.get("serviceIds") or []), single=False)


def get_operation(request: Request) -> Item:
    return request.emulator.services.operation(request.call.params["operationsId"])


def _tested(request: Request, resource: str) -> Item:
    """Those that the caller has. One that does not exist is refused by the real service; here any
    name in the form of one is taken."""
    asked = list((request.call.body or {}).get("permissions") or [])
    for permission in asked:
        if "*" in permission or permission.count(".") < 2:
            raise GcpError(
                400, "invalid", f"Permission {permission} is not valid for this resource."
            )
    held = [p for p in asked if request.call.caller.may(p, resource)]
    return {"permissions": held} if held else {}


def _version(request: Request) -> int:
    options = (request.call.body or {}).get("options") or {}
    return int(options.get("requestedPolicyVersion") or 1)


def _policy(request: Request) -> Item:
    policy = (request.call.body or {}).get("policy")
    if policy is None:
        raise GcpError(400, "required", "Request contains an invalid argument: policy is missing.")
    return dict(policy)


def _account(request: Request) -> str:
    return request.call.params["serviceAccountsId"]


def _account_path(request: Request) -> str:
    """By the address, whichever way the call names it; GcpError where there is no such account."""
    return str(request.emulator.accounts.get(_account(request)).resource["name"])


def _role(request: Request) -> str:
    return f"{_PROJECT}/roles/{request.call.params['rolesId']}"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


HANDLERS: dict[str, Callable[[Request], Item]] = {
    "cloudresourcemanager.projects.get": get_project,
    "cloudresourcemanager.projects.getIamPolicy": get_project_policy,
    "cloudresourcemanager.projects.setIamPolicy": set_project_policy,
    "cloudresourcemanager.projects.testIamPermissions": test_project,
    "iam.projects.serviceAccounts.create": create_account,
    "iam.projects.serviceAccounts.list": list_accounts,
    "iam.projects.serviceAccounts.get": get_account,
    "iam.projects.serviceAccounts.delete": delete_account,
    "iam.projects.serviceAccounts.getIamPolicy": get_account_policy,
    "iam.projects.serviceAccounts.setIamPolicy": set_account_policy,
    "iam.projects.serviceAccounts.testIamPermissions": test_account,
    "iamcredentials.projects.serviceAccounts.generateAccessToken": generate_access_token,
    "iam.projects.roles.create": create_role,
    "iam.projects.roles.get": get_role,
    "iam.projects.roles.list": list_roles,
    "iam.projects.roles.patch": patch_role,
    "iam.projects.roles.delete": delete_role,
    "iam.projects.roles.undelete": undelete_role,
    "serviceusage.services.get": get_service,
    "serviceusage.services.list": list_services,
    "serviceusage.services.batchGet": batch_get_services,
    "serviceusage.services.enable": enable_service,
    "serviceusage.services.batchEnable": batch_enable_services,
    "serviceusage.operations.get": get_operation,
    "cloudresourcemanager.operations.get": get_operation,
}
