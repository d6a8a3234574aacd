"""
The last known good on disk: a few generations, so that a bad one that was served for a while is not the only one left.

Each is one JSON file, checksummed, readable by its owner alone, written aside and renamed into place; it holds the text that
was served, not its meaning, so reading one goes through the same parser as reading the source. One that is torn, tampered
with or from a newer version is passed over with a message. Nothing here raises: a full disk is no reason to stop serving.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from progflags._disk import read, sweep
from progflags._json import canonical as text_of
from progflags._json import digest, loads
from progflags._trouble import say, swallow
from progflags.sources._contract import Piece

__all__ = ["KEPT", "Generation", "Generations"]

KEPT = 5
"""Generations kept; the oldest goes when another is written."""


@dataclass(frozen=True, slots=True)
class Generation:
    """The pieces that served, the wall time they were saved at, and the types that retired keys had: no document says those."""

    pieces: tuple[Piece, ...]
    at: float
    types: Mapping[str, str] = field(default_factory=dict)


class Generations:
    """The generations in a folder, which is made when absent. Several processes may share it; each source has its own folder."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)

    @property
    def empty(self) -> bool:
        """Whether nothing was kept yet."""
        return not self._names()

    def read(self) -> tuple[Generation, ...]:
        """The generations that are whole, oldest first."""
        sweep(self._folder, ".generation-")
        return tuple(found for name in self._names() if (found := self._read(name)) is not None)

    def write(self, pieces: Sequence[Piece], at: float, types: Mapping[str, str]) -> None:
        """
        Keep `pieces` and the retired keys' `types` as the newest generation.

        The environment is left out, and a set with a dict in it: those are there anyway.
        """
        kept = [piece for piece in pieces if piece.form not in ("data", "env")]
        if len(kept) != len([piece for piece in pieces if piece.form != "env"]) or not kept:
            return
        try:
            body = {
                "v": 1,
                "at": at,
                "pieces": [
                    {"file": piece.file, "form": piece.form, "layer": piece.layer, "text": piece.text.decode("utf-8-sig")} for piece in kept
                ],
                "types": dict(types),
            }
            self._put(body)
        except (OSError, ValueError) as error:
            swallow(f"last known good in {self._folder}", error)

    def _put(self, body: dict[str, Any]) -> None:
        names = self._names()
        newest = self._read(names[-1]) if names else None
        said = [body["pieces"], body["types"]]
        if newest is not None and digest([[_plain(piece) for piece in newest.pieces], dict(newest.types)]) == digest(said):
            return  # another worker was first, or nothing changed since the last run
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        sweep(self._folder, ".generation-")
        number = int(names[-1][11:19]) + 1 if names else 1
        text = text_of({"sha256": digest(body), "body": body})
        descriptor, aside = tempfile.mkstemp(prefix=".generation-", dir=self._folder)  # 0600 by its own account
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            os.replace(aside, self._folder / f"generation-{number:08d}.json")  # noqa: PTH105 - beside fsync
        except BaseException:
            os.unlink(aside)  # noqa: PTH108 - as above
            raise
        for name in self._names()[:-KEPT]:
            (self._folder / name).unlink(missing_ok=True)

    def _names(self) -> list[str]:
        try:
            return sorted(path.name for path in self._folder.glob("generation-????????.json") if path.name[11:19].isdecimal())
        except OSError as error:
            swallow(f"last known good in {self._folder}", error)
            return []

    def _read(self, name: str) -> Generation | None:
        path = self._folder / name
        try:
            return _checked(read(path))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            say("last known good", f"{path} is passed over: {error}")
            return None


def _checked(text: bytes) -> Generation:
    outer = loads(text)
    body = outer["body"]
    if outer["sha256"] != digest(body):
        raise ValueError("it does not match its checksum")
    if body["v"] != 1:
        raise ValueError(f"it is of version {body['v']}, written by a newer progflags")
    pieces = tuple(Piece(str(one["file"]), str(one["form"]), one["text"].encode(), layer=int(one["layer"])) for one in body["pieces"])
    types = {str(key): str(kind) for key, kind in body.get("types", {}).items()}
    return Generation(pieces, float(body["at"]), types)


def _plain(piece: Piece) -> dict[str, Any]:
    return {"file": piece.file, "form": piece.form, "layer": piece.layer, "text": piece.text.decode()}
