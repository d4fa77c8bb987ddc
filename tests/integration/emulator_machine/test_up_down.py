"""``python -m moto_fixtures up|status|down``: what is printed, who listens, what is left."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from moto_fixtures.machine.network import Network
from moto_fixtures.machine.paths import state_dir
from moto_fixtures.machine.shell import docker

ROOT = Path(__file__).parents[3]
EXPORTED = [
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
    "MOTO_FIXTURES_URL",
    "DSTACK_CLOUD_CONFIG",
]


def fixtures(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "moto_fixtures", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def exports(text: str) -> dict[str, str]:
    matches = [re.fullmatch(r"export ([A-Z_]+)='([^']*)'", line) for line in text.splitlines()]
    assert all(matches), text
    return {m[1]: m[2] for m in matches if m}


def listeners() -> set[str]:
    out = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    return {line.split()[3] for line in out.splitlines()}


@pytest.fixture
def name():
    chosen = f"updown-{os.getpid()}"
    yield chosen
    fixtures("down", "--name", chosen)


def test_up_status_down(name):
    before = listeners()
    up = fixtures("up", "--name", name)
    assert up.returncode == 0, up.stderr
    values = exports(up.stdout)
    assert list(values) == EXPORTED
    assert Path(values["DSTACK_CLOUD_CONFIG"]).exists()
    net = Network.load(name)
    assert values["AWS_ENDPOINT_URL"].startswith(f"http://{net.gateway}:")

    opened = {where.rsplit(":", 1)[0] for where in listeners() - before}
    assert net.gateway in opened
    assert not opened & {"0.0.0.0", "*", "[::]"}
    url = values["MOTO_FIXTURES_URL"] + "/_emulator/machines"
    with build_opener(ProxyHandler({})).open(url) as answer:
        assert answer.read() == b"[]"

    again = fixtures("up", "--name", name)
    assert (again.returncode, again.stdout) == (0, up.stdout)
    status = fixtures("status", "--name", name)
    assert status.returncode == 0
    assert status.stdout.startswith(f"{name}: up, ")

    assert fixtures("down", "--name", name).returncode == 0
    assert not state_dir(name).exists()
    label = f"label=dstack-cloud-fixtures={name}"
    assert docker("network", "ls", "--quiet", "--filter", label) == ""
    assert docker("ps", "--all", "--quiet", "--filter", label) == ""
    saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    assert f"dstack-cloud-fixtures:{name}" not in saved
    assert not [where for where in listeners() if where.startswith(f"{net.gateway}:")]
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert net.bridge not in links
    down = fixtures("status", "--name", name)
    assert (down.returncode, down.stdout) == (1, f"{name}: down\n")


def test_down_after_the_daemon_was_killed(name):
    assert fixtures("up", "--name", name).returncode == 0
    net = Network.load(name)
    pid = int((state_dir(name) / "server.pid").read_text().split()[0])
    os.kill(pid, 9)
    # Whatever it left in the way of a new one is cleared by the next `up` too.
    up = fixtures("up", "--name", name)
    assert up.returncode == 0, up.stderr
    assert fixtures("down", "--name", name).returncode == 0
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert net.bridge not in links


def test_stub_needs_no_docker(name):
    up = fixtures("up", "--name", name, "--stub")
    assert up.returncode == 0, up.stderr
    values = exports(up.stdout)
    assert values["AWS_ENDPOINT_URL"] == values["MOTO_FIXTURES_URL"]
    assert values["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    label = f"label=dstack-cloud-fixtures={name}"
    assert docker("network", "ls", "--quiet", "--filter", label) == ""
    port = int(values["AWS_ENDPOINT_URL"].rsplit(":", 1)[1])
    assert fixtures("down", "--name", name).returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 2)


def test_a_name_that_cannot_be_one():
    done = fixtures("up", "--name", "No Such")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "not a name for an emulator" in done.stderr
