"""The JSON documents of docs/json.md, by the commands that print them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from support.aws_server import serving
from support.emulated import ROOT, Project
from support.emulated_aws import STORE

from dstack_cloud import errors

DOCS = (ROOT / "docs" / "json.md").read_text()
EXAMPLES = {
    name: json.loads(text) for name, text in re.findall(r"```json ([a-z ]+)\n(.*?)```", DOCS, re.S)
}
WORKFLOWS = """
    workflows:
      - name: train
        provider: docker
        image: {image}
        artifacts: [output]
        commands:
          - mkdir output && echo Hello > output/hello.txt
      - name: endless
        provider: docker
        image: {image}
        commands: [sleep 1000]
"""


def differences(found: Any, example: Any, where: str = "") -> list[str]:
    """Where a document is not of the example's shape; null fits everything."""
    if found is None or example is None:
        return []
    if type(found) is not type(example):
        return [f"{where}: {found!r} is not like {example!r}"]
    if isinstance(found, list):
        return [
            one
            for number, item in enumerate(found)
            for one in differences(item, example[0], f"{where}[{number}]")
        ]
    if isinstance(found, dict):
        told = [f"{where}.{name}: only in one of them" for name in found.keys() ^ example.keys()]
        shared = found.keys() & example.keys()
        return told + [
            one
            for name in sorted(shared)
            for one in differences(found[name], example[name], f"{where}.{name}")
        ]
    return []


def holds(name: str, document: Any, some: str | None = None) -> None:
    """The document is the example's; ``some`` names a list in it that must not be empty."""
    assert differences(document, EXAMPLES[name]) == []
    assert some is None or document[some], f"nothing of {name} was seen"


def test_runs(local: Project, image: str) -> None:
    local.workflows(WORKFLOWS.format(image=image))
    on = ("--cloud", "local", "-y")
    holds("init", local.json("init", *on), "steps")
    plan = local.json("run", "train", "--dry-run", *on)
    holds("offers", plan, "offers")
    done = local.json("run", "train", *on)
    holds("run", done, "artifacts")
    assert (done["kind"], done["state"], done["exit_code"]) == ("exit", "done", 0)
    holds("run", local.json("attach", "train-1"), "artifacts")
    holds("artifacts list", local.json("artifacts", "list", "train-1"), "artifacts")
    got = local.json("artifacts", "download", "train-1", "-o", "results")
    holds("artifacts download", got)
    detached = local.json("run", "endless", *on, "-d")
    holds("run", detached)
    assert (detached["kind"], detached["state"]) == ("detached", "running")
    holds("stop", local.json("stop", "endless-1", "--abort"))
    holds("cost", local.json("cost", "train-1"), "runs")
    ps = local.json("ps", "--all")
    holds("ps", ps, "runs")
    holds("cost", local.json("cost"), "runs")
    assert [row["state"] for row in ps["runs"]] == ["done", "stopped"]
    made = local.json("tags", "add", "best", "train-1")
    holds("tags list", {"tags": [made]})
    holds("tags list", local.json("tags", "list"), "tags")
    holds("artifacts list", local.json("artifacts", "list", ":best"), "artifacts")
    assert local.cli("runs", "delete", "train-1", "--json").returncode == 2, "nobody said yes"
    deleted = local.json("runs", "delete", "train-1", "-y")
    holds("runs delete", deleted, "deleted")
    assert deleted["deleted"][0]["held_by"] == ["best"]
    made = local.cli("secrets", "set", "TOKEN", *on[:2], "--json", stdin="x")
    holds("secrets set", json.loads(made.stdout))
    holds("secrets list", local.json("secrets", "list"), "secrets")
    holds("secrets set", local.json("secrets", "delete", "TOKEN", *on))
    holds("tags delete", local.json("tags", "delete", "best", "-y"))
    assert local.cli("artifacts", "list", "train-1").returncode == 64


def test_the_account(local: Project) -> None:
    with serving("json") as aws:

        def user(name: str) -> Project:
            key = aws.keys(name)
            return replace(
                local,
                environ={
                    **local.environ,
                    "DSTACK_CLOUD_CONFIG": str(local.folder / "config.yaml"),
                    "AWS_ENDPOINT_URL": aws.url,
                    "AWS_ACCESS_KEY_ID": key["access_key_id"],
                    "AWS_SECRET_ACCESS_KEY": key["secret_access_key"],
                    "AWS_EC2_METADATA_DISABLED": "true",
                },
            )

        where = ("--cloud", "aws", "--store", f"s3://{STORE}", "--region", "us-east-1", "-y")
        holds("init", user("dstack-admin").json("init", *where), "steps")
        daily = user("dstack-daily")
        holds("check", daily.json("check"), "checks")
        holds("catalog", daily.json("catalog", "update"), "regions")
        holds("catalog", daily.json("catalog", "show"), "regions")
        offers = daily.json("offers", "--gpu", "T4", "--cpu", "16", "--interruptible")
        holds("offers", offers, "offers")
        assert offers["rejections"]
        ec2 = aws.client("ec2")
        tags = [
            {"Key": "dstack-cloud", "Value": "ada@host"},
            {"Key": "dstack-cloud:store", "Value": f"s3://{STORE}"},
        ]
        ec2.create_launch_template(
            LaunchTemplateName="dstack-cloud-lost-1-1-x",
            LaunchTemplateData={"InstanceType": "t3.micro"},
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags}],
        )
        listed = daily.json("gc")
        holds("gc", listed, "leftovers")
        assert [row["removed"] for row in listed["leftovers"]] == [False]
        removed = daily.json("gc", "-y")
        holds("gc", removed, "leftovers")
        assert [row["removed"] for row in removed["leftovers"]] == [True]


def test_errors(local: Project) -> None:
    local.workflows("workflows:\n  - nam: train\n")
    failed = local.cli("run", "train", "--cloud", "local", "--json")
    document = json.loads(failed.stdout)
    holds("error", document)
    told = document["error"]
    assert failed.returncode == told["exit_code"] == 2
    assert (told["file"], told["line"]) == (".dstack/workflows.yaml", 2)
    unknown = local.cli("logs", "train-9", "--json")
    assert unknown.returncode == 2
    missing = local.cli("stop", "train-9", "--json")
    assert json.loads(missing.stdout)["error"]["kind"] == "not-found"
    assert missing.returncode == 64


def every(base: type[errors.DstackError]) -> set[type[errors.DstackError]]:
    found = {base}
    for one in base.__subclasses__():
        found |= every(one)
    return found


def test_the_table_of_exit_codes() -> None:
    told = {
        kind: int(code)
        for code, kinds in re.findall(r"^\| (\d+) \| (`.*?`) \|", DOCS, re.M)
        for kind in re.findall(r"`([a-z_-]+)`", kinds)
    }
    import dstack_cloud.ssh.base

    assert dstack_cloud.ssh.base is not None, "it has an error of its own"
    shipped = {one.kind: one.exit_code for one in every(errors.DstackError)}
    assert {kind: code for kind, code in shipped.items() if kind not in told} == {}
    assert told == {kind: shipped[kind] for kind in told}
