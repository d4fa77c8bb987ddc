"""A container's ports on the caller's own machine, and arguments on their way into a container."""

from __future__ import annotations

import re
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.emulated import EVERY_CLOUD, Emulator, Project, wait_until
from support.follower import Client, connections, cut
from support.served import LARGE, page_of, serve

from moto_fixtures.machine import images

ARGUMENTS = ["two words", "it's", '"', "$HOME `id`", "", "a\nb", "ünï→✓", "\\", "*", "-n", "${{"]


def holds(folder: Path, text: str) -> list[Path]:
    """The files of a folder that have the text in them."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if text.encode() in path.read_bytes()]


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """Somebody else has the port already."""
    with socket.create_server(("127.0.0.1", 8000)) as other:
        yield other


def test_on_this_machine(local: Project, taken: socket.socket) -> None:
    serve(local, images.ensure().conda)
    run = ("run", "served", "--cloud", "local", "-y")
    with Client(local, *run) as one, Client(local, *run, "--json") as two:
        first, second = page_of(one), page_of(two)
        assert len({first.port, second.port, 8000}) == 3
        assert "8000 is taken here" in first.more
        assert {first.get(), second.get()} == {b"the page of served-1", b"the page of served-2"}
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(second.url.replace(second.token, first.token), timeout=30)
        # The token is on record nowhere.
        home = Path(local.environ["HOME"])
        assert holds(home / ".local/share/dstack-cloud/store", "served-1")
        assert not holds(home / ".local/share/dstack-cloud/store", first.token)
        for page in (first, second):
            page.get("/end")
        assert (one.wait(), two.wait()) == (0, 0)
        assert one.out == b"serving\n"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", first.port))


def test_arguments_reach_the_program_as_they_were_written(local: Project, image: str) -> None:
    local.workflows(f"""
        workflows:
          - name: show
            provider: docker
            image: {image}
            commands:
              - printf '<%s>' ${{{{ run.args }}}}
    """)
    done = local.cli("run", "show", "--cloud", "local", "-y", "--", *ARGUMENTS)
    assert (done.returncode, done.stdout) == (0, "".join(f"<{one}>" for one in ARGUMENTS))


@EVERY_CLOUD
def test_through_ssh(emulator: Emulator, project: Project) -> None:
    serve(project, "dstackai/miniconda:3.10-cuda-11.1")
    # With a GPU: machines without one have their Docker installed at the first boot.
    with Client(project, "run", "served", "-y", "--gpu", "T4") as client:
        page = page_of(client)
        # Others that use this cloud may have run one of the name before.
        _, run, rest = re.split(r"─ (served-[0-9]+) ─", client.err.decode())
        told, body = rest.splitlines(), b"the page of " + run.encode()
        assert [line.split()[:3] for line in told[1:]] == [["✓", "port", "8000"]]
        assert (page.port, page.more) == (8000, "")
        assert page.get() == body
        assert page.get("/large") == LARGE
        with page.upgraded() as pipe:
            pipe.sendall(b"hello")
            assert pipe.recv(100) == b"HELLO"
            # Held open while the line breaks: it ends, and whoever comes next finds the new line.
            [machine] = emulator.machines()
            address = machine["address"]
            for port in connections(client.process.pid, address):
                cut(address, port)
            assert pipe.recv(100) == b""
        assert page.get() == body
        # The machine's own address has nothing at that port.
        with pytest.raises(OSError):
            socket.create_connection((address, 8000), timeout=5)
        with Client(project, "attach", run) as other:
            same = page_of(other)
            assert same.port != page.port
            assert same.url.replace(str(same.port), "8000") == page.url
            client.process.send_signal(signal.SIGINT)
            assert client.wait() == 130
            assert same.get("/end") == body
            assert other.wait() == 0
    wait_until("the machine is gone", lambda: emulator.machines() == [])
