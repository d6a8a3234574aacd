"""Flag files: one, or a folder of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import sleep

from progflags.errors import DefinitionError, Problem
from progflags.sources._contract import Piece
from progflags.sources._read import LARGEST, read_file, steady

__all__ = ["FORMS", "DirectorySource", "FileSource"]

FORMS = {".toml": "toml", ".json": "json", ".yaml": "yaml", ".yml": "yaml"}
"""Suffix → form. A file with another suffix is JSON when it begins with `{`, else TOML."""

Pause = Callable[[float], object]


class FileSource:
    """One flag file. It is opened by its name at every look, so a swapped link, a rename and a save in place are all seen."""

    def __init__(self, path: str | os.PathLike[str], *, pause: Pause = sleep) -> None:
        self._shown = os.fspath(path)
        self._path = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow a link that may be swapped
        self._form = FORMS.get(os.path.splitext(self._path)[1].lower(), "")  # noqa: PTH122 - beside abspath
        self._pause = pause
        self._known: bytes | None = None
        self._age = 0.0

    @property
    def name(self) -> str:
        return self._shown

    def read(self) -> Sequence[Piece]:
        with _named(self._shown):
            self._known = steady(self._look, self._known, self._pause)
        return (Piece(self._shown, self._form, self._known, age=self._age),)

    def _look(self) -> tuple[bytes, float]:
        text, self._age = read_file(self._path, self._shown)
        return text, self._age


class DirectorySource:
    """
    Every flag file directly in a folder, as one set: all of them are read as of one moment, and apply together or not at all.

    Files are those with a known suffix and no leading dot, in the order of their names, which decides nothing: a flag
    defined in two of them is a mistake.
    """

    def __init__(self, path: str | os.PathLike[str], *, pause: Pause = sleep) -> None:
        self._shown = os.fspath(path)
        self._path = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow a link that may be swapped
        self._pause = pause
        self._known: tuple[Piece, ...] | None = None

    @property
    def name(self) -> str:
        return self._shown

    def read(self) -> Sequence[Piece]:
        with _named(self._shown):
            self._known = steady(self._look, self._known, self._pause)
        return self._known

    def _look(self) -> tuple[tuple[Piece, ...], float]:
        try:
            names = sorted(name for name in os.listdir(self._path) if not name.startswith(".") and _suffix(name) in FORMS)  # noqa: PTH208 - names only
        except OSError as error:
            raise DefinitionError([Problem(self._shown, None, "", f"can't be read: {error.strerror or error}")]) from None
        pieces: list[Piece] = []
        youngest, size = float("inf"), 0
        for name in names:
            shown = os.path.join(self._shown, name)  # noqa: PTH118 - the path as given, not a normalised one
            text, age = read_file(os.path.join(self._path, name), shown)  # noqa: PTH118 - as above
            pieces.append(Piece(shown, FORMS[_suffix(name)], text, age=age))
            youngest, size = min(youngest, age), size + len(text)
            if size > LARGEST:
                raise DefinitionError([Problem(self._shown, None, "", f"its files are more than {LARGEST:,} bytes together")])
        if not pieces:
            raise DefinitionError(
                [Problem(self._shown, None, "", "there is no flag file in this folder", f"put in a {' or '.join(FORMS)}")]
            )
        return tuple(pieces), youngest


class _named:  # noqa: N801 - reads as the verb it is
    """Gives a problem without a file the name of the one that was being read."""

    def __init__(self, shown: str) -> None:
        self.shown = shown

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DefinitionError):
            raise DefinitionError(replace(problem, file=problem.file or self.shown) for problem in error.problems) from None


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - names, not paths
