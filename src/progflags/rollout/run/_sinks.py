"""Sinks: who is told of what happened, a function of this program or a URL."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from progflags._json import canonical
from progflags._printed import quoted

__all__ = ["Batch", "Gathering", "Hook", "Line", "Sink", "Webhook", "signature"]

Line = Mapping[str, Any]


class Sink(Protocol):
    """Who is told. `name` must stay the same over restarts: the place is kept under it."""

    @property
    def name(self) -> str: ...

    def tell(self, line: Line) -> None:
        """Take one line; raise if it was not taken, and it comes again."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """
    Some of the lines that wait, to be told at once: `of` are their places among those that were handed over, in order.

    `send` None: there is nothing to say of them, and that is that.
    """

    of: tuple[int, ...]
    send: Callable[[], object] | None = None


@runtime_checkable
class Gathering(Protocol):
    """A sink that is told of several lines at once, and chooses which, and when."""

    @property
    def name(self) -> str: ...

    @property
    def note(self) -> str:
        """What there is to know of how it does, beside that it runs; empty where nothing is."""
        ...

    def gather(self, lines: Sequence[Line]) -> Sequence[Batch]:
        """
        What is due of `lines`, which are in the order in which they happened. Of one subject always the first ones; lines that are
        in no batch come again with the next round.
        """
        ...


@dataclass(frozen=True, slots=True)
class Hook:
    """
    A function of this program as a sink.

        from progflags.rollout import Hook

        def keep(line):
            print(line["flag"], line["to"], line["actor"], line["reason"])

        flags.rollouts.notify(Hook("audit", keep))
    """

    name: str
    function: Callable[[Line], object]

    def tell(self, line: Line) -> None:
        self.function(line)


@dataclass(frozen=True, slots=True)
class Webhook:
    """
    A URL that is sent each line as JSON by POST. Any 2xx is a receipt; redirects are not followed.

    With a `secret` the header `X-Progflags-Signature` is `t=<seconds>,v1=<hex>`, an HMAC-SHA256 over `<seconds>.<body>`:
    see `signature`, which a receiver can use as well. `X-Progflags-Id` is the line's id.

        from progflags.rollout import Webhook

        flags.rollouts.notify(Webhook("https://hooks.example.com/rollouts", secret=SECRET))

    Raises:
        ValueError: not an http or https URL.
    """

    url: str
    secret: str = field(default="", repr=False)
    timeout: float = 5.0
    name: str = ""

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"a webhook's address begins with https:// or http://, not {quoted(self.url)}")
        if not self.name:
            object.__setattr__(self, "name", "webhook-" + hashlib.sha256(self.url.encode()).hexdigest()[:12])

    def tell(self, line: Line) -> None:
        import urllib.error
        import urllib.request

        body = canonical(dict(line)).encode()
        headers = {"Content-Type": "application/json", "X-Progflags-Id": str(line["id"]), "User-Agent": "progflags"}
        if self.secret:
            headers["X-Progflags-Signature"] = signature(self.secret, body, int(time.time()))
        request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")  # noqa: S310 - the scheme was checked
        try:
            with urllib.request.build_opener(_no_redirects()).open(request, timeout=self.timeout) as answer:
                answer.read(1024)
        except urllib.error.HTTPError as error:
            with error:
                raise ConnectionError(f"{self.name} was answered with {error.code}") from None


def signature(secret: str, body: bytes, at: int) -> str:
    """
    What the signature header says for `body` sent at `at` (seconds since the epoch).

        import hmac

        said = headers["X-Progflags-Signature"]
        at = int(said.split(",")[0].removeprefix("t="))
        genuine = hmac.compare_digest(said, signature(SECRET, body, at))
        recent = abs(time.time() - at) < 300
    """
    return f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def _no_redirects() -> Any:
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any, **__: Any) -> None:
            return None

    return Stay()
