"""All that is edited as one: the files of a source, each with its document, and which of them has a flag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from progflags.cli.editing._edit import Path, at
from progflags.cli.editing._form import Text
from progflags.errors import ProgflagsError
from progflags.flags import meant, suggest

if TYPE_CHECKING:
    from progflags.sources import Piece

__all__ = ["Definitions"]


@dataclass(frozen=True, slots=True)
class Definitions:
    """`name`: what a person calls them."""

    name: str
    texts: tuple[Text, ...]

    @classmethod
    def of(cls, name: str, pieces: Sequence[Piece]) -> Definitions:
        """
        The definitions in `pieces`.

        Raises:
            DefinitionError: one of them is no document.
        """
        return cls(name, tuple(map(Text.of, pieces)))

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return tuple(text.piece for text in self.texts)

    @property
    def empty(self) -> bool:
        """Whether nothing is said in any of them."""
        return not any(text.document for text in self.texts)

    def holder(self, path: Path) -> Text | None:
        """The text that has something at `path`."""
        return next((text for text in self.texts if at(text.document, path) is not None), None)

    def flag(self, key: str) -> Text:
        """
        The text that has a flag.

        Raises:
            ProgflagsError: none has it.
        """
        found = self.holder(("flags", key))
        if found is None:
            retired = any(key in _list(text.document.get("retired")) for text in self.texts)
            known = [name for text in self.texts for name in _table(text.document.get("flags"))]
            hint = "it was retired" if retired else meant(key, known) or f"progflags add {key} makes one"
            raise ProgflagsError(f"{self.name}: there is no flag {key!r} ({hint})")
        return found

    def environment(self, name: str) -> Text:
        """
        The text that declares an environment.

        Raises:
            ProgflagsError: none does.
        """
        found = self.holder(("environments", name))
        if found is None:
            known = [one for text in self.texts for one in _table(text.document.get("environments"))]
            hint = suggest(name, known) or "declare it in the file: [environments.NAME], an empty table will do"
            raise ProgflagsError(f"{self.name}: there is no environment {name!r} ({hint})")
        return found

    def retired(self, key: str) -> Text | None:
        """The text whose `retired` names a key."""
        return next((text for text in self.texts if key in _list(text.document.get("retired"))), None)

    def with_(self, text: Text, new: Text) -> Definitions:
        """With `new` in the place of `text`, or besides."""
        if text not in self.texts:
            return Definitions(self.name, (*self.texts, new))
        return Definitions(self.name, tuple(new if one is text else one for one in self.texts))


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
