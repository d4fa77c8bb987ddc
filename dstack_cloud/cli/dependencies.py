"""``run`` with ``deps``: what they are on each cloud, and with ``--with-deps`` what runs first."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any

from dstack_cloud import wiring
from dstack_cloud.cli import render
from dstack_cloud.config import Config
from dstack_cloud.errors import DstackError, InputError, NotFoundError
from dstack_cloud.lifecycle.dependencies import (
    Dependency,
    Located,
    latest_run,
    require_possible,
    resolve_each,
    size_of,
)
from dstack_cloud.transfer import Load, Place
from dstack_cloud.units import format_duration, format_price, format_size
from dstack_cloud.workflow.dependencies import require_apart, require_no_circle, rounds
from dstack_cloud.workflow.load import Workflows

if TYPE_CHECKING:
    from dstack_cloud.match import Plan

_HOUR = 3600


class DependencyFailedError(DstackError):
    """A workflow that was to run first has failed; ``exit_code`` is that run's own."""

    kind = "exit"

    def __init__(self, message: str, hint: str, code: int) -> None:
        super().__init__(message, hint)
        self.exit_code = code


def found_on(
    config: Config,
    clouds: Sequence[str],
    workflows: Workflows,
    name: str,
    first: Mapping[str, Any] | None,
) -> dict[str, tuple[Located, ...]]:
    """The clouds on which the workflow can have all that it depends on, and where that lies: in the
    cloud's own store, or else in that of another one of ``clouds``.

    ``first`` (``dry_run``, ``yes``, ``region`` of the command line) runs on the first cloud what
    is missing before. InputError for a circle and for what would lie at the same place,
    NotFoundError with the command that makes what is missing, DependencyFailedError.
    """
    require_no_circle(workflows.by_name, name)
    if first is not None:
        _run_missing(config, clouds, workflows, name, **first)
    workflow = workflows.get(name)
    stores = {cloud: wiring.open_store_of(config, cloud) for cloud in clouds}
    each = {
        cloud: resolve_each(store, workflow, list(workflows.by_name))
        for cloud, store in stores.items()
    }
    sizes: dict[tuple[str, int], int] = {}

    def located(cloud: str, index: int) -> Located | NotFoundError:
        for place in (cloud, *(other for other in clouds if other != cloud)):
            one = each[place][index]
            if isinstance(one, Dependency):
                if (place, index) not in sizes:
                    sizes[place, index] = size_of(stores[place], one)
                return Located(one, place, sizes[place, index])
        own = each[cloud][index]
        assert isinstance(own, NotFoundError)
        return own

    found: dict[str, tuple[Located, ...]] = {}
    for cloud in clouds:
        there = [located(cloud, index) for index in range(len(workflow.dependencies))]
        for one in there:
            if isinstance(one, NotFoundError):
                # It is in no store at all.
                raise one
        whole = tuple(one for one in there if isinstance(one, Located))
        names = [(one.dependency.name, one.dependency.paths) for one in whole]
        require_apart(workflow, names)
        found[cloud] = whole
    return found


def reckoned(
    config: Config, plan: Plan, needed: Mapping[str, Sequence[Located]], seconds: int | None
) -> Plan:
    """The plan with what it costs to bring in what is needed, over ``seconds`` of work (None: an
    hour)."""
    from dstack_cloud.match import with_egress

    places = {cloud: place_of(config, cloud) for cloud in {one.cloud for one in plan.offers}}
    loads = {
        cloud: [Load(place_of(config, one.cloud), one.size) for one in needed.get(cloud, ())]
        for cloud in places
    }
    hours = Decimal(seconds or _HOUR) / _HOUR
    return with_egress(plan, loads, places, hours)


def place_of(config: Config, cloud: str) -> Place:
    """Where a cloud's store is."""
    return Place(cloud, wiring.regions(config, cloud)[0])


def egress_lines(
    plan: Plan, needed: Mapping[str, Sequence[Located]], shown: int, seconds: int | None = None
) -> list[str]:
    """What the dependencies add to the offers that are shown and to each cloud's best, in words, a
    line a region; ``seconds`` of work as in `reckoned`."""
    lines = []
    best = {offer.cloud: offer for offer in reversed(plan.offers)}
    for offer in dict.fromkeys([*plan.offers[:shown], *best.values()]):
        if offer.egress == 0:
            continue
        here = needed.get(offer.cloud, ())
        holders = " and ".join(dict.fromkeys(one.cloud for one in here))
        size = format_size(sum(one.size for one in here))
        where = f"for {size} of dependencies in the store of {holders}"
        if offer.egress is None:
            words = f"egress of unknown price {where}, ranked as the dearest"
        else:
            hours = Decimal(seconds or _HOUR) / _HOUR
            share = format_price(offer.egress / hours)
            over = format_duration(seconds or _HOUR)
            words = f"{offer.egress:.4f} $ egress {where}, once: {share} $/h over {over} of work"
        lines.append(f"{offer.cloud} {offer.region}: {words}")
    return list(dict.fromkeys(lines))


def _run_missing(
    config: Config,
    clouds: Sequence[str],
    workflows: Workflows,
    name: str,
    dry_run: bool,
    yes: bool,
    region: Sequence[str] | None,
) -> None:
    stores = [wiring.open_store_of(config, cloud) for cloud in clouds]

    def nowhere(one: str) -> bool:
        return all(latest_run(store, one) is None for store in stores)

    waves = rounds(workflows.by_name, name, nowhere)
    if not waves:
        return
    together = [one for wave in waves for one in wave]
    require_possible(stores, workflows.by_name, [*together, name])
    order = ", then ".join(" and ".join(wave) for wave in waves)
    render.say(f"first: {order}")
    if dry_run:
        raise InputError(
            f"the plan of '{name}' can be made when {order} has run", "leave out --dry-run"
        )
    if not yes:
        if not sys.stdin.isatty():
            raise InputError("there is no terminal to ask on, so nothing was launched", "add -y")
        if render.ask(f"Run {order} first? [Y/n]") not in ("", "y", "yes"):
            raise InputError("nothing was launched", "leave out --with-deps, or answer y")
    more = ["--cloud", clouds[0], *(part for one in region or () for part in ("--region", one))]
    for wave in waves:
        _run_wave(wave, more)


def _run_wave(wave: Sequence[str], more: Sequence[str]) -> None:
    """Beside each other, each a command of its own; every line says whose it is."""
    width = max(map(len, wave))
    running = []
    for name in wave:
        process = subprocess.Popen(
            [sys.executable, "-m", "dstack_cloud", "run", name, "-y", *more],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        prefix = f"{name.ljust(width)} │ ".encode()
        told = threading.Thread(target=_tell, args=(process.stdout, prefix))
        told.start()
        running.append((name, process, told))
    codes = {name: process.wait() for name, process, _ in running}
    for _, _, told in running:
        told.join()
    failed = [name for name, code in codes.items() if code != 0]
    if failed:
        raise DependencyFailedError(
            f"{' and '.join(failed)} failed, so what depends on it was not run",
            f"dstack-cloud run {failed[0]} tries it alone",
            codes[failed[0]],
        )


def _tell(output: IO[bytes], prefix: bytes) -> None:
    # A dependency's output is none of this run's: it goes where our own words go.
    for line in output:
        sys.stderr.buffer.write(prefix + line)
        sys.stderr.buffer.flush()
