"""
Everything a client answers from at one moment: Ruleset.

Never changed once it serves; a reload, a share change, a pin make another one, which takes over by one assignment. What
did not change is carried over, so a share change in 10,000 flags compiles one. No function is built before its flag is
asked for: a load of 10,000 flags builds none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from progflags.flags._bucket import PPM
from progflags.flags._evaluation import Reason
from progflags.flags._model import FlagModel, Snapshot
from progflags.flags._quiet import quiet
from progflags.flags._typed import Flag
from progflags.flags.serving._closures import Fn
from progflags.flags.serving._compile import BRAKED, Compiled, Workshop
from progflags.flags.serving._live import NO_LIVE, Killed, Live

__all__ = ["CLASSES", "EMPTY", "Forced", "Pin", "Ruleset", "Stated", "assemble", "class_of", "forced_by"]

_DECLARED: Final = 1000  # typed flags whose functions outlive a change; a program that makes one per request has no end of them
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
    `compiled` has every flag; `dependents` maps a flag to those that require it.

    The look-up tables hold the functions of the flags that have been asked for: `typed` maps a default's class to the flags
    whose values are all of it, `on` is the table of the boolean ones, `whole` has the functions that answer with the
    Evaluation; `alike` says whether a flag answers everybody alike. `panic`: who had all flags answer `safe`, and why. A look-up
    that finds nothing has come to the end of the fast path, and `function` says why.
    """

    snapshot: Snapshot | None = None
    compiled: Mapping[str, Compiled] = field(default_factory=dict)
    on: Mapping[Any, Callable[..., bool]] = field(default_factory=dict)
    typed: Mapping[Any, dict[Any, Fn]] = field(default_factory=dict)
    whole: Mapping[str, Fn] = field(default_factory=dict)
    alike: Mapping[Any, bool] = field(default_factory=dict)
    dependents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    panic: Killed | None = None

    def parts(self) -> list[object]:
        """Every flag of it, for `let_go`."""
        return [*self.compiled.values(), *(() if self.snapshot is None else self.snapshot.flags.values())]

    def function(self, kind: type, key: str) -> Fn | None:
        """
        The function of a flag whose values are all of `kind`, None when they are not. It takes its place in the table.

        Two threads that meet here build the same; one of the two stays.
        """
        compiled = self.compiled[key]
        if (_TYPES.get(compiled.flag.type) or class_of(compiled.values())) is not kind:
            return None
        function = self.typed[kind][key] = compiled.value
        return function


EMPTY: Final = Ruleset()

Forced = Callable[[FlagModel, Live], tuple[str, Reason] | None]


def forced_by(pins: Mapping[str, Pin], *, panic: bool) -> Forced:
    """What overrules a flag's rules: panic, a kill, the brake; in this order."""

    def forced(flag: FlagModel, live: Live) -> tuple[str, Reason] | None:
        if panic or live.killed is not None:
            return flag.safe, Reason.DISABLED
        pin = pins.get(flag.key) if pins else None
        if pin is not None and live.revision <= pin.revision:
            return (flag.default, Reason.PINNED) if live.edit is None else BRAKED
        return None

    return forced


class Stated(NamedTuple):
    """
    What is said of flags beside their definitions: their live states, and what overrules their rules. `aside`: not by the client, but
    by a view that is kept, or an override.
    """

    lives: Mapping[str, Live]
    forced: Forced
    aside: bool = False


def assemble(
    snapshot: Snapshot | None,
    stated: Stated,
    workshop: Workshop,
    before: Ruleset = EMPTY,
    touched: Iterable[str] | None = None,
) -> tuple[Ruleset, tuple[str, ...]]:
    """
    The ruleset for these definitions and live states, and the keys of the flags that are not as `before`.

    What `before` compiled is kept wherever definition, live state, force and prerequisites are the same. `touched`, given
    with the snapshot of `before`, names the only flags whose live state or force may differ; the others are not looked at.
    """
    flags: Mapping[str, FlagModel] = {} if snapshot is None else snapshot.flags
    if touched is None:
        with quiet(len(flags)):
            made = _Assembly(flags, stated, workshop, before)
            made.all()
    else:
        made = _Assembly(flags, stated, workshop, before)
        made.only({key for key in touched if key in flags})
    return made.ruleset(snapshot), tuple(sorted(made.changed))


class _Assembly:
    """Compiled flags, being carried over or made."""

    def __init__(self, flags: Mapping[str, FlagModel], stated: Stated, workshop: Workshop, before: Ruleset) -> None:
        self.flags = flags
        self.lives, self.forced, self.aside = stated
        self.workshop = workshop
        self.before = before
        self.compiled: dict[str, Compiled] = {}
        self.dependents = before.dependents
        self.edited: Mapping[str, FlagModel] = {}  # the new definitions of flags that are being changed
        self.remade: set[str] = set()  # flags that are not the object `before` has
        self.changed: dict[str, None] = {}  # those of them that differ themselves, not just in a prerequisite; ordered, so quick to sort

    def all(self) -> None:
        """Every flag."""
        self.dependents = _dependents(self.flags)
        self._edits()
        for key, flag in self.flags.items():
            if key not in self.compiled:
                self._make(key, flag)
        for key in self.before.compiled:
            if key not in self.flags:
                self.remade.add(key)
                self.changed[key] = None

    def only(self, touched: Iterable[str]) -> None:
        """The touched ones, and those that require one of them."""
        self._edits()
        reached: set[str] = set()
        waiting = [key for key in touched if key in self.flags]
        while waiting:
            key = waiting.pop()
            if key not in reached:
                reached.add(key)
                waiting += self.dependents.get(key, ())
        self.compiled = {**self.before.compiled}
        for key in reached:
            del self.compiled[key]
        for key in reached:
            if key not in self.compiled:
                self._make(key, self.flags[key])

    def _edits(self) -> None:
        """Look which definitions are being changed; what a new one requires is asked by its flag as well."""
        self.edited = self.workshop.edits.served(self.flags, self.lives, aside=self.aside)
        ties = [(require.flag, key) for key, model in self.edited.items() for require in model.requires]
        if ties:
            known = {flag: (*self.dependents.get(flag, ()),) for flag, _ in ties}
            for flag, key in ties:
                known[flag] = (*known[flag], *(() if key in known[flag] else (key,)))
            self.dependents = {**self.dependents, **known}

    def _make(self, key: str, flag: FlagModel) -> None:
        if key in self.edited:
            return self._make_edited(key, flag, self.edited[key])
        others = self._others(flag) if flag.requires else _NONE
        live = self.lives.get(key, NO_LIVE)
        force = self.forced(flag, live)
        old = self.before.compiled.get(key)
        same = old is not None and (old.flag is flag or old.flag.same(flag)) and old.live == live and old.forced == force
        if old is not None and same and not (old.edited or old.to or old.arm):
            if others is old.others or _same(others, old.others):
                self.compiled[key] = old
                return None
        else:
            self.changed[key] = None
        self.remade.add(key)
        self.compiled[key] = Compiled(flag, live, self.workshop, others, force)
        return None

    def _make_edited(self, key: str, flag: FlagModel, model: FlagModel) -> None:
        """Of two definitions: the old one while the brake holds, the new one once it serves everybody, else both."""
        live = self.lives[key]
        share = 0 if self.forced(flag, live) == BRAKED else live.share or 0
        first = model if share >= PPM else flag
        noted = live.counting and share > 0
        to = None
        if 0 < share < PPM:
            to = Compiled(model, live, self.workshop, self._others(model), None, None, "candidate" if noted else None, edited=True)
        arm = None if not noted else "candidate" if share >= PPM else "control"
        made = Compiled(first, live, self.workshop, self._others(first), self.forced(first, live), to, arm, edited=first is model)
        old = self.before.compiled.get(key)
        if old is not None and old.like(made):
            self.compiled[key] = old
            return
        self.changed[key] = None
        self.remade.add(key)
        self.compiled[key] = made

    def _others(self, flag: FlagModel) -> Mapping[str, Compiled]:
        """The compiled prerequisites, made first where they are still to be made: there are no circles, and few levels."""
        names = [require.flag for require in flag.requires if require.flag in self.flags]
        for name in names:
            if name not in self.compiled:
                self._make(name, self.flags[name])
        return {name: self.compiled[name] for name in names}

    def ruleset(self, snapshot: Snapshot | None) -> Ruleset:
        """What was made, with the functions that were built before for the flags that stayed."""
        typed: dict[Any, dict[Any, Fn]] = {}
        for kind in CLASSES:
            table = typed[kind] = {**self.before.typed.get(kind, {})}
            for key in table.keys() & self.remade:
                del table[key]
        typed[type] = declared = _Declared(self.compiled)
        known = {**self.before.typed.get(type, {})}
        if len(known) <= _DECLARED:
            declared.update({flag: function for flag, function in known.items() if flag.key not in self.remade})
        return Ruleset(snapshot, self.compiled, typed[bool], typed, _Whole(self.compiled), _Alike(self.compiled), self.dependents)


def _dependents(flags: Mapping[str, FlagModel]) -> Mapping[str, tuple[str, ...]]:
    """Flag → the flags that require it."""
    found: dict[str, tuple[str, ...]] = {}
    for key, flag in flags.items():
        for require in flag.requires:
            found[require.flag] = (*found.get(require.flag, ()), key)
    return found


def _same(one: Mapping[str, Compiled], other: Mapping[str, Compiled]) -> bool:
    return one.keys() == other.keys() and all(one[key] is other[key] for key in one)


class _Whole(dict[str, Fn]):
    """Every flag's function that answers with the Evaluation, each built when first asked for."""

    def __init__(self, compiled: Mapping[str, Compiled]) -> None:
        super().__init__()
        self._compiled = compiled

    def __missing__(self, key: str) -> Fn:
        made = self[key] = self._compiled[key].evaluation
        return made


class _Alike(dict[Any, bool]):
    """Whether a flag, by its key or typed, gives everybody the same answer: then it need not be found out who asks."""

    def __init__(self, compiled: Mapping[str, Compiled]) -> None:
        super().__init__()
        self._compiled = compiled

    def __missing__(self, flag: Any) -> bool:
        if isinstance(flag, Flag):
            return self[flag.key]
        compiled = self._compiled.get(flag)
        if compiled is None:  # not remembered: names may come from outside, and there is no end to them
            return True
        alike = self[flag] = compiled.alike
        return alike


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
