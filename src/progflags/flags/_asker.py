"""Who is asking, as an explanation needs it: the unit that is bucketed, for machines and for people, and what stands in its place."""

from __future__ import annotations

from typing import Final

from progflags.context import Context, unit_bytes
from progflags.flags._bucket import bucket
from progflags.flags._model import FlagModel, Unit
from progflags.flags._problems import meant
from progflags.flags.conditions import KEY, foreign, named
from progflags.flags.serving import KeyMissing, attribute, unit_of

__all__ = ["Asker"]

_FEW: Final = 3  # attributes that are named


class Asker:
    """A context, before one flag."""

    def __init__(self, flag: FlagModel, who: Context) -> None:
        self._flag = flag
        self.context = who
        self._key = who._key
        self.kb = who._kb
        self.attributes = who._attributes

    def unit(self, of: Unit | None = None) -> bytes:
        """What is bucketed, by the flag or by a rule's own unit. Raises KeyMissing where there is none."""
        find = unit_of(of or self._flag.unit)
        if find is not None:
            return find(self.kb, self.attributes)
        if self.kb is None:
            raise KeyMissing("the targeting key")
        return self.kb

    def named(self) -> str:
        """The unit for people: which attribute was used, and its text."""
        try:
            text = self.unit().decode().replace("\x1e", " + ")
        except Exception:  # no key; or an attribute that can't be used, which the walk has said already
            return ""
        return f"{text} ({self._flag.unit})"

    def lacks(self, unit: Unit | None = None) -> bool:
        """Whether the flag passes over who asks, for there is no such unit."""
        if not self._flag.skips:
            return False
        try:
            self.unit(unit)
        except KeyMissing:
            return True
        return False

    def hashed(self, purpose: str, salt: str, of: Unit | None = None) -> int:
        """Its bucket, in ppm."""
        return bucket(purpose, salt, self.unit(of))

    def instead(self) -> str:
        """What stands where the unit should: a value that is no id, or a name in the context much like it."""
        units = [name for group in self._flag.unit.groups for name in group] or [KEY]
        for unit in units:
            value = self._key if unit == KEY else attribute(self.attributes, unit)
            if value is not None and unit_bytes(value) is None:
                return f", for {named(value)} is no id: pass a text, a whole number or a UUID"
        hint = next((hint for unit in units if unit not in self.attributes and (hint := meant(unit, self.attributes))), "")
        return f": {hint}" if hint else ""

    def suspects(self) -> str:
        """The attributes that are of no class a comparison knows, a few of them."""
        found = [f"{name} is {named(value)}" for name, value in self.attributes.items() if foreign(value)]
        return f" ({', '.join(found[:_FEW])})" if found else ""
