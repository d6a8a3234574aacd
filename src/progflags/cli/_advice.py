"""What `progflags lint` has to say about definitions that are valid, and still not as they should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from progflags.cli._reach import Advice, Path, reach
from progflags.flags import FlagModel, Snapshot, meant
from progflags.flags.conditions import ITEMWISE, Compare, FromNow, Moment, Network, Node, SemVer, Table
from progflags.flags.file import named

__all__ = ["Advice", "advice"]


def advice(snapshot: Snapshot, today: date, age: Callable[[Path], int | None], days: int = 30) -> Iterator[Advice]:
    """
    Everything there is to say about a snapshot, flag by flag.

    `age` gives the days since a key's line was last changed, None where nobody knows.
    """
    for key, flag in snapshot.flags.items():
        place: Path = ("flags", key)
        yield from _life(flag, place, today)
        yield from _finished(flag, place, age, today, days)
        yield from reach(flag, place)
        yield from _variants(flag, place)
        for at, rule in enumerate(flag.rules):
            if rule.when is not None and snapshot.attributes:
                yield from _types(rule.when, (*place, "rules", at, "when"), snapshot.attributes)
    yield from _salts(snapshot)
    yield from _segments(snapshot)
    yield from _channels(snapshot)


def _life(flag: FlagModel, place: Path, today: date) -> Iterator[Advice]:
    if not flag.owner:
        yield Advice("no-owner", place, "nobody owns this flag: add owner")
    if flag.expires is not None and flag.expires < today:
        yield Advice("expired", (*place, "expires"), f"expired {(today - flag.expires).days} days ago: take it out, or say until when")
    if flag.expires is None and flag.kind == "experiment":
        yield Advice("no-expiry", place, "an experiment ends some day: add expires")


def _finished(flag: FlagModel, place: Path, age: Callable[[Path], int | None], today: date, days: int) -> Iterator[Advice]:
    """Everybody has it, and for how long is known: by git, by the end of a ramp or the beginning of the rule."""
    rule = flag.rules[0] if len(flag.rules) == 1 else None
    if rule is None or rule.when is not None or rule.split or rule.until is not None or rule.windows or not rule.enabled:
        return
    if flag.enabled is not True or flag.kind != "release" or flag.requires or flag.slot or flag.holdout:
        return
    since: float | None
    if rule.ramp is not None:
        key, whole, since = "ramp", rule.ramp.end == 1_000_000, rule.ramp.finish
    else:
        key, whole, since = "percent", rule.share == 1_000_000, rule.since
    if whole:
        begun = None if since is None else (today - datetime.fromtimestamp(since, UTC).date()).days
        old = age((*place, key)) if begun is None else begun
        if old is not None and old >= days:
            yield Advice("finished", (*place, key), f"everybody has had it for {old} days: take the flag and the old path out of the code")


def _variants(flag: FlagModel, place: Path) -> Iterator[Advice]:
    served = {flag.default, flag.safe, flag.candidate}
    for rule in flag.rules:
        served.add(rule.serve)
        served.update(name for name, weight in rule.split if weight > 0)
        for name, weight in rule.split:
            if weight == 0:
                yield Advice("weight", (*place, "split", name), f"variant {name!r} has weight 0 and takes nobody")
    for name in flag.variants:
        if name not in served and not (flag.type == "boolean" and not flag.rules):
            yield Advice("unserved", (*place, "variants", name), f"variant {name!r} is never served")


def _salts(snapshot: Snapshot) -> Iterator[Advice]:
    shared = Counter(flag.salt for flag in snapshot.flags.values())
    for key, flag in snapshot.flags.items():
        if shared[flag.salt] > 1:
            others = ", ".join(other for other, model in snapshot.flags.items() if model.salt == flag.salt and other != key)
            yield Advice("shared-salt", ("flags", key, "salt"), f"the same units are in this flag's share and in {others}'s")


def _segments(snapshot: Snapshot) -> Iterator[Advice]:
    """Not while a flag is rejected: nobody knows which segments it would have used."""
    if snapshot.rejected:
        return
    used = {name for flag in snapshot.flags.values() for rule in flag.rules if rule.when is not None for name in named(rule.when)}
    for name in sorted(snapshot.segments - used):
        yield Advice("unused-segment", ("segments", name), f"no flag's rule asks for segment {name!r}: take it out")


# ── conditions against [context] ───────────────────────────────────────────

_ACCEPTS: Final[Mapping[str, tuple[type, ...]]] = {
    "str": (str,),
    "int": (int, float),
    "float": (int, float),
    "number": (int, float),
    "bool": (bool,),
    "semver": (SemVer,),
    "ip": (Network, str),
    "date": (Moment, FromNow),
}


def _types(when: Node, path: Path, attributes: Mapping[str, str]) -> Iterator[Advice]:
    for leaf in when.leaves():
        if leaf.name == "targeting_key":
            continue
        declared = attributes.get(leaf.name)
        if declared is None:
            hint = meant(leaf.name, attributes)
            yield Advice("undeclared-attribute", path, f"attribute {leaf.name!r} is not in [context]{f': {hint}' if hint else ''}")
        elif leaf.op != "exists" and not _fits(leaf, declared):
            yield Advice("type", path, f"{leaf} compares {leaf.name!r}, which is declared {declared}, with another type: it never matches")


def _fits(leaf: Compare, declared: str) -> bool:
    if leaf.op in ("contains", "icontains", "overlaps"):
        return declared == "list" or (declared == "str" and leaf.op != "overlaps")
    if leaf.op in ("==", "!=") and isinstance(leaf.value, (tuple, Table)):
        return declared == "list" and isinstance(leaf.value, tuple)
    if declared == "list":
        return leaf.op in ITEMWISE
    values: tuple[Any, ...] = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
    wanted = _ACCEPTS[declared]
    return all(isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool)) for value in values)


def _channels(snapshot: Snapshot) -> Iterator[Advice]:
    """Channels that nothing can reach, and secrets that everybody reads who reads the file."""
    for name, spec in snapshot.notify.items():
        place: Path = ("notify", name)
        for key in ("flags", "owners", "tags"):
            for word in spec.data.get(key, ()):
                if not snapshot.rejected and not any(_heard(key, word, flag) for flag in snapshot.flags.values()):
                    yield Advice("unused-channel", (*place, key), f"{_NOBODY[key]} {word!r}: correct it, or take it out")
        for key in _SECRET:
            value = spec.data.get(key, "")
            if value and not value.startswith("env:") and (key != "smtp" or "@" in value):
                yield Advice("secret-in-file", (*place, key), f'who reads this file can speak there: write {key} = "env:NAME"')


_SECRET: Final = ("slack", "teams", "discord", "secret", "smtp")
_NOBODY: Final = {"flags": "no flag's key is like", "owners": "no flag's owner is", "tags": "no flag has the tag"}


def _heard(key: str, word: str, flag: FlagModel) -> bool:
    if key == "flags":
        return fnmatchcase(flag.key, word)
    return word == flag.owner if key == "owners" else word in flag.tags
