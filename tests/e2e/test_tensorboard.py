"""TensorBoard over a run that goes on: it shows what is written after it was opened."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from support.emulated import Project, wait_until
from support.follower import Client

from moto_fixtures.machine import images

WRITER = Path(__file__).parent / "training" / "events.py"
WORKFLOWS = """
    workflows:
      - name: events
        provider: python
        image: {image}
        file: events.py
        artifacts: [{{path: output, mount: true}}]
      - name: board
        provider: tensorboard
        image: {image}
        runs: [events]
"""
LOCAL = ("--cloud", "local", "-y")


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The default image's stand-in with TensorBoard in it; kept between test runs."""
    conda = images.ensure().conda
    name = f"dstack-tensorboard-test:{conda.rpartition(':')[2]}"
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode == 0:
        return name
    version = ("python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    python = subprocess.run(
        ["docker", "run", "--rm", conda, *version], capture_output=True, text=True, check=True
    ).stdout.strip()
    # By this host's pip, whose settings lead to an index.
    wheels = str(tmp_path_factory.mktemp("wheels"))
    pip = [sys.executable, "-m", "pip", "download", "-q", "-d", wheels, "tensorboard"]
    subprocess.run([*pip, "--only-binary=:all:", "--python-version", python], check=True)
    installer = f"dstack-tensorboard-{Path(wheels).parent.name}"
    run = ["docker", "run", "--name", installer, "-v", f"{wheels}:/wheels:ro", conda, "python3"]
    run += ["-m", "pip", "install", "-q", "--no-index", "--find-links", "/wheels", "tensorboard"]
    try:
        subprocess.run(run, check=True, capture_output=True)
        subprocess.run(["docker", "commit", installer, name], check=True, capture_output=True)
    finally:
        subprocess.run(["docker", "rm", "--force", installer], capture_output=True)
    return name


def test_what_is_written_after_it_was_opened(local: Project, board: str) -> None:
    local.workflows(WORKFLOWS.format(image=board))
    shutil.copy(WRITER, local.folder)
    missing = local.cli("run", "board", *LOCAL)
    assert missing.returncode == 64
    words = ".dstack/workflows.yaml:11:12: 'events' is neither a run nor a workflow that was run"
    assert words in missing.stderr
    assert local.cli("run", "events", "-d", *LOCAL).returncode == 0
    with Client(local, "run", "board", *LOCAL) as client:
        address = re.compile(r"port 6006:? +(http://127\.0\.0\.1:[0-9]+)/")
        client.until("TensorBoard is open", lambda: address.search(client.err.decode()), 120)
        found = address.search(client.err.decode())
        assert found is not None
        opened = time.time()
        api = f"{found[1]}/data/plugin/scalars"

        def later() -> list[Any]:
            """Moment, step and value of what was written after that."""
            with urllib.request.urlopen(f"{api}/tags", timeout=30) as answer:
                if "events-1/output/logs" not in json.load(answer):
                    return []
            query = f"{api}/scalars?tag=loss&run=events-1%2Foutput%2Flogs"
            with urllib.request.urlopen(query, timeout=30) as answer:
                return [point for point in json.load(answer) if point[0] > opened]

        for _, step, value in wait_until("a later scalar is shown", later):
            assert value == pytest.approx(1 / step)
        assert local.state("events-1") == "running"
        assert local.cli("stop", "board-1", "--abort").returncode == 0
        client.wait()
    assert local.cli("stop", "events-1", "--abort").returncode == 0
