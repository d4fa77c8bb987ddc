"""User data: what a machine does by itself before anybody reaches it.

In this order: arm the timer that powers the machine off if no job comes, begin to pull the
container image, on an image that isn't ready install what is missing; and present the SSH host key
that the client has pinned. Everything starts in ``bootcmd``: cloud-init runs it early in the boot,
shell scripts only in its last stage.

``/run/dstack`` on the machine: ``job`` (a job has come), ``heartbeat`` and ``hard_limit`` (seconds
of uptime, written by the agent), ``provisioning`` (the image is being made ready), ``ready`` or
``failed`` (it is, or could not be).
"""

from __future__ import annotations

import gzip
import shlex
from collections.abc import Mapping

from dstack_cloud.clouds.base import MachineImage
from dstack_cloud.errors import InternalError
from dstack_cloud.machine import on_gce

# Bytes. AWS takes few, so there it is compressed; Google's metadata hold text.
MAX_SIZE = {"aws": 16 * 1024, "gcp": 256 * 1024}
PROVISION_LOG = "/var/log/dstack-provision.log"

# Uptime and not the clock: a machine's clock may be set while it boots. Only the shell's own
# words and `sleep`, so that a full disk or a broken Python cannot keep the machine alive. The
# second poweroff is for a system that hangs on its way down.
_DEADMAN = """\
#!/bin/sh
now() { read -r up rest </proc/uptime; up=${up%%.*}; }
end() {
    echo "dstack: $1, powering off" | tee /dev/console 2>/dev/null
@DELETE@    systemctl poweroff
    sleep 90
    systemctl poweroff --force --force
    sleep 30
}
now; start=$up
while :; do
    now
    if [ -e /run/dstack/job ]; then
        beat=''
        read -r beat </run/dstack/heartbeat
        beat=${beat:-$start}
        [ $((up - ${beat%%.*})) -le @HEARTBEAT@ ] || end 'the agent is silent'
    else
        [ $((up - start)) -le @NO_JOB@ ] || end 'no job came'
    fi
    if [ -e /run/dstack/hard_limit ]; then
        limit=''
        read -r limit </run/dstack/hard_limit
        limit=${limit:-$up}
        [ "$up" -le "${limit%%.*}" ] || end 'the time limit has passed'
    fi
    sleep @STEP@
done
"""

# A pull that fails once the engine is there is the agent's to report: it asks again by itself.
# Where the socket is systemd's, the pull waits in it for an engine that still starts.
_PREPULL = """\
#!/bin/sh
tries=0
while [ "$tries" -lt 3 ]; do
    if [ -S /var/run/docker.sock ]; then
        docker pull --quiet "$1" && exit 0
        tries=$((tries + 1))
        sleep 1
    else
        sleep 0.2
    fi
done
"""

_PROVISION = """\
#!/bin/sh
if sh /run/dstack/provision.sh >@LOG@ 2>&1; then
    touch /run/dstack/ready
else
    touch /run/dstack/failed
fi
rm -f /run/dstack/provisioning
"""

# No default dependencies: a unit that has them would wait for the end of the boot stage that
# waits for this very command.
_UNIT = "systemd-run --no-block --quiet --collect --property=DefaultDependencies=no"
_AFTER_NETWORK = "--property=After=network-online.target --property=Wants=network-online.target"

# Where powering off is not enough. Whatever becomes of it, the machine is powered off after it.
_DELETE = "    timeout -k 5 60 python3 /run/dstack/delete.py\n"


def _heredoc(path: str, text: str) -> str:
    end = "DSTACK_END"
    if end in text.splitlines():
        raise InternalError(f"{path} holds the line {end}")
    return f"cat >{path} <<'{end}'\n{text.rstrip()}\n{end}\n"


def _boot_script(
    image: MachineImage,
    no_job: int,
    heartbeat: int,
    prepull: str | None,
    provision: str | None,
    settings: Mapping[str, str],
    cloud: str,
    endpoints: Mapping[str, str | None],
) -> str:
    """The one shell script that ``bootcmd`` runs."""
    google = cloud == "gcp"
    deadman = (
        _DEADMAN.replace("@NO_JOB@", str(no_job))
        .replace("@DELETE@", _DELETE if google else "")
        .replace("@HEARTBEAT@", str(heartbeat))
        .replace("@STEP@", "5" if min(no_job, heartbeat) > 30 else "1")
    )
    parts = ["mkdir -p /run/dstack\n"]
    if google:
        program = on_gce.delete_program(endpoints.get("compute"))
        parts += [_heredoc("/run/dstack/delete.py", program)]
    parts += [
        _heredoc("/run/dstack/deadman.sh", deadman),
        f"{_UNIT} --unit=dstack-deadman --property=Restart=always"
        " --property=OOMScoreAdjust=-1000 /bin/sh /run/dstack/deadman.sh\n",
        on_gce.KEEP_HOST_KEY if google else "",
    ]
    if provision is None:
        parts.append("touch /run/dstack/ready\n")
    else:
        # The clouds' deep learning images have driver and Docker, but no rclone.
        there = "command -v dockerd && command -v rclone" if image.ready else "false"
        parts += [
            f"if {{ {there}; }} >/dev/null 2>&1; then\ntouch /run/dstack/ready\nelse\n",
            "touch /run/dstack/provisioning\n",
            _heredoc("/run/dstack/provision.sh", provision),
            _heredoc("/run/dstack/make-ready.sh", _PROVISION.replace("@LOG@", PROVISION_LOG)),
            f"{_UNIT} --unit=dstack-provision {_AFTER_NETWORK}"
            f" --setenv=NVIDIA_DRIVER={image.driver or 'none'}"
            + "".join(f" --setenv={shlex.quote(f'{k}={v}')}" for k, v in settings.items())
            + " /bin/sh /run/dstack/make-ready.sh\nfi\n",
        ]
    if prepull is not None:
        parts += [
            _heredoc("/run/dstack/prepull.sh", _PREPULL),
            f"{_UNIT} --unit=dstack-prepull {_AFTER_NETWORK}"
            f" /bin/sh /run/dstack/prepull.sh {shlex.quote(prepull)}\n",
        ]
    return "".join(parts)


def _block(text: str, indent: int) -> str:
    """``text`` as the body of a YAML literal block."""
    pad = " " * indent
    return "".join(f"{pad}{line}\n" if line else "\n" for line in text.splitlines())


def cloud_config(
    image: MachineImage,
    *,
    host_key_private: str,
    host_key_public: str,
    authorized_key: str,
    no_job: int,
    heartbeat: int,
    prepull: str | None = None,
    provision: str | None = None,
    settings: Mapping[str, str] | None = None,
    cloud: str = "aws",
    endpoints: Mapping[str, str | None] | None = None,
) -> str:
    """The cloud-config document, before compression; see `user_data`."""
    boot = _boot_script(
        image, no_job, heartbeat, prepull, provision, settings or {}, cloud, endpoints or {}
    )
    return (
        "#cloud-config\n"
        "bootcmd:\n"
        "  - - /bin/sh\n"
        "    - -c\n"
        "    - |\n"
        f"{_block(boot, 6)}"
        # Only this key: making others takes time, and would be offered to a client that pinned
        # this one.
        "ssh_deletekeys: true\n"
        "ssh_keys:\n"
        "  ed25519_private: |\n"
        f"{_block(host_key_private, 4)}"
        f'  ed25519_public: "{host_key_public.strip()}"\n'
        "ssh_authorized_keys:\n"
        f'  - "{authorized_key.strip()}"\n'
        "ssh_pwauth: false\n"
        "ssh: {emit_keys_to_console: false}\n"
        "no_ssh_fingerprints: true\n"
        "package_update: false\n"
        "package_upgrade: false\n"
    )


def user_data(
    image: MachineImage,
    *,
    host_key_private: str,
    host_key_public: str,
    authorized_key: str,
    no_job: int,
    heartbeat: int,
    prepull: str | None = None,
    provision: str | None = None,
    settings: Mapping[str, str] | None = None,
    cloud: str = "aws",
    endpoints: Mapping[str, str | None] | None = None,
) -> bytes:
    """User data for a machine of ``cloud`` that boots ``image``: cloud-config, gzipped for AWS
    and as text for Google Cloud, at most `MAX_SIZE`.

    ``no_job`` and ``heartbeat`` are seconds (see the dead-man timer above); ``prepull`` is the
    container image to pull at boot, ``provision`` the text of the provisioning script, used
    where the image isn't ready, or lacks what all of them need, ``settings`` more of its
    environment, ``endpoints`` overrides of the cloud's service addresses. The host's private key
    is the one secret in it, and is replaced right after the first connection. Raises InternalError
    when the result is larger than what a cloud accepts.
    """
    text = cloud_config(
        image,
        host_key_private=host_key_private,
        host_key_public=host_key_public,
        authorized_key=authorized_key,
        no_job=no_job,
        heartbeat=heartbeat,
        prepull=prepull,
        provision=provision,
        settings=settings,
        cloud=cloud,
        endpoints=endpoints,
    )
    data = text.encode()
    if cloud == "aws":
        data = gzip.compress(data, compresslevel=9, mtime=0)
    if len(data) > MAX_SIZE[cloud]:
        raise InternalError(f"the user data has {len(data)} bytes, more than {MAX_SIZE[cloud]}")
    return data


def provision_script() -> str:
    """The text of the provisioning script that ships with the product."""
    from pathlib import Path

    return (Path(__file__).parent / "provision.sh").read_text()
