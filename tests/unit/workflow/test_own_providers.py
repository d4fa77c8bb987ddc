"""A user's own providers: a file of the repository, an installed package; and what goes wrong."""

from __future__ import annotations

import sys
from textwrap import dedent

import pytest

from dstack_cloud.errors import InputError
from dstack_cloud.workflow import providers
from dstack_cloud.workflow.load import load_workflows

GOOD = """\
    from pydantic import BaseModel
    from dstack_cloud.errors import InputError
    from dstack_cloud.spec import ContainerSpec, PropertyError

    class Properties(BaseModel, extra="forbid"):
        size: int = 1

    def container(properties, context):
        if properties.size == 2:
            raise PropertyError("size", "2 is too even", "take 3")
        if properties.size == 3:
            raise InputError("3 is too odd")
        if properties.size == 4:
            return properties.size / 0
        if properties.size == 5:
            return "a text"
        return ContainerSpec(image="mine", command=(str(properties.size), *context.args))
"""


@pytest.fixture
def own(write):
    """A repository with a provider of that source, and its workflow with a size."""

    def _own(source: str = GOOD, key: str = "size: 1"):
        write(source, ".dstack/providers/mine.py")
        root = write(f"""\
            workflows:
              - name: train
                provider: mine
                {key}
            """)
        return load_workflows(root).get("train")

    return _own


def test_a_file_of_the_repository(own, tmp_path):
    spec = own(key="size: 7").container("train-1", ["a b"])
    assert (spec.image, spec.command) == ("mine", ("7", "a b"))
    assert not list(tmp_path.rglob("__pycache__")), "the repository is left as it was"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("sizes: 1", "4:5: unknown key 'sizes' in workflow 'train'; did you mean 'size'?"),
        ("size: big", "4:11: 'size': must be a whole number, not 'big'"),
        ("size: 2", "4:5: 2 is too even"),
        ("size: 3", "2:5: 3 is too odd"),
        (
            "size: 4",
            "2:5: the provider 'mine' (.dstack/providers/mine.py:14) failed: "
            "ZeroDivisionError: division by zero",
        ),
        ("size: 5", "2:5: the provider 'mine' (.dstack/providers/mine.py) answered str"),
    ],
)
def test_what_is_refused_has_its_place(own, key, message):
    with pytest.raises(InputError) as caught:
        own(key=key).container("train-1")
    assert str(caught.value) == f".dstack/workflows.yaml:{message}"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nothing_of_the_kind", "mine.py:1) failed: ModuleNotFoundError: No module"),
        ("def f(:", "mine.py:1) failed: SyntaxError: invalid syntax"),
        ("\nraise KeyError('x')", "mine.py:2) failed: KeyError: 'x'"),
        ("import sys\nsys.exit(3)", "mine.py:2) failed: SystemExit: 3"),
        ("x = 1", "mine.py) lacks a pydantic model called Properties and a function container"),
    ],
)
def test_one_that_cannot_be_loaded(own, source, message):
    with pytest.raises(InputError) as caught:
        own(source)
    assert str(caught.value).startswith(".dstack/workflows.yaml:3:15: the provider 'mine' (")
    assert message in str(caught.value)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with the entry points, as pip would have laid it down."""
    site = tmp_path / "site"
    info = site / "acme-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[dstack_cloud.providers]\nacme = acme_good\nbroken = acme_broken\nbash = acme_good\n"
    )
    (site / "acme_good.py").write_text(dedent(GOOD))
    (site / "acme_broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(site))
    yield
    sys.modules.pop("acme_good", None)


def test_an_installed_package(installed, train):
    assert train("size: 6", provider="acme", image="").container("x-1").command == ("6",)


def test_one_that_raises(installed, problem):
    assert str(problem("", provider="broken", image="")) == (
        ".dstack/workflows.yaml:3:15: the provider 'broken' (installed: acme_broken, "
        "acme_broken.py:1) failed: ZeroDivisionError: division by zero"
    )


def test_an_unknown_name_lists_all(installed, write, problem):
    write(GOOD, ".dstack/providers/mine.py")
    error = problem("", provider="mime", image="")
    assert "unknown provider 'mime'; did you mean 'mine'?" in str(error)
    assert error.hint == (
        "providers: bash, code, docker, lab, notebook, python, tensorboard, torchrun, mine, acme, "
        "bash, broken"
    )


def test_packages_are_looked_through_for_unknown_names_only(monkeypatch, train, own):
    def scan():
        raise AssertionError("the packages were looked through")

    monkeypatch.setattr(providers, "_installed", scan)
    train("commands: [a]", provider="bash", image="")
    own()
    with pytest.raises(AssertionError):
        train("", provider="other", image="")
