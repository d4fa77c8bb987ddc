"""SSH to a machine, through paramiko: pinned host key, no trust on first use."""

from __future__ import annotations

import contextlib
import itertools
import shlex
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dstack_cloud.errors import InputError, UnreachableError
from dstack_cloud.ssh.base import Completed, ConnectionLostError
from dstack_cloud.ssh.library import paramiko

_CHUNK = 1 << 18
# What may be under way, and wait in memory where the screen is slower than the line: over a link of
# 100 ms round trip it carries 20 MB/s, more than an engine gives of a container's output.
_WINDOW = 2 << 20
_KEEPALIVE_S = 5
# How long the machine's answer to the first packet is waited for, try by try: one that boots drops
# packets, and the kernel would send the next only after a second. Every fourth try is patient, for
# those who are far away.
_CONNECT_S = (0.3, 0.3, 0.5, 2.0)
_PAUSE_S = 0.03
_HANDSHAKE_S = 15.0


class HostKeyMismatchError(UnreachableError):
    """Who answers is not the machine that was launched."""

    kind = "host-key"


@dataclass(frozen=True)
class Endpoint:
    """Where and as whom: ``host_key`` is the pinned ``ssh-ed25519 AAAA…`` of the machine.

    ``advice`` is the hint of the error where no connection comes about.
    """

    address: str
    user: str
    key_file: str
    host_key: str
    port: int = 22
    jump_host: str | None = None
    advice: str | None = None


class SshStream:
    """A command running on the machine."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def read(self, timeout: float) -> bytes | None:
        self._channel.settimeout(timeout)
        try:
            data = self._channel.recv(_CHUNK)
        except TimeoutError:
            return None
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise ConnectionLostError(f"the connection broke: {error}") from error
        if not data and not self._channel.exit_status_ready():
            transport = self._channel.get_transport()
            if transport is None or not transport.is_active():
                raise ConnectionLostError("the connection broke")
        return data

    def close(self) -> None:
        self._channel.close()


class SshSession:
    """One SSH connection; made by `connect`."""

    def __init__(self, transport: paramiko.Transport, underneath: Callable[[], None]) -> None:
        self._transport = transport
        self._close_underneath = underneath

    def run(self, argv: Sequence[str], stdin: bytes = b"", timeout: float = 60) -> Completed:
        channel = self._open(argv)
        channel.settimeout(timeout)
        try:
            if stdin:
                channel.sendall(stdin)
            channel.shutdown_write()
            stdout = _drain(channel.recv)
            stderr = _drain(channel.recv_stderr)
            if not channel.status_event.wait(timeout) or channel.exit_status < 0:
                raise ConnectionLostError("the connection broke before the command ended")
            return Completed(channel.exit_status, stdout, stderr)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise ConnectionLostError(f"the connection broke: {error}") from error
        finally:
            channel.close()

    def stream(self, argv: Sequence[str]) -> SshStream:
        return SshStream(self._open(argv))

    def forward(self, host: str, port: int) -> paramiko.Channel:
        """A channel to ``host:port`` as the machine sees it. Raises ConnectionLostError."""
        try:
            return self._transport.open_channel(
                "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=_HANDSHAKE_S
            )
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise ConnectionLostError(f"no tunnel to {host}:{port}: {error}") from error

    def close(self) -> None:
        self._transport.close()
        self._close_underneath()

    def _open(self, argv: Sequence[str]) -> paramiko.Channel:
        try:
            channel = self._transport.open_session(window_size=_WINDOW, timeout=_HANDSHAKE_S)
            channel.exec_command(shlex.join(argv))
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise ConnectionLostError(f"the connection broke: {error}") from error
        return channel


def connect(endpoint: Endpoint, deadline_s: float) -> SshSession:
    """Connect, trying from now on until ``deadline_s`` seconds have passed.

    A machine that boots refuses or ignores connections for a while, so those are tried again at
    once. Raises HostKeyMismatchError at once when another host key answers, UnreachableError when
    the time is over, InputError for an unusable jump host.
    """
    deadline = time.monotonic() + deadline_s
    patience = itertools.cycle(_CONNECT_S)
    while True:
        try:
            return _connect_once(endpoint, next(patience))
        except HostKeyMismatchError:
            raise
        except (OSError, EOFError, paramiko.SSHException) as error:
            if time.monotonic() > deadline:
                through = f" through {endpoint.jump_host}" if endpoint.jump_host else ""
                raise UnreachableError(
                    f"no SSH connection to {endpoint.user}@{endpoint.address}{through}: {error}",
                    endpoint.advice,
                ) from error
            time.sleep(_PAUSE_S)


def _connect_once(endpoint: Endpoint, patience: float) -> SshSession:
    with contextlib.ExitStack() as cleanup:
        sock: paramiko.Channel | socket.socket
        if endpoint.jump_host:
            sock, close = _through(endpoint.jump_host, endpoint.address, endpoint.port)
        else:
            plain = socket.create_connection((endpoint.address, endpoint.port), patience)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock, close = plain, plain.close
        cleanup.callback(close)
        transport = paramiko.Transport(sock, default_window_size=_WINDOW)
        cleanup.callback(transport.close)
        transport.banner_timeout = transport.auth_timeout = _HANDSHAKE_S
        # Only the type that is pinned, else the server may pick another and nothing matches.
        transport.get_security_options().key_types = (endpoint.host_key.split()[0],)
        transport.start_client(timeout=_HANDSHAKE_S)
        _verify(transport, endpoint)
        transport.auth_publickey(
            endpoint.user, paramiko.Ed25519Key.from_private_key_file(endpoint.key_file)
        )
        transport.set_keepalive(_KEEPALIVE_S)
        cleanup.pop_all()
        return SshSession(transport, close)


def _verify(transport: paramiko.Transport, endpoint: Endpoint) -> None:
    key = transport.get_remote_server_key()
    if [key.get_name(), key.get_base64()] != endpoint.host_key.split()[:2]:
        raise HostKeyMismatchError(
            f"the host key of {endpoint.address} is not the one of the machine that was launched",
            "nothing was sent; another host may have taken the address: try again, or stop the run",
        )


def _through(jump: str, address: str, port: int) -> tuple[paramiko.Channel, Callable[[], None]]:
    """A channel to the machine through ``[user@]host[:port]``, by the user's own SSH keys."""
    user, _, place = jump.rpartition("@")
    host, _, jump_port = place.partition(":")
    client = paramiko.SSHClient()
    client.load_system_host_keys()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    try:
        client.connect(host, int(jump_port or 22), user or None, timeout=_HANDSHAKE_S)
    except (paramiko.BadHostKeyException, paramiko.AuthenticationException) as error:
        client.close()
        raise _unusable(jump, error) from error
    except paramiko.SSHException as error:
        client.close()
        if "not found in known_hosts" in str(error):
            raise _unusable(jump, error) from error
        raise
    transport = client.get_transport()
    assert transport is not None
    channel = transport.open_channel("direct-tcpip", (address, port), ("127.0.0.1", 0))
    return channel, client.close


def _unusable(jump: str, error: Exception) -> InputError:
    return InputError(
        f"the jump host {jump} cannot be used: {error}",
        f"connect once by hand (ssh {jump}), so that its key is known and yours is accepted",
    )


def _drain(receive: Callable[[int], bytes]) -> bytes:
    parts = []
    while data := receive(_CHUNK):
        parts.append(data)
    return b"".join(parts)
