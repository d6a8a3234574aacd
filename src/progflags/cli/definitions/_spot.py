"""Where a flag is written that a command is about: for everybody, or in one environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from progflags.cli.editing import Definitions, Path, Text, at
from progflags.errors import ProgflagsError

__all__ = ["Spot"]


@dataclass(frozen=True, slots=True)
class Spot:
    """The text, the path of the flag in it, and its table there; None: nothing is said of it in that environment yet."""

    text: Text
    path: Path
    table: Mapping[str, Any] | None

    @classmethod
    def of(cls, definitions: Definitions, flag: str, environment: str | None) -> Spot:
        """
        The spot of a flag.

        Raises:
            ProgflagsError: there is no such flag, or no such environment.
        """
        path: Path = ("flags", flag)
        if not environment:
            text = definitions.flag(flag)
            return cls(text, path, at(text.document, path))
        declared, path = definitions.environment(environment), ("environments", environment, *path)
        holder = definitions.holder(path)
        if holder is None:
            definitions.flag(flag)
            return cls(declared, path, None)
        return cls(holder, path, at(holder.document, path))

    def rules(self) -> Mapping[str, Any]:
        """
        The flag's table, for commands about its rules.

        Raises:
            ProgflagsError: the environment has none of its own, and half of a list is none.
        """
        if self.path[0] == "environments" and "rules" not in (self.table or {}):
            _, name, _, flag = self.path
            whole = f"progflags set {flag} rules='[…]' --environment {name}"
            raise ProgflagsError(f"{flag} has no rules of its own in {name}, and a list is replaced whole there: {whole}")
        return self.table or {}
