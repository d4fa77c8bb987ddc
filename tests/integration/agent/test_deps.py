"""What other runs left is there, read-only, before the container starts; or it is said why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dstack_cloud.machine.job import DependencySpec

if TYPE_CHECKING:
    from conftest import Host

DEPS = [DependencySpec("prepare", "prepare-3", ["data", "notes.txt"])]


def test_it_is_there_and_cannot_be_changed(host: Host) -> None:
    host.put("artifacts/prepare-3/data/deep/a.csv", b"1,2\n")
    host.put("artifacts/prepare-3/notes.txt", b"read me\n")
    host.put("artifacts/prepare-3/other/b", b"not asked for")
    host.put("artifacts/prepare-30/data/c", b"another run's")
    host.start(
        "cat data/deep/a.csv notes.txt",
        "ls data; ls",
        "if touch data/x 2>/dev/null; then echo changed; else echo kept; fi",
        deps=DEPS,
        argv=(
            *("--volume", "{root}/deps/0/data:/workflow/data:ro"),
            *("--volume", "{root}/deps/0/notes.txt:/workflow/notes.txt:ro"),
        ),
    )
    follower = host.follow()
    follower.rest()
    assert b"1,2\n" in follower.log, follower.log
    assert b"read me\n" in follower.log
    assert b"kept\n" in follower.log
    assert b"other" not in follower.log
    assert any(s["phase"] == "dependencies" for s in follower.statuses)
    assert host.end().state == "done"


def test_what_is_gone_is_told(host: Host) -> None:
    host.put("artifacts/prepare-3/data/a.csv", b"1,2\n")
    host.start("echo never", deps=DEPS)
    host.follow().rest()
    end = host.end()
    assert (end.state, end.reason) == ("failed", "restore")
    assert end.message is not None
    assert "'prepare' are gone: the store has nothing of 'notes.txt' of prepare-3" in end.message
    assert end.hint == "dstack-cloud run prepare makes them anew"
