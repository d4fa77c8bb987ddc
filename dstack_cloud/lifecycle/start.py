"""Pushing the agent and its job onto a machine: one command over one connection."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from secrets import token_urlsafe

from dstack_cloud import retry
from dstack_cloud.clouds.base import Machine
from dstack_cloud.errors import InputError, InternalError
from dstack_cloud.lifecycle.budget import budget_left, hourly_price, transfer_prices
from dstack_cloud.lifecycle.launch import Launched
from dstack_cloud.lifecycle.machine_record import machine_as_json
from dstack_cloud.lifecycle.private import Private
from dstack_cloud.lifecycle.record import RunRecord
from dstack_cloud.lifecycle.tools import Tools
from dstack_cloud.machine.access import container_variables
from dstack_cloud.machine.bundle import agent_bundle
from dstack_cloud.machine.job import ArtifactSpec, DependencySpec, Job, Retry, StoreAccess, Timers
from dstack_cloud.machine.push import bootstrap_argv, bootstrap_stdin, started_host_key
from dstack_cloud.spec import RUNS_DIR, TOKEN
from dstack_cloud.ssh.base import AgentHome, Session
from dstack_cloud.ssh.docker import PROGRESS_FILE, run_argv
from dstack_cloud.units import parse_time, utc_now

_START_S = 60.0


def start(
    tools: Tools,
    session: Session,
    record: RunRecord,
    attempt: int,
    launched: Launched,
    private: Private,
    node: int = 0,
) -> str:
    """Push and start, on one ``node`` of those launched; answers its public host key from now on.

    Harmless when the agent has been started before. Raises ConnectionLostError, InternalError.
    """
    machine = launched.machine.nodes[node]
    home = tools.reach.home(machine)
    argv = [*home.prefix, *bootstrap_argv(home.root, home.python)]
    stdin = bootstrap_stdin(
        agent_bundle(), job(tools, record, attempt, launched, private, node).as_json()
    )
    done = session.run(argv, stdin, _START_S)
    if done.code != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise InternalError(
            f"the agent did not start on {machine.id}: {' '.join(words[-3:])}",
            "the machine is ended; try again, and report this if it stays",
        )
    return started_host_key(done.stdout) or launched.host_key


def job(
    tools: Tools,
    record: RunRecord,
    attempt: int,
    launched: Launched,
    private: Private,
    node: int = 0,
) -> Job:
    """The agent's job for an attempt on a machine, or on one ``node`` of several."""
    nodes = launched.machine.nodes
    machine = nodes[node]
    gpu = record.request.gpu
    home = tools.reach.home(machine)
    container = container_name(home, record.run, attempt, machine)
    secrets = private.environment
    if any("{token}" in page for page in record.container.pages.values()):
        secrets = {**secrets, TOKEN: token_urlsafe(24)}
    access = container_variables(record.cloud_access)
    secrets = {**secrets, **access}
    left, price = budget_left(tools.store, record, attempt), hourly_price(machine)
    if left is not None and price is None:
        raise InputError(
            f"what {machine.machine} costs an hour in {machine.region}, its disk included, is not "
            "known, so the budget could not be kept",
            "leave out max_cost, or allow another region only",
        )
    return Job(
        run=record.run,
        attempt=attempt,
        cloud=machine.cloud,
        region=machine.region,
        machine=machine.id,
        store=StoreAccess.of(tools.store.url, tools.store_region, tools.endpoints),
        container=container,
        image=record.container.image,
        argv=run_argv(
            record.container,
            name=container,
            gpus=gpu.count if gpu else 0,
            labels={"dstack-cloud.run": record.run, "dstack-cloud.attempt": str(attempt)},
            environment={
                **fellows_environment(nodes, node),
                "DSTACK_RUN": record.run,
                "DSTACK_ATTEMPT": str(attempt),
                "DSTACK_RESUMED": "0" if attempt == 1 else "1",
                "DSTACK_PROGRESS_FILE": PROGRESS_FILE,
            },
            secrets=tuple(secrets),
            stop_timeout=record.grace,
            read_only=_read_only(record),
            same_ports=home.own_machine,
            fellows=host_names(nodes) if len(nodes) > 1 else None,
            hostname=node_name(node),
        ),
        code=record.code,
        artifacts=[ArtifactSpec(**artifact) for artifact in record.artifacts],
        deps=[DependencySpec(**one) for one in record.deps],
        shown_runs=record.container.shown_runs,
        shown_files=record.container.shown_files,
        working_dir=record.container.working_dir,
        secrets=secrets,
        masks=private.masks,
        registry=private.registry,
        cloud_access=record.cloud_access,
        max_duration=record.max_duration,
        # Each keeps to its share: they cost the same.
        max_cost=None if left is None else str(left / len(nodes)),
        price=None if price is None else f"{price:f}",
        transfer=transfer_prices(machine, tools.store_region),
        grace=record.grace,
        timers=Timers(
            heartbeat=tools.timers.heartbeat,
            pull_stall=tools.timers.pull_stall,
            no_job=tools.timers.no_job,
        ),
        endpoints=tools.endpoints,
        clients=[tools.reach.public_key()],
        user=machine.user,
        rotate_host_key=home.own_machine,
        retry=_retry(record, attempt),
        restore=attempt > 1,
        movable=record.deadline is not None,
        machine_record=machine_as_json(machine, launched.host_key),
        node=node,
        nodes=len(nodes),
    )


def node_name(node: int) -> str:
    """What a node is called in its log, its artifacts and by its fellows."""
    return f"node-{node}"


def host_names(nodes: Sequence[Machine]) -> dict[str, str]:
    """The nodes' names and where each is reached."""
    return {node_name(number): one.private_address or "" for number, one in enumerate(nodes)}


def fellows_environment(nodes: Sequence[Machine], node: int) -> dict[str, str]:
    """What a container of several is told of the others: nothing where it is alone."""
    if len(nodes) == 1:
        return {}
    return {
        "DSTACK_NODES": str(len(nodes)),
        "DSTACK_NODE_RANK": str(node),
        "DSTACK_NODE_ADDRESSES": ",".join(host_names(nodes).values()),
    }


def container_name(home: AgentHome, run: str, attempt: int, machine: Machine) -> str:
    """The container's name in its engine.

    A machine of one's own has this container only; on the caller's own there may be others.
    """
    return f"dstack-{run}-{attempt}" if home.own_machine else f"dstack-{machine.id}"


def _read_only(record: RunRecord) -> dict[str, str]:
    """Folder on the machine -> its place in the container, of what other runs have left."""
    shown = {"{root}/shown": RUNS_DIR} if record.container.shown_runs else {}
    return shown | {
        f"{{root}}/deps/{number}/{path}": posixpath.join(record.container.working_dir, path)
        for number, one in enumerate(record.deps)
        for path in one["paths"]
    }


def _retry(record: RunRecord, attempt: int) -> Retry | None:
    """After which ends the agent leaves the run to another attempt."""
    rule = record.retry
    if rule is None or (rule.attempts is not None and attempt >= rule.attempts):
        return None
    limit = retry.until(rule, parse_time(record.submitted_at))
    return Retry(rule.on, (limit - utc_now()).total_seconds() if limit else None)
