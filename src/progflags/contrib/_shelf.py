"""The shelf: where something published is put for others to read, a file or an object in a bucket."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from progflags import _disk
from progflags._printed import quoted
from progflags.errors import PublishError

__all__ = ["Shelf", "shelf_beside", "shelf_of"]

_READABLE = 0o644  # by the web server as well


class Shelf(Protocol):
    """One place. Each method raises PublishError where it can't be had."""

    @property
    def name(self) -> str: ...

    def get(self) -> bytes | None:
        """What lies there now; None, nothing."""
        ...

    def put(self, text: bytes) -> None:
        """Replace it: whoever reads has the one or the other, whole."""
        ...


def shelf_of(to: str | os.PathLike[str], file: str) -> Shelf:
    """
    The place `to` names: a path or an object's address (`s3://`, `gs://`, `az://`). A folder, or what ends in a slash, is to have it as
    `file`.

    Raises:
        ValueError: an address that nothing can be put at.
        MissingExtraError: a bucket's, without obstore.
    """
    place = os.fspath(to)
    if "://" not in place:
        return _File(Path(place, file) if place.endswith("/") or Path(place).is_dir() else Path(place))
    if not place.startswith(("s3://", "gs://", "az://")):
        raise ValueError(f"{quoted(place)}: nothing can be published there: name a file, a folder, or s3://, gs://, az://")
    return _Object(f"{place}{file}" if place.endswith("/") else place)


def shelf_beside(to: str | os.PathLike[str], file: str) -> Shelf:
    """
    The place of `file` in the folder of what `to` names, or in `to` where that is a folder.

    Raises:
        ValueError: an address that nothing can be put at.
        MissingExtraError: a bucket's, without obstore.
    """
    place = os.fspath(to)
    folder = place.endswith("/") or ("://" not in place and Path(place).is_dir())
    return shelf_of(f"{place}/" if folder else f"{place.rpartition('/')[0] or '.'}/", file)


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        return str(self._path)

    def get(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PublishError(f"{self._path} can't be read: {error.strerror or error}") from error

    def put(self, text: bytes) -> None:
        try:
            _disk.write(self._path, text, mode=_READABLE)
        except OSError as error:
            raise PublishError(f"{self._path} can't be written: {error.strerror or error}; what was there is there still") from error


class _Object:
    def __init__(self, url: str) -> None:
        self._leaf: Any = import_module("progflags.contrib.objects")  # only who has a bucket needs obstore
        self._bucket = self._leaf.Bucket(url)

    @property
    def name(self) -> str:
        return str(self._bucket.name)

    def get(self) -> bytes | None:
        try:
            text, _ = self._bucket.get()
        except FileNotFoundError:
            return None
        except self._leaf.ObjectError as error:
            raise PublishError(f"{self.name} {error}") from error
        return bytes(text)

    def put(self, text: bytes) -> None:
        try:
            self._bucket.put(text)
        except self._leaf.ObjectError as error:
            raise PublishError(f"{self.name} {error}; what was there is there still") from error
