from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dstack_cloud import config
from dstack_cloud.config import AwsConfig, Config, GcpConfig, Timers
from dstack_cloud.config_save import save
from dstack_cloud.errors import InputError

BLOCK = """\
# mine
timers:
  heartbeat: 3m   # slow network

aws:
  # the team's
  regions:
    - us-east-1   # home
    - us-west-2
  # below
  profile: "work"  # sso
"""


def load(file: Path) -> Config:
    return config.load({**os.environ, "DSTACK_CLOUD_CONFIG": str(file)})


def saved(file: Path, text: str | None, **wanted: object) -> str:
    if text is not None:
        file.write_text(text)
    changed = replace(load(file), **wanted)  # type: ignore[arg-type]
    save(changed)
    assert load(file) == changed
    return file.read_text()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "config.yaml"


def test_a_first_save_makes_a_private_file(file: Path) -> None:
    aws = AwsConfig(store="s3://runs", regions=("us-east-1", "eu-west-1"))
    text = saved(file, None, aws=aws)
    assert text == "aws:\n  store: s3://runs\n  regions: [us-east-1, eu-west-1]\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(file.parent) == [file.name]


def test_comments_and_order_stay(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(BLOCK)
    aws = load(file).aws
    assert aws is not None
    text = saved(file, None, aws=replace(aws, store="s3://new"))
    assert text == BLOCK.replace("  regions:", "  store: s3://new\n  regions:")
    aws = replace(aws, store="s3://new", regions=("eu-west-1",), profile="play")
    text = saved(file, None, aws=aws)
    assert "regions: [eu-west-1]\n  # below" in text
    assert "profile: play  # sso" in text
    assert text.startswith("# mine\ntimers:\n  heartbeat: 3m   # slow network\n")


@pytest.mark.parametrize(
    "text",
    [
        "aws: {profile: work}\n",
        "aws: {}\n",
        "aws:\n",
        "aws: null\ntimers: {no_job: 1m}",
        "aws:\n  profile:\n  store:   # none yet\n",
        "{aws: {profile: work}}\n",
        "{gcp: {project: p}}",
        "{}\n",
        "# only words\n",
        "gcp:\n  project: p",
        "aws: # here\n  profile: x\n",
    ],
)
def test_every_shape_of_file_takes_a_change(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text)
    aws = replace(load(file).aws or AwsConfig(), store="s3://b", role="r")
    changed = saved(file, None, aws=aws, gcp=GcpConfig(project="q"), timers=Timers(no_job=30))
    assert text.count("#") == changed.count("#")


def test_a_value_can_be_taken_away(file: Path) -> None:
    file.parent.mkdir()
    saved(file, "aws: {store: s3://b, profile: work}\n", aws=AwsConfig(store="s3://b"))


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(str.strip))
def test_any_text_survives(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        saved(Path(folder) / "c.yaml", None, aws=AwsConfig(profile=text, regions=(text, "a")))


def test_an_unchanged_configuration_leaves_every_byte(file: Path) -> None:
    file.parent.mkdir()
    assert saved(file, BLOCK) == BLOCK


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    file.parent.mkdir()
    target = tmp_path / "dotfiles.yaml"
    target.write_text(BLOCK)
    file.symlink_to(target)
    saved(file, None, timers=Timers(no_job=30))
    assert file.is_symlink()
    assert "no_job: 30s" in target.read_text()


def test_a_broken_file_is_not_overwritten(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("aws: {\n")
    with pytest.raises(InputError):
        save(config.parse("", file, os.environ))
    assert file.read_text() == "aws: {\n"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    unwritable = config.parse("aws: {profile: p}", tmp_path / "file" / "c.yaml", os.environ)
    with pytest.raises(InputError, match="cannot be"):
        save(unwritable)
