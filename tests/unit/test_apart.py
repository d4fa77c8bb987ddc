"""Work in a process of its own: answers, errors, and above all when that process ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dstack_cloud.apart.client import Apart
from dstack_cloud.catalog.gpus import resolve
from dstack_cloud.errors import InputError, InternalError

PATIENCE_S = 30


@pytest.fixture
def apart() -> Iterator[Apart]:
    made = Apart()
    yield made
    made.close()


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """Whoever reads it waits for somebody who writes."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def ended(process: int) -> bool:
    """Whether a process is gone, or goes in time."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], PATIENCE_S)[0])
    finally:
        os.close(handle)


def test_one_process_answers_all_calls(apart: Apart) -> None:
    first, second = apart.call(os.getpid), apart.call(os.getpid)
    assert first == second != os.getpid()
    assert apart.call(divmod, 17, 5) == (3, 2)


def test_our_errors_arrive_as_they_are(apart: Apart) -> None:
    with pytest.raises(InputError) as here:
        resolve("A1OO")
    with pytest.raises(InputError) as there:
        apart.call(resolve, "A1OO")
    assert here.value.hint
    assert there.value.as_json() == here.value.as_json()


def test_a_bug_tells_where_it_is(apart: Apart) -> None:
    with pytest.raises(RuntimeError, match=r"FileNotFoundError: .*/nowhere") as raised:
        apart.call(Path("/nowhere").read_text)
    assert "pathlib.py" in "".join(raised.value.__notes__)


def test_what_cannot_be_sent_is_said(apart: Apart) -> None:
    with pytest.raises(InternalError, match="a lock cannot be sent"):
        apart.call(threading.Lock)
    assert apart.call(abs, -1) == 1


def test_calls_overlap(apart: Apart, pipe: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(apart.call, pipe.read_text)
        assert apart.call(abs, -1) == 1
        assert not slow.done()
        pipe.write_text("at last")
        assert slow.result(PATIENCE_S) == "at last"


def test_at_rest_the_process_is_gone_and_another_comes_when_needed(apart: Apart) -> None:
    first = apart.call(os.getpid)
    apart.rest()
    assert ended(first)
    assert apart.call(os.getpid) != first


def test_rest_ends_no_call(apart: Apart, pipe: Path) -> None:
    process = apart.call(os.getpid)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(apart.call, pipe.read_text)
        with open(pipe, "w") as writing:  # Opens once it is read.
            apart.rest()
            writing.write("whole")
        assert slow.result(PATIENCE_S) == "whole"
    assert apart.call(os.getpid) == process


@pytest.mark.parametrize("end", [Apart.close, Apart.rest])
def test_what_calls_left_to_the_background_is_finished(
    end: Callable[[Apart], None], tmp_path: Path
) -> None:
    apart = Apart((tmp_path / "finished").touch)
    process = apart.call(os.getpid)
    end(apart)
    assert ended(process)
    assert (tmp_path / "finished").exists()


def test_what_was_only_begun_is_not_waited_for(apart: Apart, pipe: Path) -> None:
    apart.begin(pipe.read_text)
    with open(pipe, "w"):
        apart.close()


def test_a_process_that_ends_by_itself_is_told_and_replaced(apart: Apart) -> None:
    with pytest.raises(InternalError, match="has ended with exit code 3"):
        apart.call(os._exit, 3)
    with pytest.raises(InternalError, match="has ended by SIGKILL"):
        apart.call(os.kill, apart.call(os.getpid), signal.SIGKILL)
    assert apart.call(abs, -1) == 1


CALLER = """
import os, signal, sys
from pathlib import Path
from dstack_cloud.apart.client import Apart
apart, pipe = Apart(), Path(sys.argv[1])
# Whoever started the tests may have them ignore Ctrl-C, as nohup's like do.
signal.signal(signal.SIGINT, signal.default_int_handler)
def say(what):
    print(what, flush=True)
say(apart.call(os.getpid))
"""


def caller(pipe: Path, program: str) -> subprocess.Popen[str]:
    """A program that asks for work apart, alone in its process group."""
    command = [sys.executable, "-c", CALLER + program, str(pipe)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0)


def test_it_ends_with_its_caller_in_the_middle_of_a_call(pipe: Path) -> None:
    with caller(pipe, "apart.call(pipe.read_text)") as asking:
        process = int(asking.stdout.readline())
        with open(pipe, "w"):  # Opens once it is read.
            asking.kill()
            assert ended(process)


def test_ctrl_c_ends_the_call_that_was_waited_for(pipe: Path) -> None:
    program = """
try:
    apart.call(pipe.read_text)
except KeyboardInterrupt:
    say("interrupted")
say(apart.call(os.getpid))
"""
    with caller(pipe, program) as asking:
        first = int(asking.stdout.readline())
        with open(pipe, "w"):
            os.killpg(asking.pid, signal.SIGINT)
            assert asking.stdout.readline() == "interrupted\n"
            assert ended(first)
        assert int(asking.stdout.readline()) != first


def test_ctrl_c_while_nothing_is_waited_for_does_not_reach_it(pipe: Path) -> None:
    program = """
try:
    say("ready")
    signal.pause()
except KeyboardInterrupt:
    say(apart.call(os.getpid))
"""
    with caller(pipe, program) as asking:
        first = int(asking.stdout.readline())
        assert asking.stdout.readline() == "ready\n"
        os.killpg(asking.pid, signal.SIGINT)
        assert int(asking.stdout.readline()) == first
