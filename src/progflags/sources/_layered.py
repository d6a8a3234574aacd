"""Several sources as layers, and from what a person writes to a source."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from progflags.sources._contract import Lively, Piece, Source
from progflags.sources._file import FORMS, DirectorySource, FileSource
from progflags.sources._static import DictSource

__all__ = ["Layered", "let_go", "lively", "source_of"]

_LEAVES: Final = {
    "https": ("http", "HttpSource"),
    "http": ("http", "HttpSource"),
    "s3": ("objects", "ObjectSource"),
    "gs": ("objects", "ObjectSource"),
    "az": ("objects", "ObjectSource"),
}


class Layered:
    """
    Sources on top of each other, the lowest first: a higher one's flag replaces a lower one's whole.

    They load together or not at all. One that can't be read leaves the last known good of all of them serving.
    """

    def __init__(self, *sources: Source) -> None:
        self._sources = sources

    @property
    def name(self) -> str:
        return " + ".join(source.name for source in self._sources)

    def read(self) -> Sequence[Piece]:
        return tuple(replace(piece, layer=layer) for layer, source in enumerate(self._sources) for piece in source.read())

    @property
    def layers(self) -> tuple[Source, ...]:
        """The lowest first."""
        return self._sources

    def close(self) -> None:
        """Let go of what the sources hold open."""
        for source in self._sources:
            let_go(source)


def let_go(source: Source) -> None:
    """Close what a source holds open, where it holds anything: a Source need not have a `close`."""
    close = getattr(source, "close", None)
    if close is not None:
        close()


def lively(source: Source) -> Lively | None:
    """What of a source may bring live state along; the highest of its layers that does."""
    if isinstance(source, Layered):
        return next((found for layer in reversed(source.layers) if (found := lively(layer)) is not None), None)
    return source if isinstance(source, Lively) else None


def source_of(what: str | os.PathLike[str] | Mapping[str, Any] | Source | Sequence[Any]) -> Source:
    """
    The source a person means: a path (of a file, or of a folder that is there now), the `https://` address of a document, that of an
    object in a bucket (`s3://`, `gs://`, `az://`), a dict, a Source, or a list of these as layers.

        for piece in source_of(["flags.toml", {"flags": {"new-search": {"percent": 5}}}]).read():
            print(piece.file, piece.layer, len(piece.text))

    Raises:
        MissingExtraError: a YAML file, without PyYAML; an address, without httpx; a bucket's, without obstore.
        ValueError: an address that is none, or that anybody on the way could answer for.
        TypeError: none of these.
    """
    if isinstance(what, Source):
        return what
    if isinstance(what, Mapping):
        return DictSource(what)
    if isinstance(what, (str, os.PathLike)):
        return _path(os.fspath(what))
    if isinstance(what, Sequence) and what and not isinstance(what, (bytes, bytearray)):
        return Layered(*(source_of(one) for one in what))
    raise TypeError(f"definitions come from a path, a dict, a Source or a list of these, not from {type(what).__name__}")


def _path(path: str) -> Source:
    leaf = _LEAVES.get(path.partition("://")[0]) if "://" in path else None
    if leaf is not None:
        module, name = leaf
        source = getattr(import_module(f"progflags.contrib.{module}"), name)  # by name only: nothing in the house imports a leaf
        found: Source = source(path)
        return found
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises for a name that is too long, and its message is as long
        return DirectorySource(path)
    if FORMS.get(Path(path).suffix.lower()) == "yaml":
        from progflags.sources._yaml import need_yaml

        need_yaml()
    return FileSource(path)
