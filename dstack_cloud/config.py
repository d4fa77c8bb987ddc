"""The configuration file: which clouds, which stores, which settings of the user's account.

    aws:    {store: s3://NAME, regions: [], image: AMI, baked: true, profile, subnets: [],
             security_groups: [], public_ip: true, jump_host: "[user@]host[:port]",
             role: INSTANCE_PROFILE, toolkit_repository: URL, toolkit_key: URL}
    gcp:    {store: gs://NAME, regions: [], image: PROJECT/IMAGE, baked: true, project, network,
             subnetwork, network_tags: [], public_ip: true, jump_host: "[user@]host[:port]",
             service_account, toolkit_repository: URL, toolkit_key: URL}
    local:  {store: FOLDER, image}
    timers: {no_job: 10m, heartbeat: 2m, pull_stall: 5m, restart: 6m}
    container_image: IMAGE

The file is ``$DSTACK_CLOUD_CONFIG``, else ``~/.config/dstack-cloud/config.yaml``. One that is not
there is an empty one: the local cloud needs none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from dstack_cloud.errors import InputError
from dstack_cloud.nearest import did_you_mean
from dstack_cloud.units import parse_duration
from dstack_cloud.yaml_lines import Node, load_yaml

MACHINE_ROLE = "dstack-cloud-machine"
_IMAGE = "container_image"
_LONGEST_LEASE_S = 20.0


@dataclass(frozen=True)
class AwsConfig:
    """``image`` is an AMI; with ``baked`` one of `images build` is taken where none is named;
    ``role`` names the instance profile and role of the machines;
    ``toolkit_repository`` and ``toolkit_key`` are where the apt repository of NVIDIA's container
    toolkit and its key are, for GPU machines that start from a stock image."""

    store: str | None = None
    regions: tuple[str, ...] = ()
    image: str | None = None
    baked: bool = True
    profile: str | None = None
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    public_ip: bool = True
    jump_host: str | None = None
    role: str = MACHINE_ROLE
    toolkit_repository: str | None = None
    toolkit_key: str | None = None


@dataclass(frozen=True)
class GcpConfig:
    """``image`` is a machine image, as ``PROJECT/IMAGE`` or ``PROJECT/family/FAMILY``; ``network``
    and ``subnetwork`` are names, as ``PROJECT/NAME`` those of a shared VPC; ``network_tags`` are
    those of the user's own firewall rules; ``service_account`` is the machines'; for the toolkit
    see `AwsConfig`."""

    store: str | None = None
    regions: tuple[str, ...] = ()
    image: str | None = None
    baked: bool = True
    project: str | None = None
    network: str | None = None
    subnetwork: str | None = None
    network_tags: tuple[str, ...] = ()
    public_ip: bool = True
    jump_host: str | None = None
    service_account: str = MACHINE_ROLE
    toolkit_repository: str | None = None
    toolkit_key: str | None = None


@dataclass(frozen=True)
class LocalConfig:
    """``store`` is an absolute folder; ``image`` the default container image."""

    store: str
    image: str | None = None


@dataclass(frozen=True)
class Timers:
    """Seconds after which a machine ends itself: without a job, without a sign of its agent, with
    an image that is being pulled and makes no progress. ``restart`` is what it takes from the call
    for a machine until its container works: what a deadline reckons with at least."""

    no_job: int = 600
    heartbeat: int = 120
    pull_stall: int = 300
    restart: int = 360

    @property
    def lease(self) -> float:
        """Seconds after which a client that launches a machine and gives no sign is taken to be
        gone: a sixth of the heartbeat, and no more than 20."""
        return min(_LONGEST_LEASE_S, self.heartbeat / 6)


@dataclass(frozen=True)
class Config:
    """All of the file; a cloud that it doesn't mention is None, except the local one.

    ``container_image`` is what workflows run on that name no image: see `image_on`.
    """

    file: Path
    local: LocalConfig
    aws: AwsConfig | None = None
    gcp: GcpConfig | None = None
    timers: Timers = field(default_factory=Timers)
    container_image: str | None = None

    def image_on(self, cloud: str) -> str | None:
        """The container image of workflows that name none, where another than the published one is
        set for this cloud."""
        own = self.local.image if cloud == "local" else None
        return own or self.container_image

    def section(self, cloud: str) -> AwsConfig | GcpConfig | None:
        """The section of a cloud; None for the local one, which has no account."""
        return self.aws if cloud == "aws" else self.gcp if cloud == "gcp" else None

    def public_ip(self, cloud: str) -> bool:
        """Whether machines get a public address."""
        section = self.section(cloud)
        return section.public_ip if section else True

    @property
    def stores(self) -> dict[str, str]:
        """Store URL by cloud, of every cloud that has one."""
        sections = {"aws": self.aws, "gcp": self.gcp, "local": self.local}
        return {name: cloud.store for name, cloud in sections.items() if cloud and cloud.store}

    @property
    def accounts(self) -> dict[str, str | None]:
        """What tells the caller's accounts apart: the profile on AWS, the project on GCP."""
        return {
            "aws": self.aws.profile if self.aws else None,
            "gcp": self.gcp.project if self.gcp else None,
        }


def config_file(environ: Mapping[str, str] | None = None) -> Path:
    """Where the configuration is, whether it exists or not."""
    environ = os.environ if environ is None else environ
    if named := environ.get("DSTACK_CLOUD_CONFIG"):
        return Path(named).expanduser().absolute()
    return _home(environ) / ".config" / "dstack-cloud" / "config.yaml"


def load(environ: Mapping[str, str] | None = None) -> Config:
    """The configuration. InputError with file, line and column for whatever is wrong in it."""
    environ = os.environ if environ is None else environ
    file = config_file(environ)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except UnicodeDecodeError:
        raise InputError("the file is not UTF-8 text", file=str(file)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(file)) from None
    return parse(text, file, environ)


def parse(text: str, file: Path, environ: Mapping[str, str]) -> Config:
    """The configuration that ``text`` says; ``file`` is where it is (or would be)."""
    root = load_yaml(text, str(file))
    sections = {"aws": AwsConfig, "gcp": GcpConfig, "local": LocalConfig, "timers": Timers}
    values = _mapping(root, [*sections, _IMAGE], "the configuration")
    aws, gcp, local, timers = (
        _section(root, name, kind) if name in values else None for name, kind in sections.items()
    )
    default_store = str(_data_home(environ) / "dstack-cloud" / "store")
    local_store = (local or {}).get("store", default_store)
    return Config(
        file=file,
        local=LocalConfig(
            store=str(_path(local_store, file, environ)), image=(local or {}).get("image")
        ),
        aws=None if aws is None else AwsConfig(**aws),
        gcp=None if gcp is None else GcpConfig(**gcp),
        timers=Timers(**(timers or {})),
        container_image=_text(values[_IMAGE]) if _IMAGE in values else None,
    )


def client_key(config: Config) -> Path:
    """Where this client's private SSH key is, or will be: beside the configuration."""
    return config.file.parent / "id_ed25519"


def owner(environ: Mapping[str, str] | None = None) -> str:
    """``user@host`` of the caller, in what every cloud's tags accept: the same on every call."""
    import getpass
    import socket

    environ = os.environ if environ is None else environ
    user = environ.get("USER") or environ.get("LOGNAME")
    if not user:
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a user ID without an entry in the passwd file
            user = str(os.getuid())
    name = f"{user}@{socket.gethostname().split('.')[0]}".lower()
    return re.sub(r"[^a-z0-9@._-]+", "-", name)[:63]


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home())


def _data_home(environ: Mapping[str, str]) -> Path:
    named = environ.get("XDG_DATA_HOME", "")
    return Path(named) if named.startswith("/") else _home(environ) / ".local" / "share"


def _path(text: str, file: Path, environ: Mapping[str, str]) -> Path:
    """``~`` is the home folder; a relative path is relative to the file that names it."""
    if text == "~" or text.startswith("~/"):
        return _home(environ) / text[2:]
    return file.parent / Path(text)


def _mapping(node: Node, known: Collection[str], name: str) -> dict[str, Node]:
    if node.data is None:
        return {}
    if not isinstance(node.data, dict):
        raise node.error(f"{name} must be a mapping of {', '.join(known)}")
    for key in node.data:
        if key not in known:
            raise node.error(
                f"unknown key '{key}' in {name}{did_you_mean(key, known)}",
                f"known keys: {', '.join(known)}",
                path=(key,),
                key=True,
            )
    return node.data


def _section(root: Node, name: str, kind: type) -> dict[str, Any]:
    """What the section sets, by field of ``kind``; a key without a value sets nothing."""
    known: dict[str, Field[Any]] = {item.name: item for item in fields(kind)}
    values = _mapping(root.at((name,)), known, f"'{name}'")
    return {
        key: _reader(name, key, str(known[key].type))(node)
        for key, node in values.items()
        if node.data is not None
    }


def _reader(section: str, key: str, kind: str) -> Callable[[Node], Any]:
    if (section, key) in _SPECIAL:
        return _SPECIAL[section, key]
    return _READERS[kind]


def _text(node: Node) -> str:
    if not isinstance(node.data, str | int | float) or isinstance(node.data, bool):
        raise node.error("a text is expected here")
    if not node.text or not node.text.strip():
        raise node.error("an empty text means nothing here", "leave the key out")
    return node.text


def _texts(node: Node) -> tuple[str, ...]:
    if isinstance(node.data, list):
        return tuple(_text(item) for item in node.data)
    return (_text(node),)


def _flag(node: Node) -> bool:
    if not isinstance(node.data, bool):
        raise node.error("true or false is expected here")
    return node.data


def _seconds(node: Node) -> int:
    try:
        seconds = parse_duration(_text(node))
    except ValueError as error:
        raise node.error(str(error)) from None
    if seconds < 1:
        raise node.error("a timer takes at least a second")
    return seconds


def _bucket(scheme: str) -> Callable[[Node], str]:
    def read(node: Node) -> str:
        url = _text(node).rstrip("/")
        if not url.startswith(f"{scheme}://") or url == f"{scheme}:":
            raise node.error(f"'{url}' is not a store of this cloud", f"write {scheme}://NAME")
        return url

    return read


def _folder(node: Node) -> str:
    text = _text(node)
    if "://" in text:
        raise node.error(f"'{text}' is not a folder", "the local cloud's store is a path")
    return text


_READERS: dict[str, Callable[[Node], Any]] = {
    "str": _text,
    "str | None": _text,
    "tuple[str, ...]": _texts,
    "bool": _flag,
    "int": _seconds,
}
_SPECIAL: dict[tuple[str, str], Callable[[Node], Any]] = {
    ("aws", "store"): _bucket("s3"),
    ("gcp", "store"): _bucket("gs"),
    ("local", "store"): _folder,
}


def local_machines(config: Config) -> Path:
    """Where the local cloud's machines (folders) are: for each store a place of its own."""
    import hashlib

    store = hashlib.sha256(config.local.store.encode()).hexdigest()[:8]
    named = os.environ.get("XDG_STATE_HOME", "")
    home = Path(named) if named.startswith("/") else Path.home() / ".local" / "state"
    return home / "dstack-cloud" / "machines" / store


def endpoints(name: str, environ: Mapping[str, str] | None = None) -> dict[str, str | None]:
    """Address overrides that machines must use, too, by the SDK's own variables."""
    environ = os.environ if environ is None else environ
    if name == "aws":
        everywhere = environ.get("AWS_ENDPOINT_URL")
        return {
            service: environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or everywhere
            for service in ("s3", "ec2", "ecr", "sts")
        }
    if name == "gcp":
        return {
            "compute": environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"),
            "storage": environ.get("STORAGE_EMULATOR_HOST"),
            "iamcredentials": environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS"),
        }
    return {}


def provisioning(config: Config, name: str) -> dict[str, str]:
    """Settings of the provisioning script, by the names that it knows."""
    section = config.section(name)
    if section is None:
        return {}
    given = {
        "NVIDIA_TOOLKIT_REPOSITORY": section.toolkit_repository,
        "NVIDIA_TOOLKIT_KEY": section.toolkit_key,
    }
    return {key: value for key, value in given.items() if value is not None}
