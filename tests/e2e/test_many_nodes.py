"""A real all-reduce between containers on two machines, meeting by PyTorch's own rendezvous."""

from __future__ import annotations

import functools
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.emulated import EVERY_CLOUD, Emulator, Project

TORCH = "torch==2.13.0"
# Where an emulated cloud answers its machines.
_APIS = ("AWS_ENDPOINT_URL", "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE")
WORKFLOW = """
    workflows:
      - name: train
        provider: torchrun
        file: train.py
        nodes: 2
        artifacts: [out]
        environment: [WHEELS, HOST]
        before_run:
          - python3 -m pip install -q --no-compile --no-index --trusted-host $HOST -f $WHEELS torch
        resources: {cpu: 2, memory: 4GB}
"""
TRAIN = """
import os, socket
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
value = torch.tensor([float(dist.get_rank() + 1), 10.0])
dist.all_reduce(value)
print("reduced", value.tolist(), "in a world of", dist.get_world_size(), flush=True)
try:
    socket.create_connection(("169.254.169.254", 80), timeout=5)
    print("credentials in reach", flush=True)
except ConnectionRefusedError:
    print("credentials refused", flush=True)
os.makedirs("out", exist_ok=True)
with open("out/node", "w") as file:
    file.write(os.environ["DSTACK_NODE_RANK"] + " of " + os.environ["DSTACK_NODES"])
dist.destroy_process_group()
"""


@pytest.fixture
def wheels(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """PyTorch and what it needs, served where the machines reach it, and nobody else."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "download", "-q", "-d", str(folder), TORCH]
    subprocess.run(pip, check=True, timeout=300)
    gateway = urlsplit(next(emulator.environ[one] for one in _APIS if one in emulator.environ))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Not told."""

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer((gateway.hostname or "", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{gateway.hostname}:{server.server_port}/"
        server.shutdown()


@EVERY_CLOUD
def test_an_all_reduce_on_two_machines(
    emulator: Emulator, project: Project, wheels: str, tmp_path: Path
) -> None:
    project.workflows(WORKFLOW)
    (project.folder / "train.py").write_text(TRAIN)
    host = urlsplit(wheels).hostname or ""
    done = project.but(WHEELS=wheels, HOST=host).cli("run", "train", "-y", timeout=420)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    for node in (0, 1):
        assert f"node-{node} | reduced [3.0, 20.0] in a world of 2" in lines
        # The agent beside it reached them: the log and the artifacts are in the store.
        assert f"node-{node} | credentials refused" in lines
    assert emulator.machines() == []
    assert {row["reason"] for row in _machines(emulator)} == {"terminated"}
    assert "2× " in done.stderr

    run = project.json("ps")["runs"][-1]["run"]
    fetched = tmp_path / "fetched"
    downloaded = project.cli("artifacts", "download", run, "-o", str(fetched))
    assert downloaded.returncode == 0, downloaded.stderr
    found = {str(path.relative_to(fetched)): path.read_text() for path in fetched.rglob("node")}
    assert found == {"out/node": "0 of 2", "node-1/out/node": "1 of 2"}
    assert sorted(project.cli("logs", run).stdout.splitlines()) == sorted(lines)


def _machines(emulator: Emulator) -> list[dict[str, str]]:
    found: list[dict[str, str]] = emulator.get("/_emulator/machines")
    return [row for row in found if "train-" in str(row["tags"])]
