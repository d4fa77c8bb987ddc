"""A log that is read by others: from another checkout, by several, while it runs and afterwards."""

from __future__ import annotations

import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from support.emulated import EVERY_CLOUD, Emulator, Project, wait_until
from support.follower import Client

COUNTING = """
    workflows:
      - name: count
        provider: docker
        image: ubuntu
        resources: {gpu: T4}
        commands:
          - i=0; while ! test -e enough; do i=$((i+1)); echo $i; sleep 0.05; done
          - exit 7
"""


@pytest.fixture
def elsewhere(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Another checkout on another machine: the same configuration and credentials, no key."""
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    config = folder / "home" / "config.yaml"
    config.parent.mkdir()
    shutil.copy(project.environ["DSTACK_CLOUD_CONFIG"], config)
    home = {"HOME": str(config.parent), "DSTACK_CLOUD_CONFIG": str(config)}
    return replace(project, folder=folder, environ={**project.environ, **home})


@EVERY_CLOUD
def test_a_run_is_followed_from_elsewhere(
    emulator: Emulator, project: Project, elsewhere: Project
) -> None:
    project.workflows(COUNTING)
    run = project.cli("run", "count", "-y", "-d", "--on-demand").stdout.strip()
    own_key = Path(elsewhere.environ["DSTACK_CLOUD_CONFIG"]).with_name("id_ed25519")
    assert not own_key.exists()
    with (
        Client(elsewhere, "attach", run) as attached,
        Client(elsewhere, "logs", "-f", run) as reader,
        Client(project, "attach", run) as leaving,
    ):
        for client in (attached, reader, leaving):
            client.until("30 lines", lambda client=client: client.out.count(b"\n") > 30)
        leaving.process.send_signal(signal.SIGINT)
        assert leaving.wait() == 130
        assert f"dstack-cloud attach {run}" in leaving.err.decode()
        assert own_key.exists()
        # What is there at this moment, and no more than that.
        so_far = elsewhere.cli("logs", run).stdout.splitlines()
        assert so_far == [str(n) for n in range(1, len(so_far) + 1)]
        assert len(so_far) > 30
        touched = elsewhere.cli("ssh", run, "sudo touch /var/lib/dstack/workflow/enough")
        assert touched.returncode == 0, touched.stderr
        assert attached.wait() == 7, attached.err.decode()
        assert reader.wait() == 0, reader.err.decode()
    wait_until("the machine is gone", lambda: not emulator.machines())
    lines = attached.out.decode().splitlines()
    assert lines == [str(n) for n in range(1, len(lines) + 1)]
    assert reader.out == attached.out
    assert elsewhere.cli("logs", run).stdout.encode() == attached.out
    assert elsewhere.cli("logs", "-f", run).stdout.encode() == attached.out


@EVERY_CLOUD
def test_a_reader_that_comes_at_the_end_gets_all(emulator: Emulator, project: Project) -> None:
    """Readers begun at every moment of a run's end: none misses its log, or finds no machine."""
    project.workflows("""
        workflows:
          - name: brief
            provider: docker
            image: ubuntu
            resources: {gpu: T4}
            commands: [seq 1 1000, sleep 2, seq 1001 2000]
    """)
    run = project.cli("run", "brief", "-y", "-d", "--on-demand").stdout.strip()
    clients: list[Client] = []
    try:
        while len(clients) < 3 or emulator.machines():
            clients.append(Client(project, *(("logs", "-f"), ("attach",))[len(clients) % 2], run))
            wait_until("the next moment", lambda: clients[-1].out or clients[-1].process.poll())
        for client in clients:
            assert client.wait() == 0, client.err.decode()
            assert client.out.decode().splitlines() == [str(n) for n in range(1, 2001)]
    finally:
        for client in clients:
            client.close()


@EVERY_CLOUD
def test_a_reader_goes_on_with_the_next_attempt(emulator: Emulator, project: Project) -> None:
    project.workflows("""
        workflows:
          - name: again
            provider: docker
            image: ubuntu
            resources: {gpu: T4}
            retry: {on: [7], attempts: 2}
            commands: ['echo "attempt $DSTACK_ATTEMPT"', sleep 2, exit 7]
    """)
    with Client(project, "run", "again", "-y", "--on-demand") as client:
        client.until("the first attempt", lambda: b"attempt 1\n" in client.out)
        run = project.latest("again")
        with Client(project, "logs", "-f", run) as reader:
            assert client.wait() == 7, client.err.decode()
            assert reader.wait() == 0, reader.err.decode()
    assert reader.out == client.out == b"attempt 1\nattempt 2\n"
