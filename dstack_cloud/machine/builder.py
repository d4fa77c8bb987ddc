"""User data of a machine that an image is made of."""

from __future__ import annotations

from dstack_cloud.clouds.base import MachineImage
from dstack_cloud.config import Timers
from dstack_cloud.machine.keys import KeyPair
from dstack_cloud.machine.user_data import user_data


def builder_user_data(
    host_key: KeyPair,
    authorized_key: str,
    timers: Timers,
    cloud: str,
    endpoints: dict[str, str | None],
    image: MachineImage,
) -> bytes:
    """As a run's machine has it, but nothing is pulled, and nothing is installed by the machine
    itself: who builds on it does that, and sees it."""
    return user_data(
        image,
        host_key_private=host_key.private,
        host_key_public=host_key.public,
        authorized_key=authorized_key,
        no_job=timers.no_job,
        heartbeat=timers.heartbeat,
        cloud=cloud,
        endpoints=endpoints,
    )
