"""The state of runs in every store: races, and what a listing of thousands costs."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dstack_cloud.state import keys
from dstack_cloud.state.artifacts import download_artifacts
from dstack_cloud.state.attempts import latest_attempt
from dstack_cloud.state.code import store_code
from dstack_cloud.state.logs import read_log
from dstack_cloud.state.runs import RunState, find_run, listing, submit

SUBMIT = """
from dstack_cloud.state.runs import submit
print("ready", flush=True)
sys.stdin.readline()
print(*[submit(store, "train", lambda name: {"by": args[0]}) for _ in range(8)], flush=True)
"""
CLAIM = """
from dstack_cloud.state.attempts import claim_attempt
print("ready", flush=True)
sys.stdin.readline()
print(*[n for n in range(1, 9) if claim_attempt(store, "train-1", n, {})], flush=True)
"""


def race(racers: list[Any]) -> list[list[str]]:
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = [racer.communicate(timeout=120)[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * len(racers)
    return answers


def test_submissions_at_the_same_time_get_names_of_their_own(place: Any) -> None:
    answers = race([place.start(SUBMIT, str(i)) for i in range(4)])
    names = [name for answer in answers for name in answer]
    assert len(set(names)) == 32
    store = place.open()
    assert {row.run for row in listing(store)} == set(names)
    rows = {row.run: row.record for row in listing(store, records=True)}
    for by, answer in enumerate(answers):
        assert all(rows[name]["by"] == str(by) for name in answer)


def test_an_attempt_has_one_owner(place: Any) -> None:
    answers = race([place.start(CLAIM) for _ in range(4)])
    assert sorted(int(number) for answer in answers for number in answer) == list(range(1, 9))
    assert latest_attempt(place.open(), "train-1") == 8


def test_thousands_of_runs_are_listed(place: Any, record_property: Any) -> None:
    store = place.open()
    states = [*RunState][5:]
    count = 3000 if place.url.startswith("/") else 1200

    def add(number: int) -> None:
        store.put(keys.index(states[number % 4], f"train-{number}"), b"")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(add, range(1, count)))
    live = submit(store, "train", lambda name: {"x": 1})
    began = time.perf_counter()
    rows = listing(store, records=True)
    record_property("listing_seconds", time.perf_counter() - began)
    assert live == f"train-{count}"
    assert len(rows) == count
    assert [row.record["x"] for row in rows if row.record] == [1]
    assert find_run(store, "train-1").state is states[1]


def test_a_run_passes_through(place: Any, tmp_path: Path) -> None:
    store = place.open()
    root = tmp_path / "code"
    root.mkdir()
    (root / "noise.bin").write_bytes(os.urandom(3 << 20))
    code = store_code(store, root)
    assert store_code(store, root) == code
    run = submit(store, "train", lambda name: {"code": code.key})
    store.create(keys.intent(run, 1), b"{}")
    log = b"".join(b"t stdout F line %d\n" % i for i in range(3000))
    for begin in range(0, len(log), 5000):
        store.put(keys.log_segment(run, 1, begin), log[begin : begin + 5000])
    assert b"".join(chunk.data for chunk in read_log(store, run)) == log
    assert b"".join(chunk.data for chunk in read_log(store, run, 1, 12345)) == log[12345:]
    for i in range(20):
        store.put(f"artifacts/{run}/out/{i} ü.txt", b"%d" % i)
    assert download_artifacts(store, run, tmp_path / "down").files == 20
    assert (tmp_path / "down/out/7 ü.txt").read_bytes() == b"7"
