"""
The body of a response as what it says, without losing anything on the way.

Two bodies whose bytes differ may be called equal only where decoding lost nothing. So a text is decoded by the charset it names
(UTF-8 where it names none) and only if encoding it again gives the same bytes; a number keeps every digit; a key that stands
twice in a JSON object keeps both its values; an empty body is no `null`. Whatever can't be read so is compared by its bytes.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
import zlib
from decimal import Decimal
from typing import Any, Final

__all__ = ["EMPTY", "read_body"]

EMPTY: Final = b""  # JSON has no bytes: nothing a document says is equal to a body that is not there
_LARGEST: Final = 1 << 20  # bytes a compressed body may decode to
_WBITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_TEXTS: Final = ("json", "xml", "javascript", "urlencoded")
_LINES: Final = ("ndjson", "jsonl", "json-lines", "json-seq")  # a document a line: not one JSON document
_CHARSET: Final = re.compile(r""";\s*charset\s*=\s*"?([^\s;"]+)""", re.IGNORECASE)


def read_body(body: bytes, kind: str = "", encoding: str = "") -> Any:
    """
    What `body` says, by its Content-Type `kind` and Content-Encoding `encoding`.

    EMPTY; a JSON document's values (numbers a float can't hold are Decimals, a repeated key has the tuple of its values); the
    text of other text types; else length and digest. JSON that is none stays bytes.
    """
    if not body:
        return EMPTY
    plain = _decompressed(body, encoding.strip().lower())
    if plain is None:
        return {**_digest(body), "encoding": encoding}
    if not plain:
        return EMPTY
    media = kind.split(";", 1)[0].strip().lower()
    if not (media.startswith("text/") or any(word in media for word in _TEXTS)):
        return _digest(plain)
    text = _text(plain, kind)
    if text is None:
        return _digest(plain)
    if "json" in media and not any(word in media for word in _LINES):
        return _document(text, plain)
    return text


def _text(plain: bytes, kind: str) -> str | None:
    """`plain` by its charset; None where that is unknown, wrong, or would lose something."""
    named = _CHARSET.search(kind)
    try:
        codec = codecs.lookup(named.group(1) if named else "utf-8")
        text = plain.decode(codec.name)
        return text if text.encode(codec.name) == plain else None
    except (LookupError, ValueError):  # no such charset, none of text (LookupError too), or not that one
        return None


def _document(text: str, plain: bytes) -> Any:
    try:
        return _JSON.decode(text)
    except (ValueError, RecursionError, ArithmeticError):  # ArithmeticError: an exponent beyond any number
        return plain  # it says JSON and is not; as a text it could pass for the document that is this text


def _number(digits: str) -> float | Decimal:
    """A float where it is the very number written, else a Decimal."""
    near = float(digits)
    exact = Decimal(digits)
    return near if Decimal(repr(near)) == exact else exact


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    values: dict[str, list[Any]] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    return {key: each[0] if len(each) == 1 else tuple(each) for key, each in values.items()}


_JSON: Final = json.JSONDecoder(parse_float=_number, object_pairs_hook=_object)


def _digest(body: bytes) -> dict[str, Any]:
    return {"length": len(body), "digest": hashlib.blake2b(body, digest_size=16).hexdigest()}


def _decompressed(body: bytes, encoding: str) -> bytes | None:
    """All members of it; None where it is cut, followed by something else, too large, or of an encoding we do not read."""
    if encoding in {"", "identity"}:
        return body
    if encoding not in _WBITS:
        return None
    plain, rest = b"", body
    while rest:
        machine = zlib.decompressobj(_WBITS[encoding])
        try:
            plain += machine.decompress(rest, _LARGEST + 1 - len(plain))
        except zlib.error:
            return None
        if not machine.eof or len(plain) > _LARGEST:
            return None
        rest = machine.unused_data
    return plain
