"""Start an emulated AWS and say how to reach it."""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from moto_fixtures.down import take_down
from moto_fixtures.machine import images, network, process, registry
from moto_fixtures.machine.locks import only_one
from moto_fixtures.machine.paths import home, state_dir
from moto_fixtures.machine.shell import FixtureError, engine_answers, run, say

STORE = "dstack-cloud-demo"
REGION = "us-east-1"
DAEMON = "server"
_LOOPBACK = "127.0.0.1"
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Keys:
    """Access keys as (id, secret): the administrator's and the daily user's."""

    admin: tuple[str, str]
    daily: tuple[str, str]


def up(name: str, *, stub: bool = False) -> str:
    """Start the emulator called ``name`` unless it runs; return the ``export`` lines.

    With ``stub``, machines are states without containers, and no Docker is needed. Raises
    FixtureError; what was begun is then taken away again.
    """
    state = state_dir(name)
    with only_one(f"up-{name}"):
        if process.pid(state, DAEMON) is not None and (state / "env").exists():
            say(f"emulator {name}: is up already")
            return (state / "env").read_text()
        take_down(name, quiet=True)
        try:
            return _start(name, state, stub)
        except BaseException:
            take_down(name, quiet=True)
            raise


def _start(name: str, state: Path, stub: bool) -> str:
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
    port = _common_port(gateway)
    argv = [sys.executable, "-m", "moto_fixtures.aws.server", "--name", name, "--port", str(port)]
    argv += ["--store", STORE]
    argv += ["--stub"] if gateway is None else ["--gateway", gateway]
    process.start(argv, directory=state, name=DAEMON, env=_clean_environment(), cwd=_ROOT)
    control = f"http://{_LOOPBACK}:{port}"
    process.wait_ready(lambda: _ready(control), directory=state, name=DAEMON, seconds=60)
    endpoint = control if gateway is None else f"http://{gateway}:{port}"
    say(f"emulator {name}: answers at {endpoint}")
    keys = _keys(control)
    admin = _values(endpoint, control, keys.admin, state)
    _write_private(state / "env-admin", _exports(admin))
    prepare(admin)
    text = _exports(_values(endpoint, control, keys.daily, state))
    _write_private(state / "env", text)
    return text


def prepare(values: dict[str, str]) -> None:
    """Do once, as the administrator, what ``run`` takes for granted: the product's own ``init``."""
    argv = [sys.executable, "-m", "dstack_cloud", "init", "--cloud", "aws", "-y"]
    argv += ["--store", f"s3://{STORE}", "--region", REGION]
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
    """Ours without the user's AWS settings: the emulator must not act on a real account."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
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


def _keys(control: str) -> Keys:
    given = json.loads(_get(f"{control}/_emulator/keys"))

    def key(user: str) -> tuple[str, str]:
        return given[user]["access_key_id"], given[user]["secret_access_key"]

    return Keys(admin=key("dstack-admin"), daily=key("dstack-daily"))


def _values(endpoint: str, control: str, key: tuple[str, str], state: Path) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": key[0],
        "AWS_SECRET_ACCESS_KEY": key[1],
        "AWS_DEFAULT_REGION": REGION,
        "MOTO_FIXTURES_URL": control,
        "DSTACK_CLOUD_CONFIG": str(state / "config.yaml"),
    }


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
    control, endpoint = (
        shlex.split(values[k])[0] for k in ("MOTO_FIXTURES_URL", "AWS_ENDPOINT_URL")
    )
    lines = [f"{name}: up, process {number}, {endpoint}, logs in {state}"]
    lines += [
        f"  {machine['id']}  {machine['address']:<15}  {machine['state']}"
        for machine in json.loads(_get(f"{control}/_emulator/machines"))
    ]
    return True, "\n".join(lines) + "\n"
