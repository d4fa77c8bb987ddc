"""``provider: tensorboard`` shows the event files of other runs, while they run."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from dstack_cloud.spec import RUNS_DIR, ContainerSpec, ProviderContext
from dstack_cloud_providers.default_image import OnDefaultImage, in_bash

EXAMPLE = """\
workflows:
  - name: board
    provider: tensorboard
    runs: [train, baseline-3]
    max_duration: 8h
"""
PORT = 6006
# What TensorBoard itself goes by.
_EVENT_FILES = "*tfevents*"


class Properties(OnDefaultImage):
    """Runs TensorBoard over the artifacts of other runs, and shows what they write while they run:
    their event files (those with `tfevents` in their names) are looked for in the store every few
    seconds. Give the workflows that write them the artifact's folder with `mount: true`, for their
    files to be there before the end. `run` and `attach` forward TensorBoard to this machine and
    print its address.

    TensorBoard is installed at the start where the image does not bring it. It asks for no
    password: whoever uses this machine may look. It runs on a machine of its own, until it is
    stopped, by `dstack-cloud stop`, by `max_duration` or `max_cost`.
    """

    runs: list[str] = Field(
        min_length=1,
        description="Names of runs, and of workflows, each of which stands for its latest run, "
        "ended or not, at the time when this one is started.",
    )


def container(properties: Properties, context: ProviderContext) -> ContainerSpec:
    """TensorBoard, with a folder for each run."""
    context.refuse_args("TensorBoard does")
    lines = [
        # Releases for older Pythons need what setuptools has had until then.
        "python3 -c 'import tensorboard' 2>/dev/null || "
        "python3 -m pip install -q tensorboard 'setuptools<81'",
        f"exec python3 -m tensorboard.main --logdir {RUNS_DIR} --host 0.0.0.0 --port {PORT} "
        "--reload_interval 5",
    ]
    spec = in_bash(properties, context, lines)
    return replace(
        spec,
        ports=(PORT,),
        pages={PORT: "/"},
        shown_runs=tuple(properties.runs),
        shown_files=(_EVENT_FILES,),
    )
