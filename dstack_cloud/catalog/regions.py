"""Region names, held against what is known of them before a cloud is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dstack_cloud.catalog import snapshot
from dstack_cloud.errors import DstackError, InputError
from dstack_cloud.nearest import nearest


def known_in(cloud: str, named: Iterable[str]) -> tuple[str, ...]:
    """Those of the ``named`` regions that the bundled catalog of a cloud has."""
    bundled = _bundled(cloud)
    return tuple(name for name in named if name in bundled)


def _bundled(cloud: str) -> set[str]:
    return {path.stem for path in (snapshot.FOLDER / cloud / "regions").glob("*.tsv")}


def require(cloud: str, named: Iterable[str], more: Callable[[], Iterable[str]]) -> None:
    """InputError for a name that neither the bundled catalog nor ``more`` (asked only then) has.

    A region that does not exist cannot say so: its address leads nowhere, and a call to it would
    look like a broken network.
    """
    bundled = _bundled(cloud)
    strange = [name for name in named if name not in bundled]
    if not strange:
        return
    try:
        known = bundled.union(more())
    except DstackError:
        # Who cannot ask may still have mistyped.
        if not all(nearest(name, sorted(bundled)) for name in strange):
            raise
        known = bundled
    for name in strange:
        if name not in known:
            close = nearest(name, sorted(known))
            guess = f"; did you mean {', '.join(close)}?" if close else ""
            newer = (
                "correct --region, the setting aws.regions or AWS_DEFAULT_REGION; a region that is "
                "newer than the installed botocore is known after: pip install -U botocore"
                if cloud == "aws"
                else f"correct --region or the setting {cloud}.regions"
            )
            raise InputError(f"{cloud} has no region '{name}'{guess}", newer)
