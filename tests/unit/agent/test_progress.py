"""The container's word on how much work is left: a number of hours, or no word at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dstack_cloud.machine.agent.paths import Paths
from dstack_cloud.machine.agent.progress import look, parse, prepare, read


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        (b"19.5", 19.5),
        (b"19\n", 19.0),
        (b" 2e-1 ", 0.2),
        (b"0", 0.0),
        (b"", None),
        (b"-1", None),
        (b"nan", None),
        (b"inf", None),
        (b"1e9", None),
        (b"19 h", None),
        (b"\xff\xfe1", None),
    ],
)
def test_what_is_a_number_of_hours(text: bytes, hours: float | None) -> None:
    assert parse(text) == hours


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths(str(tmp_path / "root"))
    prepare(found)
    return found


def test_any_user_in_the_container_may_write(paths: Paths) -> None:
    assert os.stat(paths.progress).st_mode & 0o777 == 0o777


def test_the_word_comes_with_the_moment_of_its_writing(paths: Paths) -> None:
    file = Path(paths.progress, "hours_left")
    file.write_text("3.25")
    os.utime(file, (1_800_000_000.5, 1_800_000_000.5))
    told: list[tuple[float, str]] = []
    assert look(paths, lambda *word: told.append(word)) == (3.25, 1_800_000_000.5)
    assert told == [(3.25, "2027-01-15T08:00:00.500Z")]


def test_nothing_but_a_plain_short_file_is_read(paths: Paths) -> None:
    file = Path(paths.progress, "hours_left")
    assert read(paths) is None
    secret = Path(paths.root, "secret")
    secret.write_text("5")
    file.symlink_to(secret)
    assert read(paths) is None
    file.unlink()
    os.mkfifo(file)  # A read of it would wait for ever.
    assert read(paths) is None
    file.unlink()
    file.mkdir()
    assert read(paths) is None
    file.rmdir()
    file.write_text("5" + " " * 64)
    assert read(paths) is None
