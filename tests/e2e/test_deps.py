"""A workflow that builds on what another left, and on tagged files."""

from __future__ import annotations

import json

from support.emulated import EVERY_CLOUD, Emulator, Project

WORKFLOWS = """
    workflows:
      - name: prepare
        provider: docker
        image: ubuntu
        artifacts: [data]
        resources: {gpu: T4}
        commands: [mkdir -p data/deep, seq 5 > data/deep/numbers]
      - name: train
        provider: docker
        image: ubuntu
        working_dir: app
        artifacts: [model]
        deps: [prepare, ':words']
        resources: {gpu: T4}
        commands:
          - cat data/deep/numbers words.txt
          - echo x 2>/dev/null > data/x && exit 9
          - mkdir model && wc -l < data/deep/numbers > model/size
"""


@EVERY_CLOUD
def test_what_is_missing_runs_first(emulator: Emulator, project: Project) -> None:
    project.workflows(WORKFLOWS)
    (project.folder / "app").mkdir()
    (project.folder / "app" / "main.py").write_text("")
    (project.folder / "words.txt").write_text("some words\n")

    without = project.cli("run", "train", "-y")
    assert without.returncode == 64
    assert ".dstack/workflows.yaml:14:12: no run of 'prepare' has been successful" in without.stderr
    assert "dstack-cloud run prepare" in without.stderr
    assert project.cli("tags", "add", "words", "--file", "words.txt").returncode == 0

    done = project.cli("run", "train", "-y", "--with-deps")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1\n2\n3\n4\n5\nsome words\n"
    assert "first: prepare" in done.stderr
    assert "prepare │ ✓ done" in done.stderr
    ended = {row["run"]: row["state"] for row in project.json("ps", "--all")["runs"]}
    assert (ended["prepare-1"], ended["train-1"]) == ("done", "done")
    artifacts = project.json("artifacts", "list", "train-1")["artifacts"]
    assert [one["path"] for one in artifacts] == ["model/size"], (
        "what was brought in is not its own"
    )
    again = project.cli("run", "train", "--with-deps", "--dry-run")
    assert again.returncode == 0, again.stderr
    assert "first:" not in again.stderr, "prepare has been successful"

    emulator.account.remove("artifacts/prepare-1/data/deep/numbers")
    gone = project.cli("run", "train", "-y", "--json")
    error = json.loads(gone.stdout)["error"]
    assert (gone.returncode, error["kind"]) == (74, "artifacts"), gone.stderr
    assert "'prepare' are gone: the store has nothing of 'data' of prepare-1" in error["message"]
    assert error["hint"] == "dstack-cloud run prepare makes them anew"
    assert emulator.machines() == []
