"""Killing the client around a call, and what must be true afterwards."""

from __future__ import annotations

import os
import queue
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Protocol, TypeVar

from support import warm
from support.lane import Call, Lane
from support.words import Words

Made = TypeVar("Made")
OneCase = TypeVar("OneCase", contravariant=True)

NO_JOB_S = 5
HASTY = {"no_job": f"{NO_JOB_S}s", "heartbeat": "20s"}
CALM = {"no_job": "2m", "heartbeat": "1m"}
# A boot, the timer's own step, the machine's way down.
_MARGIN_S = 60.0
_REACHED_WITHIN_S = 240

WORKFLOW = """\
workflows:
  - name: {name}
    provider: docker
    image: ubuntu
    artifacts: [output]
    resources: {{gpu: T4, interruptible: true}}
    commands:
      - echo attempt $DSTACK_ATTEMPT
      - mkdir output
      - cat data.txt >output/copy.txt
"""


@dataclass(frozen=True)
class Case:
    """Kill while the ``nth`` call of an action is held. ``cold``: in a home without a catalog."""

    action: str
    nth: int
    when: str
    cold: bool = False

    def __str__(self) -> str:
        return f"{self.when} {self.action} {self.nth}"


def counted(calls: Iterable[Call], words: Words) -> Counter[str]:
    """How often the client called each action.

    A launch that takes long renews its lease now and then: not counted. Once the job is on its way
    the client asks, over and over, whether its machine is gone: how often depends on the time that
    takes, so that only the first of these counts.
    """
    found: Counter[str] = Counter()
    started = polled = False
    for call in calls:
        if key_of(call).endswith("/lease.json"):
            continue
        if by_a_job(call, words):
            started = True
        elif call["principal"] == words.user:
            polls = started and call["action"] == words.poll
            if not (polls and polled):
                found[call["action"]] += 1
            polled = polled or polls
    return found


def key_of(call: Call) -> str:
    """The store's object that it is about; empty for none."""
    parameters = call["parameters"]
    return str(parameters.get("Key") or parameters.get("object") or "")


def by_a_job(call: Call, words: Words) -> bool:
    """Whether a machine's agent made it, which it does once its job has been sent."""
    return call["principal"] not in (words.user, None) and bool(key_of(call))


def reads(action: str, words: Words) -> bool:
    """Whether such a call changes nothing."""
    return any(fnmatch(action, pattern) for pattern in words.reading)


def moments(action: str, words: Words) -> tuple[str, ...]:
    """When to kill: before the call and, where it changes something, after it. A read whose answer
    never came has left the account as one that was never asked."""
    return ("before",) if reads(action, words) else ("before", "after")


def cases_of(cold: Counter[str], warm: Counter[str], words: Words) -> list[Case]:
    """The cases of every call: those of the catalog in a home that has none, alternating with the
    others, which spend their time waiting."""
    lists = [
        [
            Case(action, nth, when, cold=whole)
            for action, count in sorted(counts.items())
            for nth in range(1, count + 1)
            for when in moments(action, words)
        ]
        for whole, counts in ((True, cold - warm), (False, warm))
    ]
    longest = max(map(len, lists))
    return [cases[i] for i in range(longest) for cases in lists if i < len(cases)]


def undisturbed(lane: Lane, environ: dict[str, str], name: str) -> Counter[str]:
    """A run to its end; the client's calls."""
    since = submit(lane, name)
    assert lane.run(environ, "run", name, "-y") == 0, lane.said()
    calls = lane.calls(since)
    assert lane.machines_left(_MARGIN_S) == []
    assert _rows(lane, environ, name) == [("done", 0)]
    return counted(calls, lane.emulator.words)


def carry_out(
    lane: Lane, environ: dict[str, str], name: str, case: Case, no_job_s: int = NO_JOB_S
) -> None:
    """One case; ``no_job_s`` is what the environment's configuration says.

    AssertionError says what was not as it must be.
    """
    since, killed = kill(lane, environ, name, case)
    assert lane.machines_left(no_job_s + _MARGIN_S) == [], "a machine outlives its run"
    done = executed(lane.calls(since))
    words = lane.emulator.words
    started = any(by_a_job(call, words) for call in done)
    run = f"{name}-1"
    launched = any(call["action"] == words.launch for call in done)
    ends = lane.ends(run)
    assert len(ends) == launched
    if not started:
        # Without a job it is the machine itself that puts an end to it, and nobody else.
        assert set(ends) <= {words.own_end}
    there = written(done, words)
    claimed = f"runs/{run}/run.json" in there
    indexed = f"index/submitted/{run}" in there
    if claimed and not started:
        # Its client might still be at it, for all that others know, while a launch may last.
        time.sleep(max(0.0, killed + no_job_s + 0.5 - time.monotonic()))

    # A name that is claimed and not yet in the index has cost nothing, and `gc` finds it.
    truth = ("done", 0) if started else ("lost", None)
    assert _rows(lane, environ, name) == ([truth] if indexed else [])
    found = lane.ask(environ, "gc", "-y")["leftovers"]
    assert all(one["removed"] for one in found), found
    if found:
        assert lane.ask(environ, "gc")["leftovers"] == []
    assert lane.left() == []
    assert os.listdir(environ["TMPDIR"]) == []
    if claimed and not indexed:
        assert _rows(lane, environ, name) == [truth]
    places = [key for key in lane.keys("index/") if key.endswith(f"/{run}")]
    assert places == ([f"index/{truth[0]}/{run}"] if claimed else [])
    stored = [f"artifacts/{run}/output/copy.txt"] if started else []
    assert lane.keys(f"artifacts/{run}/") == stored


class Worker(Protocol[OneCase]):
    """An account in which one case after another is carried out."""

    lane: Lane

    def carry_out(self, number: int, case: OneCase) -> None: ...


def side_by_side(make: Callable[[Lane], Made], found: Sequence[Lane]) -> list[Made]:
    """A worker for each account, made at the same time."""
    with ThreadPoolExecutor(len(found)) as pool:
        return list(pool.map(make, found))


def carry_out_all(workers: Sequence[Worker[OneCase]], cases: Sequence[OneCase]) -> list[str]:
    """Every case, by whoever is free; what went wrong."""
    waiting: queue.SimpleQueue[tuple[int, OneCase]] = queue.SimpleQueue()
    for item in enumerate(cases, 1):
        waiting.put(item)
    problems: list[str] = []

    def work(worker: Worker[OneCase]) -> None:
        while True:
            try:
                number, case = waiting.get_nowait()
            except queue.Empty:
                return
            begun = time.monotonic()
            try:
                worker.carry_out(number, case)
                print(f"{time.monotonic() - begun:5.1f} s  {case}")
            except Exception as error:
                problems.append(f"{case}: {type(error).__name__}: {error}")
                # Whatever this one left must not be the next one's.
                worker.lane.clear()

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return problems


def kill(
    lane: Lane, environ: dict[str, str], name: str, case: Case, workflow: str = WORKFLOW
) -> tuple[int, float]:
    """Begin a run and kill its client at the case's call: the last call before the run, and when
    the client was killed (monotonic). What it had sent by then has been answered."""
    since = submit(lane, name, workflow)
    emulator = lane.emulator
    user = emulator.words.user
    order = {"action": case.action, "nth": case.nth, "when": case.when, "principal": user}
    hold = emulator.post("/_emulator/holds", order)
    client = lane.begin(environ, "run", name, "-y")
    held = emulator.get(f"/_emulator/holds?wait={_REACHED_WITHIN_S}")
    client.kill()
    warm.ended(client)
    killed = time.monotonic()
    assert [one["state"] for one in held] == ["waiting"], f"never reached: {lane.said()}"
    emulator.post(f"/_emulator/holds/{hold['id']}/release", {"drop": True})
    all_answered(lane, since)
    return since, killed


def copied_home(lane: Lane, environ: dict[str, str], name: str) -> dict[str, str]:
    """The environment with a copy of its home."""
    home = Path(environ["HOME"])
    copy = home.with_name(f"home-{name}")
    shutil.copytree(home, copy)
    config = copy / Path(environ["DSTACK_CLOUD_CONFIG"]).name
    return {
        **environ,
        "HOME": str(copy),
        "TMPDIR": str(copy / "tmp"),
        "DSTACK_CLOUD_CONFIG": str(config),
    }


def submit(lane: Lane, name: str, workflow: str = WORKFLOW) -> int:
    """Write the workflow file, with code that no other run has; the last call so far."""
    file = lane.folder / ".dstack" / "workflows.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(workflow.format(name=name))
    (lane.folder / "data.txt").write_text(name)
    return lane.mark()


def all_answered(lane: Lane, since: int) -> None:
    """Wait for what the client had sent before it was killed: it is carried out all the same."""
    seen: list[Any] = []
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        now = [
            (call["sequence"], call["outcome"])
            for call in lane.calls(since)
            if call["principal"] == lane.emulator.words.user
        ]
        if now == seen and not {"pending", "held"} & {outcome for _, outcome in now}:
            return
        seen = now
        time.sleep(0.1)
    raise AssertionError("the emulator does not answer the killed client's calls")


def executed(calls: list[Call]) -> list[Call]:
    """The calls that took effect; where the connection was dropped, the status tells."""
    return [call for call in calls if call["status"] is not None and call["status"] < 300]


def written(calls: list[Call], words: Words) -> set[str]:
    """The objects of the store that the calls wrote."""
    return {key_of(call) for call in calls if call["action"] == words.put}


def _rows(lane: Lane, environ: dict[str, str], name: str) -> list[tuple[str, int | None]]:
    """State and exit code of the workflow's runs, as ``ps`` tells them."""
    rows = lane.ask(environ, "ps", "--all")["runs"]
    return [(row["state"], row["exit_code"]) for row in rows if row["workflow"] == name]
