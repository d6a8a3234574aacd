"""
A file as an external metric: what another program writes down, and a gate reads while it is fresh.

`flags.metrics.source("tickets", MetricFile("tickets.json", "open"))`; the callable and the file are the sources in the house,
Prometheus is one in `progflags.contrib`. Who writes the file writes it aside and renames it into place; whoever does not is
forgiven a torn end.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from progflags._clock import SYSTEM, Clock
from progflags._json import loads
from progflags._printed import quoted

__all__ = ["MetricFile"]

_TAIL: Final = 65_536  # bytes of a growing file that are read: its last line is wanted


class MetricFile:
    """
    The last number under `value` in a file, while it is fresh; None otherwise, which a gate takes for no data.

    `.json` is one object, or a list whose last counts; `.jsonl` (`.ndjson`) one object a line, the last counts; `.csv` has
    names in its first line, and the last row that is whole counts. With `per` the reading is `value / per`: a missing
    numerator is 0, for a program that met no error often writes none; a missing or zero denominator is no data.

    A reading is fresh for `max_age` seconds from the time under `at` (seconds since the epoch, or ISO 8601, UTC where it
    says no zone), without `at` from when the file was last written. A time further ahead than that is no time, and no data.
    A file caught half-written gives the reading before, while that is fresh.

    Calling it raises OSError or ValueError where the file can't be read or holds something else; the recorder counts and
    logs that, and it is no data.

        failed = MetricFile("imports.jsonl", "failed", per="rows", at="time", max_age=300)
        flags.metrics.source("import_failures", failed)
        # a gate: { metric = "import_failures", max = 0.01 }

    Raises:
        ValueError: the suffix is none of these, `value` is empty, or `max_age` is not above 0.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        value: str,
        *,
        per: str | None = None,
        at: str | None = None,
        max_age: float = 60.0,
        clock: Clock = SYSTEM,
    ) -> None:
        self._path = Path(path)
        read = _FORMS.get(self._path.suffix.lower())
        if read is None:
            raise ValueError(f"{quoted(self._path.name)} is none of {', '.join(_FORMS)}: give the file one of these suffixes")
        if not value:
            raise ValueError("which value? name its key, or the column's heading")
        if not 0 < max_age < math.inf:
            raise ValueError(f"max_age is a number of seconds above 0, not {quoted(max_age)}")
        self._read, self._value, self._per, self._at = read, value, per, at
        self._max_age, self._clock = max_age, clock
        self._last: tuple[float, float | None] | None = None  # when it was true, and what it was

    def __call__(self) -> float | None:
        found = self._found()
        if found is not None:
            self._last = found
        if self._last is None:
            return None
        at, reading = self._last
        return reading if abs(self._clock.now() - at) <= self._max_age else None

    def _found(self) -> tuple[float, float | None] | None:
        """The newest reading that is whole; None where the file holds only half of one."""
        with self._path.open("rb") as file:
            written = os.fstat(file.fileno()).st_mtime
            row = self._read(file)
        if row is None:
            return None
        at = written if self._at is None else _time(row.get(self._at))
        return None if at is None else (at, self._reading(row))

    def _reading(self, row: Mapping[str, Any]) -> float | None:
        value = _number(row.get(self._value))
        if self._per is None:
            return value
        per = _number(row.get(self._per))
        return None if not per else (value or 0.0) / per


def _json(file: Any) -> Mapping[str, Any] | None:
    try:
        found = loads(file.read())
    except ValueError:
        return None  # a proper prefix of a document is no document
    if isinstance(found, list):
        found = found[-1] if found else {}
    return _row(found)


def _lines(file: Any) -> Mapping[str, Any] | None:
    for line in reversed(_tail(file).splitlines()):
        try:
            return _row(loads(line))
        except ValueError:
            continue  # torn, or blank; the one before it is whole
    return None


def _table(file: Any) -> Mapping[str, Any] | None:
    heading = file.readline()
    start = file.tell()
    rows = _tail(file, start)
    whole = rows[: rows.rfind(b"\n") + 1]  # half a number is a number too: only a row that was ended counts
    if not heading.endswith(b"\n") or not whole.strip():
        return None
    last = whole.rstrip(b"\r\n").rsplit(b"\n", 1)[-1]
    names, fields = (next(csv.reader([line.decode("utf-8-sig")]), []) for line in (heading, last))
    return dict(zip((name.strip() for name in names), fields, strict=False))


_FORMS: Final[dict[str, Callable[[Any], Mapping[str, Any] | None]]] = {".json": _json, ".jsonl": _lines, ".ndjson": _lines, ".csv": _table}


def _tail(file: Any, start: int = 0) -> bytes:
    """The end of a file from `start` on; where that is too much, from the first line that is whole."""
    size = file.seek(0, os.SEEK_END)
    begin = max(start, size - _TAIL)
    file.seek(begin)
    text: bytes = file.read(_TAIL)
    return text if begin == start else text.partition(b"\n")[2]


def _row(found: Any) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise ValueError(f"an object is wanted there, not {type(found).__name__}")  # noqa: TRY004 - what is wrong is the file
    return found


def _number(value: Any) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise ValueError(f"{quoted(value)} is no number")  # noqa: TRY004 - as above
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{quoted(value)} is no finite number")
    return number


def _time(value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        return _number(value)
    except ValueError:
        moment = datetime.fromisoformat(str(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
