"""``lab``, ``notebook`` and ``code``: a server with a token that is in no command line."""

from __future__ import annotations

import subprocess

import pytest
from dstack_cloud_providers import code, lab, notebook

from dstack_cloud.errors import InputError
from dstack_cloud.spec import ProviderContext


@pytest.mark.parametrize(
    ("module", "package", "page"), [(lab, "jupyterlab", "/lab"), (notebook, "notebook", "/tree")]
)
def test_a_server_with_a_page(module, package, page):
    spec = module.container(module.Properties(), ProviderContext("x-1", gpus=1, setup=("first",)))
    assert spec.image == "dstackai/miniconda:3.10-cuda-11.1"
    assert (spec.ports, spec.pages) == ((8888,), {8888: f"{page}?token={{token}}"})
    first, install, token, server = spec.command[-1].splitlines()[-4:]
    assert first == "first"
    assert install.endswith(f"pip install -q {package}")
    assert token == 'export JUPYTER_TOKEN="$DSTACK_TOKEN"'
    assert server.startswith(f"exec python3 -m {package} ")


def test_arguments_are_refused():
    with pytest.raises(InputError, match="does not use the arguments"):
        lab.container(lab.Properties(), ProviderContext("x-1", args=("a",)))


def test_vs_code_has_its_token_in_a_file():
    spec = code.container(code.Properties(image="mine"), ProviderContext("x-1", setup=("first",)))
    assert (spec.image, spec.ports, spec.pages) == ("mine", (8010,), {8010: "/?tkn={token}"})
    lines = spec.command[-1].splitlines()
    assert lines[2] == "first"
    assert [line for line in lines if "$DSTACK_TOKEN" in line] == [
        """(umask 077 && printf %s "$DSTACK_TOKEN" > /tmp/.dstack-token)"""
    ]
    assert lines[-1].startswith("exec openvscode-server ")
    assert subprocess.run(["bash", "-n", "-c", spec.command[-1]]).returncode == 0
    with pytest.raises(InputError, match="VS Code does not use the arguments"):
        code.container(code.Properties(), ProviderContext("x-1", args=("a",)))
