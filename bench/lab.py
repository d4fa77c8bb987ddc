"""From ``run`` to an open JupyterLab, beside the bare parts by hand on the same emulated cloud.

By hand: launch, wait for ssh, ``docker run`` JupyterLab from the same image, ``ssh -L`` to it.
Either is timed until the lab's own API answers through the forwarded port, and the page of the lab
after it. In turn, from machines without the image. The image has JupyterLab in it: what pip takes
to install it where an image lacks it is the package index's figure, not ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from by_hand import aws
from support import PROGRAM, PYTHON, ROOT, Row, emulator, main, median, row, say

_TIMES = int(os.environ.get("BENCH_TIMES", "3"))
_IMAGE = "bench-lab:1"
_BUILDER = f"bench-lab-{os.getpid()}"
_PORT, _TOKEN = 8888, "by-hand-token"
_WORKFLOW = f"""\
workflows:
  - name: lab
    provider: lab
    image: {_IMAGE}
    resources: {{gpu: T4, interruptible: true}}
"""
_LIMIT_S = 600
_PAGE = re.compile(r"http://127\.0\.0\.1:(\d+)/lab\?token=([\w-]+)")
# Put where the emulated machines pull from: one by the product's recipe, with JupyterLab.
_BUILD = f"""
import subprocess, sys, tempfile
from moto_fixtures.machine import images, registry
made = images.ensure()
folder = tempfile.mkdtemp()
told = ["docker", "run", "--rm", made.conda, "python3", "-c",
        "import sys; print('%d.%d' % sys.version_info[:2])"]
version = subprocess.run(told, check=True, capture_output=True, text=True).stdout.strip()
pip = [sys.executable, "-m", "pip", "download", "-q", "-d", folder, "jupyterlab"]
subprocess.run([*pip, "--only-binary=:all:", "--python-version", version], check=True)
run = ["docker", "run", "--name", "{_BUILDER}", "-v", folder + ":/wheels:ro", made.conda]
run += ["python3", "-m", "pip", "install", "-q", "--no-index", "--find-links", "/wheels"]
try:
    subprocess.run([*run, "jupyterlab"], check=True)
    commit = ["docker", "commit", "{_BUILDER}", "{_IMAGE}"]
    subprocess.run(commit, check=True, stdout=subprocess.DEVNULL)
finally:
    subprocess.run(["docker", "rm", "{_BUILDER}"], check=False, stdout=subprocess.DEVNULL)
    subprocess.run(["rm", "-rf", folder], check=True)
plain = registry.content
registry.content = lambda images: plain(images) | {{"library/{_IMAGE}": "{_IMAGE}"}}
registry.fill(made)
subprocess.run(["docker", "image", "rm", "{_IMAGE}"], check=True, stdout=subprocess.DEVNULL)
"""


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-lab-") as scratch:
        home = Path(scratch) / "home"
        home.mkdir()
        # The registry of its own has this image; all others share what is cached.
        os.environ["MOTO_FIXTURES_HOME"] = str(Path(scratch) / "fixtures")
        say("making an image with JupyterLab")
        subprocess.run([PYTHON, "-c", _BUILD], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        with emulator(f"bench-lab-{os.getpid()}") as env:
            bench = _Bench(Path(scratch), {**env, "HOME": str(home)})
            found: dict[str, list[tuple[float, float]]] = {"ours": [], "by hand": []}
            say("once, unmeasured")
            bench.ours()
            for number in range(_TIMES):
                found["ours"].append(bench.ours())
                found["by hand"].append(bench.by_hand())
                took = (f"{name} {values[-1][0]:.1f} s" for name, values in found.items())
                say(f"{number + 1} of {_TIMES}: {', '.join(took)}")
    reached, opened = (
        {name: median([one[at] for one in values]) for name, values in found.items()}
        for at in (0, 1)
    )
    return [
        row(
            "run to an open JupyterLab",
            opened["ours"],
            "s",
            against="launch, ssh -L, docker run",
            peer=opened["by hand"],
        ),
        row(
            "  … its API answers at the forwarded port",
            reached["ours"],
            "s",
            against="launch, ssh -L, docker run",
            peer=reached["by hand"],
        ),
    ]


class _Bench:
    """A user's repository and a key pair on an emulated AWS."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._env = env
        self._control = env["MOTO_FIXTURES_URL"].rstrip("/") + "/_emulator/"
        self._project = folder / "project"
        (self._project / ".dstack").mkdir(parents=True)
        (self._project / ".dstack" / "workflows.yaml").write_text(_WORKFLOW)
        subprocess.run(["git", "init", "-q", str(self._project)], check=True)
        self._key = folder / "id_ed25519"
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._key)]
        subprocess.run(argv, check=True)
        self._hand = aws.prepare(env, self._key)
        self._runs = 0

    def ours(self) -> tuple[float, float]:
        """Seconds until the API answers, and until the page is there."""
        self._runs += 1
        begun = time.monotonic()
        argv = [PROGRAM, "run", "lab", "-y"]
        with subprocess.Popen(
            argv,
            cwd=self._project,
            env=self._env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as client:
            assert client.stderr is not None
            try:
                told = next(filter(None, map(_PAGE.search, client.stderr)))
                return _open(int(told[1]), told[2], begun)
            finally:
                stop = [PROGRAM, "stop", f"lab-{self._runs}", "--abort"]
                subprocess.run(
                    stop, cwd=self._project, env=self._env, check=True, capture_output=True
                )
                client.stderr.read()
                client.wait(_LIMIT_S)
                self._gone()

    def by_hand(self) -> tuple[float, float]:
        begun = time.monotonic()
        machine = self._aws("ec2", "run-instances", *self._launch())["Instances"][0]["InstanceId"]
        try:
            with self._forwarded(self._address(machine)) as port:
                return _open(port, _TOKEN, begun)
        finally:
            aws.end(self._hand, {"id": machine})
            self._gone()

    def _launch(self) -> list[str]:
        hand = self._hand
        words = ["--image-id", hand["IMAGE"], "--instance-type", hand["TYPE"]]
        words += ["--key-name", hand["KEY"], "--security-group-ids", hand["GROUP"]]
        return [*words, "--instance-market-options", "MarketType=spot"]

    def _address(self, machine: str) -> str:
        while True:
            told = self._aws("ec2", "describe-instances", "--instance-ids", machine)
            address = told["Reservations"][0]["Instances"][0].get("PublicIpAddress")
            if address:
                return str(address)
            time.sleep(0.1)

    @contextlib.contextmanager
    def _forwarded(self, address: str) -> Iterator[int]:
        """The lab's container on the machine, and a port here that leads to it."""
        options = ["-i", str(self._key), "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"]
        options += ["-o", "UserKnownHostsFile=/dev/null"]
        ssh = ["ssh", *options, f"ubuntu@{address}"]
        look = [*ssh[:-1], "-o", "ConnectTimeout=2", ssh[-1], "true"]
        while subprocess.run(look, capture_output=True).returncode != 0:
            time.sleep(0.1)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        tunnel = ["ssh", *options, "-N", "-L", f"127.0.0.1:{port}:127.0.0.1:{_PORT}", ssh[-1]]
        words = f"sudo docker run -d -e JUPYTER_TOKEN={_TOKEN} -p 127.0.0.1:{_PORT}:{_PORT}"
        words += f" --entrypoint python3 {_IMAGE} -m jupyterlab --no-browser --allow-root"
        words += f" --ip=0.0.0.0 --port={_PORT}"
        with subprocess.Popen(tunnel, stderr=subprocess.DEVNULL) as forwarding:
            try:
                subprocess.run([*ssh, words], check=True, stdout=subprocess.DEVNULL)
                yield port
            finally:
                forwarding.terminate()

    def _aws(self, *words: str) -> Any:
        argv = ["aws", *words, "--output", "json"]
        done = subprocess.run(argv, env=self._hand, stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def _gone(self) -> None:
        address = f"{self._control}machines?until=none&wait=60"
        with urllib.request.urlopen(address, timeout=120) as answer:
            answer.read()


def _open(port: int, token: str, begun: float) -> tuple[float, float]:
    """Wait for the API's answer, then read the page whole: seconds of both since the begin."""
    base = f"http://127.0.0.1:{port}"
    end = begun + _LIMIT_S
    while True:
        with contextlib.suppress(OSError, urllib.error.URLError, ValueError):
            address = f"{base}/api/status?token={token}"
            with urllib.request.urlopen(address, timeout=30) as answer:
                json.load(answer)
            break
        if time.monotonic() > end:
            sys.exit("JupyterLab did not open")
        time.sleep(0.05)
    reached = time.monotonic() - begun
    with urllib.request.urlopen(f"{base}/lab?token={token}", timeout=60) as answer:
        assert b"JupyterLab" in answer.read()
    return reached, time.monotonic() - begun


if __name__ == "__main__":
    main(measure)
