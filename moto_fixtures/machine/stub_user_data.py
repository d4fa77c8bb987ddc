"""User data as a stub reads it: the parts of a cloud-config that cloud-init acts on."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True)
class UserData:
    """What a boot does with it: ``bootcmd`` are argument lists, in their order."""

    bootcmd: list[list[str]]
    host_key_private: str
    host_key_public: str
    authorized_keys: list[str]


def read_user_data(data: bytes) -> UserData | None:
    """The cloud-config, plain or gzipped; None for one that brings no host key of its own, and
    for anything else that user data may be."""
    try:
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
        if not text.startswith("#cloud-config\n"):
            return None
        config: Any = yaml.safe_load(text) or {}
        keys = config["ssh_keys"]
        return UserData(
            bootcmd=[
                ["/bin/sh", "-c", words] if isinstance(words, str) else [str(w) for w in words]
                for words in config.get("bootcmd") or ()
            ],
            host_key_private=keys["ed25519_private"],
            host_key_public=keys["ed25519_public"],
            authorized_keys=list(config.get("ssh_authorized_keys") or ()),
        )
    except (ValueError, OSError, EOFError, KeyError, TypeError, yaml.YAMLError):
        return None
