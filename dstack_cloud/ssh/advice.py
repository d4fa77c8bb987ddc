"""What to do where a machine does not answer SSH, by the settings it was launched with: pure."""

from __future__ import annotations

from dstack_cloud.config import AwsConfig, GcpConfig

# How each cloud calls what lets SSH in, and the setting that names the user's own.
_DOORS = {"aws": ("groups", "security_groups"), "gcp": ("network tags", "network_tags")}


def way_in(cloud: str, section: AwsConfig | GcpConfig | None) -> str:
    """The hint for a connection that did not come about, naming the setting that helps."""
    if section is None or cloud not in _DOORS:
        return "check that this network lets connections to port 22 out"
    word, setting = _DOORS[cloud]
    own = ", ".join(getattr(section, setting))
    open_doors = f"the {word} in {cloud}.{setting} ({own}) must let TCP port 22 in"
    if section.jump_host is not None:
        hint = (
            f"the host in {cloud}.jump_host ({section.jump_host}) must reach port 22 of the "
            "machines"
        )
        return f"{hint}; {open_doors} from it" if own else hint
    if not section.public_ip:
        hint = (
            f"{cloud}.public_ip is false, so this network must reach private addresses of the "
            f"VPC: connect its VPN, set {cloud}.jump_host, or set {cloud}.public_ip to true"
        )
        return f"{hint}; {open_doors} from here" if own else hint
    if own:
        return (
            f"{open_doors} from this network's present address; without that setting, "
            "dstack-cloud makes the rule by itself"
        )
    return (
        "this network must let connections to port 22 out, and show the same address to all; "
        f"where it cannot: {cloud}.jump_host, a host in the VPC that can be reached from here"
    )
