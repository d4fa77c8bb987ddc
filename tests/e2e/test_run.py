"""A workflow from its file to artifacts in the store and a machine that is gone."""

from __future__ import annotations

from support.emulated import EVERY_CLOUD, Emulator, Project

PUBLISHED = """
    workflows:
      - name: train
        provider: docker
        image: ubuntu
        commands:
          - mkdir -p output
          - echo 'Hello, world!' > output/hello.txt
        artifacts:
          - path: output
        resources:
          gpu:
            name: "K80"
            count: 1
"""


def test_the_published_example(emulator: Emulator, project: Project) -> None:
    project.workflows(PUBLISHED)
    done = project.cli("run", "train", "-y")
    assert done.returncode == 0, done.stderr
    assert "p2.xlarge" in done.stderr
    assert "terminated" in done.stderr
    run = project.json("ps")["runs"][-1]["run"]
    got = project.cli("artifacts", "download", run, "-o", "results")
    assert got.returncode == 0, got.stderr
    assert (project.folder / "results/output/hello.txt").read_text() == "Hello, world!\n"
    assert emulator.machines() == []


def test_the_workflow_gets_what_its_file_says(emulator: Emulator, project: Project) -> None:
    project.workflows("""
        workflows:
          - name: look
            provider: docker
            image: ubuntu
            environment: [GREETING=hello there]
            before_run: [echo first > first.txt]
            working_dir: code
            resources: {cpu: 2, memory: 4GB, shm_size: 256MB}
            commands:
              - pwd
              - cat data.txt
              - cat first.txt
              - echo "$GREETING $DSTACK_RUN $DSTACK_ATTEMPT $DSTACK_RESUMED"
              - df --output=size --block-size=1M /dev/shm | tail -n 1
    """)
    (project.folder / "code").mkdir()
    (project.folder / "code" / "data.txt").write_text("the user's own\n")
    done = project.cli("run", "look", "-y")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == ["/workflow/code", "the user's own", "first"]
    assert lines[3].startswith("hello there look-")
    assert lines[3].endswith(" 1 0")
    assert lines[4].strip() == "256"
    assert emulator.machines() == []


@EVERY_CLOUD
def test_a_failure_keeps_its_code_and_its_artifacts(emulator: Emulator, project: Project) -> None:
    project.workflows("""
        workflows:
          - name: fail
            provider: docker
            image: ubuntu
            artifacts: [output]
            commands:
              - mkdir output && echo partial > output/model.txt
              - exit 3
              - echo never
    """)
    done = project.cli("run", "fail", "-y")
    assert done.returncode == 3, done.stderr
    assert "never" not in done.stdout
    row = project.json("ps")["runs"][-1]
    assert (row["state"], row["exit_code"]) == ("failed", 3)
    listed = project.json("artifacts", "list", row["run"])["artifacts"]
    assert [file["path"] for file in listed] == ["output/model.txt"]
    assert emulator.machines() == []
