"""``offers``: what fits a request, cheapest first, and why the near misses do not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dstack_cloud.cli import options, render
from dstack_cloud.units import format_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dstack_cloud.catalog.query import Age, Catalog
    from dstack_cloud.config import Config
    from dstack_cloud.lifecycle.dependencies import Located
    from dstack_cloud.match import Plan
    from dstack_cloud.resources import Offer
    from dstack_cloud.workflow.load import Workflows
    from dstack_cloud.workflow.workflow import Workflow


def offers(
    cpu: options.Cpu = None,
    memory: options.Memory = None,
    gpu: options.Gpu = None,
    disk: options.Disk = None,
    interruptible: options.Interruptible = None,
    max_price: options.MaxPrice = None,
    cloud: options.Cloud = None,
    region: options.Region = None,
    workflow: Annotated[
        str | None,
        typer.Option(
            "--workflow",
            help="For a workflow: its resources, and its dependencies' egress.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many to show.", min=1)] = 20,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say why other machines do not fit.")
    ] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Fetch today's prices first (needs credentials).")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """List the machines that fit a request, cheapest first."""
    from dstack_cloud.cli.requests import overridden
    from dstack_cloud.resources import ResourceRequest

    chosen = _workflow(workflow) if workflow is not None else None
    request = overridden(
        chosen[1].request if chosen else ResourceRequest(interruptible=None),
        cpu,
        memory,
        gpu,
        disk,
        interruptible,
        max_price,
        [cloud] if cloud else [],
        region,
    )
    if cloud == "local":
        from dstack_cloud.catalog.local import this_machine

        found = this_machine(request)
        if as_json:
            render.print_json({"offers": [offer_json(found)], "rejections": []})
        else:
            _print_table([found])
        return

    from dstack_cloud.catalog.open import UNSAID, open_catalogs, planned_over
    from dstack_cloud.match import match

    config = _config()
    clouds = planned_over(config, cloud)
    catalogs = open_catalogs(clouds, config.accounts if config else None)
    if refresh:
        from dstack_cloud import config as configuration
        from dstack_cloud.cli.catalog import refresh_all

        fresh = [one for one in catalogs if one.cloud in (clouds or UNSAID)]
        refresh_all(fresh, config or configuration.load(), region or [])
    deps = _dependencies(config, chosen, cloud)
    plan = match(request, catalogs, limit=None if deps else limit)
    if not plan.offers:
        plan.launchable()  # Raises, with the nearest.
    if deps and config is not None:
        from dstack_cloud.cli.dependencies import reckoned

        plan = replace(plan, offers=tuple(one for one in plan.offers if one.cloud in deps))
        plan = reckoned(config, plan, deps, chosen[1].duration if chosen else None)
        plan = replace(plan, offers=plan.offers[:limit])
    if as_json:
        render.print_json(plan_json(plan))
        return
    _print_table(plan.offers)
    _print_notes(plan, catalogs, explain)
    if deps:
        _print_egress(plan, deps, chosen[1].duration if chosen else None, explain)
    if explain and config is not None and config.stores:
        _print_reckoning(config, plan.offers)


def _workflow(name: str) -> tuple[Workflows, Workflow]:
    from pathlib import Path

    from dstack_cloud.workflow.load import load_workflows

    workflows = load_workflows(Path.cwd())
    return workflows, workflows.get(name)


def _dependencies(
    config: Config | None, chosen: tuple[Workflows, Workflow] | None, cloud: str | None
) -> dict[str, tuple[Located, ...]]:
    """Where what the workflow depends on lies, for each cloud; nothing without such a workflow."""
    if config is None or chosen is None or not chosen[1].dependencies:
        return {}
    from dstack_cloud import wiring
    from dstack_cloud.cli.dependencies import found_on

    workflows, workflow = chosen
    return found_on(config, wiring.chosen(config, cloud), workflows, workflow.name, None)


def _print_egress(
    plan: Plan, deps: Mapping[str, Sequence[Located]], seconds: int | None, explain: bool
) -> None:
    """What it costs to bring in what the workflow depends on: where it lies, and to where."""
    from dstack_cloud.cli.dependencies import egress_lines

    lines = egress_lines(plan, deps, len(plan.offers), seconds)
    if not explain:
        for line in lines:
            render.say(line)
        return
    print()
    print("what the workflow depends on (its egress is reckoned in the order of the offers):")
    first = next(iter(deps.values()))
    for one in first:
        print(f"  {one.dependency.name}: {format_size(one.size)} in the store of {one.cloud}")
    for line in lines or ["no egress anywhere"]:
        print(f"  {line}")


def plan_json(plan: Plan, nodes: int = 1) -> dict[str, Any]:
    """The JSON document of the contract: memory in bytes, prices as decimal strings. An offer is
    one machine; ``nodes`` of it are launched."""
    return {
        "nodes": nodes,
        "offers": [offer_json(offer) for offer in plan.offers],
        "rejections": [
            {"machine": rejection.machine, "reason": rejection.reason}
            for rejection in plan.rejections
        ],
    }


def offer_json(offer: Offer) -> dict[str, Any]:
    """One offer of the contract; a price that is not known is null."""
    gpu = offer.gpu
    return {
        "cloud": offer.cloud,
        "region": offer.region,
        "zones": [zone.zone for zone in offer.zones],
        "machine": offer.machine,
        "cpu": offer.cpu,
        "memory": offer.memory,
        "gpu": {"name": gpu.name, "count": gpu.count, "memory": gpu.memory} if gpu else None,
        "spot": offer.spot,
        "price": None if offer.price is None else f"{offer.price:f}",
        "on_demand": None if offer.on_demand is None else f"{offer.on_demand:f}",
        "egress": None if offer.egress is None else f"{round(offer.egress, 6).normalize():f}",
    }


def _config() -> Config | None:
    """The configuration, where there is one: reading YAML takes longer than all the rest."""
    from dstack_cloud import config

    return config.load() if config.config_file().exists() else None


def _print_table(found: tuple[Offer, ...] | list[Offer]) -> None:
    from dstack_cloud.cli.plan_table import offer_rows, table

    header, *rows = table(offer_rows(found), render.width_of(sys.stdout))
    print(render.coloured(header, "dim", sys.stdout))
    for row in rows:
        print(row)


def _print_reckoning(config: Config, found: Sequence[Offer]) -> None:
    """How `run` ranks the spot offers that are shown: what an hour of work is expected to cost."""
    from dstack_cloud import today, wiring
    from dstack_cloud.cli.plan_table import reckoning_rows
    from dstack_cloud.ranking import reckon
    from dstack_cloud.units import utc_now

    now, reckoned = utc_now(), []
    for cloud in wiring.configured(config):
        spot = [offer for offer in found if offer.spot and offer.cloud == cloud]
        known = today.experience(config, spot, cloud)
        reckoned += [one for offer in spot for one in reckon(offer, known, now)]
    rows = sorted(reckoned, key=lambda one: one.expected)
    if rows:
        print()
        print("what an hour of useful work on spot is expected to cost (run ranks by that):")
        header, *lines = reckoning_rows(rows)
        render.print_table(header, lines, right="  rrrrr")


def _print_notes(plan: Plan, catalogs: list[Catalog], explain: bool) -> None:
    """To stderr: what was left out, why, and how old the prices are. The reasons are facts."""
    from dstack_cloud.cli.plan_table import plan_notes

    for note in plan_notes(plan, len(plan.offers)):
        render.say(note.removesuffix(": dstack-cloud offers --explain") if explain else note)
    if explain:
        print()
        for rejection in plan.rejections:
            print(f"{rejection.machine:<16}  {rejection.reason}")
    shown = {(offer.cloud, offer.region) for offer in plan.offers}
    for catalog in catalogs:
        ages = [age for age in catalog.ages() if (catalog.cloud, age.region) in shown]
        for line in age_lines(catalog.cloud, ages):
            render.say(line)


def age_lines(cloud: str, ages: list[Age]) -> list[str]:
    """How old the data is: the regions read live, and those of the bundled snapshot."""
    from dstack_cloud.cli.catalog import ago

    live = [age for age in ages if age.live_at]
    lines = []
    if live:
        oldest = min(str(age.live_at) for age in live)
        names = ", ".join(age.region for age in live)
        lines.append(f"{cloud} {names}: read live, {ago(oldest)}")
    bundled = [age for age in ages if not age.live_at]
    if bundled:
        dated = date.fromisoformat(min(age.prices_of for age in bundled))
        rest = "the other regions" if live else "prices"
        lines.append(
            f"{cloud} {rest}: bundled list of {dated:%B %Y}, spot prices not known;"
            " dstack-cloud catalog update fetches today's"
        )
    return lines
