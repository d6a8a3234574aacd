"""`diff`: what another flag file would change, and whom it would move."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from progflags._printed import counted
from progflags.cli._client import attributes as attributes_of
from progflags.cli._client import inspect
from progflags.cli._say import tell, tell_json
from progflags.context import Context
from progflags.errors import ProgflagsError
from progflags.events import Bus
from progflags.flags import Client, Evaluation, FlagModel, Snapshot, needed

__all__ = ["Change", "Moved", "add_parser", "compare", "moved", "people", "run", "sentences", "units", "who"]

Moved = tuple[tuple[str, str, int], ...]
"""(from, to, ppm of the units), the largest move first; "–" is the caller's default."""
_SAMPLE: Final = 20_000  # made-up units; the standard error of a share is at most 0.35 %
_MOVING: Final = frozenset({"variants", "default", "safe", "unit", "salt", "rules", "requires", "slot", "holdout", "candidate"})


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("diff", help="what another flag file would change, and who would move")
    parser.add_argument("old", metavar="OLD")
    parser.add_argument("new", metavar="NEW")
    people(parser)
    parser.set_defaults(run=run)


def people(parser: argparse.ArgumentParser) -> None:
    """The options that say of whom it is found out who moves."""
    parser.add_argument("--attr", action="append", default=[], metavar="NAME=VALUE", help="an attribute of the units; repeat for more")
    parser.add_argument("--keys", metavar="PATH", help="a file of real targeting keys, one a line, instead of made-up ones")


@dataclass(frozen=True, slots=True)
class Change:
    """
    A flag that is not as it was.

    `kind` is added, removed or changed; `parts` the fields that differ; `moved` maps (from, to) → ppm of the units that get
    another variant (or the caller's default, "–").
    """

    flag: str
    kind: str
    parts: tuple[str, ...] = ()
    moved: Moved = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        moved = [{"from": old, "to": new, "ppm": ppm, "percent": ppm / 10_000} for old, new, ppm in self.moved]
        return {"flag": self.flag, "kind": self.kind, "parts": list(self.parts), "moved": moved}


def run(arguments: argparse.Namespace) -> int:
    """Print every change and whom it moves. Exit 0; 2 when a file can't be loaded whole."""
    contexts, where = who(arguments), arguments.environment
    changes = compare(_load(arguments.old, where), _load(arguments.new, where), contexts)
    if arguments.json:
        tell_json({"ok": True, "units": len(contexts), "changes": [change.to_dict() for change in changes]})
        return 0
    for line in sentences(changes):
        tell(line)
    tell(f"{counted(len(changes))} {'differs' if len(changes) == 1 else 'differ'}, by {units(arguments, contexts)}")
    return 0


def who(arguments: argparse.Namespace) -> list[Context]:
    """
    The units that `people`'s options name.

    Raises:
        ProgflagsError: there is none.
    """
    keys = Path(arguments.keys).read_text(encoding="utf-8").split() if arguments.keys else [f"unit-{i}" for i in range(_SAMPLE)]
    if not keys:
        raise ProgflagsError(f"{arguments.keys}: there is no key in it, so nobody could be seen to move")
    made = attributes_of(arguments.attr)
    return [Context(key, made) for key in keys]


def units(arguments: argparse.Namespace, contexts: list[Context]) -> str:
    """How many they are, in words."""
    return counted(len(contexts), "key" if arguments.keys else "made-up unit")


def sentences(changes: Iterable[Change]) -> Iterator[str]:
    """What a person reads of them."""
    for change in changes:
        yield f"{change.flag}: {change.kind}" + (f" ({', '.join(change.parts)})" if change.parts else "")
        for old, new, ppm in change.moved:
            yield f"  {old} → {new}: {ppm / 10_000:g} % of the units"
        if change.kind == "changed" and not change.moved:
            yield "  nobody moves"


def moved(flag: str, old: Snapshot, new: Snapshot, contexts: list[Context]) -> Moved:
    """Whom another definition of one flag would serve another variant."""
    return _moved(flag, _client(needed(old, flag)), _client(needed(new, flag)), contexts, old.flags[flag], new.flags[flag])


def _load(source: str, environment: str | None) -> Snapshot:
    from progflags.errors import DefinitionError

    with inspect(source, environment) as flags:
        rejected, snapshot = flags.status().rejected, flags.definitions
    if rejected or snapshot is None:
        raise DefinitionError(rejected)
    return snapshot


def compare(old: Snapshot, new: Snapshot, contexts: list[Context]) -> list[Change]:
    """Every flag that differs between two snapshots, by key, and the share of `contexts` that would get another variant."""
    before, after = _client(old), _client(new)
    changes = []
    for key in sorted(old.flags.keys() | new.flags.keys()):
        one, other = old.flags.get(key), new.flags.get(key)
        if one is None or other is None:
            changes.append(Change(key, "added" if one is None else "removed"))
            continue
        parts = _parts(one, other)
        moves = any(part in _MOVING for part in parts) or _depends(one, old, new)
        moved = _moved(key, before, after, contexts, one, other) if moves else ()
        if parts or moved:
            changes.append(Change(key, "changed", parts, moved))
    return changes


def _depends(flag: FlagModel, old: Snapshot, new: Snapshot) -> bool:
    """Whether a flag that is itself the same hangs on one that is not."""
    return any(old.flags.get(require.flag) != new.flags.get(require.flag) for require in flag.requires)


def _parts(one: FlagModel, other: FlagModel) -> tuple[str, ...]:
    return tuple(part.name for part in fields(one) if getattr(one, part.name) != getattr(other, part.name))


def _client(snapshot: Snapshot) -> Client:
    from progflags._clock import SYSTEM

    client = Client(bus=Bus(), clock=SYSTEM)
    client.install(snapshot)
    return client


def _moved(key: str, before: Client, after: Client, contexts: list[Context], *flags: FlagModel) -> Moved:
    names = {name for flag in flags for group in flag.unit.groups for name in group if name != "targeting_key"}
    moves: Counter[tuple[str, str]] = Counter()
    for context in contexts:
        # A unit by attribute that was not given is made up: the key stands in for it.
        made = {name: context.key for name in names if name not in context.attributes}
        who = Context(context.key, {**context.attributes, **made}) if made else context
        old, new = _variant(before.evaluate(key, None, who)), _variant(after.evaluate(key, None, who))
        if old != new:
            moves[old, new] += 1
    return tuple((old, new, round(1_000_000 * count / len(contexts))) for (old, new), count in moves.most_common())


def _variant(answer: Evaluation) -> str:
    return "–" if answer.variant is None else answer.variant
