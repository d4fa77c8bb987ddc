"""Which names of images can be pulled at all."""

from __future__ import annotations

import pytest

from dstack_cloud.workflow.image import problem_of

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "name",
    [
        "ubuntu",
        "ubuntu:24.04",
        "a/b/c",
        "ghcr.io/owner/name:v1.0-rc_1",
        "localhost:5000/x",
        "10.0.0.1:5000/library/x:1",
        "[fd00::1]:5000/x",
        "Registry.example/x",
        "a__b/c-d.e",
        f"ubuntu@{DIGEST}",
        f"ubuntu:24.04@{DIGEST}",
    ],
)
def test_names(name: str) -> None:
    assert problem_of(name) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Ubuntu", "small letters"),
        ("owner/Name:Tag", "small letters"),
        ("two words", "is not the name"),
        ("ubuntu:", "is not the name"),
        ("ubuntu:a b", "is not the name"),
        ("https://ghcr.io/owner/name", "is not the name"),
        ("-x", "is not the name"),
        ("a//b", "is not the name"),
        ("ubuntu@sha256:12", "is not the name"),
        ("", "is not the name"),
    ],
)
def test_mistakes(name: str, words: str) -> None:
    assert words in (problem_of(name) or "")
