"""A whole attempt: container, log, artifacts, end, index."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

from dstack_cloud.machine.job import ArtifactSpec
from dstack_cloud.machine.push import agent_argv
from dstack_cloud.state.cri import Output

if TYPE_CHECKING:
    from conftest import Host

RUN = "runs/train-7/attempts/1/"


def test_success(host: Host) -> None:
    host.put("index/launching/train-7", b"")
    host.start(
        "mkdir -p output/deep",
        "echo Hello > output/hello.txt",
        "echo deeper > output/deep/file",
        "ls /dev/null && echo to-err >&2",
        artifacts=[ArtifactSpec("output")],
    )
    follower = host.follow()
    follower.rest()
    end = follower.end
    assert end is not None
    assert (end["state"], end["reason"], end["exit_code"]) == ("done", "exited", 0)
    assert end["artifacts"] == [
        {"path": "output", "files": 2, "bytes": 13, "stored": True, "error": None}
    ]
    assert end["started_at"] < end["container_started_at"] < end["container_ended_at"]
    assert end["container_ended_at"] < end["ended_at"]
    lines = sorted(line.split(b" ", 1)[1] for line in follower.log.splitlines())
    assert lines == [b"stderr F to-err", b"stdout F /dev/null"]
    assert end["log_bytes"] == len(follower.log)

    assert host.read("artifacts/train-7/output/hello.txt") == b"Hello\n"
    assert host.read("artifacts/train-7/output/deep/file") == b"deeper\n"
    assert json.loads(host.read(RUN + "end.json")) == end
    assert host.shipped() == follower.log
    assert host.stored("index/") == ["index/done/train-7"]
    phases = [status["phase"] for status in follower.statuses]
    wanted = ["preparing", "pulling", "running", "saving", "ending"]
    assert list(dict.fromkeys(phases)) == [phase for phase in wanted if phase in phases]
    assert phases[-1] == "ending"
    image = follower.statuses[-1]["image"]
    assert (image["name"], image["seconds"]) == (host.image, 0.0)
    size = subprocess.run(
        ["docker", "image", "inspect", "-f", "{{.Size}}", host.image], capture_output=True
    )
    assert image["bytes"] == int(size.stdout)
    gone = subprocess.run(["docker", "inspect", host.name], capture_output=True)
    assert gone.returncode != 0


def test_failure_keeps_exit_code_and_artifacts(host: Host) -> None:
    host.start(
        "echo half > model.bin",
        "sh -c 'exit 41'",
        "echo never > model.bin",
        artifacts=[ArtifactSpec("./model.bin"), ArtifactSpec("nothing/")],
    )
    end = host.end()
    assert (end.state, end.reason, end.exit_code) == ("failed", "exited", 41)
    assert host.read("artifacts/train-7/model.bin") == b"half\n"
    missing = end.artifacts[1]
    assert (missing.files, missing.stored, missing.error) == (0, True, "not found")
    assert end.artifacts_stored
    assert host.stored("index/") == ["index/failed/train-7"]


def test_code_is_at_the_working_directory(host: Host) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text, mode in (("train.py", b"print('trained')\n", 0o644),):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), mode
            tar.addfile(info, io.BytesIO(text))
    key = f"code/{hashlib.sha256(buffer.getvalue()).hexdigest()}.tar.gz"
    host.put(key, buffer.getvalue())
    host.start("python3 train.py", code=key)
    follower = host.follow()
    follower.rest()
    assert follower.log.endswith(b" stdout F trained\n")


def test_code_that_is_not_there_is_a_failed_setup(host: Host) -> None:
    host.start("echo never", code="code/none.tar.gz", artifacts=[ArtifactSpec("output")])
    end = host.end()
    assert (end.state, end.reason, end.exit_code) == ("failed", "setup", None)
    assert end.message == "the code is not in the store: code/none.tar.gz"
    assert end.artifacts == ()
    assert host.stored("index/") == ["index/failed/train-7"]


def test_nothing_keeps_a_secret_after_the_end(host: Host) -> None:
    value = "line one\nline 'two' \"quoted\" $HOME"
    host.start('test -n "$TOKEN"', secrets={"TOKEN": value})
    kept = host.root / "volatile" / "secrets.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert host.end().exit_code == 0
    found = [
        path
        for folder in (host.root, host.store)
        for path in folder.rglob("*")
        if path.is_file() and b"line one" in path.read_bytes()
    ]
    assert found == []


def test_a_secret_is_masked_in_the_log_across_the_engines_pieces(host: Host) -> None:
    value, most = "planted-value", 16384
    code = (
        "import os, sys; t = os.environ['TOKEN']\n"
        f"for cut in range(1, len(t)): print('x' * ({most} - cut) + t + 'plant')\n"
        "sys.stdout.write('a ' + t[:6])"
    )
    host.start(f'python3 -c "{code}"', secrets={"TOKEN": value}, masks=[value])
    follower = host.follow()
    follower.rest()
    lines = [b"x" * (most - cut) + b"*" * len(value) + b"plant" for cut in range(1, len(value))]
    assert Output().feed(follower.log) == b"\n".join([*lines, b"a " + value[:6].encode()])
    assert host.shipped() == follower.log
    assert not (host.root / "volatile" / "masks.json").exists()


def test_a_secret_of_several_lines_arrives_whole(host: Host) -> None:
    value = "line one\nline 'two' $HOME {root}"
    code = "import os; print(ascii(os.environ['TOKEN']))"
    host.start(f'python3 -c "{code}"', secrets={"TOKEN": value})
    follower = host.follow()
    follower.rest()
    assert follower.log.rstrip().endswith(ascii(value).encode())


def test_shared_memory_and_mount(host: Host) -> None:
    host.start("df -k /dev/shm", "touch /workflow/here", argv=["--shm-size", "33554432b"])
    follower = host.follow()
    follower.rest()
    assert b" 32768 " in follower.log
    assert (host.root / "workflow" / "here").exists()


def test_the_same_start_twice_is_one_attempt(host: Host) -> None:
    host.start("echo once", "sleep 1")
    again = host.push()
    assert json.loads(again.stdout) == {"started": True, "host_key": None}
    follower = host.follow()
    follower.rest()
    assert [line.split()[-1] for line in follower.log.splitlines()] == [b"once"]
    # After the end, too.
    assert json.loads(host.push().stdout)["started"] is True


def test_another_job_is_refused(host: Host) -> None:
    host.start("sleep 1")
    job = host.job.as_json()
    (host.root / "job.json").read_text()
    other = {**job, "attempt": 2}
    argv = agent_argv("start", root=str(host.root), python=sys.executable)
    answer = subprocess.run(argv, input=json.dumps(other).encode(), capture_output=True)
    assert answer.returncode == 1
    assert json.loads(answer.stdout)["error"] == "this machine works for train-7, attempt 1"
    assert host.end().exit_code == 0


def test_status_verb(host: Host) -> None:
    host.start("sleep 0.2")
    host.end()
    argv = agent_argv("status", root=str(host.root), python=sys.executable)
    told = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert told["status"]["phase"] == "ending"
    assert told["end"]["state"] == "done"


def test_a_command_that_the_image_does_not_have(host: Host) -> None:
    host.start("echo never", argv=["--entrypoint", "/bin/nope"])
    end = host.end()
    assert (end.state, end.reason, end.exit_code) == ("failed", "exited", 127)
    assert end.message is not None
    assert "/bin/nope" in end.message
