"""Machines without public addresses, jump hosts, addresses that change, ports that stay shut."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.emulated import Emulator, Project, wait_until
from support.follower import Client
from support.served import page_of, serve

WORKFLOW = """
    workflows:
      - name: far
        provider: docker
        image: ubuntu
        commands: [echo hello, exit 3]
        resources: {gpu: T4, interruptible: true}
      - name: endless
        provider: docker
        image: ubuntu
        commands: [echo begun, sleep infinity]
        resources: {gpu: T4, interruptible: true}
"""


@pytest.fixture
def repository(project: Project) -> Project:
    project.workflows(WORKFLOW)
    return project


@pytest.fixture
def ec2(emulator: Emulator) -> Any:
    """EC2 as the account's root."""
    return boto3.client(
        "ec2",
        region_name="us-east-1",
        endpoint_url=emulator.environ["AWS_ENDPOINT_URL"],
        aws_access_key_id="admin",
        aws_secret_access_key="admin",
    )


def rules(ec2: Any) -> set[str]:
    """From where SSH is let into the machines."""
    groups = ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["dstack-cloud"]}]
    )["SecurityGroups"]
    return {
        entry["CidrIp"]
        for group in groups
        for permission in group["IpPermissions"]
        for entry in permission["IpRanges"]
    }


def ranges(ec2: Any) -> set[str]:
    """The addresses of the default VPC."""
    filters = [{"Name": "is-default", "Values": ["true"]}]
    return {vpc["CidrBlock"] for vpc in ec2.describe_vpcs(Filters=filters)["Vpcs"]}


def test_at_a_private_address(
    emulator: Emulator, repository: Project, ec2: Any, tmp_path: Path
) -> None:
    inside = repository.configured(tmp_path / "config" / "config.yaml", aws={"public_ip": False})
    done = inside.cli("run", "far", "-y")
    assert (done.returncode, done.stdout) == (3, "hello\n"), done.stderr
    launched = ec2.describe_instances()["Reservations"][-1]["Instances"][0]
    assert "PublicIpAddress" not in launched
    assert ranges(ec2) <= rules(ec2)
    assert emulator.machines() == []


def test_ports_that_stay_shut(
    emulator: Emulator, repository: Project, ec2: Any, tmp_path: Path
) -> None:
    """Groups of the user's own whose rules leave us out: packets vanish, as on a real wire."""
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]
    group = ec2.create_security_group(
        GroupName=f"shut-{tmp_path.name}", Description="shut", VpcId=vpc["VpcId"]
    )["GroupId"]
    shut = repository.configured(
        tmp_path / "config" / "config.yaml",
        aws={"security_groups": [group]},
        timers={"no_job": "15s"},
    )
    hold = emulator.post("/_emulator/holds", {"action": "CreateFleet", "nth": 1, "when": "after"})
    client = shut.start("run", "far", "-y", "--json")
    wait_until(
        "the launch is held",
        lambda: any(row["state"] == "waiting" for row in emulator.get("/_emulator/holds")),
    )
    (machine,) = emulator.machines()
    emulator.post(f"/_emulator/machines/{machine['id']}/partition", {"seconds": 120})
    emulator.post(f"/_emulator/holds/{hold['id']}/release", {})
    out, err = client.communicate(timeout=300)
    error = json.loads(out)["error"]
    assert (client.returncode, error["kind"]) == (75, "unreachable"), err
    assert "no SSH connection to" in error["message"]
    assert f"aws.security_groups ({group}) must let TCP port 22 in" in error["hint"]
    assert emulator.machines() == []
    assert repository.json("ps", "--all")["runs"][-1]["state"] == "failed"


def test_from_another_address(emulator: Emulator, repository: Project, ec2: Any) -> None:
    """The address changed between the launch and the next command: the new one is let in, too."""
    run = repository.cli("run", "endless", "-y", "-d").stdout.strip()
    before = rules(ec2)
    assert "127.0.0.1/32" not in before
    # The emulator sees the loopback's callers under another address than the bridge's.
    moved = repository.but(AWS_ENDPOINT_URL=emulator.environ["MOTO_FIXTURES_URL"])
    wait_until("its first line", lambda: "begun\n" in moved.cli("logs", run).stdout)
    assert rules(ec2) == before | {"127.0.0.1/32"}
    stopped = moved.cli("stop", run, "--abort")
    assert stopped.returncode == 0, stopped.stderr
    assert emulator.machines() == []


class JumpHost:
    """One more machine, that the client may log in to with the user's own key."""

    def __init__(self, ec2: Any, home: Path) -> None:
        self.home = home
        self.ec2 = ec2
        ssh = home / ".ssh"
        ssh.mkdir(parents=True, mode=0o700)
        for name in ("id_ed25519", "host"):
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", ssh / name]
            subprocess.run(argv, check=True)
        image = ec2.describe_images(Filters=[{"Name": "name", "Values": ["*ubuntu-noble*amd64*"]}])
        launched = ec2.run_instances(
            ImageId=image["Images"][0]["ImageId"],
            InstanceType="t3.micro",
            MinCount=1,
            MaxCount=1,
            UserData=self._user_data(),
        )["Instances"][0]
        self.id = launched["InstanceId"]
        self.address = launched["PrivateIpAddress"]

    def _user_data(self) -> str:
        ssh = self.home / ".ssh"
        private = "".join(f"    {line}\n" for line in (ssh / "host").read_text().splitlines())
        return (
            "#cloud-config\nssh_deletekeys: true\nssh_keys:\n  ed25519_private: |\n"
            f"{private}  ed25519_public: {(ssh / 'host.pub').read_text().strip()}\n"
            f"ssh_authorized_keys:\n  - {(ssh / 'id_ed25519.pub').read_text().strip()}\n"
        )

    def known(self) -> None:
        """What connecting once by hand leaves behind."""
        key = (self.home / ".ssh" / "host.pub").read_text()
        (self.home / ".ssh" / "known_hosts").write_text(f"{self.address} {key}")

    def answers(self) -> bool:
        argv = ["ssh-keyscan", "-t", "ed25519", self.address]
        return bool(subprocess.run(argv, capture_output=True, timeout=30).stdout)


@pytest.fixture
def jump_host(ec2: Any, tmp_path: Path) -> Iterator[JumpHost]:
    host = JumpHost(ec2, tmp_path / "user")
    try:
        wait_until("the jump host answers", host.answers)
        yield host
    finally:
        ec2.terminate_instances(InstanceIds=[host.id])


@pytest.fixture
def through(repository: Project, jump_host: JumpHost, tmp_path: Path) -> Project:
    """The repository of a user who reaches machines through the jump host alone."""
    configured = repository.configured(
        tmp_path / "config" / "config.yaml",
        aws={"jump_host": f"ubuntu@{jump_host.address}", "public_ip": False},
    )
    # OpenSSH looks for the home folder in the password file, not in HOME.
    ssh = jump_host.home / ".ssh"
    (ssh / "config").write_text(
        f"UserKnownHostsFile {ssh}/known_hosts\nIdentityFile {ssh}/id_ed25519\n"
    )
    programs = tmp_path / "bin"
    programs.mkdir()
    shim = programs / "ssh"
    shim.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {shlex.quote(str(ssh / "config"))} "$@"\n')
    shim.chmod(0o755)
    path = f"{programs}:{configured.environ['PATH']}"
    return configured.but(HOME=str(jump_host.home), PATH=path)


def test_through_a_jump_host(
    emulator: Emulator, through: Project, jump_host: JumpHost, ec2: Any
) -> None:
    jump_host.known()
    serve(through, "dstackai/miniconda:3.10")
    started = through.cli("run", "served", "-y", "-d")
    assert started.returncode == 0, started.stderr
    run = started.stdout.strip()
    assert rules(ec2) >= ranges(ec2)
    # Both the client's own SSH and the system's arrive from the jump host.
    shown = through.cli("ssh", run, "--", 'echo "$SSH_CONNECTION"; exit 7')
    assert shown.returncode == 7, shown.stderr
    assert shown.stdout.split()[0] == jump_host.address
    accepted = through.cli("ssh", run, "--", "sudo journalctl --unit ssh | grep Accepted").stdout
    assert accepted.count(" from ") >= 2
    assert accepted.count(f" from {jump_host.address} ") == accepted.count(" from ")
    with Client(through, "attach", run) as client:
        assert page_of(client).get() == b"the page of " + run.encode()
        assert through.cli("stop", run, "--abort").returncode == 0
    assert [row["id"] for row in emulator.machines()] == [jump_host.id]


def test_a_jump_host_that_is_not_known(
    emulator: Emulator, through: Project, jump_host: JumpHost
) -> None:
    done = through.cli("run", "far", "-y", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["kind"]) == (2, "input"), done.stderr
    assert f"the jump host ubuntu@{jump_host.address} cannot be used" in error["message"]
    assert f"ssh ubuntu@{jump_host.address}" in error["hint"]
    assert [row["id"] for row in emulator.machines()] == [jump_host.id]
