"""Who signed a call: the account's root, a user, or a session of a role."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from moto_fixtures.aws import backends
from moto_fixtures.aws.answer import AwsError
from moto_fixtures.aws.backends import ACCOUNT
from moto_fixtures.aws.call import Call
from moto_fixtures.aws.iam.signature import signature_holds
from moto_fixtures.shared.clock import Clock

ROOT_ACCESS_KEY = "admin"
ROOT_SECRET_KEY = "admin"


@dataclass(frozen=True)
class Principal:
    """``name`` is ``root``, ``user/NAME`` or ``role/NAME/SESSION``."""

    name: str
    arn: str
    userid: str
    policies: list[dict[str, Any]] = field(default_factory=list)
    boundaries: list[dict[str, Any]] = field(default_factory=list)
    """Documents that must allow as well: a session's own policy."""
    context: dict[str, list[str]] = field(default_factory=dict)

    @property
    def root(self) -> bool:
        return self.name == "root"


_ROOT = Principal("root", f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)


def unknown_key(protocol: str, service: str) -> AwsError:
    """The service's own error for an access key that does not exist."""
    if service == "ec2":
        return AwsError(
            "AuthFailure", "AWS was not able to validate the provided access credentials"
        )
    if service == "s3":
        return AwsError(
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        )
    code = "InvalidClientTokenId" if protocol == "query" else "UnrecognizedClientException"
    return AwsError(code, "The security token included in the request is invalid.")


def expired_token(protocol: str, service: str) -> AwsError:
    """The service's own error for a session that has run out."""
    if service == "ec2":
        return AwsError("RequestExpired", "Request has expired.")
    if service == "s3":
        return AwsError("ExpiredToken", "The provided token has expired.")
    message = "The security token included in the request is expired"
    if protocol == "query":
        return AwsError("ExpiredToken", message, 403)
    return AwsError("ExpiredTokenException", message)


def bad_signature(protocol: str, service: str) -> AwsError:
    """The service's own error for a wrong secret key."""
    if service == "ec2":
        return unknown_key(protocol, service)
    message = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method."
    )
    code = "SignatureDoesNotMatch" if protocol != "json" else "InvalidSignatureException"
    return AwsError(code, message)


def _documents(owner: Any) -> list[dict[str, Any]]:
    """Inline and attached policies of a user, group or role of moto's."""
    texts = list(owner.policies.values())
    texts += [managed.document for managed in owner.managed_policies.values()]
    return [json.loads(text) if isinstance(text, str) else text for text in texts]


def _of_user(name: str) -> Principal:
    iam = backends.iam()
    user = iam.users[name]
    policies = _documents(user)
    for group in iam.groups.values():
        if any(member.name == name for member in group.users):
            policies += _documents(group)
    context = {"aws:username": [name], "aws:userid": [user.id], "aws:principalarn": [user.arn]}
    return Principal(f"user/{name}", user.arn, user.id, policies, context=context)


def _of_session(session: Any, instance: str | None) -> Principal:
    role_name = session.role_arn.rsplit("/", 1)[-1]
    role = next((r for r in backends.iam().roles.values() if r.name == role_name), None)
    if role is None:
        raise AwsError("InvalidClientTokenId", "The role of this session no longer exists.")
    # Credentials handed out by the metadata service name the machine as their session.
    name = instance or session.session_name
    userid = f"{role.id}:{name}"
    context = {
        "aws:userid": [userid],
        "aws:principalarn": [role.arn],
        "aws:principaltype": ["AssumedRole"],
    }
    if instance is not None:
        region = _region_of(instance)
        arn = f"arn:aws:ec2:{region}:{ACCOUNT}:instance/{instance}"
        context["ec2:sourceinstancearn"] = [arn]
        context["aws:sourceinstancearn"] = [arn]
    boundaries = [json.loads(session.policy)] if session.policy else []
    return Principal(
        f"role/{role_name}/{name}",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/{role_name}/{name}",
        userid,
        _documents(role),
        boundaries,
        context,
    )


def _region_of(instance_id: str) -> str:
    from moto.ec2.models import ec2_backends

    for region, backend in ec2_backends[ACCOUNT].items():
        if any(i.id == instance_id for i in backend.all_instances()):
            return str(region)
    return "us-east-1"


class Identities:
    """Tells principals by their keys, and hands out the credentials of machines."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._machine_keys: dict[str, str] = {}

    def identify(self, call: Call) -> Principal:
        """Raises the service's own AwsError for unknown, wrong or expired credentials."""
        from moto_fixtures.aws.answer import protocol_of

        protocol = protocol_of(call.model_name)
        key = call.access_key
        if key is None:
            if call.service == "s3":
                raise AwsError("AccessDenied", "Access Denied")
            raise AwsError("MissingAuthenticationToken", "Request is missing Authentication Token")
        if key == ROOT_ACCESS_KEY:
            if not signature_holds(call, ROOT_SECRET_KEY):
                raise bad_signature(protocol, call.service)
            return _ROOT
        for session in reversed(backends.sts().assumed_roles):
            if session.access_key_id == key:
                return self._session(call, session, protocol)
        for user in list(backends.iam().users.values()):
            for held in user.access_keys:
                if held.access_key_id == key:
                    if held.status != "Active":
                        raise unknown_key(protocol, call.service)
                    if not signature_holds(call, held.secret_access_key):
                        raise bad_signature(protocol, call.service)
                    return _of_user(user.name)
        raise unknown_key(protocol, call.service)

    def _session(self, call: Call, session: Any, protocol: str) -> Principal:
        if call.session_token != session.session_token:
            raise unknown_key(protocol, call.service)
        if session.expiration.replace(tzinfo=UTC) <= self._clock.now():
            raise expired_token(protocol, call.service)
        if not signature_holds(call, session.secret_access_key):
            raise bad_signature(protocol, call.service)
        return _of_session(session, self._machine_keys.get(session.access_key_id))

    def machine_credentials(self, role_name: str, machine_id: str) -> dict[str, str]:
        """What the metadata service gives a machine: keys and token, good for six hours."""
        role = backends.iam().get_role(role_name)
        session = backends.sts().assume_role(
            region_name="us-east-1",
            role_session_name=machine_id,
            role_arn=role.arn,
            policy="",
            duration=6 * 3600,
            external_id="",
        )
        self._machine_keys[session.access_key_id] = machine_id
        return {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "Token": session.session_token,
            "Expiration": session.expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
