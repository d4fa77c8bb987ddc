from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from dstack_cloud.errors import InputError, InternalError
from dstack_cloud.state import keys
from dstack_cloud.state.attempts import (
    claim_attempt,
    latest_attempt,
    read_end,
    read_intent,
    read_machine,
    read_status,
    record_machine,
)
from dstack_cloud.state.clients import fingerprint, join, joined
from dstack_cloud.state.runs import submit
from dstack_cloud.state.stops import read_stop, request_stop
from dstack_cloud.storage.local import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


@pytest.fixture
def run(store: LocalStore) -> str:
    return submit(store, "train", lambda name: {})


def test_an_attempt_is_claimed_once(store: LocalStore, run: str) -> None:
    assert claim_attempt(store, run, 1, {"by": "ada"}) is True
    assert claim_attempt(store, run, 1, {"by": "bob"}) is False
    intent = read_intent(store, run, 1)
    assert intent is not None
    assert intent["by"] == "ada"


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
def test_the_latest_attempt(store: LocalStore, run: str, count: int) -> None:
    for number in range(1, count + 1):
        claim_attempt(store, run, number, {})
    assert latest_attempt(store, run) == count


def test_what_is_not_there_is_none(store: LocalStore, run: str) -> None:
    for read in (read_intent, read_machine, read_status, read_end):
        assert read(store, run, 1) is None
    assert read_stop(store, run) is None


def test_the_machine_is_written_again_with_its_new_key(store: LocalStore, run: str) -> None:
    record_machine(store, run, 1, {"id": "i-1", "host_key": "old"})
    record_machine(store, run, 1, {"id": "i-1", "host_key": "new"})
    assert read_machine(store, run, 1) == {"id": "i-1", "host_key": "new"}


def test_a_damaged_record_is_a_bug_and_no_traceback(store: LocalStore, run: str) -> None:
    store.put(keys.end(run, 1), b"{")
    with pytest.raises(InternalError, match="damaged"):
        read_end(store, run, 1)


def test_an_abort_outweighs_a_stop(store: LocalStore, run: str) -> None:
    def stop() -> tuple[bool, str]:
        found = read_stop(store, run)
        assert found is not None
        return found["abort"], found["by"]

    request_stop(store, run, abort=False, by="ada")
    request_stop(store, run, abort=False, by="bob")
    assert stop() == (False, "ada")
    request_stop(store, run, abort=True, by="cyd")
    request_stop(store, run, abort=False, by="dee")
    assert stop() == (True, "cyd")


BLOB = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(range(32))
KEY = f"ssh-ed25519 {base64.b64encode(BLOB).decode()} ada@laptop"


def test_clients_join_by_their_key(store: LocalStore, run: str) -> None:
    name = join(store, run, KEY + "\n")
    assert name == base64.b64encode(hashlib.sha256(BLOB).digest()).decode().rstrip("=")
    join(store, run, KEY)
    assert joined(store, run) == [KEY]
    (row,) = store.list(keys.clients(run))
    assert row.key.count("/") == 3
    assert joined(store, "other-1") == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 !!!!",
        KEY.replace("ssh-ed25519", "ssh-rsa", 1),
        f'command="sh" {KEY}',
        f"{KEY}\n{KEY}",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a public SSH key"):
        fingerprint(text)
