"""
What can go wrong, and whose fault it is.

One root, few children; each is also the built-in it resembles, so `except ValueError` keeps working for people who
never heard of us. A message ends with the remedy. A request never sees any of these: evaluation answers the
caller's default and a reason instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

__all__ = [
    "ClosedError",
    "ConflictError",
    "DefinitionError",
    "MissingExtraError",
    "Problem",
    "ProgflagsError",
    "StoreError",
    "TransitionRefused",
]


class ProgflagsError(Exception):
    """Everything progflags raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One thing wrong in a definition, precise enough to fix without searching.

    `file` is the path as given (or `<dict>`, `<env>`, the store's name); `line` counts from 1, None where the source has
    no lines; `key` is the dotted path of the offending key, empty for the whole document; `hint` says what to do.
    """

    file: str
    line: int | None
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """`file:line: key.path: message (hint)`, the parts that are known."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        middle = f" {self.key}:" if self.key else ""
        tail = f" ({self.hint})" if self.hint else ""
        return f"{place}:{middle} {self.message}{tail}"

    def to_dict(self) -> dict[str, object]:
        """The five fields as plain JSON values."""
        return asdict(self)


class DefinitionError(ProgflagsError, ValueError):
    """The flag's author made a mistake, and nothing older can serve. `problems` says where; correct them and load again."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems) or "the definition is invalid")


class TransitionRefused(ProgflagsError, ValueError):  # noqa: N818 - the public name, fixed
    """The verb is not legal now. `state` is where the rollout stands, `legal` the verbs that would be accepted."""

    def __init__(self, message: str, *, state: str = "", legal: Iterable[str] = ()) -> None:
        self.state = state
        self.legal: tuple[str, ...] = tuple(legal)
        super().__init__(message)


class ConflictError(ProgflagsError):
    """Another writer was first. `revisions` holds what the store has now; read again and decide again."""

    def __init__(self, message: str, *, revisions: Mapping[str, int] | None = None) -> None:
        self.revisions: dict[str, int] = dict(revisions or {})
        super().__init__(message)


class StoreError(ProgflagsError, OSError):
    """The store is out of reach, full, damaged or of another version. Flags keep serving what was read last."""


class ClosedError(ProgflagsError, RuntimeError):
    """The client was closed: evaluation goes on from the last snapshot, but nothing can be changed. Connect again."""


class MissingExtraError(ProgflagsError, ImportError):
    """An optional package is not installed. The message is the command that installs it."""

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(f"{package} is not installed: pip install 'progflags[{extra}]'")
