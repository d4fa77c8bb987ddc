"""What to do where a machine does not answer SSH, by the settings it was launched with: pure."""

from __future__ import annotations

from dstack_cloud.config import AwsConfig


def way_in(aws: AwsConfig | None) -> str:
    """The hint for a connection that did not come about, naming the setting that helps."""
    if aws is None:
        return "check that this network lets connections to port 22 out"
    groups = ", ".join(aws.security_groups)
    open_groups = f"the groups in aws.security_groups ({groups}) must let TCP port 22 in"
    if aws.jump_host is not None:
        hint = f"the host in aws.jump_host ({aws.jump_host}) must reach port 22 of the machines"
        return f"{hint}; {open_groups} from it" if groups else hint
    if not aws.public_ip:
        hint = (
            "aws.public_ip is false, so this network must reach private addresses of the VPC: "
            "connect its VPN, set aws.jump_host, or set aws.public_ip to true"
        )
        return f"{hint}; {open_groups} from here" if groups else hint
    if groups:
        return (
            f"{open_groups} from this network's present address; without that setting, "
            "dstack-cloud makes the rule by itself"
        )
    return (
        "this network must let connections to port 22 out, and show the same address to all; "
        "where it cannot: aws.jump_host, a host in the VPC that can be reached from here"
    )
