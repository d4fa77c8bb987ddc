"""A run that nobody watches: read, stopped and found again from other processes."""

from __future__ import annotations

import os
import pty
import subprocess

from support.emulated import CLI, EVERY_CLOUD, Emulator, Project, wait_until

ENDLESS = """
    workflows:
      - name: endless
        provider: docker
        image: ubuntu
        artifacts: [output]
        resources: {gpu: T4, interruptible: true}
        commands:
          - trap 'echo saved > output/checkpoint.txt; exit 9' TERM
          - mkdir output
          - i=0; while true; do i=$((i+1)); echo line $i; sleep 0.1; done
"""


@EVERY_CLOUD
def test_detach_read_and_stop(emulator: Emulator, project: Project) -> None:
    project.workflows(ENDLESS)
    started = project.cli("run", "endless", "-y", "-d")
    assert started.returncode == 0, started.stderr
    run = started.stdout.strip()

    wait_until("a line of output", lambda: "line 3\n" in project.cli("logs", run).stdout)
    assert project.state(run) == "running"
    assert len(emulator.machines()) == 1
    assert "answer 42" in a_shell(project, run, "echo answer $((40 + 2)); exit 6\n", code=6)

    stopped = project.cli("stop", run)
    assert stopped.returncode == 0, stopped.stderr
    assert project.state(run) == "stopped"
    assert emulator.machines() == []

    files = [file["path"] for file in project.json("artifacts", "list", run)["artifacts"]]
    assert files == ["output/checkpoint.txt"]
    # The shell's own word about the sleep that the signal ended may be among them.
    lines = [line for line in project.cli("logs", run).stdout.splitlines() if line != "Terminated"]
    assert len(lines) >= 3
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]


def a_shell(project: Project, run: str, typed: str, code: int) -> str:
    """What a terminal shows of a shell on the run's machine, in which that is typed."""
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        [*CLI, "ssh", run],
        cwd=project.folder,
        env={**project.environ, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    while piece := _read(ours):
        shown += piece
    os.close(ours)
    assert shell.wait(timeout=30) == code, shown.decode(errors="replace")
    return shown.decode(errors="replace")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux's way to say that the last process has left the terminal
        return b""


@EVERY_CLOUD
def test_attach_tells_an_ended_run(emulator: Emulator, project: Project) -> None:
    project.workflows("""
        workflows:
          - name: quick
            provider: docker
            image: ubuntu
            resources: {gpu: T4, interruptible: true}
            commands: [echo hello, exit 4]
    """)
    run = project.cli("run", "quick", "-y", "-d").stdout.strip()
    attached = project.cli("attach", run)
    assert (attached.returncode, attached.stdout) == (4, "hello\n")
    again = project.cli("attach", run)
    assert (again.returncode, again.stdout) == (4, "hello\n")
    assert emulator.machines() == []
