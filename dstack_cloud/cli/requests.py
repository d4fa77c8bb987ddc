"""A workflow's resource request with what the command line says instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from dstack_cloud.errors import InputError
from dstack_cloud.resources import ResourceRequest
from dstack_cloud.units import parse_money, parse_size
from dstack_cloud.workflow.gpu import parse_gpu


def overridden(
    request: ResourceRequest,
    cpu: int | None,
    memory: str | None,
    gpu: str | None,
    disk: str | None,
    interruptible: bool | None,
    max_price: str | None,
    clouds: Sequence[str],
    regions: Sequence[str] | None,
) -> ResourceRequest:
    """The request, each option that was given taking the place of the workflow's value.

    Raises InputError naming the option.
    """
    changes: dict[str, Any] = {
        "cpu": cpu,
        "memory": parsed("--memory", memory, parse_size),
        "disk": parsed("--disk", disk, parse_size),
        "interruptible": interruptible,
        "max_price": parsed("--max-price", max_price, parse_money),
        "regions": tuple(regions) if regions else None,
    }
    given = {key: value for key, value in changes.items() if value is not None}
    if gpu is not None:
        # ``--gpu 0`` takes a workflow's GPUs away, so None is a value here.
        given["gpu"] = parsed("--gpu", gpu, parse_gpu)
    return replace(request, clouds=tuple(clouds), **given)


def parsed(option: str, text: str | None, parse: Callable[[str], Any]) -> Any:
    """An option's value, None if it was not given. Raises InputError naming the option."""
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise InputError(f"{option}: {error}") from None
