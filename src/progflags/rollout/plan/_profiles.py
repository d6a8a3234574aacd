"""
Risk profiles: whole plans by a name, for people who have better things to do than to choose bake times.

A profile is a rollout table in the file's own shape; what a flag writes itself wins over it, key by key, and stages of
its own replace the profile's. Each has a version: a rollout under way keeps the plan it started with (the plan is frozen
into its document), so a better profile in the next release changes only rollouts not yet started. `low@1` in a file
asks for one version for ever.

Where the numbers come from: stages and bakes are the usual ladder (1, 10, 50) with more rungs and office hours as the
stakes rise; margins are what pools of identical workers differ by anyway (25 % on error rates, 10 % on p99), for a gate
tighter than its own noise only teaches people to ignore it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Final

from progflags._printed import printable, quoted

__all__ = ["BROKEN", "CURRENT", "PROFILES", "Entries", "choose", "over", "profile", "risk"]

Entries = Mapping[str, str | Mapping[str, Any]]
"""What a file has in `[profiles]`: pattern → profile, or the name of one of its own → its table."""

_ERRORS: Final = {"metric": "error_rate", "max_increase": 0.25}
_P99: Final = {"metric": "p99_latency", "max_increase": 0.10}
_ALL: Final = {"metric": "*", "anomaly": False, "severity": "warning"}
_LITTLE: Final = {"low": 0.005, "standard": 0.001, "high": 0.0002}  # of all calls, more failed ones than the control's: less is nothing
_SOON: Final = {"low": 0.020, "standard": 0.005, "high": 0.001}  # seconds: what nobody feels


def _gates(*gates: Mapping[str, Any], policy: str) -> list[dict[str, Any]]:
    return [{**gate, "policy": policy} for gate in gates]


def _stage(percent: float, bake: str, gates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"percent": percent, "bake": bake, "gates": [dict(gate) for gate in gates]}


def _fits(least: float, bake: str, gates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A stage whose percent fits the traffic, from `least` on."""
    return {**_stage(0, bake, gates), "percent": "auto", "at_least": least}


_LOW = _gates(_ERRORS, _P99, policy="observed")
_STANDARD = _gates(_ERRORS, _P99, policy="detectable")
_HIGH = _gates(_ERRORS, _P99, policy="proven")


def _minded(name: str, policy: str, *, everything: bool = False) -> list[dict[str, Any]]:
    """The gates since version 2: with what matters absolutely beside what matters relatively."""
    errors, p99 = {**_ERRORS, "min_absolute": _LITTLE[name]}, {**_P99, "min_absolute": _SOON[name]}
    more = [{**_ALL, "min_absolute": _LITTLE[name]}] if everything else []
    return [*_gates(errors, p99, policy=policy), *more]


_OFFICE: Final = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00", "timezone": "UTC"}

PROFILES: Final[Mapping[str, Mapping[int, Mapping[str, Any]]]] = MappingProxyType(
    {
        "low": {
            1: {
                "remember": False,
                "stages": [_stage(10, "15m", _LOW), _stage(50, "15m", _LOW)],
                "watch": "1h",
                "deadline": "24h",
                "on_insufficient": "hold",
                "alpha": 0.05,
                "cool_down": "15m",
            },
            2: {
                "stages": [_fits(10, "15m", _minded("low", "observed")), _stage(50, "15m", _minded("low", "observed"))],
                "watch": "1h",
                "deadline": "24h",
                "on_insufficient": "hold",
                "alpha": 0.05,
                "cool_down": "15m",
            },
        },
        "standard": {
            1: {
                "remember": False,
                "stages": [_stage(1, "15m", _STANDARD), _stage(10, "1h", _STANDARD), _stage(50, "4h", [*_STANDARD, _ALL])],
                "watch": "24h",
                "deadline": "24h",
                "on_insufficient": "hold",
                "alpha": 0.05,
                "cool_down": "1h",
            },
            2: {
                "stages": [
                    _fits(1, "15m", _minded("standard", "detectable")),
                    _fits(10, "1h", _minded("standard", "detectable")),
                    _stage(50, "4h", _minded("standard", "detectable", everything=True)),
                ],
                "holdback": 1,
                "own_stages": {"holdback": 0},  # whoever writes stages says how much of a control is kept
                "watch": "24h",
                "deadline": "24h",
                "on_insufficient": "hold",
                "alpha": 0.05,
                "cool_down": "1h",
            },
        },
        "high": {
            1: {
                "remember": False,
                "stages": [
                    _stage(1, "1h", _HIGH),
                    _stage(5, "2h", _HIGH),
                    _stage(10, "4h", _HIGH),
                    _stage(25, "12h", [*_HIGH, _ALL]),
                    _stage(50, "24h", [*_HIGH, _ALL]),
                ],
                "dark_launch": "24h",
                "windows": [_OFFICE],
                "approval": {"before": [10, 100]},
                "watch": "72h",
                "holdback": 1,
                "keep_holdback": True,
                "deadline": "7d",
                "on_insufficient": "hold",
                "alpha": 0.01,
                "cool_down": "4h",
            },
            2: {
                "stages": [
                    _fits(1, "1h", _minded("high", "proven")),
                    _fits(5, "2h", _minded("high", "proven")),
                    _fits(10, "4h", _minded("high", "proven")),
                    _stage(25, "12h", _minded("high", "proven", everything=True)),
                    _stage(50, "24h", _minded("high", "proven", everything=True)),
                ],
                "dark_launch": "24h",
                "windows": [_OFFICE],
                "approval": {"before": [10, 100]},
                "watch": "72h",
                "holdback": 1,
                "deadline": "7d",
                "on_insufficient": "hold",
                "alpha": 0.01,
                "cool_down": "4h",
            },
        },
        "emergency": {
            1: {
                "remember": False,
                "stages": [_stage(10, "2m", _gates(_ERRORS, policy="observed"))],
                "watch": "24h",
                "deadline": "1h",
                "on_insufficient": "hold",
                "alpha": 0.05,
                "cool_down": "5m",
                "approval": {"two_person": True},
            },
            2: {
                "stages": [_stage(10, "2m", _minded("low", "observed")[:1])],
                "watch": "24h",
                "deadline": "1h",
                "on_insufficient": "hold",
                "alpha": 0.05,
                "cool_down": "5m",
                "approval": {"two_person": True},
            },
            3: {
                "stages": [_fits(10, "2m", _minded("low", "proven")[:1])],
                "watch": "24h",
                "deadline": "1h",
                "on_insufficient": "hold",
                "alpha": 0.05,
                "cool_down": "5m",
                "approval": {"two_person": True},
            },
        },
    }
)

CURRENT: Final = "standard"
"""The profile of a rollout that names none."""


_NONE: Final[Entries] = MappingProxyType({})
BROKEN: Final = "broken"
"""The key, which no file has, of a profile in which something was refused."""
_WHOSE: Final = frozenset({"description", "extends", "flags", "owners", "tags", BROKEN})


def profile(name: str, entries: Entries = _NONE) -> tuple[str, Mapping[str, Any]]:
    """
    A profile by `name` or `name@version`, or one of the file's own, with the full name of what was found: `high@2`,
    `payments (high@2)`.

    Raises:
        ValueError: there is no such profile, or those that it extends come back to it; the message names them.
    """
    chain: list[str] = []
    while isinstance(entries.get(name), Mapping) and name not in PROFILES:
        if name in chain:
            circle = " → ".join([*chain[chain.index(name) :], name])
            raise ValueError(printable(f"profiles extend each other in a circle: {circle}"))
        if _table(entries, name).get(BROKEN):
            raise ValueError(f"profile {quoted(name)} is itself wrong: see its own message")
        chain.append(name)
        name = str(_table(entries, name).get("extends", CURRENT))
    full, table = _built_in(name, entries)
    for own in reversed(chain):
        table = over(table, {key: value for key, value in _table(entries, own).items() if key not in _WHOSE})
    return (f"{chain[0]} ({', '.join([*chain[1:], full])})" if chain else full), table


def over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A profile's table with what somebody writes over it, key by key; stages replace the stages, and what belongs to those."""
    table = dict(base)
    if "stages" in own:
        table |= table.pop("own_stages", {})
    return table | {key: value for key, value in own.items() if value is not None}


def _table(entries: Entries, name: str) -> Mapping[str, Any]:
    table = entries[name]
    assert isinstance(table, Mapping)
    return table


def _built_in(name: str, entries: Entries) -> tuple[str, Mapping[str, Any]]:
    bare, _, asked = name.partition("@")
    versions = PROFILES.get(bare)
    if versions is None:
        known = dict.fromkeys((*PROFILES, *(own for own, entry in entries.items() if isinstance(entry, Mapping))))
        raise ValueError(printable(f"there is no profile {quoted(name)}: it is one of {', '.join(known)}"))
    number = max(versions) if not asked else int(asked) if asked.isdecimal() else 0
    if number not in versions:
        raise ValueError(
            f"profile {quoted(bare)} has no version {quoted(asked)}: it is one of {', '.join(str(v) for v in sorted(versions))}"
        )
    return f"{bare}@{number}", versions[number]


def risk(full: str) -> str:
    """The built-in profile that one comes from, by the full name it is known by: `high` of `payments (high@2)`."""
    return full.rstrip(")").rpartition("(")[2].rpartition(", ")[2].partition("@")[0]


def choose(named: str | None, tags: Sequence[str] = (), key: str = "", file: str = "", rules: Entries = _NONE, *, owner: str = "") -> str:
    """
    The profile of a flag: the one it names, else its tag `risk:<profile>`, else the first of the file's `rules` that is for it, else
    the profile its key begins with (`high/payments`, `high.payments`), else `standard`.

    A rule's pattern is a glob: `*` is anything, `?` one character. It matches the flag's key, or the end of its file's path, as
    in `payments/*` and `payments.toml`. A profile of the file's own says itself whom it is for: `flags` (such patterns), `owners`, `tags`.
    """
    if named:
        return named
    for tag in tags:
        kind, _, name = tag.partition(":")
        if kind == "risk" and _known(name, rules):
            return name
    path = PurePath(file).as_posix() if file else ""
    for pattern, entry in rules.items():
        if isinstance(entry, str):
            if _matches(pattern, key, path):
                return entry
        elif _is_for(entry, tags, key, path, owner):
            return pattern
    first = key.replace("/", ".").partition(".")
    return first[0] if first[1] and _known(first[0], rules) else CURRENT


def _known(name: str, rules: Entries) -> bool:
    return name.partition("@")[0] in PROFILES or isinstance(rules.get(name), Mapping)


def _matches(pattern: str, key: str, path: str) -> bool:
    return fnmatchcase(key, pattern) or fnmatchcase(path, pattern) or fnmatchcase(path, f"*/{pattern}")


def _is_for(table: Mapping[str, Any], tags: Sequence[str], key: str, path: str, owner: str) -> bool:
    """Whether a profile of the file's own is for a flag; one that says nothing of it is for whoever names it."""
    wanted = {word: _words(table[word]) for word in ("flags", "owners", "tags") if word in table}
    met = {
        "flags": any(_matches(pattern, key, path) for pattern in wanted.get("flags", ())),
        "owners": owner in wanted.get("owners", ()),
        "tags": not set(tags).isdisjoint(wanted.get("tags", ())),
    }
    return bool(wanted) and all(met[word] for word in wanted)


def _words(value: Any) -> Sequence[str]:
    return (value,) if isinstance(value, str) else value
