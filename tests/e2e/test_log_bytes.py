"""What a container writes reaches the screen byte for byte, live and from the store."""

from __future__ import annotations

import random
import subprocess

from support.emulated import CLI, EVERY_CLOUD, Emulator, Project
from support.follower import Client


def odd() -> bytes:
    """Long lines, no UTF-8, progress bars, nothing at all, text like our own records, no end."""
    chance = random.Random(5)
    noise = bytes(chance.randrange(256) for _ in range(50_000)).replace(b"\n", b"")
    return b"".join(
        [
            b"x" * 1_500_000 + b"\n",
            # Around the size in which the engine breaks lines.
            *(b"y" * size + b"\n" for size in (16383, 16384, 16385, 32768, 49152, 50000)),
            b"bad \xff\xfe\xc0 bytes\n",
            noise + b"\n",
            b"\n\n  lead and trail  \t\r\n",
            b"nul\x00 \x1b[31mred\x1b[0m\n",
            b"".join(b"\r%3d %%" % percent for percent in range(101)) + b"\n",
            b"2026-11-23T10:00:00.123456789Z stdout P text\n",
            b" stdout P x\n stderr F y\n",
            b"no end",
        ]
    )


@EVERY_CLOUD
def test_every_byte_arrives(emulator: Emulator, project: Project) -> None:
    project.workflows("""
        workflows:
          - name: odd
            provider: docker
            image: ubuntu
            resources: {gpu: T4}
            commands: [cat odd.bin]
    """)
    (project.folder / "odd.bin").write_bytes(odd())
    with Client(project, "run", "odd", "-y", "--on-demand") as client:
        assert client.wait() == 0, client.err.decode()
        assert bytes(client.out) == odd()
    assert emulator.machines() == []
    run = project.latest("odd")
    for argv in (["logs", run], ["attach", run]):
        done = subprocess.run(
            [*CLI, *argv], cwd=project.folder, env=project.environ, capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout == odd(), argv
    stamped = project_bytes(project, "logs", "-t", run)
    # A moment before each line, the unfinished one included; and nothing else.
    lines = [line.split(b" ", 1)[1] for line in stamped.split(b"\n")[:-1]]
    assert lines == odd().split(b"\n")


def project_bytes(project: Project, *argv: str) -> bytes:
    done = subprocess.run(
        [*CLI, *argv], cwd=project.folder, env=project.environ, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
