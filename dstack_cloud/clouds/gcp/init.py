"""What `init` makes in the project, step by step; harmless when it is there already."""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from dstack_cloud.clouds.gcp import network, policies, store
from dstack_cloud.clouds.gcp.check import APIS
from dstack_cloud.clouds.gcp.codes import ROLES
from dstack_cloud.clouds.gcp.errors import translated
from dstack_cloud.clouds.gcp.sessions import Sessions
from dstack_cloud.clouds.gcp.settings import Settings
from dstack_cloud.clouds.gcp.template import network_path
from dstack_cloud.errors import InputError, PermissionDeniedError, TryAgainError

# What a role that is written anew may have in common with the one that is there.
_ROLE_FIELDS = ("title", "description", "includedPermissions")
# An API takes seconds to enable, now and then minutes.
_ENABLED_WITHIN_S, _PAUSE_S = 300, 2
# docs.cloud.google.com/iam/docs/principal-identifiers
_MEMBER = re.compile(r"(user|group|serviceAccount|domain|principal|principalSet):\S+")
_ADMINISTRATOR = (
    "init is for an administrator of the project: the role "
    "dstack_cloud/clouds/gcp/policies/init.json is enough"
)


def init(
    settings: Settings, regions: Sequence[str], members: Sequence[str] = ()
) -> Iterator[tuple[str, str]]:
    """Enable the APIs, make roles, service account, bucket and firewall rule, and bind the roles.

    ``regions``' first is the bucket's. ``members`` (``user:ada@example.com``,
    ``serviceAccount:…``) are granted what `run` needs. Yields (step, what was done) as each is
    done. Every step may be repeated. The rule is made only where the settings name no network tags
    of the user's own.
    """
    if settings.store_url is None or not regions:
        raise InputError("a store and a region are needed", "add --store gs://NAME --region R")
    for member in members:
        if not _MEMBER.fullmatch(member):
            raise InputError(
                f"--member: '{member}' does not say what it is",
                "write user:NAME@HOST, group:NAME@HOST or serviceAccount:NAME@HOST",
            )
    try:
        yield from _steps(settings, regions, members)
    except PermissionDeniedError as error:
        if error.hint == ROLES:
            error.hint = _ADMINISTRATOR
        raise


def _steps(
    settings: Settings, regions: Sequence[str], members: Sequence[str]
) -> Iterator[tuple[str, str]]:
    assert settings.store_url is not None
    bucket, prefix = store.parse(settings.store_url)
    sessions = Sessions(settings)
    project = sessions.project()
    number = yield from _enable(sessions, project)
    yield "project", f"{project} ({number})"
    for name in policies.ROLE_IDS:
        yield "role", f"{policies.ROLE_IDS[name]}: {_make_role(sessions, project, name)}"
    account = settings.account(project)
    yield "service account", f"{account}: {_make_account(sessions, project, account, settings)}"
    yield "bucket", f"{bucket}: {store.make_bucket(sessions, bucket, regions[0], number)}"
    yield "bucket's protection", store.protect_bucket(sessions, bucket)
    machine = f"serviceAccount:{account}"
    yield "use of the bucket", store.grant(sessions, bucket, prefix, [machine, *members])
    yield "use of the project", _bind(sessions, project, account, members)
    if members:
        yield "use of the account", _let_use(sessions, project, account, members)
    if settings.network_tags:
        yield "firewall", f"your own: {', '.join(settings.network_tags)}"
        return
    rule = network.deny_rule(network_path(settings, project))
    made = network.add(sessions, rule, "making the firewall rule", settings.operation_s)
    yield "firewall", f"{rule['name']}: {'made' if made else 'was there'}"


def _enable(sessions: Sessions, project: str) -> Generator[tuple[str, str], None, str]:
    """Enable what the other steps and a run call; the project's number.

    Before anything else: of these, a new project has Service Usage alone, by which it is done.
    """
    number = ""
    for api in APIS:
        path = f"v1/projects/{project}/services/{api}"
        with translated(f"enabling {api}"):
            found = sessions.call("serviceusage", "GET", path)
            enabled = found.get("state") == "ENABLED"
            if not enabled:
                _until_done(sessions, sessions.call("serviceusage", "POST", f"{path}:enable", {}))
        number = str(found["name"]).split("/")[1]
        yield "API", f"{api}: {'was enabled' if enabled else 'enabled'}"
    return number


def _until_done(sessions: Sessions, operation: dict[str, Any]) -> None:
    """Wait for an operation of Service Usage: what comes next calls the API."""
    deadline = time.monotonic() + _ENABLED_WITHIN_S
    while not operation.get("done"):
        if time.monotonic() > deadline:
            raise TryAgainError(
                f"{operation.get('name')} is not done after {_ENABLED_WITHIN_S} s",
                "run init again in a few minutes: what is done is not done twice",
            )
        time.sleep(_PAUSE_S)
        operation = sessions.call("serviceusage", "GET", f"v1/{operation['name']}")


def _make_role(sessions: Sessions, project: str, name: str) -> str:
    from google.api_core import exceptions

    wanted = policies.role(name)
    path = f"v1/{policies.role_path(project, name)}"
    with translated(f"making the role {policies.ROLE_IDS[name]}"):
        try:
            found = sessions.call("iam", "GET", path)
        except exceptions.NotFound:
            body = {"roleId": policies.ROLE_IDS[name], "role": wanted}
            sessions.call("iam", "POST", f"v1/projects/{project}/roles", body)
            return "made"
        if found.get("deleted"):
            sessions.call("iam", "POST", f"{path}:undelete", {})
        if all(_same(found.get(key), wanted[key]) for key in _ROLE_FIELDS):
            return "was there"
        sessions.call("iam", "PATCH", path, wanted, updateMask=",".join(_ROLE_FIELDS))
    return "brought up to date"


def _same(one: Any, other: Any) -> bool:
    return sorted(one or ()) == sorted(other) if isinstance(other, list) else one == other


def _make_account(sessions: Sessions, project: str, account: str, settings: Settings) -> str:
    from google.api_core import exceptions

    if "@" in settings.service_account:
        return "your own"
    body = {
        "accountId": settings.service_account,
        "serviceAccount": {"displayName": "Machines of dstack-cloud"},
    }
    with translated(f"making the service account {account}"):
        try:
            sessions.call("iam", "POST", f"v1/projects/{project}/serviceAccounts", body)
        except exceptions.Conflict:
            return "was there"
    return "made"


def _bind(sessions: Sessions, project: str, account: str, members: Sequence[str]) -> str:
    wanted = [policies.machine_binding(project, account), policies.pull_binding(project, account)]
    if members:
        wanted.append(policies.run_binding(project, members))
        wanted.append(policies.secrets_binding(project, members))
    path = f"v1/projects/{project}"
    with translated("granting the roles in the project"):
        options = {"options": {"requestedPolicyVersion": 3}}
        policy = sessions.call("cloudresourcemanager", "POST", f"{path}:getIamPolicy", options)
        changed = policies.merged(policy, wanted)
        if changed is None:
            return "was granted"
        body = {"policy": changed}
        sessions.call("cloudresourcemanager", "POST", f"{path}:setIamPolicy", body)
    return "granted"


def _let_use(sessions: Sessions, project: str, account: str, members: Sequence[str]) -> str:
    """Those who run must be allowed to give machines their account."""
    path = f"v1/projects/{project}/serviceAccounts/{account}"
    wanted = {"role": policies.USE_ACCOUNT, "members": list(members)}
    with translated(f"granting the use of {account}"):
        changed = policies.merged(
            sessions.call("iam", "POST", f"{path}:getIamPolicy", {}), [wanted]
        )
        if changed is None:
            return "was granted"
        sessions.call("iam", "POST", f"{path}:setIamPolicy", {"policy": changed})
    return "granted"
