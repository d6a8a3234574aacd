"""Another moment: what answers for definitions and live states that are not those which serve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from progflags.events import Bus
from progflags.flags._model import FlagModel, Snapshot
from progflags.flags._reader import Reader
from progflags.flags._said import Said
from progflags.flags.serving import Counters, Exposures, Live, Workshop, assemble

__all__ = ["at_moment", "needed"]


def at_moment(snapshot: Snapshot, lives: Mapping[str, Live], at: float) -> Reader:
    """
    A reader of `snapshot` with `lives`, that of `EVERYTHING` among them, for which it is always `at` (wall time).

    It counts for nobody, and nobody's overrides, brakes and switches of this process are in it.
    """
    said = Said(read=lives, lives=lives)
    counters, bus = Counters(), Bus()
    ruleset, _ = assemble(snapshot, said.stated, Workshop(counters, Exposures(bus), lambda: at))
    ruleset.panic = said.all_killed
    return Reader(ruleset, counters)


def needed(snapshot: Snapshot, key: str, also: Iterable[str] = ()) -> Snapshot:
    """
    As much of `snapshot` as says what `key` answers: itself and what it, and any other definition of it, requires (`also`); all of it
    where there is no such flag.
    """
    flags: dict[str, FlagModel] = {}
    waiting = [key, *(flag for flag in also if flag in snapshot.flags)] if key in snapshot.flags else []
    while waiting:
        model = snapshot.flags[waiting.pop()]
        flags[model.key] = model
        waiting += [one.flag for one in model.requires if one.flag in snapshot.flags and one.flag not in flags]
    return replace(snapshot, flags=flags) if flags else snapshot
