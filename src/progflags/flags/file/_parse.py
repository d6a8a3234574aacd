"""
A document → a Snapshot: strict, and flag by flag.

What is wrong with the document as a whole (an unknown key at the top, another schema, no flags) refuses the whole; what is
wrong with one flag, or with a segment, group or holdout it uses, rejects that flag alone. A rejected flag keeps the
definition the previous snapshot had, so one team's typo never blocks another team's kill switch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from progflags.errors import DefinitionError
from progflags.flags._freeze import FrozenDict
from progflags.flags._model import FlagModel, Holdout, Snapshot, Unit
from progflags.flags._problems import Lines, Path, Problems, Wrong, nowhere, shown, suggest, word
from progflags.flags._quiet import quiet
from progflags.flags.conditions import Node
from progflags.flags.file._channels import channels
from progflags.flags.file._draft import variant_named
from progflags.flags.file._fields import Fields, is_table, read
from progflags.flags.file._format import CONTEXT, DOCUMENT, GROUP, HOLDOUT, SEGMENT
from progflags.flags.file._networks import without
from progflags.flags.file._parse_flag import FlagParser
from progflags.flags.file._parts import Group, Parts
from progflags.flags.file._profiles import profiles
from progflags.flags.file._requires import circles, circular, weigh
from progflags.flags.file._segments import Segments

__all__ = ["MOST_FLAGS", "SHARED", "alone", "parse"]

MOST_FLAGS: Final = 50_000
SHARED: Final = ("segments", "groups", "holdouts")
"""What several flags of a document refer to."""
_DEEPEST: Final = 32  # prerequisites of prerequisites
_MOST_ASKED: Final = 1_000  # evaluations for one answer, about 0.2 ms: a flag that two require is asked twice, and so on down
_HINTS: Final = 20  # unknown names for which the one that was perhaps meant is looked for
_AT_ONCE: Final = 50  # flags hashed in one step: about 0.1 ms


def parse(document: Mapping[str, Any], *, file: str = "<dict>", lines: Lines = nowhere, previous: Snapshot | None = None) -> Snapshot:
    """
    The snapshot that `document` describes.

    `lines` finds the line of a key path; `previous` is what served before: its good definitions stand in for flags that are
    bad now, and its retired keys keep their types.

    Raises:
        DefinitionError: the document as a whole is wrong. Correct what the problems name; until then serve `previous`.
    """
    if not isinstance(document, Mapping):
        raise DefinitionError([Problems(file, lines).at((), f"a table is wanted here, not {shown(document)}")])
    problems = Problems(file, lines)
    top = read(document, DOCUMENT, problems.add)
    if "flags" not in document:
        problems.add((), "there are no flags", 'write [flags.my-flag], or flags = {} for "none yet"')
    tables: Mapping[str, Any] = top.get("flags", {})
    if len(tables) > MOST_FLAGS:
        problems.add(("flags",), f"{len(tables):,} flags; at most {MOST_FLAGS:,} are read")
    problems.lenient = top.get("lenient", False)
    attributes = _attributes(top.get("context", {}), problems)
    if problems.found:
        raise DefinitionError(problems.found)
    with quiet(len(tables)):
        parts = _parts(top, problems)
        snapshot = _Assembly(tables, parts, problems, previous).snapshot(document, frozenset(top.get("retired", ())), attributes)
        notify = channels(top.get("notify", {}), problems, {} if previous is None else previous.notify)
        own = profiles(top.get("profiles", {}), problems, {} if previous is None else previous.profiles)
        segments, rejected, warnings = frozenset(top.get("segments", ())), tuple(problems.found), tuple(problems.warnings)
        shared = FrozenDict({name: top[name] for name in SHARED if top.get(name)})
        snapshot = replace(snapshot, segments=segments, shared=shared, notify=notify, profiles=own)
        return replace(snapshot, rejected=rejected, warnings=warnings)


def alone(document: Mapping[str, Any], key: str, among: Mapping[str, FlagModel], *, file: str, lines: Lines = nowhere) -> FlagModel:
    """
    One flag of a document, as it would stand among the flags of another one, in its own one's place.

    Raises:
        DefinitionError: it is wrong, or does not fit there; the problems name file, line and key. What is wrong with others says nothing.
    """
    problems = Problems(file, lines)
    top = read(document, DOCUMENT, problems.add)
    table = top.get("flags", {}).get(key)
    if table is None and not problems.found:
        problems.add(("flags",), f"there is no flag {key!r}", suggest(key, top.get("flags", {})))
    if problems.found:
        raise DefinitionError(problems.found)
    problems.lenient = top.get("lenient", False)
    beside = {flag: {"group": name} for name, group in top.get("groups", {}).items() for flag in _slots(group)}
    parts = _parts({**top, "flags": {**beside, key: table}}, problems)
    model = _Assembly({key: table}, parts, problems, None).among(key, among)
    if model is None:
        raise DefinitionError(problems.found)
    return model


def _slots(group: Any) -> Iterator[str]:
    slots = group.get("slots") if is_table(group) else None
    return iter(slots if is_table(slots) else ())


def _attributes(table: Mapping[str, Any], problems: Problems) -> Mapping[str, str]:
    fields = Fields("context", dict.fromkeys(map(word, table), CONTEXT))
    return FrozenDict(read(table, fields, lambda path, message, hint: problems.add(("context", *path), message, hint)))


def _parts(top: Mapping[str, Any], problems: Problems) -> Parts:
    parts = Parts()
    nodes: dict[str, Node] = {}
    for name, table in top.get("segments", {}).items():
        found = _entry(("segments", name), table, SEGMENT, problems)
        if found is None or not without(problems, ("segments", name, "when"), found["when"]):
            parts.wrong.add(("segment", name))
        else:
            nodes[name] = found["when"]
    parts.segments = Segments(nodes, parts.wrong)
    for name in nodes:
        try:
            parts.segments.named(name)
        except Wrong as wrong:
            problems.add(("segments", name, "when"), wrong.message, wrong.hint)
            parts.wrong.add(("segment", name))
    for name, table in top.get("holdouts", {}).items():
        found = _entry(("holdouts", name), table, HOLDOUT, problems)
        if found is None:
            parts.wrong.add(("holdout", name))
        else:
            parts.holdouts[name] = Holdout(name, found["percent"])
    for name, table in top.get("groups", {}).items():
        group = _group(name, table, top.get("flags", {}), problems)
        if group is None:
            parts.wrong.add(("group", name))
        else:
            parts.groups[name] = group
    return parts


def _entry(path: Path, table: Any, fields: Fields, problems: Problems) -> dict[str, Any] | None:
    """The checked values of one named table, None when anything in it is wrong."""
    before = len(problems.found)
    found = read(table, fields, lambda at, message, hint: problems.add((*path, *at), message, hint))
    return found if len(problems.found) == before else None


def _group(name: str, table: Any, flags: Mapping[str, Any], problems: Problems) -> Group | None:
    path: Path = ("groups", name)
    before = len(problems.found)
    found = _entry(path, table, GROUP, problems)
    if found is None:
        return None
    slots: dict[str, tuple[int, int]] = {}
    reached = 0
    for flag, percent in found["slots"].items():
        try:
            share = GROUP_SLOT(percent)
        except Wrong as wrong:
            problems.add((*path, "slots", flag), wrong.message, wrong.hint)
            continue
        if flag not in flags:
            problems.add((*path, "slots", flag), f"there is no flag {flag!r}", suggest(flag, flags))
        elif isinstance(flags[flag], Mapping) and flags[flag].get("group") != name:
            problems.add((*path, "slots", flag), f"flag {flag!r} does not say group = {name!r}", "add it there, or take the slot out")
        slots[flag] = (reached, reached + share)
        reached += share
    if reached > 1_000_000:
        problems.add((*path, "slots"), f"the slots add to {reached / 10_000:g} %, which is more than 100 %")
    if len(problems.found) > before:
        return None
    return Group(name, found.get("salt", name), Unit(found.get("unit", ())), slots)


def GROUP_SLOT(value: Any) -> int:  # noqa: N802 - reads as the kind it is
    from progflags.flags.file._kinds import ppm

    return ppm(value)


class _Assembly:
    """Flags one by one, then what only shows when they stand together."""

    def __init__(self, tables: Mapping[str, Any], parts: Parts, problems: Problems, previous: Snapshot | None) -> None:
        self.tables = tables
        self.problems = problems
        self.previous: Mapping[str, FlagModel] = {} if previous is None else previous.flags
        self.types: Mapping[str, str] = {} if previous is None else previous.types
        self.parser = FlagParser(parts, problems)
        self.good: dict[str, FlagModel] = {}
        self.bad: set[str] = set()

    def snapshot(self, document: Mapping[str, Any], retired: frozenset[str], attributes: Mapping[str, str]) -> Snapshot:
        for key, table in self.tables.items():
            before = len(self.problems.found)
            flag = self.parser.flag(key, table)
            if flag is None or len(self.problems.found) > before:
                self.bad.add(key)
            else:
                self.good[key] = self._settled(flag)
        self._retirements(retired)
        kept = {key: self.previous[key] for key in self.bad if key in self.previous}
        self._prerequisites(kept)
        kept = {key: self.previous[key] for key in self.bad if key in self.previous}
        flags = {key: kept.get(key) or self.good[key] for key in self.tables if key in self.good or key in kept} if kept else self.good
        gone = {key: flag.type for key, flag in self.previous.items() if key in retired and key not in flags}
        return Snapshot(
            flags=flags,
            digest=fingerprint(document),
            rejected=tuple(self.problems.found),
            retired=retired,
            source=self.problems.file,
            broken=frozenset(self.bad - kept.keys()),
            attributes=attributes,
            types=FrozenDict({key: kind for key, kind in self.types.items() if key in retired} | gone),
        )

    def among(self, key: str, others: Mapping[str, FlagModel]) -> FlagModel | None:
        """One flag beside those of another document; None where it is wrong, or does not go with them."""
        flag = self.parser.flag(key, self.tables[key])
        if flag is None:
            return None
        self.good = {**others, key: flag}
        self._prerequisites({})
        asking = [other.key for other in others.values() if any(require.flag == key for require in other.requires)]
        return self.good.get(key) if all(other in self.good for other in asking) else None

    def _settled(self, flag: FlagModel) -> FlagModel:
        """
        `flag`, or the object that stood for it before, if that says the same: an unchanged flag stays one from reload to reload.

        One with a rollout does not, for it knows the lines of its document.
        """
        before = self.previous.get(flag.key)
        return before if before is not None and flag.rollout is None and before.same(flag) else flag

    def _reject(self, key: str, path: Path, message: str, hint: str = "") -> None:
        self.problems.add(("flags", key, *path), message, hint)
        self.good.pop(key, None)
        self.bad.add(key)

    def _retirements(self, retired: frozenset[str]) -> None:
        for key in [key for key in self.good if key in retired]:
            known, now = self.types.get(key), self.good[key].type
            if known is not None and known != now:
                self._reject(key, (), f"{key!r} was retired as a {known} flag and can't come back as {now}", "give it another key")

    def _prerequisites(self, kept: Mapping[str, FlagModel]) -> None:
        asking = [(key, flag) for key, flag in self.good.items() if flag.requires]
        known = {**kept, **self.good} if asking else {}
        hints: dict[str, str] = {}
        for key, flag in asking:
            for at, require in enumerate(flag.requires):
                other = known.get(require.flag)
                if other is None and require.flag not in self.bad:
                    if require.flag not in hints:  # to look for what was meant takes up to 0.3 s among ten thousand
                        hints[require.flag] = suggest(require.flag, self.tables) if len(hints) < _HINTS else ""
                    hint = hints[require.flag]
                    self._reject(key, ("requires", at, "flag"), f"there is no flag {require.flag!r}", hint)
                elif other is not None:
                    self._names(key, at, other, require.variants)
        # A flag that is rejected here goes back to its earlier definition, and that may close a circle, so it is looked again.
        while asking and (self._circles() or self._weights()):
            pass

    def _names(self, key: str, at: int, other: FlagModel, variants: tuple[str, ...]) -> None:
        flag = self.good.get(key)
        resolved = []
        for variant in variants:
            name = variant_named(other.variants, variant)
            if name is None:
                self._reject(
                    key, ("requires", at, "is"), f"flag {other.key!r} has no variant {variant!r}", suggest(variant, other.variants)
                )
                return
            resolved.append(name)
        if flag is not None and tuple(resolved) != variants:
            requires = tuple(replace(r, variants=tuple(resolved)) if i == at else r for i, r in enumerate(flag.requires))
            self.good[key] = self._settled(replace(flag, requires=requires))

    def _graph(self) -> dict[str, tuple[str, ...]]:
        """Who requires whom among the flags that will serve: the good ones, and the earlier definitions of the bad."""
        serving = {**{key: self.previous[key] for key in self.bad if key in self.previous}, **self.good}
        return {key: tuple(require.flag for require in flag.requires) for key, flag in serving.items() if flag.requires}

    def _circles(self) -> bool:
        """Reject what stands in a circle, and say whether that was anything. Earlier definitions were no circle by themselves."""
        before = len(self.bad)
        for circle in circles(self._graph()):
            path = circular(circle)
            for key in circle[:-1]:
                if key in self.good:
                    self._reject(key, ("requires",), f"the prerequisites go in a circle: {path}", "take one of them out")
        return len(self.bad) > before

    def _weights(self) -> bool:
        """Reject what asks too much of one answer, and say whether that was anything."""
        before = len(self.bad)
        for key, (depth, cost) in weigh(self._graph()).items():
            if key in self.good and depth > _DEEPEST:
                self._reject(key, ("requires",), f"a chain of more than {_DEEPEST} prerequisites")
            elif key in self.good and cost > _MOST_ASKED:
                message = f"its prerequisites, and theirs, come to more than {_MOST_ASKED:,} evaluations for one answer"
                self._reject(key, ("requires",), message, "require only the last of those that require each other")
        return len(self.bad) > before


def fingerprint(document: Mapping[str, Any]) -> str:
    """
    SHA-256 of the document, the same for equal documents whatever the order of their keys; dates count by their ISO text.

    Written a few flags at a time, for one call over ten thousand of them would keep every other thread waiting for 50 ms. Hashed at
    once, for hashlib lets go of the interpreter in every call and takes it back before a thread that waits has woken up: two
    hundred calls in a row kept it waiting for up to 400 ms.
    """
    import hashlib

    text = bytearray()
    for name in sorted(document, key=str):
        part = document[name]
        for some in _few_at_a_time(part) if name == "flags" and is_table(part) else [part]:
            text += _canonical([name, some]).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()


def _few_at_a_time(table: Mapping[Any, Any]) -> Iterator[dict[Any, Any]]:
    try:
        keys = sorted(table)
    except TypeError:  # a dict that never was text
        keys = sorted(table, key=str)
    for at in range(0, len(keys), _AT_ONCE):
        yield {key: table[key] for key in keys[at : at + _AT_ONCE]}


_ENCODE: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str).encode


def _canonical(value: Any) -> str:
    try:
        return _ENCODE(value)
    except (TypeError, ValueError, RecursionError):
        return f"object {id(value)}"  # a dict that never was text, with odd keys or a circle: equal to itself alone
