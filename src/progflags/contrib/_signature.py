"""
Signatures of documents: Ed25519 by `cryptography`, as `openssl pkeyutl -sign -rawin` writes them.

A flag file's is beside it, for people write it with whatever they have. A snapshot has its own inside, as its last key, so that a document
and a signature of different moments are never met: `{…,"signature":"…"}` is signed as the same bytes without that key.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from importlib import import_module
from typing import Any, Final

from progflags.errors import missing

__all__ = ["PrivateKey", "PublicKey", "private_key", "public_key", "sealed", "unsealed"]

_LONGEST: Final = 4_096  # bytes that a signature in base64 may have, line breaks included
_SEAL: Final = b',"signature":"'


class PublicKey:
    """Knows what its owner has signed."""

    def __init__(self, key: Any, invalid: type[Exception]) -> None:
        self._key = key
        self._invalid = invalid

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Whether `signature`, in base64, is the owner's of just this `text`."""
        try:
            self._key.verify(b64decode(b"".join(signature[:_LONGEST].split()), validate=True), text)
        except (self._invalid, ValueError):
            return False
        return True


class PrivateKey:
    """Signs."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def sign(self, text: bytes) -> bytes:
        """In base64."""
        return b64encode(self._key.sign(text))


def sealed(text: bytes, key: PrivateKey) -> bytes:
    """The JSON object `text` with its signature inside."""
    return text[:-1] + _SEAL + key.sign(text) + b'"}'


def unsealed(text: bytes) -> tuple[bytes, bytes]:
    """What was signed, and the signature, which is empty where there is none inside."""
    body, seal, signature = text.rstrip().rpartition(_SEAL)
    return (body + b"}", signature.removesuffix(b'"}')) if seal else (text, b"")


def public_key(key: str | bytes) -> PublicKey:
    """
    The key in PEM, or in base64 of its 32 bytes.

    Raises:
        ValueError: it is neither.
        MissingExtraError: `cryptography` is not installed.
    """
    text = _text(key)
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        found = load_pem_public_key(text) if b"-----BEGIN" in text else Ed25519PublicKey.from_public_bytes(b64decode(text, validate=True))
    except ValueError:
        found = None
    if not isinstance(found, Ed25519PublicKey):
        raise ValueError("key is an Ed25519 public key: PEM, or its 32 bytes in base64")  # noqa: TRY004 - a key of another kind is a wrong value
    return PublicKey(found, InvalidSignature)


def private_key(key: str | bytes) -> PrivateKey:
    """
    The key in PEM, without a password, as `openssl genpkey -algorithm ed25519` writes it.

    Raises:
        ValueError: it is none.
        MissingExtraError: `cryptography` is not installed.
    """
    text = _text(key)
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found: Any = load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # a TypeError is a password that is wanted
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        raise ValueError("key is an Ed25519 private key in PEM, without a password: openssl genpkey -algorithm ed25519")  # noqa: TRY004 - as above
    return PrivateKey(found)


def _text(key: str | bytes) -> bytes:
    """A key as it was given, where there is what can read it."""
    try:
        import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
    except ImportError as error:
        raise missing(error, "cryptography", "cryptography", "http") from error
    return key.encode() if isinstance(key, str) else key
