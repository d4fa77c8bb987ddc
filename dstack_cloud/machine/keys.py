"""Ed25519 key pairs in OpenSSH's formats."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class KeyPair:
    """``private`` is the text of an unencrypted OpenSSH private key file; ``public`` is one line,
    ``ssh-ed25519 AAAA…``, with the comment if there is one."""

    private: str = field(repr=False)
    public: str = ""


def generate(comment: str = "") -> KeyPair:
    """A new key pair. Takes some 0.1 ms, the first call about 30 ms for the import."""
    # Imported here: the library is large, and most commands make no key.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return KeyPair(private, f"{public.decode()} {comment}".strip())


def public_of(private: str, comment: str = "") -> str:
    """The public half of an unencrypted OpenSSH private key, as one line.

    Raises ValueError when it is no such key.
    """
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_ssh_private_key(private.encode(), None)
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return f"{public.decode()} {comment}".strip()
