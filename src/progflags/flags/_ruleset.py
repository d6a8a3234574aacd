"""
Everything a client answers from at one moment: Ruleset.

Never changed once it serves; a reload, a share change, a pin make another one, which takes over by one assignment. What
did not change is carried over, so a share change in 10,000 flags compiles one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

from progflags.flags._closures import Fn
from progflags.flags._compile import Compiled, Workshop
from progflags.flags._evaluation import Reason
from progflags.flags._live import NO_LIVE, Live
from progflags.flags._model import FlagModel, Snapshot
from progflags.flags._quiet import quiet
from progflags.flags._typed import Flag

__all__ = ["CLASSES", "EMPTY", "Pin", "Ruleset", "assemble", "class_of"]

_NONE: Final[Mapping[str, Compiled]] = {}
_TYPES: Final[Mapping[str, type]] = {"boolean": bool, "string": str}
CLASSES: Final[tuple[type, ...]] = (bool, str, int, float, dict, list)


def class_of(values: Iterable[Any]) -> type | None:
    """The class that every one of a flag's values has, as callers write it in a default; None when they differ."""
    classes = {next((kind for kind in CLASSES if isinstance(value, kind)), None) for value in values}
    if classes == {int, float}:
        return None
    return classes.pop() if len(classes) == 1 else None


@dataclass(frozen=True, slots=True)
class Pin:
    """The brake: control for everybody, until the flag's live revision is beyond `revision`."""

    revision: int
    why: str = ""


@dataclass(slots=True, eq=False)
class Ruleset:
    """
    `on` maps a boolean flag's key to its function; `typed` maps a default's class to the flags whose values are all of it;
    `whole` maps every flag's key to the function that answers with the Evaluation.

    So "is there such a flag, of that type" is answered by finding the function at all.
    """

    snapshot: Snapshot | None = None
    compiled: Mapping[str, Compiled] = field(default_factory=dict)
    on: Mapping[Any, Callable[..., bool]] = field(default_factory=dict)
    typed: Mapping[Any, Mapping[Any, Fn]] = field(default_factory=dict)
    whole: Mapping[str, Fn] = field(default_factory=dict)

    def find(self, key: str) -> Compiled | None:
        """The compiled flag, None when there is none."""
        return self.compiled.get(key)


EMPTY: Final = Ruleset()

Forced = Callable[[FlagModel, Live], tuple[str, Reason] | None]


def forced_by(pins: Mapping[str, Pin], *, panic: bool) -> Forced:
    """What overrules a flag's rules: panic, a kill, the brake; in this order."""

    def forced(flag: FlagModel, live: Live) -> tuple[str, Reason] | None:
        if panic or live.killed is not None:
            return flag.safe, Reason.DISABLED
        pin = pins.get(flag.key)
        if pin is not None and live.revision <= pin.revision:
            return flag.default, Reason.PINNED
        return None

    return forced


def assemble(
    snapshot: Snapshot | None,
    lives: Mapping[str, Live],
    forced: Forced,
    workshop: Workshop,
    before: Ruleset = EMPTY,
) -> tuple[Ruleset, tuple[str, ...]]:
    """
    The ruleset for these definitions and live states, and the keys of the flags that are not as `before`.

    What `before` compiled is kept wherever definition, live state, force and prerequisites are the same.
    """
    flags: Mapping[str, FlagModel] = {} if snapshot is None else snapshot.flags
    with quiet(len(flags)):
        return _assembled(snapshot, flags, lives, forced, workshop, before)


def _assembled(  # noqa: PLR0917 - what assemble was given
    snapshot: Snapshot | None,
    flags: Mapping[str, FlagModel],
    lives: Mapping[str, Live],
    forced: Forced,
    workshop: Workshop,
    before: Ruleset,
) -> tuple[Ruleset, tuple[str, ...]]:
    compiled: dict[str, Compiled] = {}
    changed: set[str] = set()

    def make(key: str, flag: FlagModel) -> Compiled:
        for require in flag.requires:
            if require.flag not in compiled and require.flag in flags:
                make(require.flag, flags[require.flag])
        live = lives.get(key, NO_LIVE)
        old = before.compiled.get(key)
        force = forced(flag, live)
        others = {require.flag: compiled[require.flag] for require in flag.requires if require.flag in compiled} if flag.requires else _NONE
        if (
            old is not None
            and (old.flag is flag or old.flag == flag)
            and old.live == live
            and old.forced == force
            and _same(old.others, others)
        ):
            compiled[key] = old
        else:
            if old is None or old.flag != flag or old.live != live or old.forced != force:
                changed.add(key)
            compiled[key] = Compiled(flag, live, workshop, others, force)
        return compiled[key]

    for key, flag in flags.items():
        if key not in compiled:
            make(key, flag)
    changed.update(key for key in before.compiled if key not in flags)
    # In the document's order, whatever the prerequisites' was.
    return tables(snapshot, {key: compiled[key] for key in flags}), tuple(sorted(changed))


def _same(one: Mapping[str, Compiled], other: Mapping[str, Compiled]) -> bool:
    return one.keys() == other.keys() and all(one[key] is other[key] for key in one)


def tables(snapshot: Snapshot | None, compiled: Mapping[str, Compiled]) -> Ruleset:
    """The look-up tables over compiled flags."""
    typed: dict[Any, dict[Any, Fn]] = {kind: {} for kind in CLASSES}
    for key, flag in compiled.items():
        kind = _TYPES.get(flag.flag.type) or class_of(flag.flag.variants.values())
        if kind is not None:
            table = typed[kind]
            table[key] = flag._value or flag.first(table)
    typed[type] = _Declared(compiled)
    return Ruleset(snapshot, compiled, typed[bool], typed, _Whole(compiled))


class _Whole(dict[str, Fn]):
    """Every flag's function that answers with the Evaluation, each built when first asked for."""

    def __init__(self, compiled: Mapping[str, Compiled]) -> None:
        super().__init__()
        self._compiled = compiled

    def __missing__(self, key: str) -> Fn:
        made = self[key] = self._compiled[key].evaluation
        return made


class _Declared(dict[Any, Fn]):
    """
    Typed flags → their functions, each built when first asked for.

    It stands under `type`, for that is the class of the default that was not given (a class itself).
    """

    def __init__(self, compiled: Mapping[str, Compiled]) -> None:
        super().__init__()
        self._compiled = compiled

    def __missing__(self, flag: Any) -> Fn:
        if not isinstance(flag, Flag):
            raise KeyError(flag)
        build = self._compiled[flag.key].build(lambda evaluation: flag.read(evaluation.value))
        made: Fn = (lambda kb, attributes: deepcopy(build(kb, attributes))) if flag.copies else build
        self[flag] = made
        return made
