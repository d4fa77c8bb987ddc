"""The agent's own view of a local store is the client's."""

from __future__ import annotations

import threading
from pathlib import Path

from dstack_cloud.machine.agent.store import FolderStore
from dstack_cloud.storage.local import LocalStore


def test_what_one_writes_the_other_reads(tmp_path: Path) -> None:
    client, agent = LocalStore(tmp_path), FolderStore(str(tmp_path))
    client.put("a/b c#1", b"from the client")
    agent.put("a/d", b"from the agent")
    assert agent.get("a/b c#1") == b"from the client"
    assert [row.key for row in client.list("")] == ["a/b c#1", "a/d"]
    assert [row.key for row in agent.list("a/")] == ["a/b c#1", "a/d"]
    assert agent.create("a/d", b"again") is False
    assert client.create("a/d", b"again") is False
    assert client.create("e", b"client") is True
    assert agent.create("e", b"agent") is False


def test_the_agents_unfinished_writes_are_in_no_listing(tmp_path: Path) -> None:
    client, agent = LocalStore(tmp_path), FolderStore(str(tmp_path))
    source = tmp_path.parent / "source"
    source.write_bytes(b"x" * 300_000)
    done = threading.Event()

    def write() -> None:
        try:
            for _ in range(150):
                agent.put("index/running/train-1", b"")
                agent.copy_in(str(source), "artifacts/train-1/out", lambda: False)
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen: set[str] = set()
    while not done.is_set():
        seen.update(row.key for row in client.list(""))
    writer.join()
    assert seen == {"index/running/train-1", "artifacts/train-1/out"}
