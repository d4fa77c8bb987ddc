"""A log that is followed while the network fails and machines die: no line lost, none repeated."""

from __future__ import annotations

import time

from support.emulated import EVERY_CLOUD, Emulator, Project, wait_until
from support.follower import Client, connections, cut

LINES = 100_000
CUTS = 10


def address(emulator: Emulator) -> str:
    (machine,) = emulator.machines()
    return str(machine["address"])


def let_it_end(project: Project, workflow: str) -> None:
    """Give the latest run of a workflow the file that it waits for."""
    touch = "sudo touch /var/lib/dstack/workflow/enough"
    done = project.cli("ssh", project.latest(workflow), touch)
    assert done.returncode == 0, done.stderr


def test_ten_cuts_lose_and_repeat_no_line(emulator: Emulator, project: Project) -> None:
    # In bursts, so that the connection is busy when it is cut; it does not end before the last cut.
    project.workflows(f"""
        workflows:
          - name: cut
            provider: docker
            image: ubuntu
            resources: {{gpu: T4}}
            commands:
              - i=0
              - while [ $i -lt {LINES} ] || ! test -e enough; do
                seq $((i + 1)) $((i + 1000)); i=$((i + 1000)); sleep 0.3; done
    """)
    with Client(project, "run", "cut", "-y", "--on-demand") as client:
        client.until("output", lambda: client.out)
        machine = address(emulator)
        ports = []
        for number in range(CUTS):
            seen = number * LINES // (CUTS + 1)
            client.until(f"line {seen}", lambda seen=seen: client.out.count(b"\n") > seen)

            def once_cut() -> str | None:
                found = connections(client.process.pid, machine)
                return found[0] if found and cut(machine, found[0]) else None

            before = len(client.out)
            ports.append(wait_until("a connection to cut", once_cut))
            client.until("output after the cut", lambda before=before: len(client.out) > before)
        let_it_end(project, "cut")
        assert client.wait() == 0, client.err.decode()
    assert len(set(ports)) == CUTS
    lines = client.out.decode().splitlines()
    assert len(lines) >= LINES
    assert lines == [str(n) for n in range(1, len(lines) + 1)]
    assert emulator.machines() == []


@EVERY_CLOUD
def test_a_black_hole_is_noticed_and_survived(emulator: Emulator, project: Project) -> None:
    project.workflows("""
        workflows:
          - name: hole
            provider: docker
            image: ubuntu
            resources: {gpu: T4}
            commands:
              - i=0; while ! test -e enough; do i=$((i+1)); echo $i; sleep 0.05; done
    """)
    with Client(project, "run", "hole", "-y", "--on-demand") as client:
        client.until("output", lambda: client.out.count(b"\n") > 20)
        (machine,) = emulator.machines()
        (port,) = connections(client.process.pid, machine["address"])
        emulator.post(f"/_emulator/machines/{machine['id']}/partition", {"seconds": 15})
        wait_until(
            "the client has given the connection up",
            lambda: port not in connections(client.process.pid, machine["address"]),
            14.5,
        )
        before = len(client.out)
        client.until("output again", lambda: len(client.out) > before, 30)
        (again,) = connections(client.process.pid, machine["address"])
        assert again != port
        let_it_end(project, "hole")
        assert client.wait() == 0, client.err.decode()
    numbers = [int(line) for line in client.out.decode().splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))


@EVERY_CLOUD
def test_a_silent_job_keeps_its_connection_and_a_dead_machine_is_told(
    emulator: Emulator, project: Project
) -> None:
    project.workflows("""
        workflows:
          - name: silent
            provider: docker
            image: ubuntu
            resources: {gpu: T4}
            commands: [echo begun, sleep 1000]
    """)
    with Client(project, "run", "silent", "-y", "--on-demand") as client:
        client.until("output", lambda: client.out)
        (machine,) = emulator.machines()
        (port,) = connections(client.process.pid, machine["address"])
        # More than twice the silence that a client takes for a dead connection.
        for _ in range(25):
            time.sleep(1)
            assert connections(client.process.pid, machine["address"]) == [port]
        killed = time.monotonic()
        emulator.post(f"/_emulator/machines/{machine['id']}/kill")
        client.until("word of the machine", lambda: b"ended without a word" in client.err, 15)
        assert time.monotonic() - killed < 15
        assert client.wait() == 74, client.err.decode()
    words = client.err.decode()
    assert "lost: its machine ended without a word" in words
    assert "dstack-cloud logs" in words
    assert client.out == b"begun\n"
    run = project.latest("silent")
    assert project.state(run) == "lost"
    assert project.cli("logs", run).stdout == "begun\n"
