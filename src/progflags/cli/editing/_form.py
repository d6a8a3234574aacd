"""A piece of text after some edits: in its own form, and saying what was meant and nothing else, or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from progflags.cli.editing import _json, _toml, _yaml
from progflags.cli.editing._edit import Edit, Insert, Path, Put, readings, same
from progflags.errors import DefinitionError, ProgflagsError
from progflags.flags import dotted, plain_text

if TYPE_CHECKING:
    from progflags.sources import Piece

__all__ = ["Text"]

_FORMS: Final[Mapping[str, ModuleType]] = {"toml": _toml, "json": _json, "yaml": _yaml}
_MARK: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class Text:
    """A piece and the document in it."""

    piece: Piece
    document: Mapping[str, Any]

    @classmethod
    def of(cls, piece: Piece) -> Text:
        """
        The piece, read.

        Raises:
            DefinitionError: it is no document.
        """
        from progflags.sources import decode_piece

        return cls(piece, decode_piece(piece)[0] if piece.text.strip() or piece.form == "json" else {})

    @property
    def plain(self) -> str:
        return plain_text(self.piece.text, self.piece.file)

    @property
    def _form(self) -> ModuleType:
        form = self.piece.form
        return _FORMS.get(form) or _FORMS["json" if form == "data" or self.plain.lstrip().startswith("{") else "toml"]

    def notes(self, path: Path) -> tuple[str, ...]:
        """The comment above what is written at `path`."""
        found: tuple[str, ...] = self._form.notes(self.plain, path)
        return found

    def edited(self, edits: Sequence[Edit]) -> Text:
        """
        The text after `edits`.

        Raises:
            MissingExtraError: what edits this form is not installed.
            ProgflagsError: it can't be written so that exactly this is said.
        """
        text, document, form = self.plain, self.document, self._form
        crlf = "\r\n" in text and "\n" not in text.replace("\r\n", "")
        text = text.replace("\r\n", "\n") if crlf else text
        for edit in edits:
            meant = _said(edit, form)
            wanted = readings(document, meant)
            text = form.edited(text, meant)
            document = self._checked(text, wanted, edit)
        text = _unlike_a_torn_one(text, self.plain.replace("\r\n", "\n") if crlf else self.plain)
        text = text.replace("\n", "\r\n") if crlf else text
        marked = _MARK if self.piece.text.startswith(_MARK.encode()) else ""
        return Text(replace(self.piece, text=(marked + text).encode()), document)

    def _checked(self, text: str, wanted: Sequence[Any], edit: Edit) -> Mapping[str, Any]:
        """What the new text says, if that is what was meant."""
        from progflags.sources import decode_piece

        try:
            document = decode_piece(replace(self.piece, text=text.encode()))[0]
        except DefinitionError as error:
            raise ProgflagsError(f"{self._refused(edit)} ({error.problems[0].message})") from error
        if not any(same(document, one) for one in wanted):
            raise ProgflagsError(self._refused(edit))
        return document

    def _refused(self, edit: Edit) -> str:
        where = dotted(edit.path)
        return f"{self.piece.file}: {where} can't be changed here without touching something else: change it by hand"


def _said(edit: Edit, form: ModuleType) -> Edit:
    """The edit with a value that the form can say."""
    if isinstance(edit, (Put, Insert)) and form is not _toml:
        return replace(edit, value=form.said(edit.value))
    return edit


def _unlike_a_torn_one(text: str, before: str) -> str:
    """
    `text`, with blank lines at its end where it would be the beginning of what was there before.

    That is how a file looks that was cut off while it was written, and an application does not take it.
    """
    while len(text) < len(before) and before.startswith(text):
        text += "\n"
    return text
