"""The SSH server of a stub: paramiko's server side, with the stub's own keys.

Commands only: no terminal, no files, no tunnels.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import paramiko
from paramiko import common

_CHUNK = 1 << 17
_GLANCE_S = 0.2

# A client that breaks off, or is killed, is no news here.
logging.getLogger("paramiko.transport").setLevel(logging.CRITICAL)

Enter = Callable[[str], list[str] | None]


class SshServer:
    """Listens from ``start`` on; the host key and the authorized keys are read anew for each
    connection, as they may be replaced at any time."""

    def __init__(self, door: socket.socket, keys: Path, home: Path, enter: Enter) -> None:
        self._door = door
        self._host_key = keys / "ssh_host_ed25519_key"
        self._authorized = home / ".ssh/authorized_keys"
        self._enter = enter
        self._lock = threading.Lock()
        self._transports: list[paramiko.Transport] = []
        self._closed = False

    def start(self) -> None:
        self._door.listen(16)
        threading.Thread(target=self._accept, name="stub-sshd", daemon=True).start()

    def close(self) -> None:
        """The machine is off: no word to those that are connected."""
        with self._lock:
            self._closed = True
            transports = self._transports
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for transport in transports:
            transport.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = paramiko.Transport(connection)
        with self._lock:
            if self._closed:
                transport.close()
                return
            self._transports.append(transport)
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            transport.add_server_key(paramiko.Ed25519Key.from_private_key_file(str(self._host_key)))
            transport.start_server(server=_Server(self._authorized, self._enter))


class _Server(paramiko.ServerInterface):
    def __init__(self, authorized: Path, enter: Enter) -> None:
        self._authorized = authorized
        self._enter = enter

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        lines = self._authorized.read_text().splitlines()
        known = [line.split()[:2] for line in lines]
        fits = [key.get_name(), key.get_base64()] in known
        return common.AUTH_SUCCESSFUL if fits else common.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if kind == "session":
            return common.OPEN_SUCCEEDED
        return common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        words = self._enter(command.decode())
        if words is None:
            return False
        threading.Thread(target=_run, args=(channel, words), daemon=True).start()
        return True


def _run(channel: paramiko.Channel, words: list[str]) -> None:
    """One command from its start to its exit status."""
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    assert process.stdout is not None
    assert process.stderr is not None
    pumps = [
        threading.Thread(target=_feed, args=(channel, process), daemon=True),
        threading.Thread(target=_drain, args=(process.stdout.fileno(), channel, channel.sendall)),
        threading.Thread(
            target=_drain, args=(process.stderr.fileno(), channel, channel.sendall_stderr)
        ),
    ]
    for pump in pumps:
        pump.start()
    for pump in pumps[1:]:
        pump.join()
    # Where the client went away, this is what the command notices.
    process.stdout.close()
    process.stderr.close()
    code = process.wait()
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        if code >= 0:
            channel.send_exit_status(code)
        channel.close()


def _feed(channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        while data := channel.recv(_CHUNK):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(process.stdin.fileno(), rest) :]
    with contextlib.suppress(OSError):
        process.stdin.close()


def _drain(source: int, channel: paramiko.Channel, send: Callable[[bytes], object]) -> None:
    """Until the command has closed its end, or the client its own."""
    with contextlib.suppress(OSError):
        while not channel.closed:
            if select.select([source], [], [], _GLANCE_S)[0]:
                data = os.read(source, _CHUNK)
                if not data:
                    return
                send(data)
