"""Files of measurements: one row per request, or one row per metric; CSV or JSON lines."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from progflags._json import rows as json_rows
from progflags._printed import printable, quoted
from progflags.canary.samples._rate import Rate

__all__ = ["from_columns", "read"]


def read(path: str | Path) -> dict[str, Any]:
    """
    The metrics of a file. `.jsonl`, `.ndjson` and `.json` hold one object per line, anything else is CSV with a header.

    Rows are requests (`seconds`, `error` 0/1, any other numeric column by name) or rates (`metric,events,trials`).

    Raises:
        ValueError: a row that can't be read; the message names file and line.
        OSError: the file can't be opened.
    """
    where = Path(path)
    try:
        rows = _json_lines(where) if where.suffix in {".jsonl", ".ndjson", ".json"} else _csv(where)
    except OSError as error:
        raise OSError(error.errno, error.strerror, _named(where)) from None
    if not rows:
        raise ValueError(f"{_named(where)}: no rows")
    if {"metric", "events"} <= set(rows[0]):
        return _rates(where, rows)
    columns: dict[str, list[Any]] = {}
    for number, row in enumerate(rows, 1):
        if not _known_error(row.get("error")):
            raise ValueError(f"{_named(where)}: request {number}: {_NO_ERROR.format(quoted(row['error']))}")
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return from_columns(columns)


def _named(path: Path) -> str:
    return printable(path, 400)


def from_columns(columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """
    Metrics of a table with one row per request. `seconds` becomes `latency`, `error` (0/1, true/false) `error_rate`.

    Raises:
        ValueError: an `error` that is neither; leaving it out would make a failure that is spelled out look like none.
    """
    metrics: dict[str, Any] = {}
    for name, values in columns.items():
        numbers = [_number(value) for value in values]
        if name == "error":
            wrong = next((value for value in values if not _known_error(value)), None)
            if wrong is not None:
                raise ValueError(_NO_ERROR.format(quoted(wrong)))
            known = [number for number in numbers if number in {0.0, 1.0}]
            metrics["error_rate"] = Rate(sum(known), len(known))
        elif any(not math.isnan(number) for number in numbers):
            metrics["latency" if name == "seconds" else name] = numbers
    return metrics


def _csv(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        rows = []
        for row in reader:
            if None in row:
                raise ValueError(f"{_named(path)}:{reader.line_num}: more fields than the header has")
            rows.append({str(name).strip(): value for name, value in row.items() if value not in {None, ""}})
        return rows


def _json_lines(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return json_rows(file, _named(path))


def _rates(path: Path, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, list[Rate]] = {}
    for number, row in enumerate(rows, 2):
        try:
            trials = None if row.get("trials") in {None, ""} else float(row["trials"])
            exposure = None if row.get("exposure") in {None, ""} else float(row["exposure"])
            found.setdefault(str(row["metric"]), []).append(Rate(float(row["events"]), trials, exposure))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{_named(path)}: row {number}: {printable(error, 400)}") from None
    return {metric: rates[0] if len(rates) == 1 else rates for metric, rates in found.items()}


_NO_ERROR = "error is 0 or 1 (or true, false, or nothing where it is not known), not {}"


def _known_error(value: Any) -> bool:
    """Whether a row says if it failed, or says nothing."""
    if value is None or (isinstance(value, str) and value.strip().lower() in {"", "nan"}):
        return True
    number = _number(value)
    return number in {0.0, 1.0} or (math.isnan(number) and not isinstance(value, str))


_WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}


def _number(value: Any) -> float:
    if isinstance(value, str):
        value = _WORDS.get(value.strip().lower(), value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
