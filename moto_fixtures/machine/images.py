"""The images that emulated machines boot from, made once and kept as Docker images.

base    a bare Debian or Ubuntu of the host's own release
stock   base made bootable: stands for a cloud's stock Ubuntu image
ready   stock after ``dstack_cloud/machine/provision.sh``: stands for the Deep Learning Base AMI
gce_*   stock and ready as Google's images differ from Amazon's: a thin layer each
conda   base after ``images/containers/install.sh``: the providers' default image

Each is tagged with a digest of what it is made from, so a changed recipe makes a new image.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from moto_fixtures.machine import apt
from moto_fixtures.machine.paths import LABEL
from moto_fixtures.machine.shell import FixtureError, docker, run, say

_RECIPES = Path(__file__).parent / "recipe"
_PROVISION = Path(__file__).parents[2] / "dstack_cloud" / "machine" / "provision.sh"
_CONTAINERS = Path(__file__).parents[2] / "images" / "containers"
_PULL_PATIENCE = 90
"""Seconds that a registry gets to deliver a base image before debootstrap is used instead."""


@dataclass(frozen=True)
class Images:
    """Docker image references."""

    base: str
    stock: str
    ready: str
    gce_stock: str
    gce_ready: str
    conda: str

    def all(self) -> list[str]:
        return [self.base, self.stock, self.ready, self.gce_stock, self.gce_ready, self.conda]


def references(codename: str) -> Images:
    """The names of the images for this release and these recipes; whether made or not."""
    base = _digest(codename, "base-1")
    stock = _digest(base, (_RECIPES / "stock.sh").read_text())
    ready = _digest(stock, (_RECIPES / "ready.sh").read_text(), _PROVISION.read_text())
    conda = _digest(base, (_CONTAINERS / "install.sh").read_text())
    gce = (_RECIPES / "gce.sh").read_text()
    return Images(
        base=f"{LABEL}/base:{base}",
        stock=f"{LABEL}/stock:{stock}",
        ready=f"{LABEL}/ready:{ready}",
        gce_stock=f"{LABEL}/gce-stock:{_digest(stock, gce)}",
        gce_ready=f"{LABEL}/gce-ready:{_digest(ready, gce)}",
        conda=f"{LABEL}/conda:{conda}",
    )


def ensure() -> Images:
    """Make whichever images are absent and return their references.

    Raises FixtureError where the host is neither Debian nor Ubuntu, or a step fails.
    """
    images = references(apt.host_release()[1])
    if all(_exists(image) for image in images.all()):
        return images
    settings = apt.host_settings()
    with tempfile.TemporaryDirectory(prefix="dcf-build-") as scratch:
        words = apt.write(settings, Path(scratch) / "apt")
        if not _exists(images.base):
            _make_base(images.base, settings, Path(scratch))
        for image, parent, recipe in (
            (images.stock, images.base, "stock.sh"),
            (images.ready, images.stock, "ready.sh"),
            (images.gce_stock, images.stock, "gce.sh"),
            (images.gce_ready, images.ready, "gce.sh"),
            (images.conda, images.base, "install.sh"),
        ):
            if not _exists(image):
                _make(image, parent, recipe, words)
    _remove_superseded(images)
    return images


def pulled(official: str) -> bool:
    """Whether a registry that the host's engine knows delivers this image."""
    argv = ["docker", "pull", "-q", official]
    try:
        return run(argv, check=False, timeout=_PULL_PATIENCE).returncode == 0
    except FixtureError:
        return False


def _remove_superseded(images: Images) -> None:
    """Images of earlier recipes; those that a machine still runs on stay."""
    listed = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"{LABEL}/*").split()
    for image in set(listed) - set(images.all()):
        docker("image", "rm", image, check=False)


def remove_all() -> None:
    """Remove every image made here."""
    for image in docker("image", "ls", "-q", "--filter", f"label={LABEL}").split():
        docker("image", "rm", "--force", image, check=False)


def _make_base(image: str, settings: apt.AptSettings, scratch: Path) -> None:
    official = f"{settings.distribution}:{settings.codename}"
    say(f"machine image: pulling {official}, if a registry is reachable")
    if pulled(official):
        docker("tag", official, image)
        return
    if shutil.which("debootstrap") is None:
        raise FixtureError("no registry is reachable and debootstrap is absent")
    say(f"machine image: none is; debootstrap {settings.codename} (about 40 s)")
    root = scratch / "root"
    env = None if settings.proxy is None else {"http_proxy": settings.proxy}
    keyring = Path(f"/usr/share/keyrings/{settings.distribution}-archive-keyring.gpg")
    run(
        [
            *("env", *(f"{k}={v}" for k, v in (env or {}).items())),
            *("debootstrap", "--variant=minbase"),
            *((f"--keyring={keyring}",) if keyring.exists() else ()),
            f"--components={','.join(settings.main.components)}",
            *(settings.codename, root, settings.main.uri),
        ]
    )
    _slim(root)
    pack = f"tar --numeric-owner --one-file-system -C '{root}' -c . | docker import"
    pack += f" --change 'LABEL {LABEL}=image' --change 'CMD [\"/bin/bash\"]' - '{image}'"
    run(["sh", "-c", pack])


def _slim(root: Path) -> None:
    """Drop what no container reads: half of the size, and of each pull."""
    for place in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info"):
        shutil.rmtree(root / place, ignore_errors=True)
    for place in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
        for path in (root / place).rglob("*"):
            if path.is_file():
                path.unlink()
    # Packages' pages are left out of later installations too, and nothing waits for the disk.
    (root / "etc/dpkg/dpkg.cfg.d/slim").write_text(
        "path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\n"
        "path-exclude=/usr/share/locale/*\nforce-unsafe-io\n"
    )
    # The mirror is the host's business (see apt.py): no image names one.
    (root / "etc/apt/sources.list").write_text("")


def _make(image: str, parent: str, recipe: str, apt_words: list[str]) -> None:
    """Run a recipe in a container of ``parent`` and keep the result as ``image``."""
    say(f"machine image: {image.split(':')[0].split('/')[1]} ({recipe})")
    name = f"dcf-build-{image.rsplit(':', 1)[1]}"
    folder = _RECIPES if (_RECIPES / recipe).exists() else _CONTAINERS
    docker("rm", "--force", name, check=False)
    try:
        docker(
            *("run", "--name", name, "--label", f"{LABEL}=build", "--network=host"),
            *apt_words,
            *("--volume", f"{folder}:/recipe:ro"),
            *("--volume", f"{_PROVISION}:/recipe-provision.sh:ro"),
            *(parent, "bash", f"/recipe/{recipe}"),
        )
        docker(
            *("commit", "--change", f"LABEL {LABEL}=image", "--change", 'CMD ["/bin/bash"]'),
            *(name, image),
        )
    finally:
        docker("rm", "--force", name, check=False)


def _exists(image: str) -> bool:
    return run(["docker", "image", "inspect", image], check=False).returncode == 0


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
