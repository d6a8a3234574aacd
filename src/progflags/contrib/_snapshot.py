"""
A snapshot: the definitions and the live state of one moment, as one document that a bucket or a CDN can have.

The live state is the store's own documents, word for word, so that whoever follows a snapshot answers as a process at the store does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from progflags._json import loads
from progflags.sources import Piece
from progflags.store import Document

__all__ = ["Snapshot", "is_snapshot"]

_BEGINS: Final = b'{"progflags":"snapshot","v":'  # a flag file has neither key
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    `era`, `revision` and `at` say which of two is the newer: `revision` is the store's, `at` the wall time of whoever published, and
    `era` is another one where a store with a smaller revision was published on purpose.

    `beat`: seconds after which another follows even if nothing has changed; 0.0, none does.
    """

    revision: int
    at: float
    pieces: tuple[Piece, ...]
    documents: Mapping[str, Document]
    era: int = 0
    beat: float = 0.0

    @property
    def order(self) -> tuple[int, int, float]:
        """The newer of two has the greater one."""
        return (self.era, self.revision, self.at)

    @property
    def says(self) -> tuple[object, ...]:
        """What there is to tell: two that say the same need not both be published. A rollout's document moves with every batch."""
        documents = {key: (0 if key.startswith("rollout/") else one.revision, one.body) for key, one in self.documents.items()}
        return [_written(piece) for piece in self.pieces], documents, self.beat

    def text(self) -> bytes:
        """As it is published; `of` reads it."""
        live = {key: {"revision": one.revision, "body": one.body} for key, one in sorted(self.documents.items())}
        body = {
            "progflags": "snapshot",
            "v": _VERSION,
            "era": self.era,
            "revision": self.revision,
            "at": self.at,
            "beat": self.beat,
            "definitions": [_written(piece) for piece in self.pieces],
            "live": live,
        }
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

    @classmethod
    def of(cls, text: bytes, name: str = "") -> Self:
        """
        What `text` says; its files are called by `name` and their own.

        Raises:
            ValueError: it is damaged, or of another version.
        """
        try:
            body = loads(text)
            if body["v"] != _VERSION:
                raise ValueError(f"it is of version {body['v']}: update progflags")
            return cls(
                revision=int(body["revision"]),
                at=float(body["at"]),
                pieces=tuple(_piece(one, name) for one in body["definitions"]),
                documents={str(key): _document(str(key), one) for key, one in body["live"].items()},
                era=int(body["era"]),
                beat=float(body["beat"]),
            )
        except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise ValueError(f"it is damaged ({type(error).__name__}: {error})") from None


def is_snapshot(text: bytes) -> bool:
    """Whether it is one, and no flag file; whether it is a good one, reading it says."""
    return text.startswith(_BEGINS)


def _written(piece: Piece) -> dict[str, Any]:
    if piece.document is not None:  # as it was written: the order of a split's variants counts
        form, text = "json", json.dumps(piece.document, default=str, ensure_ascii=False)
    else:
        form, text = piece.form, piece.text.decode("utf-8-sig")
    return {"file": piece.file, "form": form, "layer": piece.layer, "text": text}


def _piece(one: Mapping[str, Any], name: str) -> Piece:
    file = f"{name}#{one['file']}" if name else str(one["file"])
    return Piece(file, str(one["form"]), one["text"].encode(), layer=int(one["layer"]))


def _document(key: str, one: Mapping[str, Any]) -> Document:
    if not isinstance(one["body"], dict):
        raise TypeError(f"{key} has no body")
    return Document(key, int(one["revision"]), one["body"])
