"""Clients that joined a run: their public keys, which the agent lets in."""

from __future__ import annotations

import base64
import binascii
import hashlib

from dstack_cloud.errors import InputError
from dstack_cloud.state import keys
from dstack_cloud.state.documents import together
from dstack_cloud.storage.base import Store


def fingerprint(public_key: str) -> str:
    """OpenSSH's SHA-256 fingerprint (base64 without padding) of ``TYPE BASE64 [COMMENT]``.

    InputError for anything else.
    """
    words = public_key.split()
    try:
        if "\n" in public_key.strip():
            raise ValueError
        blob = base64.b64decode(words[1], validate=True)
        length = int.from_bytes(blob[:4], "big")
        if blob[4 : 4 + length].decode("ascii") != words[0]:
            raise ValueError
    except (IndexError, ValueError, binascii.Error):
        raise InputError("not a public SSH key", "it looks like: ssh-ed25519 AAAA… name") from None
    return base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def join(store: Store, run: str, public_key: str) -> str:
    """Put the client's public key where the run's agent finds it; its fingerprint."""
    name = fingerprint(public_key)
    store.put(keys.client(run, name), f"{public_key.strip()}\n".encode())
    return name


def joined(store: Store, run: str) -> list[str]:
    """The public keys of all clients that joined."""
    names = [row.key for row in store.list(keys.clients(run))]
    found = together(store.get, names)
    return [item.data.decode().strip() for item in found if item is not None]
