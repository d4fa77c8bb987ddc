"""A plan in words: the table of offers, and what else there is to say about it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from dstack_cloud.match import Plan
from dstack_cloud.ranking import Reckoning, banded
from dstack_cloud.resources import Gpu, Offer, ResourceRequest
from dstack_cloud.units import GIB, format_price, format_size, format_time, times

if TYPE_CHECKING:
    from dstack_cloud.machine_images import Baked

HEADER = ("#", "cloud", "region", "machine", "cpu", "memory", "gpu", "$/h", "saves", "")
RIGHT = "r   rr rr "
_DULL = ("cloud", "cpu", "memory", "saves", "gpu")


def plan_lines(
    plan: Plan,
    limit: int,
    slow: Collection[str] = (),
    width: int | None = None,
    nodes: int = 1,
) -> list[str]:
    """The table of the first ``limit`` offers, and a line about the others; with ``nodes``, of so
    many machines each, at the price of all.

    ``slow`` are the machine types that are set up at their first boot; ``width`` is the most
    that a line of the table may take.
    """
    shown = plan.offers[:limit]
    band = [line] if (line := band_line(plan.offers)) else []
    notes = [*band, *start_notes(shown, slow), *plan_notes(plan, len(shown))]
    return [f"  {line}" for line in [*table(offer_rows(shown, nodes), width and width - 2), *notes]]


def start_notes(shown: Sequence[Offer], slow: Collection[str]) -> list[str]:
    """Which of the offers start slower, and why."""
    found = [offer for offer in shown if offer.machine in slow]
    if not found:
        return []
    names = ", ".join(dict.fromkeys(offer.machine for offer in found))
    verb = "start" if "," in names else "starts"
    needs = "Docker and the GPU's driver are" if any(offer.gpu for offer in found) else "Docker is"
    return [f"{names} {verb} slower, from a stock image: {needs} installed at the first boot"]


def image_notes(images: Sequence[Baked | None]) -> list[str]:
    """Which images of the user's own the offers' machines boot, each once."""
    from dstack_cloud.cli.catalog import ago

    return [
        f"starts from the image {image.id}{f' in {image.region}' if image.region else ''}, "
        f"baked {ago(format_time(image.made_at))}"
        for image in dict.fromkeys(images)
        if image is not None
    ]


def plan_notes(plan: Plan, shown: int) -> list[str]:
    """How many more offers and near misses there are, and a first price that is not known."""
    notes = list(plan.missing)
    if plan.offers and plan.offers[0].price is None:
        notes.append("no price is known, so none is taken by itself: dstack-cloud catalog update")
    fallback = next((offer for offer in plan.offers if not offer.spot), None)
    if fallback is not None and plan.offers[0].spot and shown < len(plan.offers):
        price = format_price(fallback.price)
        notes.append(f"on demand where spot has none: from {price} $/h")
    parts = []
    if plan.total > shown:
        parts.append(_count(plan.total - shown, "more offer"))
    if plan.reasons:
        reasons = ", ".join(f"{reason} {number}" for reason, number in plan.reasons)
        parts.append(f"{_count(len(plan.rejections), 'type')} rejected ({reasons})")
    if parts:
        notes.append(f"{'; '.join(parts)}: dstack-cloud offers --explain")
    return notes


def band_line(offers: Sequence[Offer]) -> str | None:
    """What the cloud may pick of ranked spot offers, and the prices of that; None without spot."""
    bands = banded([offer for offer in offers if offer.spot])
    prices = [zone.price for offer in bands[0] for zone in offer.zones] if bands else []
    known = [price for price in prices if price is not None]
    if len(known) < 2:
        return None
    machines = list(dict.fromkeys(offer.machine for offer in bands[0]))
    named = ", ".join(machines[:3]) + (", …" if len(machines) > 3 else "")
    low, high = format_price(min(known)), format_price(max(known))
    places = len(
        {zone.zone for offer in bands[0] for zone in offer.zones if zone.price is not None}
    )
    zones = "any zone" if places == 1 else f"any of {places} zones"
    return f"of spot, the cloud may pick {zones} of {named}: {low} to {high} $/h"


def offer_rows(offers: Sequence[Offer], nodes: int = 1) -> list[tuple[str, ...]]:
    """The cells of `HEADER` for each offer, at the price of all ``nodes``."""
    return [
        (
            str(number),
            offer.cloud,
            offer.region,
            times(nodes) + offer.machine,
            str(offer.cpu),
            f"{round(offer.memory / GIB, 1):g} GB",
            gpu_words(offer.gpu),
            format_price(None if offer.price is None else offer.price * nodes),
            f"{offer.saving * 100:.0f} %" if offer.spot and offer.saving is not None else "",
            "spot" if offer.spot else "",
        )
        for number, offer in enumerate(offers, 1)
    ]


def table(rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """`HEADER` and rows as aligned lines, two blanks between columns.

    Where they are wider than ``width`` characters, columns are left out, the dullest first.
    """
    kept = list(range(len(HEADER)))
    lines = _lines(rows, kept)
    for name in _DULL:
        if width is None or max(map(len, lines)) <= width:
            break
        kept.remove(HEADER.index(name))
        lines = _lines(rows, kept)
    return lines


def _lines(rows: Sequence[Sequence[str]], kept: Sequence[int]) -> list[str]:
    cells = [[row[column] for column in kept] for row in [HEADER, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    sides = [RIGHT[column] for column in kept]
    return ["  ".join(map(_aligned, row, widths, sides)).rstrip() for row in cells]


def gpu_words(gpu: Gpu | None) -> str:
    """``1× T4 16 GB``, or nothing."""
    return f"{gpu.count}× {gpu.name} {format_size(gpu.memory)}" if gpu else ""


def request_words(request: ResourceRequest) -> str:
    """``1× T4 · interruptible``: what a request asks for, in a line."""
    parts = [f"{request.nodes} nodes"] if request.nodes > 1 else []
    if request.gpu:
        name = request.gpu.name or "GPU"
        least = f" {format_size(request.gpu.memory)}" if request.gpu.memory else ""
        parts.append(f"{request.gpu.count}× {name}{least}")
    if request.cpu:
        parts.append(f"{request.cpu} vCPU")
    if request.memory:
        parts.append(format_size(request.memory))
    kinds = {True: "interruptible", False: "on demand", None: "spot or on demand"}
    words = [", ".join(parts) or "any machine", kinds[request.interruptible]]
    if request.max_price is not None:
        words.append(f"at most {format_price(request.max_price)} $/h")
    return " · ".join(words)


def _aligned(cell: str, width: int, side: str) -> str:
    return cell.rjust(width) if side == "r" else cell.ljust(width)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def reckoning_rows(reckoned: Sequence[Reckoning]) -> list[tuple[str, ...]]:
    """A header and a row a pool: how its expected cost comes about (see `ranking`)."""
    header = ("machine", "zone", "$/h", "dearer", "taken", "in", "expected $/h")
    return [
        header,
        *(
            (
                one.pool[2],
                one.pool[1],
                format_price(one.price),
                f"{one.dearer * 100:.1f} %" if one.history else "unknown",
                f"{one.interrupted}×",
                f"{one.hours:.1f} h",
                format_price(one.expected),
            )
            for one in reckoned
        ),
    ]
