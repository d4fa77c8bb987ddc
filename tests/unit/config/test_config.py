from __future__ import annotations

from pathlib import Path

import pytest

from dstack_cloud import config
from dstack_cloud.errors import InputError

FILE = Path("/etc/of/nobody/config.yaml")


def parse(text: str, **environ: str) -> config.Config:
    return config.parse(text, FILE, {"HOME": "/home/ada", **environ})


def test_the_whole_file() -> None:
    found = parse(
        """
aws:
  store: s3://ada-runs/team/
  regions: [us-east-1, eu-west-1]
  image: ami-0123
  profile: work
  subnets: [subnet-1]
  security_groups: sg-1
  public_ip: false
  jump_host: ada@bastion:2222
  role: machines
gcp: {store: gs://ada, project: p, network: default}
local: {store: runs, image: ubuntu}
timers: {no_job: 5m, heartbeat: 90}
"""
    )
    assert found.aws == config.AwsConfig(
        store="s3://ada-runs/team",
        regions=("us-east-1", "eu-west-1"),
        image="ami-0123",
        profile="work",
        subnets=("subnet-1",),
        security_groups=("sg-1",),
        public_ip=False,
        jump_host="ada@bastion:2222",
        role="machines",
    )
    assert found.gcp == config.GcpConfig(store="gs://ada", project="p", network="default")
    assert found.local == config.LocalConfig(store="/etc/of/nobody/runs", image="ubuntu")
    assert found.timers == config.Timers(no_job=300, heartbeat=90)
    assert found.stores == {
        "aws": "s3://ada-runs/team",
        "gcp": "gs://ada",
        "local": "/etc/of/nobody/runs",
    }


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "aws:\n", "aws: {store: }\n"])
def test_nothing_said_is_the_local_cloud_alone(text: str) -> None:
    found = parse(text)
    assert found.local.store == "/home/ada/.local/share/dstack-cloud/store"
    assert found.stores == {"local": found.local.store}
    assert found.timers == config.Timers(no_job=600, heartbeat=120)


def test_a_mentioned_cloud_without_settings_has_the_defaults() -> None:
    assert parse("").aws is None
    assert parse("aws:\n").aws == config.AwsConfig()


def test_the_data_folder_of_the_desktop_is_used() -> None:
    assert parse("", XDG_DATA_HOME="/data").local.store == "/data/dstack-cloud/store"
    relative = parse("", XDG_DATA_HOME="data").local.store
    assert relative == "/home/ada/.local/share/dstack-cloud/store"


def test_home_in_a_path() -> None:
    assert parse("local: {store: ~/runs}").local.store == "/home/ada/runs"


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("aws:\n  stroe: s3://x\n", 2, 3, "did you mean 'store'"),
        ("asw: {}\n", 1, 1, "did you mean 'aws'"),
        ("aws:\n  store: gs://x\n", 2, 10, "gs://x"),
        ("aws:\n  store: s3://\n", 2, 10, "not a store"),
        ("gcp: {store: s3://x}\n", 1, 14, "s3://x"),
        ("local: {store: s3://x}\n", 1, 16, "not a folder"),
        ("aws: {regions: [a, [b]]}\n", 1, 20, "text"),
        ("aws: {regions: {a: b}}\n", 1, 16, "text"),
        ("aws: {public_ip: yes}\n", 1, 18, "true or false"),
        ("aws: {profile: ''}\n", 1, 16, "empty"),
        ("aws: {profile: true}\n", 1, 16, "text"),
        ("timers: {no_job: soon}\n", 1, 18, "not a duration"),
        ("timers: {no_job: 0}\n", 1, 18, "at least"),
        ("aws: s3://x\n", 1, 6, "mapping"),
        ("- aws\n", 1, 1, "mapping"),
        ("aws: {\n", 2, 1, "YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    text: str, line: int, column: int, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    error = caught.value
    assert (error.file, error.line, error.column) == (str(FILE), line, column)
    assert words in error.message


def test_the_file_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "other.yaml"
    environ = {"HOME": "/home/ada", "DSTACK_CLOUD_CONFIG": str(file)}
    assert config.load(environ).file == file
    file.write_text("aws: {store: s3://b}\n")
    found = config.load(environ)
    assert found.stores["aws"] == "s3://b"
    assert config.client_key(found) == tmp_path / "id_ed25519"
    assert config.config_file({"HOME": "/h"}) == Path("/h/.config/dstack-cloud/config.yaml")


def test_a_file_that_cannot_be_read_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        config.load({"DSTACK_CLOUD_CONFIG": str(tmp_path)})
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"aws: {profile: \xe4}\n")
    with pytest.raises(InputError, match="UTF-8"):
        config.load({"DSTACK_CLOUD_CONFIG": str(file)})


def test_owner_is_fit_for_a_tag() -> None:
    assert config.owner({"USER": "Ada Løve\n"}).startswith("ada-l-ve-@")
    assert len(config.owner({"USER": "x" * 100})) == 63
    assert config.owner({}) == config.owner({})


def test_the_image_that_workflows_run_on() -> None:
    assert parse("").image_on("local") is None
    both = parse("container_image: mine:1\nlocal: {image: ubuntu}")
    assert (both.image_on("aws"), both.image_on("local")) == ("mine:1", "ubuntu")
    assert parse("container_image: mine:1").image_on("local") == "mine:1"
    with pytest.raises(InputError, match="a text is expected") as caught:
        parse("container_image: [a]")
    assert caught.value.line == 1
