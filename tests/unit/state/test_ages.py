"""The age of what is in the store, by the store's clock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dstack_cloud.state import keys
from dstack_cloud.state.ages import age
from dstack_cloud.storage.open import open_store


def test_of_several_the_latest_counts(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), region=None, profile=None)
    assert age(store, "train-1", [keys.run("train-1")]) is None
    for name, seconds in ((keys.intent("train-1", 1), 500), (keys.lease("train-1", 1), 100)):
        store.put(name, b"{}")
        at = os.stat(tmp_path / name).st_mtime - seconds
        os.utime(tmp_path / name, (at, at))
    found = age(store, "train-1", [keys.intent("train-1", 1), keys.lease("train-1", 1)])
    assert found == pytest.approx(100, abs=5)
    assert age(store, "train-1", [keys.intent("train-1", 1)]) == pytest.approx(500, abs=5)
    assert age(store, "train-1", [keys.lease("train-1", 1)[:-1]]) is None
