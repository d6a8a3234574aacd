"""`replay` for what a dark launch recorded: run both sides again with the recorded arguments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from progflags._json import loads
from progflags.cli._say import tell, tell_json
from progflags.errors import ProgflagsError

__all__ = ["is_shadow_record", "shadow_replay"]


def is_shadow_record(row: Mapping[str, Any]) -> bool:
    """Whether a line of a JSON Lines file was written by a dark launch's `record=`."""
    return "outcome" in row and "differences" in row and "flag" in row


def shadow_replay(file: str | Path, *, as_json: bool = False) -> int:
    """
    Replay a record file and print what became of each call's disagreement.

    Only calls recorded with `capture=True` hold their arguments; the others are counted as skipped. The functions are
    imported, so run this where the application can be. Exit code: 0 all agree now, 1 some still disagree, 3 nothing could be
    replayed.

    Raises:
        ProgflagsError: the file can't be read, or holds something else.
    """
    counts: Counter[str] = Counter()
    paths: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for row in _rows(Path(file)):
        _one(row, counts, paths, skipped)
    told = {"outcomes": dict(counts), "paths": dict(paths), "skipped": dict(skipped)}
    if as_json:
        tell_json(told)
    else:
        for name, count in counts.most_common():
            tell(f"{count:>7} {name}")
        for path, count in paths.most_common():
            tell(f"{count:>7} differ at {path}")
        for reason, count in skipped.most_common():
            tell(f"{count:>7} skipped: {reason}")
    if not counts:
        return 3
    return 0 if set(counts) <= {"match", "ignored", "control_error_match"} else 1


def _one(row: Mapping[str, Any], counts: Counter[str], paths: Counter[str], skipped: Counter[str]) -> None:
    from progflags.darklaunch import find, replay

    given = row.get("input")
    if not isinstance(given, dict) or not isinstance(row.get("function"), str):
        skipped["no arguments were recorded (capture=True records them, where they are JSON)"] += 1
        return
    try:
        conclusion = replay(find(row["function"]), given["args"], given["kwargs"], row.get("candidate", ""))
    except LookupError as error:
        skipped[str(error)] += 1
        return
    counts[conclusion.outcome.value] += 1
    paths.update({difference.path for difference in conclusion.differences})


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ProgflagsError(f"{path}: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = loads(line)
        except ValueError as error:
            raise ProgflagsError(f"{path}:{number}: {error}") from error
        if not isinstance(row, dict) or not is_shadow_record(row):
            raise ProgflagsError(f"{path}:{number}: not a record of a dark launch")
        yield row
