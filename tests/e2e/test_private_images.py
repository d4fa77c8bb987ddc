"""Images that are not everybody's: pulled with a login that is found nowhere; else refused.

On every cloud, but for a registry's own limit, of which no cloud takes any part.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from support.emulated import EVERY_CLOUD, Emulator, Project, wait_until
from support.stored import objects

PRIVATE = """
    workflows:
      - name: private
        provider: docker
        image: private.test/team/ubuntu
        registry_auth:
          username: me
          password: "${{ secrets.REGISTRY }}"
        resources: {gpu: T4}
        commands: [sleep infinity]
"""
PLAIN = """
    workflows:
      - name: plain
        provider: docker
        image: IMAGE
        resources: {gpu: T4}
        commands: [echo pulled]
"""


def refused(emulator: Emulator, project: Project, *more: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON document of a run that fails; no machine is left."""
    done = project.cli("run", more[0] if more else "plain", "-y", "--json")
    assert emulator.machines() == []
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found


@EVERY_CLOUD
def test_a_login_is_used_and_found_nowhere(emulator: Emulator, project: Project) -> None:
    password = f"planted{os.urandom(8).hex()}"
    emulator.post("/_emulator/registry-logins", {"username": "me", "password": password})
    project.workflows(PRIVATE)
    assert project.cli("run", "private", "-y").returncode == 64, "there is no such secret"
    assert project.cli("secrets", "set", "REGISTRY", stdin="wrong").returncode == 0
    code, found = refused(emulator, project, "private")
    assert (code, found["kind"], found["reason"]) == (77, "credentials", "login")
    assert "does not take the login of registry_auth" in found["error"]["message"]

    assert project.cli("secrets", "set", "REGISTRY", stdin=password).returncode == 0
    client = project.start("run", "private", "-y")
    try:
        wait_until("it runs", lambda: project.state("private-2") == "running")
        [machine] = emulator.machines()
        inspect = "docker inspect dstack-private-2-1; docker image inspect $(docker image ls -q)"
        listing = (
            "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' ' '; "
            "zcat -f /var/lib/cloud/instance/user-data.txt; journalctl --no-pager; "
            f"{inspect}; grep -rs planted /run /var/lib/dstack /root /home /etc /tmp"
        )
        seen = subprocess.run(
            ["docker", "exec", machine["container"], "sh", "-c", listing],
            capture_output=True,
            check=False,
        ).stdout
        assert b"private.test/team/ubuntu" in seen, "the container is among it"
        assert b"dstack-prepull" not in seen, "a pull at boot has no login"
        assert password.encode() not in seen
        assert project.cli("stop", "private-2").returncode == 0
        out, err = client.communicate(timeout=300)
    finally:
        client.kill()
    calls = emulator.get("/_emulator/calls")
    assert any(
        (call["action"], call["outcome"]) == ("manifests", "ok") and "private.test" in str(call)
        for call in calls
    )
    assert password not in json.dumps(calls) + out + err
    assert not any(password.encode() in data for data in objects(project).values())
    project.workflows(PLAIN.replace("IMAGE", "private.test/team/ubuntu"))
    code, found = refused(emulator, project)
    assert (code, found["kind"], found["reason"]) == (77, "credentials", "login")
    assert found["error"]["message"] == "private.test wants a login for private.test/team/ubuntu"
    assert "registry_auth" in found["error"]["hint"]
    project.cli("secrets", "delete", "REGISTRY", "-y")


@EVERY_CLOUD
def test_the_machines_role_pulls_from_the_accounts_registry(
    emulator: Emulator, project: Project
) -> None:
    project.workflows(PLAIN.replace("IMAGE", emulator.words.private_image))
    since = len(emulator.get("/_emulator/calls"))
    done = project.cli("run", "plain", "-y")
    assert (done.returncode, done.stdout) == (0, "pulled\n"), done.stderr
    calls = emulator.get("/_emulator/calls")[since:]
    made = [call["action"] for call in calls if call["outcome"] == "ok"]
    asked = [action for action in made if action in emulator.words.pulls]
    assert [*dict.fromkeys(asked)] == [*emulator.words.pulls], "in this order"


def test_the_hubs_limit_is_not_a_wrong_name(emulator: Emulator, project: Project) -> None:
    fault = {"action": "manifests", "match": {"host": "public.test"}, "times": None, "http": 429}
    words = "You have reached your unauthenticated pull rate limit."
    emulator.post("/_emulator/faults", {**fault, "error": "TOOMANYREQUESTS", "message": words})
    try:
        project.workflows(PLAIN.replace("IMAGE", "public.test/ubuntu"))
        code, found = refused(emulator, project)
    finally:
        emulator.delete("/_emulator/faults")
    assert (code, found["kind"], found["reason"]) == (75, "throttled", "rate-limit")
    assert words in found["error"]["message"]
    assert "registry_auth" in found["error"]["hint"]
