"""``provider: lab`` runs JupyterLab on the user's code."""

from __future__ import annotations

from dstack_cloud.spec import ContainerSpec, ProviderContext
from dstack_cloud_providers.default_image import OnDefaultImage
from dstack_cloud_providers.jupyter import jupyter

EXAMPLE = """\
workflows:
  - name: lab
    provider: lab
    artifacts:
      - {path: notebooks, mount: true}
    max_duration: 8h
"""


class Properties(OnDefaultImage):
    """Runs JupyterLab on your code. `run` and `attach` forward it to this machine and print its
    address, token included.

    JupyterLab is installed at the start where the image does not bring it. The run goes on until
    it is stopped, by `dstack-cloud stop`, by `max_duration` or `max_cost`, or from JupyterLab's own
    menu. What you change is kept where `artifacts` says so, and nowhere else.
    """


def container(properties: Properties, context: ProviderContext) -> ContainerSpec:
    """JupyterLab, with the working directory as its root."""
    return jupyter(properties, context, package="jupyterlab", command="jupyterlab", page="/lab")
