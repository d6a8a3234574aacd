"""
Definitions behind an address: `pf.connect("https://cdn.example.com/flags.json")`, as a bucket, a CDN or any web server has them.

Install `progflags[http]`. The server is asked in the background with the ETag of what is known, so an unchanged document is not sent
again; whoever evaluates never waits for it. What is no good answer (a half one, an error page, a captive portal's, one that is
signed by nobody or by somebody else) leaves the last known good serving, and `status()` says why.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urljoin, urlsplit

from progflags._beside import Beside
from progflags._chance import chance
from progflags._printed import printable, quoted
from progflags._process import in_child, look
from progflags.contrib._signature import public_key
from progflags.errors import DefinitionError, Problem, missing
from progflags.sources import FORMS, LARGEST, Piece
from progflags.store import address

try:
    import httpx
except ImportError as error:
    raise missing(error, "httpx", "httpx", "http") from error

__all__ = ["HttpSource"]

_HOPS: Final = 5  # redirects that are followed
_SLOWEST: Final = 6  # times `every` that failures are apart at most
_MOMENT: Final = 0.05  # seconds that a look waits for an answer that is on its way


class HttpSource:
    """
    The document at `url`, asked for every `every` seconds, give or take a tenth; ever more seldom while that fails, up to a minute at 10 s.

    `timeout` is how many seconds one answer may take as a whole. `headers` go along, as for a token. `key`: the Ed25519 public key, PEM or
    the 32 bytes in base64, whose signature of the document is at `url` + `.sig`, in base64; a document without it is refused. Redirects are
    followed within the host. The form is that of the address's suffix, else of the answer's type: JSON, TOML or YAML.

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
        if not every > 0 or not timeout > 0:
            raise ValueError(f"every and timeout are seconds above zero, not {quoted(every)} and {quoted(timeout)}")
        self._url, self._parts = url, parts
        self._name = address(url)
        self._every, self._timeout = every, timeout
        self._headers = dict(headers or {})
        self._key = None if key is None else public_key(key)
        self._beside = Beside(f"source {self._name}", limit=4 * timeout)
        self._known: Piece | None = None
        self._tag = ""  # of what is known
        self._problem: Problem | None = None  # with the last answer
        self._failures = 0
        self._due = 0.0
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """The parent's connections are the parent's."""
        self._client: httpx.Client | None = None

    @property
    def name(self) -> str:
        return self._name

    def read(self) -> Sequence[Piece]:
        """
        What was answered last; the first time what is answered now.

        Raises:
            DefinitionError: the last answer was none that can serve.
        """
        look()
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + self._every
            self._beside.do(self._ask, wait=_MOMENT if self._known or self._problem else 2 * self._timeout)
        if self._problem is not None:
            raise DefinitionError([self._problem])
        if self._known is None:
            raise DefinitionError([self._refused("has not answered yet")])
        return (self._known,)

    def close(self) -> None:
        """Let go of the connection and of the thread. Both begin again with the next look."""
        self._beside.close()
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _ask(self) -> None:
        """One question, or two where what is there must be signed. What went wrong stands in `_problem`."""
        try:
            self._fetch()
        except httpx.HTTPError as error:
            self._problem = self._refused(f"does not answer ({type(error).__name__}: {printable(str(error), 200)})")
        except _NoGoodError as error:
            self._problem = self._refused(str(error))
        else:
            self._problem, self._failures = None, 0
        if self._problem is not None:
            self._failures += 1
        wait = self._every * min(2.0 ** max(0, self._failures - 1), _SLOWEST)
        self._due = time.monotonic() + wait * chance.uniform(0.9, 1.1)

    def _fetch(self) -> None:
        until = time.monotonic() + self._timeout
        answer = self._get(self._url, until, self._tag)
        if answer is None:
            return
        text, tag, kind = answer
        if text.lstrip()[:1] == b"<":
            raise _NoGoodError("answers with a page for people, as an error or the sign-on of a network does")
        if self._key is not None:
            self._must_be_signed(text, until)
        form = FORMS.get(PurePosixPath(self._parts.path).suffix.lower()) or next((form for form in FORMS.values() if form in kind), "")
        self._known, self._tag = Piece(self._name, form, text), tag

    def _must_be_signed(self, text: bytes, until: float) -> None:
        assert self._key is not None
        place = self._parts._replace(path=f"{self._parts.path}.sig").geturl()
        answer = self._get(place, until)
        assert answer is not None  # it was asked for without a tag
        if not self._key.signed(text, answer[0]):
            raise _NoGoodError("is not signed by the key that was given, or its signature is of another version")

    def _get(self, url: str, until: float, tag: str = "") -> tuple[bytes, str, str] | None:
        """What is there, its tag and its type; None where `tag` is still it."""
        headers = {**self._headers, **({"If-None-Match": tag} if tag else {})}
        for _ in range(_HOPS):
            with self._opened().stream("GET", url, headers=headers) as answer:
                if answer.has_redirect_location:
                    url = self._within(url, answer.headers.get("location", ""))
                    continue
                if answer.status_code == httpx.codes.NOT_MODIFIED and tag:
                    return None
                if answer.status_code != httpx.codes.OK:
                    raise _NoGoodError(f"answers {answer.status_code} {answer.reason_phrase}")
                return _body(answer, until), answer.headers.get("etag", ""), answer.headers.get("content-type", "").lower()
        raise _NoGoodError(f"redirects more than {_HOPS} times")

    def _within(self, url: str, location: str) -> str:
        there = urljoin(url, location)
        parts = urlsplit(there)
        if (parts.scheme, parts.netloc) != (self._parts.scheme, self._parts.netloc):
            raise _NoGoodError(f"redirects to another host ({printable(parts.netloc, 80)}), as the sign-on of a network does")
        return there

    def _opened(self) -> httpx.Client:
        if self._client is None:
            self._client = httpx.Client(timeout=self._timeout, headers={"User-Agent": "progflags"}, follow_redirects=False)
        return self._client

    def _refused(self, why: str) -> Problem:
        return Problem(self._name, None, "", why, "what was good last serves on; it is asked again")


class _NoGoodError(Exception):
    """An answer that can't serve, and why."""


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
            raise _NoGoodError(f"is larger than {LARGEST:,} bytes")
        if time.monotonic() > until:
            raise _NoGoodError("was not there as a whole before the time was up")
    return bytes(found)
