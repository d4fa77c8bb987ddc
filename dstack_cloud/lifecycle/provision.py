"""Scripts over SSH on a machine that an image is made of, with what they say as they say it.

As long as one goes on the machine knows that its builder is there; when nobody tells it so for the
heartbeat's time, it ends itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dstack_cloud.errors import ImageError
from dstack_cloud.lifecycle.report import Reporter
from dstack_cloud.machine.baking import EXIT, beat_argv, begin_argv, push_argv, run_argv
from dstack_cloud.machine.baking import script as script_of
from dstack_cloud.ssh.base import ConnectionLostError, Session

# A driver that is compiled takes minutes; past this something hangs.
LIMIT_S = 3600
# A connection that breaks: the scripts are idempotent, and are run again.
_TRIES = 3
_TAIL = 12
_MOST_BEAT_S = 10.0


@dataclass
class Builder:
    """A machine, and how it is reached: ``reach`` connects, ``prefix`` makes a command run as root,
    ``heartbeat`` is after how many seconds without a sign the machine ends itself."""

    machine: str
    reach: Callable[[], Session]
    prefix: Sequence[str]
    heartbeat: float
    report: Reporter
    session: Session | None = None

    def run(self, name: str, step: str, environment: dict[str, str] | None = None) -> str:
        """Run a script of ours to its end; what it said.

        Raises ImageError with the end of that where it fails, and what ``reach`` raises.
        """
        tries = _TRIES
        while True:
            try:
                code, lines = self._once(name, step, environment or {})
                break
            except ConnectionLostError:
                self.close()
                tries -= 1
                if tries == 0:
                    raise
        if code != 0:
            raise _failed(self.machine, name, code, lines)
        return "\n".join(lines)

    def close(self) -> None:
        """Let go of the connection; harmless twice."""
        if self.session is not None:
            self.session.close()
            self.session = None

    def _once(self, name: str, step: str, environment: dict[str, str]) -> tuple[int, list[str]]:
        """The script's exit code, and what it said."""
        if self.session is None:
            self.session = self.reach()
            self._must(begin_argv(LIMIT_S))
        self._must(push_argv(name), script_of(name))
        stream = self.session.stream([*self.prefix, *run_argv(name, environment)])
        every = min(_MOST_BEAT_S, self.heartbeat / 4)
        said, beat = b"", time.monotonic()
        while (data := stream.read(every / 2)) != b"":
            if data is not None:
                said += data
                if (line := _latest(said, f"{name}: ")) is not None:
                    self.report.working(step, line)
            if time.monotonic() - beat >= every:
                self._must(beat_argv())
                beat = time.monotonic()
        *lines, last = said.decode("utf-8", "replace").splitlines() or [""]
        if not last.startswith(EXIT):
            raise ConnectionLostError(f"the connection to {self.machine} broke during {name}")
        return int(last.removeprefix(EXIT)), lines

    def _must(self, argv: Sequence[str], stdin: bytes = b"") -> None:
        assert self.session is not None
        done = self.session.run([*self.prefix, *argv], stdin)
        if done.code != 0:
            words = done.stderr.decode("utf-8", "replace").splitlines()
            raise _failed(self.machine, argv[-1].split()[0], done.code, words)


def _latest(said: bytes, mark: str) -> str | None:
    """The last whole line of the script's own."""
    text = said.decode("utf-8", "replace")
    own = _own(text[: text.rfind("\n") + 1].splitlines(), mark)
    return own[-1] if own else None


def _own(lines: Sequence[str], mark: str) -> list[str]:
    return [line.removeprefix(mark) for line in lines if line.startswith(mark)]


def _failed(machine: str, name: str, code: int, lines: Sequence[str]) -> ImageError:
    own = _own(lines, f"{name}: ")
    why = own[-1].removeprefix("failed: ") if own else "it said"
    tail = "\n".join(f"  {line}" for line in lines[-_TAIL:])
    return ImageError(
        f"{name} failed on {machine} (exit {code}): {why}\n{tail}".rstrip(),
        "no image was made, and the builder is ended",
    )
