"""
Definitions behind an address: `pf.connect("https://cdn.example.com/flags.json")`, as a bucket, a CDN or any web server has them.

Install `progflags[http]`. What lies there is a flag file, or a snapshot that `progflags publish` wrote, which has the live state as well.
The server is asked in the background with the ETag of what is known, so an unchanged document is not sent again; whoever evaluates never
waits for it. What is no good answer leaves the last known good serving, and `status()` says why.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urljoin, urlsplit

from progflags._printed import printable, quoted
from progflags._process import in_child
from progflags.contrib._afar import Afar, Answer, NoGoodError
from progflags.errors import missing
from progflags.sources import LARGEST
from progflags.store import address

try:
    import httpx
except ImportError as error:
    raise missing(error, "httpx", "httpx", "http") from error

__all__ = ["HttpSource"]

_HOPS: Final = 5  # redirects that are followed


class HttpSource(Afar):
    """
    The document at `url`, asked for every `every` seconds, give or take a tenth; ever more seldom while that fails, up to a minute at 10 s.

    `timeout` is how many seconds one answer may take as a whole. `headers` go along, as for a token. `key`: the Ed25519 public key, PEM or
    the 32 bytes in base64, whose signature of the document is inside a snapshot, or at `url` + `.sig`, in base64; a document without it is
    refused. Redirects are followed within the host. The form is that of the address's suffix, else of the answer's type: JSON, TOML, YAML.

        mine = {"Authorization": f"Bearer {TOKEN}"}
        shared = HttpSource("https://config.example.com/flags.toml", every=30.0, headers=mine)
        flags = pf.connect([shared, "flags.toml"], last_known_good="var/flags")

    Raises:
        ValueError: no http address; a plain one of another host without a key, for anybody on the way could change what it says; or a
            key that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        every: float = 10.0,
        timeout: float = 5.0,
        headers: Mapping[str, str] | None = None,
        key: str | bytes | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{quoted(address(url))} is no address of a document: write https://host/flags.json")
        if parts.scheme == "http" and key is None and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError(
                f"{quoted(address(url))}: anybody on the way could change what it says: use https, or sign it and give its key="
            )
        super().__init__(address(url), parts.path, every=every, timeout=timeout, key=key)
        self._parts = parts
        self._headers = dict(headers or {})
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """The parent's connections are the parent's."""
        self._client: httpx.Client | None = None

    def close(self) -> None:
        """Let go of the connection and of the thread. Both begin again with the next look."""
        super().close()
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _get(self, suffix: str, until: float, tag: str = "") -> Answer | None:
        url = self._parts._replace(path=f"{self._parts.path}{suffix}").geturl()
        try:
            return self._answer(url, until, tag)
        except httpx.HTTPError as error:
            raise NoGoodError(f"does not answer ({type(error).__name__}: {printable(str(error), 200)})") from error

    def _answer(self, url: str, until: float, tag: str) -> Answer | None:
        headers = {**self._headers, **({"If-None-Match": tag} if tag else {})}
        for _ in range(_HOPS):
            with self._opened().stream("GET", url, headers=headers) as answer:
                if answer.has_redirect_location:
                    url = self._within(url, answer.headers.get("location", ""))
                    continue
                if answer.status_code == httpx.codes.NOT_MODIFIED and tag:
                    return None
                if answer.status_code != httpx.codes.OK:
                    raise NoGoodError(f"answers {answer.status_code} {answer.reason_phrase}")
                return Answer(_body(answer, until), answer.headers.get("etag", ""), answer.headers.get("content-type", "").lower())
        raise NoGoodError(f"redirects more than {_HOPS} times")

    def _within(self, url: str, location: str) -> str:
        there = urljoin(url, location)
        parts = urlsplit(there)
        if (parts.scheme, parts.netloc) != (self._parts.scheme, self._parts.netloc):
            raise NoGoodError(f"redirects to another host ({printable(parts.netloc, 80)}), as the sign-on of a network does")
        return there

    def _opened(self) -> httpx.Client:
        if self._client is None:
            self._client = httpx.Client(timeout=self._timeout, headers={"User-Agent": "progflags"}, follow_redirects=False)
        return self._client


def _body(answer: httpx.Response, until: float) -> bytes:
    """
    All of it. A server that sends a byte now and then is not waited for, and one that sends without end is not read to it.

    Raises:
        httpx.HTTPError: it ended before its end.
    """
    found = bytearray()
    for part in answer.iter_bytes():
        found += part
        if len(found) > LARGEST:
            raise NoGoodError(f"is larger than {LARGEST:,} bytes")
        if time.monotonic() > until:
            raise NoGoodError("was not there as a whole before the time was up")
    return bytes(found)
