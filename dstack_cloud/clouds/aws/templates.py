"""The launch templates of a launch: one for all fleets that boot alike, and none left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from dstack_cloud.clouds.aws.errors import code_of, message_of, translated
from dstack_cloud.clouds.aws.images import Image
from dstack_cloud.clouds.aws.names import as_aws, launch_tags, part_token, template_name
from dstack_cloud.clouds.aws.template import Blueprint
from dstack_cloud.clouds.base import LaunchRequest

Later = Callable[[Callable[[], None]], None]
"""Takes what may be done when the answer is already on its way."""

DENIED = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}
_EXISTS = "InvalidLaunchTemplateName.AlreadyExistsException"


class FleetsDenied(Exception):
    """The caller may not create templates or fleets: RunInstances may still be allowed."""


class Templates:
    """Makes a template when a fleet first needs it. What its fleets differ in (types, subnets,
    bids) are overrides, so one serves every fleet of the same image, security groups and placement.

    ``later`` takes the deletions, which nobody has to wait for.
    """

    def __init__(self, ec2: Any, region: str, request: LaunchRequest, later: Later) -> None:
        self._ec2 = ec2
        self._region = region
        self._request = request
        self._later = later
        self._made: dict[tuple[Image, tuple[str, ...], str | None], str] = {}
        self._lock = threading.Lock()

    def name(self, blueprint: Blueprint, groups: tuple[str, ...]) -> str:
        """The name of the template. Raises FleetsDenied, and errors of ours."""
        key = (blueprint.image, groups, blueprint.placement)
        with self._lock:
            if key not in self._made:
                token = part_token(self._request.token, "template", len(self._made))
                name = template_name(self._request, token)
                # Whatever comes of the call, a template of that name is ours to delete.
                self._made[key] = name
                try:
                    _make(self._ec2, self._region, name, blueprint.data(groups), self._request)
                except FleetsDenied:
                    del self._made[key]
                    raise
            return self._made[key]

    def clear(self) -> None:
        """Delete what was made. May be repeated."""
        with self._lock:
            for name in self._made.values():
                self._later(lambda name=name: delete(self._ec2, self._region, name))  # type: ignore[misc]
            self._made.clear()


def _make(ec2: Any, region: str, name: str, data: dict[str, Any], request: LaunchRequest) -> None:
    """Make the launch template.

    One of that name is what an earlier try left: it may hold other user data, so it goes first.
    """
    from botocore.exceptions import ClientError

    def make() -> None:
        ec2.create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData=data,
            TagSpecifications=[
                {"ResourceType": "launch-template", "Tags": as_aws(launch_tags(request))}
            ],
        )

    with translated("making the launch template", region):
        try:
            try:
                make()
            except ClientError as error:
                if code_of(error) != _EXISTS:
                    raise
                delete(ec2, region, name)
                make()
        except ClientError as error:
            if code_of(error) in DENIED:
                raise FleetsDenied(message_of(error)) from error
            raise


def delete(ec2: Any, region: str, name: str) -> None:
    """Delete a launch template by name; harmless when it is gone already.

    What is gone has no tags, so a policy that asks for ours denies the call instead of letting
    EC2 say that it is not found: whether it is there is looked up.
    """
    from botocore.exceptions import ClientError

    with translated("deleting the launch template", region):
        try:
            ec2.delete_launch_template(LaunchTemplateName=name)
        except ClientError:
            filters = [{"Name": "launch-template-name", "Values": [name]}]
            if ec2.describe_launch_templates(Filters=filters)["LaunchTemplates"]:
                raise
