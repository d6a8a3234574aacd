"""
The one canonical JSON: for hashing, diffing and storing alike.

Canonical means: keys sorted, no spaces, UTF-8 as it is, no NaN or infinity. Two equal values have equal bytes, on every
machine, so a digest of them can be compared and a document can be told from its neighbour.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from progflags._printed import printable

__all__ = ["canonical", "digest", "loads", "rows"]


def canonical(value: Any) -> str:
    """
    `value` as canonical JSON text.

    Raises:
        ValueError: it holds NaN or an infinity, which JSON cannot say: store None instead.
        TypeError: it holds something JSON has no word for.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical text, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def loads(text: str | bytes) -> Any:
    """
    Parse JSON, refusing the NaN and Infinity that Python would let in.

    Raises:
        ValueError: not JSON, or a constant JSON does not have.
    """
    return json.loads(text, parse_constant=_refuse)


def rows(lines: Iterable[str], where: str) -> list[dict[str, Any]]:
    """
    The objects of JSON lines; empty lines are none.

    Raises:
        ValueError: a line is not JSON, or no object; the message begins with `where` and the line's number.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = loads(line)
            except ValueError as error:
                raise ValueError(f"{where}:{number}: {printable(error, 400)}") from None
            if not isinstance(row, dict):
                raise ValueError(f"{where}:{number}: a line is one JSON object")
            found.append(row)
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON: write null")
