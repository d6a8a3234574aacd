"""
History: the lines that tell every step of a rollout, and every turn of a switch.

They are a hash chain: each holds the hash of the one before it, the document holds the hash of the last. Editing, dropping or
reordering lines breaks the chain; cutting off the end contradicts the document. The beginning may lie in an archive instead: a later line,
itself a link of the chain, then holds the hash of the last line that was cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain as one_after_another
from typing import Any, Final

from progflags._json import digest
from progflags.rollout._status import Transition
from progflags.rollout.run._page import ROLLOUT, Page, possible, subject
from progflags.store import Store

__all__ = ["ARCHIVED", "Chain", "History", "chained"]

ARCHIVED: Final = "archive"  # the act of a line that says so many before it were archived, and with which hash they end


class History:
    """What one store tells of its flags."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, flag: str, *, after: int = 0, run: int | None = None) -> tuple[Transition, ...]:
        """The steps of a flag's rollouts above number `after`, oldest first; of one `run` alone if that is said."""
        lines = self._lines(ROLLOUT + possible(flag), after)
        return tuple(Transition.of(flag, body) for body in lines if run is None or body.get("run") == run)

    def turned(self, page: Page) -> float:
        """When (wall) the switch of a page was last thrown or taken back, as its history says; 0 where it says nothing."""
        number = int((page.body.get("chain") or {"number": 0})["number"])
        last = list(self._lines(subject(page.flag), max(0, number - 1)))
        return float(last[-1].get("at", 0.0)) if last else 0.0

    def lines(self, flag: str) -> Iterator[Mapping[str, Any]]:
        """Of its rollouts, as they lie in the store."""
        return self._lines(ROLLOUT + possible(flag))

    def verify(self, page: Page, archived: Sequence[Mapping[str, Any]] = ()) -> tuple[str, ...]:
        """
        What is wrong with a flag's histories, as sentences; empty when every line is the one that was written.

        Lines that are `archived` stand before those of the store, as far as they are not there as well.
        """
        flag, chain = page.flag, page.body.get("chain") or {}
        rollout = Chain(_after(archived, self._lines(ROLLOUT + flag))).check("" if page.record is None else page.record.head, "rollout")
        return (*rollout, *Chain(self._lines(subject(flag))).check(str(chain.get("head", "")), "kill switch"))

    def _lines(self, subject: str, after: int = 0) -> Iterator[Mapping[str, Any]]:
        while entries := self._store.history(subject, after=after):
            for entry in entries:
                yield entry.body
                after = entry.number


@dataclass(frozen=True, slots=True)
class Chain:
    """Lines of history, to be checked link by link."""

    lines: Iterator[Mapping[str, Any]]

    def check(self, head: str, what: str) -> tuple[str, ...]:
        """What is wrong with it, if its last hash ought to be `head`."""
        problems: list[str] = []
        before, count, first = "", 0, 1
        cut: tuple[int, str] | None = None  # the last line of what was archived, which has to be spoken of
        for line in self.lines:
            if not count and (first := int(line.get("number", 1))) > 1:
                count, before = first - 1, str(line.get("prev", ""))
                cut = count, before
            count += 1
            if line.get("act") == ARCHIVED and (line.get("through"), line.get("head")) == cut:
                cut = None
            body = {key: value for key, value in line.items() if key != "hash"}
            if line.get("number") != count:
                problems.append(f"{what} history: line {count} says it is line {line.get('number')}")
            if line.get("prev") != before:
                problems.append(f"{what} history: line {count} does not follow the line before it")
            if line.get("hash") != digest(body):
                problems.append(f"{what} history: line {count} was changed after it was written")
            before = str(line.get("hash", ""))
        if cut is not None:
            problems.append(f"{what} history: it begins at line {first}, and no line says that those before it were archived")
        if before != head:
            problems.append(f"{what} history: it ends at line {count}, which is not the one the state rests on")
        return tuple(problems)


def _after(archived: Sequence[Mapping[str, Any]], lines: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Archived lines, then those of the store."""
    first = next(lines, None)
    rest = [] if first is None else [first]
    begins = int(rest[0].get("number", 1)) if rest else math.inf
    return one_after_another((line for line in archived if line["number"] < begins), rest, lines)


def chained(body: Mapping[str, Any], number: int, head: str) -> tuple[dict[str, Any], int, str]:
    """`body` as the next link after line `number` with hash `head`: the line, its number, its hash."""
    line = {**body, "number": number + 1, "prev": head}
    hashed = digest(line)
    return {**line, "hash": hashed}, number + 1, hashed
