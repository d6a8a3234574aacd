"""
Pages that follow what happens: one look and one drawing for all who watch the same, handed out by server-sent events.

Looking takes at most a hundredth of a processor, however much there is to see. Each viewer gets the parts that are others than those
it got last; one that does not read is left behind after a while, and costs one slot until then.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from progflags._console._desk import Desk, base_of
from progflags._console._reading import Handler
from progflags._console._render import Shell, parts
from progflags._console.pages import PAGES
from progflags._streaming import HEADERS, Tell, ending, stream
from progflags._trouble import swallow
from progflags.errors import missing

try:
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
except ImportError as error:
    raise missing(error, "starlette", "starlette", "console") from error

__all__ = ["following"]

_EVERY: Final = 1.0  # seconds between two looks, at least
_SPARE: Final = 100.0  # of which one is for looking
_BEAT: Final = 15.0  # seconds of silence after which a viewer is shown that we live
_STUCK: Final = 20.0  # seconds that a viewer may take to read one message
_LONGEST: Final = 1800.0  # seconds of one connection: who comes again is asked again who it is
_MOST: Final = 1000  # viewers
_TOPICS: Final = 100  # different things that are watched at once
_HANDFUL: Final = 10  # viewers that are sent something at once; hundreds would be a moment in which the application's requests wait
_PAUSE: Final = 0.005  # seconds between two handfuls
_NOTHING: Final[Mapping[str, str]] = {}  # what a viewer has who comes
_PAGES: Final = {"now": "", "rollout": "rollout", "dark-launches": "dark-launches"}

Topic = tuple[str, str, str]  # where the console is mounted, the page, the flag


@dataclass(eq=False, slots=True)
class _Watched:
    """What is watched by whom, and how it was drawn last: part → HTML; replaced whole, and its parts only where they are others."""

    drawn: Mapping[str, str] = field(default_factory=dict)
    viewers: set[asyncio.Event] = field(default_factory=set)
    looking: asyncio.Task[None] | None = None
    told: tuple[Mapping[str, str], Mapping[str, str], str] = (_NOTHING, _NOTHING, ": here\n\n")  # from what, to what, and the message

    def news(self, sent: Mapping[str, str]) -> str:
        """What is to be told to whoever has `sent`: written once, for nearly all have the same."""
        before, after, message = self.told
        if before is not sent or after is not self.drawn:
            new = {name: html for name, html in self.drawn.items() if sent.get(name) is not html}
            message = f"data: {json.dumps(new)}\n\n" if new else ": here\n\n"
            self.told = sent, self.drawn, message
        return message

    async def wake(self) -> None:
        """Tell all who watch, a handful at a time."""
        for number, viewer in enumerate(tuple(self.viewers), 1):
            viewer.set()
            if number % _HANDFUL == 0:
                await asyncio.sleep(_PAUSE)


class Following:
    """Whoever watches, by what they watch."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._watched: dict[Topic, _Watched] = {}

    def room(self, topic: Topic) -> bool:
        """Whether one more may watch it."""
        return sum(len(one.viewers) for one in self._watched.values()) < _MOST and (topic in self._watched or len(self._watched) < _TOPICS)

    async def follow(self, topic: Topic, tell: Tell) -> None:
        """Tell what is drawn, and whatever changes of it, until `tell` fails or it lasted long enough."""
        one = self._watched.setdefault(topic, _Watched())
        changed, sent = asyncio.Event(), _NOTHING
        one.viewers.add(changed)
        if one.looking is None:
            one.looking = asyncio.get_running_loop().create_task(self._look(topic, one))
        changed.set()
        end = time.monotonic() + _LONGEST
        try:
            while time.monotonic() < end and not ending():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_BEAT):  # `wait_for` may lose a cancellation before Python 3.12, and the viewer has left
                        await changed.wait()
                changed.clear()
                message, sent = one.news(sent), one.drawn
                await tell(message.encode())
        finally:
            one.viewers.discard(changed)
            if not one.viewers and self._watched.get(topic) is one:
                del self._watched[topic]

    async def _look(self, topic: Topic, one: _Watched) -> None:
        """Draw it again and again, as long as somebody watches and the server goes on."""
        base, page, flag = topic
        shell = Shell(base, None, f"{base}/static")
        while one.viewers and not ending():
            began = time.thread_time()
            try:
                drawn, took = await self._desk.beside(self._draw, PAGES[_PAGES[page]], {"flag": flag}, shell)
            except Exception as error:  # a flag that is gone, a store out of reach: the page stays as it was, and says since when
                swallow("console: live", error)
                drawn, took = one.drawn, time.thread_time() - began
            same = {name: one.drawn[name] for name, html in drawn.items() if one.drawn.get(name) == html}
            if len(same) < len(drawn):
                one.drawn = {**drawn, **same}
                await one.wake()
            await asyncio.sleep(max(_EVERY, _SPARE * took))
        await one.wake()

    def _draw(self, page: Callable[..., Any], query: Mapping[str, str], shell: Shell) -> tuple[Mapping[str, str], float]:
        began = time.thread_time()
        return parts(page(self._desk.flags, query), shell), time.thread_time() - began


class _Stream(Response):
    """Server-sent events, for as long as somebody is there who reads them."""

    def __init__(self, following: Following, topic: Topic) -> None:
        super().__init__(headers=dict(HEADERS))
        del self.headers["content-length"]
        self._follow = partial(following.follow, topic)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 - ASGI's signature
        why = await stream(receive, send, self.raw_headers, self._follow, stuck=_STUCK)
        if why is not None and not isinstance(why, (TimeoutError, OSError)):  # those are viewers that do not read, or are gone
            swallow("console: live", why)


def following(desk: Desk) -> list[tuple[str, Handler, str]]:
    """Addresses, what answers there, and the method."""
    return [("/live", partial(_live, Following(desk)), "GET")]


async def _live(watched: Following, request: Request) -> Response:
    page, _, flag = request.query_params.get("of", "").partition(" ")
    topic = base_of(request.scope), page, flag
    if page not in _PAGES:
        return JSONResponse({"ok": False, "error": "nothing of that name is live"}, 404)
    if not watched.room(topic):
        return JSONResponse({"ok": False, "error": "too many are watching: the pages themselves are there"}, 503)
    return _Stream(watched, topic)
