"""Keeps the container's output in the log until the container has ended and all of it is there."""

from __future__ import annotations

import os
import time

from . import disk
from .control import Control
from .engine import Engine, EngineError
from .logs import STAMP, Converter, pump, recover, write_all
from .mask import Masked, hidden, same
from .note import note
from .paths import Paths, read_json


class DiskFull(Exception):
    """There is no room for the rest of the log."""


class Recorder:
    """Runs in a thread of its own."""

    def __init__(self, engine: Engine, name: str, paths: Paths, control: Control) -> None:
        self._engine = engine
        self._name = name
        self._paths = paths
        self._control = control
        self._hide = hidden(read_json(paths.masks) or ())

    def run(self) -> None:
        """Until the container has ended; says so to the control when the log is whole."""
        descriptor = os.open(self._paths.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        while True:
            try:
                if self._copy(descriptor):
                    break
            except EngineError as error:
                note(f"log: {error.message}")
            except DiskFull:
                note("log: the rest of it finds no room on the disk")
                # What found room ends with a whole record.
                recover(self._paths.log)
                break
            time.sleep(0.2)
        os.close(descriptor)
        self._control.end_of_container()

    def _copy(self, descriptor: int) -> bool:
        """One stream, from where the file ends; True when the container has ended and nothing is
        missing."""
        container = self._engine.inspect(self._name)
        if container is None:
            # Somebody removed it, and its output with it.
            return True
        position = recover(self._paths.log)
        stream = self._engine.logs(self._name, position.since, follow=True)
        try:
            if not self._hide:
                pump(stream, descriptor, Converter(position.skip).feed, self._on_full)
            else:
                masked = Masked(self._hide, position.skip)
                ended = pump(stream, descriptor, masked.feed, self._on_full)
                # A stream may end before its time; only one of a container that had ended before is
                # whole. What waits comes again with the next.
                if ended and not container["State"]["Running"]:
                    write_all(descriptor, b"".join(masked.finish()), self._on_full)
        finally:
            stream.close()
        container = self._engine.inspect(self._name)
        if container is None:
            return True
        return not container["State"]["Running"] and self._whole()

    def _whole(self) -> bool:
        """Whether the last record that the engine has is the log's last: a stream that ends with
        its container may end a line early."""
        stream = self._engine.logs(self._name, b"", follow=False, tail=1)
        data = b""
        try:
            while True:
                part = stream.recv(1 << 16)
                if not part:
                    break
                data += part
        finally:
            stream.close()
        records = Converter().feed(data)
        if not records:
            return True
        # Alone, the last piece of a long line does not look like one.
        last, tag = records[-1], STAMP + len(" stdout ")
        logged = tail(self._paths.log)[-len(last) :]
        return same(last, logged) or same(last[:tag] + b"F" + last[tag + 1 :], logged)

    def _on_full(self) -> None:
        """No output is thrown away: when the disk is full the container must end. What it wrote
        until then goes into the reserve; raises DiskFull when that is used up, too."""
        self._control.request("disk")
        try:
            container = self._engine.inspect(self._name)
        except EngineError:
            container = None
        running = container is not None and container["State"]["Running"]
        if not running and not disk.release(self._paths) and disk.free(self._paths) < 1 << 16:
            raise DiskFull
        time.sleep(0.1)


def tail(path: str) -> bytes:
    """The log's last 128 KB."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - (1 << 17)))
            return file.read()
    except FileNotFoundError:
        return b""
