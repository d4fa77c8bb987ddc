"""A run that is asked to go on elsewhere, and the container's word on how much work is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dstack_cloud.machine.job import ArtifactSpec, Retry

if TYPE_CHECKING:
    from conftest import Host

PROGRESS = ("--env", "DSTACK_PROGRESS_FILE=/dstack/hours_left")
SAVES = """python3 -c "
import os, signal, sys, time
def save(*_):
    open('output/last', 'w').write('saved')
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
open(os.environ['DSTACK_PROGRESS_FILE'], 'w').write('12.5')
print('training', flush=True)
while True: time.sleep(60)
" """
MOVE = "runs/train-7/attempts/1/move.json"
RETRY = Retry(("interruption",))


def test_a_move_saves_the_work_and_leaves_the_run_to_another_attempt(host: Host) -> None:
    artifacts = [ArtifactSpec("output", mount=True)]
    host.start(
        "mkdir -p output", SAVES, argv=PROGRESS, artifacts=artifacts, retry=RETRY, movable=True
    )
    follower = host.follow()
    follower.until(lambda: any(each["hours_left"] == 12.5 for each in follower.statuses))
    host.put(MOVE, {"by": "test", "at": "now"})
    end = host.end()
    assert (end.state, end.reason, end.retry) == ("failed", "moved", True)
    assert end.hours_left == 12.5
    assert host.read("artifacts/train-7/output/last") == b"saved"
    assert host.stored("index/") == ["index/recovering/train-7"]


def test_what_is_no_number_leaves_the_word_before_it(host: Host) -> None:
    host.start(
        'echo 3 > "$DSTACK_PROGRESS_FILE"; echo written',
        "sleep 3",
        'echo soon > "$DSTACK_PROGRESS_FILE"',
        argv=PROGRESS,
    )
    follower = host.follow()
    follower.until(lambda: any(each["hours_left"] == 3.0 for each in follower.statuses))
    end = host.end()
    assert (end.state, end.hours_left) == ("done", 3.0)
    assert end.hours_left_at is not None


def test_a_run_without_a_deadline_is_asked_by_nobody(host: Host) -> None:
    host.start("echo here; sleep 4; echo there", retry=RETRY)
    follower = host.follow()
    follower.until(lambda: b"here" in follower.log)
    host.put(MOVE, {"by": "test", "at": "now"})
    end = host.end()
    assert (end.state, end.retry) == ("done", False)
