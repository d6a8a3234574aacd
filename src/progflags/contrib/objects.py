"""
Objects in a bucket: `pf.connect("s3://bucket/flags/snapshot.json")`, likewise `gs://…` and `az://container/…`.

Install `progflags[objects]`, which is obstore. Credentials, region, endpoint and Azure's account are found as the cloud's own
tools find them: in the environment, or by the machine's role.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from progflags._printed import printable, quoted
from progflags.contrib._afar import Afar, Answer, NoGoodError
from progflags.errors import missing
from progflags.sources import LARGEST
from progflags.store import address

__all__ = ["ObjectSource"]

T = TypeVar("T")

_STORES: Final = {"s3": "S3Store", "gs": "GCSStore", "az": "AzureStore"}
_KINDS: Final = {"Content-Type": "application/json", "Cache-Control": "max-age=1"}
# A second in which every edge of a CDN asks the bucket once, whoever asks the edge, is little beside the seconds between two questions


class ObjectError(Exception):
    """The bucket does not do what it is asked, and why."""


class Bucket:
    """
    One object at `url`. `options` are obstore's for that cloud (`endpoint`, `region`, `client_options`, …), beside what the environment
    says. It has a time limit of its own (30 s for a request, unless `client_options` say otherwise).

    obstore has threads that a fork leaves behind, and would wait for them for ever: a child says so instead.

    Raises:
        ValueError: no object's address, or an option that obstore doesn't know.
        MissingExtraError: obstore is not installed.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        parts = urlsplit(url)
        self._key = parts.path.lstrip("/")
        if parts.scheme not in _STORES or not parts.netloc or not self._key or self._key.endswith("/"):
            raise ValueError(f"{quoted(address(url))} is no object's address: write s3://bucket/snapshot.json, gs://… or az://container/…")
        self.name = address(url)
        self._obstore, self._errors = _module("obstore"), _module("obstore.exceptions")
        made = getattr(_module("obstore.store"), _STORES[parts.scheme])
        try:  # once: whoever asks again and again has a pace of their own
            self._store = made(parts.netloc, **{"retry_config": {"max_retries": 0}, **(options or {})})
        except self._errors.BaseError as error:
            raise ValueError(f"{self.name}: {_said(error)}") from None

    def get(self, suffix: str = "", tag: str = "") -> tuple[bytes, str] | None:
        """
        What lies there, or beside it under its name with `suffix`, and its tag; None where `tag` is still it.

        Raises:
            FileNotFoundError: nothing does.
            ObjectError: it can't be had, or is larger than a document may be.
        """
        return self._done(lambda: self._get(f"{self._key}{suffix}", tag))

    def put(self, text: bytes) -> None:
        """
        Replace what lies there.

        Raises:
            ObjectError: it could not be.
        """
        self._done(lambda: self._obstore.put(self._store, self._key, text, attributes=dict(_KINDS), use_multipart=False))

    def _get(self, key: str, tag: str) -> tuple[bytes, str] | None:
        try:
            found = self._obstore.get(self._store, key, options={"if_none_match": tag} if tag else None)
        except self._errors.NotModifiedError:
            return None
        if found.meta["size"] > LARGEST:
            raise ObjectError(f"is larger than {LARGEST:,} bytes")
        return bytes(found.bytes()), found.meta["e_tag"] or ""

    def _done(self, act: Callable[[], T]) -> T:
        if not _of_this_process():
            raise ObjectError(
                "can't be asked in a process that was forked after its parent had asked: connect in each worker, or by https://"
            )
        try:
            return act()
        except FileNotFoundError:
            raise
        except (self._errors.BaseError, OSError, ValueError) as error:
            raise ObjectError(f"does not answer ({_said(error)})") from error


class ObjectSource(Afar):
    """
    The document at `url`, a flag file or a snapshot, asked for every `every` seconds by its tag; see `HttpSource`, which it is like.

    `timeout`: seconds that an answer usually takes; the first is waited for twice as long. `options` are obstore's, beside what the
    environment says: `ObjectSource("s3://…", options={"region": "eu-central-1"})`.

        where = {"region": "eu-central-1"}
        published = ObjectSource("s3://config/snapshot.json", key=PUBLIC_KEY, options=where)
        flags = pf.connect(published, last_known_good="var/flags")

    Raises:
        ValueError: no object's address, an option that obstore doesn't know, or a key that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        every: float = 10.0,
        timeout: float = 5.0,
        key: str | bytes | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(address(url), urlsplit(url).path, every=every, timeout=timeout, key=key)
        self._bucket = Bucket(url, options)

    def _get(self, suffix: str, until: float, tag: str = "") -> Answer | None:  # noqa: ARG002 - obstore has a limit of its own
        try:
            found = self._bucket.get(suffix, tag)
        except FileNotFoundError:
            raise NoGoodError("is not there" if not suffix else f"has no {suffix} beside it") from None
        except ObjectError as error:
            raise NoGoodError(str(error)) from error
        return None if found is None else Answer(*found)


def _module(name: str) -> Any:
    """Of obstore's, only once there is a bucket: who has none need not install it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise missing(error, "obstore", "obstore", "objects") from error


def _of_this_process() -> bool:
    """Whether obstore was used first in this process, or by nobody yet."""
    return _USED.setdefault("process", os.getpid()) == os.getpid()


_USED: Final[dict[str, int]] = {}  # by which process; written once


def _said(error: BaseException) -> str:
    """Obstore tells a sentence, and then what only its authors read."""
    return printable(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}", 240)
