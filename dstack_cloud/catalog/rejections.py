"""Why machine types do not satisfy a request: the near misses, and the answer when nothing fits.

A near miss is what a user would have looked at next: with a GPU named, every type that has it;
else the types that fall short in a single point, and there by no more than half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import NamedTuple

from dstack_cloud.catalog.gpus import nearest
from dstack_cloud.catalog.models import MachineType, Wanted
from dstack_cloud.catalog.query import Catalog, Standing
from dstack_cloud.errors import NoOfferError
from dstack_cloud.resources import Offer, Rejection
from dstack_cloud.units import format_price, format_size

_NEAR = 0.5

Forbids = Callable[[str, str, bool], str | None]
"""(machine, region, spot) -> why the account may not have it (a quota), or None."""


def allowed(_machine: str, _region: str, _spot: bool) -> str | None:
    """Nothing is forbidden."""
    return None


class Fault(NamedTuple):
    """One point in which a type falls short; ``share`` is how much of the wish it meets."""

    reason: str
    share: float


def faults(machine: MachineType, wanted: Wanted) -> Iterator[Fault]:
    """Where a machine type falls short of a request, place and price apart."""
    gpu = machine.gpu
    if wanted.architecture != machine.architecture:
        yield Fault(f"{machine.architecture}: {wanted.architecture} is needed", 0)
    if gpu and not wanted.gpu_count:
        yield Fault("has GPUs: none was asked for", 0)
    if wanted.gpu_count and not gpu:
        yield Fault(f"no GPU: {wanted.gpu_count} wanted", 0)
    elif gpu and wanted.gpu_name not in (None, gpu.name):
        yield Fault(f"other GPU: {gpu.name}, not {wanted.gpu_name}", 0)
    if machine.cpu < wanted.cpu:
        yield Fault(f"too few vCPUs: {machine.cpu} of {wanted.cpu}", machine.cpu / wanted.cpu)
    if machine.memory < wanted.memory:
        yield Fault(_short("memory", machine.memory, wanted.memory), machine.memory / wanted.memory)
    if gpu and gpu.count < wanted.gpu_count:
        yield Fault(
            f"too few GPUs: {gpu.count} of {wanted.gpu_count}", gpu.count / wanted.gpu_count
        )
    if gpu and wanted.gpu_count and gpu.memory < wanted.gpu_memory:
        yield Fault(
            _short("GPU memory", gpu.memory, wanted.gpu_memory), gpu.memory / wanted.gpu_memory
        )
    if not any(machine.spot if spot else machine.on_demand for spot in wanted.spot):
        yield Fault("not sold as spot" if wanted.spot[0] else "not sold on demand", 1)


def _short(what: str, has: int, needs: int) -> str:
    return f"too little {what}: {format_size(has)} of {format_size(needs)}"


def rejections(catalog: Catalog, wanted: Wanted, forbids: Forbids) -> list[Rejection]:
    """The near misses of one catalog, nearest first."""
    standings = catalog.standings(wanted.regions)
    refused = {} if forbids is allowed else _refused(catalog, wanted, forbids)
    found: list[tuple[float, str, str]] = []
    for machine in catalog.types():
        short = list(faults(machine, wanted))
        if not short:
            missing = _nowhere(machine, wanted, standings.get(machine.name), refused)
            short = [missing] if missing else []
        elif not _near(machine, wanted, short):
            continue
        if short:
            reasons = "; ".join(fault.reason for fault in short)
            found.append((-min(fault.share for fault in short), machine.name, reasons))
    return [Rejection(name, reason) for _, name, reason in sorted(found)]


def _near(machine: MachineType, wanted: Wanted, short: list[Fault]) -> bool:
    if wanted.gpu_name and machine.gpu:
        return machine.gpu.name == wanted.gpu_name
    return len(short) == 1 and short[0].share >= _NEAR


def _refused(catalog: Catalog, wanted: Wanted, forbids: Forbids) -> dict[str, str]:
    """Machine type -> why, for those that the account may have in no place."""
    reasons: dict[str, str] = {}
    granted: set[str] = set()
    for machine, region, spot in catalog.places(wanted):
        reason = forbids(machine, region, spot)
        if reason is None:
            granted.add(machine)
        else:
            reasons.setdefault(machine, reason)
    return {name: reason for name, reason in reasons.items() if name not in granted}


def _nowhere(
    machine: MachineType, wanted: Wanted, standing: Standing | None, refused: dict[str, str]
) -> Fault | None:
    """Why a type that satisfies the request still yields no offer; None where it yields one."""
    if standing is None:
        return Fault("retired: no region offers it any more", 1)
    if not standing.regions:
        elsewhere = f"{standing.everywhere} other region{'s' * (standing.everywhere > 1)}"
        return Fault(f"not offered in {', '.join(wanted.regions)}: in {elsewhere}", 1)
    if wanted.max_price is not None:
        kinds = [standing.spot if spot else standing.on_demand for spot in wanted.spot]
        prices = [price for price in kinds if price is not None]
        if not prices:
            return Fault("no known price: it cannot be held against a maximum", 1)
        if min(prices) > wanted.max_price:
            lowest, most = format_price(min(prices)), format_price(wanted.max_price)
            return Fault(
                f"too expensive: {lowest} $/h, over {most}", float(wanted.max_price / min(prices))
            )
    reason = refused.get(machine.name)
    return Fault(f"quota: {reason}", 1) if reason else None


def nothing_fits(
    catalogs: Sequence[Catalog], wanted: Wanted, rejected: Sequence[Rejection]
) -> NoOfferError:
    """The error for a request that no offer satisfies: what was nearest, and what to try."""
    where = f" in {', '.join(wanted.regions)}" if wanted.regions else ""
    kind = "" if len(wanted.spot) > 1 else "spot " if wanted.spot[0] else "on-demand "
    bundled = _only_bundled(catalogs, wanted.regions)
    if wanted.gpu_name:
        offered = [gpu for catalog in catalogs for gpu in catalog.gpus(wanted.architecture)]
        if wanted.gpu_name not in {name for name, _ in offered}:
            retired = [one.machine for one in rejected if one.reason.startswith("retired")]
            once = f" any more (once: {', '.join(retired)})" if retired else ""
            close = nearest(wanted.gpu_name, wanted.gpu_memory or None, offered)
            return NoOfferError(
                f"no cloud in the catalog offers a {wanted.gpu_name}{once}",
                _joined(f"nearest are {', '.join(close)}" if close else "", bundled),
            )
    if wanted.max_price is not None:
        dearer = _cheapest(catalogs, wanted)
        if dearer is not None:
            return NoOfferError(
                f"no {kind}machine{where} that fits costs {format_price(wanted.max_price)} $/h or"
                " less",
                f"the cheapest is {dearer.machine} in {dearer.region} at"
                f" {format_price(dearer.price)} $/h: raise max_price, or ask for less",
            )
    lines = [f"{one.machine}: {one.reason}" for one in rejected[:3]]
    return NoOfferError(
        f"no {kind}machine{where} satisfies the request",
        _joined(
            "\n".join(["nearest:", *(f"  {line}" for line in lines)])
            if lines
            else _largest(catalogs, wanted),
            bundled,
        ),
    )


def _joined(*lines: str) -> str | None:
    return "\n".join(line for line in lines if line) or None


def _only_bundled(catalogs: Sequence[Catalog], regions: Sequence[str]) -> str:
    """Words on the age of what was asked, where an account may well be offered something else."""
    ages = [
        age
        for catalog in catalogs
        for age in catalog.ages()
        if (not regions or age.region in regions) and not age.live_at
    ]
    if not ages:
        return ""
    dated = date.fromisoformat(min(age.prices_of for age in ages))
    return (
        f"that is by the bundled list of {dated:%B %Y}; 'dstack-cloud catalog update' reads what"
        " your account is offered today (it needs credentials), as 'run' does"
    )


def _cheapest(catalogs: Sequence[Catalog], wanted: Wanted) -> Offer | None:
    """What the request would cost without its maximum."""
    at_any_price = wanted._replace(max_price=None)
    first = [next(catalog.offers(at_any_price), None) for catalog in catalogs]
    known = [(offer.price, offer) for offer in first if offer and offer.price is not None]
    return min(known, key=lambda pair: pair[0])[1] if known else None


def _largest(catalogs: Sequence[Catalog], wanted: Wanted) -> str:
    """How far the machines of the wanted kind and place reach, each point by itself."""
    there = [
        machine
        for catalog in catalogs
        for standings in [catalog.standings(wanted.regions)]
        for machine in catalog.types()
        if machine.architecture == wanted.architecture
        and bool(machine.gpu) == bool(wanted.gpu_count)
        and (standing := standings.get(machine.name))
        and standing.regions
    ]
    if not there:
        return "ask for less, or for more regions"
    words = [
        f"{max(machine.cpu for machine in there)} vCPUs",
        format_size(max(machine.memory for machine in there)),
    ]
    gpus = [machine.gpu for machine in there if machine.gpu]
    if gpus:
        words.append(f"{max(gpu.count for gpu in gpus)} GPUs")
        words.append(f"{format_size(max(gpu.memory for gpu in gpus))} of GPU memory")
    return f"the most that any one has there is {', '.join(words)}: ask for less, or elsewhere"
