"""From the launch call to a machine that can run containers: the baked image beside the stock one.

On emulated machines, in turn: the same machine type, launched as a run launches it, once from the
stock image, which installs Docker and rclone at its first boot, once from what `images build` made
of it. Ready is a machine whose container has said its first word.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from urllib.request import urlopen

from support import PROGRAM, Row, emulator, in_turn, main, median, row, say

_TIMES = int(os.environ.get("BENCH_TIMES", "3"))
_WORKFLOW = """\
workflows:
  - name: hello
    provider: docker
    image: ubuntu
    resources: {cpu: 2, memory: 4GB}
    commands: [echo ready]
"""


def _first_line(env: dict[str, str], folder: Path) -> float:
    """Seconds from the launch call, by the emulator's log, to the container's first line."""
    client = subprocess.Popen(
        [PROGRAM, "run", "hello", "-y"],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert client.stdout is not None
    line, seen = client.stdout.readline(), time.time()
    _, words = client.communicate(timeout=240)
    if client.returncode != 0 or line != "ready\n":
        raise RuntimeError(words[-500:])
    return seen - _launched(env)


def _launched(env: dict[str, str]) -> float:
    """When the last fleet was asked for."""
    url = env["MOTO_FIXTURES_URL"].rstrip("/") + "/_emulator/calls"
    with urlopen(url, timeout=30) as answer:
        calls = [call for call in json.load(answer) if call["action"] == "CreateFleet"]
    return datetime.fromisoformat(calls[-1]["time"]).timestamp()


def measure() -> list[Row]:
    """The image is baked, then both boot in turn."""
    with emulator("bench-boot") as env, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        subprocess.run(["git", "init", "-q", scratch], check=True)
        (folder / ".dstack").mkdir()
        (folder / ".dstack" / "workflows.yaml").write_text(_WORKFLOW)
        say("baking the image")
        begun = time.monotonic()
        subprocess.run(
            [PROGRAM, "images", "build"], cwd=folder, env=env, stdout=subprocess.PIPE, check=True
        )
        took = time.monotonic() - begun
        config = Path(env["DSTACK_CLOUD_CONFIG"])
        stock = folder / "stock.yaml"
        stock.write_text(config.read_text().replace("aws:\n", "aws:\n  baked: false\n", 1))
        say(f"booting the stock image and the baked one, {_TIMES} times each")
        ways = {
            "stock": partial(_first_line, {**env, "DSTACK_CLOUD_CONFIG": str(stock)}, folder),
            "baked": partial(_first_line, env, folder),
        }
        found = {name: median(times) for name, times in in_turn(ways, _TIMES).items()}
    return [
        row(
            "launch to a container's first line, baked image",
            found["baked"],
            "s",
            against="the stock image, set up at its first boot",
            peer=found["stock"],
            at_most=0.5,
        ),
        row("  images build, for the stock image", took, "s"),
    ]


if __name__ == "__main__":
    main(measure)
