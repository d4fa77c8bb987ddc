"""A machine image from launch to end: whatever happens on the way, the builder is ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from dstack_cloud.clouds.base import (
    FailureKind,
    LaunchAnswer,
    LaunchFailure,
    LaunchRequest,
    Machine,
    MachineState,
    Scope,
)
from dstack_cloud.config import Timers
from dstack_cloud.errors import ImageError, NoCapacityError, ThrottledError
from dstack_cloud.lifecycle import bake as baking
from dstack_cloud.lifecycle import provision as provisioning
from dstack_cloud.lifecycle.bake import bake
from dstack_cloud.lifecycle.report import Silent
from dstack_cloud.machine_images import READY, Baked, Base, Contents
from dstack_cloud.resources import Gpu, Offer
from dstack_cloud.ssh.base import AgentHome, Completed, ConnectionLostError
from dstack_cloud.units import GIB

STOCK = Base("stock", "535")
TOLD = b"os=Debian 12\ndocker=20.10\nrclone=1.60\npython=3.11\nnvidia=\nmore=ignored\n"


def offer(machine: str, gpu: str | None = None) -> Offer:
    found = gpu and Gpu(gpu, 1, GIB)
    return Offer("any", "r1", machine, 2, 4 * GIB, found or None, False, Decimal(1), Decimal(1))


@dataclass
class World:
    """A cloud, a machine on it, and its images; ``events`` is what was done, in order."""

    name = "any"
    events: list[str] = field(default_factory=list)
    said: list[bytes | BaseException | None] = field(
        default_factory=lambda: [b"provision: installing docker.io\n", b"provision: ready\n"]
    )
    code: int = 0
    answer: BaseException | None = None
    launches: bool = True
    states: list[str | BaseException] = field(default_factory=lambda: ["pending", READY])
    request: LaunchRequest | None = None
    contents: Contents | None = None
    seal: int = 0
    pushed: str = ""
    beginning: BaseException | None = None
    name_of_image: str = ""

    # the cloud
    def launch(self, request: LaunchRequest) -> LaunchAnswer:
        self.request = request
        self.events.append("launch")
        if self.answer is not None:
            raise self.answer
        if not self.launches:
            first = request.offers[0]
            failure = LaunchFailure(FailureKind.CAPACITY, Scope.OFFER, "Full", "full", first)
            return LaunchAnswer(None, (failure,))
        return LaunchAnswer(self._machine())

    def _machine(self) -> Machine:
        return Machine("any", "r1", "i-1", "m", MachineState.RUNNING, address="192.0.2.1")

    def machine(self, region: str, machine_id: str) -> Machine | None:
        return None if "terminate i-1" in self.events else self._machine()

    def machines(self, region: str, run: str | None = None) -> list[Machine]:
        assert run is not None
        assert run.startswith("image-")
        return [self._machine()]

    def terminate(self, region: str, ids: Sequence[str]) -> None:
        self.events += [f"terminate {one}" for one in ids]

    # the way there
    def public_key(self) -> str:
        return "ssh-ed25519 AAAA"

    def home(self, machine: Machine) -> AgentHome:
        return AgentHome("/x", prefix=("root:",))

    def session(self, machine: Machine, host_key: str, deadline_s: float) -> Any:
        self.events.append("connect")
        return self

    # the session
    def run(self, argv: Sequence[str], stdin: bytes = b"", timeout: float = 60) -> Completed:
        assert argv[0] == "root:"
        if stdin:
            self.pushed = argv[-1].rpartition("/")[2]
        elif "heartbeat" in argv[-1] and "hard_limit" not in argv[-1]:
            self.events.append("beat")
        return Completed(0, b"", b"")

    def stream(self, argv: Sequence[str]) -> Any:
        assert f"sh /run/dstack/{self.pushed} " in argv[-1]
        words = [self.pushed.removesuffix(".sh"), *(one for one in argv if "=" in one)]
        self.events.append(" ".join(words))
        if self.pushed == "contents.sh":
            self.said, self.code = [TOLD], 0
        elif self.pushed == "seal.sh":
            self.said, self.code = [b"seal: failed: left over: a key\n"], self.seal
        return self

    def read(self, timeout: float) -> bytes | None:
        if not self.said:
            return b""
        now = self.said.pop(0)
        if isinstance(now, BaseException):
            raise now
        # What the machine says last is the script's exit code.
        if not self.said and now:
            return now + f"dstack-exit {self.code}\n".encode()
        return now

    def close(self) -> None:
        """Nothing is held."""

    # the images
    def base(self, offer: Offer) -> Base:
        return Base("other") if offer.machine == "other" else STOCK

    def begin(self, machine: Machine, base: Base, contents: Contents, name: str) -> str:
        assert (machine.id, base) == ("i-1", STOCK)
        self.contents = contents
        self.name_of_image = name
        self.events.append("image")
        if self.beginning is not None:
            raise self.beginning
        return "img-1"

    def find(self, region: str, image_id: str) -> Baked | None:
        now = self.states.pop(0) if self.states else READY
        if isinstance(now, BaseException):
            raise now
        at = datetime(2026, 11, 24, tzinfo=UTC)
        return Baked("any", "r1", image_id, "n", now, at, GIB, STOCK, Contents())

    def listing(self, region: str) -> list[Baked]:
        at = datetime(2026, 11, 24, tzinfo=UTC)
        names = {"img-1": f"dstack-cloud-{self.name_of_image}", "img-0": "dstack-cloud-image-0"}
        return [
            Baked("any", "r1", one, name, READY, at, GIB, STOCK, Contents())
            for one, name in names.items()
        ]

    def delete(self, image: Baked) -> None:
        self.events.append(f"delete {image.id}")


def baked(world: World) -> Baked:
    tools: Any = SimpleNamespace(
        cloud=world,
        reach=world,
        report=Silent(),
        timers=Timers(),
        owner="ada@host",
        endpoints={},
        provisioning={"NVIDIA_TOOLKIT_KEY": "url"},
    )
    return bake(tools, world, [offer("first"), offer("other"), offer("last")], 20 * GIB)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baking.time, "sleep", lambda seconds: None)


def test_an_image_and_the_builder_gone() -> None:
    world = World()
    assert baked(world).id == "img-1"
    assert world.events == [
        *("launch", "connect", "provision NVIDIA_DRIVER=535 NVIDIA_TOOLKIT_KEY=url"),
        *("contents", "seal", "image", "terminate i-1"),
    ]
    assert world.contents == Contents("Debian 12", "20.10", "1.60", "3.11", None)
    assert world.request is not None
    assert [one.machine for one in world.request.offers] == ["first", "last"], "one base"
    assert world.request.disk == 20 * GIB
    assert world.request.run.startswith("image-"), "so that who looks for leftovers knows it"


def test_the_machine_is_told_that_its_builder_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning, "_MOST_BEAT_S", 0.0)
    world = World(said=[None, None, b"provision: ready\n"])
    baked(world)
    assert world.events.count("beat") >= 3


def test_what_cannot_be_installed_is_told_with_the_end_of_what_was_said() -> None:
    world = World(said=[b"Reading\nE: no such package\nprovision: failed: apt-get\n"], code=1)
    with pytest.raises(ImageError) as caught:
        baked(world)
    assert caught.value.exit_code == 74
    assert "provision failed on i-1 (exit 1): apt-get" in caught.value.message
    assert "E: no such package" in caught.value.message
    assert "image" not in world.events
    assert world.events[-1] == "terminate i-1"


def test_a_broken_connection_runs_the_script_again() -> None:
    world = World(said=[b"provision: installing\n", ConnectionLostError("broke"), b"ready\n"])
    assert baked(world).id == "img-1"
    assert world.events.count("connect") == 2


def test_a_script_that_was_cut_off_is_not_taken_for_one_that_ended() -> None:
    world = World(said=[b"provision: installing\n", b""] * 9)
    with pytest.raises(ConnectionLostError):
        baked(world)
    assert world.events.count("connect") == 3
    assert world.events[-1] == "terminate i-1"


def test_a_machine_that_is_not_clean_makes_no_image() -> None:
    world = World(seal=1)
    with pytest.raises(ImageError, match="left over: a key"):
        baked(world)
    assert "image" not in world.events
    assert world.events[-1] == "terminate i-1"


def test_ctrl_c_while_it_installs() -> None:
    world = World(said=[b"provision: installing\n", KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        baked(world)
    assert world.events[-1] == "terminate i-1"
    assert "image" not in world.events


def test_ctrl_c_while_the_image_is_made_leaves_neither() -> None:
    world = World(states=["pending", KeyboardInterrupt(), "pending"])
    with pytest.raises(KeyboardInterrupt):
        baked(world)
    assert world.events[-2:] == ["delete img-1", "terminate i-1"]


def test_ctrl_c_in_the_very_call_for_the_image() -> None:
    world = World(beginning=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        baked(world)
    assert world.events[-3:] == ["image", "delete img-1", "terminate i-1"]


def test_ctrl_c_in_the_launch_ends_what_was_launched() -> None:
    world = World(answer=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        baked(world)
    assert world.events == ["launch", "terminate i-1"]


def test_an_image_that_fails_is_not_left() -> None:
    world = World(states=["pending", "failed", "failed"])
    with pytest.raises(ImageError, match="no image came of img-1: it is failed"):
        baked(world)
    assert world.events[-2:] == ["delete img-1", "terminate i-1"]


def test_a_busy_cloud_is_asked_again_about_the_image() -> None:
    assert baked(World(states=[ThrottledError("busy"), READY])).id == "img-1"


def test_no_machine_is_to_be_had() -> None:
    world = World(launches=False)
    with pytest.raises(NoCapacityError):
        baked(world)
    assert world.events == ["launch"]


def test_contents_are_read_as_far_as_they_are_known() -> None:
    assert Contents.read("nvidia=535.1\njunk\nname=x\n") == replace(Contents(), nvidia="535.1")
    assert Contents.read("os=a=b\n").pairs() == {"os": "a=b"}
