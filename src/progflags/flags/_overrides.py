"""
Answers that are pinned for one task or thread: tests, forced variants, and the one ruleset a request keeps.

Nothing of this costs anything while it is not used. Only while a layer is active somewhere does the client serve from
look-up tables that ask the context variable first; after the last layer ends, the plain tables are back. A kill switch
or panic is stronger than any override.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from progflags._printed import quoted
from progflags.flags._evaluation import Reason
from progflags.flags._model import FlagModel
from progflags.flags._problems import suggest
from progflags.flags.serving import CLASSES, Live, Ruleset, Stated, Workshop, assemble

__all__ = ["Layer", "aware", "layers", "resolve_pins"]

layers: Final[ContextVar[Mapping[object, Layer] | None]] = ContextVar("progflags.layers", default=None)
"""The layer of each client that has one here, by the client's token."""


@dataclass(slots=True, eq=False)
class Layer:
    """
    What is laid over a client's ruleset: `pins` (flag → variant), and `base`, a ruleset kept against reloads.

    The result is kept until the client's own ruleset changes.
    """

    pins: Mapping[str, str]
    workshop: Workshop
    base: Ruleset | None = None
    _made: tuple[Ruleset, Ruleset] | None = field(default=None, init=False)

    def over(self, present: Ruleset) -> Ruleset:
        """The ruleset that answers under this layer, where `present` would answer without it."""
        base = self.base or present
        if not self.pins:
            return base
        made = self._made
        if made is None or made[0] is not base:
            lives = {key: compiled.live for key, compiled in base.compiled.items()}
            ruleset, _ = assemble(base.snapshot, Stated(lives, self._forced(base), aside=True), self.workshop, base, self.pins)
            made = self._made = (base, ruleset)
        return made[1]

    def _forced(self, base: Ruleset) -> Callable[[FlagModel, Live], tuple[str, Reason] | None]:
        pins = self.pins

        def forced(flag: FlagModel, _: Live) -> tuple[str, Reason] | None:
            now = base.compiled[flag.key].forced
            variant = pins.get(flag.key)
            if variant is None or variant not in flag.variants or (now is not None and now[1] is Reason.DISABLED):
                return now
            return variant, Reason.PINNED

        return forced


def resolve_pins(pins: Mapping[str, Any], flags: Mapping[str, FlagModel]) -> dict[str, str]:
    """
    Overrides as written (a variant's name, or a value) → variant names. A name wins over an equal value.

    Raises:
        ValueError: there is no such flag, or it has no such variant.
    """
    resolved: dict[str, str] = {}
    for key, wanted in pins.items():
        flag = flags.get(key)
        if flag is None:
            raise ValueError(f"there is no flag {quoted(key)} to override{_hint(suggest(key, flags))}")
        name = wanted if isinstance(wanted, str) and wanted in flag.variants else None
        if name is None:
            same = (name for name, value in flag.variants.items() if type(value) is type(wanted) and value == wanted)
            alike = (name for name, value in flag.variants.items() if not isinstance(value, bool | str) and value == wanted)
            name = next(same, None) or (None if isinstance(wanted, bool) else next(alike, None))
        if name is None:
            raise ValueError(f"flag {quoted(key)} has no variant or value {quoted(wanted)}{_hint(suggest(wanted, flag.variants))}")
        resolved[key] = name
    return resolved


def _hint(text: str) -> str:
    return f" ({text})" if text else ""


class _Aware(dict[Any, Any]):
    """A look-up table that is always empty, so that every look-up asks `pick` for the table that counts here."""

    __slots__ = ("_pick",)

    def __init__(self, pick: Callable[[], Mapping[Any, Any]]) -> None:
        super().__init__()
        self._pick = pick

    def __missing__(self, key: Any) -> Any:
        return self._pick()[key]


def aware(present: Callable[[], Ruleset]) -> Ruleset:
    """A ruleset that finds its functions in `present()` at every look-up."""

    def typed(kind: Any) -> _Aware:
        return _Aware(lambda: present().typed[kind])

    every: dict[Any, dict[Any, Any]] = {kind: typed(kind) for kind in (*CLASSES, type)}
    whole, alike = _Aware(lambda: present().whole), _Aware(lambda: present().alike)
    return Ruleset(None, {}, _Aware(lambda: present().on), every, whole, alike)
