"""``provider: code`` runs VS Code, for the browser, on the user's code."""

from __future__ import annotations

from dataclasses import replace

from dstack_cloud.spec import TOKEN, ContainerSpec, ProviderContext
from dstack_cloud_providers.default_image import OnDefaultImage, in_bash

EXAMPLE = """\
workflows:
  - name: code
    provider: code
    artifacts:
      - {path: output, mount: true}
    resources:
      gpu: 1
    max_duration: 8h
"""
PORT = 8010
_RELEASE = "openvscode-server-v1.109.5"
_ARCHIVE = (
    "https://github.com/gitpod-io/openvscode-server/releases/download/"
    f"{_RELEASE}/{_RELEASE}-linux-x64.tar.gz"
)
# Python is there for certain; curl and wget are not.
_FETCH = (
    "import tarfile, urllib.request; "
    f"tarfile.open(fileobj=urllib.request.urlopen('{_ARCHIVE}'), mode='r|gz').extractall('/opt')"
)


class Properties(OnDefaultImage):
    """Runs VS Code for the browser (`openvscode-server`) on your code. `run` and `attach` forward
    it to this machine and print its address, token included.

    The server is fetched at the start where the image has no `openvscode-server`. The run goes on
    until it is stopped, by `dstack-cloud stop`, `max_duration` or `max_cost`. What you change is
    kept where `artifacts` says so, and nowhere else.
    """


def container(properties: Properties, context: ProviderContext) -> ContainerSpec:
    """The server, with the working directory as its folder."""
    context.refuse_args("VS Code does")
    token = "/tmp/.dstack-token"
    lines = [
        f'export PATH="$PATH:/opt/{_RELEASE}-linux-x64/bin"',
        f'command -v openvscode-server >/dev/null || python3 -c "{_FETCH}"',
        # In a file: the command line of a process can be read by others.
        f'(umask 077 && printf %s "${TOKEN}" > {token})',
        f"exec openvscode-server --host 0.0.0.0 --port {PORT} --connection-token-file {token} "
        '--accept-server-license-terms --telemetry-level off --default-folder "$PWD"',
    ]
    spec = in_bash(properties, context, lines)
    return replace(spec, ports=(PORT,), pages={PORT: "/?tkn={token}"})
