"""What a machine is launched with: pure builders of launch template and RunInstances data."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from dstack_cloud.clouds.aws.images import Image
from dstack_cloud.clouds.aws.names import as_aws, launch_tags
from dstack_cloud.clouds.base import LaunchRequest
from dstack_cloud.errors import InternalError

# Before encoding: docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html
USER_DATA_LIMIT = 16 * 1024
# A tag on what EC2 makes for us at launch: nothing else can be tagged without a further call.
_TAGGED = ("instance", "volume")


@dataclass(frozen=True)
class Blueprint:
    """Everything about a launch but the instance type, the subnet and the price. ``placement`` is
    the name of a placement group."""

    request: LaunchRequest
    image: Image
    role: str
    public_ip: bool
    placement: str | None = None

    def data(self, groups: tuple[str, ...]) -> dict[str, Any]:
        """The members that a launch template and RunInstances have in common.

        ``UserData`` is base64, as a launch template takes it.
        """
        return {
            "ImageId": self.image.machine.id,
            "UserData": base64.b64encode(self._user_data()).decode(),
            "IamInstanceProfile": {"Name": self.role},
            "InstanceInitiatedShutdownBehavior": "terminate",
            "MetadataOptions": {
                "HttpEndpoint": "enabled",
                "HttpTokens": "required",
                "HttpPutResponseHopLimit": 1,
            },
            "BlockDeviceMappings": [
                {
                    "DeviceName": self.image.root_device,
                    "Ebs": {
                        "VolumeSize": self.image.volume_gib(self.request.disk),
                        "VolumeType": "gp3",
                        "Encrypted": True,
                        "DeleteOnTermination": True,
                    },
                }
            ],
            "NetworkInterfaces": [
                {
                    "DeviceIndex": 0,
                    "AssociatePublicIpAddress": self.public_ip,
                    "DeleteOnTermination": True,
                    "Groups": list(groups),
                }
            ],
            "TagSpecifications": [
                {"ResourceType": kind, "Tags": as_aws(launch_tags(self.request))}
                for kind in _TAGGED
            ],
            **({"Placement": {"GroupName": self.placement}} if self.placement else {}),
        }

    def _user_data(self) -> bytes:
        data = self.request.user_data(self.image.machine)
        if len(data) > USER_DATA_LIMIT:
            raise InternalError(f"the user data is {len(data)} bytes; AWS takes {USER_DATA_LIMIT}")
        return data
