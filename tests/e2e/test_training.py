"""A training that is interrupted at random moments ends with the weights of an undisturbed one."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from support.emulated import EVERY_CLOUD, Emulator, Project, wait_until

WORKFLOWS = """
    workflows:
      - name: train
        provider: bash
        artifacts: [{path: output, mount: true}]
        resources: {gpu: T4, interruptible: true}
        grace: 2s
        environment: {HOLDS: "THEM"}
        commands: [exec python3 train.py]
      - name: calm
        provider: bash
        resources: {gpu: T4}
        commands: [exec python3 train.py]
"""
TRAIN = Path(__file__).parent / "training" / "train.py"
NOTICE_S = 20
# Steps after which a training waits for its blow: fewer than to the checkpoint after the next.
_HELD_AFTER = 5


class Watched:
    """An attached run whose output can be waited for."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._read, args=pair)
            for pair in ((process.stdout, self.lines), (process.stderr, self.errors))
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: Iterable[str], lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip("\n"))  # noqa: PERF401 others look at the list meanwhile

    def wait_for(self, line: str, after: int) -> None:
        """Until a line that begins so has come, in or after the line number ``after``."""

        def came() -> bool:
            assert self.process.poll() is None, self.errors
            return any(found.startswith(line) for found in self.lines[after:])

        wait_until(line, came)

    def finish(self) -> int:
        code = self.process.wait(timeout=300)
        for thread in self._threads:
            thread.join(timeout=30)
        return code


@EVERY_CLOUD
def test_interrupted_training(emulator: Emulator, project: Project) -> None:
    seed = int(os.environ.get("DSTACK_TEST_SEED", random.randrange(10**6)))
    print(f"seed {seed}: set DSTACK_TEST_SEED to repeat it")
    rng = random.Random(seed)

    # A notice anywhere, one in mid-checkpoint, and a power cut without a word.
    blows = (
        (rng.randrange(12, 35), "interrupt", 0.0),
        (rng.choice((40, 50)), "interrupt", rng.uniform(0.05, 0.35)),
        (rng.randrange(62, 85), "kill", 0.0),
    )
    holds = " ".join(str(step + _HELD_AFTER) for step, _, _ in blows)
    project.workflows(WORKFLOWS.replace("THEM", holds))
    shutil.copy(TRAIN, project.folder / "train.py")
    calm = project.start("run", "calm", "-y")
    run = Watched(project.start("run", "train", "-y"))
    begun = 0
    for step, how, later in blows:
        run.wait_for(f"step {step} ", begun)
        time.sleep(later)  # Into the middle of writing the checkpoint.
        machine = emulator.machines_of("train-")[-1]
        order = emulator.account.interruption(NOTICE_S) if how == "interrupt" else {}
        begun = len(run.lines)
        emulator.post(f"/_emulator/machines/{machine['id']}/{how}", order)
        run.wait_for("restored", begun)
    assert run.finish() == 0, run.errors

    expected = calm.communicate(timeout=300)[0].splitlines()
    assert run.lines[-1] == expected[-1], f"other weights with seed {seed}"
    _each_step_once_or_again(run.lines, expected)
    row = next(row for row in project.json("ps")["runs"] if row["workflow"] == "train")
    assert (row["state"], row["attempt"]) == ("done", 4)
    assert emulator.machines() == []
    stored = project.cli("logs", row["run"]).stdout.splitlines()
    _each_step_once_or_again(stored, expected)


def _each_step_once_or_again(lines: list[str], expected: list[str]) -> None:
    """Steps come in order; after ``restored N`` they begin at N + 1 again; each is as expected."""
    losses = {line.split()[1]: line for line in expected if line.startswith("step ")}
    last = 0
    for line in lines:
        if found := re.fullmatch(r"restored (\d+)", line):
            assert int(found[1]) <= last, "restored what was never made"
            last = int(found[1])
        elif found := re.match(r"step (\d+) ", line):
            assert int(found[1]) == last + 1, f"{line} after step {last}"
            assert line == losses[found[1]]
            last += 1
    assert last == len(losses)
