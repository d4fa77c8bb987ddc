"""What we call things in the project: machines, labels, metadata, firewall rules. Pure."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from typing import Any

from dstack_cloud.clouds.base import LaunchRequest
from dstack_cloud.units import format_time

PREFIX = "dstack-cloud-"
"""Every machine's name begins so: the machines' role may delete nothing else."""
OWNER = "dstack-cloud"
STORE = "dstack-cloud-store"
RUN = "dstack-cloud-run"
ATTEMPT = "dstack-cloud-attempt"
DEADLINE = "dstack-cloud-deadline"
TAG = "dstack-cloud"
"""The network tag that firewall rules are for."""
RULE = "dstack-cloud-ssh-"
NODES = "dstack-cloud-nodes-"
DENY = "dstack-cloud-deny"
# docs.cloud.google.com/compute/docs/naming-resources and …/labeling-resources
_LONGEST = 63


def machine_names(request: LaunchRequest) -> tuple[str, ...]:
    """``dstack-cloud-<run>-<attempt>-<8 hex>``: the same for the same token and store.

    Of several nodes each has its number at the end.
    """
    if request.nodes == 1:
        return (_machine_name(request),)
    return tuple(_machine_name(request, f"-{node}") for node in range(request.nodes))


def policy_name(request: LaunchRequest) -> str:
    """The name of the policy that keeps the launch's machines near each other."""
    return _machine_name(request, "-near")


def _machine_name(request: LaunchRequest, node: str = "") -> str:
    digest = _digest(request.token, request.store)
    end = f"-{request.attempt}-{digest}{node}"
    run = re.sub(r"[^a-z0-9]+", "-", request.run.lower()).strip("-")
    return PREFIX + run[: _LONGEST - len(PREFIX) - len(end)].strip("-") + end


def request_id(*parts: str) -> str:
    """A UUID for one part of a request, the same for the same parts: a repetition is harmless."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "\0".join(parts)))


def label(text: str) -> str:
    """The text as a label's value; one that had to be changed has a digest at its end, so that
    different texts stay different."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", text.lower())[:_LONGEST]
    if plain == text:
        return text
    return f"{plain[: _LONGEST - 9].rstrip('-')}-{_digest(text)}"


def tags(request: LaunchRequest) -> dict[str, str]:
    """What is known of a machine, word for word: it travels in the machine's metadata."""
    found = {OWNER: request.owner, RUN: request.run, ATTEMPT: str(request.attempt)}
    if request.store:
        found[STORE] = request.store
    if request.deadline is not None:
        found[DEADLINE] = format_time(request.deadline)
    return found


def labels(request: LaunchRequest) -> dict[str, str]:
    """The labels of everything that a launch makes: what lists are filtered by."""
    return {key: label(value) for key, value in tags(request).items() if key != DEADLINE}


def metadata(instance: Mapping[str, Any]) -> dict[str, str]:
    """An instance's metadata as a dict."""
    items = instance.get("metadata", {}).get("items", ())
    return {item["key"]: str(item.get("value", "")) for item in items}


def tags_of(instance: Mapping[str, Any]) -> dict[str, str]:
    """The tags that `tags` gave to an instance."""
    known = (OWNER, STORE, RUN, ATTEMPT, DEADLINE)
    found = metadata(instance)
    return {key: found[key] for key in known if key in found}


def attempt_in(values: Mapping[str, str]) -> int | None:
    """The attempt that tags or labels name, if they do."""
    text = values.get(ATTEMPT, "")
    return int(text) if text.isdigit() else None


def disk_description(request: LaunchRequest) -> str:
    """Says word for word whose a disk is: it has no metadata, and labels are not exact."""
    return f"{OWNER} attempt {request.attempt} of {request.run}"


def run_in(description: str) -> str | None:
    """The run that a disk's description names."""
    found = re.fullmatch(rf"{OWNER} attempt \d+ of (.+)", description)
    return found[1] if found else None


def of_store(store: str | None, run: str | None = None) -> str:
    """The filter for what belongs to runs of a store (of every store for None)."""
    wanted = [f"labels.{OWNER}:*"] if store is None else [f"labels.{STORE}={label(store)}"]
    if run is not None:
        wanted.append(f"labels.{RUN}={label(run)}")
    return " AND ".join(f"({one})" for one in wanted)


def rule_name(network: str, source: str) -> str:
    """The firewall rule that lets SSH in from a range of addresses to a network."""
    plain = re.sub(r"[^0-9a-z]+", "-", source.lower())
    return f"{RULE}{plain}-{_digest(network)}"


def nodes_name(network: str) -> str:
    """The firewall rule that lets our machines in a network reach each other."""
    return f"{NODES}{_digest(network)}"


def deny_name(network: str) -> str:
    """The firewall rule that keeps everybody else out of our machines in a network."""
    return f"{DENY}-{_digest(network)}"


def last(url: str) -> str:
    """The last part of a resource's address: ``…/zones/us-central1-a`` is in that zone."""
    return url.rsplit("/", 1)[-1]


def region_of(zone: str) -> str:
    """``us-central1-a`` is in ``us-central1``."""
    return zone.rsplit("-", 1)[0]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
