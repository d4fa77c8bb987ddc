"""A machine image from beginning to end: a builder, what is installed on it, its disk, its end.

The builder is launched as a machine of a run is, from the stock image, with the run's name
``image-…``: what looks for leftovers sees it. It ends itself when nobody builds on it any more.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from dstack_cloud.clouds.base import LaunchRequest, Machine
from dstack_cloud.errors import DstackError, ImageError, TryAgainError, UnreachableError
from dstack_cloud.lifecycle.connection import connect
from dstack_cloud.lifecycle.finish import confirm_gone
from dstack_cloud.lifecycle.launch import describe
from dstack_cloud.lifecycle.provision import Builder
from dstack_cloud.lifecycle.seek import nothing_to_be_had
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.machine.builder import builder_user_data
from dstack_cloud.machine.keys import KeyPair, generate
from dstack_cloud.machine_images import READY, Baked, Base, Contents, MachineImages
from dstack_cloud.resources import Offer
from dstack_cloud.ssh.base import Session
from dstack_cloud.units import format_time, utc_now

PREFIX = "image-"
# Of the time that a machine waits for its job.
_CONNECT_SHARE = 0.9
_IMAGE_S = 3600.0
_POLL_S = (0.5, 10.0)


@dataclass(frozen=True)
class _Launched:
    machine: Machine
    host_key: str


def bake(tools: Tools, images: MachineImages, offers: Sequence[Offer], disk: int) -> Baked:
    """An image of the first offer's base, made on the first of the offers that is to be had; all
    are of one region. ``disk`` is bytes of the builder's, at least what the stock image needs: so
    large is every machine's that boots the image.

    The builder is ended whatever happens. Raises ImageError where something cannot be installed or
    no image comes of it, NoCapacityError and its like, and what the cloud refuses.
    """
    base = images.base(offers[0])
    fitting = [offer for offer in offers if images.base(offer) == base]
    name = f"{PREFIX}{utc_now():%Y%m%d-%H%M%S}"
    host_key = generate(name)
    machine = _launched(tools, name, fitting, host_key, disk)
    begun = False
    try:
        contents = _made_ready(tools, _Launched(machine, host_key.public), base)
        begun = True
        image = images.begin(machine, base, contents, name)
        return _awaited(tools, images, machine.region, image)
    except BaseException:
        if begun:
            _discard(tools, images, machine.region, name)
        raise
    finally:
        _end(tools, machine)


def _launched(
    tools: Tools, name: str, offers: Sequence[Offer], host_key: KeyPair, disk: int
) -> Machine:
    region, begun = offers[0].region, time.monotonic()
    tools.report.working("launching", f"a builder in {region}")
    key = tools.reach.public_key()
    request = LaunchRequest(
        run=name,
        attempt=1,
        token=f"{name}-{int(time.time() * 1000):x}",
        offers=offers,
        # Not a function of this one's own: the cloud may be asked from another process.
        user_data=partial(
            builder_user_data, host_key, key, tools.timers, tools.cloud.name, tools.endpoints
        ),
        disk=disk,
        owner=tools.owner,
        authorized_key=key,
    )
    try:
        answer = tools.cloud.launch(request)
    except KeyboardInterrupt:
        # What the cloud does not list yet ends by its own timer.
        ours = [machine.id for machine in tools.cloud.machines(region, name)]
        tools.cloud.terminate(region, ours)
        raise
    if answer.machine is None:
        raise nothing_to_be_had(answer.failures, offers, time.monotonic() - begun)
    tools.report.done("launched", describe(answer.machine), time.monotonic() - begun)
    return answer.machine


def _made_ready(tools: Tools, launched: _Launched, base: Base) -> Contents:
    """Install what is missing, look at what is there, and take away what is the builder's own."""
    begun = time.monotonic()

    def reach() -> Session:
        tools.report.working("connecting", launched.machine.address or "waiting for an address")
        return connect(tools, launched, _CONNECT_SHARE * tools.timers.no_job)[0]

    builder = Builder(
        launched.machine.id,
        reach,
        tools.reach.home(launched.machine).prefix,
        tools.timers.heartbeat,
        tools.report,
    )
    environment = {"NVIDIA_DRIVER": base.driver or "none", **tools.provisioning}
    try:
        builder.run("provision", "provisioning", environment)
        tools.report.done("provisioned", launched.machine.id, time.monotonic() - begun)
        contents = Contents.read(builder.run("contents", "looking"))
        tools.report.working("sealing", "host keys, accounts' keys, logs")
        builder.run("seal", "sealing")
        return contents
    finally:
        builder.close()


def _awaited(tools: Tools, images: MachineImages, region: str, image: str) -> Baked:
    """The image once it can be booted."""
    begun, found = time.monotonic(), None
    least, most = _POLL_S
    while (waited := time.monotonic() - begun) < _IMAGE_S:
        with contextlib.suppress(TryAgainError):
            found = images.find(region, image)
        if found is not None and found.state == READY:
            tools.report.done("imaged", f"{image} in {region}", waited)
            return found
        if found is not None and found.state in ("failed", "error"):
            break
        tools.report.working("imaging", f"{image}: {found.state if found else 'begun'}")
        time.sleep(min(least * (1 + waited / 5), most))
    raise ImageError(
        f"no image came of {image}: it is {found.state if found else 'not there'}",
        "the builder is ended; run the command again",
    )


def _discard(tools: Tools, images: MachineImages, region: str, name: str) -> None:
    """Nothing half-made is left for a run to find. By its name: the call that began it may have
    been cut short."""
    try:
        for image in images.listing(region):
            if image.name.endswith(name):
                images.delete(image)
                tools.report.done("discarded", image.id)
    except DstackError as error:
        tools.report.warn("image", f"{name} may be left: {error.message}", "see: images list")


def _end(tools: Tools, machine: Machine) -> None:
    tools.report.working("terminating", machine.id)
    try:
        tools.cloud.terminate(machine.region, [machine.id])
        gone = confirm_gone(tools, machine)
    except UnreachableError:
        gone = False
    if gone:
        tools.report.done("terminated", machine.id)
    else:
        beat = tools.timers.heartbeat
        tools.report.warn(
            "builder",
            f"{machine.id} could not be seen to end at {format_time(utc_now())}",
            f"it ends itself within {beat} s; dstack-cloud gc tells whether it has",
        )
