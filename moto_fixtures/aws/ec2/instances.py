"""Instances and the machines behind them: launching, ending, and what a machine does itself."""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto_fixtures.aws import backends
from moto_fixtures.aws.answer import AwsError
from moto_fixtures.aws.backends import ACCOUNT
from moto_fixtures.aws.ec2 import offerings, placement
from moto_fixtures.aws.ec2.images import is_ready
from moto_fixtures.aws.ec2.spec import Spec
from moto_fixtures.machine.base import Ec2Facts, Machines, MachineSpec
from moto_fixtures.shared.clock import Clock


@dataclass(frozen=True)
class Reason:
    """Why an instance changed its state: docs.aws.amazon.com/AWSEC2/latest/APIReference
    (StateReason). ``words`` is the beginning of StateTransitionReason."""

    code: str
    message: str
    words: str


USER = Reason("Client.UserInitiatedShutdown", "User initiated shutdown", "User initiated")
ITSELF = Reason("Client.InstanceInitiatedShutdown", "Instance initiated shutdown", "")
INTERRUPTED = Reason(
    "Server.SpotInstanceTermination", "Spot instance termination", "Server.SpotInstanceTermination"
)
POWER_CUT = Reason("Server.InternalError", "Internal error on the host", "Server.InternalError")


class Instances:
    """Keeps moto's instances and the machines in step."""

    machines: Machines

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._locks: dict[str, threading.RLock] = {}
        self._regions: dict[str, str] = {}
        self._ending: dict[str, tuple[str, Reason]] = {}
        self._interrupting: set[str] = set()
        self.gone = threading.Condition()

    def lock(self, region: str) -> threading.RLock:
        """Serialises the calls to moto's EC2 of one region, which is not made for threads."""
        with self._guard:
            return self._locks.setdefault(region, threading.RLock())

    def find(self, instance_id: str) -> Any:
        """moto's instance; InvalidInstanceID.NotFound where there is none."""
        region = self._regions.get(instance_id)
        if region is None:
            raise AwsError(
                "InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist"
            )
        return backends.ec2(region).get_instance(instance_id)

    def known(self) -> list[Any]:
        """Every instance that was launched, in all regions."""
        return [self.find(instance_id) for instance_id in list(self._regions)]

    def launch(self, spec: Spec, token: str | None = None) -> Any:
        """Create the instance and boot its machine; call with the region's lock held."""
        backend = backends.ec2(spec.region)
        from moto.core.types import Base64EncodedString

        data = spec.data
        key_name = data.get("KeyName")
        if key_name and key_name not in backend.key_pairs:
            raise AwsError("InvalidKeyPair.NotFound", f"The key pair '{key_name}' does not exist")
        nics = [_interface(n, spec) for n in data.get("NetworkInterfaces") or [{}]]
        reservation = backend.run_instances(
            spec.image.id,
            1,
            Base64EncodedString(base64.b64encode(spec.user_data).decode())
            if spec.user_data
            else None,
            [],
            instance_type=spec.instance_type,
            is_instance_type_default=False,
            region_name=spec.region,
            subnet_id=spec.subnet.id,
            key_name=key_name,
            security_group_ids=list(spec.group_ids),
            nics=nics,
            associate_public_ip=spec.public,
            tags=spec.tags,
            ebs_optimized=bool(data.get("EbsOptimized")),
            disable_api_termination=bool(data.get("DisableApiTermination")),
            instance_initiated_shutdown_behavior=spec.shutdown_behavior,
            lifecycle="spot" if spec.spot else None,
            instance_market_options=None,
            metadata_options=data.get("MetadataOptions") or {},
            client_token=token or "",
            block_device_mappings=spec.devices,
        )
        instance = reservation.instances[0]
        instance.placement.group_name = placement.name_in(data)
        if spec.profile is not None:
            backend.associate_iam_instance_profile(
                instance.id, iam_instance_profile_name=spec.profile.name
            )
        self._regions[instance.id] = spec.region
        try:
            address = self.machines.launch(machine_spec(instance, spec))
        except Exception as error:
            instance.terminate()
            raise AwsError(
                "InternalError", f"the emulated machine failed to start: {error}"
            ) from error
        _set_address(instance, address, spec.public)
        return instance

    def end(self, instance: Any, final: str, reason: Reason) -> None:
        """Begin to end: ``final`` is ``terminated`` or ``stopped``; returns at once.

        The instance is shutting down (or stopping) until its machine is gone.
        """
        if instance.state in ("terminated", "shutting-down", "stopped") and final == "stopped":
            return
        if instance.state in ("terminated", "shutting-down"):
            return
        was_stopped = instance.state == "stopped"
        with self._guard:
            self._ending[instance.id] = (final, reason)
        if was_stopped:
            self._finish(instance, final, reason)
            return
        if final == "terminated":
            instance._state.name, instance._state.code = "shutting-down", 32
        else:
            instance._state.name, instance._state.code = "stopping", 64
        _explain(instance, reason, self._clock.now())
        threading.Thread(target=self.machines.terminate, args=(instance.id,), daemon=True).start()

    def power_off(self, instance_id: str) -> None:
        """Shut the machine down as it would do itself."""
        instance = self.find(instance_id)
        with self.lock(self._regions[instance_id]):
            self.end(instance, _own_end(instance), ITSELF)

    def on_exit(self, instance_id: str, why: str) -> None:
        """A machine ended: ``poweroff`` by itself, ``killed``, or ``terminated`` by us."""
        try:
            instance = self.find(instance_id)
        except AwsError:
            return
        with self._guard:
            ending = self._ending.get(instance_id)
        if ending is None and why == "poweroff":
            ending = (_own_end(instance), ITSELF)
        elif ending is None:
            ending = ("terminated", POWER_CUT if why == "killed" else USER)
        with self.lock(self._regions[instance_id]):
            self._finish(instance, *ending)
        with self.gone:
            self.gone.notify_all()

    def _finish(self, instance: Any, final: str, reason: Reason) -> None:
        if instance.state == "terminated":
            return
        if final == "terminated":
            instance.terminate()
        else:
            instance.stop()
        _explain(instance, reason, self._clock.now())
        close_spot_request(instance, reason)
        with self._guard:
            self._ending.pop(instance.id, None)

    def interrupt(self, instance_id: str, notice_s: float) -> datetime:
        """Announce a spot interruption, and end the machine when the notice has run out."""
        instance = self.find(instance_id)
        if instance.lifecycle != "spot":
            raise ValueError(f"{instance_id} is not a spot instance: only those are interrupted")
        if instance.state != "running":
            raise ValueError(f"{instance_id} is {instance.state}")
        at = (
            self._clock.now()
            .replace(microsecond=0)
            .fromtimestamp(self._clock.now().timestamp() + notice_s, UTC)
        )
        self.machines.notice(instance_id, "terminate", at)

        def later() -> None:
            self._clock.wait_until(at)
            with self.lock(self._regions[instance_id]):
                self.end(instance, "terminated", INTERRUPTED)

        threading.Thread(target=later, daemon=True).start()
        return at


def _own_end(instance: Any) -> str:
    """What becomes of an instance that shuts itself down."""
    behavior = instance.instance_initiated_shutdown_behavior
    return "terminated" if behavior == "terminate" else "stopped"


def machine_spec(instance: Any, spec: Spec) -> MachineSpec:
    """What the machine is told about itself."""
    options = instance.metadata_options
    count, name = offerings.gpus(spec.instance_type)
    life = "spot" if spec.spot else "on-demand"
    metadata = {
        "meta-data/ami-id": spec.image.id,
        "meta-data/instance-id": instance.id,
        "meta-data/instance-type": spec.instance_type,
        "meta-data/instance-life-cycle": life,
        "meta-data/placement/availability-zone": spec.zone,
        "meta-data/placement/availability-zone-id": offerings.zones_of(spec.region)[spec.zone],
        "meta-data/placement/region": spec.region,
        "meta-data/reservation-id": _reservation_id(instance),
    }
    if spec.profile is not None:
        metadata["meta-data/iam/info"] = (
            f'{{"Code": "Success", "InstanceProfileArn": "{spec.profile.arn}", '
            f'"InstanceProfileId": "{spec.profile.id}"}}'
        )
    if key_name := spec.data.get("KeyName"):
        key = backends.ec2(spec.region).key_pairs[key_name].material_public.decode().strip()
        # The listing names the keys, as no other listing does.
        metadata["meta-data/public-keys"] = f"0={key_name}"
        metadata["meta-data/public-keys/0/openssh-key"] = key
    if options.instance_metadata_tags == "enabled":
        for tag in instance.get_tags():
            metadata[f"meta-data/tags/instance/{tag['key']}"] = tag["value"]
    return MachineSpec(
        id=instance.id,
        user_data=spec.user_data,
        public_ip=spec.public,
        region=spec.region,
        zone=spec.zone,
        instance_type=spec.instance_type,
        spot=spec.spot,
        image=spec.image.id,
        ready=is_ready(spec.image.id),
        gpus=count,
        gpu_name=name,
        facts=Ec2Facts(
            role=spec.role.name if spec.role is not None else None,
            hop_limit=options.http_put_response_hop_limit,
            token_required=options.http_tokens == "required",
            paths=metadata,
        ),
    )


def _interface(given: dict[str, Any], spec: Spec) -> dict[str, Any]:
    """A network interface as moto wants it; groups apart, or it would add them twice."""
    rest = {k: v for k, v in given.items() if k != "Groups"}
    return {"DeviceIndex": 0, "DeleteOnTermination": True, **rest, "SubnetId": spec.subnet.id}


def _reservation_id(instance: Any) -> str:
    for reservation in instance.ec2_backend.reservations.values():
        if instance in reservation.instances:
            return str(reservation.id)
    return ""


def _set_address(instance: Any, address: str, public: bool) -> None:
    nic = instance.nics[0]
    nic.private_ip_address = address
    nic.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": address}]
    nic.public_ip = address if public else None
    nic.public_ip_auto_assign = public
    nic.private_dns_name = instance.private_dns_name


def _explain(instance: Any, reason: Reason, when: datetime) -> None:
    from moto.ec2.models.instances import StateReason

    words = reason.words
    stamp = when.strftime("%Y-%m-%d %H:%M:%S GMT")
    instance._reason = f"{words} ({stamp})" if words else ""
    instance.state_reason = StateReason(f"{reason.code}: {reason.message}", reason.code)


def open_spot_request(instance: Any, spec: Spec, price: str) -> str:
    """Record the request that a spot instance fulfils; its id, ``sir-…``."""
    from moto.ec2.models.spot_requests import SpotInstanceRequest
    from moto.ec2.utils import random_spot_request_id

    class Fulfilled(SpotInstanceRequest):
        def launch_instance(self) -> Any:
            return instance

        @property
        def create_time(self) -> str:
            return f"{instance.launch_time:%Y-%m-%dT%H:%M:%S.000Z}"

        @property
        def status(self) -> dict[str, Any]:
            return {**super().status, "UpdateTime": instance.launch_time}

    backend = backends.ec2(spec.region)
    request_id = str(random_spot_request_id())
    backend.spot_instance_requests[request_id] = Fulfilled(
        backend,
        request_id,
        price,
        spec.image.id,
        "one-time",
        None,
        None,
        None,
        None,
        spec.data.get("KeyName") or "",
        list(spec.group_ids),
        None,
        spec.instance_type,
        spec.zone,
        None,
        None,
        False,
        spec.subnet.id,
        spec.tags,
        None,
        "terminate",
    )
    instance.spot_instance_request_id = request_id
    return request_id


def close_spot_request(instance: Any, reason: Reason) -> None:
    """The request of an instance that ended (docs: Spot request status codes)."""
    request_id = getattr(instance, "spot_instance_request_id", None)
    request = instance.ec2_backend.spot_instance_requests.get(request_id) if request_id else None
    if request is None:
        return
    request.state = "closed"
    if reason is INTERRUPTED:
        request._status_code = "instance-terminated-no-capacity"
    else:
        request._status_code = "instance-terminated-by-user"


__all__ = ["ACCOUNT", "INTERRUPTED", "ITSELF", "USER", "Instances", "Reason"]
