"""``lab`` and ``notebook``: a server with a token that is in no command line."""

from __future__ import annotations

import pytest
from dstack_cloud_providers import lab, notebook

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
