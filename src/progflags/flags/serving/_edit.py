"""Edit: another definition of a flag, kept beside its live state, that some of the traffic is served by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from progflags._json import digest
from progflags._printed import quoted

__all__ = ["Edit"]


@dataclass(frozen=True, slots=True)
class Edit:
    """
    A new definition of a flag on its way to everybody, or there.

    `definition`: a document of that flag alone, with what it refers to. `base` and `new` are imprints: of what the file said when
    the change was made, and of the new definition. `salt`: who is served which is decided by. `share` and `variant`: where the flag's own
    rollout stood, and stands on both sides. `landed`: since when (wall) some process's file says otherwise than `base`, once it serves
    everybody; None: none is known.
    """

    definition: Mapping[str, Any] = field(compare=False, repr=False)
    digest: str
    base: str
    new: str
    salt: str
    share: int | None = None
    variant: str | None = None
    landed: float | None = None

    @classmethod
    def made(cls, definition: Mapping[str, Any], base: str, new: str) -> Edit:
        """Of a definition; who makes it a flag's says the rest."""
        return cls(definition, digest(definition), base, new, "")

    @property
    def name(self) -> str:
        """What people call it: the first digits of its digest."""
        return self.digest[:8]

    @property
    def requires(self) -> tuple[str, ...]:
        """The flags that the new definition requires, as far as it can be read."""
        tables = self.definition.get("flags")
        found = [table.get("requires") for table in tables.values() if isinstance(table, Mapping)] if isinstance(tables, Mapping) else []
        asked = [one.get("flag") for requires in found if isinstance(requires, list) for one in requires if isinstance(one, Mapping)]
        return tuple(flag for flag in asked if isinstance(flag, str))

    def to_json(self) -> dict[str, Any]:
        own = {"share": self.share, "variant": self.variant}
        return {
            "definition": dict(self.definition),
            "base": self.base,
            "new": self.new,
            "salt": self.salt,
            "own": own,
            "landed": self.landed,
        }

    @classmethod
    def of(cls, written: object) -> Edit:
        """
        As it is written.

        Raises:
            ValueError: it is not what this progflags writes.
        """
        try:
            body: Any = written
            definition, own, landed = body["definition"], body["own"], body.get("landed")
            share, variant = own["share"], own["variant"]
            words = (body["base"], body["new"], body["salt"])
            if not isinstance(definition, Mapping) or not all(type(word) is str for word in words):
                raise TypeError("a definition is a table, its imprints and its salt are texts")  # noqa: TRY301 - as the others below
            if not (share is None or (type(share) is int and 0 <= share <= 1_000_000)) or not (variant is None or type(variant) is str):
                raise TypeError(f"a share and its variant, not {quoted((share, variant))}")  # noqa: TRY301 - as above
            at = None if landed is None else float(landed)
            return cls(definition, digest(dict(definition)), *words, share, variant, at)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ValueError(f"a change of definition can't be read: {type(error).__name__}: {error}") from None
