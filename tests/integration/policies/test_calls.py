"""Every call of every verb, by the emulator's log, against the policies of those who make them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import permissions
from support.aws_server import serving
from support.emulated import Project, wait_until
from support.emulated_aws import STORE, Aws

from dstack_cloud.clouds.aws import policies

WORKFLOWS = """
    workflows:
      - name: train
        provider: docker
        image: ubuntu
        artifacts: [output]
        resources: {gpu: T4, interruptible: true}
        commands: [mkdir -p output && echo hello > output/hello.txt]
      - name: endless
        provider: docker
        image: ubuntu
        artifacts: [output]
        resources: {gpu: T4, interruptible: true}
        commands: [sleep 1000]
      - name: secretive
        provider: docker
        image: ubuntu
        environment: {TOKEN: "${{ secrets.TOKEN }}"}
        resources: {gpu: T4, interruptible: true}
        commands: [test -n "$TOKEN"]
      - name: private
        provider: docker
        image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/team/model:1
        resources: {gpu: T4, interruptible: true}
        commands: [echo pulled]
      - name: pair
        provider: torchrun
        file: unused.py
        nodes: 2
        resources: {gpu: T4, interruptible: true}
        before_run: [exit 0]
      - name: big
        provider: docker
        image: ubuntu
        artifacts: [output]
        resources: {gpu: T4, interruptible: true}
        commands: [mkdir -p output && truncate -s 220M output/model]
"""
UBUNTU = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
Calls = list[dict[str, Any]]

# All of it is one account's life, made once for all tests.
pytestmark = pytest.mark.timeout(1800)


class Account:
    """The emulated account, and a user's repository and configuration."""

    def __init__(self, aws: Aws, folder: Path) -> None:
        self.aws = aws
        self.folder = folder
        self.config = folder / "config.yaml"
        (folder / "repository").mkdir()
        subprocess.run(["git", "init", "-q", str(folder / "repository")], check=True)

    def as_user(self, name: str) -> Project:
        return self.with_key(self.aws.keys(name))

    def with_key(self, key: dict[str, str]) -> Project:
        keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return Project(
            self.folder / "repository",
            {
                **keep,
                "HOME": str(self.folder),
                "DSTACK_CLOUD_CONFIG": str(self.config),
                "AWS_ENDPOINT_URL": self.aws.url,
                "AWS_ACCESS_KEY_ID": key["access_key_id"],
                "AWS_SECRET_ACCESS_KEY": key["secret_access_key"],
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )

    def settings(self, section: str = "aws", **changes: Any) -> None:
        """Change a section of the configuration; None takes a key away."""
        document = yaml.safe_load(self.config.read_text())
        merged = {**document.get(section, {}), **changes}
        document[section] = {key: value for key, value in merged.items() if value is not None}
        self.config.write_text(yaml.safe_dump(document))

    def alive(self) -> list[str]:
        found = self.aws.control("GET", "machines")
        return [machine["id"] for machine in found if machine["state"] != "off"]

    def hold(self, action: str, when: str, meanwhile: Callable[[], Any], drop: bool) -> None:
        """Do something while the next such call waits."""
        hold = self.aws.control("POST", "holds", {"action": action, "when": when})
        try:
            wait_until(
                f"{action} is held",
                lambda: any(h["state"] == "waiting" for h in self.aws.control("GET", "holds")),
            )
            meanwhile()
        finally:
            self.aws.control("POST", f"holds/{hold['id']}/release", {"drop": drop})


def ok(done: subprocess.CompletedProcess[str], code: int = 0) -> str:
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def administrate(account: Account) -> None:
    """``init`` in an empty account, for another region, again, and with subnets of one's own."""
    admin = account.as_user("dstack-admin")
    init = ("init", "--cloud", "aws", "-y", "--store", f"s3://{STORE}", "--region", "us-east-1")
    ok(admin.cli(*init, "--region", "us-west-2"))
    ok(admin.cli(*init))
    account.settings(subnets=[subnet(account)])
    ok(admin.cli(*init))
    account.settings(subnets=None)


def subnet(account: Account) -> str:
    filters = [{"Name": "availability-zone", "Values": ["us-east-1a"]}]
    found = account.aws.client("ec2").describe_subnets(Filters=filters)["Subnets"]
    return str(found[0]["SubnetId"])


def own_group(account: Account) -> str:
    ec2 = account.aws.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    return str(ec2.create_security_group(GroupName="own", Description="own", VpcId=vpc)["GroupId"])


def use(account: Account) -> None:
    """Every verb of the daily user, with the settings that make a difference to the calls."""
    daily = account.as_user("dstack-daily")
    daily.workflows(WORKFLOWS)
    ok(daily.cli("catalog", "update"))
    ok(daily.cli("offers", "--gpu", "T4", "--region", "us-east-1", "--refresh"))
    ok(daily.cli("run", "train", "--dry-run"))
    ok(daily.cli("secrets", "set", "TOKEN", stdin="planted"))
    ok(daily.cli("secrets", "set", "TOKEN", stdin="planted-again"))
    ok(daily.cli("run", "secretive", "-y"))
    ok(daily.cli("secrets", "delete", "TOKEN", "-y"))
    ok(daily.cli("run", "private", "-y"))
    # A budget is kept by the machine, at prices that it asks for.
    ok(daily.cli("run", "train", "-y", "--max-cost", "5"))
    for settings in (
        {"subnets": [subnet(account)]},
        {"public_ip": False},
        {"security_groups": [own_group(account)]},
        {"image": UBUNTU},
    ):
        account.settings(**settings)
        ok(daily.cli("run", "train", "-y"))
        account.settings(**dict.fromkeys(settings))
    ok(daily.cli("run", "pair", "-y"))
    a_detached_run(daily)
    a_launch_that_takes_long(account, daily)
    a_machine_that_would_only_stop(account, daily)
    uploads_that_break(account, daily)
    what_killed_clients_leave(account, daily)


def a_detached_run(daily: Project) -> None:
    run = ok(daily.cli("run", "endless", "-y", "-d")).strip()
    ok(daily.cli("ps"))
    ok(daily.cli("check"))
    ok(daily.cli("logs", run))
    attached = daily.start("attach", run)
    ok(daily.cli("stop", run))
    attached.communicate(timeout=300)
    ok(daily.cli("artifacts", "list", "train-1"))
    ok(daily.cli("artifacts", "download", "train-1", "-o", "results"))
    ok(daily.cli("logs", "train-1"))
    ok(daily.cli("cost", "train-1", "--spot-history"))
    again = ok(daily.cli("run", "endless", "-y", "-d")).strip()
    ok(daily.cli("stop", again, "--abort"))


def a_launch_that_takes_long(account: Account, daily: Project) -> None:
    """Its client renews the lease."""
    client = daily.start("run", "train", "-y")

    def renewed() -> bool:
        return any(
            call["action"] == "PutObject" and "s3:GetObject" in call["permissions"]
            for call in of(account, "user/dstack-daily")
        )

    account.hold(
        "CreateFleet", "before", lambda: wait_until("the lease is renewed", renewed), drop=False
    )
    _, words = client.communicate(timeout=300)
    assert client.returncode == 0, words


def a_machine_that_would_only_stop(account: Account, daily: Project) -> None:
    client = daily.start("run", "train", "-y")

    def change() -> None:
        account.aws.client("ec2").modify_instance_attribute(
            InstanceId=account.alive()[0], InstanceInitiatedShutdownBehavior={"Value": "stop"}
        )

    account.hold("DescribeInstanceAttribute", "before", change, drop=False)
    _, words = client.communicate(timeout=300)
    assert client.returncode == 0, words
    said = [
        call["parameters"]["InstanceInitiatedShutdownBehavior"]["Value"]
        for call in of(account, "user/dstack-daily")
        if call["action"] == "ModifyInstanceAttribute"
    ]
    assert said == ["terminate"]


def uploads_that_break(account: Account, daily: Project) -> None:
    """More than one part to upload, of which one fails: by the client, then by the machine, which
    tries again."""
    big = daily.folder / "big"
    big.write_bytes(random.Random(1).randbytes(12 << 20))
    fault = {"action": "UploadPart", "error": "InvalidPart", "http": 400}
    account.aws.control("POST", "faults", {**fault, "times": None})
    assert daily.cli("run", "train", "-y").returncode != 0
    account.aws.control("DELETE", "faults")
    big.unlink()
    account.aws.control("POST", "faults", {**fault, "times": 1})
    ok(daily.cli("run", "big", "-y"))


def what_killed_clients_leave(account: Account, daily: Project) -> None:
    """One whose machine ends itself, and one that is stopped before its time."""
    account.settings("timers", no_job="3s")
    run = killed_in_launch(account, daily)
    wait_until("its time is over", lambda: daily.state(run) == "lost")
    account.settings("timers", no_job=None)
    ok(daily.cli("stop", killed_in_launch(account, daily), "--abort", timeout=300))
    ok(daily.cli("gc", "-y"))
    wait_until("no machine", lambda: not account.alive())
    ok(daily.cli("gc", "-y"))
    assert daily.json("gc")["leftovers"] == []


def killed_in_launch(account: Account, daily: Project) -> str:
    client = daily.start("run", "train", "-y")
    account.hold("CreateFleet", "after", client.kill, drop=True)
    client.communicate()
    runs = [row["run"] for row in daily.json("ps", "--all")["runs"]]
    return max(runs, key=lambda run: int(run.rpartition("-")[2]) * run.startswith("train"))


def without_fleets(account: Account) -> None:
    """A user whom the organization denies fleets."""
    document = policies.render("run", account="123456789012", bucket=STORE)
    deny = {"Effect": "Deny", "Action": "ec2:CreateFleet", "Resource": "*"}
    document["Statement"].append(deny)
    key = account.aws.control("POST", "users", {"name": "limited", "policy": document})
    ok(account.with_key(key).cli("run", "train", "-y"))


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """The account after everything that can be done in it has been done."""
    with serving(f"policies-{os.getpid()}") as aws:
        account = Account(aws, tmp_path_factory.mktemp("account"))
        administrate(account)
        use(account)
        without_fleets(account)
        yield account


def of(account: Account, who: str) -> Calls:
    """The calls of the principals whose name begins so."""
    return [call for call in account.aws.calls() if (call["principal"] or "").startswith(who)]


PRINCIPALS = [
    ("init", "user/dstack-admin"),
    ("run", "user/dstack-daily"),
    ("machine", "role/dstack-cloud-machine/"),
]


@pytest.mark.parametrize(("policy", "who"), PRINCIPALS)
def test_what_is_allowed_is_used_and_told(account: Account, policy: str, who: str) -> None:
    calls = of(account, who)
    unused = permissions.allowed(policy) - permissions.asked(calls) - permissions.BY_REGISTRIES
    assert unused == set(), "allowed, never used"
    assert permissions.undocumented(policy, calls) == set(), "not in docs/aws.md"
    assert permissions.never_seen(policy, calls) == [], "in docs/aws.md, never seen"


@pytest.mark.parametrize(("policy", "who"), PRINCIPALS)
def test_nothing_was_denied(account: Account, policy: str, who: str) -> None:
    assert permissions.denied(of(account, who)) == []


def test_without_fleets_only_they_are_denied(account: Account) -> None:
    calls = of(account, "user/limited")
    assert {action for action, _ in permissions.denied(calls)} == {"CreateFleet"}
    assert any(call["action"] == "RunInstances" and call["outcome"] == "ok" for call in calls)


def test_ctrl_c_while_a_machine_is_launched_ends_it(account: Account) -> None:
    daily = account.as_user("dstack-daily")
    client = daily.start("run", "train", "-y")

    def interrupt() -> None:
        client.send_signal(signal.SIGINT)

    account.hold("DeleteLaunchTemplate", "before", interrupt, drop=False)
    _, words = client.communicate(timeout=300)
    assert client.returncode == 130, words
    wait_until("no machine", lambda: not account.alive())
    assert "stopped" in {row["state"] for row in daily.json("ps")["runs"]}
