"""
Observed: what nobody did and people want to know all the same: a source that is stale, a dark launch that is unsafe.

Whoever notices writes a line of history, by compare-and-set, so that a fleet that notices the same thing writes one. From there it is
told like everything else: once, at least once, by whichever process tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from progflags._clock import Clock
from progflags._printed import printable
from progflags._trouble import swallow
from progflags.errors import ConflictError, Problem, StoreError
from progflags.overview import headline
from progflags.rollout import INCIDENT
from progflags.store import Commit, Store

if TYPE_CHECKING:
    from progflags.darklaunch import ShadowSummary

__all__ = ["SETTLED", "Observed"]

SETTLED: Final = 5.0  # seconds that a source is stale before it is said: who saves a file twice has not broken it
_OFTEN: Final = 5.0  # seconds between two looks at dark launches
_TRIES: Final = 3
_GOOD, _STALE, _UNSAFE = "READY", "STALE", "UNSAFE"


class Observed:
    """
    Notices for one client. `refused`: what is wrong with the document of `source`, empty where it serves; `dark_launches`: what
    they have found, over all processes.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        source: str,
        *,
        refused: Callable[[], Sequence[Problem]],
        dark_launches: Callable[[], Sequence[ShadowSummary]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._source = source
        self._refused = refused
        self._dark_launches = dark_launches
        self._since: float | None = None  # when (monotonic) the source was first seen to be stale
        self._said = ""
        self._shadows_at: float | None = None

    def look(self, *, shadows: bool) -> None:
        """Write down what has changed; `shadows`: of dark launches too, which one process of a fleet does. Never raises."""
        try:
            self._look_at_source()
            if shadows:
                self._look_at_shadows()
        except (StoreError, ConflictError) as error:  # it will be noticed again
            swallow("observed", error)

    def _look_at_source(self) -> None:
        """A process tells of what became of its own source: one whose host still has the old file does not call it mended."""
        problems = self._refused()
        if not problems:
            self._since = None
            if self._said != _GOOD:
                self._write(f"source/{self._source}", _GOOD, self._line("source", "", f"{self._source} serves again", "", ""))
                self._said = _GOOD
            return
        now = self._clock.monotonic()
        self._since = now if self._since is None else self._since
        if self._said != _STALE and now - self._since >= SETTLED:
            why = "; ".join(map(str, problems[:3]))
            title = f"{self._source} was refused, the last known good serves on"
            self._write(f"source/{self._source}", _STALE, self._line("source", "", title, why, "mend it; progflags validate checks it"))
            self._said = _STALE

    def _look_at_shadows(self) -> None:
        now = self._clock.monotonic()
        if self._shadows_at is not None and now - self._shadows_at < _OFTEN:
            return
        self._shadows_at = now
        for one in self._dark_launches():
            verdict = one.verdict()
            state, subject = str(verdict.state), f"shadow/{'/'.join(filter(None, (one.flag, one.function, one.candidate)))}"
            if state == _UNSAFE:
                do = f"progflags shadow report {one.flag}"
                line = self._line("shadow", one.flag, f"the dark launch of {one.flag} is UNSAFE", headline(one, verdict), do)
                self._write(subject, _UNSAFE, line)
            elif state == "SAFE":
                line = self._line("shadow", one.flag, f"the dark launch of {one.flag} is SAFE again", headline(one, verdict), "")
                self._write(subject, _GOOD, line)

    def _line(self, kind: str, flag: str, title: str, reason: str, do: str) -> dict[str, Any]:
        said = {"title": printable(title, 400), "reason": printable(reason, 800), "do": printable(do, 240)}
        return {"v": 1, "kind": kind, "flag": flag, "actor": "", "at": self._clock.now(), **said}

    def _write(self, subject: str, state: str, line: Mapping[str, Any]) -> None:
        """Unless it says so already; that all is well only where it was not."""
        key = INCIDENT + subject
        for _ in range(_TRIES):
            there = self._store.read(key)[1].get(key)
            if (_GOOD if there is None else there.body.get("state")) == state:
                return
            number = 1 if there is None else int(there.body.get("number", 0)) + 1
            expects = {key: 0 if there is None else there.revision}
            try:
                self._store.commit(Commit({key: {"v": 1, "state": state, "number": number}}, expects, ((key, line),), uuid4().hex))
            except ConflictError:
                continue
            return
