"""GPU names: how people and vendors write them, and which one is meant.

Memory is given as it is sold: an A10G has 24 GB, though the API of AWS says 22,888 MiB (which is
24 * 10^9 bytes). A request for ``memory: 24GB`` must match it, so the catalog holds the sold size.
Sources: NVIDIA's data sheets, the clouds' instance pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from dstack_cloud.errors import InputError
from dstack_cloud.units import GIB, MIB

# Name -> gigabytes of memory of one GPU, each size that it is sold with.
KNOWN: dict[str, tuple[int, ...]] = {
    "K80": (12,),
    "M60": (8,),
    "P4": (8,),
    "P40": (24,),
    "P100": (12, 16),
    "V100": (16, 32),
    "T4": (16,),
    "T4G": (16,),
    "A2": (16,),
    "A10": (24,),
    "A10G": (24,),
    "A16": (16,),
    "A30": (24,),
    "A40": (48,),
    "A100": (40, 80),
    "L4": (24,),
    "L40": (48,),
    "L40S": (48,),
    "H20": (96,),
    "H100": (80, 94),
    "H200": (141,),
    "GH200": (96, 144),
    "B200": (180,),
    "B300": (288,),
    "GB200": (186,),
    "GB300": (288,),
    "RTX 3090": (24,),
    "RTX 4090": (24,),
    "RTX 5090": (32,),
    "RTX 4000": (8,),
    "RTX 5000": (16,),
    "RTX 6000": (24,),
    "RTX 6000 ADA": (48,),
    "RTX A4000": (16,),
    "RTX A5000": (24,),
    "RTX A6000": (48,),
    "RTX PRO 4500": (32,),
    "RTX PRO 6000": (96,),
}

# Other spellings, squeezed as `_squeeze` does.
ALIASES = {
    "rtxproserver6000": "RTX PRO 6000",
    "rtxproserver4500": "RTX PRO 4500",
    "rtxpro6000blackwell": "RTX PRO 6000",
    "a6000": "RTX A6000",
    "a5000": "RTX A5000",
    "a4000": "RTX A4000",
    "quadrortx6000": "RTX 6000",
    "quadrortx5000": "RTX 5000",
    "3090": "RTX 3090",
    "4090": "RTX 4090",
    "5090": "RTX 5090",
}

_VENDOR = re.compile(r"\b(nvidia|tesla|geforce|gpu)\b[ _-]*", re.IGNORECASE)
_MEMORY = re.compile(r"[ _-]*\b(\d{1,3}) ?g(?:i?b)?$", re.IGNORECASE)
_GLUED_MEMORY = re.compile(r"(?<=\d)[ _-](\d{1,3})$")
_FORM = re.compile(r"[ _-]*\b(?:sxm\d?|pcie|nvl|hbm\de?|vws)\b", re.IGNORECASE)


def _squeeze(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_BY_SPELLING = {_squeeze(name): name for name in KNOWN} | ALIASES


def resolve(text: str) -> tuple[str, int | None]:
    """The catalog's name for what a user or a cloud wrote, and the memory that it implies.

    ``A100-80GB`` is ``("A100", 80 GiB)``, ``Tesla T4`` is ``("T4", None)``. The memory is bytes
    of one GPU. Raises InputError, naming the nearest known GPUs, for a name that is not known.
    """
    rest = _FORM.sub("", _VENDOR.sub("", text.strip()))
    memory = None
    if _squeeze(rest) not in _BY_SPELLING:
        stated = _MEMORY.search(rest) or _GLUED_MEMORY.search(rest)
        if stated:
            rest, memory = rest[: stated.start()], int(stated[1]) * GIB
    name = _BY_SPELLING.get(_squeeze(rest))
    if name is None:
        raise InputError(f"there is no GPU named '{text}' in the catalog", _suggest(rest))
    return name, memory


def _suggest(text: str) -> str:
    close = get_close_matches(_squeeze(text), _BY_SPELLING, n=3, cutoff=0.5)
    names = list(dict.fromkeys(_BY_SPELLING[spelling] for spelling in close))
    if names:
        return f"did you mean {', '.join(names)}?"
    return "known are, among others, T4, L4, A10G, V100, A100, H100"


def sold_memory(name: str, mebibytes: int) -> int:
    """Bytes of one GPU as it is sold, from the MiB that an API reports.

    APIs report up to 7 % less than the size in a product's name; anything further off, or a GPU
    that `KNOWN` does not hold, stays as reported.
    """
    reported = mebibytes * MIB
    for gigabytes in KNOWN.get(name, ()):
        if 0.92 * gigabytes * GIB <= reported <= gigabytes * GIB * 1.02:
            return gigabytes * GIB
    return reported


def nearest(name: str, memory: int | None, offered: Iterable[tuple[str, int]]) -> list[str]:
    """Offered GPUs most like ``name``, nearest memory first, at most three, as ``T4 16 GB``.

    ``offered`` are names and bytes; ``memory`` is bytes asked for, None for the size sold.
    """
    sizes = KNOWN.get(name, (16,))
    wanted = memory or sizes[0] * GIB
    ranked = sorted(
        set(offered),
        key=lambda gpu: (gpu[0] != name, max(gpu[1], wanted) / min(gpu[1], wanted), gpu[0]),
    )
    return [f"{gpu} {size // GIB} GB" for gpu, size in ranked[:3]]
