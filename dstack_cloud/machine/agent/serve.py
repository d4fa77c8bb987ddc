"""``serve``: one attempt from the job to the end of the machine.

Written so that it can be killed anywhere and started again: each step leaves a file when it is
done, and finds out from those, the engine and the store where to go on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from . import disk, folders, machine
from .budget import Budget
from .cloud import Notice, own_machine
from .container import run_container
from .control import Control
from .deps import bring
from .ending import Ending
from .engine import Engine, EngineError
from .errors import Failure, Interrupted, StoreError
from .fellows import Fellows
from .fence import fenced
from .finish import finish
from .lease import ignore_signals, more_files
from .note import note, note_error
from .notice import Watcher, as_status, left, working_time
from .open import open_cloud, open_store
from .outcome import goes_on, of_failure, outcome
from .paths import Paths, read_json, write_json
from .progress import look as look_at_progress
from .progress import watch as watch_progress
from .pull import ensure_image
from .ready import wait_until_ready
from .recorder import Recorder, tail
from .registry import forget_login, login_of
from .restore import restore
from .ship import Shipper
from .shown import Shown
from .shown import prepare as prepare_shown
from .status import Status
from .sync import Sync
from .times import now, unix
from .unpack import fetch_code
from .watch import Watch

_CRASHES = 5


def serve(paths: Paths) -> int:
    """0 when the attempt has ended (or another process sees to it); anything else asks for
    another start."""
    os.makedirs(paths.root, exist_ok=True)
    lock = os.open(paths.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return 0
    # The process's id, for those who look after it.
    os.ftruncate(lock, 0)
    os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    job = read_json(paths.job)
    if job is None:
        note(f"no job in {paths.root}")
        return 1
    if not os.path.exists(paths.end):
        attempt = Attempt(paths, job)
        try:
            attempt.run()
        except Exception as error:
            note_error()
            if not attempt.give_up(error):
                return 1
    machine.wait_for_followers(paths, 3.0)
    machine.end_machine(job, open_cloud(job))
    return 0


class Attempt:
    """The threads of one attempt, and the story that they serve."""

    def __init__(self, paths: Paths, job: Any) -> None:
        self.paths = paths
        self.job = job
        self.cloud = open_cloud(job)
        acted = read_json(paths.cause) or {}
        self.control = Control(acted.get("cause"))
        self.store = open_store(job)
        self.engine = Engine()
        self.status = Status(paths, job["store"].get("region"))
        self.shipper = Shipper(self.store, job, paths, self.status)
        self.sync = Sync(self.store, job, paths, self.control, self.status)
        self.recorder = Recorder(self.engine, job["container"]["name"], paths, self.control)
        self.ending = Ending(self.engine, job, paths, self.control)
        several = folders.several(job)
        self.fellows = Fellows(self.store, job, self.control, self.status) if several else None
        self._helpers: list[threading.Thread] = []

    def run(self) -> None:
        if not os.path.exists(self.paths.started_at):
            write_json(self.paths.started_at, now())
        if own_machine(self.job):
            signal.signal(signal.SIGTERM, lambda *_: self._start("shutdown", self._on_terminate))
        ignore_signals()
        more_files()
        notice = self.status.get("notice")
        if notice is not None:
            self._hurry(left(notice))
        disk.hold_reserve(self.paths)
        over = self.control.over
        every = min(5.0, self.job["timers"]["heartbeat"] / 4)
        self.status.update(started_at=read_json(self.paths.started_at))
        self._start("heart", lambda: machine.heart(self.paths, every, over, self.status.save))
        watch = Watch(self.store, self.job, self.paths, self.control, self.fellows)
        self._start("watch", lambda: watch.run(over))
        self._start("ship", lambda: self.shipper.run(over))
        reached = partial(self.control.request, "max_cost")
        began = read_json(self.paths.started_at)
        budget = Budget(self.job, self.cloud, self.status, began, reached)
        self._start("budget", lambda: budget.run(over))
        Watcher(self.cloud.looks(), self._on_notice).start(self._start, over)
        result = read_json(self.paths.result)
        if result is None:
            result = self._result()
            self._write(self.paths.result, result)
        if self.fellows is not None and result["state"] != "done":
            self.fellows.insist(result, self.status.get("notice"))
        self._finish(result)

    def _start(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """A thread; if it fails in a way that was not foreseen, the whole agent starts anew."""

        def guarded() -> None:
            try:
                work()
            except Exception:
                note_error()
                os._exit(70)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread

    def _on_terminate(self) -> None:
        if machine.shutting_down():
            self._hurry(self.cloud.shutdown)
        else:
            # Only the agent was stopped: the container goes on, the next agent finds it.
            os._exit(143)

    def _on_notice(self, notice: Notice) -> None:
        """The machine will be taken away. Said before anything else is done about it: whoever
        follows asks for another machine meanwhile."""
        if notice.action == "rebalance" and not self._replaced():
            return
        # A replacement that is asked for now must find a cause that lets this attempt go on saving.
        self.control.interrupt(time.monotonic() + working_time(notice.seconds))
        self.status.update(notice=as_status(notice))
        if self.fellows is not None:
            self.fellows.taken(self._start, as_status(notice))
        self.sync.flush(self._start)
        try:
            self.shipper.put_status()
        except StoreError as error:
            note(f"notice: {error}")

    def _replaced(self) -> bool:
        """Whether another attempt would follow: else a machine that may well stay is kept."""
        begun = unix(read_json(self.paths.started_at))
        return goes_on({"reason": "interrupted"}, self.job["retry"], time.time() - begun)

    def _hurry(self, seconds: float) -> None:
        self.control.interrupt(time.monotonic() + working_time(seconds))
        self.sync.flush(self._start)

    def _result(self) -> dict[str, Any]:
        """Everything up to the container's end."""
        try:
            container = self._launch()
        except Failure as failure:
            return {**of_failure(failure), "ran": False, "container_started_at": None}
        except Interrupted:
            return {
                **outcome(
                    None,
                    self.control.cause,
                    max_duration=self.job["max_duration"],
                    max_cost=self.job["max_cost"],
                ),
                "ran": False,
                "container_started_at": None,
            }
        killed = self.ending.out_of_memory_kills()
        started = container["State"]["StartedAt"]
        self.status.phase("running")
        self.status.update(container_started_at=started)
        self._start("log", self.recorder.run)
        self._start("progress", lambda: watch_progress(self.paths, self.control.over, self._tell))
        announcement = self._start("announce", self._announce)
        if any(artifact.get("mount") for artifact in self.job["artifacts"]):
            self.sync.start(self._start)
        if self.job["shown"]["runs"]:
            shown = Shown(self.store, self.job, self.paths, self.control, self.status)
            self._start("shown", shown.run)
        self.ending.wait(started)
        announcement.join(60.0)
        look_at_progress(self.paths, self._tell)
        state = (self.engine.inspect(self.job["container"]["name"]) or {}).get("State")
        return {
            **outcome(
                state,
                self.ending.acted_upon(),
                disk_full=disk.full(self.paths),
                log_tail=tail(self.paths.log),
                host_out_of_memory=self.ending.out_of_memory_kills() > killed,
                max_duration=self.job["max_duration"],
                max_cost=self.job["max_cost"],
            ),
            "ran": True,
            "container_started_at": started,
            "container_ended_at": None if state is None else state["FinishedAt"],
        }

    def _launch(self) -> Any:
        container = self.job["container"]
        if not os.path.exists(self.paths.launched):
            wait_until_ready(self.engine, self.job, self.paths, self.control)
            code = self._fetch_code()
            self.status.phase("pulling", image=container["image"])
            begun = time.monotonic()
            ensure_image(
                self.engine,
                container["image"],
                login=lambda: login_of(container["image"], self.job, self.paths),
                may_pull=container["pull"],
                stall=self.job["timers"]["pull_stall"],
                control=self.control,
                report=self._pulled,
            )
            forget_login(self.paths)
            self._tell_image(time.monotonic() - begun)
            code()
            self._bring_dependencies()
            self._restore()
            prepare_shown(self.job, self.paths)
            if self.control.cause is not None:
                raise Interrupted
        if own_machine(self.job):
            self.cloud.guard()
            self._serve_credentials()
        return run_container(self.engine, self.job, self.paths)

    def _serve_credentials(self) -> None:
        """Those that the workflow asks for: there before the container, for as long as it runs."""
        if self.job["cloud_access"] is None:
            return
        from .access_server import open_access

        # An agent that has restarted must not fail a container that runs.
        serve = open_access(self.job, self.paths, check=not os.path.exists(self.paths.launched))
        self._start("access", serve)

    def _fetch_code(self) -> Callable[[], None]:
        """Begin to fetch the code; the answer waits for it, and raises what went wrong."""
        problem: list[BaseException] = []

        def work() -> None:
            try:
                fetch_code(self.store, self.job["code"], self.paths, self.control)
            except (Failure, Interrupted) as error:
                problem.append(error)

        thread = self._start("code", work)

        def wait() -> None:
            thread.join()
            if problem:
                raise problem[0]

        return wait

    def _bring_dependencies(self) -> None:
        if self.job["deps"]:
            self.status.phase("dependencies")

        def report(size: int) -> None:
            self.status.phase("dependencies", bytes=size)
            self.status.count(received=size)

        bring(self.store, self.job, self.paths, self.control, report)

    def _restore(self) -> None:
        def report(size: int) -> None:
            self.status.phase("restoring", bytes=size)
            self.status.count(received=size)

        if self.job["restore"]:
            self.status.phase("restoring")
        places = self.sync.places(mounted_only=False)
        restore(self.store, self.job, self.paths, self.control, places, self.sync.stored, report)

    def _tell(self, hours: float, at: str) -> None:
        self.status.update(hours_left=hours, hours_left_at=at)

    def _pulled(self, received: int) -> None:
        detail = self.status.get("detail")
        if received - detail.get("pulled_bytes", 0) > 1 << 20:
            self.status.phase("pulling", pulled_bytes=received)

    def _tell_image(self, seconds: float) -> None:
        name = self.job["container"]["image"]
        found = self.engine.image(name) or {}
        self.status.update(
            image={"name": name, "bytes": found.get("Size"), "seconds": round(seconds, 1)}
        )

    def _announce(self) -> None:
        """Move the run's name in the index to running."""
        run = self.job["run"]
        if folders.node_of(self.job):
            return
        while not self.control.container_ended:
            try:
                if not fenced(self.store, self.job, self.paths):
                    self.store.put("index/running/" + run, b"")
                    for state in ("launching", "recovering"):
                        self.store.delete(f"index/{state}/{run}")
                return
            except StoreError as error:
                note(f"announce: {error}")
                self.control.wait(2.0, self.control.cause)

    def _finish(self, result: dict[str, Any]) -> None:
        finish(
            result,
            job=self.job,
            paths=self.paths,
            control=self.control,
            store=self.store,
            status=self.status,
            shipper=self.shipper,
            sync=self.sync,
            clean_up=self._clean_up,
            fellows=self.fellows,
        )
        self.control.over.set()

    def _clean_up(self) -> None:
        """What a machine takes with it when it ends, and the user's own machine must not keep."""
        if own_machine(self.job):
            return
        try:
            self.engine.remove(self.job["container"]["name"])
        except EngineError as error:
            note(f"remove: {error.message}")
        for path in (
            self.paths.secrets,
            self.paths.masks,
            self.paths.registry,
            self.paths.log_reserve,
            self.paths.end_reserve,
        ):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def give_up(self, error: Exception) -> bool:
        """Count an error that nobody foresaw; after some, end the attempt with it."""
        crashes = (read_json(self.paths.crashes) or 0) + 1
        try:
            self._write(self.paths.crashes, crashes)
        except OSError:
            # What cannot be counted must not go on for ever.
            crashes = _CRASHES
        if crashes < _CRASHES:
            time.sleep(0.5)
            return False
        words = f"{type(error).__name__}: {error}"
        with contextlib.suppress(EngineError):
            self.engine.kill(self.job["container"]["name"], "KILL")
        self._finish(
            {
                **of_failure(Failure("agent", f"the agent failed: {words}")),
                "ran": os.path.exists(self.paths.launched),
                "container_started_at": self.status.get("container_started_at"),
            }
        )
        return True

    def _write(self, path: str, value: object) -> None:
        try:
            write_json(path, value)
        except OSError:
            disk.release(self.paths, everything=True)
            write_json(path, value)
