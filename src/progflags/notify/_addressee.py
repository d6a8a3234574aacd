"""
An addressee: one channel as the outbox serves it. It groups what happened to a flag into one message, and waits where much happens.

The first word about a flag goes at once. What follows within `QUIET` seconds is gathered and told in one, unless it is graver than
what was told last. The lines wait where they are kept, in the store: nothing is lost by waiting, whoever dies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from cachetools import LRUCache

from progflags._beside import said
from progflags._clock import Clock
from progflags._trouble import say
from progflags.notify._channel import Channel, Refused
from progflags.notify._message import Message
from progflags.notify._telling import Facts, compose, severity, worth
from progflags.notify._threads import Threads
from progflags.rollout import Batch, Line

__all__ = ["OLD", "QUIET", "Addressee"]

QUIET: Final = 10.0  # seconds after a message about a flag in which no second one follows that is no graver
OLD: Final = 86_400.0  # seconds after which what could not be told is news no more
_TRIES: Final = 3  # of a message that a channel refuses as such
_LATE: Final = "what happened was more than a day old"
_FLAGS: Final = 10_000  # flags of which it is remembered when they were told of


class Addressee:
    """`channel` as a sink."""

    def __init__(self, channel: Channel, facts: Facts, clock: Clock, threads: Threads | None = None) -> None:
        self.channel = channel
        self._threads = threads if channel.threaded else None
        self._facts = facts
        self._clock = clock
        self._last: LRUCache[str, tuple[float, int]] = LRUCache(_FLAGS)  # by flag: when (monotonic) and how grave
        self._refused: Counter[str] = Counter()
        self._dropped = 0
        self._why = ""

    @property
    def name(self) -> str:
        return f"notify/{self.channel.name}"

    @property
    def note(self) -> str:
        """How many messages were given up, and why the last one was."""
        return f"{self._dropped:,} dropped: {self._why}" if self._dropped else ""

    def gather(self, lines: Sequence[Line]) -> Sequence[Batch]:
        """One batch for each flag that something happened to, in the order in which it began."""
        by_flag: dict[str, list[int]] = {}
        for at, line in enumerate(lines):
            by_flag.setdefault(str(line["flag"]), []).append(at)
        found = (self._batch(flag, places, [lines[at] for at in places]) for flag, places in by_flag.items())
        return [batch for batch in found if batch is not None]

    def _batch(self, flag: str, places: Sequence[int], lines: Sequence[Line]) -> Batch | None:
        """None: not yet."""
        audible = [line for line in lines if self._for_us(flag, line)]
        oldest = self._clock.now() - OLD
        fresh = [line for line in audible if float(line["at"]) >= oldest]
        if not fresh:
            gone = partial(self._give_up, len(audible), _LATE) if audible else None
            return Batch(tuple(places), gone)
        last = self._last.get(flag)
        grave = max(severity(line).rank for line in fresh)
        if last is not None and self._clock.monotonic() - last[0] < QUIET and grave <= last[1]:
            return None
        message = compose(fresh, self._facts, self.channel.console_url)
        return Batch(tuple(places), partial(self._send, flag, message, late=len(audible) - len(fresh)))

    def tell_now(self, line: Line) -> None:
        """One line by itself, where it is for this channel: not by way of the store. Raises what the channel does."""
        if self._for_us(str(line["flag"]), line):
            self._bring(compose([line], self._facts, self.channel.console_url))

    def _for_us(self, flag: str, line: Line) -> bool:
        only = self.channel.only
        return worth(line) and severity(line).rank >= only.least and only.about(flag, self._facts.known(flag))

    def _send(self, flag: str, message: Message, *, late: int) -> None:
        try:
            self._bring(message)
        except Refused as error:
            self._refused[message.id] += 1
            if self._refused[message.id] < _TRIES:
                raise
            del self._refused[message.id]
            self._give_up(1, said(error))
        if late:
            self._give_up(late, _LATE)
        self._last[flag] = self._clock.monotonic(), message.severity.rank

    def _bring(self, message: Message) -> None:
        if self._threads is None:
            self.channel.send(message)
            return
        first = self._threads.first(message.thread)
        called = self.channel.send(replace(message, first=first))
        if called and called != first:
            self._threads.begun(message.thread, called)

    def _give_up(self, count: int, why: str) -> None:
        self._dropped += count
        self._why = why
        say(self.name, f"{count} could not be told and will not be: {why}")
