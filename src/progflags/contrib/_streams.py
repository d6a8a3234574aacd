"""
Streams: everybody who wants to hear that the flags have changed, and one task per event loop that tells them.

A stream that waits is one future. What it is told is the same for all, and says only that something is another: whoever hears it
asks again. So one message at most waits for a reader, the newest, and nothing that was missed need be kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from progflags._beside import RUNNING
from progflags._chance import chance
from progflags._streaming import Tell, ending
from progflags._trouble import swallow
from progflags.contrib._configuration import Configurations
from progflags.events import Reloaded
from progflags.flags import Client

__all__ = ["STUCK", "Streams"]

STUCK: Final = 20.0  # seconds that a reader may take for one message
_TICK: Final = 1.0  # seconds between two looks at who was told nothing for long
_BEAT: Final = 15.0  # seconds of silence after which a reader is shown that we live
_APART: Final = 0.25  # seconds between two messages: of several changes within them the last is told
_LONGEST: Final = 3600.0  # seconds of one stream, or up to a quarter less: those who came together don't come again together
_HANDFUL: Final = 50  # readers that are sent something in one turn of the event loop: requests have the next
_RETRY: Final = (1000, 5000)  # milliseconds after which a reader whom we lost comes again
_SILENCE: Final = b": here\n\n"
_PAUSES: Final = (0.02, 0.04, 0.08, 0.16, 0.3, 0.4)  # seconds: how long who asks for what is not here yet is kept waiting


@dataclass(eq=False, slots=True)
class _One:
    """A stream: what waits for its reader, and since when it was told nothing (monotonic)."""

    until: float
    since: float
    message: bytes | None = None
    over: bool = False
    waiter: asyncio.Future[None] | None = None

    def put(self, message: bytes) -> None:
        self.message = message
        self.wake()

    def end(self) -> None:
        self.over = True
        self.wake()

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def next(self) -> bytes | None:
        """The next message; None: there will be none."""
        while self.message is None and not self.over:
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter
        message, self.message = self.message, None
        return message


class Streams:
    """
    Those of one application. At most `most` at once; `exposed` says which flags they may hear about, None: every one.

    `open`, `dropped` (readers that did not read) and `refused` are what the client's status shows.
    """

    def __init__(self, most: int, exposed: Callable[[str], bool] | None) -> None:
        self.configurations = Configurations()
        self.dropped = self.refused = 0
        self._most, self._exposed = most, exposed
        self._rooms: dict[tuple[asyncio.AbstractEventLoop, Client], _Room] = {}

    @property
    def here(self) -> bool:
        """Whether this server is on asyncio."""
        with suppress(RuntimeError):
            return asyncio.get_running_loop() is not None
        return False

    @property
    def open(self) -> int:
        return sum(len(room.streams) for room in self._rooms.values())

    def admits(self) -> bool:
        """Whether there is room for one more; that one was refused is counted."""
        full = self.open >= self._most
        self.refused += full
        return not full

    async def follow(self, client: Client, last: str, tell: Tell) -> None:
        """
        Tell whoever has read `last` (what `Last-Event-ID` says) what is new, from now on.

        Raises:
            TimeoutError: the reader does not read.
        """
        key = asyncio.get_running_loop(), client
        room = self._rooms.get(key) or self._rooms.setdefault(key, _Room(self, client))
        if self.health not in client.supervised:
            client.supervised.append(self.health)
        one = room.enter(last)
        try:
            while (message := await one.next()) is not None:
                await tell(message)
        except TimeoutError:
            self.dropped += 1
            raise
        finally:
            room.streams.pop(one, None)
            if not room.streams and self._rooms.get(key) is room:
                del self._rooms[key]
                room.close()

    async def reached(self, client: Client, word: str) -> None:
        """Wait for a configuration that another process told of and this one has not seen; a second at most."""
        for pause in _PAUSES:
            if not self.configurations.behind(client, word):
                return
            await asyncio.sleep(pause)

    def concerns(self, client: Client, changed: Iterable[str]) -> bool:
        """Whether any flag that may be heard about answers otherwise: one that changed, or one that requires it."""
        reached, snapshot = set(changed), client.definitions
        if self._exposed is None or snapshot is None or not reached:
            return bool(reached)
        while more := {key for key, flag in snapshot.flags.items() if key not in reached and any(r.flag in reached for r in flag.requires)}:
            reached |= more
        return any(map(self._exposed, reached))

    def health(self) -> Mapping[str, str]:
        told = [f"{self.open:,} open"]
        told += [f"{self.dropped:,} dropped, for they did not read"] if self.dropped else []
        told += [f"{self.refused:,} refused, for there were too many"] if self.refused else []
        return {"OFREP streams": f"{RUNNING}, {', '.join(told)}"}


class _Room:
    """The streams of one client in one event loop, those that were told nothing for longest first."""

    def __init__(self, streams: Streams, client: Client) -> None:
        self.streams: dict[_One, None] = {}
        self._all, self._client = streams, client
        self._changed: set[str] = set()
        self._moved = asyncio.Event()
        self._told = streams.configurations.word(client)
        self._loop = asyncio.get_running_loop()
        self._unlisten = client.bus.listen(Reloaded, self._hear, ours=True)
        self._task = self._loop.create_task(self._serve())

    def enter(self, last: str) -> _One:
        now = self._client.clock.monotonic()
        one = _One(now + _LONGEST * chance.uniform(0.75, 1.0), now)
        word = self._all.configurations.word(self._client)
        hello = _SILENCE if last == word else _message(word)
        one.put(b"retry: %d\n%s" % (chance.randint(*_RETRY), hello))
        self.streams[one] = None
        return one

    def close(self) -> None:
        self._unlisten()
        self._task.cancel()

    def _hear(self, event: Reloaded) -> None:
        """In any thread."""
        with suppress(RuntimeError):  # a loop that is closed has nobody to tell
            self._loop.call_soon_threadsafe(self._note, event.changed)

    def _note(self, changed: Iterable[str]) -> None:
        self._changed.update(changed)
        self._moved.set()

    async def _serve(self) -> None:
        while True:
            try:
                await self._turn()
            except Exception as error:
                swallow("OFREP streams", error)
                await asyncio.sleep(_TICK)

    async def _turn(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_TICK):
                await self._moved.wait()
        if ending():
            for one in tuple(self.streams):
                one.end()
        if self._moved.is_set():
            self._moved.clear()
            changed, self._changed = self._changed, set()
            if self._all.concerns(self._client, changed):
                await self._tell()
        await self._beat()

    async def _tell(self) -> None:
        word = self._all.configurations.word(self._client)
        if word == self._told:
            return
        self._told, message = word, _message(word)
        await self._put(message, tuple(self.streams))
        await asyncio.sleep(_APART)

    async def _beat(self) -> None:
        due = self._client.clock.monotonic() - _BEAT
        await self._put(_SILENCE, tuple(takewhile(lambda one: one.since <= due, self.streams)))

    async def _put(self, message: bytes, to: Iterable[_One]) -> None:
        now = self._client.clock.monotonic()
        for number, one in enumerate(to, 1):
            if one in self.streams:
                del self.streams[one]  # to the end: it was told something
                self.streams[one], one.since = None, now
                if message is not _SILENCE or one.message is None:
                    one.put(message)
                if now >= one.until:
                    one.end()
            if number % _HANDFUL == 0:
                await asyncio.sleep(0)


def _message(word: str) -> bytes:
    return f'id: {word}\nevent: message\ndata: {{"type": "refetchEvaluation", "etag": "{word}"}}\n\n'.encode()
