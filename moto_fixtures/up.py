"""Start an emulated cloud and say how to reach it."""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
import urllib.error
import urllib.request
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from moto_fixtures.down import take_down
from moto_fixtures.machine import images, network, process, registry
from moto_fixtures.machine.locks import only_one
from moto_fixtures.machine.paths import home, state_dir
from moto_fixtures.machine.shell import FixtureError, engine_answers, run, say

DAEMON = "server"
CLOUDS = ("aws", "gcp")
STORE = "dstack-cloud-demo"
ADMIN, DAILY = "dstack-admin", "dstack-daily"
_LOOPBACK = "127.0.0.1"
_OTHERS = ("AWS_", "CLOUDSDK_", "GOOGLE_", "STORAGE_EMULATOR_HOST")
_ROOT = Path(__file__).parents[1]


class Environment(Protocol):
    """``moto_fixtures.CLOUD.environment``: how a cloud's server is started and reached.

    ``PORTS`` are the server's options, the API's first; ``endpoints`` are in their order, and
    ``key`` is what the control interface hands out for a user.
    """

    SERVER: str
    SCHEME: str
    PORTS: tuple[str, ...]

    def values(
        self, endpoints: list[str], key: dict[str, Any], state: Path, user: str
    ) -> dict[str, str]: ...

    def init_words(self, store: str) -> list[str]: ...


def up(name: str, *, cloud: str = "aws", stub: bool = False) -> str:
    """Start the emulator called ``name`` unless it runs; return the ``export`` lines.

    ``cloud`` is one of ``CLOUDS``. With ``stub``, machines need no Docker (see ``machine.stub``).
    Raises FixtureError; what was begun is then taken away again.
    """
    state = state_dir(name)
    with only_one(f"up-{name}"):
        if process.pid(state, DAEMON) is not None and (state / "env").exists():
            say(f"emulator {name}: is up already")
            return (state / "env").read_text()
        take_down(name, quiet=True)
        try:
            return _start(name, state, cloud, stub)
        except BaseException:
            take_down(name, quiet=True)
            raise


def _start(name: str, state: Path, cloud: str, stub: bool) -> str:
    state.mkdir(parents=True)
    gateway = None
    if not stub:
        _engine()
        with only_one("images"):
            registry.fill(images.ensure())
        net = network.create(name)
        gateway = net.gateway
        say(f"network: {net.subnet} on {net.bridge}")
        registry.start(net)
    chosen = _environment(cloud)
    ports = [_common_port(gateway) for _ in chosen.PORTS]
    argv = [sys.executable, "-m", chosen.SERVER, "--name", name, "--store", STORE]
    for option, number in zip(chosen.PORTS, ports, strict=True):
        argv += [option, str(number)]
    argv += ["--stub"] if gateway is None else ["--gateway", gateway]
    process.start(argv, directory=state, name=DAEMON, env=_clean_environment(), cwd=_ROOT)
    control = f"http://{_LOOPBACK}:{ports[0]}"
    process.wait_ready(lambda: _ready(control), directory=state, name=DAEMON, seconds=60)
    address = _LOOPBACK if gateway is None else gateway
    endpoints = [f"http://{address}:{port}" for port in ports]
    say(f"emulator {name}: answers at {endpoints[0]}")
    keys = json.loads(_get(f"{control}/_emulator/keys"))
    admin, daily = (
        {
            **chosen.values(endpoints, keys[user], state, user),
            "MOTO_FIXTURES_URL": control,
            "DSTACK_CLOUD_CONFIG": str(state / "config.yaml"),
        }
        for user in (ADMIN, DAILY)
    )
    _write_private(state / "env-admin", _exports(admin))
    prepare(admin, chosen.init_words(f"{chosen.SCHEME}://{STORE}"))
    text = _exports(daily)
    _write_private(state / "env", text)
    return text


def _environment(cloud: str) -> Environment:
    module: Any = import_module(f"moto_fixtures.{cloud}.environment")
    found: Environment = module
    return found


def prepare(values: dict[str, str], words: list[str]) -> None:
    """Do once, as the administrator, what ``run`` takes for granted: the product's own ``init``."""
    argv = [sys.executable, "-m", "dstack_cloud", "init", "-y", *words]
    # The checkout's own packages, installed or not; and no setting of a real account.
    paths = os.pathsep.join([str(_ROOT), str(_ROOT / "providers")])
    run(argv, env=_clean_environment() | {"PYTHONPATH": paths} | values, timeout=60)


def _engine() -> None:
    if engine_answers():
        return
    say("no Docker engine answers: scripts/install-engine")
    script = _ROOT / "scripts" / "install-engine"
    # Its words go to the user as they come: it may take a minute.
    code = os.spawnv(os.P_WAIT, str(script), [str(script)])
    if code != 0:
        raise FixtureError("scripts/install-engine failed; its words are above")


def _common_port(gateway: str | None) -> int:
    """A port that is free on the loopback and on the gateway."""
    for _ in range(50):
        port = network.free_port(_LOOPBACK)
        if gateway is None:
            return port
        with socket.socket() as probe:
            try:
                probe.bind((gateway, port))
            except OSError:
                continue
            return port
    raise FixtureError(f"found no port that is free on both {_LOOPBACK} and {gateway}")


def _clean_environment() -> dict[str, str]:
    """Ours without the user's cloud settings: the emulator must not act on a real account."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_OTHERS)}
    return kept | {"MOTO_FIXTURES_HOME": str(home()), "AWS_EC2_METADATA_DISABLED": "true"}


def _get(url: str) -> bytes:
    # A proxy in the environment is for the world outside, not for this host.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        raise FixtureError(f"{url} answered {error.code}: {said}") from error


def _ready(control: str) -> bool:
    try:
        _get(f"{control}/_emulator/ready")
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    return True


def _exports(values: dict[str, str]) -> str:
    return "".join(f"export {name}={_quoted(value)}\n" for name, value in values.items())


def _write_private(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text)


def _quoted(value: str) -> str:
    """Always in quotes, which shlex spares plain words."""
    quoted = shlex.quote(value)
    return quoted if quoted.startswith("'") else f"'{quoted}'"


def status(name: str) -> tuple[bool, str]:
    """Whether the emulator is up, and a few lines that say so."""
    state = state_dir(name)
    number = process.pid(state, DAEMON)
    if number is None or not (state / "env").exists():
        return False, f"{name}: down\n"
    values = dict(
        line.removeprefix("export ").split("=", 1)
        for line in (state / "env").read_text().splitlines()
    )
    control = shlex.split(values["MOTO_FIXTURES_URL"])[0]
    endpoint = shlex.split(next(iter(values.values())))[0]
    lines = [f"{name}: up, process {number}, {endpoint}, logs in {state}"]
    lines += [
        f"  {machine['id']}  {machine['address']:<15}  {machine['state']}"
        for machine in json.loads(_get(f"{control}/_emulator/machines"))
    ]
    return True, "\n".join(lines) + "\n"
