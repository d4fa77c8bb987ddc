"""The local cloud: the same life on this machine's own Docker, with nothing configured."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from support.emulated import Project, wait_until
from support.local import containers, folders, rows

HELLO = """
    workflows:
      - name: hello
        provider: docker
        image: {image}
        artifacts: [output]
        commands:
          - mkdir output && echo partial > output/model.txt
          - echo "$DSTACK_RUN says hello"
          - exit {code}
"""
ENDLESS = """
    workflows:
      - name: endless
        provider: docker
        image: {image}
        artifacts: [output]
        commands:
          - trap 'echo saved > output/checkpoint.txt; exit 9' TERM
          - mkdir output
          - i=0; while true; do i=$((i+1)); echo line $i; sleep 0.1; done
"""
LOCAL = ("--cloud", "local", "-y")


def test_a_run_from_its_file_to_its_artifacts(local: Project, image: str) -> None:
    local.workflows(HELLO.format(image=image, code=0))
    done = local.cli("run", "hello", *LOCAL)
    assert (done.returncode, done.stdout) == (0, "hello-1 says hello\n"), done.stderr
    words = [line.split(maxsplit=2) for line in done.stderr.splitlines()]
    steps = [word[1] for word in words if word and word[0] == "✓"]
    assert steps == ["launched", "connected", "image", "done", "artifacts", "terminated"]
    assert f"{image}, " in done.stderr
    assert "free of charge" in done.stderr
    got = local.cli("artifacts", "download", "hello-1", "-o", "results")
    assert got.returncode == 0, got.stderr
    assert (local.folder / "results/output/model.txt").read_text() == "partial\n"
    assert local.cli("logs", "hello-1").stdout == "hello-1 says hello\n"
    assert local.json("gc")["leftovers"] == []
    assert containers(local) == []


def test_a_failure_keeps_its_code_and_its_artifacts(local: Project, image: str) -> None:
    local.workflows(HELLO.format(image=image, code=7))
    done = local.cli("run", "hello", *LOCAL, "--json")
    assert done.returncode == 7, done.stderr
    told = json.loads(done.stdout)
    assert (told["run"], told["state"], told["exit_code"]) == ("hello-1", "failed", 7)
    [row] = rows(local)
    assert (row["state"], row["exit_code"]) == ("failed", 7)
    [file] = local.json("artifacts", "list", "hello-1")["artifacts"]
    assert (file["path"], file["size"]) == ("output/model.txt", len("partial\n"))


def test_the_folder_of_a_run_that_ended_is_swept_later(local: Project, image: str) -> None:
    local.workflows(HELLO.format(image=image, code=0))
    assert local.cli("run", "hello", *LOCAL).returncode == 0
    [first] = folders(local)
    assert local.cli("run", "hello", *LOCAL).returncode == 0
    assert len(folders(local)) == 2, "one that ended a moment ago may still be read"
    os.utime(first / "end.json", (0, 0))
    assert local.cli("run", "hello", *LOCAL).returncode == 0
    assert not first.exists()
    assert len(folders(local)) == 2
    assert local.cli("logs", "hello-1").stdout == "hello-1 says hello\n"


def test_several_at_once_read_followed_and_stopped(local: Project, image: str) -> None:
    local.workflows(ENDLESS.format(image=image))
    clients = [local.start("run", "endless", *LOCAL, "-d") for _ in range(3)]
    told = [client.communicate(timeout=300) for client in clients]
    assert [client.returncode for client in clients] == [0, 0, 0], told
    runs = sorted(out.strip() for out, _ in told)
    assert runs == ["endless-1", "endless-2", "endless-3"]
    wait_until(
        "all three run",
        lambda: [row["state"] for row in rows(local)] == ["running"] * 3,
    )
    assert len(containers(local)) == 3
    wait_until("a line of output", lambda: "line 3\n" in local.cli("logs", runs[0]).stdout)
    there = local.cli("ssh", runs[0], "pwd")
    assert there.returncode == 0
    assert there.stdout.strip().endswith("/workflow")

    follower = local.start("attach", runs[0])
    assert follower.stdout is not None
    assert follower.stdout.readline() == "line 1\n"
    stopped = local.cli("stop", runs[0])
    assert stopped.returncode == 0, stopped.stderr
    rest = follower.stdout.read().splitlines()
    assert follower.wait(60) == 9
    assert rest[0] == "line 2"
    files = local.json("artifacts", "list", runs[0])["artifacts"]
    assert [file["path"] for file in files] == ["output/checkpoint.txt"]
    assert local.cli("stop", runs[1], "--abort").returncode == 0
    assert local.cli("stop", runs[2], "--abort").returncode == 0
    assert [row["state"] for row in rows(local)] == ["stopped"] * 3
    assert containers(local) == []


def test_a_killed_client_takes_nothing_with_it(local: Project, image: str) -> None:
    local.workflows(
        HELLO.format(image=image, code=0).replace(
            "- exit", "- while [ ! -e go ]; do sleep 0.1; done\n          - exit"
        )
    )
    client = local.start("run", "hello", *LOCAL)
    assert client.stdout is not None
    assert client.stdout.readline() == "hello-1 says hello\n"
    client.send_signal(signal.SIGKILL)
    client.communicate()
    assert rows(local)[0]["state"] == "running"
    assert len(containers(local)) == 1
    (folders(local)[0] / "workflow" / "go").touch()
    wait_until("the run has ended", lambda: rows(local)[0]["state"] == "done")
    wait_until("the container is gone", lambda: containers(local) == [])
    assert local.cli("attach", "hello-1").stdout == "hello-1 says hello\n"


def test_an_agent_that_is_killed_for_good_is_lost_and_cleared(local: Project, image: str) -> None:
    config = Path(local.environ["HOME"]) / ".config/dstack-cloud/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("timers: {heartbeat: 2s}\n")
    local.workflows(ENDLESS.format(image=image))
    assert local.cli("run", "endless", *LOCAL, "-d").returncode == 0
    wait_until("it runs", lambda: rows(local)[0]["state"] == "running")
    [folder] = folders(local)
    agent = int((folder / "serve.lock").read_text())
    os.killpg(os.getpgid(agent), signal.SIGKILL)
    wait_until("the run is lost", lambda: rows(local)[0]["state"] == "lost")
    [left] = local.json("gc")["leftovers"]
    assert (left["kind"], left["run"]) == ("folder", "endless-1")
    assert local.cli("gc", "-y").returncode == 0
    assert local.json("gc")["leftovers"] == []
    assert not folder.exists()


def test_init_makes_it_the_default(local: Project, image: str) -> None:
    local.workflows(HELLO.format(image=image, code=0))
    none = local.cli("run", "hello", "-y")
    assert none.returncode == 2
    assert "--cloud local" in none.stderr
    assert local.cli("init", "--cloud", "local", "-y").returncode == 0
    assert local.cli("run", "hello", "-y").returncode == 0
