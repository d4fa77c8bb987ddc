"""The host's own apt settings, gathered into a directory that containers mount.

Where packages come from is the host's business: its mirror, proxy and keys are read from its apt
configuration each time and handed to a build, or to an emulated machine, as read-only mounts.
They are never written into an image or a tracked file.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from moto_fixtures.machine.shell import FixtureError, run

_CA_INSIDE = "/etc/apt/host-ca.crt"
_CA_ON_HOST = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")

_FORMAT = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"


@dataclass(frozen=True)
class Repository:
    """One line of a sources list."""

    uri: str
    suite: str
    components: tuple[str, ...]


@dataclass(frozen=True)
class AptSettings:
    """The host's distribution (``debian``, ``bookworm``), repositories, and options of apt."""

    distribution: str
    codename: str
    repositories: tuple[Repository, ...]
    options: tuple[str, ...]

    @property
    def main(self) -> Repository:
        """The release's own repository, which debootstrap takes."""
        for repository in self.repositories:
            if repository.suite == self.codename:
                return repository
        raise FixtureError(f"the host's apt configuration has no repository of {self.codename}")

    @property
    def proxy(self) -> str | None:
        """The proxy that apt is told to use for http, if any."""
        for option in self.options:
            match = re.fullmatch(r'Acquire::http::Proxy "(.+)";', option, re.IGNORECASE)
            if match and match[1] != "DIRECT":
                return match[1]
        return None


def host_release() -> tuple[str, str]:
    """The host's distribution and release: ``("debian", "bookworm")``."""
    release = _os_release(Path("/etc/os-release").read_text())
    return release.get("ID", ""), release.get("VERSION_CODENAME", "")


def host_settings() -> AptSettings:
    """Read the host's settings with apt's own tools, whatever format its files have."""
    distribution, codename = host_release()
    if distribution not in ("debian", "ubuntu") or shutil.which("apt-get") is None:
        raise FixtureError("the machine image is made with apt and debootstrap: Debian or Ubuntu")
    argv = ["apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages"]
    targets = run(argv).stdout
    if not targets.strip():
        # Without downloaded lists there are no targets with a known origin.
        run(["apt-get", "update", "-q"])
        targets = run(argv).stdout
    return AptSettings(
        distribution=distribution,
        codename=codename,
        repositories=repositories(targets, distribution, codename),
        options=options(run(["apt-config", "dump"]).stdout),
    )


def repositories(targets: str, distribution: str, codename: str) -> tuple[Repository, ...]:
    """The distribution's own repositories out of ``apt-get indextargets``. Pure.

    Third parties' are left out: the emulated machine needs none of them.
    """
    merged: dict[tuple[str, str], list[str]] = {}
    for line in targets.splitlines():
        origin, uri, suite, component = line.split("|")
        known = suite == codename or suite.startswith(f"{codename}-")
        if origin.lower() == distribution and known and "backports" not in suite:
            components = merged.setdefault((uri, suite), [])
            if component not in components:
                components.append(component)
    return tuple(Repository(uri, suite, tuple(c)) for (uri, suite), c in merged.items())


def options(dump: str) -> tuple[str, ...]:
    """The options of ``apt-config dump`` that say how to fetch. Pure."""
    wanted = re.compile(
        r"Acquire::((https?|ftp)(::[\w.:-]+)?::)?"
        r'(Proxy|Verify-Peer|Verify-Host|Check-Valid-Until|Check-Date|Retries|Timeout) ".+";',
        re.IGNORECASE,
    )
    return tuple(line for line in dump.splitlines() if wanted.fullmatch(line))


def sources_list(settings: AptSettings) -> str:
    """One-line style, which every apt reads. Pure."""
    lines = [f"deb {r.uri} {r.suite} {' '.join(r.components)}" for r in settings.repositories]
    return "\n".join(lines) + "\n"


def write(settings: AptSettings, directory: Path) -> list[str]:
    """Write the files and return the ``docker run`` words that mount them."""
    directory.mkdir(parents=True, exist_ok=True)
    conf = [*settings.options, f'Acquire::https::CaInfo "{_CA_INSIDE}";']
    (directory / "sources.list").write_text(sources_list(settings))
    (directory / "apt.conf").write_text("\n".join(conf) + "\n")
    keyrings = directory / "keyrings"
    keyrings.mkdir(exist_ok=True)
    for place in ("/usr/share/keyrings", "/etc/apt/keyrings", "/etc/apt/trusted.gpg.d"):
        for key in Path(place).glob("*.*"):
            if key.suffix in (".gpg", ".asc") and key.is_file():
                shutil.copyfile(key, keyrings / key.name)
    mounts = {
        directory / "sources.list": "/etc/apt/sources.list.d/host.list",
        directory / "apt.conf": "/etc/apt/apt.conf.d/99host",
        keyrings: "/etc/apt/trusted.gpg.d",
    }
    authority = next((Path(path) for path in _CA_ON_HOST if Path(path).exists()), None)
    if authority:
        mounts[authority] = _CA_INSIDE
    # apt reads these as its own unprivileged user, whatever this process's umask is.
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    words = [f"--volume={outside}:{inside}:ro" for outside, inside in mounts.items()]
    proxies = [v for v in ("http_proxy", "https_proxy", "no_proxy") if v in os.environ]
    return words + [f"--env={variable}={os.environ[variable]}" for variable in proxies]


def _os_release(text: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {key: value.strip('"') for key, value in pairs}
