"""The relay between a port here and one behind a session, with real sockets on both sides."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import socketserver
import threading
from pathlib import Path

import pytest

from dstack_cloud.ssh.base import ConnectionLostError
from dstack_cloud.ssh.local import LocalSession
from dstack_cloud.ssh.tunnel import Tunnel

LARGE = os.urandom(1 << 20) * 24


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(1 << 16):
            self.request.sendall(data)
        # Only once the caller has said that no more comes: the direction back stays open.
        self.request.sendall(b"end")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128
    daemon_threads = True


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Echo) as found:
        threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
        yield found.server_address[1]
        found.shutdown()


@pytest.fixture
def tunnel(server):
    with contextlib.closing(Tunnel(0, lambda: LocalSession().forward("127.0.0.1", server))) as one:
        yield one


def call(port):
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def test_large_transfers_both_ways_and_the_end_of_one(tunnel):
    with call(tunnel.port) as pipe:
        threading.Thread(
            target=lambda: (pipe.sendall(LARGE), pipe.shutdown(socket.SHUT_WR)), daemon=True
        ).start()
        got = b"".join(iter(lambda: pipe.recv(1 << 20), b""))
    assert hashlib.sha256(got).digest() == hashlib.sha256(LARGE + b"end").digest()


def test_many_connections_at_once_each_answered_without_a_wait(tunnel):
    with contextlib.ExitStack() as stack:
        pipes = [stack.enter_context(call(tunnel.port)) for _ in range(50)]
        for number, pipe in enumerate(pipes):
            pipe.sendall(b"%03d" % number)
        assert [pipe.recv(3) for pipe in pipes] == [b"%03d" % n for n in range(50)]


def test_a_port_that_is_taken_gets_a_free_one(server, tunnel):
    other = Tunnel(server, lambda: LocalSession().forward("127.0.0.1", server))
    with contextlib.closing(other), call(other.port) as pipe:
        assert other.port != server
        pipe.sendall(b"x")
        assert pipe.recv(1) == b"x"


def test_it_is_on_the_loopback_only(tunnel):
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    listening = [row[1] for row in rows if row[3] == "0A"]
    assert f"0100007F:{tunnel.port:04X}" in listening
    assert f"00000000:{tunnel.port:04X}" not in listening


def test_nobody_at_the_other_end_hangs_up_and_the_next_call_is_tried_anew(server):
    far = [ConnectionLostError("not now"), None]

    def dial():
        if error := far.pop(0):
            raise error
        return LocalSession().forward("127.0.0.1", server)

    with contextlib.closing(Tunnel(0, dial)) as tunnel:
        with call(tunnel.port) as pipe:
            assert pipe.recv(1) == b""
        with call(tunnel.port) as pipe:
            pipe.sendall(b"x")
            assert pipe.recv(1) == b"x"


def test_closing_it_ends_its_connections_and_frees_the_port(tunnel):
    with call(tunnel.port) as pipe:
        pipe.sendall(b"x")
        assert pipe.recv(1) == b"x"
        tunnel.close()
        with contextlib.suppress(ConnectionResetError):
            assert pipe.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        call(tunnel.port)
    socket.create_server(("127.0.0.1", tunnel.port)).close()
