"""What a flag is: FlagModel and its parts. Frozen and slotted; valid once built, because only the parser builds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from progflags.errors import Problem
from progflags.flags._freeze import FrozenDict, alike
from progflags.flags._hours import Hours
from progflags.flags._mould import mould

if TYPE_CHECKING:
    from progflags.flags.conditions import Node

__all__ = [
    "NO_METADATA",
    "ChannelSpec",
    "During",
    "FlagModel",
    "Holdout",
    "Ramp",
    "Require",
    "RolloutSpec",
    "Rule",
    "Slot",
    "Snapshot",
    "Unit",
    "make_flag",
    "make_rule",
]


@dataclass(frozen=True, slots=True)
class Unit:
    """
    What a flag buckets by. Every group gives one part of the unit: its first attribute that is there and usable.

    No groups: the targeting key. `unit = ["a", "b"]` is two groups of one; `unit = { first = ["a", "b"] }` one group of two.
    """

    groups: tuple[tuple[str, ...], ...] = ()

    def __str__(self) -> str:
        return " + ".join(" or ".join(group) for group in self.groups) or "the targeting key"


@dataclass(frozen=True, slots=True)
class During:
    """From `since` until before `until`, in seconds since the epoch; None is for ever in that direction."""

    since: float | None = None
    until: float | None = None

    def covers(self, now: float) -> bool:
        return (self.since is None or self.since <= now) and (self.until is None or now < self.until)


@dataclass(frozen=True, slots=True)
class Ramp:
    """A share that grows with the wall clock, in a straight line: `start` ppm until `begin`, `end` ppm from `finish` on."""

    begin: float
    finish: float
    start: int
    end: int

    def share(self, now: float) -> int:
        """The share at `now`, in ppm. Integers of microseconds, so every host that agrees on the time agrees on the share."""
        if now >= self.finish:
            return self.end
        if now <= self.begin:
            return self.start
        passed, whole = int((now - self.begin) * 1e6), int((self.finish - self.begin) * 1e6)
        return self.start + (self.end - self.start) * passed // whole


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One row of a flag's table: who (`when`), how many of them (`share` in ppm, or `ramp`), and what they get.

    `serve` is a variant's name, or `split` gives (variant, weight) in written order. `when` None matches everybody; `since`
    and `until` are seconds since the epoch, outside which the rule does not exist, nor outside its `windows` where it has some.
    One that `defers` serves the caller's own default. `unit` and `salt` None are the flag's. One that is not `enabled` stands there
    and does nothing.
    """

    name: str
    when: Node | None = None
    serve: str | None = None
    split: tuple[tuple[str, int | float], ...] = ()
    share: int | None = None
    ramp: Ramp | None = None
    since: float | None = None
    until: float | None = None
    windows: tuple[Hours, ...] = ()
    unit: Unit | None = None
    salt: str | None = None
    enabled: bool = True
    defers: bool = False

    @property
    def timed(self) -> bool:
        """Whether it is there at some times only."""
        return self.since is not None or self.until is not None or bool(self.windows)


@dataclass(frozen=True, slots=True)
class Require:
    """A prerequisite: another flag must answer one of these variants, or this one answers `safe`."""

    flag: str
    variants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """The part of an exclusion group that belongs to this flag: buckets `start` … `end` (ppm) on purpose `g`."""

    group: str
    salt: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Holdout:
    """Units in the first `share` ppm on purpose `h` get `safe`."""

    name: str
    share: int


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """
    The flag's `rollout` table as written: names and types are checked, durations still text, gates still tables.

    `problem` makes a Problem that names file, line and key: `path` is relative to the table, as in `("stages", 0, "bake")`. `place`
    says which file has a part of it, and where in that, if it is not `file`'s alone: an environment's says some of it.
    """

    flag: str
    data: Mapping[str, Any]
    file: str = field(default="", compare=False)
    lines: Callable[[tuple[str | int, ...]], int | None] | None = field(default=None, compare=False, repr=False)
    place: Callable[[tuple[str | int, ...]], tuple[str, tuple[str | int, ...]]] | None = field(default=None, compare=False, repr=False)

    def problem(self, path: tuple[str | int, ...] | str, message: str, hint: str = "") -> Problem:
        """One thing wrong at `path` (a tuple, or a single key) of this table."""
        full = ("flags", self.flag, "rollout", *((path,) if isinstance(path, str) else path))
        return _problem(self, full, message, hint)


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """
    One table of `[notify]`: names and types are checked, what stands for a secret (`env:NAME`) is not looked up yet.

    `problem` makes a Problem that names file, line and key: `path` is a key of this table, or nothing for the table. `place`: as that
    of a RolloutSpec.
    """

    name: str
    data: Mapping[str, Any] = field(repr=False)
    file: str = field(default="", compare=False)
    lines: Callable[[tuple[str | int, ...]], int | None] | None = field(default=None, compare=False, repr=False)
    place: Callable[[tuple[str | int, ...]], tuple[str, tuple[str | int, ...]]] | None = field(default=None, compare=False, repr=False)

    def problem(self, path: tuple[str | int, ...], message: str, hint: str = "") -> Problem:
        """One thing wrong at `path` of this table."""
        return _problem(self, ("notify", self.name, *path), message, hint)


@dataclass(frozen=True, slots=True)
class ProfileSpec:
    """
    A table of `[profiles]`: names and types are checked, durations still text, gates still tables; see RolloutSpec for the rest.

    `problem`'s path is relative to the table. `broken`: something in it was refused, and said; whose profile it is stands all the same,
    so that no rollout comes from another one meanwhile.
    """

    name: str
    data: Mapping[str, Any]
    file: str = field(default="", compare=False)
    lines: Callable[[tuple[str | int, ...]], int | None] | None = field(default=None, compare=False, repr=False)
    place: Callable[[tuple[str | int, ...]], tuple[str, tuple[str | int, ...]]] | None = field(default=None, compare=False, repr=False)
    broken: bool = False

    def problem(self, path: tuple[str | int, ...], message: str, hint: str = "") -> Problem:
        """One thing wrong at `path` of this table."""
        return _problem(self, ("profiles", self.name, *path), message, hint)


def _problem(spec: RolloutSpec | ChannelSpec | ProfileSpec, full: tuple[str | int, ...], message: str, hint: str) -> Problem:
    from progflags.flags._problems import Problems, dotted, nowhere

    found = Problems(spec.file, spec.lines or nowhere).at(full, message, hint)
    if spec.place is None:
        return found
    file, where = spec.place(full)
    return replace(found, file=file, key=dotted(where))


NO_METADATA: Final[Mapping[str, Any]] = FrozenDict()
"""One object for all the flags that say nothing."""
BOOLEAN: Mapping[str, Any] = FrozenDict(off=False, on=True)
"""The variants of a flag that does not say: one object for all of them."""


@dataclass(frozen=True, slots=True)
class FlagModel:
    """
    One flag, as its file has it. `type` is boolean, string, number or json; `variants` maps name → value (frozen).

    `rules` are in order, the file's sugar (`percent`, `split` on the flag itself) being the last of them. `control` and
    `candidate` are the arms of its rollout, None when it has none. Not `enabled`, or only during another time than now, it answers
    `safe` whatever stands below. With `skips` no share, split, group or holdout has whoever is without a unit; otherwise the answer
    is TARGETING_KEY_MISSING. `metadata` is handed on to whoever asks through a standard interface.
    """

    key: str
    type: str = "boolean"
    variants: Mapping[str, Any] = field(default_factory=lambda: BOOLEAN)
    default: str = "off"
    safe: str = "off"
    unit: Unit = Unit()
    salt: str = ""
    rules: tuple[Rule, ...] = ()
    requires: tuple[Require, ...] = ()
    slot: Slot | None = None
    holdout: Holdout | None = None
    description: str = ""
    owner: str | None = None
    expires: date | None = None
    ticket: str | None = None
    kind: str = "release"
    tags: tuple[str, ...] = ()
    rollout: RolloutSpec | None = None
    candidate: str | None = None
    tests: tuple[Mapping[str, Any], ...] = ()
    enabled: bool | During = True
    skips: bool = False
    metadata: Mapping[str, Any] = field(default_factory=lambda: NO_METADATA)

    @property
    def control(self) -> str | None:
        """The arm that those outside the share get, None for a flag without a rollout."""
        return None if self.rollout is None else self.default

    def active(self, now: float) -> bool:
        """Whether `enabled` lets the flag answer at this time."""
        return self.enabled.covers(now) if isinstance(self.enabled, During) else self.enabled

    def same(self, other: FlagModel) -> bool:
        """Whether both say the same in everything; unlike `==`, a value of 1 is neither true nor 1.0."""
        return self == other and (self.type in ("boolean", "string") or alike(self.variants, other.variants))

    @property
    def group(self) -> str | None:
        """The exclusion group's name, if any."""
        return None if self.slot is None else self.slot.group


make_flag = mould(FlagModel)
make_rule = mould(Rule)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    Everything one document says, and what was wrong with it.

    `rejected` are the problems of single flags: a flag that was good before keeps its previous definition in `flags`, one
    that never was stands in `broken` and answers the caller's default with PARSE_ERROR. `digest` tells two documents apart.
    `attributes` are those of `[context]`, `segments` the names that are declared, `types` what retired keys were,
    `notify` the channels of `[notify]`, `profiles` the entries of `[profiles]`. `environment`: the one whose tables are laid over it;
    empty, none is. `shared` has the tables of segments, groups and
    holdouts as they are written.
    """

    flags: Mapping[str, FlagModel]
    digest: str = ""
    rejected: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    retired: frozenset[str] = frozenset()
    source: str = ""
    broken: frozenset[str] = frozenset()
    attributes: Mapping[str, str] = field(default_factory=FrozenDict)
    profiles: Mapping[str, str | ProfileSpec] = field(default_factory=FrozenDict)
    types: Mapping[str, str] = field(default_factory=FrozenDict)
    segments: frozenset[str] = frozenset()
    notify: Mapping[str, ChannelSpec] = field(default_factory=FrozenDict)
    environment: str = ""
    shared: Mapping[str, Mapping[str, Any]] = field(default_factory=FrozenDict)
