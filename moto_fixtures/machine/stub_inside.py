"""Process 1 of a stub, in namespaces of its own: the machine's disk, its boot, its power button.

    python -S -m moto_fixtures.machine.stub_inside FOLDER

Standard input is the power cord: at its end everything ends. Standard output says ``up`` once the
machine has booted. SIGTERM shuts down in order, SIGUSR1 at once. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from moto_fixtures.machine.stub_engine import Engine

_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC = 0x1, 0x20, 0x1000, 0x4000
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "fuse")
_STATE = Path("/run/stub")
_UNITS = _STATE / "units"
# DefaultTimeoutStopSec and more: the agent's own unit asks for 110 s.
_STOP_PATIENCE = 110.0

_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    words = [word.encode() or None for word in (source, target, kind)]
    if _libc.mount(*words, flags, data.encode() or None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {source} on {target}")


def lay_out(folder: Path) -> None:
    """The machine's own places over the host's; all else of the host can only be read."""
    for path, place in (
        (folder / "lib", "/var/lib"),
        (folder / "ssh", "/etc/ssh"),
        (folder / "passwd", "/etc/passwd"),
    ):
        _mount(str(path), place, flags=_MS_BIND)
    devices = folder / "dev"
    (devices / "shm").mkdir(parents=True)
    for name in _DEVICES:
        if os.path.exists(f"/dev/{name}"):
            (devices / name).touch()
            _mount(f"/dev/{name}", str(devices / name), flags=_MS_BIND)
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (devices / name).symlink_to(f"/proc/self/{target}")
    (devices / "console").touch()
    console = Path(f"/proc/self/fd/{sys.stderr.fileno()}").resolve()
    _mount(str(console), str(devices / "console"), flags=_MS_BIND)
    _mount(str(devices), "/dev", flags=_MS_BIND | _MS_REC)
    _mount("none", "/run", "tmpfs", data="mode=755")
    # What is grouped here is grouped for nobody.
    _mount("none", "/sys/fs/cgroup", "tmpfs", data="mode=755")
    _mount("none", "/", flags=_MS_REMOUNT | _MS_BIND | _MS_RDONLY)
    _UNITS.mkdir(parents=True)


def boot() -> None:
    """The user data's ``bootcmd``, command by command; one that fails does not stop the rest."""
    for path in sorted(Path("/var/lib/stub").glob("bootcmd.*")):
        words = path.read_text().split("\0")
        subprocess.run(words, check=False, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def shut_down() -> None:
    """As systemd does it: every unit is asked to stop, and waited for."""
    (_STATE / "stopping").touch()
    deadline = time.monotonic() + _STOP_PATIENCE
    for unit in _UNITS.iterdir():
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((unit / "pid").read_text()), signal.SIGTERM)
    while any(_UNITS.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    os._exit(0)


def _cord() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


def main(folder: Path) -> None:
    """Does not return: the machine's life is this process's."""
    button = threading.Event()

    def pressed(*_: object) -> None:
        if not button.is_set():
            button.set()
            threading.Thread(target=shut_down).start()

    # Without a handler process 1 gets no signal at all from within.
    signal.signal(signal.SIGTERM, pressed)
    signal.signal(signal.SIGUSR1, lambda *_: os._exit(0))
    threading.Thread(target=_cord, daemon=True).start()
    lay_out(folder)
    os.chdir("/")
    engine = Engine("/run/docker.sock")
    engine.start()
    boot()
    os.write(1, b"up\n")
    while True:
        # Whatever lost its parent became a child of this process.
        try:
            engine.ended(*os.waitpid(-1, 0))
        except ChildProcessError:
            time.sleep(0.05)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
