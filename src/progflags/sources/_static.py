"""Definitions in the program itself: a dict."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from progflags.errors import DefinitionError, Problem
from progflags.sources._contract import Piece

__all__ = ["DictSource"]


class DictSource:
    """A mapping shaped like a flag file. It is looked at again at every refresh: change it, refresh, and the change serves."""

    def __init__(self, document: Mapping[str, Any], *, name: str = "<dict>") -> None:
        self._document = document
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def read(self) -> Sequence[Piece]:
        try:
            text = json.dumps(self._document, sort_keys=True, default=repr).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise DefinitionError(
                [Problem(self._name, None, "", f"not a document: {error}", "keys are text, and nothing contains itself")]
            ) from None
        return (Piece(self._name, "data", text, self._document),)
