"""What is written about a call that did not match: one redacted record, at most so many a second."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from progflags.darklaunch.compare import Given, Isolator
from progflags.darklaunch.record import Conclusion, JsonLines, Outcome, Redactor, mute

__all__ = ["FORMAT", "Teller"]

FORMAT: Final = 1
_A_SECOND: Final = 20  # records; a candidate that is always wrong must not fill a disk
_WORTH: Final = frozenset(
    {Outcome.MISMATCH, Outcome.CONTROL_ERROR_MISMATCH, Outcome.CANDIDATE_ERROR, Outcome.TIMEOUT, Outcome.ABANDONED, Outcome.COMPARE_ERROR}
)
_LARGEST: Final = 1 << 16


class _Launch(Protocol):
    """Whose call it was."""

    @property
    def name(self) -> str: ...

    @property
    def candidate_name(self) -> str: ...

    @property
    def isolator(self) -> Isolator: ...


class Told(Protocol):
    """A call that has ended, by what is written of it."""

    @property
    def experiment(self) -> _Launch: ...

    @property
    def given(self) -> Given: ...

    @property
    def endpoint(self) -> str: ...

    @property
    def seconds(self) -> float: ...


class Teller:
    """Records for a sink. `capture` adds the arguments as JSON, where they are JSON, so that the call can be replayed."""

    def __init__(self, flag: str, sink: Any, *, capture: bool, redactor: Redactor) -> None:
        self._flag = flag
        self._sink: Callable[[dict[str, Any]], object] | None = JsonLines(sink) if isinstance(sink, (str, os.PathLike)) else sink
        self._capture = capture
        self._redactor = redactor
        self._second = 0
        self._told = 0

    def tell(self, call: Told, said: Conclusion, candidate: float | None, now: float) -> None:
        """Write the record of a call that ended so, whose candidate took `candidate` seconds. Never raises."""
        outcome, differences, error, *_ = said
        if self._sink is None or outcome not in _WORTH or self._too_many():
            return
        describe = self._redactor.describe
        record: dict[str, Any] = {
            "v": FORMAT,
            "flag": self._flag,
            "at": now,
            "outcome": outcome.value,
            "endpoint": call.endpoint,
            **({"candidate": call.experiment.candidate_name} if call.experiment.candidate_name else {}),
            "error": error,
            "control_seconds": call.seconds,
            "candidate_seconds": candidate,
            "differences": [
                {"path": d.path, "kind": d.kind, "control": describe(d.path, d.control), "candidate": describe(d.path, d.candidate)}
                for d in differences[:20]
            ],
        }
        try:
            if self._capture:
                record |= {"function": call.experiment.name, "input": _input(call)}
            self._sink(record)
        except BaseException as failure:  # a sink of the user's, in our worker
            mute(f"dark launch {self._flag} record", failure)

    def _too_many(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._told = second, 0
        self._told += 1
        return self._told > _A_SECOND


def _input(call: Told) -> dict[str, Any] | None:
    """The arguments, if they are JSON through and through: what is read back must be what was written."""
    args, kwargs = call.experiment.isolator.fresh(call.given, last=True)
    given = {"args": list(args), "kwargs": kwargs}
    try:
        text = json.dumps(given, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None
    return given if len(text) <= _LARGEST and json.loads(text) == given else None
