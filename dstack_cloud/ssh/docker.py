"""The ``docker run`` command line of a container spec: pure, returns the arguments only.

``{root}`` and ``{volatile}`` in the value of a ``--volume`` stand for the agent's folders and are
filled in on the machine; anywhere else they are the user's own text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from dstack_cloud.spec import WORKING_DIR, ContainerSpec

PROGRESS_FILE = "/dstack/hours_left"
"""Where the container may say how many hours of work are left, as a number."""


def mount_target(working_dir: str) -> str:
    """Where the user's code and artifacts are in the container.

    ``/workflow``, unless the working directory lies outside of it: then that directory itself.
    """
    inside = working_dir == WORKING_DIR or working_dir.startswith(WORKING_DIR + "/")
    return WORKING_DIR if inside else working_dir


def run_argv(
    spec: ContainerSpec,
    *,
    name: str,
    gpus: int | str = 0,
    labels: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    secrets: Sequence[str] = (),
    memory: int | None = None,
    stop_timeout: int | None = None,
    same_ports: bool = True,
    read_only: Mapping[str, str] | None = None,
    fellows: Mapping[str, str] | None = None,
    hostname: str | None = None,
) -> list[str]:
    """``docker run --detach …`` for ``spec``.

    ``gpus`` is a count or ``all``; ``environment`` goes on top of the spec's own; ``secrets`` are
    names only: the agent has the values in its own environment when it runs this, which, unlike an
    env file, carries values of several lines. ``memory`` is the container's limit in bytes, None
    for none; ``stop_timeout`` seconds is the time a stopping engine leaves the container.
    ``same_ports`` opens the container's ports under their own numbers on the machine; otherwise the
    engine picks free ones. ``read_only`` are folders of the machine and their places in the
    container, which cannot change them. ``fellows`` are the names and addresses of the nodes of an
    attempt on several machines: the container is on its machine's own network then, under its
    ``hostname``, so that it can be reached at every port; its ports need no publishing.
    """
    argv = ["docker", "run", "--detach", "--name", name]
    # The pull is the agent's, with progress and a typed failure; here it would be silent.
    argv += ["--pull", "never"]
    # One init that passes SIGTERM to the whole process group: a shell as the first process would
    # keep it to itself and leave the training program to be killed without notice.
    argv += ["--init", "--env", "TINI_KILL_PROCESS_GROUP=1"]
    # The agent reads the log through the engine, so the driver must be one that keeps it: all of
    # it, and as bytes (json-file replaces what is not UTF-8).
    argv += ["--log-driver", "local", "--log-opt", "max-size=1000t", "--log-opt", "max-file=1"]
    argv += ["--log-opt", "compress=false", "--network", "host" if fellows else "bridge"]
    if fellows:
        # By its name a node finds the interface that the others reach. Without raw packets nothing
        # passes by the machine's firewall, which keeps its credentials.
        argv += ["--hostname", hostname or "", "--cap-drop", "NET_RAW"]
        for name, address in fellows.items():
            argv += ["--add-host", f"{name}:{address}"]
    argv += ["--volume", f"{{root}}/workflow:{mount_target(spec.working_dir)}"]
    argv += ["--volume", f"{{root}}/progress:{PurePosixPath(PROGRESS_FILE).parent}"]
    for folder, target in (read_only or {}).items():
        argv += ["--volume", f"{folder}:{target}:ro"]
    argv += ["--workdir", spec.working_dir]
    if spec.shm_size is not None:
        argv += ["--shm-size", f"{spec.shm_size}b"]
    if memory is not None:
        argv += ["--memory", f"{memory}b"]
    if stop_timeout is not None:
        argv += ["--stop-timeout", str(stop_timeout)]
    if gpus:
        argv += ["--gpus", str(gpus)]
    for key, value in sorted((labels or {}).items()):
        argv += ["--label", f"{key}={value}"]
    for key, value in sorted({**spec.environment, **(environment or {})}.items()):
        argv += ["--env", f"{key}={value}"]
    for key in sorted(secrets):
        argv += ["--env", key]
    for port in () if fellows else spec.ports:
        # Loopback only: application ports are reached through the tunnel, never from outside.
        argv += ["--publish", f"127.0.0.1:{port if same_ports else ''}:{port}"]
    if spec.entrypoint is not None:
        argv += ["--entrypoint", spec.entrypoint]
    return [*argv, spec.image, *spec.command]
