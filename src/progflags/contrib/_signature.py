"""Signatures of documents: Ed25519 by `cryptography`, as `openssl pkeyutl -sign -rawin` writes them."""

from __future__ import annotations

from base64 import b64decode
from typing import Any, Final

from progflags.errors import missing

__all__ = ["PublicKey", "public_key"]

_LONGEST: Final = 4_096  # bytes that a signature in base64 may have, line breaks included


class PublicKey:
    """Knows what its owner has signed."""

    def __init__(self, key: Any, invalid: type[Exception]) -> None:
        self._key = key
        self._invalid = invalid

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Whether `signature`, in base64, is the owner's of just this `text`."""
        try:
            self._key.verify(b64decode(signature[:_LONGEST]), text)
        except (self._invalid, ValueError):
            return False
        return True


def public_key(key: str | bytes) -> PublicKey:
    """
    The key in PEM, or in base64 of its 32 bytes.

    Raises:
        ValueError: it is neither.
        MissingExtraError: `cryptography` is not installed.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise missing(error, "cryptography", "cryptography", "http") from error
    text = key.encode() if isinstance(key, str) else key
    try:
        found = load_pem_public_key(text) if b"-----BEGIN" in text else Ed25519PublicKey.from_public_bytes(b64decode(text, validate=True))
    except ValueError:
        found = None
    if not isinstance(found, Ed25519PublicKey):
        raise ValueError("key is an Ed25519 public key: PEM, or its 32 bytes in base64")  # noqa: TRY004 - a key of another kind is a wrong value
    return PublicKey(found, InvalidSignature)
