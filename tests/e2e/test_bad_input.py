"""What is wrong in a file or on the command line is told where it stands: nothing is launched.

Most of it is told before any cloud is asked; what a cloud takes part in is tried on each.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.emulated import EVERY_STUB, Emulator, Project
from support.refusals import refused

FILE = ".dstack/workflows.yaml"
HEAD = """\
workflows:
  - name: train
    provider: docker
    image: ubuntu
"""
GOOD = HEAD + "    resources: {gpu: T4}\n"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (HEAD + "    commands: [echo hi\n    env: [A=1]\n", "6:8", "not valid YAML"),
        ("workflows:\n\t- name: train\n", "2:1", "indent with spaces"),
        (HEAD + "    comands: [x]\n", "5:5", "did you mean 'commands'?"),
        (HEAD + "    resources: {gpu: {nmae: T4}}\n", "5:23", "did you mean 'name'?"),
        (HEAD + "    resources: {cpu: many}\n", "5:22", "not 'many'"),
        (HEAD + "    resources: {memory: 16XB}\n", "5:25", "write it like 16GB"),
        (HEAD + "    commands: python x.py\n", "5:15", "must be a list"),
        (HEAD + "    env: [TOKEN_THAT_IS_NOT_SET]\n", "5:11", "is not set"),
        (HEAD + "    env: ['A=${{ run.nmae }}']\n", "5:11", "run.name"),
        (HEAD + "    resources: {gpu: K8}\n", "5:22", "did you mean K80?"),
        (HEAD + "    resources:\n      gpu:\n        name: Vega\n", "7:15", "no GPU named 'Vega'"),
        (HEAD.replace("docker", "dokcer"), "3:15", "did you mean 'docker'?"),
        (HEAD.replace("    image: ubuntu\n", ""), "2:5", "'image' is missing"),
        (HEAD.replace("ubuntu", "Ubuntu"), "4:12", "small letters"),
        (HEAD.replace("ubuntu", "'two words'"), "4:12", "not the name of an image"),
        ("", "1:1", "'workflows' is missing"),
    ],
)
def test_mistakes_in_the_file(
    stub: Emulator, stub_project: Project, text: str, place: str, words: str
) -> None:
    stub_project.workflows(text)
    found = refused(stub, stub_project, "run", "train", "-y")
    assert (found.document["kind"], found.document["exit_code"]) == ("input", 2)
    assert found.place == f"{FILE}:{place}"
    assert found.place in found.words
    assert words in found.told


def test_every_mistake_is_told_at_once(stub: Emulator, stub_project: Project) -> None:
    stub_project.workflows(HEAD + "    comands: [x]\n    resources: {cpu: many}\n")
    found = refused(stub, stub_project, "run", "train", "-y")
    assert re.findall(rf"{FILE}:(\d+):", found.words) == ["5", "6"]


def test_no_file(stub: Emulator, stub_project: Project) -> None:
    found = refused(stub, stub_project, "run", "train", "-y")
    assert found.document["exit_code"] == 2
    assert "no .dstack/workflows.yaml" in found.told


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("run", "trian"), 64, "did you mean 'train'?"),
        (("run", "train", "--gpu", "K8"), 2, "did you mean K80?"),
        (("run", "train", "--gpu", "A100:"), 2, "--gpu: 'A100:' is not a GPU request"),
        (("run", "train", "--memory", "16XB"), 2, "--memory: '16XB' is not a size"),
        (("run", "train", "--cpu", "lots"), 2, "--cpu"),
        (("run", "train", "--max-price", "cheap"), 2, "--max-price: 'cheap'"),
        (("run", "train", "--max-duration", "soon"), 2, "--max-duration: 'soon'"),
        (("run", "train", "--cloud", "asw"), 2, "did you mean 'aws'?"),
        (("run", "train", "--gpus", "1"), 2, "dstack-cloud run --help"),
        (("run", "train", "--gpu", "T4:64"), 69, "too few GPUs: 8 of 64"),
        (("run", "train", "--gpu", "0", "--cpu", "5000"), 69, "vCPUs"),
        (("run", "train", "--gpu", "0", "--max-price", "0.0001"), 69, "the cheapest is"),
        # Known to us, and offered by nobody: the nearest that somebody has.
        (("run", "train", "--gpu", "A40"), 69, "nearest are L40S 48 GB"),
        (("attach", "train-9"), 64, "there is no run 'train-9'"),
        (("stop", "train-9"), 64, "there is no run 'train-9'"),
        (("artifacts", "list", "train-9"), 64, "there is no run 'train-9'"),
    ],
)
def test_mistakes_on_the_command_line(
    stub: Emulator, stub_project: Project, words: tuple[str, ...], code: int, told: str
) -> None:
    stub_project.workflows(GOOD)
    yes = ("-y",) if words[0] == "run" else ()
    found = refused(stub, stub_project, *words, *yes, people=False)
    assert (found.document["exit_code"], found.document["file"]) == (code, None)
    assert told in found.told


@EVERY_STUB
@pytest.mark.parametrize(
    ("region", "told"),
    [("us-esat-1", "did you mean us-"), ("atlantis", "{cloud} has no region 'atlantis'")],
)
def test_a_region_that_no_cloud_has(
    stub: Emulator, stub_project: Project, region: str, told: str
) -> None:
    stub_project.workflows(GOOD)
    words = ("run", "train", "-y", "--region", region)
    found = refused(stub, stub_project, *words, people=False)
    assert (found.document["exit_code"], found.document["file"]) == (2, None)
    assert told.format(cloud=stub.words.cloud) in found.told


@pytest.mark.parametrize("verb", ["logs", "ssh"])
def test_verbs_without_json(stub_project: Project, verb: str) -> None:
    found = stub_project.cli(verb, "train-9")
    assert (found.returncode, found.stdout) == (64, "")
    assert "there is no run 'train-9'" in found.stderr


def test_nobody_to_ask(stub: Emulator, stub_project: Project) -> None:
    stub_project.workflows(GOOD)
    found = stub_project.cli("run", "train")
    assert (found.returncode, found.stdout) == (2, "")
    assert "add -y to launch" in found.stderr
    assert "g4dn.xlarge" in found.stderr
    assert stub_project.json("ps", "--all")["runs"] == []


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("aws:\n  store: s3://x\n  regoins: [us-east-1]\n", "3:3", "did you mean 'regions'?"),
        ("aws: {store: [\n", "2:1", "the end of the file"),
        ("aws: {store: s3://x, public_ip: maybe}\n", "1:33", "true or false"),
        ("timers: {no_job: soon}\n", "1:18", "write it like 30m"),
    ],
)
def test_mistakes_in_the_configuration(
    stub: Emulator, stub_project: Project, tmp_path: Path, text: str, place: str, told: str
) -> None:
    stub_project.workflows(GOOD)
    file = tmp_path / "config.yaml"
    file.write_text(text)
    project = stub_project.but(DSTACK_CLOUD_CONFIG=str(file))
    found = refused(stub, project, "run", "train", "-y", people=False)
    assert found.document["exit_code"] == 2
    assert found.place == (f"{file}:{place}" if place else "")
    assert told in found.told


@EVERY_STUB
@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("{{store: file://x}}", "write {scheme}://NAME"),
        ("{{store: {scheme}://xyz, regions: [us-esat-1]}}", "no region 'us-esat-1'"),
    ],
)
def test_mistakes_in_a_clouds_configuration(
    stub: Emulator, stub_project: Project, tmp_path: Path, section: str, told: str
) -> None:
    stub_project.workflows(GOOD)
    file, scheme = tmp_path / "config.yaml", stub.words.scheme
    file.write_text(f"{stub.words.cloud}: {section.format(scheme=scheme)}\n")
    project = stub_project.but(DSTACK_CLOUD_CONFIG=str(file))
    found = refused(stub, project, "run", "train", "-y", people=False)
    assert found.document["exit_code"] == 2
    assert found.place == ("" if "regions" in section else f"{file}:1:14")
    assert told.format(scheme=scheme) in found.told


def test_no_region_anywhere(stub: Emulator, stub_project: Project, tmp_path: Path) -> None:
    stub_project.workflows(GOOD)
    file = tmp_path / "config.yaml"
    file.write_text("aws: {store: s3://dstack-cloud-demo}\n")
    project = stub_project.but("AWS_DEFAULT_REGION", DSTACK_CLOUD_CONFIG=str(file))
    found = refused(stub, project, "run", "train", "-y")
    assert found.document["exit_code"] == 2
    assert f"set aws.regions in {file}" in found.told
