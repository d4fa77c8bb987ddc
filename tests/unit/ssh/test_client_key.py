"""The client's SSH key: made once, whatever became of an earlier attempt."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dstack_cloud.machine.keys import generate, public_of
from dstack_cloud.ssh.reach import client_public_key


def test_a_pair_is_made_and_found_again(tmp_path: Path) -> None:
    key = tmp_path / "config" / "id_ed25519"
    public = client_public_key(key, "ada@host")
    assert public == public_of(key.read_text(), "ada@host")
    assert client_public_key(key, "other@host") == public
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert sorted(path.name for path in key.parent.iterdir()) == ["id_ed25519", "id_ed25519.pub"]


def test_a_client_that_was_killed_before_the_public_half(tmp_path: Path) -> None:
    key = tmp_path / "id_ed25519"
    pair = generate("ada@host")
    key.write_text(pair.private)
    assert client_public_key(key, "ada@host") == pair.public
    assert key.read_text() == pair.private


def test_many_at_once_agree(tmp_path: Path) -> None:
    key = tmp_path / "id_ed25519"
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: client_public_key(key, "ada@host"), range(8)))
    assert found == {public_of(key.read_text(), "ada@host")}


def test_what_is_no_key_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        public_of("not a key")
