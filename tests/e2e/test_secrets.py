"""Secrets: kept, used and found nowhere but in the container that asks for them."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from support.emulated import CLI, EVERY_CLOUD, Emulator, Project, wait_until
from support.stored import objects

LOCAL = ("--cloud", "local")
USES = """
    workflows:
      - name: uses
        provider: docker
        image: {image}
        environment:
          PLAIN: here
          URL: "https://me:${{{{ secrets.PASSWORD }}}}@host/"
          KEY: ${{{{ secrets.KEY }}}}
        artifacts: [output]
        commands:
          - mkdir output
          - printf %s "$URL" | sha256sum > output/url
          - printf %s "$KEY" | sha256sum > output/key
          - echo "to $URL, $PLAIN"
          - echo "$KEY"
"""
KEY = "-----BEGIN KEY-----\nplanted-first-line\nab\n-----END KEY-----"


def sha256(text: str) -> str:
    from hashlib import sha256

    return sha256(text.encode()).hexdigest()


def test_on_this_machine(local: Project, image: str) -> None:
    local.workflows(USES.format(image=image))
    missing = local.cli("run", "uses", *LOCAL, "-y")
    assert missing.returncode == 64
    assert ".dstack/workflows.yaml:9:12: the secret 'KEY' does not exist on local" in missing.stderr
    for name in ("KEY", "PASSWORD"):
        assert f"dstack-cloud secrets set {name} --cloud local" in missing.stderr
    assert local.json("ps", "--all")["runs"] == []

    value = "s3cret 'quoted' ${{ run.name }} $HOME *"
    assert local.cli("secrets", "set", "PASSWORD", *LOCAL, stdin="former").returncode == 0
    assert local.cli("secrets", "set", "PASSWORD", *LOCAL, stdin=value + "\n").returncode == 0
    kept = local.cli("secrets", "set", "KEY", *LOCAL, stdin=KEY)
    assert kept.returncode == 0
    assert "planted" not in kept.stdout + kept.stderr
    [file] = Path(local.environ["HOME"]).rglob("*secrets.json")
    assert file.stat().st_mode & 0o777 == 0o600

    done = local.cli("run", "uses", *LOCAL, "-y")
    assert done.returncode == 0, done.stderr
    log = "to https://me:{}@host/, here\n{}\n{}\nab\n{}\n".format(
        "*" * len(value), *("*" * len(KEY.splitlines()[line]) for line in (0, 1, 3))
    )
    assert done.stdout == log
    assert local.cli("logs", "uses-1").stdout == done.stdout
    assert local.cli("artifacts", "download", "uses-1", "-o", "got").returncode == 0
    got = local.folder / "got/output"
    assert (got / "url").read_text().split()[0] == sha256(f"https://me:{value}@host/")
    assert (got / "key").read_text().split()[0] == sha256(KEY)
    holders = [
        path
        for path in Path(local.environ["HOME"]).rglob("*")
        if path.is_file() and b"s3cret" in path.read_bytes()
    ]
    assert holders == [file]

    assert local.cli("secrets", "delete", "KEY", *LOCAL).returncode == 2, "nobody said yes"
    assert local.cli("secrets", "delete", "KEY", *LOCAL, "-y").returncode == 0
    again = local.cli("secrets", "delete", "KEY", *LOCAL, "-y")
    assert again.returncode == 64
    assert local.cli("run", "uses", *LOCAL, "-y").returncode == 64


@pytest.mark.parametrize(
    ("argv", "stdin", "words"),
    [
        (("a-b", *LOCAL), "x", "'a-b' is not a name for a secret"),
        (("A", *LOCAL), "\n", "the secret's value is empty"),
        (("A", *LOCAL), "pl\0anted", "is not text"),
        (("A", *LOCAL), "planted" * 10000, "65536 is the most"),
        (("A", "planted", *LOCAL), "", "unexpected extra argument"),
        (("A", "--cloud", "gcp"), "x", "gcp"),
    ],
)
def test_what_cannot_be_kept(local: Project, argv: tuple[str, ...], stdin: str, words: str) -> None:
    refused = local.cli("secrets", "set", *argv, stdin=stdin)
    assert refused.returncode == 2
    assert words in refused.stderr
    assert local.json("secrets", "list")["secrets"] == []


def test_a_value_that_is_typed_is_not_shown(local: Project) -> None:
    ours, theirs = pty.openpty()
    client = subprocess.Popen(
        [*CLI, "secrets", "set", "A", *LOCAL],
        cwd=local.folder,
        env=local.environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        # getpass asks the terminal itself, where there is one.
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"Value of A:" not in shown:
        shown += os.read(ours, 1024)
    os.write(ours, b"planted\n")
    with contextlib.suppress(OSError):
        while part := os.read(ours, 1024):
            shown += part
    os.close(ours)
    assert client.wait(30) == 0
    assert b"planted" not in shown
    [file] = Path(local.environ["HOME"]).rglob("*secrets.json")
    assert json.loads(file.read_text())["A"]["value"] == "planted"


@EVERY_CLOUD
def test_a_planted_value_is_nowhere(emulator: Emulator, project: Project) -> None:
    """On each emulated cloud, over two attempts: the machine is lost while its job runs."""
    first, second = (f"planted{n}{os.urandom(8).hex()}" for n in (1, 2))
    project.workflows("""
        workflows:
          - name: planted
            provider: docker
            image: ubuntu
            environment: {TOKEN: "${{ secrets.PLANTED }}"}
            resources: {gpu: T4, interruptible: true}
            commands:
              - echo "attempt $DSTACK_ATTEMPT has $TOKEN"
              - test "$DSTACK_ATTEMPT" = 2 || sleep infinity
              - printf %s "$TOKEN" | sha256sum
    """)
    missing = project.cli("run", "planted", "-y")
    assert missing.returncode == 64
    cloud = "gcp" if "GOOGLE_APPLICATION_CREDENTIALS" in emulator.environ else "aws"
    assert f"workflows.yaml:6:26: the secret 'PLANTED' does not exist on {cloud}" in missing.stderr
    assert emulator.machines() == []
    assert project.cli("secrets", "set", "PLANTED", stdin=first).returncode == 0
    listed = project.json("secrets", "list")["secrets"]
    assert [one["secret"] for one in listed] == ["PLANTED"]
    assert first not in json.dumps(listed)

    client = project.start("run", "planted", "-y")
    stars = "*" * len(first)
    try:
        wait_until("it runs", lambda: emulator.machines())
        wait_until("a line", lambda: stars in project.cli("logs", "planted-1").stdout)
        [machine] = emulator.machines()
        name = machine["container"]
        listing = (
            "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; zcat -f /var/lib/cloud/instance/user-data.txt"
        )
        seen = subprocess.run(
            ["docker", "exec", name, "sh", "-c", listing], capture_output=True, check=False
        ).stdout
        assert b"DSTACK_ATTEMPT" in seen, "the container's command line is among them"
        assert b"#cloud-config" in seen or b"multipart" in seen.lower()
        assert first.encode() not in seen
        # The value that the second attempt gets is the one of its time.
        assert project.cli("secrets", "set", "PLANTED", stdin=second).returncode == 0
        emulator.post(f"/_emulator/machines/{machine['id']}/kill")
        out, err = client.communicate(timeout=300)
    finally:
        client.kill()
    assert client.returncode == 0, err
    assert out.endswith(f"attempt 2 has {stars}\n{sha256(second)}  -\n")
    searched = [out, err, json.dumps(emulator.get("/_emulator/calls"))]
    assert any(key in searched[-1] for key in ('"SecretString": "<', '"data": "<')), "it is hidden"
    store = objects(project)
    assert any(stars.encode() in data for data in store.values())
    for value in (first, second, *map(in_base64, (first, second))):
        assert not any(value in text for text in searched)
        assert [key for key, data in store.items() if value.encode() in data] == []
    assert project.cli("secrets", "delete", "PLANTED", "-y").returncode == 0
    assert project.json("secrets", "list")["secrets"] == []


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
