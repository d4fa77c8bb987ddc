"""Processes that want the same object at the same time, and one that dies on the way."""

from __future__ import annotations

import signal
import subprocess
from typing import Any

CREATE = """
print("ready", flush=True)
sys.stdin.readline()
won = [i for i in range(40) if store.create(f"claims/{i}", args[0].encode())]
print(*won, flush=True)
"""
COUNT = """
print("ready", flush=True)
sys.stdin.readline()
for _ in range(25):
    while True:
        found = store.get("counter")
        if store.replace("counter", str(int(found.data) + 1).encode(), found.version):
            break
print("done", flush=True)
"""
OVERWRITE = """
data = args[0].encode() * 2_000_000
store.put("shared", data)
print("ready", flush=True)
while True:
    store.put("shared", data)
"""


def race(racers: list[subprocess.Popen[str]]) -> list[str]:
    """Start all at once when all are ready; what each printed."""
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = [racer.communicate(timeout=120)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * len(racers)
    return answers


def test_create_has_one_winner_each(place: Any) -> None:
    answers = race([place.start(CREATE, name) for name in ("ada", "bob", "cyd", "dee")])
    won = [int(word) for answer in answers for word in answer.split()]
    assert sorted(won) == list(range(40))
    store = place.open()
    for name, answer in zip(("ada", "bob", "cyd", "dee"), answers, strict=True):
        for word in answer.split():
            assert store.get(f"claims/{word}").data == name.encode()


def test_replace_loses_no_update(place: Any) -> None:
    store = place.open()
    store.put("counter", b"0")
    race([place.start(COUNT) for _ in range(4)])
    assert store.get("counter").data == b"100"


def test_a_writer_that_is_killed_leaves_a_whole_object_and_no_lock(place: Any) -> None:
    store = place.open()
    for name in ("a", "b", "c"):
        writer = place.start(OVERWRITE, name)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        writer.send_signal(signal.SIGKILL)
        writer.communicate(timeout=60)
        data = store.get("shared").data
        assert data == name.encode() * 2_000_000
    store.put("shared", b"free")
    assert store.get("shared").data == b"free"
    assert [row.key for row in store.list("")] == ["shared"]
