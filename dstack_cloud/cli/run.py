"""``run``: from the workflow file to the container's exit code."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dstack_cloud.cli import options, render
from dstack_cloud.errors import (
    DstackError,
    InputError,
    NoCapacityError,
    QuotaError,
    on_all_clouds,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from dstack_cloud.cli.limits import Limits
    from dstack_cloud.config import Config
    from dstack_cloud.lifecycle.conclude import Outcome
    from dstack_cloud.lifecycle.dependencies import Dependency, Located
    from dstack_cloud.lifecycle.tools import Tools
    from dstack_cloud.match import Plan
    from dstack_cloud.resources import ResourceRequest
    from dstack_cloud.state.code import Code
    from dstack_cloud.workflow.workflow import Workflow

# Offers of the plan that are told before the launch.
_SHOWN = 3


def run(
    workflow: Annotated[str, typer.Argument(help="A workflow of .dstack/workflows.yaml.")],
    args: Annotated[list[str] | None, typer.Argument(help="For ${{ run.args }}.")] = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Come back once the job has started.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="The plan, nothing else.")] = False,
    yes: options.Yes = False,
    cloud: options.Cloud = None,
    region: options.Region = None,
    cpu: options.Cpu = None,
    memory: options.Memory = None,
    gpu: options.Gpu = None,
    disk: options.Disk = None,
    interruptible: options.Interruptible = None,
    max_price: options.MaxPrice = None,
    max_duration: Annotated[
        str | None, typer.Option("--max-duration", help="End the run after this long: 6h.")
    ] = None,
    max_cost: Annotated[
        str | None, typer.Option("--max-cost", help="USD that all attempts may cost together.")
    ] = None,
    on_demand_after: Annotated[
        str | None,
        typer.Option(
            "--on-demand-after",
            help="Take a machine on demand where none is to be had as spot for so long: 10m.",
        ),
    ] = None,
    wait: Annotated[
        str | None,
        typer.Option("--wait", help="Go on looking for a machine for so long: 30m."),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(
            "--deadline", help="Be done by then, as cheaply as that allows, counted from now: 36h."
        ),
    ] = None,
    with_deps: Annotated[
        bool, typer.Option("--with-deps", help="Run what 'deps' lacks first.")
    ] = False,
    as_json: options.Json = False,
) -> int:
    """Run a workflow on a machine of its own, and end the machine."""
    from dstack_cloud import config as configuration
    from dstack_cloud import images_of, wiring
    from dstack_cloud.ahead import ahead
    from dstack_cloud.cli.limits import limits_of
    from dstack_cloud.cli.requests import overridden

    config = configuration.load()
    clouds = wiring.chosen(config, cloud)
    if len(clouds) == 1:
        wiring.warm_up(config, clouds[0])

    from dstack_cloud.workflow.load import load_workflows

    workflows = load_workflows(Path.cwd())
    chosen = workflows.get(workflow)
    deps: Mapping[str, tuple[Located, ...]] = {}
    if chosen.dependencies:
        from dstack_cloud.cli.dependencies import found_on

        first = {"dry_run": dry_run, "yes": yes, "region": region}
        deps = found_on(config, clouds, workflows, workflow, first if with_deps else None)
        clouds = list(deps)
    clouds = chosen.on_its_cloud(clouds)
    if chosen.secrets:
        from dstack_cloud.cli import needed_secrets

        clouds = needed_secrets.found_on(config, clouds, chosen)
    request = overridden(
        chosen.request, cpu, memory, gpu, disk, interruptible, max_price, clouds, region
    )
    if gpu is None:
        _require_known_gpu(chosen)
    limits = limits_of(
        config, chosen, request, max_duration, max_cost, on_demand_after, wait, deadline
    )
    # Whatever the file gets wrong must show before anything is asked of a cloud.
    spec = chosen.container("name", args or (), os.environ, config.image_on(clouds[0]))
    shown: Mapping[str, Sequence[str]] = {}
    if spec.shown_runs:
        from dstack_cloud.cli import shown_runs

        shown = shown_runs.found_on(config, clouds, chosen, spec.shown_runs)
        clouds = list(shown)
        request = replace(request, clouds=tuple(clouds))
    if spec.nodes > 1:
        from dstack_cloud.cli.many_nodes import with_many

        clouds = with_many(chosen, spec.nodes, clouds)
    request = replace(request, nodes=spec.nodes, clouds=tuple(clouds))
    report = render.QuietReporter() if as_json else render.TerminalReporter()
    for warning in spec.warnings:
        report.warn("workflow", warning)

    from dstack_cloud.cli.plan_table import image_notes
    from dstack_cloud.cli.planning import make_plan
    from dstack_cloud.state.code import store_code

    tools = {}
    code = None
    if len(clouds) == 1 and not dry_run:
        tools[clouds[0]] = wiring.open_tools(config, clouds[0], report, apart=True)
        if yes:
            # Nobody will be asked, so the code may be on its way while the plan is made.
            code = ahead(partial(store_code, tools[clouds[0]].store, workflows.root))
    baked = None
    if not as_json:
        # For the plan to tell; made here, so that two threads do not begin it.
        wiring.process_apart()
        baked = ahead(partial(images_of.baked_images, config, clouds, region))

    def whole(plan: Plan) -> Plan:
        """The plan with what the dependencies cost to bring in."""
        if not deps:
            return plan
        from dstack_cloud.cli.dependencies import reckoned

        return reckoned(config, plan, deps, _seconds(limits))

    plan = whole(make_plan(config, request, on_demand_too=limits.on_demand_too))
    budget = limits.check_budget(config, request, plan.offers[0])
    if not dry_run:
        for name in _in_order(plan, limits):
            tools.setdefault(name, wiring.open_tools(config, name, report, apart=True))
        # For the launch, while the user reads the plan.
        wiring.ask_ahead(next(iter(tools.values())).cloud, plan.offers)
    if baked is not None:
        more = [_goes_on(plan, limits), *limits.deadline_lines(config, request, plan.offers)]
        best = plan.offers[:_SHOWN]
        boots = [images_of.baked_for(config, offer, baked()) for offer in best]
        unready = [offer for offer, image in zip(best, boots, strict=True) if image is None]
        slow = wiring.slow_to_start(config, unready)
        more += image_notes(boots)
        if deps:
            from dstack_cloud.cli.dependencies import egress_lines

            more += egress_lines(plan, deps, _SHOWN, _seconds(limits))
        _show(chosen, request, spec.image, plan, slow, [budget, *more])
    limits.check_deadline()
    if dry_run:
        if as_json:
            from dstack_cloud.cli.offers import plan_json

            render.print_json(plan_json(plan, request.nodes))
        return 0
    _confirm(yes)

    def carry_out(tools: Tools, limits: Limits) -> Outcome:
        stored = code() if code else store_code(tools.store, workflows.root)
        return _carry_out(
            config,
            tools,
            stored,
            chosen,
            request,
            plan,
            args or [],
            limits,
            detach,
            deps,
            whole,
            shown,
        )

    return conclude(_on_the_first_that_can(list(tools.values()), limits, carry_out), as_json)


def _in_order(plan: Plan, limits: Limits) -> list[str]:
    """The clouds to try, by their best offers. A deadline is kept on one cloud: it waits there."""
    found = list(dict.fromkeys(offer.cloud for offer in plan.offers))
    return found[:1] if limits.terms is not None else found


def _on_the_first_that_can(
    tools: Sequence[Tools], limits: Limits, carry_out: Callable[[Tools, Limits], Outcome]
) -> Outcome:
    """The outcome on the first cloud that has a machine; only the last is waited for."""
    failed: list[tuple[str, DstackError]] = []
    for at, each in enumerate(tools):
        last = at + 1 == len(tools)
        try:
            return carry_out(each, limits if last else limits.without_waiting())
        except (NoCapacityError, QuotaError) as error:
            failed.append((each.cloud.name, error))
            if not last:
                words = f"{each.cloud.name}: {error.message}"
                each.report.warn("capacity", words, f"{tools[at + 1].cloud.name} is asked next")
    raise on_all_clouds("no cloud had a machine", failed)


def _goes_on(plan: Plan, limits: Limits) -> str | None:
    """What the offers of several clouds mean for the run."""
    first, *others = _in_order(plan, limits)
    if others:
        return f"the run is {first}'s, with its store; {', '.join(others)} only without capacity"
    return None


def _seconds(limits: Limits) -> int | None:
    """How long the work takes, where that is known."""
    return limits.terms.duration if limits.terms else None


def _require_known_gpu(workflow: Workflow) -> None:
    """InputError at the file's own line for a GPU name that nobody knows."""
    from dstack_cloud.catalog.gpus import resolve

    asked = workflow.request.gpu
    if asked is None or asked.name is None:
        return
    try:
        resolve(asked.name)
    except InputError as error:
        raise workflow.error_at("resources.gpu.name", error.message, error.hint) from None


def _carry_out(
    config: Config,
    tools: Tools,
    code: Code,
    workflow: Workflow,
    request: ResourceRequest,
    plan: Plan,
    args: list[str],
    limits: Limits,
    detach: bool,
    deps: Mapping[str, Sequence[Located]],
    whole: Callable[[Plan], Plan],
    shown: Mapping[str, Sequence[str]],
) -> Outcome:
    from dstack_cloud.cli.planning import Planner
    from dstack_cloud.lifecycle import driver
    from dstack_cloud.lifecycle.going import Going, keeper
    from dstack_cloud.lifecycle.private import private_of
    from dstack_cloud.lifecycle.submit import Submission, submit
    from dstack_cloud.retry import default

    needed = deps.get(tools.cloud.name, ())
    brought: tuple[tuple[Dependency, ...], Decimal | None] = ((), Decimal(0))
    if needed:
        from dstack_cloud import wiring
        from dstack_cloud.cli.dependencies import place_of
        from dstack_cloud.lifecycle.bring_over import bring_over

        store_of = partial(wiring.open_store_of, config)
        brought = bring_over(tools, needed, store_of, partial(place_of, config))
    environment = workflow.common.environment or ()
    submission = Submission(
        workflow=workflow.name,
        provider=workflow.common.provider,
        container=lambda name: replace(
            workflow.container(name, args, os.environ, config.image_on(tools.cloud.name)),
            shown_runs=tuple(shown.get(tools.cloud.name, ())),
        ),
        request=request,
        artifacts=workflow.artifacts,
        deps=brought[0],
        brought=brought[1],
        grace=workflow.grace,
        max_duration=limits.max_duration,
        retry=workflow.retry or default(bool(request.interruptible) or limits.terms is not None),
        max_cost=limits.max_cost,
        on_demand_after=limits.on_demand_after,
        wait=limits.wait,
        deadline=limits.terms.deadline if limits.terms else None,
        duration=limits.terms.duration if limits.terms else None,
        secrets=workflow.secrets,
        cloud_access=workflow.cloud_access,
        private=frozenset(item.name for item in environment if item.value is None),
        code=code.key if code.files else None,
    )
    record = submit(tools, submission)
    going = Going(
        record,
        Planner(config, plan, whole),
        lambda: private_of(tools, record, os.environ),
        in_time=keeper(tools, record),
    )
    return driver.run(tools, going, detach)


def _show(
    workflow: Workflow,
    request: ResourceRequest,
    image: str,
    plan: Plan,
    slow: Collection[str],
    more: Sequence[str | None],
) -> None:
    from dstack_cloud.cli.plan_table import plan_lines, request_words

    title = f"{workflow.name} · {workflow.common.provider} {image} · {request_words(request)}"
    render.say(render.coloured(title, "bold", sys.stderr))
    render.say()
    for line in plan_lines(plan, _SHOWN, slow, render.width_of(sys.stderr), request.nodes):
        render.say(line)
    for words in filter(None, more):
        render.say(f"  {words}")
    render.say()


def _confirm(yes: bool) -> None:
    """Ask on a terminal; without one, only ``-y`` may launch."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError(
            "there is no terminal to ask on, so nothing was launched", "add -y to launch"
        )
    if render.ask("Launch the first that has capacity? [Y/n]") not in ("", "y", "yes"):
        raise InputError("nothing was launched", "change the request, or answer y")


def conclude(outcome: Outcome, as_json: bool) -> int:
    """Print what is left to say of an outcome; answers the exit code."""
    if as_json:
        render.print_json(outcome_as_json(outcome))
        return outcome.exit_code
    if outcome.end is None:
        render.say(
            f"{outcome.run} runs; dstack-cloud attach {outcome.run} follows it, "
            f"dstack-cloud stop {outcome.run} ends it"
        )
        print(outcome.run)
    if outcome.error is not None:
        render.print_error(outcome.error)
    return outcome.exit_code


def outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    """The JSON document of a run that was followed or detached from."""
    end, bill = outcome.end, outcome.bill
    return {
        "run": outcome.run,
        "attempt": outcome.attempt,
        "state": end["state"] if end else "running",
        "exit_code": end["exit_code"] if end else None,
        "kind": outcome.error.kind if outcome.error else ("exit" if end else "detached"),
        "reason": end["reason"] if end else None,
        "artifacts": list(end["artifacts"]) if end else [],
        "cost": str(bill.cost) if bill and bill.cost is not None else None,
        "on_demand_cost": str(bill.on_demand) if bill and bill.on_demand is not None else None,
        "error": outcome.error.as_json() if outcome.error else None,
    }
