"""Would a run work? Every line is one thing that it needs, with what to do where it is missing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any

from dstack_cloud.clouds.aws import images, quotas, store
from dstack_cloud.clouds.aws.address import caller_address
from dstack_cloud.clouds.aws.check_launch import launch_checks
from dstack_cloud.clouds.aws.errors import code_of, translated
from dstack_cloud.clouds.aws.images import OLD_GPUS, Recipe
from dstack_cloud.clouds.aws.prepare import Prepared, prepare
from dstack_cloud.clouds.aws.role import SPOT_ROLE
from dstack_cloud.clouds.aws.sessions import Sessions
from dstack_cloud.clouds.aws.settings import Settings
from dstack_cloud.clouds.base import Check
from dstack_cloud.clouds.check_line import line
from dstack_cloud.errors import DstackError, PermissionDeniedError
from dstack_cloud.resources import Gpu, Offer
from dstack_cloud.units import GIB

_INIT = "dstack-cloud init makes it"
_GENEROUS_VCPUS = 32


def checks(sessions: Sessions, settings: Settings, pool: Executor, region: str) -> Iterator[Check]:
    """One by one, as they are known. Without credentials nothing else is asked."""
    credentials = line("credentials", lambda: sessions.identity(region).arn)
    yield credentials
    if not credentials.ok:
        return
    recipes = _recipes(settings.image)
    asked = prepare(sessions, settings, pool, region, recipes.values())
    yield from _network(settings, asked)
    yield from _images(sessions, region, recipes)
    yield from launch_checks(sessions, settings, asked, recipes)
    yield from _reading(sessions, region)
    yield from _roles(sessions, settings, region)
    yield from _quotas(sessions, region, pool)
    if settings.store_url is not None:
        yield _store(sessions, region, settings.store_url)


def _network(settings: Settings, asked: Prepared) -> Iterator[Check]:
    def network() -> str:
        found = asked.network()
        zones = sorted({subnet.zone for subnet in found.subnets})
        groups = ", ".join(group for ids in found.groups.values() for group in ids)
        return f"subnets in {', '.join(zones)}; security group {groups}"

    yield line("network", network)
    if settings.security_groups:
        detail = "security groups of your own: no rule is made, they must let you reach port 22"
        yield Check("way in", None, detail)
    elif settings.public_ip and settings.jump_host is None:
        yield line("way in", lambda: f"SSH from {caller_address(settings.environ)}")
    else:
        through = settings.jump_host or "no jump host: a VPN must reach the private addresses"
        yield Check("way in", None, f"SSH from within the VPC; {through}")


def _recipes(configured: str | None) -> dict[str, Recipe]:
    """The images that offers may need, by what for."""

    def one(gpu: str | None) -> Recipe:
        found = Gpu(gpu, 1, 16 * GIB) if gpu else None
        offer = Offer("aws", "", "", 4, 16 * GIB, found, False, None, None)
        return images.recipe(offer, configured)

    if configured:
        return {"image": one(None)}
    old = next(iter(OLD_GPUS))
    return {"image for CPU": one(None), "image for GPUs": one("T4"), "image for old GPUs": one(old)}


def _images(sessions: Sessions, region: str, recipes: dict[str, Recipe]) -> Iterator[Check]:
    def found(how: Recipe) -> str:
        ec2 = sessions.ec2(region)
        image = images.find(ec2, lambda: sessions.client("ssm", region), region, [how])[how]
        slower = "" if how.ready else "; starts slower, it is provisioned at its first boot"
        return f"{image.machine.id}, {image.size // GIB} GB{slower}"

    for name, how in recipes.items():
        yield line(name, lambda how=how: found(how))  # type: ignore[misc]


def _reading(sessions: Sessions, region: str) -> Iterator[Check]:
    """Calls that only read: the call itself is the test."""
    ec2 = sessions.ec2(region)
    pricing = sessions.client("pricing", "us-east-1")
    calls: dict[str, Callable[[], Any]] = {
        "ec2:DescribeInstances": lambda: ec2.describe_instances(MaxResults=5),
        "ec2:DescribeInstanceTypes": lambda: ec2.describe_instance_types(
            InstanceTypes=["t3.micro"]
        ),
        "ec2:DescribeInstanceTypeOfferings": lambda: ec2.describe_instance_type_offerings(
            Filters=[{"Name": "instance-type", "Values": ["t3.micro"]}]
        ),
        "ec2:DescribeSpotPriceHistory": lambda: ec2.describe_spot_price_history(
            InstanceTypes=["t3.micro"], MaxResults=1
        ),
        "ec2:DescribeLaunchTemplates": lambda: ec2.describe_launch_templates(MaxResults=5),
        "pricing:GetProducts": lambda: pricing.get_products(ServiceCode="AmazonEC2", MaxResults=1),
    }
    for name, call in calls.items():

        def tell(name: str = name, call: Callable[[], Any] = call) -> str:
            with translated(name, region):
                call()
            return "allowed"

        yield line(name, tell)


def _roles(sessions: Sessions, settings: Settings, region: str) -> Iterator[Check]:
    iam = sessions.client("iam", region)
    yield _present(
        "machines' role",
        settings.role,
        lambda: iam.get_instance_profile(InstanceProfileName=settings.role),
    )
    yield _present("spot", SPOT_ROLE, lambda: iam.get_role(RoleName=SPOT_ROLE))


def _present(name: str, role: str, call: Callable[[], Any]) -> Check:
    from botocore.exceptions import ClientError

    def tell() -> str:
        with translated(f"looking at {role}"):
            try:
                call()
            except ClientError as error:
                if code_of(error) != "NoSuchEntity":
                    raise
                raise PermissionDeniedError(f"there is no {role} in the account", _INIT) from error
        return role

    return line(name, tell)


def _quotas(sessions: Sessions, region: str, pool: Executor) -> Iterator[Check]:
    try:
        client = sessions.client("service-quotas", region)
        limits = quotas.vcpu_limits(client, region, pool)
    except DstackError as error:
        yield Check("quotas", None, error.message, error.hint)
        return
    for (group, spot), limit in limits.items():
        name = f"quota {quotas.described(group, spot)}"
        if limit > 0:
            yield Check(name, True, f"{limit} vCPUs")
            continue
        hint = quotas.how_to_raise(group, spot, region, _GENEROUS_VCPUS)
        yield Check(name, False, "0 vCPUs: none can be launched", hint)


def _store(sessions: Sessions, region: str, store_url: str) -> Check:
    """Write, read and delete one object, and list: what a run does with the store."""

    def tell() -> str:
        bucket, prefix = store.parse(store_url)
        folder = f"{prefix}/" if prefix else ""
        key = f"{folder}check-{uuid.uuid4().hex}"
        s3 = sessions.client("s3", region)
        with translated(f"using the bucket {bucket}", region):
            s3.put_object(Bucket=bucket, Key=key, Body=b"")
            try:
                s3.get_object(Bucket=bucket, Key=key)["Body"].close()
                s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
            finally:
                s3.delete_object(Bucket=bucket, Key=key)
        return store_url

    return line("store", tell)
