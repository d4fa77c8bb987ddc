"""How a container must be run for systemd and Docker to work inside it. Pure.

``--privileged`` is not used: some hosts refuse it, and it would show the host's devices to the
machine's systemd. The capabilities named here suffice; those that the host lacks are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from moto_fixtures.machine.shell import docker

# Capability to its bit, include/uapi/linux/capability.h.
_WANTED = {
    "DAC_READ_SEARCH": 2,
    "LINUX_IMMUTABLE": 9,
    "NET_ADMIN": 12,
    "NET_RAW": 13,
    "IPC_LOCK": 14,
    "SYS_MODULE": 16,
    "SYS_CHROOT": 18,
    "SYS_PTRACE": 19,
    "SYS_ADMIN": 21,
    "SYS_BOOT": 22,
    "SYS_NICE": 23,
    "SYS_RESOURCE": 24,
    "SYS_TIME": 25,
    "MKNOD": 27,
    "AUDIT_WRITE": 29,
    "SETFCAP": 31,
    "SYSLOG": 34,
}


@dataclass(frozen=True)
class Host:
    """What of the host decides how machines are run."""

    cgroup_version: int
    capabilities: int
    """The bounding set, as in ``CapBnd`` of /proc/self/status."""
    fuse: bool


def host() -> Host:
    """Look at this host and its engine."""
    status = Path("/proc/self/status").read_text()
    bounding = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    return Host(
        cgroup_version=int(docker("info", "--format", "{{.CgroupVersion}}") or "1"),
        capabilities=int(bounding.split()[1], 16),
        fuse=Path("/dev/fuse").exists(),
    )


def systemd_words(host: Host) -> list[str]:
    """The words of ``docker run`` before the image."""
    words = [f"--cap-add={c}" for c, bit in _WANTED.items() if host.capabilities >> bit & 1]
    profiles = ("seccomp", "apparmor", "systempaths")
    words += [f"--security-opt={profile}=unconfined" for profile in profiles]
    words += ["--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp:exec", "--env=container=docker"]
    # A volume, because an overlay file system cannot be the upper layer of another.
    words += ["--volume=/var/lib/docker", "--volume=/var/lib/containerd"]
    if host.fuse:
        words.append("--device=/dev/fuse")
    if host.cgroup_version == 1:
        words += ["--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw"]
    else:
        words.append("--cgroupns=private")
    return words


def init_words(host: Host) -> list[str]:
    """The command of the container: systemd as process 1."""
    if host.cgroup_version == 1:
        return ["/sbin/init"]
    # An unprivileged container gets its cgroup tree read-only; systemd needs to write there.
    return ["/bin/sh", "-c", "mount -o remount,rw /sys/fs/cgroup; exec /sbin/init"]
