"""What `lab` and `notebook` share: a Jupyter server in the container, with a token."""

from __future__ import annotations

from dataclasses import replace

from dstack_cloud.spec import TOKEN, ContainerSpec, ProviderContext
from dstack_cloud_providers.default_image import OnDefaultImage, in_bash

PORT = 8888


def jupyter(
    properties: OnDefaultImage, context: ProviderContext, *, package: str, command: str, page: str
) -> ContainerSpec:
    """The server of ``package``, installed where the image does not bring it."""
    context.refuse_args("a Jupyter server does")
    lines = [
        f"python3 -c 'import {package}' 2>/dev/null || python3 -m pip install -q {package}",
        # By the environment: the command line of a process can be read by others.
        f'export JUPYTER_TOKEN="${TOKEN}"',
        f"exec python3 -m {command} --no-browser --allow-root --ip=0.0.0.0 --port={PORT} "
        "--ServerApp.port_retries=0",
    ]
    spec = in_bash(properties, context, lines)
    return replace(spec, ports=(PORT,), pages={PORT: f"{page}?token={{token}}"})
