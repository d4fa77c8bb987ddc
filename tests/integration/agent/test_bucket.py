"""The same life with a bucket as the store, of each cloud, and rclone for the artifacts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.agent_buckets import REGION, Bucket

from dstack_cloud.machine.agent.errors import StoreError
from dstack_cloud.machine.job import ArtifactSpec, StoreAccess

if TYPE_CHECKING:
    from conftest import Host


@pytest.fixture
def remote(host: Host, bucket: Bucket) -> Host:
    """A host whose attempt uses the bucket, below a prefix."""
    store = StoreAccess(f"{bucket.url}/team/a", REGION, bucket.endpoint)
    host.job = replace(host.job, store=store)
    host.environment.update(bucket.environment)
    return host


def test_a_whole_attempt(remote: Host, bucket: Bucket) -> None:
    odd = "output/sp ace/ünicode+%25.txt"
    remote.start(
        "mkdir -p 'output/sp ace'",
        f"echo odd > '{odd}'",
        "ls /dev/null > output/list",
        "echo said",
        "sh -c 'exit 7'",
        artifacts=[ArtifactSpec("output"), ArtifactSpec("none")],
    )
    follower = remote.follow()
    follower.rest()
    end = follower.end
    assert end is not None
    assert (end["state"], end["exit_code"]) == ("failed", 7)
    assert [(a["path"], a["files"], a["stored"]) for a in end["artifacts"]] == [
        ("output", 2, True),
        ("none", 0, True),
    ]
    found = bucket.objects()
    run = "team/a/runs/train-7/attempts/1/"
    assert found[f"team/a/artifacts/train-7/{odd}"] == b"odd\n"
    assert found["team/a/artifacts/train-7/output/list"] == b"/dev/null\n"
    assert found[run + "log/" + "0" * 20] == follower.log
    assert json.loads(found[run + "end.json"]) == end
    assert [key for key in found if "/index/" in key] == ["team/a/index/failed/train-7"]


def test_a_stop_comes_through_the_bucket(remote: Host, bucket: Bucket) -> None:
    remote.start("echo up; while true; do sleep 0.2; done")
    follower = remote.follow()
    follower.until(lambda: b"up" in follower.log)
    body = json.dumps({"abort": False}).encode()
    bucket.put("team/a/runs/train-7/stop.json", body)
    follower.rest()
    assert follower.end is not None
    assert follower.end["state"] == "stopped"


def test_artifacts_that_the_bucket_refuses(remote: Host, bucket: Bucket) -> None:
    remote.start(
        "mkdir output; while ! test -e go; do sleep 0.05; done; echo x > output/x",
        artifacts=[ArtifactSpec("output")],
    )
    follower = remote.follow()
    follower.until(lambda: any(s["phase"] == "running" for s in follower.statuses))
    # From here on the store itself says no, as it does when a role lost its permission.
    bucket.delete()
    (remote.root / "workflow" / "go").touch()
    follower.rest()
    bucket.make()
    assert follower.end is not None
    (artifact,) = follower.end["artifacts"]
    assert not artifact["stored"]
    assert "does not exist" in artifact["error"]


def test_the_store(bucket: Bucket) -> None:
    store = bucket.agents(f"{bucket.url}/a b")
    assert store.get("runs/x") is None
    assert store.create("runs/x", b"one")
    assert not store.create("runs/x", b"two")
    # The same words again: the answer to the first request may have been lost.
    assert store.create("runs/x", b"one")
    assert store.get("runs/x") == b"one"
    store.put("runs/x", b"three")
    assert store.get("runs/x") == b"three"
    assert bucket.objects() == {"a b/runs/x": b"three"}
    store.delete("runs/x")
    store.delete("runs/x")
    assert store.get("runs/x") is None


def test_a_listing_of_several_pages(bucket: Bucket) -> None:
    store = bucket.agents(f"{bucket.url}")
    # A thousand keys are one page.
    for number in range(1005):
        bucket.put(f"log/{number:05d}&<", b"12")
    listed = store.list("log/")
    assert [row.key for row in listed] == [f"log/{number:05d}&<" for number in range(1005)]
    assert {row.size for row in listed} == {2}
    for row in listed:
        store.delete(row.key)
    assert store.list("log/") == []


def test_a_bucket_that_is_not_there_is_no_passing_trouble(bucket: Bucket) -> None:
    store = bucket.agents(bucket.url.replace("runs-of-a-test", "nobodys-bucket-at-all"))
    for ask in (lambda: store.put("x", b""), lambda: store.get("x"), lambda: store.list("x")):
        with pytest.raises(StoreError) as caught:
            ask()
        assert not caught.value.passing
