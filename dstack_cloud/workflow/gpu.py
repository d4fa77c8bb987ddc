"""The short spellings of a GPU request: ``1``, ``A100``, ``A100:8``."""

from __future__ import annotations

import re

from dstack_cloud.resources import GpuRequest

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9 ._-]*")
_COUNT = re.compile(r"[0-9]+")


def parse_gpu(text: str) -> GpuRequest | None:
    """The request that ``text`` stands for; None for ``0``.

    The name is taken as written: which names exist is the catalog's to say. Raises ValueError
    with a sentence for the user.
    """
    name, colon, count = (part.strip() for part in text.partition(":"))
    if not colon and _COUNT.fullmatch(name):
        return GpuRequest(count=int(name)) if int(name) else None
    valid = _NAME.fullmatch(name) and (not colon or _COUNT.fullmatch(count))
    if not valid or (colon and not int(count)):
        raise ValueError(f"'{text}' is not a GPU request; write it like 1, A100 or A100:8")
    return GpuRequest(count=int(count) if colon else 1, name=name)
