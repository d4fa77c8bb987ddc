"""The default network with its automatic subnetworks, and one without any."""

from __future__ import annotations

from typing import Any
from zlib import crc32

from moto_fixtures.gcp.call import Call, GcpError
from moto_fixtures.gcp.catalog.places import REGIONS
from moto_fixtures.gcp.compute.listing import listed
from moto_fixtures.gcp.project import PROJECT, known_region, last, link, not_found

_MADE = "2026-01-31T01:30:00.000-08:00"
# cloud.google.com/vpc/docs/subnets#ip-ranges: each region has its own /20 of 10.128.0.0/9.
_RANGES = {region: f"10.{128 + index}.0.0/20" for index, region in enumerate(REGIONS)}
DEFAULT = "default"


def network_path(name: str = DEFAULT) -> str:
    return f"projects/{PROJECT}/global/networks/{name}"


def subnetwork_path(region: str, name: str = DEFAULT) -> str:
    return f"projects/{PROJECT}/regions/{region}/subnetworks/{name}"


def networks() -> list[dict[str, Any]]:
    return [
        {
            "kind": "compute#network",
            "id": "2026013100000000001",
            "creationTimestamp": _MADE,
            "name": DEFAULT,
            "description": "Default network for the project",
            "autoCreateSubnetworks": True,
            "mtu": 1460,
            "networkFirewallPolicyEnforcementOrder": "AFTER_CLASSIC_FIREWALL",
            "routingConfig": {"routingMode": "REGIONAL"},
            "selfLink": link(network_path()),
            "subnetworks": [link(subnetwork_path(region)) for region in REGIONS],
        }
    ]


def subnetworks(region: str) -> list[dict[str, Any]]:
    address = _RANGES[region]
    return [
        {
            "kind": "compute#subnetwork",
            "id": str(10**18 + crc32(region.encode())),
            "creationTimestamp": _MADE,
            "name": DEFAULT,
            "network": link(network_path()),
            "ipCidrRange": address,
            "gatewayAddress": address.replace(".0/20", ".1"),
            "region": link(f"projects/{PROJECT}/regions/{region}"),
            "fingerprint": "3Rx1Ct1Cg1k=",
            "privateIpGoogleAccess": False,
            "privateIpv6GoogleAccess": "DISABLE_GOOGLE_ACCESS",
            "purpose": "PRIVATE",
            "stackType": "IPV4_ONLY",
            "selfLink": link(subnetwork_path(region)),
        }
    ]


def resolve(given: dict[str, Any], region: str) -> tuple[str, str]:
    """The paths of the network and the subnetwork that an interface names, or the default's.

    A subnetwork of another region, or one that does not exist, is refused.
    """
    network = last(given.get("network") or DEFAULT)
    if network != DEFAULT:
        raise not_found(network_path(network))
    wanted = given.get("subnetwork")
    if wanted:
        where = wanted.split("/regions/")[-1].removeprefix("regions/").split("/")
        if len(where) == 3 and where[0] != region:
            raise GcpError(
                400,
                "invalid",
                f"Invalid value for field 'resource.networkInterfaces[0].subnetwork': '{wanted}'. "
                f"The subnetwork is not in region '{region}'.",
            )
        if last(wanted) != DEFAULT:
            raise not_found(subnetwork_path(region, last(wanted)))
    return network_path(), subnetwork_path(region)


def get_network(call: Call) -> dict[str, Any]:
    for network in networks():
        if network["name"] == call.params["network"]:
            return network
    raise not_found(network_path(call.params["network"]))


def list_networks(call: Call) -> dict[str, Any]:
    return listed(call, "network", networks())


def get_subnetwork(call: Call) -> dict[str, Any]:
    region = known_region(PROJECT, call.params["region"])
    for subnetwork in subnetworks(region):
        if subnetwork["name"] == call.params["subnetwork"]:
            return subnetwork
    raise not_found(subnetwork_path(region, call.params["subnetwork"]))


def list_subnetworks(call: Call) -> dict[str, Any]:
    return listed(call, "subnetwork", subnetworks(known_region(PROJECT, call.params["region"])))


HANDLERS = {
    "compute.networks.get": get_network,
    "compute.networks.list": list_networks,
    "compute.subnetworks.get": get_subnetwork,
    "compute.subnetworks.list": list_subnetworks,
}
