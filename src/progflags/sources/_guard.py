"""
Documents that are valid and still not what anybody meant.

A TOML or YAML file cut off anywhere often parses: of 323 beginnings of a small YAML file, 165 did, and 120 of those silently
lacked a flag. No parser can tell; comparing with what served before can. A file that is exactly the beginning of its last
good self was cut off, and a set that loses more than half of its flags at once was emptied, unless it names them in `retired`.
"""

from __future__ import annotations

from collections.abc import Sequence

from progflags.errors import Problem
from progflags.flags import Snapshot
from progflags.sources._contract import Piece

__all__ = ["held_back"]


def held_back(pieces: Sequence[Piece], snapshot: Snapshot, good: Sequence[Piece], serving: Snapshot) -> tuple[Problem, ...]:
    """Why `snapshot`, made from `pieces`, must not replace the `serving` one, made from `good`; nothing when it may."""
    missing = [key for key in serving.flags if key not in snapshot.flags and key not in snapshot.broken]
    return (*_cut_off(pieces, good, missing, changed=snapshot.digest != serving.digest), *_shrunk(snapshot, serving, missing))


def _cut_off(pieces: Sequence[Piece], good: Sequence[Piece], missing: list[str], *, changed: bool) -> tuple[Problem, ...]:
    """Text only: that a dict is a beginning of another means nothing. Cutting off blank lines and comments changes nothing."""
    before = {piece.file: piece.text for piece in good if piece.form not in ("data", "env")}
    cut = [piece for piece in pieces if (old := before.get(piece.file)) and len(piece.text) < len(old) and old.startswith(piece.text)]
    hint = "if it was meant, list the removed flags in `retired`, or change anything before the end"
    lacking = f"; missing: {_names(missing)}" if missing else ""
    return tuple(
        Problem(piece.file, piece.text.count(b"\n") + 1, "", f"cut off: this is only the beginning of the last good file{lacking}", hint)
        for piece in cut
        if changed
    )


def _shrunk(snapshot: Snapshot, serving: Snapshot, missing: list[str]) -> tuple[Problem, ...]:
    unnamed = [key for key in missing if key not in snapshot.retired]
    if len(unnamed) * 2 <= len(serving.flags):
        return ()
    message = f"{len(unnamed)} of {len(serving.flags)} flags are missing: {_names(unnamed)}"
    return (Problem(snapshot.source, None, "flags", message, "if it was meant, list them in `retired`"),)


def _names(keys: list[str]) -> str:
    shown = ", ".join(sorted(keys)[:10])
    return f"{shown} and {len(keys) - 10} more" if len(keys) > 10 else shown
