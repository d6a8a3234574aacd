"""What every store does with a commit before it writes: its texts, and whether it was decided on what is there."""

from __future__ import annotations

from collections.abc import Mapping

from progflags._json import canonical
from progflags.errors import ConflictError
from progflags.store._contract import Commit

__all__ = ["REMEMBERED", "conflict", "texts"]

REMEMBERED = 10_000
"""How many commits a store remembers the ids of. A retry comes within seconds of its first try; this is hours of transitions."""


def texts(commit: Commit) -> tuple[dict[str, str | None], list[tuple[str, str]]]:
    """
    The bodies of `commit` as canonical JSON: key → text (None: delete), and (subject, text) lines.

    Raises:
        ValueError: something no store could keep: NaN, an infinity, half a surrogate pair.
        TypeError: something JSON has no word for.
    """
    writes = {key: None if body is None else canonical(body) for key, body in commit.writes.items()}
    lines = [(subject, canonical(body)) for subject, body in commit.entries]
    for text in (*writes, *writes.values(), *commit.expects, *(part for line in lines for part in line), commit.id):
        (text or "").encode()
    return writes, lines


def conflict(url: str, commit: Commit, found: Mapping[str, int]) -> None:
    """
    Let `commit` pass if `found`, the revisions the store has (absent keys may be left out), are the ones it was decided on.

    Raises:
        ConflictError: they are not.
    """
    moved = [key for key, expected in commit.expects.items() if found.get(key, 0) != expected]
    if moved:
        what = ", ".join(f"{key} is at revision {found.get(key, 0)}, not {commit.expects[key]}" for key in moved)
        there = {key: found.get(key, 0) for key in commit.expects}
        raise ConflictError(f"another writer was first in {url}: {what}; read again and decide again", revisions=there)
