"""Why a candidate failed, as a person looks for it: the class, the place in the code, and the message as far as it may be kept."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from types import CodeType, FrameType, TracebackType
from typing import Any, Final

from progflags._printed import printable
from progflags.darklaunch.record._redact import Redactor

__all__ = ["Failure", "Failures", "place", "standing"]

_LIBRARIES: Final = tuple({path for name, path in sysconfig.get_paths().items() if name in {"stdlib", "platstdlib", "purelib", "platlib"}})
_OURS: Final = str(PurePath(__file__).parent.parent)
_KEPT: Final = 64  # different failures; the rest is counted under OTHER
OTHER: Final = "(other)"


def place(error: BaseException) -> str:
    """
    `search.py:41`: the last line of the application's own on the way to `error`; the very last where none is its own.

    Empty where the exception never was raised.
    """
    return _last(_frames(error.__traceback__))


def standing(frame: FrameType | None) -> str:
    """As `place`, of a call that is under way."""
    calls: list[tuple[CodeType, int]] = []
    while frame is not None:
        calls.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return _last(reversed(calls))


def _last(calls: Iterable[tuple[CodeType, int]]) -> str:
    lines = [(code.co_filename, line) for code, line in calls if not code.co_filename.startswith(_OURS)]
    own = [each for each in lines if not each[0].startswith(_LIBRARIES)]
    if not lines:
        return ""
    name, line = (own or lines)[-1]
    return f"{PurePath(name).name}:{line}"


def _frames(traceback: TracebackType | None) -> Iterator[tuple[CodeType, int]]:
    while traceback is not None:
        yield traceback.tb_frame.f_code, traceback.tb_lineno
        traceback = traceback.tb_next


@dataclass(frozen=True, slots=True)
class Failure:
    """What a candidate raised: class, place, and the message, for a redactor to reduce before it is kept."""

    kind: str
    where: str
    message: str = ""

    @classmethod
    def of(cls, error: BaseException, where: str) -> Failure:
        return cls(type(error).__qualname__, where, _text(error))

    def __str__(self) -> str:
        return printable(f"{self.kind} at {self.where}" if self.where else self.kind)


class Failures:
    """How often a candidate failed in which way, with the latest message, redacted. Not locked: its owner is. Bounded."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._found: dict[str, dict[str, Any]] = {}

    def note(self, failure: Failure, now: float) -> None:
        name = str(failure)
        if name not in self._found and len(self._found) >= _KEPT:
            name = OTHER
        row = self._found.setdefault(name, {"failure": name, "count": 0, "first": now})
        row["count"] += 1
        row["last"] = now
        if name != OTHER:
            row["message"] = self._redactor.describe("$error", failure.message)

    def counts(self) -> dict[str, int]:
        return {name: row["count"] for name, row in self._found.items()}

    def read(self) -> list[dict[str, Any]]:
        """The failures, most frequent first, as JSON data. The message is shown where `reveal` names `$error`."""
        return sorted((dict(row) for row in self._found.values()), key=lambda row: -row["count"])


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a message that can't be made is none; the failure is counted all the same
        return ""
