"""What only an agent whose store is in Google Cloud Storage meets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.gcs_server import TOKEN, Caller, Gcs, serving
from support.google_tokens import Tokens, giving

from dstack_cloud.machine.agent import bucket
from dstack_cloud.machine.agent.errors import StoreError
from dstack_cloud.machine.agent.gcs import GcsStore


@pytest.fixture
def gcs() -> Iterator[Gcs]:
    with serving() as server:
        server.bucket("runs")
        yield server


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tokens]:
    monkeypatch.setattr(bucket, "_PAUSES", (0.01, 0.01))
    with giving(TOKEN) as giver:
        monkeypatch.setenv("GCE_METADATA_HOST", giver.host)
        yield giver


def test_an_objects_size_and_md5(gcs: Gcs, tokens: Tokens, tmp_path: Path) -> None:
    store = GcsStore("gs://runs/p", gcs.url)
    assert store.fingerprint("x") is None
    assert not store.fetch("x", str(tmp_path / "x"))
    store.put("x", b"12345")
    assert store.fingerprint("x") == (5, hashlib.md5(b"12345").hexdigest())
    gcs.objects.put("runs", "p/composed", b"1", components=2)
    assert store.fingerprint("composed") == (1, "")
    assert store.fetch("x", str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == b"12345"


def test_a_token_is_kept_until_it_ends(gcs: Gcs, tokens: Tokens) -> None:
    store = GcsStore("gs://runs", gcs.url)
    for _ in range(3):
        store.put("x", b"")
    assert len(tokens.asked) == 1
    tokens.lifetime = 60
    again = GcsStore("gs://runs", gcs.url)
    again.put("x", b"")
    again.put("x", b"")
    assert len(tokens.asked) == 3


def test_a_machine_without_a_service_account(gcs: Gcs, tokens: Tokens) -> None:
    tokens.refusal = (404, {})
    with pytest.raises(StoreError, match="service account gives no token") as caught:
        GcsStore("gs://runs", gcs.url).put("x", b"")
    assert caught.value.passing


@pytest.mark.parametrize(("status", "passing"), [(401, True), (403, False), (400, False)])
def test_what_is_refused(gcs: Gcs, tokens: Tokens, status: int, passing: bool) -> None:
    order = {"action": "storage.objects.insert", "error": "forbidden", "http": status}
    gcs.faults.add(order)
    with pytest.raises(StoreError, match="AccessDenied") as caught:
        GcsStore("gs://runs", gcs.url).put("x", b"")
    assert caught.value.passing is passing
    assert len(gcs.seen) == 1


def test_throttled_and_answers_that_were_lost(gcs: Gcs, tokens: Tokens) -> None:
    store = GcsStore("gs://runs", gcs.url)
    insert = {"action": "storage.objects.insert", "error": "rateLimitExceeded", "http": 429}
    gcs.faults.add({**insert, "times": 2})
    store.put("x", b"1")
    assert store.get("x") == b"1"
    # Written, and not told: the next try is refused, and it is ours all the same.
    gcs.faults.add({**insert, "when": "after"})
    assert store.create("y", b"1")
    gcs.faults.add({**insert, "when": "after"})
    assert not store.create("y", b"2")


def test_what_the_prefix_does_not_cover(gcs: Gcs, tokens: Tokens) -> None:
    """As the machine's service account: only what is below the store's prefix."""
    mine = "projects/_/buckets/runs/objects/p/*"
    gcs.callers[TOKEN] = Caller("m@example.com", (("storage.objects.*", mine),))
    GcsStore("gs://runs/p", gcs.url).put("x", b"1")
    with pytest.raises(StoreError, match="AccessDenied"):
        GcsStore("gs://runs", gcs.url).get("another")
