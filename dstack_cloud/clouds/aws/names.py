"""What we call things in the account: tags, the security group, the launch templates."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from dstack_cloud.clouds.base import LaunchRequest
from dstack_cloud.units import format_time

OWNER = "dstack-cloud"
STORE = "dstack-cloud:store"
RUN = "dstack-cloud:run"
ATTEMPT = "dstack-cloud:attempt"
DEADLINE = "dstack-cloud:deadline"
BASE = "dstack-cloud:base"
DRIVER = "dstack-cloud:driver"
CONTENTS = "dstack-cloud:has:"
"""Of images: what they were baked from, and (with a name behind it) what is in them."""
GROUP = "dstack-cloud"


def launch_tags(request: LaunchRequest) -> dict[str, str]:
    """The tags of everything that a launch makes."""
    tags = {
        OWNER: request.owner,
        RUN: request.run,
        ATTEMPT: str(request.attempt),
        "Name": f"{request.run}-{request.attempt}",
    }
    if request.store:
        tags[STORE] = request.store
    if request.deadline is not None:
        tags[DEADLINE] = format_time(request.deadline)
    return tags


def as_aws(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags in the shape that EC2 and IAM take."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def as_dict(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Tags in the shape that EC2 gives, as a dict."""
    return {tag["Key"]: tag["Value"] for tag in tags or ()}


def of_store(store: str | None) -> list[dict[str, Any]]:
    """The filter for what belongs to runs of a store; of every store for None."""
    if store is None:
        return [{"Name": "tag-key", "Values": [OWNER]}]
    return [{"Name": f"tag:{STORE}", "Values": [store]}]


def attempt_in(tags: Mapping[str, str]) -> int | None:
    """The attempt that the tags name, if they do."""
    text = tags.get(ATTEMPT, "")
    return int(text) if text.isdigit() else None


def part_token(token: str, *parts: Any) -> str:
    """A client token for one part of a request: the same for the same parts, 64 characters."""
    return hashlib.sha256("\0".join([token, *map(str, parts)]).encode()).hexdigest()


def template_name(request: LaunchRequest, token: str) -> str:
    """``dstack-cloud-<run>-<attempt>-<try>``: 3 to 128 of the characters that EC2 allows."""
    run = re.sub(r"[^A-Za-z0-9().\-/_]", "-", request.run)[:90]
    return f"dstack-cloud-{run}-{request.attempt}-{token[:8]}"


def rule_description(owner: str) -> str:
    """What an SSH rule says about itself, in the characters that EC2 allows."""
    return re.sub(r"[^A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]", "-", f"dstack-cloud {owner}")[:255]
