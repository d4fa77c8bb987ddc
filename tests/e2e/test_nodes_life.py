"""How a run on two machines ends: by a failure, a lost node, a stop, with its client killed.

The machines are stubs: what is looked at is what the agents and the client make of each other.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.emulated import EVERY_STUB, Emulator, Project, wait_until

WORKFLOW = """
    workflows:
      - name: pair
        provider: torchrun
        file: unused.py
        nodes: 2
        artifacts: [out]
        grace: 3s
        before_run: [exec bash pair.sh]
        resources: {cpu: 2, memory: 4GB, interruptible: true}
"""
# Each says who it is, then waits for a word in the folder that all machines here share.
PAIR = """
trap 'echo told to stop; exit 143' TERM
echo "begun $DSTACK_NODE_RANK of $DSTACK_NODES $DSTACK_NODE_ADDRESSES"
ls out 2>/dev/null
mkdir -p out
echo $DSTACK_NODE_RANK >out/$DSTACK_NODE_RANK
[ $DSTACK_RESUMED = 0 ] || exit 0
i=0
while [ $i -lt 1200 ]; do
    [ ! -e WORDS/$DSTACK_NODE_RANK ] || exit $(cat WORDS/$DSTACK_NODE_RANK)
    sleep 0.1
    i=$((i + 1))
done
"""


class Pair:
    """A run of two nodes, attached to, and the words that end its nodes."""

    def __init__(self, emulator: Emulator, project: Project, words: Path, limits: str = "") -> None:
        self.emulator, self.project, self._words = emulator, project, words
        project.workflows(WORKFLOW + limits)
        (project.folder / "pair.sh").write_text(PAIR.replace("WORDS", str(words)))
        self.output = words / "output"
        with self.output.open("wb") as file:
            self.client = subprocess.Popen(
                project.start_words("run", "pair", "-y"),
                cwd=project.folder,
                env=project.environ,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self.wait_for("node-0 | begun", "node-1 | begun")
        self.run = re.findall(r"─ (pair-\d+) ─", self.text)[0]

    @property
    def text(self) -> str:
        return self.output.read_text()

    def wait_for(self, *words: str) -> None:
        wait_until(f"{words} in {self.text}", lambda: all(one in self.text for one in words))

    @property
    def ids(self) -> list[str]:
        """Of the machines launched last, node 0's first."""
        found: list[str] = re.findall(r"launched +(.*) 2× ", self.text)[-1].split(", ")
        return found

    @property
    def machines(self) -> list[dict[str, Any]]:
        """Node 0's first."""
        # Google Cloud's ids are zone and name here; its own is a number.
        rows = {row.get("instance", row["id"]): row for row in self.emulator.machines()}
        return [rows[one] for one in self.ids if one in rows]

    def say(self, node: int, code: int) -> None:
        (self._words / str(node)).write_text(str(code))

    def end(self) -> int:
        code = self.client.wait(timeout=300)
        self.gone()
        return code

    def gone(self) -> None:
        """No machine is left, not even one that is only stopped: Google's ``TERMINATED``."""

        def states() -> set[str]:
            rows = self.emulator.get("/_emulator/machines")
            return {str(row["instance_state"]) for row in rows}

        wait_until("no machine is left", lambda: states() <= {"terminated", "DELETED"})


@pytest.fixture
def pair(
    request: pytest.FixtureRequest,
    stub: Emulator,
    stub_project: Project,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pair]:
    found = Pair(
        stub, stub_project, tmp_path_factory.mktemp("words"), getattr(request, "param", "")
    )
    yield found
    found.client.kill()
    for machine in stub.machines():
        stub.post(f"/_emulator/machines/{machine['id']}/kill")


@EVERY_STUB
def test_the_first_failure_ends_all_and_gives_the_exit_code(pair: Pair) -> None:
    one, other = pair.machines
    assert one["zone"] == other["zone"]
    pair.say(1, 7)
    assert pair.end() == 7
    assert "node-0 | told to stop" in pair.text
    assert "node-1: exit 7" in pair.text


@EVERY_STUB
def test_a_lost_node_is_an_interruption_of_all(pair: Pair) -> None:
    before = pair.ids
    pair.emulator.post(f"/_emulator/machines/{before[1]}/kill")
    pair.wait_for("node-0 | told to stop", "interrupted")
    assert pair.end() == 0
    again = pair.text.rpartition("launched")[2]
    assert not set(before) & set(pair.ids)
    # What node 0 had is there for both; what node 1 had made was never stored.
    assert sorted(re.findall(r"node-(\d) \| (\d)\n", again)) == [("0", "0"), ("1", "0")]
    [bill] = pair.project.json("cost", pair.run)["runs"]
    assert [attempt["reason"] for attempt in bill["attempts"]] == ["interrupted", "exited"]


@EVERY_STUB
def test_node_0_lost_is_no_different(pair: Pair) -> None:
    pair.emulator.post(f"/_emulator/machines/{pair.machines[0]['id']}/kill")
    assert pair.end() == 0
    assert pair.project.state(pair.run) == "done"


@EVERY_STUB
@pytest.mark.parametrize("pair", ["        max_duration: 4s\n"], indirect=True)
def test_the_time_that_is_over_ends_all(pair: Pair) -> None:
    assert pair.end() == 124
    assert {"node-0 | told to stop", "node-1 | told to stop"} <= set(pair.text.splitlines())
    assert pair.project.state(pair.run) == "failed"


@EVERY_STUB
def test_a_stop_ends_all(pair: Pair) -> None:
    done = pair.project.cli("stop", pair.run)
    assert done.returncode == 0, done.stderr
    assert pair.emulator.machines() == []
    pair.end()
    assert pair.project.state(pair.run) == "stopped"
    assert {"node-0 | told to stop", "node-1 | told to stop"} <= set(pair.text.splitlines())


@EVERY_STUB
def test_without_a_client_the_run_goes_on_to_its_end(pair: Pair) -> None:
    pair.client.kill()
    pair.client.wait()
    pair.say(0, 0)
    pair.say(1, 0)
    pair.gone()
    assert pair.project.state(pair.run) == "done"
    logs = pair.project.cli("logs", pair.run).stdout.splitlines()
    assert {line.split(" | ")[0] for line in logs} == {"node-0", "node-1"}
    attached = pair.project.cli("attach", pair.run)
    assert attached.returncode == 0
    assert sorted(attached.stdout.splitlines()) == sorted(logs)


def test_a_computer_is_one_machine(local: Project) -> None:
    local.workflows(WORKFLOW)
    done = local.cli("run", "pair", "-y", "--cloud", "local")
    assert done.returncode == 2
    assert "workflows.yaml:6:" in done.stderr
    assert "2 machines are wanted" in done.stderr
